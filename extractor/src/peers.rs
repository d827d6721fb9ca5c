//! What the run's other tasks have done, as far as its documents say.
//!
//! A run may have hundreds of tasks, and each of them checks again and again. So they read
//! documents by name: that nothing is left, that a newer generation was founded, that the run has a
//! verdict. Listing a bucket costs ten times as much, and the receipts of a large run fill many
//! pages; tasks list only what no single document says.

use std::collections::HashSet;
use std::time::Duration;

use chrono::Utc;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use sluice_contracts::Result;
use sluice_contracts::documents::{Extracted, Failure, Manifest, PermanentFailures, Unit, UnitRef};
use sluice_contracts::store::RunStore;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::check_requests::CheckRequests;
use crate::launch::{Share, chance};
use crate::snapshot::JoinedSnapshot;

/// How often a task that has nothing left to read checks whether other tasks have: the first
/// duration, and the second for each task of the execution.
const WAIT_STEP: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(10)];
/// How often it counts receipts: the task that did the last unit may have died before it reported
/// that.
const STOCK_STEP: [Duration; 2] = [Duration::from_secs(10), Duration::from_millis(250)];
/// How often each task checks whether the run was called off.
const WATCH_STEP: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(10)];
/// One in this many of those checks also lists what tasks have given up.
const CHECKS_PER_LISTING: u32 = 4;
/// How long a task that has nothing left to read holds the snapshot for the others while none of
/// them proves a unit.
const WAIT_FOR: Duration = Duration::from_mins(15);
/// Tasks that are looked up before receipts are counted: one that still reads is enough to know
/// that the run is not over.
const ASKED: usize = 16;
/// Documents that are read at once.
const AT_ONCE: usize = 32;

/// The run's tasks, this one among them.
pub(crate) struct Peers<'a> {
    pub(crate) store: &'a RunStore,
    pub(crate) manifest: &'a Manifest,
    pub(crate) share: &'a Share,
    pub(crate) checks: &'a CheckRequests,
    /// Name of this execution: what an earlier one gave up may be fixed since.
    pub(crate) execution: &'a str,
    /// This task's place in the execution.
    pub(crate) task: u32,
    /// What this execution cannot read, as of the last check.
    pub(crate) unreadable: watch::Sender<Unreadable>,
}

/// What this execution cannot read.
#[derive(Debug, Default)]
pub(crate) struct Unreadable {
    /// Tables that this task itself failed to read.
    own: HashSet<u32>,
    /// What the failures of all tasks say.
    failures: PermanentFailures,
    /// The failures that were read.
    known: HashSet<Path>,
}

/// The state of a run.
enum Remaining {
    /// Nothing is left to be read.
    Over,
    /// It cannot go on.
    CalledOff,
    /// Something is left. Holds the number of receipts, if they were counted.
    Open(Option<usize>),
}

/// What an attempt of a task finds before it begins.
pub(crate) enum TaskStart {
    /// There is nothing to do any more.
    Over,
    /// An earlier attempt of this task met an error that ends the run.
    Failed(Failure),
    /// There may be units to read. If a generation was founded, holds it and this task's units
    /// without a receipt of it.
    Open(Option<(u32, Vec<UnitRef>)>),
}

