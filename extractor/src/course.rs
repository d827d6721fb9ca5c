//! How far a task has come, and how that ends.

use std::collections::BTreeMap;

use sluice_contracts::Error;
use sluice_contracts::manifest::UnitRef;

use crate::moment::Moment;

/// How a task ended that could go on to its end.
pub(crate) enum Ended {
    /// Every unit has a receipt, or is not needed any more.
    Done,
    /// Something cannot be read: some tables of many, or the run as a whole. There is word of it.
    Failed(Error),
}

/// How far a task has come, from one of its attempts at the source to the next.
#[derive(Default)]
pub(crate) struct Course {
    /// The moment that the last attempt left.
    pub(crate) moment: Option<Moment>,
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

impl Course {
    /// How a task ends that has nothing left to read.
    pub(crate) fn end(&mut self) -> Ended {
        self.failed.take().map_or(Ended::Done, Ended::Failed)
    }
}

/// Why a moment was left.
pub(crate) enum Left {
    /// Nothing is left to do.
    Ended(Ended),
    /// A newer moment was founded meanwhile, or nobody holds it any more.
    Outdated,
}
