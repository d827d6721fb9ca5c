//! The outcomes of a run's tables.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::dedup::Dropped;
use super::error_report::ErrorReport;
use super::run_id::RunId;

/// The outcome of each table of a run that was loaded. Nothing changes after it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Committed {
    /// Version of this document, [`Committed::VERSION`].
    pub version: u32,
    /// Every table of the manifest, in its order, then those that the plan refused.
    pub tables: Vec<TableOutcome>,
    /// Time of the decision, by the loader's clock.
    pub at: DateTime<Utc>,
}

impl Committed {
    /// The version this build writes.
    pub const VERSION: u32 = 1;

    /// Whether every table is visible, or was overtaken.
    pub fn is_whole(&self) -> bool {
        self.tables.iter().all(|table| table.failure.is_none())
    }
}

/// The outcome of one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TableOutcome {
    /// The table.
    pub table: String,
    /// URL of the target table.
    pub target: String,
    /// Rows made visible.
    pub rows: u64,
    /// The rows that are left out, if the job asks for one row of each key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    /// The later run whose rows the target keeps: this run was overtaken, and changed nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overtaken_by: Option<RunId>,
    /// Values of these rows that are NULL because the target's type cannot hold them, by target
    /// column.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub invalid: BTreeMap<String, u64>,
    /// Rows of files that were set aside because they cannot be read.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bad_rows: u64,
    /// Why it is not visible; absent if it is visible, or overtaken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<ErrorReport>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
