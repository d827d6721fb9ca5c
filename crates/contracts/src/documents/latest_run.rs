//! The latest runs of a job.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run_id::RunId;

/// One of the latest runs of a job. Deleted when enough later ones have a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LatestRun {
    /// Version of this document, [`LatestRun::VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// When it was planned, by the planner's clock.
    pub at: DateTime<Utc>,
}

impl LatestRun {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
