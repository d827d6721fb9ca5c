//! How many rows a job makes visible, in its labels: BigQuery counts neither those of a copy nor those
//! of each table of a transaction.

use crate::target::Load;
use sluice_runtime::google::bigquery::JobLabels;

/// The label, or what the labels begin with if the job changes several tables.
const ROWS: &str = "sluice_rows";

/// Labels with the rows that the receipts count.
pub(super) fn labels(loads: &[Load]) -> JobLabels {
    if let [load] = loads {
        return JobLabels::from([(ROWS.to_owned(), load.rows.to_string())]);
    }
    // A label takes 63 characters, and a job 64 labels.
    let labelled = |(at, two): (usize, &[Load])| {
        let counts: Vec<String> =
            two.iter().map(|load| format!("{}-{}", load.table, load.rows)).collect();
        (format!("{ROWS}_{at}"), counts.join("_"))
    };
    loads.chunks(2).enumerate().map(labelled).collect()
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
