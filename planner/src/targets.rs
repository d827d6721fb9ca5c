//! Targets, as far as the planner looks at them: whether a run can be loaded at all, before its
//! first row is read.

use std::fmt;

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::manifest::{RunId, Table};

/// Where runs go.
#[async_trait]
pub trait Targets: fmt::Debug + Send + Sync {
    /// Whether there are targets of this URL's kind, without looking at any.
    ///
    /// # Errors
    /// `Invalid` where there are not, with the known kinds as hint.
    fn know(&self, target: &str) -> Result<()>;

    /// Looks at the target of one table as it is now.
    ///
    /// # Errors
    /// Where the table could not be loaded into it, in the words of whoever must act.
    async fn check(&self, run: RunId, table: &Table) -> Result<()>;
}
