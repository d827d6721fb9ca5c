//! Parts that a machine may lack.

use std::ffi::OsString;
use std::io::Write as _;

/// Reports that the running test is skipped because `part` is missing. In CI the test fails
/// instead.
pub fn skip(part: &str) {
    assert!(variable("CI").is_none(), "{part} is missing, and in CI nothing may be");
    say(&format!("{part} is missing"));
}

/// Reports that the running test is skipped because this user lacks a right. The machine is not at
/// fault, so the test does not fail in CI either.
pub fn lacks_rights(to: &str) {
    say(&format!("{to} needs rights that this user has not"));
}

fn say(why: &str) {
    let thread = std::thread::current();
    let name = thread.name().unwrap_or("a test");
    // Not `eprintln!`: the test runner would hide the output of a test that passes.
    let _ = writeln!(std::io::stderr(), "skipped: {name}: {why}");
}

/// The number that an environment variable holds; `None` if it is not set.
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
