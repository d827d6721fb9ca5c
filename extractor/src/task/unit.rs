//! One unit of a task: checked, read, written and proved.

use std::time::Instant;

use chrono::Utc;
use sluice_contracts::documents::{Receipt, Stages, Table, Unit, UnitRef};
use sluice_contracts::{Error, Result};

use super::Worker;
use crate::parts::Parts;
use crate::progress::Progress;
use crate::snapshot::JoinedSnapshot;

impl Worker<'_> {
    /// Checks that a unit's table is still as it was planned.
    pub(super) async fn check(&self, snapshot: &mut JoinedSnapshot, unit: UnitRef) -> Result<()> {
        let (table, _) = self.planned(unit)?;
        let checked = snapshot.reader.check(table).await;
        checked.map_err(|error| error.during(place(table, unit)))
    }

    fn planned(&self, place: UnitRef) -> Result<(&Table, &Unit)> {
        let table = self.manifest.tables.get(place.table as usize);
        table.zip(self.peers.share.unit(place)).ok_or_else(|| {
            Error::data(format!("find unit {} of table {}", place.unit, place.table))
                .hint("the manifest was changed; start the run again")
        })
    }

    /// Reads one unit that was checked, and proves it.
    pub(super) async fn read(
        &self,
        snapshot: &mut JoinedSnapshot,
        unit: UnitRef,
        progress: &mut Progress,
    ) -> Result<(), UnitError> {
        let of_source = |error| UnitError { error, of_source: true };
        let (table, found) = self.planned(unit).map_err(of_source)?;
        let (mut rows, mut bytes) = (0, 0);
        // Whether what is done now is to write and not to read.
        let mut writes = false;
        let result = async {
            let started = Instant::now();
            let mut stages = Stages::default();
            let mut parts = Parts::new(
                self.store,
                snapshot.generation,
                unit,
                &self.failures.writer_id,
                table,
                &self.encodings,
            );
            let mut bad_rows = Vec::new();
            let mut batches = snapshot.reader.read(table, found).await?;
            loop {
                let asked = Instant::now();
                let batch = batches.next().await?;
                stages.decode += asked.elapsed().as_secs_f64();
                let Some(batch) = batch else { break };
                let (more, total) = (batch.num_rows() as u64, batches.bytes());
                if more > 0 {
                    writes = true;
                    parts.write(batch).await?;
                    writes = false;
                }
                bad_rows.extend(batches.take_bad_rows());
                progress.read(more, total - bytes);
                rows += more;
                bytes = total;
            }
            bad_rows.extend(batches.take_bad_rows());
            bytes = batches.bytes();
            stages.read = batches.waited().as_secs_f64();
            stages.decode = (stages.decode - stages.read).max(0.0);
            let invalid = table
                .columns
                .iter()
                .zip(batches.invalid())
                .filter(|(_, count)| **count > 0)
                .map(|(column, count)| (column.name.clone(), *count))
                .collect();
            drop(batches);
            snapshot.reader.confirm().await?;
            writes = true;
            let parts = parts.finish(&mut stages).await?;
            let bad_rows = self
                .store
                .write_bad_rows(snapshot.generation, unit, &self.failures.writer_id, &bad_rows)
                .await?;
            let receipt = Receipt {
                version: Receipt::VERSION,
                table: unit.table,
                unit: unit.unit,
                snapshot: snapshot.generation,
                task: self.config.cloud_run_task_index,
                attempt: self.config.cloud_run_task_attempt,
                execution: self.config.cloud_run_execution.clone(),
                rows,
                bytes,
                invalid,
                bad_rows,
                parts,
                seconds: started.elapsed().as_secs_f64(),
                stages: if self.manifest.stages { stages } else { Stages::default() },
                finished: Utc::now(),
            };
            let seconds = receipt.seconds;
            snapshot.receipts.prove(receipt).await?;
            tracing::info!(
                table = table.name,
                unit = unit.unit,
                kind = found.cut.kind(),
                rows,
                bytes,
                seconds,
                "extracted rows from work unit"
            );
            Ok(())
        }
        .await;
        match result {
            Ok(()) => progress.unit_done(),
            Err(_) => progress.take_back(),
        }
        result.map_err(|error: Error| UnitError {
            error: error.during(place(table, unit)),
            of_source: !writes,
        })
    }
}

/// Why a unit was not read.
pub(super) struct UnitError {
    pub(super) error: Error,
    /// Whether the source is the reason, and not the bucket.
    pub(super) of_source: bool,
}

fn place(table: &Table, unit: UnitRef) -> String {
    format!("unit {} of {} of table `{}`", unit.unit, table.units, table.name)
}
