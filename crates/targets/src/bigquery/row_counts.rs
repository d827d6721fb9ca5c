//! How many rows a job makes visible, and how many were left out, in its labels: BigQuery counts neither
//! the rows of a copy nor those of each table of a transaction.

use sluice_contracts::documents::Dropped;
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;

use super::load::TableLoad;
use crate::target::{Load, Loaded};
use sluice_runtime::google::bigquery::JobLabels;

/// The label, or what the labels begin with if the job changes several tables.
const ROWS: &str = "sluice_rows";
/// What the label begins with that says what was left out of a table.
const DROPPED: &str = "sluice_dropped_";

/// Labels with the rows that the receipts count.
pub(super) fn labels(loads: &[Load]) -> JobLabels {
    let dropped = loads.iter().filter_map(|load| {
        let Dropped { rows, ties } = load.dropped?;
        Some((format!("{DROPPED}{}", load.table), format!("{rows}-{ties}")))
    });
    if let [load] = loads {
        return dropped.chain([(ROWS.to_owned(), load.rows.to_string())]).collect();
    }
    // A label takes 63 characters, and a job 64 labels.
    let labelled = |(at, two): (usize, &[Load])| {
        let counts: Vec<String> =
            two.iter().map(|load| format!("{}-{}", load.table, load.rows)).collect();
        (format!("{ROWS}_{at}"), counts.join("_"))
    };
    dropped.chain(loads.chunks(2).enumerate().map(labelled)).collect()
}

/// How many labels a job has that makes tables visible of which `deduplicated` keep one row of each
/// key, besides those that every job has.
pub(super) fn label_count(tables: usize, deduplicated: usize) -> usize {
    tables.div_ceil(2) + deduplicated
}

/// What was left out of a table, as the labels of a job say; `None` if they say nothing of it.
pub(super) fn dropped_of(labels: &JobLabels, table: u32) -> Option<Dropped> {
    let (rows, ties) = labels.get(&format!("{DROPPED}{table}"))?.split_once('-')?;
    Some(Dropped { rows: rows.parse().ok()?, ties: ties.parse().ok()? })
}

/// The rows of a table that the labels of a job count; `None` if no label counts them, or it holds no
/// number. The caller refuses a job without a count.
pub(super) fn of(labels: &JobLabels, table: u32) -> Option<u64> {
    if let Some(rows) = labels.get(ROWS) {
        return rows.parse().ok();
    }
    let counts = labels.iter().filter(|(key, _)| key.starts_with(ROWS));
    let mut counts = counts.flat_map(|(_, counts)| counts.split('_'));
    counts.find_map(|count| count.strip_prefix(&format!("{table}-"))?.parse().ok())
}

impl TableLoad {
    /// Compares BigQuery's count of the rows with the receipts'. Rows of another generation are
    /// compared by the loader that loaded them.
    pub(super) fn require_rows(
        &self,
        loaded: Loaded,
        rows: u64,
        hint: &'static str,
    ) -> Result<Loaded> {
        if loaded.snapshot == self.load.snapshot && loaded.rows != rows {
            return Err(Error::bug(format!(
                "check run `{}`: loaded {} rows, receipts say {}",
                self.load.run,
                thousands(loaded.rows),
                thousands(rows)
            ))
            .hint(hint));
        }
        Ok(loaded)
    }
}
