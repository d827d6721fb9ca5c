//! How far a task has come, and how that ends.

use std::collections::BTreeMap;

use sluice_contracts::Error;
use sluice_contracts::documents::UnitRef;

use crate::snapshot::JoinedSnapshot;

/// How a task ended that could go on to its end.
pub(crate) enum TaskEnd {
    /// Every unit has a receipt, or is not needed any more.
    Done,
    /// Something cannot be read: some tables of many, or the run as a whole. There is word of it.
    Failed(Error),
}

/// How far a task has come, from one of its attempts at the source to the next.
#[derive(Default)]
pub(crate) struct TaskState {
    /// The moment that the last attempt left.
    pub(crate) snapshot: Option<JoinedSnapshot>,
    /// The generation whose snapshot nobody held when the last attempt looked.
    pub(crate) lost: Option<u32>,
    /// The units that have no receipt of a generation, as far as was looked before joining.
    pub(crate) missing: Option<(u32, Vec<UnitRef>)>,
    /// The unit that is being read.
    pub(crate) at: Option<UnitRef>,
    /// How often each table's lock was not given.
    pub(crate) refusals: BTreeMap<u32, u32>,
    /// Why the last of the tables that cannot be read was given up.
    pub(crate) failed: Option<Error>,
}

impl TaskState {
    /// How a task ends that has nothing left to read.
    pub(crate) fn end(&mut self) -> TaskEnd {
        self.failed.take().map_or(TaskEnd::Done, TaskEnd::Failed)
    }
}

/// Why a moment was left.
pub(crate) enum LeftSnapshot {
    /// Nothing is left to do.
    Ended(TaskEnd),
    /// A newer moment was founded meanwhile, or nobody holds it any more.
    Outdated,
}
