//! What BigQuery is asked to do with the parts of a table.

use serde_json::{Value, json};
use sluice_contracts::Result;
use sluice_contracts::documents::Column;

use super::address::TableId;
use super::existing::{ExistingTable, new_schema};
use super::parts;
use crate::target::Load;

/// What becomes of the rows, and the columns, that the table has.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/Job#JobConfigurationLoad>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// The rows are replaced, and all else is kept: columns, descriptions, policies, partitioning.
    ReplaceRows,
    /// Rows and columns are replaced; the partitioning is kept.
    Replace,
    /// They stay.
    Append,
    /// There must be none.
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

/// The kind of the job that makes the table `into` of the load's parts, and its configuration.
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
        // Never what a file says of itself: of many files only one would be asked.
        "schema": schema,
        "createDisposition": "CREATE_IF_NEEDED",
        "writeDisposition": write.disposition(),
        "decimalTargetTypes": ["NUMERIC", "BIGNUMERIC"],
        // Without it every array of an explicit schema is loaded empty, and nothing fails.
        "parquetOptions": {"enableListInference": true},
    });
    keep_layout(&mut configuration, existing, write);
    Ok(("load", configuration))
}

/// A load needs a file. Without one a statement does it, which reads nothing and costs nothing.
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

/// A column without a row.
fn no_value(column: &Column) -> String {
    let name = column.target_type.name();
    if column.repeated {
        format!("CAST(NULL AS ARRAY<{name}>) AS `{}`", column.name)
    } else {
        format!("CAST(NULL AS {name}) AS `{}`", column.name)
    }
}

/// A table that is replaced is made as it was: BigQuery refuses to replace one by another that is
/// partitioned otherwise.
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
