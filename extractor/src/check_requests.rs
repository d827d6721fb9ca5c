//! Asking the loader to check the run.

use std::sync::Arc;
use std::time::Duration;

use sluice_contracts::documents::RunId;
use sluice_contracts::ports::{Check, Checks};

/// Where checks go, if anywhere. One that is lost delays the run's end until the loader looks by
/// itself, and changes nothing else: so it is no error.
pub(crate) struct CheckRequests {
    pub(crate) checks: Option<Arc<dyn Checks>>,
    pub(crate) run: RunId,
}

impl CheckRequests {
    /// A launch has left nothing of a generation to be read. A later launch may say so of the same
    /// generation: it has read what the one before gave up.
    pub(crate) async fn extracted(&self, launch: u32, generation: u32) {
        self.send(format!("notice-{generation}-{launch}")).await;
    }

    /// A launch has met what ends the whole run.
    pub(crate) async fn failed(&self, launch: u32) {
        self.send(format!("failed-{launch}")).await;
    }

    async fn send(&self, name: String) {
        let Some(checks) = &self.checks else { return };
        let check = Check { run: self.run, name, after: Duration::ZERO };
        if let Err(error) = checks.ask(&check).await {
            let error = error.chain();
            tracing::warn!(error, notice = check.name, "could not tell the loader");
        }
    }
}
