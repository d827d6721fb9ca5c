//! What a job says of Dataflow.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::documents::DataflowWorkers;

/// When Dataflow is used, and by which workers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DataflowFile {
    /// How many workers there are, and how large they are. By the rows of the table, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<DataflowSize>,
    /// Takes workers of Flexible Resource Scheduling: they cost 40 % less, and start within 6 hours.
    #[serde(default, skip_serializing_if = "super::file::is_default")]
    pub flexrs: bool,
    /// Rows above which a table with `dedup` goes to Dataflow under `engine: auto`. The
    /// deployment's own number, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_rows: Option<u64>,
    /// Bytes above which it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above_bytes: Option<u64>,
}

/// Workers of a named size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DataflowSize {
    /// 2 to 10 of `n1-standard-2`: up to 10 million rows.
    Small,
    /// 5 to 20 of `n1-standard-4`: up to 50 million rows.
    Medium,
    /// 10 to 30 of `n1-standard-4`: up to 100 million rows.
    Large,
    /// 15 to 50 of `n1-standard-4`: more rows.
    Huge,
}

impl DataflowSize {
    /// The size for so many rows.
    pub fn for_rows(rows: u64) -> Self {
        match rows {
            0..=10_000_000 => Self::Small,
            10_000_001..=50_000_000 => Self::Medium,
            50_000_001..=100_000_000 => Self::Large,
            _ => Self::Huge,
        }
    }

    /// The workers of this size.
    pub fn workers(self, flexrs: bool) -> DataflowWorkers {
        let (machine_type, workers, max_workers) = match self {
            Self::Small => ("n1-standard-2", 2, 10),
            Self::Medium => ("n1-standard-4", 5, 20),
            Self::Large => ("n1-standard-4", 10, 30),
            Self::Huge => ("n1-standard-4", 15, 50),
        };
        DataflowWorkers { machine_type: machine_type.to_owned(), workers, max_workers, flexrs }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_rows_have_more_workers() {
        for (rows, most) in [
            (0, 10),
            (10_000_000, 10),
            (10_000_001, 20),
            (50_000_001, 30),
            (100_000_001, 50),
            (u64::MAX, 50),
        ] {
            let workers = DataflowSize::for_rows(rows).workers(true);
            assert_eq!((workers.max_workers, workers.flexrs), (most, true), "{rows}");
        }
    }
}
