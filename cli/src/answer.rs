//! The result of a command: as text for people, or as one JSON object.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use serde::Serialize;
use serde_json::{Map, Value};
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::report;
use sluice_runtime::telemetry::Audience;

/// A command's result.
#[derive(Debug)]
pub(crate) struct Answer {
    document: Map<String, Value>,
    text: String,
    error: Option<Error>,
}

impl Answer {
    /// A result as a document and as text for people.
    pub(crate) fn new(document: &impl Serialize, text: String) -> Result<Self> {
        let value =
            serde_json::to_value(document).doing(Kind::Bug, || "write the answer as JSON")?;
        match value {
            Value::Object(document) => Ok(Self { document, text, error: None }),
            _ => Err(Error::bug("write the answer as one JSON object")),
        }
    }

    /// The result of a command that failed before it had one.
    pub(crate) fn failed(error: Error) -> Self {
        Self { document: Map::new(), text: String::new(), error: Some(error) }
    }

    /// A result that comes with a failure.
    pub(crate) fn because(mut self, error: Option<Error>) -> Self {
        self.error = error;
        self
    }

    /// Prints it and gives the exit code.
    pub(crate) fn print(mut self, json: bool) -> ExitCode {
        let code = self.error.as_ref().map_or(report::DONE, report::exit_code);
        if json {
            if let Some(error) = &self.error {
                self.document.insert("error".to_owned(), error.chain().into());
                self.document.insert("hint".to_owned(), error.remedy().into());
            }
            print(&format!("{}\n", Value::Object(self.document)));
        } else {
            print(&self.text);
            if let Some(error) = &self.error {
                report::failed(error, Audience::Person);
            }
        }
        ExitCode::from(code)
    }
}

/// Arguments that cannot be parsed, or that ask for help.
pub(crate) fn unparsed(error: &clap::Error, arguments: &[OsString]) -> ExitCode {
    if !error.use_stderr() {
        print(&error.render().to_string());
        return ExitCode::from(report::DONE);
    }
    let text = error.render().to_string();
    if arguments.iter().any(|argument| argument == "--json") {
        let (what, hint) = text.split_once("\n\n").unwrap_or((&text, ""));
        let what = what.trim().trim_start_matches("error: ");
        let hint = if hint.trim().is_empty() { None } else { Some(hint.trim()) };
        print(&format!("{}\n", serde_json::json!({ "error": what, "hint": hint })));
    } else {
        // There is nowhere left to say that standard error is gone.
        let _ = write!(std::io::stderr().lock(), "{text}");
    }
    ExitCode::from(report::BAD_INPUT)
}

fn print(text: &str) {
    // A reader that has seen enough, such as `head`, closes the pipe.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}
