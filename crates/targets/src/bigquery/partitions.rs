//! The partitions of a table, as statements name them.

use serde_json::Value;
use sluice_contracts::documents::{Column, NewTable, PartitionWidth};

use super::existing::new_schema;
use super::layout;
use super::schema::{find, subfields, text};

const HOUR_SECONDS: u64 = 60 * 60;
/// The least TIMESTAMP, whatever the time zone of the project.
const FIRST_TIMESTAMP: &str = "TIMESTAMP '0001-01-01 00:00:00+00'";
const DAY_SECONDS: u64 = 24 * HOUR_SECONDS;

/// What decides in which partition a row lies.
/// <https://cloud.google.com/bigquery/docs/partitioned-tables>
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Partitions {
    /// The time in a column.
    Time {
        /// The column.
        column: String,
        /// Its type: DATE, TIMESTAMP or DATETIME.
        kind: String,
        /// How long a partition is: HOUR, DAY, MONTH or YEAR.
        unit: String,
    },
    /// The range that a whole number lies in.
    Range {
        /// The column.
        column: String,
        start: String,
        end: String,
        interval: String,
    },
    /// The time of loading.
    Loading,
}

impl Partitions {
    /// Those of a table as BigQuery describes it; `None` if it is not partitioned.
    pub(super) fn of(table: &Value) -> Option<Self> {
        if let Some(time) = table.get("timePartitioning") {
            let column = text(time, "field").to_owned();
            let fields = table.get("schema").map(subfields).unwrap_or_default();
            let Some(field) = find(fields, &column) else { return Some(Self::Loading) };
            let (kind, unit) = (text(field, "type").to_owned(), text(time, "type").to_owned());
            return Some(Self::Time { column, kind, unit });
        }
        let spec = table.get("rangePartitioning")?;
        let number = |key: &str| match &spec["range"][key] {
            Value::String(number) => number.clone(),
            number => number.to_string(),
        };
        Some(Self::Range {
            column: text(spec, "field").to_owned(),
            start: number("start"),
            end: number("end"),
            interval: number("interval"),
        })
    }

    /// Those of a table that a load makes.
    pub(super) fn of_new(new: &NewTable, columns: &[Column]) -> Option<Self> {
        let mut table = layout::of_new(new, columns);
        table.insert("schema".to_owned(), new_schema(columns));
        Self::of(&table.into())
    }

    /// How wide they are, if one job may touch more of them than BigQuery allows.
    pub(super) fn width(&self) -> Option<PartitionWidth> {
        let (column, width) = match self {
            Self::Time { column, kind, unit } => {
                let width = match (kind.as_str(), unit.as_str()) {
                    ("DATE", "DAY") => 1,
                    ("DATETIME" | "TIMESTAMP", "DAY") => DAY_SECONDS * 1_000_000,
                    ("DATETIME" | "TIMESTAMP", "HOUR") => HOUR_SECONDS * 1_000_000,
                    // A table has at most 10,000 partitions; 4,000 months are 333 years.
                    _ => return None,
                };
                (column, width)
            }
            Self::Range { column, interval, .. } => (column, interval.parse().ok()?),
            Self::Loading => return None,
        };
        Some(PartitionWidth { column: column.clone(), width })
    }

    /// An expression whose value numbers the partition of a row; NULL for the rows whose column is
    /// NULL.
    pub(super) fn number(&self, column: &str) -> String {
        match self {
            Self::Time { kind, unit, .. } => match (kind.as_str(), unit.as_str()) {
                ("TIMESTAMP", "HOUR") => format!("DIV(UNIX_SECONDS({column}), {HOUR_SECONDS})"),
                ("DATETIME", "HOUR") => {
                    format!("DATETIME_DIFF({column}, DATETIME '1970-01-01', HOUR)")
                }
                ("DATE", _) => format!("UNIX_DATE({column})"),
                _ => format!("UNIX_DATE(DATE({column}))"),
            },
            Self::Range { .. } | Self::Loading => self.name(column),
        }
    }

    /// A condition that holds for every row, and is a filter by partitions to BigQuery.
    pub(super) fn all(&self) -> String {
        let (column, least) = match self {
            Self::Time { column, kind, .. } if kind == "TIMESTAMP" => {
                (format!("`{column}`"), FIRST_TIMESTAMP.to_owned())
            }
            Self::Time { column, kind, .. } => {
                (format!("`{column}`"), format!("{kind} '0001-01-01'"))
            }
            Self::Range { column, .. } => (format!("`{column}`"), i64::MIN.to_string()),
            Self::Loading => ("_PARTITIONTIME".to_owned(), FIRST_TIMESTAMP.to_owned()),
        };
        format!("{column} IS NULL OR {column} >= {least}")
    }

    /// The column that decides, if one does.
    pub(super) fn column(&self) -> Option<&str> {
        match self {
            Self::Time { column, .. } | Self::Range { column, .. } => Some(column),
            Self::Loading => None,
        }
    }

    /// The type of what names a partition.
    pub(super) fn kind(&self) -> &str {
        match self {
            Self::Time { kind, .. } => kind,
            Self::Range { .. } | Self::Loading => "INT64",
        }
    }

    /// What names the partition of a row; NULL for the rows whose column is NULL. `column` is the
    /// column as the statement spells it. For a condition on it BigQuery reads those partitions alone
    /// that the condition names, if they are of time.
    pub(super) fn name(&self, column: &str) -> String {
        match self {
            Self::Time { kind, unit, .. } if kind == "DATE" && unit == "DAY" => column.to_owned(),
            Self::Time { kind, unit, .. } => format!("{kind}_TRUNC({column}, {unit})"),
            // All numbers outside of the ranges share a partition.
            Self::Range { start, end, interval, .. } => format!(
                "CASE WHEN {column} >= {start} AND {column} < {end} \
                 THEN DIV({column} - {start}, {interval}) WHEN {column} IS NOT NULL THEN -1 END"
            ),
            Self::Loading => "_PARTITIONTIME".to_owned(),
        }
    }
}
