//! What a table of a run is at its source.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Relation {
    /// A table or view.
    Table {
        /// Schema, where the source has schemas.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
        /// Name, unquoted.
        name: String,
    },
    /// The rows of a query, in the source's language.
    Query(String),
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { schema: Some(schema), name } => write!(f, "{schema}.{name}"),
            Self::Table { schema: None, name } => f.write_str(name),
            Self::Query(_) => f.write_str("query"),
        }
    }
}
