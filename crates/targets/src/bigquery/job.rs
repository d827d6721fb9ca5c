//! What BigQuery is asked to do with the parts of a table.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};
use sluice_contracts::documents::{Column, Part};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};

use super::existing::{ExistingTable, new_schema};
use super::path::{LoadPath, is_wide, staged_columns};
use super::statement::Changes;
use super::{failure, layout, merge, native, parts, statement};
use crate::target::Load;
use sluice_runtime::google::bigquery::TableId;

/// What happens to the rows and the columns that the table already has.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// The rows are replaced, and everything else is kept: columns, descriptions, policies,
    /// partitioning.
    ReplaceRows,
    /// Rows and columns are replaced; the partitioning is kept.
    Replace,
    /// The rows are kept.
    Append,
    /// The table must have no rows.
    Empty,
}

impl Write {
    pub(super) fn disposition(self) -> &'static str {
        match self {
            Self::ReplaceRows => "WRITE_TRUNCATE_DATA",
            Self::Replace => "WRITE_TRUNCATE",
            Self::Append => "WRITE_APPEND",
            Self::Empty => "WRITE_EMPTY",
        }
    }
}

/// The kind and the configuration of the job that loads all parts into the table itself.
pub(super) fn direct(
    load: &Load,
    into: &TableId,
    existing: Option<&ExistingTable>,
    write: Write,
) -> Result<(&'static str, Value)> {
    if native::is_empty(load) {
        return Ok(("query", no_rows(load, into, existing, write)));
    }
    let schema = match existing {
        Some(existing) => existing.schema(&load.columns),
        None => new_schema(&load.columns),
    };
    let mut configuration = loading(of_parts(load, &load.parts)?, into, &schema, write);
    keep_layout(&mut configuration, existing, write);
    if existing.is_none() {
        lay_out(&mut configuration, load);
        let properties = layout::properties_of_new(&load.new_table);
        if !properties.is_empty() {
            configuration["destinationTableProperties"] = properties.into();
        }
    }
    Ok(("load", configuration))
}

/// The configuration of the load job that fills a staging table from what it `reads`. A failed attempt
/// leaves nothing, and if it did, this would replace it.
pub(super) fn fill(
    load: &Load,
    reads: Map<String, Value>,
    into: &TableId,
    path: LoadPath,
    existing: Option<&ExistingTable>,
) -> Value {
    let write = Write::ReplaceRows;
    let schema = filled_schema(load, path, existing);
    let mut configuration = loading(reads, into, &schema, write);
    match existing {
        Some(existing) if path == LoadPath::Copy => {
            keep_layout(&mut configuration, Some(existing), write);
        }
        _ => {
            if path == LoadPath::Copy {
                lay_out(&mut configuration, load);
            }
            keep_encryption(&mut configuration, existing);
        }
    }
    configuration
}

/// The schema of what fills a staging table from files.
pub(super) fn filled_schema(
    load: &Load,
    path: LoadPath,
    existing: Option<&ExistingTable>,
) -> Value {
    match existing {
        Some(existing) if path == LoadPath::Copy => existing.schema(&load.columns),
        _ if load.native.is_some() => new_schema(&load.columns),
        _ => new_schema(&staged_columns(&load.columns)),
    }
}

/// What a load job says of parts.
pub(super) fn of_parts(load: &Load, parts: &[Part]) -> Result<Map<String, Value>> {
    Ok(Map::from_iter([
        ("sourceUris".to_owned(), parts::uris(load, parts)?.into()),
        ("sourceFormat".to_owned(), "PARQUET".into()),
        ("decimalTargetTypes".to_owned(), json!(["NUMERIC", "BIGNUMERIC"])),
        ("parquetOptions".to_owned(), list_inference()),
    ]))
}

/// Without it every array of an explicit schema is loaded empty from Parquet, and nothing fails.
pub(super) fn list_inference() -> Value {
    json!({"enableListInference": true})
}

/// The configuration of a load job.
fn loading(reads: Map<String, Value>, into: &TableId, schema: &Value, write: Write) -> Value {
    let mut configuration = json!({
        "destinationTable": into.reference(),
        // Never detected from the files: of many files BigQuery would read only one.
        "schema": schema,
        "createDisposition": "CREATE_IF_NEEDED",
        "writeDisposition": write.disposition(),
    });
    for (key, value) in reads {
        configuration[key.as_str()] = value;
    }
    configuration
}

/// The configuration of the job that copies the staging tables to the table, as one step.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationTableCopy>
pub(super) fn copy(
    load: &Load,
    into: &TableId,
    existing: Option<&ExistingTable>,
    staging: &[TableId],
) -> Value {
    let write = match load.disposition {
        WriteDisposition::Truncate => Write::Replace,
        WriteDisposition::Append => Write::Append,
        // Rows that are merged, and partitions that are replaced, are copied to new tables alone.
        WriteDisposition::Empty | WriteDisposition::Merge | WriteDisposition::ReplacePartitions => {
            Write::Empty
        }
    };
    let mut configuration = json!({
        "sourceTables": staging.iter().map(TableId::reference).collect::<Vec<_>>(),
        "destinationTable": into.reference(),
        "createDisposition": "CREATE_IF_NEEDED",
        "writeDisposition": write.disposition(),
    });
    keep_encryption(&mut configuration, existing);
    if let Some(expiration) = existing.and_then(ExistingTable::expires) {
        configuration["destinationExpirationTime"] = as_copies_have_it(expiration).into();
    }
    configuration
}

