//! What a load does until its rows are visible, and what that costs, for the reader of a plan.

use sluice_contracts::documents::{Table, TargetType};
use sluice_contracts::job::WriteDisposition;
use sluice_runtime::format::thousands;

use super::existing::{ExistingTable, Wanted};
use super::merge;
use super::partitions::Partitions;
use super::path::{self, LoadPath, Shape};

/// Price of what a statement reads.
/// <https://cloud.google.com/bigquery/pricing#on_demand_pricing>
const DOLLARS_PER_TIB: f64 = 6.25;
/// A statement is billed for 10 MiB at least.
const LEAST_MEBIBYTES: u64 = 10;

/// The way of a planned table, with its price. `together` says whether other tables become visible
/// only with this one.
pub(super) fn way(table: &Table, existing: Option<&ExistingTable>, together: bool) -> String {
    let shape = Shape::planned(table, together);
    let path = LoadPath::of(&shape, existing.is_some());
    let staging = match path::planned_stages(&shape) {
        1 => "a load job into a staging table".to_owned(),
        stages => format!("{} load jobs into staging tables", thousands(stages)),
    };
    match path {
        LoadPath::Direct => "a load job, free of charge".to_owned(),
        LoadPath::Copy => format!("{staging}, and a copy, free of charge"),
        LoadPath::Statement => {
            let (statement, bytes) = statement(table, existing);
            format!("{staging}, and {statement} {}", price(bytes))
        }
    }
}

/// The statement in words, and the bytes that it reads.
fn statement(table: &Table, existing: Option<&ExistingTable>) -> (&'static str, u64) {
    let wanted = Wanted::from(table);
    match (table.write.disposition, existing) {
        (WriteDisposition::Merge, Some(existing)) if merge::is_pruned(&wanted, existing) => {
            ("a MERGE that reads the partitions of the new rows, and besides them", table.bytes)
        }
        (WriteDisposition::Merge, Some(existing)) => (
            "a MERGE that reads the whole table, too:",
            table.bytes.saturating_add(existing.bytes()),
        ),
        (WriteDisposition::Merge, None) => {
            ("a statement that takes one row of each key:", table.bytes)
        }
        (WriteDisposition::ReplacePartitions, Some(existing)) => (
            "a transaction that replaces the partitions of the new rows:",
            match existing.partitions() {
                Some(Partitions::Range { .. }) => table.bytes.saturating_add(existing.bytes()),
                _ => table.bytes,
            },
        ),
        _ if table.columns.iter().any(|column| column.target_type == TargetType::Json) => {
            ("a statement that parses the documents:", table.bytes)
        }
        _ => ("a statement that reads the values from their texts:", table.bytes),
    }
}

/// What a statement costs that reads so many bytes.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn price(bytes: u64) -> String {
    let mebibytes = bytes.div_ceil(1 << 20).max(LEAST_MEBIBYTES);
    let dollars = mebibytes as f64 / f64::from(1 << 20) * DOLLARS_PER_TIB;
    format!("about {} MiB (${dollars:.4} on demand)", thousands(mebibytes))
}
