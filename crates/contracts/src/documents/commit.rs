//! Commits: the proof that a table is visible.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dedup::Dropped;
use super::run_id::RunId;

/// Proof that one table of a run is visible in its target, or that a later run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Commit {
    /// Version of this document, [`Commit::VERSION`].
    pub version: u32,
    /// Index of the table in the manifest.
    pub table: u32,
    /// Generation of the snapshot that was committed.
    pub snapshot: u32,
    /// Rows made visible by this run.
    pub rows: u64,
    /// The rows that are left out, if the job asks for one row of each key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    /// The later run whose rows the target keeps: nothing of this run is visible.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overtaken_by: Option<RunId>,
    /// Time of the commit, by the loader's clock.
    pub at: DateTime<Utc>,
}

impl Commit {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
