//! The report of a program that failed: the chain once, then the remedy, then the exit code.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use chrono::{SecondsFormat, Utc};
use serde_json::{Value, json};
use sluice_contracts::{Error, Kind};

use crate::telemetry::Audience;

/// Exit code of a program that did what was asked.
pub const DONE: u8 = 0;
/// Exit code of a program that failed.
pub const FAILED: u8 = 1;
/// Exit code of a program that was asked for something impossible, `EX_USAGE` of `sysexits.h`.
pub const BAD_INPUT: u8 = 64;

/// The exit code that says who must act.
pub fn exit_code(error: &Error) -> u8 {
    match error.kind() {
        Kind::Invalid => BAD_INPUT,
        _ => FAILED,
    }
}

/// Prints an error on standard error and gives the exit code for it.
pub fn failed(error: &Error, audience: Audience) -> ExitCode {
    let text = match audience {
        Audience::Machine => line(error).to_string(),
        Audience::Person => text(error),
    };
    // If standard error is gone, there is nowhere left to report it.
    let _ = writeln!(std::io::stderr().lock(), "{}", text.trim_end());
    ExitCode::from(exit_code(error))
}

/// `error: what: what: root cause`, a blank line, and `hint: remedy` where there is one.
pub fn text(error: &Error) -> String {
    let mut text = format!("error: {}\n", error.chain());
    if let Some(hint) = error.remedy() {
        // Writing to a string cannot fail.
        let _ = write!(text, "\nhint: {hint}\n");
    }
    text
}

/// The error as a line for Cloud Logging.
fn line(error: &Error) -> Value {
    let mut line = json!({
        "severity": "ERROR",
        "time": Utc::now().to_rfc3339_opts(SecondsFormat::Micros, true),
        "message": text(error).trim_end(),
        "kind": error.kind(),
    });
    if let Some(hint) = error.remedy() {
        line["hint"] = hint.into();
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error() -> Error {
        Error::new(Kind::Denied, "write `gs://lake/part`")
            .because(std::io::Error::other("permission denied"))
            .hint("grant it")
            .during("unit 17 of 64")
    }

    #[test]
    fn a_person_reads_the_chain_once_and_the_hint_after_a_blank_line() {
        assert_eq!(
            text(&error()),
            "error: unit 17 of 64: write `gs://lake/part`: permission denied\n\nhint: grant it\n"
        );
        assert_eq!(text(&Error::bug("count")), "error: count\n");
    }

    #[test]
    fn cloud_logging_gets_the_same_text_with_kind_and_hint() {
        let line = line(&error());
        assert_eq!(line["severity"], "ERROR");
        assert_eq!(line["kind"], "denied");
        assert_eq!(line["hint"], "grant it");
        assert!(line["message"].as_str().unwrap().starts_with("error: unit 17 of 64"));
    }

    #[test]
    fn only_bad_input_is_64() {
        assert_eq!(exit_code(&Error::invalid("read job `x`")), BAD_INPUT);
        assert_eq!(exit_code(&error()), FAILED);
    }
}
