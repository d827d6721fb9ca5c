//! Failures: what ended an attempt of a task.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::error_report::ErrorReport;
use super::manifest::Manifest;
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
    /// Table and unit that were being read, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<(u32, u32)>,
    /// Who must act.
    pub kind: Kind,
    /// The error's chain, in one line.
    pub message: String,
    /// The remedy, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Time of the failure, by the task's clock.
    pub at: DateTime<Utc>,
}

impl Failure {
    /// The version this build writes.
    pub const VERSION: u32 = 1;

    /// The failure as an error.
    pub fn into_error(self) -> Error {
        ErrorReport { kind: self.kind, message: self.message, hint: self.hint }.into_error()
    }
}

/// What an execution cannot read: its tasks met errors that another attempt would meet again.
///
/// Every program decides by this what was given up, so that tasks stop reading a table if and only
/// if the loader continues without it.
#[derive(Debug, Clone, Default)]
pub struct PermanentFailures {
    /// The first failure of each table of which a unit cannot be read, by the table's index.
    pub tables: BTreeMap<u32, Failure>,
    /// Failures that end the whole run: all failures of a run that fails as a whole, and failures
    /// outside of any table.
    pub run: Vec<Failure>,
}

impl PermanentFailures {
    /// Adds those of `failures` that are of this execution and not transient.
    pub fn add(
        &mut self,
        manifest: &Manifest,
        execution: &str,
        failures: impl IntoIterator<Item = Failure>,
    ) {
        for failure in failures {
            if failure.kind == Kind::Transient || failure.execution != execution {
                continue;
            }
            match failure.unit {
                Some((table, _)) if !manifest.fails_as_a_whole() => {
                    self.tables.entry(table).or_insert(failure);
                }
                _ => self.run.push(failure),
            }
        }
    }
}
