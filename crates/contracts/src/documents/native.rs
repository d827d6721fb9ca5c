//! What a target takes from the source by itself.

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a query reads whose rows a target takes by itself, so that no task reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Native {
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
