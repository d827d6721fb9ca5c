//! Checks: asking the loader to check a run, now or later.

use std::time::Duration;

use async_trait::async_trait;

use crate::documents::RunId;
use crate::error::Result;

/// One check of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// The run.
    pub run: RunId,
    /// Identifies this check among the run's: of two requested under one name, one may be dropped.
    /// Letters, digits, `-` and `_`.
    pub name: String,
    /// Delay from now.
    pub after: Duration,
}

/// A queue of future calls.
///
/// Calls are made at least once, in any order, and seldom much later than requested. A call that
/// fails is repeated with a growing pause. The queue survives the death of the program that asked.
#[async_trait]
pub trait Checks: std::fmt::Debug + Send + Sync {
    /// Asks for a check of a run. `Ok` if one of that name was requested before. Retries transient
    /// errors.
    async fn ask(&self, check: &Check) -> Result<()>;

    /// Asks the planner to plan a run that was reserved. Otherwise like [`Checks::ask`].
    async fn ask_for_plan(&self, run: RunId) -> Result<()>;
}
