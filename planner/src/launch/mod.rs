//! Starting the tasks of a run.

#[cfg(feature = "service")]
pub(crate) mod cloud_run;

use async_trait::async_trait;
use sluice_contracts::Result;

/// Starts executions.
#[async_trait]
pub trait Launcher: Send + Sync {
    /// Starts one task for each of `tasks`, indexes into the manifest's tasks, and returns the
    /// execution's name at once.
    ///
    /// Not idempotent: two calls start two executions. Their tasks race for receipts, so the run
    /// stays right; only work is wasted. Tasks that fail are started again by the platform that
    /// runs them.
    async fn launch(&self, manifest_url: &str, tasks: &[u32]) -> Result<String>;
}
