//! What Dataflow is to do with the rows of a table, and what it has done. `dataflow/README.md` describes
//! the pipeline that reads the first document and writes the last.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::dedup::Dedup;
use super::run_id::RunId;
use super::schema::Column;

/// The workers of a job of Dataflow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataflowWorkers {
    /// Their machine type, such as `n1-standard-2`.
    pub machine_type: String,
    /// How many it begins with.
    pub workers: u32,
    /// The most that it grows to.
    pub max_workers: u32,
    /// Whether they are those of Flexible Resource Scheduling, which cost less, and may start hours
    /// later. <https://cloud.google.com/dataflow/docs/guides/flexrs>
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub flexrs: bool,
}

/// Which job of Dataflow a document belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataflowAttempt {
    /// Index of the table in the manifest.
    pub table: u32,
    /// Generation of the snapshot whose parts it reads.
    pub generation: u32,
    /// Place among the jobs for these, from 0: there is another one if a person has the run loaded
    /// again.
    pub number: u32,
}

impl DataflowAttempt {
    /// The job's name: at most one job of a name is at work.
    /// <https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.jobs#Job>
    pub fn job_name(self, run: RunId) -> String {
        let Self { table, generation, number } = self;
        format!("sluice-{run}-{table}-{generation}-{number}")
    }
}

/// The order: which parts are read, which rows are kept, and where they go.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataflowOrder {
    /// Version of this document, [`DataflowOrder::VERSION`].
    pub version: u32,
    /// The run.
    pub run: RunId,
    /// Index of the table in the manifest.
    pub table: u32,
    /// Generation of the snapshot that the parts were read in.
    pub generation: u32,
    /// Name of the job of Dataflow.
    pub job: String,
    /// The table's columns, in the order of the parts.
    pub columns: Vec<Column>,
    /// The same columns as the staging table has them, as BigQuery's API describes fields.
    pub schema: Vec<Value>,
    /// URLs of the parts.
    pub parts: Vec<String>,
    /// Rows of all parts.
    pub rows: u64,
    /// Bytes of all parts.
    pub bytes: u64,
    /// Which rows are left out; none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// The table that is filled.
    pub staging: StagingTable,
    /// URL of the folder for the files that are loaded, and for the result; ends with `/`.
    pub output: String,
}

impl DataflowOrder {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// A table of BigQuery that rows are brought into before they are visible.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StagingTable {
    /// Its project.
    pub project: String,
    /// Its dataset.
    pub dataset: String,
    /// Its name.
    pub table: String,
    /// Where its dataset lies.
    pub location: String,
}

/// The statement that a job of Dataflow is being launched. The program that creates it launches the
/// job, and every other one waits for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataflowLaunch {
    /// Version of this document, [`DataflowLaunch::VERSION`].
    pub version: u32,
    /// Name of the job.
    pub job: String,
    /// Time of the launch, by the clock of the program that launches it.
    pub at: DateTime<Utc>,
}

impl DataflowLaunch {
    /// The version this build writes.
    pub const VERSION: u32 = 1;
}

/// The result: the staging table is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataflowResult {
    /// Version of this document, [`DataflowResult::VERSION`].
    pub version: u32,
    /// Rows that were read.
    pub rows_read: u64,
    /// Rows that the staging table has.
    pub rows_written: u64,
    /// Rows that were left out.
    pub rows_dropped: u64,
    /// Keys of which several rows are the newest.
    pub ties: u64,
    /// Files that were loaded.
    pub files: u64,
}

impl DataflowResult {
    /// The version that this build reads.
    pub const VERSION: u32 = 1;
}
