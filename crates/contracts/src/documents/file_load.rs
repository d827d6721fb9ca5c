//! Loads of new files: what a target holds of the files of a source.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::run_id::RunId;
use super::unit::ObjectVersion;

/// The files of a run that loads no file twice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewFiles {
    /// Where the files lie: `gs://lake`. Their paths are below it.
    pub root: String,
    /// Number of the first load of files into the target that the plan does not know: the loader compares
    /// its files with those of the run.
    pub unknown_from: u32,
    /// The files, as they were when the run was planned.
    pub files: Vec<ObjectVersion>,
    /// Number of the files that are left out, because earlier runs have loaded them.
    pub left_out: u64,
    /// Number of the files that earlier runs have loaded in another version.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub changed: u64,
    /// Paths of the first of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changed_paths: Vec<String>,
}

/// A load of new files into a target, created before its visible step.
///
/// The loads of a target are numbered from 0, and each begins when the one before has ended. So of two
/// runs that were planned for the same files, the second finds those of the first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileLoad {
    /// Version of this document, [`FileLoad::VERSION`].
    pub version: u32,
    /// URL of the target.
    pub target: String,
    /// The run.
    pub run: RunId,
    /// When the run's load was begun. A loader that ends the load of another one needs it.
    pub begun: DateTime<Utc>,
    /// Where the files lie.
    pub root: String,
    /// The files.
    pub files: Vec<ObjectVersion>,
}

impl FileLoad {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// How a load of new files has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileLoadEnd {
    /// Version of this document, [`FileLoadEnd::VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// Time of the end, by the loader's clock.
    pub at: DateTime<Utc>,
}

impl FileLoadEnd {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
