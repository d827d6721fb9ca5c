//! What a task writes to its standard error: one JSON object a line.

use std::collections::VecDeque;

use serde_json::Value;

use super::Progress;

/// Lines of a task that are kept for the report of its failure.
const KEPT: usize = 20;

/// One line of a task.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// How far it has come.
    Progress(Progress),
    /// Something that the person who runs it should know.
    Warning(String),
    /// What every task says.
    Usual,
    /// Anything else: an error, the words of a panic.
    Other(String),
}

impl Line {
    /// Reads a line. What is not a log line of ours is kept as it is.
    pub(super) fn parse(line: &str) -> Self {
        let Ok(value) = serde_json::from_str::<Value>(line) else {
            return Self::Other(line.to_owned());
        };
        if value["progress"] == true
            && let Ok(progress) = serde_json::from_value(value.clone())
        {
            return Self::Progress(progress);
        }
        match (value["severity"].as_str(), value["message"].as_str()) {
            (Some("WARNING"), Some(message)) => Self::Warning(match value["error"].as_str() {
                Some(error) => format!("{message}: {error}"),
                None => message.to_owned(),
            }),
            (Some("ERROR"), Some(message)) => Self::Other(message.to_owned()),
            (Some(_), Some(_)) => Self::Usual,
            _ => Self::Other(line.to_owned()),
        }
    }
}

/// The last lines of a task.
#[derive(Debug, Default)]
pub(super) struct Last(VecDeque<String>);

impl Last {
    pub(super) fn push(&mut self, line: String) {
        if self.0.len() == KEPT {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }

    pub(super) fn lines(self) -> Vec<String> {
        self.0.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_warnings_and_everything_else_are_told_apart() {
        let line = r#"{"severity":"INFO","time":"t","message":"","progress":true,"task":2,"rows":10,"bytes":99,"units_done":1,"generation":4}"#;
        let progress = Progress { task: 2, rows: 10, bytes: 99, units_done: 1, generation: 4 };
        assert_eq!(Line::parse(line), Line::Progress(progress));
        assert_eq!(
            Line::parse(r#"{"severity":"WARNING","message":"trying again","error":"gone"}"#),
            Line::Warning("trying again: gone".into())
        );
        assert_eq!(Line::parse(r#"{"severity":"INFO","message":"unit done"}"#), Line::Usual);
        assert_eq!(
            Line::parse(r#"{"severity":"ERROR","message":"error: x"}"#),
            Line::Other("error: x".into())
        );
        for raw in ["thread 'main' panicked", "{\"a\":1}", "7", ""] {
            assert_eq!(Line::parse(raw), Line::Other(raw.into()));
        }
    }

    #[test]
    fn only_the_last_lines_are_kept() {
        let mut last = Last::default();
        for number in 0..50 {
            last.push(number.to_string());
        }
        let lines = last.lines();
        assert_eq!(lines.len(), KEPT);
        assert_eq!(lines.last().map(String::as_str), Some("49"));
    }
}
