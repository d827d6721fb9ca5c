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
    /// How often each table was tried since a unit of it was finished.
    pub(crate) refusals: BTreeMap<u32, u32>,
    /// The tables that cost the connection.
    pub(crate) costly: CostlyTables,
    /// When a table was left for later for the first time.
    pub(crate) refused_since: Option<Instant>,
    /// Why the last of the tables that cannot be read was given up.
    pub(crate) failed: Option<Error>,
}

/// The tables whose reading cost the connection, and the snapshot with it.
#[derive(Default)]
pub(crate) struct CostlyTables {
    /// The last of them, and what was read and why it failed.
    last: Option<(u32, String)>,
    /// How often the connection was lost for tables that are given up.
    begun: u32,
}

impl CostlyTables {
    /// A table that may do so again.
    pub(crate) fn add(&mut self, table: u32, error: &Error) {
        self.last = Some((table, error.chain()));
    }

    /// The table is not read any more, after so many tries.
    pub(crate) fn give_up(&mut self, tries: u32) {
        self.last = None;
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
