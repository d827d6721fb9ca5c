//! Several rows with one key, of which one is kept.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::Column;

/// Of the rows of a run that have one key, the newest is kept: the one with the greatest value in the
/// order column. NULL is less than every other value, and equal to NULL in a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dedup {
    /// Columns that make the key, by their names in the target.
    pub keys: Vec<String>,
    /// Column that says which row is the newest, by its name in the target.
    pub order: String,
}

impl Dedup {
    /// The same, with the names as the columns spell them. BigQuery ignores their case.
    #[must_use]
    pub fn spelled_as(&self, columns: &[Column]) -> Self {
        let spelled = |name: &String| {
            let column = columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
            column.map_or(name, |column| &column.name).clone()
        };
        Self { keys: self.keys.iter().map(spelled).collect(), order: spelled(&self.order) }
    }
}

/// What became of a run's rows that share their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dropped {
    /// Rows that were read and left out, because another row of their key is kept.
    pub rows: u64,
    /// Keys of which several rows have the greatest value in the order column, so that this column
    /// does not say which of them is the newest. One of them is kept.
    pub ties: u64,
}
