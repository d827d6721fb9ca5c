//! The end of a run: it is announced and counted, and its parts are deleted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, Utc};
use sluice_contracts::documents::{
    Committed, ErrorReport, EventName, Manifest, RunEvent, TableOutcome, Verdict,
};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Kind, Result};

use super::{Loader, RunState, elapsed};
use crate::commit::delete_parts;
use crate::metrics::RunMetrics;
use crate::outcome::{error_of, is_half_visible, refused_outcome};
use crate::view::RunView;

/// How long the end of a failed run waits for its tasks to be cancelled.
const CANCEL: Duration = Duration::from_mins(10);

impl Loader {
    /// Ends a run whose tables are in their final state.
    pub(super) async fn end_committed(
        &self,
        view: &RunView,
        load: u32,
        committed: &Committed,
    ) -> Result<RunState> {
        let (store, manifest) = (view.store(), view.manifest().await?);
        let failure = error_of(&manifest, &committed.tables);
        let event = RunEvent {
            version: RunEvent::VERSION,
            event: match () {
                () if committed.is_whole() => EventName::Finished,
                () if is_half_visible(&manifest, &committed.tables) => EventName::HalfVisible,
                () => EventName::Failed,
            },
            run: manifest.run,
            job: manifest.job.clone(),
            run_key: run_key(store).await,
            rows: committed.tables.iter().map(|table| table.rows).sum(),
            tables: committed.tables.clone(),
            failure: failure.as_ref().map(ErrorReport::from),
            at: committed.at,
        };
        self.tell(&event).await?;
        RunMetrics::gather(view).await.log(&event);
        // Before the run has ended: no check looks for parts that are left afterwards.
        let verdict = view.verdict().await?;
        let kept = loadable_again(&manifest, verdict.as_deref(), committed);
        delete_parts(store, &kept).await;
        store.create_announced(load, &event).await?;
        Ok(RunState::Ended)
    }

    /// Ends a run of which nothing becomes visible.
    pub(super) async fn end_failed(
        &self,
        view: &RunView,
        verdict: &Verdict,
        now: DateTime<Utc>,
    ) -> Result<RunState> {
        let store = view.store();
        self.cancel_all(store, verdict, now).await?;
        // Absent if the run was never planned, or failed because its plan cannot be read.
        let manifest = view.readable_manifest().await?;
        let report = verdict.failure.clone().unwrap_or_else(|| ErrorReport {
            kind: Kind::Bug,
            message: format!("run `{}` was given up", store.run()),
            hint: None,
        });
        let event = RunEvent {
            version: RunEvent::VERSION,
            event: EventName::Failed,
            run: store.run(),
            job: job(store, manifest.as_deref()).await,
            run_key: run_key(store).await,
            rows: 0,
            tables: manifest
                .as_deref()
                .map_or_else(Vec::new, |manifest| all_failed(manifest, &report)),
            failure: Some(report),
            at: verdict.at,
        };
        self.tell(&event).await?;
        RunMetrics::gather(view).await.log(&event);
        store.create_announced(0, &event).await?;
        Ok(RunState::Ended)
    }

    /// Announces the run's end. If the loader dies right after, the end is announced twice.
    async fn tell(&self, event: &RunEvent) -> Result<()> {
        match &self.announcer {
            Some(announcer) => announcer.announce(event).await,
            None => Ok(()),
        }
    }

    /// Cancels the run's executions: what they would still read is of no use.
    async fn cancel_all(
        &self,
        store: &RunStore,
        verdict: &Verdict,
        now: DateTime<Utc>,
    ) -> Result<()> {
        for launch in 0..store.newest_launch().await?.map_or(0, |newest| newest + 1) {
            let Some(claim) = store.claim(launch).await? else { continue };
            match self.executions.cancel(&claim.execution).await {
                Ok(()) => {}
                Err(error) if error.is_transient() && elapsed(verdict.at, now) < CANCEL => {
                    return Err(error);
                }
                Err(error) => tracing::warn!(
                    execution = claim.execution,
                    error = error.chain(),
                    "could not cancel an execution of a failed run"
                ),
            }
        }
        Ok(())
    }
}

/// The tables that were read and could not be loaded, by their index. They can be loaded again from
/// their parts, once the cause is corrected.
pub(super) fn loadable_again(
    manifest: &Manifest,
    verdict: Option<&Verdict>,
    committed: &Committed,
) -> BTreeSet<u32> {
    let was_read =
        |table: u32| verdict.is_none_or(|verdict| !verdict.given_up.contains_key(&table));
    let tables = manifest.tables.iter().zip(&committed.tables);
    let failed = tables.filter(|(_, outcome)| outcome.failure.is_some());
    failed.map(|(table, _)| table.index).filter(|table| was_read(*table)).collect()
}

/// The outcome of each table if the load failed before it reached them.
pub(super) async fn outcomes_without_load(
    view: &RunView,
    manifest: &Manifest,
    error: &Error,
) -> Result<Vec<TableOutcome>> {
    let mut endings = all_failed(manifest, &ErrorReport::from(error));
    for (table, ending) in manifest.tables.iter().zip(&mut endings) {
        if let Some(commit) = view.store().commit(table.index).await? {
            ending.rows = commit.rows;
            ending.overtaken_by = commit.overtaken_by;
            // The receipts may be what the load failed for.
            ending.invalid = match view.coverage_of(commit.snapshot).await {
                Ok(coverage) => {
                    ending.bad_rows = coverage.bad_rows(table.index);
                    coverage.invalid(table.index)
                }
                Err(error) if error.is_transient() => return Err(error),
                Err(_) => BTreeMap::new(),
            };
            ending.failure = None;
        }
    }
    Ok(endings)
}

/// Every table of a run that failed for the reason `report`, and those that its plan refused.
fn all_failed(manifest: &Manifest, report: &ErrorReport) -> Vec<TableOutcome> {
    let planned = manifest.tables.iter().map(|table| TableOutcome {
        table: table.name.clone(),
        target: table.target.clone(),
        rows: 0,
        dropped: None,
        overtaken_by: None,
        invalid: BTreeMap::new(),
        bad_rows: 0,
        failure: Some(report.clone()),
    });
    planned.chain(manifest.refused.iter().map(refused_outcome)).collect()
}

/// The key of the run's request. A run that was not submitted to a planner has no request.
async fn run_key(store: &RunStore) -> Option<String> {
    store.request().await.ok().flatten()?.run_key
}

/// Name of the job, as far as a document says it.
async fn job(store: &RunStore, manifest: Option<&Manifest>) -> String {
    if let Some(manifest) = manifest {
        return manifest.job.clone();
    }
    let request = store.request().await.ok().flatten();
    let name = request.and_then(|request| Some(request.job.get("name")?.as_str()?.to_owned()));
    name.unwrap_or_default()
}
