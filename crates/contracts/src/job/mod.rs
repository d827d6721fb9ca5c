//! Jobs: what the user asks for.

mod column_name;
mod constraints;
mod dataflow;
mod file;
mod files;
mod legacy_keys;
mod lower;
mod names;
mod new_table;
mod read;
mod row_key;
mod selection;
mod server;
mod table_url;
mod target_name;
mod validate;
mod yaml;
mod yaml_document;

use std::collections::BTreeMap;
use std::time::Duration;

pub use column_name::{LONGEST_COLUMN_NAME, is_reserved_column_name, refused_column_name};
pub use constraints::holds_password;
pub use dataflow::{DataflowFile, DataflowSize};
pub use file::{
    ColumnFile, Consistency, EngineWish, Incremental, JobFile, LimitsFile, PartitioningFile,
    RowSecurity, SourceFile, TablesFile, TargetFile, WriteDisposition,
};
pub use files::{
    BAD_ROWS, BadRowsFile, Compression, FILE_SCHEMES, FormatFile, FormatName, MissingField,
    PARTITION_COLUMNS, TextEncoding, UNKNOWN_FORMAT, URL_SEPARATOR, UnknownField, is_files,
};
pub use names::TableName;
pub use new_table::{
    EntryTargetFile, LONGEST_COLUMN_DESCRIPTION, LONGEST_TABLE_DESCRIPTION, PartitionByFile,
    RangeFile,
};
pub use selection::{Entry, Excluded, Resolved, Selection};
pub use validate::{JobProblem, JobProblems, job_schema, nearest_hint};

use crate::documents::{Engine, Relation, TableWrite, TaskKind};

/// A job with every value checked and every default filled in.
#[derive(Debug, Clone)]
pub struct Job {
    /// Name of the job.
    pub name: String,
    /// URL of the source, environment variables unexpanded; those of files, one a line.
    pub source: String,
    /// What moves.
    pub selection: Selection,
    /// Whether no table becomes visible unless all do.
    pub all_or_nothing: bool,
    /// URL of the bucket.
    pub bucket: String,
    /// Limits on what the run may use.
    pub limits: Limits,
    /// Which tasks of the deployment carry it out on Cloud Run.
    pub task_kind: TaskKind,
    /// What moves the tables; `None` if the planner chooses for each.
    pub engine: Option<Engine>,
    /// When Dataflow is used, and by which workers.
    pub dataflow: DataflowFile,
    /// Whether all units are read in one snapshot.
    pub consistency: Consistency,
    /// When the job is meant to run, as five cron fields, for what deploys it.
    pub schedule: Option<String>,
}

impl Job {
    /// Whether one table that cannot be moved ends the whole run: it is all or nothing, or moves no
    /// other table.
    pub fn fails_as_a_whole(&self) -> bool {
        self.all_or_nothing || matches!(self.selection, Selection::One(_))
    }
}

/// One table of a job.
#[derive(Debug, Clone)]
pub struct TableJob {
    /// What is read.
    pub relation: Relation,
    /// Columns to read, in this order; all, if absent.
    pub select: Option<Vec<String>>,
    /// Condition in the source's language.
    pub filter: Option<String>,
    /// How it is cut.
    pub partitioning: Partitioning,
    /// What happens where policies hide rows.
    pub row_security: RowSecurity,
    /// Settings of single columns, by their name in the source.
    pub columns: BTreeMap<String, ColumnFile>,
    /// What tells what no earlier run has loaded; `None` if all is read.
    pub incremental: Option<Incremental>,
    /// URL of the target table.
    pub target: String,
    /// What the load does to the target.
    pub write: TableWrite,
}

/// How a table is cut.
#[derive(Debug, Clone, Default)]
pub struct Partitioning {
    /// A strategy's name; `None` for `auto`.
    pub strategy: Option<String>,
    /// Column to cut by.
    pub column: Option<String>,
    /// Rows to aim at for each unit.
    pub target_rows: Option<u64>,
}

/// Limits on what a run may use.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections to the source at once.
    pub max_connections: u32,
    /// Tasks at once.
    pub max_tasks: u32,
    /// Wanted duration.
    pub finish_within: Option<Duration>,
    /// How long the source may compute without sending a row.
    pub answer_within: Option<Duration>,
    /// Number of executions after which a run is given up.
    pub max_executions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 8,
            max_tasks: 100,
            finish_within: None,
            answer_within: None,
            max_executions: 3,
        }
    }
}
