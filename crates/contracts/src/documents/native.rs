//! What a target takes from the source by itself.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::unit::ObjectVersion;

/// Where the rows lie that a target takes by itself, so that no task reads them.
///
/// A query has no tag, because plans of earlier builds know nothing else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Native {
    /// In tables that a query reads.
    Query(NativeQuery),
    /// In files that a load job reads.
    Files(NativeFiles),
}

impl Native {
    /// What the query reads; `None` for files.
    pub fn query(&self) -> Option<&NativeQuery> {
        match self {
            Self::Query(query) => Some(query),
            Self::Files(_) => None,
        }
    }

    /// The files; `None` for a query.
    pub fn files(&self) -> Option<&NativeFiles> {
        match self {
            Self::Query(_) => None,
            Self::Files(files) => Some(files),
        }
    }
}

/// What a query reads whose rows a target takes by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeQuery {
    /// The moment that it reads; absent where it reads the moment at which it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DateTime<Utc>>,
    /// Where what it reads lies, as the system names its locations.
    pub location: String,
    /// The tables, if the query says no more than all rows and all columns of them, unchanged:
    /// then a copy of them does the same. As `project.dataset.table`, with the same columns each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copied: Vec<String>,
    /// The rows that a copy has, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes that the query reads, as far as that is known before.
    pub bytes: u64,
    /// Bytes that it would read without the job's filter, where partitions or clusters may spare
    /// some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unfiltered: Option<u64>,
}

/// Files that a target loads by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeFiles {
    /// URL of the bucket that has them: `gs://lake`.
    pub bucket: String,
    /// How they are written.
    pub format: NativeFormat,
    /// The files, as they were when the run was planned: a loader refuses any other version.
    pub files: Vec<ObjectVersion>,
    /// The rows of all of them, where the files say how many they have: the target must count as many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
}

impl NativeFiles {
    /// Bytes of all files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

/// How files are written that a target loads by itself, with what it has to know of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum NativeFormat {
    /// CSV, whose fields fill the columns in the order of the plan.
    Csv(NativeCsv),
    /// An object of JSON a line, plain or compressed by gzip.
    JsonLines {
        /// Whether each character is one byte, of ISO 8859-1; UTF-8 otherwise.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        latin1: bool,
        /// Whether keys that are no column are left out; refused otherwise.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        ignore_unknown: bool,
    },
    /// Parquet.
    Parquet,
    /// Avro.
    Avro,
}

/// How files of CSV are written, plain or compressed by gzip.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NativeCsv {
    /// Lines before the first record, with the header.
    pub skip_lines: u64,
    /// What is between two fields.
    pub delimiter: char,
    /// What fields may be in; absent where nothing quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<char>,
    /// What a field says for NULL.
    pub null: String,
    /// Whether each character is one byte, of ISO 8859-1; UTF-8 otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub latin1: bool,
    /// Whether fields that are missing at the end of a record are NULL; refused otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_missing: bool,
    /// Whether fields behind the last column are left out; refused otherwise.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub ignore_unknown: bool,
}

/// The rows that a target takes by itself, with the query where one gives them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NativeRows {
    /// Those of a query.
    Query {
        /// The query, in the target's language. Its columns have their names in the target.
        statement: String,
        /// What it reads.
        query: NativeQuery,
    },
    /// Those of files.
    Files(NativeFiles),
}

impl NativeRows {
    /// The statement and the rest, as a plan has them.
    pub fn into_plan(self) -> (Option<String>, Native) {
        match self {
            Self::Query { statement, query } => (Some(statement), Native::Query(query)),
            Self::Files(files) => (None, Native::Files(files)),
        }
    }

    /// The files; `None` for a query.
    pub fn files(&self) -> Option<&NativeFiles> {
        match self {
            Self::Query { .. } => None,
            Self::Files(files) => Some(files),
        }
    }
}
