//! The end of a run, as it is announced.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::committed::TableOutcome;
use super::error_report::ErrorReport;
use super::run_id::RunId;

/// The event that announces the end of a run. Pub/Sub messages carry it as JSON, with `event`,
/// `run` and `job` as attributes too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunEvent {
    /// Version of this document, [`RunEvent::VERSION`].
    pub version: u32,
    /// What happened.
    pub event: EventName,
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: String,
    /// The key that the caller gave to this request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_key: Option<String>,
    /// Rows made visible in all tables.
    pub rows: u64,
    /// The outcome of each table. Empty for a run that was never planned.
    pub tables: Vec<TableOutcome>,
    /// Why the run failed, if it failed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ErrorReport>,
    /// When the run ended, by the clock of the program that announces it.
    pub at: DateTime<Utc>,
}

impl RunEvent {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum EventName {
    /// Every table is visible, or was overtaken by a later run.
    #[serde(rename = "run.finished")]
    Finished,
    /// At least one is not.
    #[serde(rename = "run.failed")]
    Failed,
    /// Some are and others are not, though the run is all or nothing.
    #[serde(rename = "run.half_visible")]
    HalfVisible,
}

impl EventName {
    /// The event's name in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Finished => "run.finished",
            Self::Failed => "run.failed",
            Self::HalfVisible => "run.half_visible",
        }
    }
}
