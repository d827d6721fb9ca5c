//! What units and tasks cost in time and money.

use sluice_contracts::documents::{Leaf, Unit};

/// Rows that one task of one vCPU reads, encodes and writes in a second, where rows are short.
const ROWS_PER_SECOND: f64 = 400_000.0;
/// Source bytes that such a task handles in a second, where rows are long.
const BYTES_PER_SECOND: f64 = 60e6;
/// Seconds that a unit costs besides its rows: a query, a file, a receipt.
const UNIT_SECONDS: f64 = 0.1;
/// Seconds that each partition of a unit costs besides its rows: a look whether it was replaced, and
/// a share of a query.
const LEAF_SECONDS: f64 = 0.002;
/// US dollars for a second of a task with 1 vCPU and 2 GiB in a tier 1 region.
/// <https://cloud.google.com/run/pricing>
const DOLLARS_PER_SECOND: f64 = 0.000_018 + 2.0 * 0.000_002;
/// Cloud Run bills a task for at least a minute.
const LEAST_BILLED_SECONDS: f64 = 60.0;
/// A task should work for some minutes: shorter ones pay for time they do not use.
pub(crate) const GOOD_TASK_SECONDS: f64 = 180.0;

/// Seconds that a unit is expected to take.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn seconds(unit: &Unit) -> f64 {
    let rows = unit.rows as f64 / ROWS_PER_SECOND;
    let bytes = unit.bytes as f64 / BYTES_PER_SECOND;
    let leaves = unit.leaf.as_ref().map_or(0, Leaf::count) as f64;
    UNIT_SECONDS + leaves * LEAF_SECONDS + rows.max(bytes)
}

/// US dollars for tasks that take these seconds.
pub fn dollars(task_seconds: impl IntoIterator<Item = f64>) -> f64 {
    task_seconds
        .into_iter()
        .map(|seconds| seconds.max(LEAST_BILLED_SECONDS) * DOLLARS_PER_SECOND)
        .sum()
}
