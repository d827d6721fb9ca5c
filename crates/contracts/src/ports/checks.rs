//! Checks: asking the loader to look at a run, now or later.

use std::time::Duration;

use async_trait::async_trait;

use crate::documents::RunId;
use crate::error::Result;

/// One look at a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The run.
    pub run: RunId,
    /// Tells this look from the run's others: of two asked for under one name one may be dropped.
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// How long from now.
    pub after: Duration,
}

/// A queue of calls to come.
///
/// At least once, in any order, seldom much later than asked for; a call that fails is repeated
/// with a growing pause. It survives the death of whoever asked.
#[async_trait]
pub trait Checks: std::fmt::Debug + Send + Sync {
    /// Asks for a look at a run. `Ok` where one of that name was asked for before. Retries what is
    /// transient.
    async fn ask(&self, check: &Check) -> Result<()>;

    /// Asks the planner to plan a run that was reserved. As [`Checks::ask`].
    async fn ask_for_plan(&self, run: RunId) -> Result<()>;
}
