//! A job file as its author types it.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dataflow::DataflowFile;
use super::files::{BadRowsFile, FormatFile};
use super::new_table::{EntryTargetFile, PartitionByFile};
use crate::documents::{Dedup, Engine, OnInvalid, SchemaChanges, TargetType, TaskKind};

/// One job: one source, a table or many, one target. YAML, or the same document as JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JobFile {
    /// Name of the job: letters, digits, `-` and `_`.
    pub name: String,
    /// Where to read, and what, unless `tables` names it.
    pub source: SourceFile,
    /// Tables that move together, read in one snapshot, instead of `source.table`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Vec<TablesFile>>,
    /// How the table is cut into units.
    #[serde(default, skip_serializing_if = "is_default")]
    pub partitioning: PartitioningFile,
    /// Settings of single columns, by their name in the source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, ColumnFile>,
    /// What happens to rows of files that cannot be read. One of them ends the run, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bad_rows: Option<BadRowsFile>,
    /// Reads only what no earlier run has loaded into the table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub incremental: Option<Incremental>,
    /// Keeps the newest row of each key, and leaves the others out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// Where the rows go.
    pub target: TargetFile,
    /// URL of the bucket for documents and part files: `file:///path`, or `gs://bucket/prefix`. May
    /// be left out if the target is a folder; the default is then the folder `.sluice` beside the
    /// tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bucket: Option<String>,
    /// Limits on what the run may use.
    #[serde(default, skip_serializing_if = "is_default")]
    pub limits: LimitsFile,
    /// Which tasks of the deployment carry the job out on Cloud Run.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cloud_run: TaskKind,
    /// What moves the tables.
    #[serde(default, skip_serializing_if = "is_default")]
    pub engine: EngineWish,
    /// When Dataflow is used, and by which workers.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dataflow: DataflowFile,
    /// Whether all units are read in one snapshot.
    #[serde(default, skip_serializing_if = "is_default")]
    pub consistency: Consistency,
    /// What happens where policies of the source hide rows from its user.
    #[serde(default, skip_serializing_if = "is_default")]
    pub row_security: RowSecurity,
    /// Whether no table becomes visible unless all do.
    #[serde(default, skip_serializing_if = "is_default")]
    pub all_or_nothing: bool,
    /// When the job is meant to run, as five cron fields. Sluice checks it and starts nothing by it:
    /// it is for what deploys the job, such as Terraform, which reads it with `yamldecode` and makes
    /// a job of Cloud Scheduler that calls the planner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
}

/// A table, or all tables of a pattern.
///
/// A table that several entries name takes its settings from the last entry that names it without
/// `*`, or from the last entry if none does.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TablesFile {
    /// `schema.table`, where `*` stands for any characters. Patterns match base tables only; views
    /// are named one by one.
    pub table: String,
    /// Names and patterns of tables that are left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// Columns to read, in this order. All, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select: Option<Vec<String>>,
    /// Condition in the source's language; only rows that meet it are read.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
    /// How each table is cut into units.
    #[serde(default, skip_serializing_if = "is_default")]
    pub partitioning: PartitioningFile,
    /// Settings of single columns, by their name in the source.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, ColumnFile>,
    /// Keeps the newest row of each key, and leaves the others out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// Name of the table in the target's dataset, if it differs from the source's. `{schema}` and
    /// `{table}` stand for the source's, as in `{schema}_{table}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What differs in the target from what the job's `target` says of all tables.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<EntryTargetFile>,
}

/// What is read.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SourceFile {
    /// `postgres://...`, `sqlite:///path` or `bigquery://project/dataset`, which may also name the
    /// table: `bigquery://project/dataset/table`. Or the URL of files: `gs://`, `s3://`, `az://`,
    /// `abfss://`, `https://` or `file://`, with `*`, `?`, `[...]`, `{...}` and `**` for any of several
    /// names. `${NAME}` stands for an environment variable, here and in the parts below. A variable in place of a user, a password, a database, a path or a
    /// parameter is percent-encoded; one that the URL begins with is taken as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// More URLs of files, of the same store as `url`: they are one table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub urls: Option<Vec<String>>,
    /// How the files are written. What is left out is told from their names and a look at them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatFile>,
    /// Columns that the paths of the files hold, as Hive writes them: `[dt]` for files in folders such as
    /// `dt=2026-11-01/`. They stand behind the columns of the files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_columns: Option<Vec<String>>,
    /// Host of a PostgreSQL server, or the folder of its socket, instead of `url`. Write it and
    /// the other parts as they are, without percent-encoding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Port, if it is not 5432.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<u16>,
    /// User.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Password, as `${NAME}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// How to log in without a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// Database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub database: Option<String>,
    /// Parameters of the connection, such as `sslmode: verify-full`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub options: BTreeMap<String, String>,
    /// Table or view, with its schema where the source has schemas. In BigQuery, `*` at the end stands
    /// for all tables whose names begin with what is before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// A query instead of a table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Columns to read, in this order. All, if absent. For CSV files without a header, the names of all
    /// columns, in the order of the fields.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub columns: Option<Vec<String>>,
    /// Condition in the source's language; only rows that meet it are read.
    #[serde(default, rename = "where", skip_serializing_if = "Option::is_none")]
    pub filter: Option<String>,
}

