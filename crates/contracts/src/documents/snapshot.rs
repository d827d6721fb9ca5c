//! Snapshots: the state of the source that units are read in.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of the source that the units of a generation of receipts were read in.
///
/// Generation 0 is founded by the first task to start. A later one is founded only when no task
/// holds the one before it any more. A snapshot that nobody has to hold has generation 0 only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// Version of this document, [`Snapshot::VERSION`].
    pub version: u32,
    /// Place among the run's snapshots, from 0.
    pub generation: u32,
    /// What another connection needs to read the same snapshot: the name returned by
    /// `pg_export_snapshot()`, the value that the plan pinned, or empty if the source has no such
    /// thing.
    pub token: String,
    /// Task that has joined it.
    pub task: u32,
    /// Attempt of that task.
    pub attempt: u32,
    /// When the task joined, by its clock.
    pub at: DateTime<Utc>,
}

impl Snapshot {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// How the units of a run come to see one state of the source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SnapshotPlan {
    /// By a snapshot that exists while a reader holds it, and that a reader can join while another
    /// one holds it. The tasks hand it on, so that it lives until the last unit is read.
    Held,
    /// By a value that a reader can be held against, whenever it opens: the version of a file, a
    /// time that the source keeps the state of.
    Pinned {
        /// The value, in the source's own form.
        value: String,
    },
    /// By readers that open at one moment, prove that it was one, and hold it. No reader joins
    /// later, so a reader that dies is not replaced: see [`SnapshotPlan::is_lost_with_readers`].
    Together,
    /// Each unit sees the source as it is when the unit is read.
    Independent,
}

impl SnapshotPlan {
    /// Whether the snapshot exists only while some reader holds it.
    ///
    /// While any reader holds such a snapshot, its receipts count; once none does and units are
    /// left, the receipts are worthless, and the next generation reads everything again. So a
    /// receipt is created only when more than one task holds the snapshot, or when no other task
    /// has anything to read.
    pub fn is_lost_with_readers(&self) -> bool {
        matches!(self, Self::Held | Self::Together)
    }
}