/// The configuration of the job that writes the rows of the staging tables by a statement.
///
/// # Errors
/// `Data` if the rows belong to more partitions than one job changes, and several cannot do it; a bug,
/// if the table is one that such a statement was refused for.
pub(super) fn statement(
    load: &Load,
    into: &TableId,
    existing: Option<&ExistingTable>,
    write: Write,
    staging: &[TableId],
) -> Result<Value> {
    if let Some(refused) = existing.and_then(|table| table.refused_order_of_fields(&load.columns)) {
        return Err(refused);
    }
    if let Some(existing) = existing
        && write != Write::Replace
    {
        return Ok(script(&changes(load, into, existing, write, staging)?));
    }
    if existing.is_some() && is_wide(load) {
        let what = "the columns of the table are replaced, and its rows belong to more than 4,000 \
                    partitions, which no single statement of BigQuery writes";
        return Err(Error::data(what)
            .hint("delete the table: the run makes it anew, and writes up to 10,000 partitions"));
    }
    let rows = match load.disposition {
        WriteDisposition::Merge => merge::newest(load, into, staging),
        _ => statement::select(load, staging),
    };
    let mut configuration = json!({
        "query": rows,
        "useLegacySql": false,
        "destinationTable": into.reference(),
        "createDisposition": "CREATE_IF_NEEDED",
        "writeDisposition": write.disposition(),
    });
    keep_layout(&mut configuration, existing, write);
    if existing.is_none() {
        lay_out(&mut configuration, load);
    }
    Ok(configuration)
}

/// What a statement does to a table that exists with the columns of the load.
///
/// # Errors
/// `Data` if the rows belong to more partitions than one job changes, and several cannot do it; a bug,
/// if the table is one that such a statement was refused for.
pub(super) fn changes(
    load: &Load,
    into: &TableId,
    existing: &ExistingTable,
    write: Write,
    staging: &[TableId],
) -> Result<Changes> {
    match load.disposition {
        WriteDisposition::Merge | WriteDisposition::ReplacePartitions if is_wide(load) => {
            Err(failure::too_many_partitions(load))
        }
        WriteDisposition::Merge => Ok(merge::merge(load, into, existing, staging)),
        WriteDisposition::ReplacePartitions => {
            merge::replace_partitions(load, into, existing, staging)
        }
        _ => Ok(statement::write(load, into, existing, write, staging)),
    }
}

/// The configuration of the job that carries changes out, as one step.
pub(super) fn script(changes: &Changes) -> Value {
    json!({"query": changes.script(), "useLegacySql": false})
}

/// A load job needs a file. Without one a statement does the same, which reads nothing and costs
/// nothing.
fn no_rows(load: &Load, into: &TableId, existing: Option<&ExistingTable>, write: Write) -> Value {
    if write == Write::ReplaceRows {
        return json!({
            "query": format!("TRUNCATE TABLE {}", into.quoted()),
            "useLegacySql": false,
        });
    }
    let columns: Vec<String> = load.columns.iter().map(no_value).collect();
    let mut configuration = json!({
        "query": format!("SELECT {} LIMIT 0", columns.join(", ")),
        "useLegacySql": false,
        "destinationTable": into.reference(),
        "createDisposition": "CREATE_IF_NEEDED",
        "writeDisposition": write.disposition(),
    });
    keep_layout(&mut configuration, existing, write);
    configuration
}

/// An expression with the name and the type of a column.
fn no_value(column: &Column) -> String {
    let name = column.target_type.name();
    if column.repeated {
        format!("CAST(NULL AS ARRAY<{name}>) AS `{}`", column.name)
    } else {
        format!("CAST(NULL AS {name}) AS `{}`", column.name)
    }
}

/// Partitions and clusters a table that a job makes as the run says.
fn lay_out(configuration: &mut Value, load: &Load) {
    for (key, value) in layout::of_new(&load.new_table, &load.columns) {
        configuration[key.as_str()] = value;
    }
}

/// A table that is replaced keeps its layout: BigQuery refuses to replace a table by one with other
/// partitioning.
fn keep_layout(configuration: &mut Value, existing: Option<&ExistingTable>, write: Write) {
    let Some(existing) = existing.filter(|_| matches!(write, Write::ReplaceRows | Write::Replace))
    else {
        return;
    };
    for (key, value) in existing.layout() {
        configuration[key.as_str()] = value;
    }
    keep_encryption(configuration, Some(existing));
}

/// A time as a copy's configuration has it: a table has milliseconds in its place.
pub(super) fn as_copies_have_it(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Millis, true)
}

pub(super) fn keep_encryption(configuration: &mut Value, existing: Option<&ExistingTable>) {
    if let Some(key) = existing.and_then(ExistingTable::encryption) {
        configuration["destinationEncryptionConfiguration"] = key.clone();
    }
}