/// A way to log in to a PostgreSQL server without a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Login {
    /// Logs in to Cloud SQL as the Google Cloud account that the program runs as. Leave `user` out,
    /// unless you run it yourself: planner and tasks have different accounts.
    GoogleIam,
}

impl Login {
    /// Its name in a job file, and in the parameter `login` of a URL.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::GoogleIam => "google_iam",
        }
    }
}

/// How the table is cut into units.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitioningFile {
    /// A strategy's name, or `auto`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Column to cut by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// Rows to aim at for each unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub target_rows: Option<u64>,
}

/// Settings of one column.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnFile {
    /// Type in the target, if it differs from the type table's.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub target_type: Option<TargetType>,
    /// Name in the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What happens to a value that the target type cannot hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_invalid: Option<OnInvalid>,
    /// Description in a table that the load makes. The column's comment in the source, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Where the table goes.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TargetFile {
    /// URL of the table: `file:///warehouse/dataset/table`, or `bigquery://project/dataset/table`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// URL of the dataset that `tables` become tables of: `file:///warehouse/dataset`, or
    /// `bigquery://project/dataset`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dataset: Option<String>,
    /// What happens to the rows that the target already has.
    #[serde(default)]
    pub write_disposition: WriteDisposition,
    /// Columns that identify a row for `merge`, by their names in the target. The source's primary
    /// key, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Vec<String>>,
    /// Column that says for `merge` which of several rows with one key is the newest, by its name
    /// in the target: its greatest value wins, in the run and against the target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// What happens where the columns of the target differ from those of the run: the table is
    /// refused, columns that it lacks are added, or all are replaced.
    #[serde(default, skip_serializing_if = "is_default")]
    pub schema_changes: SchemaChanges,
    /// How a table that the load makes is partitioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<PartitionByFile>,
    /// What a table that the load makes is clustered by: up to 4 columns, by their names in the
    /// target.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster_by: Option<Vec<String>>,
    /// Labels of a table that the load makes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<BTreeMap<String, String>>,
    /// Description of a table that the load makes. The table's comment in the source, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// Whether a value is the default, which a written file leaves out.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// What tells what no earlier run has loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Incremental {
    /// The paths and versions of the files.
    Files,
}

/// Whether all units of a run are read in one snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Consistency {
    /// Every unit is read in one snapshot; receipts of two snapshots never commit together.
    #[default]
    Snapshot,
    /// Every unit is read in a transaction of its own: a row that moves between two units while
    /// they are read is loaded twice or not at all.
    None,
}

/// What moves the tables of a job.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EngineWish {
    /// The planner chooses for each table, and the plan says why.
    #[default]
    Auto,
    /// The target itself, by a copy, a query or a load of the files: nothing is extracted. Refused where
    /// it cannot.
    Native,
    /// Tasks, which read the rows and write part files.
    CloudRun,
    /// The same as `cloud_run`.
    Extract,
    /// Tasks, which read the rows, and a job of Dataflow, which brings them into the target.
    Dataflow,
}

impl EngineWish {
    /// The engine that the job wants; `None` for any.
    pub(super) fn engine(self) -> Option<Engine> {
        match self {
            Self::Auto => None,
            Self::Native => Some(Engine::Native),
            Self::CloudRun | Self::Extract => Some(Engine::CloudRun),
            Self::Dataflow => Some(Engine::Dataflow),
        }
    }
}

/// What happens where policies of the source hide rows from its user.
///
/// <https://www.postgresql.org/docs/current/ddl-rowsecurity.html>
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RowSecurity {
    /// The table is refused.
    #[default]
    Refuse,
    /// The rows that the policies show are moved, and the plan warns.
    Filter,
}

impl RowSecurity {
    /// Whether it is the default, which documents leave out.
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
    pub(crate) fn is_default(&self) -> bool {
        is_default(self)
    }
}

/// What happens to the rows that the target already has. The first three are BigQuery's own terms.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum WriteDisposition {
    /// They are replaced.
    #[default]
    Truncate,
    /// They stay, and the new ones are added.
    Append,
    /// The target must have no rows.
    Empty,
    /// Those with the key of a new row are replaced by it; the others stay, and new rows with
    /// other keys are added.
    Merge,
    /// Those in the partitions of the new rows are replaced; the others stay.
    ReplacePartitions,
}

impl WriteDisposition {
    /// The name in a job file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncate => "truncate",
            Self::Append => "append",
            Self::Empty => "empty",
            Self::Merge => "merge",
            Self::ReplacePartitions => "replace_partitions",
        }
    }
}

/// Limits on what a run may use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LimitsFile {
    /// Connections to the source at once; each task has one. 8, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub max_connections: Option<u32>,
    /// Tasks at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub max_tasks: Option<u32>,
    /// Wanted duration, such as `10m`: more tasks are used if fewer would take longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finish_within: Option<String>,
    /// How long the source may compute without sending a row, such as `2h`, before the table is
    /// given up: a view that sorts much, or lies on another server, sends none for a while. `30m`,
    /// if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_within: Option<String>,
    /// Executions of a run on Cloud Run after which it is given up; each reads only what is
    /// missing. 3, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10))]
    pub max_executions: Option<u32>,
}
