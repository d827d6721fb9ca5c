//! What the load of a table does to its target.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

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
    /// What the table holds once the load is visible, for a run that reads only what changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<Watermark>,
}

impl TableWrite {
    /// A write of whole rows.
    pub fn of(disposition: WriteDisposition) -> Self {
        Self { disposition, key: Vec::new(), order_by: None, watermark: None }
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
