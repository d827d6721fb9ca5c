//! Requests: what was asked for, and which run it led to.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run_id::RunId;

/// The run that a request led to. The same request, delivered again, finds this document and leads
/// to the same run. A retry, asked for after the run has failed, has a document of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Reservation {
    /// Version of this document, [`Reservation::VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// When the request first arrived, by the planner's clock.
    pub at: DateTime<Utc>,
}

impl Reservation {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// What was asked for, before anything was planned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// Version of this document, [`Request::VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// The job file as it was when the request arrived: changing the file later changes no run.
    pub job: serde_json::Value,
    /// Key that identifies the request, as given by the caller, Pub/Sub or Cloud Scheduler.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_key: Option<String>,
    /// When the request first arrived, by the planner's clock.
    pub at: DateTime<Utc>,
}

impl Request {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
