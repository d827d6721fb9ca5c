//! What a load does until its rows are visible, and what that costs, for the reader of a plan.

use sluice_contracts::documents::{Native, Table, TargetType};
use sluice_contracts::job::WriteDisposition;
use sluice_runtime::format::thousands;
use sluice_runtime::google::bigquery::price::{billed_mebibytes, query_dollars};

use super::dedup;
use super::existing::{ExistingTable, Wanted};
use super::merge;
use super::native::Taking;
use super::partitions::Partitions;
use super::path::{self, LoadPath, Shape};
use crate::target::Visibility;

/// The way of a planned table, with its price. `visibility` says how the tables of the run become
/// visible.
pub(super) fn way(
    table: &Table,
    existing: Option<&ExistingTable>,
    visibility: Visibility,
    taken: Option<&Taken<'_>>,
) -> String {
    let shape = Shape::planned(table, visibility);
    let path = taken.map_or_else(|| LoadPath::of(&shape, existing.is_some()), |taken| taken.path);
    let staging = match path::planned_stages(&shape) {
        _ if let Some(taken) = taken => taken.in_words(),
        _ if let Some(workers) = &table.dataflow => format!(
            "a job of Dataflow with {} to {} workers of `{}` into a staging table",
            workers.workers, workers.max_workers, workers.machine_type
        ),
        1 => "a load job into a staging table".to_owned(),
        stages => format!("{} load jobs into staging tables", thousands(stages)),
    };
    let staging = match table.write.dedup.as_ref().filter(|_| table.dataflow.is_none()) {
        None => staging,
        Some(dedup) => {
            let read = dedup::bytes_read(dedup, &table.columns, table.bytes);
            format!("{staging}, queries that keep the newest row of each key: {}", price(&[read]))
        }
    };
    match path {
        LoadPath::Direct => "a load job, free of charge".to_owned(),
        LoadPath::Copy if taken.is_some() => {
            format!("{staging}, and a copy of that, free of charge")
        }
        LoadPath::Copy => format!("{staging}, and a copy, free of charge"),
        LoadPath::Statement => {
            let (statement, read) = statement(table, existing);
            let at_once = match visibility {
                Visibility::AtOnce => ", in the transaction that changes all tables:",
                Visibility::Each | Visibility::InTurn => ":",
            };
            format!("{staging}, and {statement}{at_once} {}", price(&read))
        }
    }
}

/// How BigQuery fills a staging table by itself.
#[derive(Debug, Clone, Copy)]
pub(super) struct Taken<'a> {
    pub(super) native: &'a Native,
    pub(super) taking: Taking,
    /// How the rows become visible from there.
    pub(super) path: LoadPath,
    /// Whether the rows lie in another location than the target.
    pub(super) is_far: bool,
}

impl Taken<'_> {
    fn in_words(&self) -> String {
        let query = match self.native {
            Native::Query(query) => query,
            Native::Files(files) => {
                let files = files.files.len() as u64;
                return format!(
                    "a load job of {} file{} into a staging table",
                    thousands(files),
                    if files == 1 { "" } else { "s" }
                );
            }
        };
        match (self.taking, query.unfiltered) {
            // <https://cloud.google.com/bigquery/quotas#copy_jobs>
            (Taking::Copy, _) if self.is_far => {
                "a copy across regions into a staging table, which the network is charged for, and \
                 of which BigQuery takes 2,000 a day, 100 of one table"
                    .to_owned()
            }
            (Taking::Copy, _) => "a copy into a staging table, free of charge".to_owned(),
            (_, None) => {
                format!("a query into a staging table: {}", price(&[query.bytes]))
            }
            (_, Some(all)) if all <= query.bytes => {
                let read = price(&[query.bytes]);
                format!("a query into a staging table: {read}, of which the filter spares nothing")
            }
            (_, Some(all)) => {
                let read = price(&[query.bytes]);
                let all = thousands(billed_mebibytes(&[all]));
                format!("a query into a staging table: {read}, of {all} MiB without the filter")
            }
        }
    }
}

/// The statement in words, and the bytes that it reads of each table.
fn statement(table: &Table, existing: Option<&ExistingTable>) -> (&'static str, Vec<u64>) {
    let wanted = Wanted::from(table);
    let staged = table.bytes;
    match (table.write.disposition, existing) {
        // Of the partitions, it is only known that the new rows are in them.
        (WriteDisposition::Merge, Some(existing)) if merge::is_pruned(&wanted, existing) => (
            "a MERGE that reads the new rows, and the partitions that they belong to",
            vec![staged, 0],
        ),
        (WriteDisposition::Merge, Some(existing)) => {
            ("a MERGE that reads the new rows, and the whole table", vec![staged, existing.bytes()])
        }
        (WriteDisposition::Merge, None) => {
            ("a statement that takes one row of each key", vec![staged])
        }
        (WriteDisposition::ReplacePartitions, Some(existing)) => (
            "statements that replace the partitions of the new rows",
            match existing.partitions() {
                Some(Partitions::Range { .. }) => vec![staged, existing.bytes()],
                _ => vec![staged],
            },
        ),
        (WriteDisposition::Truncate | WriteDisposition::Append, Some(existing))
            if Shape::planned(table, Visibility::Each).mixes_columns(existing, &table.columns) =>
        {
            (
                "a statement that reads the new rows, because the table has its columns in another order",
                vec![staged],
            )
        }
        (WriteDisposition::Truncate, Some(_)) if table.native.is_some() => (
            "a statement that reads the new rows, because a copy would take row access policies away that \
             the table has or may have",
            vec![staged],
        ),
        _ if table.native.is_some() => ("a statement that reads the new rows", vec![staged]),
        _ if table.columns.iter().any(|column| column.target_type == TargetType::Json) => {
            ("a statement that parses the documents", vec![staged])
        }
        _ if table.columns.iter().any(path::is_converted) => {
            ("a statement that reads the values from their texts", vec![staged])
        }
        _ => ("a statement that reads the new rows", vec![staged]),
    }
}

/// What a statement costs that reads so many bytes of each of several tables.
fn price(read: &[u64]) -> String {
    let (mebibytes, dollars) = (thousands(billed_mebibytes(read)), query_dollars(read));
    format!("about {mebibytes} MiB (${dollars:.4} on demand)")
}
