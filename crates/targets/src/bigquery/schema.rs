//! Comparing a table's columns with a job's.

use serde_json::Value;
use sluice_contracts::documents::Column;

/// How the columns of a job compare with those that a table has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum SchemaMatch {
    /// They are the same.
    Same,
    /// The job has more: these, by their place in the job.
    Wider(Vec<usize>),
    /// They contradict each other. The first difference.
    Different(String),
}

/// Compares a table's fields with a job's columns: by name and, like BigQuery, ignoring case.
/// <https://cloud.google.com/bigquery/docs/schemas#column_names>
pub(super) fn compare(fields: &[Value], columns: &[Column]) -> SchemaMatch {
    let mut missing = Vec::new();
    for (at, column) in columns.iter().enumerate() {
        match find(fields, &column.name) {
            None => missing.push(at),
            Some(field) if same(field, column) => {}
            Some(field) => {
                return SchemaMatch::Different(format!(
                    "it has {} where the job has {}",
                    described(field),
                    job_column(column)
                ));
            }
        }
    }
    let known = |field: &&Value| columns.iter().any(|column| is_named(field, &column.name));
    if let Some(unknown) = fields.iter().find(|field| !known(field)) {
        return SchemaMatch::Different(format!(
            "column {} exists in the table and not in the job",
            described(unknown)
        ));
    }
    if missing.is_empty() { SchemaMatch::Same } else { SchemaMatch::Wider(missing) }
}

/// A field by its name.
pub(super) fn find<'f>(fields: &'f [Value], name: &str) -> Option<&'f Value> {
    fields.iter().find(|field| is_named(field, name))
}

/// Whether a column's values fit into a field as it is. A REQUIRED field takes them too, as long as
/// no value is NULL.
pub(super) fn same(field: &Value, column: &Column) -> bool {
    standard_type(text(field, "type")) == column.target_type.name()
        && (text(field, "mode") == "REPEATED") == column.repeated
}

/// A job's column in words.
pub(super) fn job_column(column: &Column) -> String {
    let mode = if column.repeated { "REPEATED" } else { "NULLABLE" };
    format!("`{}` {mode} {}", column.name, column.target_type)
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is_named(field: &Value, name: &str) -> bool {
    text(field, "name").to_lowercase() == name.to_lowercase()
}

fn described(field: &Value) -> String {
    let mode = match text(field, "mode") {
        "" => "NULLABLE",
        mode => mode,
    };
    format!("`{}` {mode} {}", text(field, "name"), standard_type(text(field, "type")))
}

/// The API answers with the names of legacy SQL.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#TableFieldSchema>
fn standard_type(name: &str) -> &str {
    match name {
        "INTEGER" => "INT64",
        "FLOAT" => "FLOAT64",
        "BOOLEAN" => "BOOL",
        "RECORD" => "STRUCT",
        name => name,
    }
}
