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
/// A task should work for some minutes: shorter ones pay for time they do not use.
pub(crate) const GOOD_TASK_SECONDS: f64 = 180.0;

/// Seconds that a unit is expected to take.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn seconds(unit: &Unit) -> f64 {
    let leaves = unit.leaf.as_ref().map_or(0, Leaf::count) as f64;
    UNIT_SECONDS + leaves * LEAF_SECONDS + seconds_of_rows(unit.rows, unit.bytes)
}

/// Seconds that a task is expected to need for rows that have so many bytes in the source.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(crate) fn seconds_of_rows(rows: u64, bytes: u64) -> f64 {
    (rows as f64 / ROWS_PER_SECOND).max(bytes as f64 / BYTES_PER_SECOND)
}
