//! Failures: what ended an attempt of a task.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// What ended an attempt of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// Version of this document, [`Failure::VERSION`].
    pub version: u32,
    /// Task that failed.
    pub task: u32,
    /// Attempt of that task.
    pub attempt: u32,
    /// Execution that the task belonged to.
    pub execution: String,
    /// Table and unit that were being read, where it had come so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<(u32, u32)>,
    /// Who must act.
    pub kind: Kind,
    /// The chain of what was being done.
    pub message: String,
    /// The remedy, where one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When, by the task's clock.
    pub at: DateTime<Utc>,
}

impl Failure {
    /// The version this build writes.
    pub const VERSION: u32 = 1;

    /// The task's own words as an error.
    pub fn into_error(self) -> Error {
        let error = Error::new(self.kind, self.message);
        match self.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}
