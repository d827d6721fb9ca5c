//! The partitions of a table, as statements name them.

use super::schema::{find, subfields, text};
use serde_json::Value;

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
