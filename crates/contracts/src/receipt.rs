//! Receipts: the proof that a unit is done.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind};

/// Proof that one unit was read whole in one snapshot and written to the parts it names.
///
/// Created once, never overwritten: of two attempts at a unit the first to create its receipt
/// wins, and the parts of the other are never looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version of this document, [`Receipt::VERSION`].
    pub version: u32,
    /// Index of the table in the manifest.
    pub table: u32,
    /// Index of the unit in the table.
    pub unit: u32,
    /// Generation of the snapshot that the unit was read in.
    pub snapshot: u32,
    /// Task that read it.
    pub task: u32,
    /// Attempt of that task.
    pub attempt: u32,
    /// Execution that the task belonged to.
    pub execution: String,
    /// Rows read, and written.
    pub rows: u64,
    /// Bytes received from the source.
    pub bytes: u64,
    /// Values replaced by NULL because the target type cannot hold them, by target column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub invalid: BTreeMap<String, u64>,
    /// The part files, in the order written. None for a unit without rows.
    pub parts: Vec<Part>,
    /// Seconds from the first row asked for to the last part written.
    pub seconds: f64,
    /// When it was done, by the task's clock.
    pub finished: DateTime<Utc>,
}

impl Receipt {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// One part file of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Object path in the bucket.
    pub path: String,
    /// Rows in it.
    pub rows: u64,
    /// Its size.
    pub bytes: u64,
    /// CRC-32C of its bytes, the checksum that Cloud Storage keeps of every object.
    pub crc32c: u32,
}

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

/// Word that no unit of a generation is left to be read: each has a receipt, or was given up.
///
/// Tasks that hold the snapshot for others look for it; it saves them from counting receipts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Extracted {
    /// Version of this document, [`Extracted::VERSION`].
    pub version: u32,
    /// Generation of the snapshot.
    pub snapshot: u32,
    /// When, by the clock of the task that saw it first.
    pub at: DateTime<Utc>,
}

impl Extracted {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// Proof that one table of a run is visible in its target.
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
    /// When, by the loader's clock.
    pub at: DateTime<Utc>,
}

impl Commit {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}
