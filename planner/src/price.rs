//! What units and tasks cost in time and money.

use sluice_contracts::documents::{Leaf, TaskKind, Unit};

/// Rows that one task of one vCPU reads, encodes and writes in a second, where rows are short.
const ROWS_PER_SECOND: f64 = 400_000.0;
/// Source bytes that such a task handles in a second, where rows are long.
const BYTES_PER_SECOND: f64 = 60e6;
/// Seconds that a unit costs besides its rows: a query, a file, a receipt.
const UNIT_SECONDS: f64 = 0.1;
/// Seconds that each partition of a unit costs besides its rows: a look whether it was replaced, and
/// a share of a query.
const LEAF_SECONDS: f64 = 0.002;
/// US dollars for a second of a vCPU, and of a GiB of memory, of a task in a tier 1 region.
/// <https://cloud.google.com/run/pricing>
const DOLLARS_PER_CPU_SECOND: f64 = 0.000_018;
const DOLLARS_PER_GIB_SECOND: f64 = 0.000_002;
/// What a second of a delayed task costs, as a part of that.
const DELAYED: f64 = 0.7;
/// vCPUs and GiB of a task where the platform does not say them.
const USUAL_SIZE: (f64, f64) = (1.0, 2.0);
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

/// US dollars for a second of a task of a kind, whose vCPUs and GiB are `size`.
pub(crate) fn dollars_per_second(kind: &TaskKind, size: Option<(f64, f64)>) -> f64 {
    let (cpus, gib) = size.unwrap_or(USUAL_SIZE);
    let dollars = cpus * DOLLARS_PER_CPU_SECOND + gib * DOLLARS_PER_GIB_SECOND;
    if kind.delay_execution { dollars * DELAYED } else { dollars }
}
