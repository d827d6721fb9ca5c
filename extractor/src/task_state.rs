//! How far a task has come, and how that ends.

use std::collections::BTreeMap;

use sluice_contracts::Error;
use sluice_contracts::documents::UnitRef;
use tokio::time::Instant;

use crate::snapshot::JoinedSnapshot;

/// How a task ended that no error stopped early.
pub(crate) enum TaskEnd {
    /// Every unit has a receipt, or is not needed any more.
    Done,
    /// Something cannot be read: some tables of many, or the run as a whole. The failure is
    /// recorded.
    Failed(Error),
}

/// How far a task has come, from one of its attempts at the source to the next.
#[derive(Default)]
pub(crate) struct TaskState {
    /// The snapshot that the last attempt left.
    pub(crate) snapshot: Option<JoinedSnapshot>,
    /// The generation whose snapshot no task held when the last attempt checked.
    pub(crate) lost: Option<u32>,
    /// A generation, and the units without a receipt of it, as of the check before joining.
    pub(crate) missing: Option<(u32, Vec<UnitRef>)>,
    /// The unit that is being read.
    pub(crate) at: Option<UnitRef>,
    /// The tables that have failed.
    pub(crate) failing: FailingTables,
    /// When a table was left for later for the first time.
    pub(crate) refused_since: Option<Instant>,
    /// Why the last of the tables that cannot be read was given up.
    pub(crate) failed: Option<Error>,
}

/// How often reading a table may cost the connection before it is read alone.
const SUSPICIOUS: u32 = 2;

/// The tables whose reading cost the connection, and the snapshot with it.
///
/// When the process of the server that reads one table dies, the server ends the connections of all
/// tasks, and none can tell whose table was the reason. So a table that has cost the connection
/// twice is read while no other such table is: the connection that is lost then is lost by it.
#[derive(Default)]
pub(crate) struct CostlyTables {
    /// The last of them, and what was read and why it failed.
    last: Option<(u32, String)>,
    /// How often each has done so since a unit of it was finished, or another was given up.
    losses: BTreeMap<u32, u32>,
    /// Tables that no task reads any more.
    unreadable: usize,
    /// How often the connection was lost for tables that are given up.
    begun: u32,
}

impl CostlyTables {
    /// A table that may do so again. Returns how often it has.
    fn add(&mut self, table: u32, error: &Error) -> u32 {
        self.last = Some((table, error.chain()));
        let losses = self.losses.entry(table).or_default();
        *losses += 1;
        *losses
    }

    /// Whether the table is to be read alone.
    pub(crate) fn suspects(&self, table: u32) -> bool {
        self.losses.get(&table).is_some_and(|losses| *losses >= SUSPICIOUS)
    }

    /// A unit of the table is finished.
    fn clear(&mut self, table: u32) {
        self.losses.remove(&table);
    }

    /// So many tables are not read any more. If they are more than before, one of them may have been
    /// the reason for the losses of all others.
    pub(crate) fn forgive(&mut self, unreadable: usize) {
        if unreadable > self.unreadable {
            let losses = std::mem::take(&mut self.losses);
            self.begun += losses.into_values().max().unwrap_or(0);
        }
        self.unreadable = unreadable;
    }

    /// The table is not read any more, after so many tries.
    pub(crate) fn give_up(&mut self, table: u32, tries: u32) {
        self.last = None;
        self.losses.remove(&table);
        self.begun += tries;
    }

    pub(crate) fn is_last(&self, table: u32) -> bool {
        self.last.as_ref().is_some_and(|(last, _)| *last == table)
    }

    /// What was read when the connection was lost, and why.
    pub(crate) fn why(&self) -> Option<&str> {
        self.last.as_ref().map(|(_, why)| why.as_str())
    }

    /// How often the run began again for tables that are given up now.
    pub(crate) fn begun(&self) -> u32 {
        self.begun
    }
}

/// The tables that have failed since a unit of them was finished.
#[derive(Default)]
pub(crate) struct FailingTables {
    /// How often the source has refused each.
    refusals: BTreeMap<u32, u32>,
    /// Those that cost the connection.
    pub(crate) costly: CostlyTables,
}

impl FailingTables {
    /// A unit of the table is finished.
    pub(crate) fn finished_unit(&mut self, table: u32) {
        self.refusals.remove(&table);
        self.costly.clear(table);
    }

    /// How often the source has refused the table since a unit of it was finished.
    pub(crate) fn refusals_of(&self, table: u32) -> u32 {
        self.refusals.get(&table).copied().unwrap_or(1)
    }

    /// Counts a failure of a table. `works` says whether the connection survived it. Returns how
    /// often it has failed so since a unit of it was finished.
    pub(crate) fn count_failure(&mut self, table: u32, works: bool, error: &Error) -> u32 {
        if !works {
            return self.costly.add(table, error);
        }
        let refusals = self.refusals.entry(table).or_default();
        *refusals += 1;
        *refusals
    }
}

impl TaskState {
    /// How a task ends that has nothing left to read.
    pub(crate) fn end(&mut self) -> TaskEnd {
        self.failed.take().map_or(TaskEnd::Done, TaskEnd::Failed)
    }
}

/// Why a snapshot was left.
pub(crate) enum LeftSnapshot {
    /// Nothing is left to do.
    Ended(TaskEnd),
    /// Tables are left for later.
    Refused,
    /// A newer generation was founded meanwhile, or no task holds the snapshot any more.
    Outdated,
}
