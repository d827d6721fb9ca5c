//! The SQL of queries that do what reading a table would do.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sluice_contracts::documents::{Column, TargetType};
use sluice_runtime::google::bigquery::TableId;

use super::columns::{is_named, name_of};
use super::reading::is_text_alone;
use super::tables::sql_type;
use super::type_table::Row;

/// A name in backticks. Names of columns hold none.
pub(super) fn quoted(name: &str) -> String {
    format!("`{name}`")
}

/// What is read by a name, at a moment if BigQuery keeps what it was.
pub(super) fn relation(id: &TableId, at: Option<DateTime<Utc>>) -> String {
    match at {
        None => id.quoted(),
        Some(at) => {
            let at = at.timestamp_millis();
            format!("{} FOR SYSTEM_TIME AS OF TIMESTAMP_MILLIS({at})", id.quoted())
        }
    }
}

/// The rows of a relation that meet the conditions, as the job's columns.
pub(super) fn select(
    columns: &[Column],
    expression: fn(&Column) -> String,
    from: &str,
    conditions: &[String],
) -> String {
    let expressions: Vec<String> = columns.iter().map(expression).collect();
    let conditions: Vec<String> =
        conditions.iter().map(|condition| format!("({condition}\n)")).collect();
    let condition = match conditions.as_slice() {
        [] => String::new(),
        conditions => format!(" WHERE {}", conditions.join(" AND ")),
    };
    format!("SELECT {} FROM {from}{condition}", expressions.join(", "))
}

/// The columns of one table among several, as `fields` has them: those that it lacks are NULL.
pub(super) fn aligned(fields: &[Value], own: &[Value], from: &str, every: Option<&str>) -> String {
    let columns: Vec<String> = fields
        .iter()
        .map(|field| {
            let name = quoted(name_of(field));
            if own.iter().any(|own| is_named(own, name_of(field))) {
                name
            } else {
                format!("CAST(NULL AS {}) AS {name}", sql_type(field))
            }
        })
        .collect();
    let condition = every.map_or_else(String::new, |every| format!(" WHERE {every}"));
    format!("SELECT {} FROM {from}{condition}", columns.join(", "))
}

/// The value of a column under its name in the target.
pub(super) fn expression(column: &Column) -> String {
    named(column, value(column))
}

/// The same as a text, where part files have a text and BigQuery sends something else.
pub(super) fn text_expression(column: &Column) -> String {
    let name = quoted(&column.source_name);
    let as_text = |value: &str| {
        let row = Row::find(column.target_type.name());
        row.and_then(|row| row.expression(TargetType::String, value)).unwrap_or_default()
    };
    let text = match (is_text_alone(column) && !is_cast(column), column.repeated) {
        (false, _) => value(column),
        (true, false) => as_text(&name),
        (true, true) => format!(
            "ARRAY(SELECT {} FROM UNNEST({name}) AS element WITH OFFSET AS place ORDER BY place)",
            as_text("element")
        ),
    };
    named(column, text)
}

/// Whether a column becomes another type.
pub(super) fn is_cast(column: &Column) -> bool {
    !column.repeated && !column.encoding.eq_ignore_ascii_case(column.target_type.name())
}

fn value(column: &Column) -> String {
    let name = quoted(&column.source_name);
    let row = Row::find(&column.encoding.to_uppercase()).filter(|_| is_cast(column));
    row.and_then(|row| row.expression(column.target_type, &name)).unwrap_or(name)
}

fn named(column: &Column, value: String) -> String {
    let target = quoted(&column.name);
    if value == target { value } else { format!("{value} AS {target}") }
}