impl Peers<'_> {
    /// Whether a newer generation was founded than that of this snapshot.
    pub(crate) async fn outdated(&self, snapshot: &JoinedSnapshot) -> Result<bool> {
        self.store.is_founded(snapshot.generation + 1).await
    }

    /// Whether a unit of the table is known to be unreadable, so that its others need not be read.
    pub(crate) fn is_unreadable(&self, table: u32) -> bool {
        let unreadable = self.unreadable.borrow();
        unreadable.own.contains(&table) || unreadable.failures.tables.contains_key(&table)
    }

    /// How many tables are known to be unreadable.
    pub(crate) fn unreadable(&self) -> usize {
        let unreadable = self.unreadable.borrow();
        let others = unreadable.failures.tables.keys();
        others.filter(|table| !unreadable.own.contains(table)).count() + unreadable.own.len()
    }

    /// Remembers that this task cannot read a table.
    pub(crate) fn mark_unreadable(&self, table: u32) {
        self.unreadable.send_modify(|unreadable| unreadable.own.extend([table]));
    }

    /// The state of the run for a task that is about to join it. A task whose own units are done is
    /// still needed while others are not: all of them may have to begin again.
    pub(crate) async fn task_start(&self, attempt: u32) -> Result<TaskStart> {
        self.read_failures().await?;
        {
            let unreadable = self.unreadable.borrow();
            let own = |failure: &&Failure| failure.task == self.task && attempt > 0;
            if let Some(failure) = unreadable.failures.run.iter().find(own) {
                return Ok(TaskStart::Failed(failure.clone()));
            }
            if !unreadable.failures.run.is_empty() {
                return Ok(TaskStart::Over);
            }
        }
        if self.store.verdict().await?.is_some() {
            return Ok(TaskStart::Over);
        }
        let Some(generation) = self.store.generation().await? else {
            return Ok(TaskStart::Open(None));
        };
        let missing = self.missing(generation).await?;
        let readable = missing.iter().any(|unit| !self.is_unreadable(unit.table));
        // An earlier execution's report does not count: what that one gave up may be readable now.
        if !readable && matches!(self.take_stock(generation, true).await?, Remaining::Over) {
            self.say_extracted(generation).await?;
            return Ok(TaskStart::Over);
        }
        Ok(TaskStart::Open(Some((generation, missing))))
    }

    /// This task's units without a receipt of `generation`, in the order they are read.
    pub(crate) async fn missing(&self, generation: u32) -> Result<Vec<UnitRef>> {
        stream::iter(self.share.units.iter().map(Unit::place))
            .map(|unit| async move {
                let receipt = self.store.receipt(generation, unit).await?;
                Ok(receipt.is_none().then_some(unit))
            })
            .buffered(AT_ONCE)
            .try_filter_map(|missing| async move { Ok(missing) })
            .try_collect()
            .await
    }

    /// Holds the snapshot until every unit that can still be read has a receipt, so that a task
    /// that starts again finds a holder to join. Returns whether a newer generation was founded.
    pub(crate) async fn wait(&self, snapshot: &mut JoinedSnapshot) -> Result<bool> {
        let mut seen = 0;
        let mut since = Instant::now();
        // The task that proves the last unit of all checks at once, so that the others need not
        // wait.
        let mut has_proved = !snapshot.receipts.keeps_any();
        let mut count_at = self.next_count();
        loop {
            if snapshot.receipts.keeps_any() {
                snapshot.receipts.release().await?;
                has_proved = !snapshot.receipts.keeps_any();
            }
            if has_proved || Instant::now() >= count_at {
                match self.take_stock(snapshot.generation, has_proved).await? {
                    Remaining::Over => {
                        snapshot.receipts.finish().await?;
                        self.say_extracted(snapshot.generation).await?;
                        return Ok(false);
                    }
                    Remaining::CalledOff => return Ok(false),
                    Remaining::Open(Some(receipts)) if receipts > seen => {
                        seen = receipts;
                        since = Instant::now();
                    }
                    Remaining::Open(_) => {}
                }
                (has_proved, count_at) = (false, self.next_count());
            }
            if !self.manifest.snapshot.is_lost_with_readers() {
                return Ok(false);
            }
            if since.elapsed() >= WAIT_FOR {
                if !snapshot.receipts.keeps_any() {
                    return Ok(false);
                }
                snapshot.receipts.finish().await?;
                has_proved = true;
                continue;
            }
            tokio::time::sleep(self.pause(WAIT_STEP)).await;
            if self.store.is_extracted(snapshot.generation).await? {
                return Ok(false);
            }
            if self.outdated(snapshot).await? {
                return Ok(true);
            }
        }
    }

    /// Returns when the run has a verdict, or a task met an error that ends the run. Until then it
    /// keeps up with what tasks give up.
    pub(crate) async fn called_off(&self) {
        for check in 1_u32.. {
            tokio::time::sleep(self.pause(WATCH_STEP)).await;
            let listed = check.is_multiple_of(CHECKS_PER_LISTING);
            let called_off = async {
                if listed {
                    self.read_failures().await?;
                }
                let failed = !self.unreadable.borrow().failures.run.is_empty();
                Ok(failed || self.store.verdict().await?.is_some())
            };
            match called_off.await {
                Ok(true) => return,
                Ok(false) => {}
                Err(error) => {
                    let error: sluice_contracts::Error = error;
                    tracing::debug!(
                        error = error.chain(),
                        "could not check whether the run goes on"
                    );
                }
            }
        }
    }

    /// Whether anything is left to be read. With `ask_first`, other tasks are looked up before
    /// receipts are counted.
    async fn take_stock(&self, generation: u32, ask_first: bool) -> Result<Remaining> {
        self.read_failures().await?;
        if !self.unreadable.borrow().failures.run.is_empty() {
            return Ok(Remaining::CalledOff);
        }
        if ask_first && self.somebody_reads(generation).await? {
            return Ok(Remaining::Open(None));
        }
        let receipts = self.store.receipted(self.manifest, generation).await?;
        let open = |unit: UnitRef| !receipts.contains(&unit) && !self.is_unreadable(unit.table);
        Ok(if self.manifest.units().any(open) {
            Remaining::Open(Some(receipts.len()))
        } else {
            Remaining::Over
        })
    }

    /// Whether any of the next few tasks after this one has not done its last unit.
    async fn somebody_reads(&self, generation: u32) -> Result<bool> {
        let peers = &self.share.peers;
        let own = peers.partition_point(|(peer, _)| *peer <= self.task);
        let last_units = peers.iter().cycle().skip(own).take(peers.len().min(ASKED));
        let last_units = last_units.filter(|(peer, _)| *peer != self.task).map(|(_, unit)| *unit);
        stream::iter(last_units.filter(|unit| !self.is_unreadable(unit.table)))
            .map(|unit| async move { Ok(self.store.receipt(generation, unit).await?.is_none()) })
            .buffer_unordered(ASKED)
            .try_any(|reads| async move { reads })
            .await
    }

    /// Reports that nothing of a generation is left to read. Several tasks may do so at once.
    async fn say_extracted(&self, generation: u32) -> Result<()> {
        let extracted =
            Extracted { version: Extracted::VERSION, snapshot: generation, at: Utc::now() };
        self.store.create_extracted(&extracted).await?;
        self.checks.extracted(self.share.launch, generation).await;
        Ok(())
    }

    /// Reads the failures that tasks of this execution have recorded since the last call.
    async fn read_failures(&self) -> Result<()> {
        let mut known = self.unreadable.borrow().known.clone();
        let failures = self.store.failures_beyond(&mut known).await?;
        self.unreadable.send_modify(|unreadable| {
            unreadable.known.extend(known);
            unreadable.failures.add(self.manifest, self.execution, failures);
        });
        Ok(())
    }

    /// When receipts are to be counted next: not by all tasks at once.
    fn next_count(&self) -> Instant {
        Instant::now() + self.pause(STOCK_STEP).mul_f64(0.5 + chance())
    }

    fn pause(&self, [alone, each]: [Duration; 2]) -> Duration {
        self.share.pause(alone, each)
    }
}
