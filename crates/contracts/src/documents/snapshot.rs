//! Snapshots: the moment of the source that units are read at.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The moment that a generation of receipts was read at.
///
/// Generation 0 is founded by the first task to start; a later one only when nobody holds the
/// one before any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Version of this document, [`Snapshot::VERSION`].
    pub version: u32,
    /// Place in the run's line of snapshots, from 0.
    pub generation: u32,
    /// What another connection needs to read the same moment: a snapshot exported by
    /// `pg_export_snapshot()`, a database file's state, or nothing where the source has no such
    /// thing.
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
