//! What the run's other tasks have done, as far as its documents say.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use sluice_contracts::manifest::{Consistency, Manifest, UnitRef};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Kind, Result};

use crate::moment::Moment;

/// How often a task that has nothing left to read looks whether the others have.
const WAIT_STEP: Duration = Duration::from_millis(300);
/// How long such a task holds the snapshot for the others while none of them proves a unit.
const WAIT_FOR: Duration = Duration::from_mins(15);

/// The run's tasks, this one among them.
pub(crate) struct Others<'a> {
    pub(crate) store: &'a RunStore,
    pub(crate) manifest: &'a Manifest,
    /// Name of this execution: what an earlier one gave up may be mended since.
    pub(crate) execution: &'a str,
}

/// What an execution has given up.
#[derive(Default)]
struct GivenUp {
    /// Tables of which a unit cannot be read.
    tables: HashSet<u32>,
    /// Whether the run cannot go on at all.
    all: bool,
}

impl Others<'_> {
    /// Whether an error of one table ends the whole run.
    pub(crate) fn is_strict(&self) -> bool {
        self.manifest.all_or_nothing || self.manifest.tables.len() == 1
    }

    /// Whether a newer moment was founded than this one.
    pub(crate) async fn outdated(&self, moment: &Moment) -> Result<bool> {
        Ok(self.store.generation().await?.is_some_and(|newest| newest > moment.generation))
    }

    /// Whether a unit of the table cannot be read, so that its others need not be.
    pub(crate) async fn has_given_up(&self, table: u32) -> Result<bool> {
        Ok(self.given_up().await?.tables.contains(&table))
    }

    /// Whether nothing of the run is left to be read. A task whose own units are done is needed
    /// all the same where others are not: they may have to begin again, and it with them.
    pub(crate) async fn is_over(&self) -> Result<bool> {
        match self.store.generation().await? {
            Some(generation) => Ok(self.open_units(generation).await?.0 == 0),
            None => Ok(false),
        }
    }

    /// Holds the snapshot until every unit that can still be read has a receipt, so that a task
    /// that starts again finds somebody to join. Says whether a newer moment was founded.
    pub(crate) async fn wait(&self, moment: &mut Moment) -> Result<bool> {
        if self.manifest.consistency == Consistency::None {
            return Ok(false);
        }
        let mut seen = 0;
        let mut since = Instant::now();
        loop {
            moment.proofs.release().await?;
            let (open, receipts) = self.open_units(moment.generation).await?;
            if open == 0 || since.elapsed() >= WAIT_FOR {
                moment.proofs.finish().await?;
                return Ok(false);
            }
            if self.outdated(moment).await? {
                return Ok(true);
            }
            if receipts > seen {
                seen = receipts;
                since = Instant::now();
            }
            tokio::time::sleep(WAIT_STEP).await;
        }
    }

    /// Units of the run without a receipt that are not given up, and the number of receipts.
    async fn open_units(&self, generation: u32) -> Result<(usize, usize)> {
        let given_up = self.given_up().await?;
        let receipts = self.store.receipted(self.manifest, generation).await?;
        let open = |unit: &UnitRef| {
            !given_up.all && !given_up.tables.contains(&unit.table) && !receipts.contains(unit)
        };
        Ok((self.manifest.units().filter(open).count(), receipts.len()))
    }

    /// What tasks of this execution gave up for reasons that starting them again will not mend.
    async fn given_up(&self) -> Result<GivenUp> {
        let mut given_up = GivenUp::default();
        for failure in self.store.failures().await? {
            if failure.kind == Kind::Transient || failure.execution != self.execution {
                continue;
            }
            match failure.unit {
                Some((table, _)) if !self.is_strict() => {
                    given_up.tables.insert(table);
                }
                _ => given_up.all = true,
            }
        }
        Ok(given_up)
    }
}
