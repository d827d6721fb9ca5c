//! Parts that a machine may lack.

use std::ffi::OsString;
use std::io::Write as _;

/// Says that the running test is skipped for want of `part`; fails where nothing may be missing.
pub fn skip(part: &str) {
    assert!(variable("CI").is_none(), "{part} is missing, and in CI nothing may be");
    say(&format!("{part} is missing"));
}

/// Says that the running test is skipped because this user may not do something. That is no fault
/// of the machine's, so it fails nowhere.
pub fn lacks_rights(to: &str) {
    say(&format!("{to} needs rights that this user has not"));
}

fn say(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // Not `eprintln!`: the test runner would swallow the words of a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
}

/// The number that an environment variable holds; `None` where it is not set.
pub fn number(name: &str) -> Option<usize> {
    let text = variable(name)?;
    Some(text.to_str().and_then(|text| text.parse().ok()).expect("a whole number"))
}

/// An environment variable that is set and not empty.
#[expect(
    clippy::disallowed_methods,
    reason = "the suite's settings are read here and nowhere else"
)]
pub(crate) fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}
