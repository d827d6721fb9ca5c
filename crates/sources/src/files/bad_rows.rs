//! Rows that are set aside, as far as the job allows it.

use std::collections::BTreeMap;

use arrow_array::{BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;
use sluice_contracts::documents::BadRow;
use sluice_contracts::{Error, Result};

/// The bad rows of a unit.
#[derive(Debug)]
pub(super) struct BadRows {
    /// How many may be set aside.
    allowed: u64,
    /// How many were.
    count: u64,
    /// Those of the batch under construction, by their place in it.
    in_batch: BTreeMap<usize, BadRow>,
    /// Those of the batches before it.
    named: Vec<BadRow>,
}

impl BadRows {
    pub(super) fn new(allowed: u64) -> Self {
        Self { allowed, count: 0, in_batch: BTreeMap::new(), named: Vec::new() }
    }

    /// Sets a row of the batch aside.
    ///
    /// # Errors
    /// `Data` with this hint, if the job allows no further row.
    pub(super) fn add(&mut self, row: usize, bad: BadRow, hint: &str) -> Result<()> {
        if self.in_batch.contains_key(&row) {
            return Ok(());
        }
        if self.count == self.allowed {
            let hint = match self.allowed {
                0 => hint.to_owned(),
                allowed => {
                    format!("`bad_rows.allow` is {allowed}, and this row is one more; {hint}")
                }
            };
            return Err(Error::data(format!("read {bad}")).hint(hint));
        }
        self.count += 1;
        self.in_batch.insert(row, bad);
        Ok(())
    }

    /// A batch without the rows that were set aside.
    pub(super) fn leave_out(&mut self, batch: RecordBatch) -> Result<RecordBatch> {
        if self.in_batch.is_empty() {
            return Ok(batch);
        }
        let bad = std::mem::take(&mut self.in_batch);
        let is_good = |row| Some(!bad.contains_key(&row));
        let good: BooleanArray = (0..batch.num_rows()).map(is_good).collect();
        self.named.extend(bad.into_values());
        filter_record_batch(&batch, &good)
            .map_err(|source| Error::bug("leave out the bad rows of a file").because(source))
    }

    /// Those that were set aside since the last call, in the order of the rows.
    pub(super) fn take(&mut self) -> Vec<BadRow> {
        std::mem::take(&mut self.named)
    }
}
