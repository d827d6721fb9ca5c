//! Receipts that wait: no unit is proved while its snapshot would end with this task.

use std::collections::BTreeSet;
use std::time::Duration;

use sluice_contracts::Result;
use sluice_contracts::documents::{Receipt, SnapshotPlan, UnitRef};
use sluice_contracts::store::{Created, RunStore};
use tokio::time::Instant;

use crate::launch::Share;

/// How long receipts wait for tasks that have not joined, once any other task has.
const PATIENCE: Duration = Duration::from_secs(3);

/// One task's receipts of one generation, on their way to the run's documents.
pub(crate) struct PendingReceipts {
    store: RunStore,
    generation: u32,
    task: u32,
    /// Tasks of the execution that have units to read.
    tasks: BTreeSet<u32>,
    /// When this task joined.
    since: Instant,
    /// Whether receipts may be created from now on.
    shared: bool,
    kept: Vec<Receipt>,
}

impl PendingReceipts {
    /// For a task that has just joined the generation's snapshot.
    pub(crate) fn new(
        store: &RunStore,
        snapshot: &SnapshotPlan,
        share: &Share,
        generation: u32,
        task: u32,
    ) -> Self {
        Self {
            store: store.clone(),
            generation,
            task,
            tasks: share.peers.iter().map(|(peer, _)| *peer).collect(),
            since: Instant::now(),
            shared: !snapshot.is_lost_with_readers(),
            kept: Vec::new(),
        }
    }

    /// Creates a unit's receipt, or keeps it until other tasks hold the snapshot too.
    pub(crate) async fn prove(&mut self, receipt: Receipt) -> Result<()> {
        self.kept.push(receipt);
        self.release().await
    }

    /// Whether the unit was read already.
    pub(crate) fn keeps(&self, unit: UnitRef) -> bool {
        self.kept.iter().any(|kept| (kept.table, kept.unit) == (unit.table, unit.unit))
    }

    /// Whether anything that was read is not proved yet.
    pub(crate) fn keeps_any(&self) -> bool {
        !self.kept.is_empty()
    }

    /// Creates the receipts that were kept, if other tasks hold the snapshot by now.
    pub(crate) async fn release(&mut self) -> Result<()> {
        if self.kept.is_empty() {
            return Ok(());
        }
        if !self.shared {
            self.shared = self.is_shared().await?;
        }
        if self.shared { self.finish().await } else { Ok(()) }
    }

    /// Creates the receipts that were kept, whether or not other tasks hold the snapshot.
    pub(crate) async fn finish(&mut self) -> Result<()> {
        while let Some(receipt) = self.kept.last() {
            if self.store.create_receipt(receipt).await? == Created::Lost {
                tracing::info!(unit = receipt.unit, "another attempt was first");
            }
            self.kept.pop();
        }
        Ok(())
    }

    /// Whether the generation is the newest, and others hold its snapshot too.
    async fn is_shared(&self) -> Result<bool> {
        if self.store.is_founded(self.generation + 1).await? {
            return Ok(false);
        }
        let joined = self.store.joined(self.generation).await?;
        let any_other = joined.iter().any(|task| *task != self.task);
        Ok(self.tasks.is_subset(&joined) || any_other && self.since.elapsed() >= PATIENCE)
    }
}
