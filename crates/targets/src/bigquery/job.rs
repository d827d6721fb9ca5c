//! What BigQuery is asked to do with the parts of a table.

use serde_json::{Value, json};
use sluice_contracts::Result;
use sluice_contracts::documents::Column;

use super::address::TableId;
use super::existing::{ExistingTable, new_schema};
use super::layout;
use super::parts;
use crate::target::Load;

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

/// The kind and the configuration of the job that makes the table `into` from the load's parts.
pub(super) fn configuration(
    load: &Load,
    into: &TableId,
    existing: Option<&ExistingTable>,
    write: Write,
) -> Result<(&'static str, Value)> {
    if load.parts.is_empty() {
        return Ok(("query", no_rows(load, into, existing, write)));
    }
    let schema = match existing {
        Some(existing) => existing.schema(&load.columns),
        None => new_schema(&load.columns),
    };
    let mut configuration = json!({
        "sourceUris": parts::uris(load)?,
        "sourceFormat": "PARQUET",
        "destinationTable": into.reference(),
        // Never detected from the files: of many files BigQuery would read only one.
        "schema": schema,
        "createDisposition": "CREATE_IF_NEEDED",
        "writeDisposition": write.disposition(),
        "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC"],
        // Without it every array of an explicit schema is loaded empty, and nothing fails.
        "parquetOptions": {"enableListInference": true},
    });
    keep_layout(&mut configuration, existing, write);
    if existing.is_none() {
        of_new_table(&mut configuration, load, write);
    }
    Ok(("load", configuration))
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

/// A table that the job makes is made as the run says. A staging table is there already: it has the
/// same partitioning, and a job that names another description than it has would fail.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#DestinationTableProperties>
fn of_new_table(configuration: &mut Value, load: &Load, write: Write) {
    for (key, value) in layout::of_new(load) {
        configuration[key.as_str()] = value;
    }
    let properties = layout::properties_of_new(&load.new_table);
    if write != Write::ReplaceRows && !properties.is_empty() {
        configuration["destinationTableProperties"] = properties.into();
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
    if let Some(key) = existing.encryption() {
        configuration["destinationEncryptionConfiguration"] = key.clone();
    }
}
