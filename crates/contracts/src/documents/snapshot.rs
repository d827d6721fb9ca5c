//! Snapshots: the state of the source that units are read in.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of the source that the units of a generation of receipts were read in.
///
/// Generation 0 is founded by the first task to start. A later one is founded only when no task
/// holds the one before it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Version of this document, [`Snapshot::VERSION`].
    pub version: u32,
    /// Place among the run's snapshots, from 0.
    pub generation: u32,
    /// What another connection needs to read the same snapshot: the name returned by
    /// `pg_export_snapshot()`, a database file's state, or empty if the source has no such thing.
    pub token: String,
    /// Task that holds it.
    pub task: u32,
    /// Attempt of that task.
    pub attempt: u32,
    /// When it was exported, by the task's clock.
    pub at: DateTime<Utc>,
}

impl Snapshot {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
