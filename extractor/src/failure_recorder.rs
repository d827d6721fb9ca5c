//! Records the failure of an attempt, for the program that decides the run's outcome.

use chrono::Utc;
use sluice_contracts::documents::{Failure, UnitRef};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Kind};

use crate::TaskConfig;

/// Where an attempt records its failure.
pub(crate) struct FailureRecorder<'a> {
    pub(crate) store: &'a RunStore,
    pub(crate) config: &'a TaskConfig,
    /// Name of this process in the run's documents.
    pub(crate) writer_id: String,
}

impl FailureRecorder<'_> {
    /// Records the error that ended this attempt. Failing to record it changes nothing.
    pub(crate) async fn leave(&self, error: &Error, at: Option<UnitRef>) {
        let failure = Failure {
            version: Failure::VERSION,
            task: self.config.cloud_run_task_index,
            attempt: self.config.cloud_run_task_attempt,
            execution: self.config.cloud_run_execution.clone(),
            unit: at.map(|unit| (unit.table, unit.unit)),
            // The plan was made, so it is not the job that is wrong.
            kind: match error.kind() {
                Kind::Invalid => Kind::Data,
                kind => kind,
            },
            message: error.chain(),
            hint: error.remedy().map(str::to_owned),
            at: Utc::now(),
        };
        // Each table that fails has a record of its own.
        let name = match at {
            Some(unit) => format!("{}-{}", self.writer_id, unit.table),
            None => self.writer_id.clone(),
        };
        if let Err(error) = self.store.create_failure(&failure, &name).await {
            tracing::warn!(error = error.chain(), "could not record the failure");
        }
    }
}
