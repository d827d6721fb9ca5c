//! The SQL of queries that do what reading a table would do.

use chrono::{DateTime, Utc};
use serde_json::Value;
use sluice_contracts::documents::Column;
use sluice_runtime::google::bigquery::TableId;

use super::columns::{is_named, name_of};
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
pub(super) fn select(columns: &[Column], from: &str, conditions: &[&str]) -> String {
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
pub(super) fn aligned(fields: &[Value], own: &[Value], from: &str) -> String {
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
    format!("SELECT {} FROM {from}", columns.join(", "))
}

/// The value of a column under its name in the target.
fn expression(column: &Column) -> String {
    let (name, target) = (quoted(&column.source_name), quoted(&column.name));
    let kind = column.encoding.to_uppercase();
    let row = Row::find(&kind).filter(|_| !column.repeated);
    let value = row.and_then(|row| row.expression(column.target_type, &name));
    match value.unwrap_or_else(|| name.clone()) {
        value if value == target => value,
        value => format!("{value} AS {target}"),
    }
}
