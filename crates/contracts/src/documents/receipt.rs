//! Receipts: the proof that a unit is done.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Proof that one unit was read whole in one snapshot and written to the parts it names.
///
/// Created once, never overwritten: of two attempts at a unit the first to create its receipt wins,
/// and the parts of the other are never read.
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
    /// Rows read and written.
    pub rows: u64,
    /// Bytes received from the source.
    pub bytes: u64,
    /// Values replaced by NULL because the target type cannot hold them, by target column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub invalid: BTreeMap<String, u64>,
    /// Rows of files that were set aside because they cannot be read.
    #[serde(default, skip_serializing_if = "BadRows::is_empty")]
    pub bad_rows: BadRows,
    /// The part files, in the order written. Empty for a unit without rows.
    pub parts: Vec<Part>,
    /// Seconds from the request for the first row to the end of the last part.
    pub seconds: f64,
    /// What those seconds were spent on, where the plan asks for it.
    #[serde(default, skip_serializing_if = "Stages::is_empty")]
    pub stages: Stages,
    /// Time of completion, by the task's clock.
    pub finished: DateTime<Utc>,
}

/// The rows of a unit that were set aside.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BadRows {
    /// How many.
    pub rows: u64,
    /// Object path in the bucket of the document that names them, one [`BadRow`](super::BadRow) a line.
    pub path: String,
}

impl BadRows {
    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }
}

/// Seconds that the stages of reading a unit took, one after another: a task does one thing at a time.
#[derive(Debug, Default, Clone, Copy, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stages {
    /// Waiting for the source, and taking its bytes.
    pub read: f64,
    /// Making columns of what the source sent.
    pub decode: f64,
    /// Making pages of the columns.
    pub encode: f64,
    /// Compressing the pages.
    pub compress: f64,
    /// Waiting for the bucket.
    pub upload: f64,
}

impl Stages {
    /// Whether no stage was measured, as in a receipt of an earlier version.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// The stages with their names, in the order in which a row passes them.
    pub fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("read", self.read),
            ("decode", self.decode),
            ("encode", self.encode),
            ("compress", self.compress),
            ("upload", self.upload),
        ]
    }
}

impl std::ops::Add for Stages {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            read: self.read + other.read,
            decode: self.decode + other.decode,
            encode: self.encode + other.encode,
            compress: self.compress + other.compress,
            upload: self.upload + other.upload,
        }
    }
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
    /// The least and the greatest value of the column that the target is partitioned by, where the
    /// plan asks for it. See [`PartitionWidth`](super::PartitionWidth).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<(i64, i64)>,
}
