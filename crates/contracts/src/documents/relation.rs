//! What a table of a run is at its source.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::job::{BAD_ROWS, UNKNOWN_FORMAT};

/// What is read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Relation {
    /// A table or view.
    Table {
        /// Catalog, where a name has three parts: BigQuery's project.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        catalog: Option<String>,
        /// Schema, where the source has schemas.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<String>,
        /// Name, unquoted.
        name: String,
    },
    /// The rows of a query, in the source's language.
    Query(String),
    /// The records of files. Which files a run reads is in its units.
    Files {
        /// URLs and patterns of URLs, in the job's order.
        urls: Vec<String>,
        /// Name of the format.
        format: String,
        /// What the format leaves open, such as a delimiter.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        options: BTreeMap<String, String>,
    },
}

impl Relation {
    /// A table of this schema, or of the source's only one.
    pub fn table(schema: Option<&str>, name: &str) -> Self {
        Self::Table { catalog: None, schema: schema.map(str::to_owned), name: name.to_owned() }
    }
}

impl Relation {
    /// How many rows may be set aside because they cannot be read.
    pub fn allowed_bad_rows(&self) -> u64 {
        match self {
            Self::Files { options, .. } => {
                options.get(BAD_ROWS).and_then(|rows| rows.parse().ok()).unwrap_or_default()
            }
            _ => 0,
        }
    }

    /// Whether a plan that reads this was made of a job that asks for `asked`. What the job leaves open of the
    /// format of files, the plan fills in.
    pub fn is_planned_of(&self, asked: &Self) -> bool {
        match (self, asked) {
            (
                Self::Files { urls, format, options },
                Self::Files { urls: of, format: name, options: named },
            ) => {
                let has = |(option, value)| options.get(option) == Some(value);
                urls == of && (format == name || name == UNKNOWN_FORMAT) && named.iter().all(has)
            }
            _ => self == asked,
        }
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table { catalog, schema, name } => {
                for part in [catalog, schema].into_iter().flatten() {
                    write!(f, "{part}.")?;
                }
                f.write_str(name)
            }
            Self::Query(_) => f.write_str("query"),
            Self::Files { urls, .. } => {
                let shown: Vec<&str> = urls.iter().map(|url| without_parameters(url)).collect();
                f.write_str(&shown.join(", "))
            }
        }
    }
}

/// The URL of a web server's file without its parameters, which may be a signature. Elsewhere `?` stands for
/// a character of a name.
fn without_parameters(url: &str) -> &str {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    match url.split_once('?') {
        Some((file, _)) if is_web => file,
        _ => url,
    }
}
