//! What the load of a table does to its target.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dedup::Dedup;
use super::file_load::NewFiles;
use crate::job::WriteDisposition;

/// What the load of a table does to its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableWrite {
    /// What happens to the rows that the target already has.
    pub disposition: WriteDisposition,
    /// Target columns that identify a row, for dispositions that replace single rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// Target column that decides which of several rows with one key is the newest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_by: Option<String>,
    /// Which rows of the run are left out before the others are written; none, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedup: Option<Dedup>,
    /// What the table holds once the load is visible, for a run that reads only what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
    /// The files of the run, where none is loaded twice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_files: Option<NewFiles>,
    /// What happens where the target's columns are not those of the run.
    #[serde(
        default = "SchemaChanges::of_older_plans",
        skip_serializing_if = "SchemaChanges::is_of_older_plans"
    )]
    pub schema_changes: SchemaChanges,
    /// What the table is made with if the load makes it.
    #[serde(default, skip_serializing_if = "NewTable::is_default")]
    pub new_table: NewTable,
}

impl TableWrite {
    /// A write of whole rows into a table with the same columns, or into a new one.
    pub fn of(disposition: WriteDisposition) -> Self {
        Self {
            disposition,
            key: Vec::new(),
            order_by: None,
            dedup: None,
            watermark: None,
            new_files: None,
            schema_changes: SchemaChanges::default(),
            new_table: NewTable::default(),
        }
    }
}

/// What happens where the columns of an existing target are not those of the run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SchemaChanges {
    /// The table is refused.
    #[default]
    Refuse,
    /// Columns that the target lacks are added to it, NULLABLE; any other difference is refused.
    Add,
    /// `truncate` replaces the columns with the rows. What is partitioned or clustered by stays.
    Replace,
}

impl SchemaChanges {
    /// Plans that do not say it were made when every load did this.
    fn of_older_plans() -> Self {
        Self::Replace
    }

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
    fn is_of_older_plans(&self) -> bool {
        *self == Self::of_older_plans()
    }

    /// The name in a job file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Add => "add",
            Self::Replace => "replace",
        }
    }
}

/// What a table is made with. A table that exists keeps what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTable {
    /// How its rows are partitioned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partition_by: Option<PartitionBy>,
    /// Target columns that its rows are clustered by, the most significant first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cluster_by: Vec<String>,
    /// Its labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Its description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

impl NewTable {
    /// Whether nothing is asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How wide the partitions of a table are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PartitionWidth {
    /// Target column that decides in which partition a row lies.
    pub column: String,
    /// What part files count in the column that a partition holds: days of a DATE, microseconds of a
    /// DATETIME or TIMESTAMP, or whole numbers.
    pub width: u64,
}

/// How the rows of a table are partitioned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum PartitionBy {
    /// By time.
    Time {
        /// Target column; by the time of loading, if absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        column: Option<String>,
        /// How long a partition is.
        granularity: Granularity,
        /// Seconds after which the rows of a partition are deleted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        expiration: Option<u64>,
        /// Whether a query has to say which partitions it reads.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        require_filter: bool,
    },
    /// By ranges of whole numbers.
    Range {
        /// Target column.
        column: String,
        /// Where the first range begins.
        start: i64,
        /// Where the last range ends; it is not part of it.
        end: i64,
        /// Width of each range.
        interval: i64,
    },
}

impl PartitionBy {
    /// The target column, if there is one.
    pub fn column(&self) -> Option<&str> {
        match self {
            Self::Time { column, .. } => column.as_deref(),
            Self::Range { column, .. } => Some(column),
        }
    }
}

/// How long a partition of time is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Granularity {
    /// An hour.
    Hour,
    /// A day.
    #[default]
    Day,
    /// A month.
    Month,
    /// A year.
    Year,
}

impl Granularity {
    /// The name in a job file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
            Self::Year => "year",
        }
    }
}

/// The rows that a run adds, in the order of a cursor column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Watermark {
    /// Cursor column, by its name in the source.
    pub column: String,
    /// What was loaded before, in the source's own form; absent for the first run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// What is loaded after this run.
    pub to: String,
}
