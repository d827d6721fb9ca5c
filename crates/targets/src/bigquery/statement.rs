//! Statements that make staged rows visible.
//!
//! They name columns and never their places. A document of JSON is parsed so that no number in it is
//! rounded: one that cannot be kept ends the statement, and nothing becomes visible.
//!
//! <https://cloud.google.com/bigquery/docs/reference/standard-sql/json_functions#parse_json>

use sluice_contracts::documents::{Column, TargetType};

use super::address::TableId;
use super::job::Write;

/// The staged rows, with the types of the target.
pub(super) fn select(columns: &[Column], staging: &[TableId]) -> String {
    let expressions: Vec<String> = columns.iter().map(expression).collect();
    let expressions = expressions.join(", ");
    let selects: Vec<String> = staging
        .iter()
        .map(|table| format!("SELECT {expressions} FROM {}", table.quoted()))
        .collect();
    selects.join(" UNION ALL ")
}

/// The statement that writes the staged rows to a table that exists with these columns. To readers
/// it is one step, and it keeps everything that the table has besides its rows.
///
/// <https://cloud.google.com/bigquery/docs/transactions>
pub(super) fn write(
    into: &TableId,
    columns: &[Column],
    staging: &[TableId],
    write: Write,
) -> String {
    let table = into.quoted();
    let insert = insert(into, columns, staging);
    let before = match write {
        Write::Append => return insert,
        Write::ReplaceRows | Write::Replace => format!("TRUNCATE TABLE {table}"),
        Write::Empty => {
            format!("ASSERT NOT EXISTS (SELECT 1 FROM {table}) AS 'the table has rows'")
        }
    };
    format!("BEGIN TRANSACTION; {before}; {insert}; COMMIT TRANSACTION;")
}

/// The statement that adds the staged rows to a table.
pub(super) fn insert(into: &TableId, columns: &[Column], staging: &[TableId]) -> String {
    let names: Vec<String> = columns.iter().map(|column| format!("`{}`", column.name)).collect();
    let rows = select(columns, staging);
    format!("INSERT INTO {} ({}) {rows}", into.quoted(), names.join(", "))
}

/// The value of a column, from its staged form.
fn expression(column: &Column) -> String {
    let name = format!("`{}`", column.name);
    let text = if column.repeated { "element" } else { &name };
    match converted(column.target_type, text) {
        Some(value) if column.repeated => format!(
            "ARRAY(SELECT {value} FROM UNNEST({name}) AS element WITH OFFSET AS place \
             ORDER BY place) AS {name}"
        ),
        Some(value) => format!("{value} AS {name}"),
        None => name,
    }
}

/// The value that a staged text stands for; `None` for types that are not staged as text.
///
/// BigQuery reads durations of ISO 8601 with a sign before each number: `IntervalValue::Parse` in
/// <https://github.com/google/googlesql/blob/master/googlesql/public/interval_value.cc>.
fn converted(kind: TargetType, text: &str) -> Option<String> {
    match kind {
        TargetType::Json => Some(format!("PARSE_JSON({text}, wide_number_mode => 'exact')")),
        TargetType::Interval
        | TargetType::RangeDate
        | TargetType::RangeDatetime
        | TargetType::RangeTimestamp => Some(format!("CAST({text} AS {kind})")),
        _ => None,
    }
}
