//! Rows that are set aside.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A row of a file that is not loaded, as a line of a unit's document of bad rows has it. It never has a value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BadRow {
    /// Path of the file.
    pub file: String,
    /// Where in the file the row is.
    #[serde(flatten)]
    pub at: RowPlace,
    /// The column whose value is wrong, if it is a value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What is wrong with it.
    pub reason: String,
}

impl fmt::Display for BadRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`, {}: ", self.file, self.at)?;
        if let Some(column) = &self.column {
            write!(f, "column `{column}`: ")?;
        }
        f.write_str(&self.reason)
    }
}

/// A place of a row in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RowPlace {
    /// The line at which it begins, from 1.
    Line(u64),
    /// The byte at which it begins, from 0, in a file that is read in ranges.
    Byte(u64),
    /// Its number in the file, from 1.
    Row(u64),
}

impl fmt::Display for RowPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Line(line) => write!(f, "line {line}"),
            Self::Byte(byte) => write!(f, "the record at byte {byte}"),
            Self::Row(row) => write!(f, "row {row}"),
        }
    }
}
