//! Asks the loader to check the run.

use std::sync::Arc;
use std::time::Duration;

use sluice_contracts::documents::RunId;
use sluice_contracts::ports::{Check, Checks};

/// Where requests for checks go, if anywhere. A lost request delays the run's end until the loader
/// checks by itself, and changes nothing else, so it is not an error.
pub(crate) struct CheckRequests {
    pub(crate) checks: Option<Arc<dyn Checks>>,
    pub(crate) run: RunId,
}

impl CheckRequests {
    /// Reports that a launch has nothing of a generation left to read. A later launch may report
    /// the same generation again: it has read what the launch before it gave up.
    pub(crate) async fn extracted(&self, launch: u32, generation: u32) {
        self.send(format!("notice-{generation}-{launch}")).await;
    }

    /// Reports that a launch has met an error that ends the whole run.
    pub(crate) async fn failed(&self, launch: u32) {
        self.send(format!("failed-{launch}")).await;
    }

    async fn send(&self, name: String) {
        let Some(checks) = &self.checks else { return };
        let check = Check { run: self.run, name, after: Duration::ZERO };
        if let Err(error) = checks.ask(&check).await {
            let error = error.chain();
            tracing::warn!(error, check = check.name, "could not ask the loader for a check");
        }
    }
}
