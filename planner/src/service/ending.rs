//! Runs that end before they have begun.

use std::collections::BTreeMap;

use chrono::Utc;
use serde_json::Value;
use sluice_contracts::documents::{
    Decision, ErrorReport, EventName, Request, RunEvent, TableOutcome, Verdict,
};
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Result};

use super::Planner;

impl Planner {
    /// Ends a run that cannot be planned or launched, unless its end was decided before.
    pub(super) async fn give_up(
        &self,
        store: &RunStore,
        request: &Request,
        error: &Error,
    ) -> Result<()> {
        let own = Verdict::fail(ErrorReport::from(error), Utc::now());
        let verdict = match store.create_verdict(&own).await? {
            Created::First => {
                tracing::error!(
                    run = %request.run,
                    job = job_name(request),
                    kind = ?error.kind(),
                    error = error.chain(),
                    hint = error.remedy(),
                    "a run could not be launched"
                );
                own
            }
            Created::Lost => {
                let found = store.verdict().await?;
                found.ok_or_else(|| Error::transient("read the run's verdict: it is gone"))?
            }
        };
        self.conclude(store, request, &verdict).await
    }

    /// Announces that a run has failed. A run that is to be loaded is left to the loader.
    pub(super) async fn conclude(
        &self,
        store: &RunStore,
        request: &Request,
        verdict: &Verdict,
    ) -> Result<()> {
        if verdict.decision == Decision::Commit || store.announced().await?.is_some() {
            return Ok(());
        }
        // It may have been started before it failed. Its tasks read in vain, and end by themselves
        // when they are done at the latest.
        if let Some(claim) = store.claim(0).await?
            && let Err(error) = self.ports.executions.cancel(&claim.execution).await
        {
            let error = error.chain();
            tracing::warn!(execution = claim.execution, error, "could not cancel an execution");
        }
        let event = RunEvent {
            version: RunEvent::VERSION,
            event: EventName::Failed,
            run: request.run,
            job: job_name(request).to_owned(),
            run_key: request.run_key.clone(),
            rows: 0,
            tables: endings(store, verdict).await?,
            failure: verdict.failure.clone(),
            at: verdict.at,
        };
        if let Some(announcer) = &self.ports.announcer {
            announcer.announce(&event).await?;
        }
        store.create_announced(0, &event).await.map(|_| ())
    }
}

pub(super) fn job_name(request: &Request) -> &str {
    request.job.get("name").and_then(Value::as_str).unwrap_or_default()
}

/// The outcome of each table of a run of which nothing is loaded. Empty if the run has no plan.
async fn endings(store: &RunStore, verdict: &Verdict) -> Result<Vec<TableOutcome>> {
    let manifest = match store.manifest().await {
        Ok(manifest) => manifest,
        Err(error) if error.kind() == sluice_contracts::Kind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let planned = manifest.tables.into_iter().map(|table| (table.name, table.target));
    let refused = manifest.refused.into_iter().map(|table| (table.table, table.target));
    let ending = |(table, target)| TableOutcome {
        table,
        target,
        rows: 0,
        dropped: None,
        overtaken_by: None,
        invalid: BTreeMap::new(),
        bad_rows: 0,
        failure: verdict.failure.clone(),
    };
    Ok(planned.chain(refused).map(ending).collect())
}
