//! The latest runs of a job.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run_id::RunId;

/// One of the latest runs of a job. Deleted when enough later ones have a plan.
///
/// Version 1 also held the time of planning, which the run's id and its manifest say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LatestRun {
    /// Version of this document, [`LatestRun::VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
}

impl LatestRun {
    /// The version this build writes.
    pub const VERSION: u32 = 2;
}
