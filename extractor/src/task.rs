//! One task of a run.

mod unit;

use std::collections::BTreeMap;
use std::sync::Arc;

use sluice_contracts::documents::{Manifest, UnitRef};
use sluice_contracts::ports::{Checks, DatabaseLogin};
use sluice_contracts::store::{Bucket, RunStore};
use sluice_contracts::{Error, Result};
use sluice_sources::{Join, Source};
use tokio::sync::watch;

use crate::TaskConfig;
use crate::allocator;
use crate::check_requests::CheckRequests;
use crate::encodings::Encodings;
use crate::failure_recorder::FailureRecorder;
use crate::launch::{self, Share};
use crate::peers::{Peers, TaskStart, Unreadable};
use crate::progress::Progress;
use crate::retry::{self, Heard, Pause, RETRY_FOR, RetryBudget, TABLE_TRIES, TURN};
use crate::snapshot::{JoinedSnapshot, Joiner};
use crate::task_state::{LeftSnapshot, TaskEnd, TaskState};
use unit::UnitError;

/// Works through one task's share of a launch. `Ok` once each of its units has a receipt, or
/// reading on is of no use. The loader is asked for checks of the run through `checks`. `login` is
/// who the task is to a database that takes an account of Google Cloud for a user.
///
/// Safe to call any number of times, concurrently too: units with a receipt are not read again, and
/// of two receipts the first counts. Retries what is transient, with backoff; records the error
/// that ended it in the run's documents. Ends on SIGTERM, keeping the receipts.
pub async fn run(
    config: TaskConfig,
    bucket: Bucket,
    checks: Option<Arc<dyn Checks>>,
    login: Option<Arc<dyn DatabaseLogin>>,
) -> Result<()> {
    allocator::keep_freed();
    let open = |url: &str| sluice_sources::open(url, &environment, login.as_ref());
    carry_out(&config, bucket, checks, &open).await
}

/// Finds a source by its URL as the job spells it.
type Open<'a> = &'a dyn Fn(&str) -> Result<Arc<dyn Source>>;

async fn carry_out(
    config: &TaskConfig,
    bucket: Bucket,
    checks: Option<Arc<dyn Checks>>,
    open: Open<'_>,
) -> Result<()> {
    tokio::time::sleep(launch::head_start(config.cloud_run_task_count)).await;
    let store = RunStore::new(bucket, config.run()?);
    let manifest = store.manifest().await?;
    let task = config.cloud_run_task_index;
    let Some(share) = Share::take(&store, &manifest, config).await? else {
        tracing::info!(task, "another execution carries this launch out");
        return Ok(());
    };
    if share.units.is_empty() {
        tracing::info!(task, "nothing of this launch is for this task");
        return Ok(());
    }
    let checks = CheckRequests { checks, run: manifest.run };
    let peers = Peers {
        store: &store,
        manifest: &manifest,
        share: &share,
        checks: &checks,
        execution: &config.cloud_run_execution,
        task,
        unreadable: watch::Sender::new(Unreadable::default()),
    };
    let failures = FailureRecorder { store: &store, config, writer_id: config.writer_id() };
    let worker = Worker {
        config,
        store: &store,
        manifest: &manifest,
        peers,
        open,
        failures,
        encodings: Encodings::default(),
    };
    let mut state = TaskState::default();
    let mut stop = Heard::told_to_stop();
    let result = tokio::select! {
        result = worker.work(&mut state) => result,
        () = worker.peers.called_off() => {
            tracing::info!(task, "the run was called off");
            Ok(TaskEnd::Done)
        }
        () = stop.next() => Err(Error::transient(format!("run task {task}: asked to stop"))
            .hint("units with a receipt are kept; running the job again does the rest")),
    };
    match result {
        Ok(TaskEnd::Done) => Ok(()),
        Ok(TaskEnd::Failed(error)) => Err(error),
        Err(error) => {
            worker.failures.leave(&error, state.at).await;
            let ends_the_run = manifest.fails_as_a_whole() || state.at.is_none();
            if ends_the_run && !error.is_transient() {
                checks.failed(share.launch).await;
            }
            Err(error)
        }
    }
}

struct Worker<'a> {
    config: &'a TaskConfig,
    store: &'a RunStore,
    manifest: &'a Manifest,
    peers: Peers<'a>,
    open: Open<'a>,
    failures: FailureRecorder<'a>,
    encodings: Encodings,
}

impl Worker<'_> {
    /// Joins the run's snapshot and reads, again and again while failures are transient.
    async fn work(&self, state: &mut TaskState) -> Result<TaskEnd> {
        let mut progress = Progress::new(self.config.cloud_run_task_index);
        let mut budget = RetryBudget::new();
        let mut woken = Heard::woken();
        loop {
            let (done, rows) = (progress.units_ever(), progress.rows_ever());
            let result = tokio::select! {
                result = self.begin(state, &mut progress) => result,
                () = woken.next() => {
                    budget.restart_clock();
                    Err(Error::transient("go on after a pause: connections are lost"))
                }
            };
            let error = match result {
                Ok(LeftSnapshot::Refused) => {
                    // The connection works, so time without a row is no sign of an outage.
                    tokio::time::sleep(budget.pause_for_tables()).await;
                    continue;
                }
                Ok(LeftSnapshot::Ended(ended)) => return Ok(ended),
                Ok(LeftSnapshot::Outdated) => {
                    state.snapshot = None;
                    continue;
                }
                Err(error) => error,
            };
            progress.take_back();
            if progress.units_ever() > done {
                budget = RetryBudget::new();
            } else if progress.rows_ever() > rows {
                budget.restart_clock();
            }
            if let Some(Pause { delay, told }) = budget.pause(&error) {
                tracing::warn!(error = error.chain(), seconds = delay.as_secs_f64(), "{told}");
                tokio::time::sleep(delay).await;
                continue;
            }
            let attempt = self.config.cloud_run_task_attempt;
            if attempt > 0 && error.is_transient() && self.reaches_source().await {
                // The bucket fails, or a single statement: another attempt may fare better.
                return Err(error);
            }
            return Err(retry::exhausted(error, attempt));
        }
    }

    /// Whether the source gives a connection.
    async fn reaches_source(&self) -> bool {
        let Ok(source) = (self.open)(&self.manifest.source) else { return false };
        let task = self.config.cloud_run_task_index;
        let application = format!("sluice {} {task}", self.manifest.run);
        source.reader(&application, Join::Independent).await.is_ok()
    }

    /// Checks the state of the run, and reads what is left to read.
    async fn begin(&self, state: &mut TaskState, progress: &mut Progress) -> Result<LeftSnapshot> {
        state.at = None;
        match self.peers.task_start(self.config.cloud_run_task_attempt).await? {
            TaskStart::Over => Ok(LeftSnapshot::Ended(state.end())),
            TaskStart::Failed(failure) => {
                // The attempt that met it may have died before it reported that.
                self.peers.checks.failed(self.peers.share.launch).await;
                Ok(LeftSnapshot::Ended(TaskEnd::Failed(failure.into_error())))
            }
            TaskStart::Open(missing) => {
                state.missing = missing;
                let source = (self.open)(&self.manifest.source)?;
                sluice_sources::refuse_unprotected(source.as_ref(), self.manifest.least_tls)?;
                self.attempt(source.as_ref(), state, progress).await
            }
        }
    }

    /// Reads what is missing, until all is read or an error concerns more than one table. A table
    /// that is locked is left for the next attempt.
    async fn attempt(
        &self,
        source: &dyn Source,
        state: &mut TaskState,
        progress: &mut Progress,
    ) -> Result<LeftSnapshot> {
        let met = match state.snapshot.take() {
            Some(broken) => self.joiner(source, state).rejoin(broken).await?,
            None => self.joiner(source, state).join().await?,
        };
        let Some(fresh) = met.or(&mut state.lost) else { return Ok(LeftSnapshot::Outdated) };
        progress.reads_at(fresh.generation);
        let mut snapshot = state.snapshot.insert(fresh);
        let mut refused: BTreeMap<u32, (UnitRef, Error)> = BTreeMap::new();
        let mut missing = match state.missing.take() {
            Some((generation, missing)) if generation == snapshot.generation => missing,
            _ => self.peers.missing(snapshot.generation).await?,
        };
        missing.retain(|unit| !snapshot.receipts.keeps(*unit));
        state.failing.costly.forgive(self.peers.unreadable());
        // Before the others are read again in vain.
        missing.sort_by_key(|unit| !state.failing.costly.is_last(unit.table));
        for unit in missing {
            state.at = Some(unit);
            if self.peers.outdated(snapshot).await? {
                return Ok(LeftSnapshot::Outdated);
            }
            if refused.contains_key(&unit.table) || self.peers.is_unreadable(unit.table) {
                continue;
            }
            let alone = self.peers.share.peers.len() < 2;
            let suspected = !alone && state.failing.costly.suspects(unit.table);
            let (mut error, of_source) = match self.check(snapshot, unit).await {
                Ok(()) if suspected && !self.wait_for_turn(snapshot).await? => {
                    return Ok(LeftSnapshot::Outdated);
                }
                Ok(()) => match self.read(snapshot, unit, progress).await {
                    Ok(()) => {
                        state.failing.finished_unit(unit.table);
                        if suspected {
                            snapshot.reader.rest().await?;
                        }
                        continue;
                    }
                    Err(UnitError { error, of_source }) => (error, of_source),
                },
                Err(error) => (error, true),
            };
            if of_source && error.is_transient() {
                // If the connection works, it is the table that keeps the task waiting.
                let works = snapshot.reader.recover().await.is_ok();
                let tries = state.failing.count_failure(unit.table, works, &error);
                if tries < retry::most_tries(works, alone, suspected) {
                    if !works {
                        return Err(error);
                    }
                    tracing::warn!(
                        error = error.chain(),
                        "leaves a table for later ({tries}), and gives it up after {TABLE_TRIES}"
                    );
                    refused.insert(unit.table, (unit, error));
                    continue;
                }
                if !works {
                    state.failing.costly.give_up(unit.table, tries);
                }
                error = retry::still_refused(&error, tries);
                if works && !self.manifest.fails_as_a_whole() {
                    state.failed = Some(self.give_up(unit, error).await);
                    continue;
                }
            }
            if error.is_transient() || self.manifest.fails_as_a_whole() {
                return Err(error);
            }
            state.failed = Some(self.give_up(unit, error).await);
            let generation = snapshot.generation;
            let Some(broken) = state.snapshot.take() else { return Ok(LeftSnapshot::Outdated) };
            let met = self.joiner(source, state).rejoin(broken).await?;
            let Some(fresh) = met.or(&mut state.lost) else { return Ok(LeftSnapshot::Outdated) };
            snapshot = state.snapshot.insert(fresh);
            if snapshot.generation != generation {
                return Ok(LeftSnapshot::Outdated);
            }
        }
        snapshot.reader.rest().await?;
        if !refused.is_empty() {
            let since = *state.refused_since.get_or_insert_with(tokio::time::Instant::now);
            if self.manifest.fails_as_a_whole() || since.elapsed() < RETRY_FOR {
                return Ok(LeftSnapshot::Refused);
            }
        }
        for (table, (unit, error)) in refused {
            let tries = state.failing.refusals_of(table);
            state.failed = Some(self.give_up(unit, retry::still_refused(&error, tries)).await);
        }
        state.at = None;
        if self.peers.wait(snapshot).await? {
            return Ok(LeftSnapshot::Outdated);
        }
        Ok(LeftSnapshot::Ended(state.end()))
    }

    /// Waits until no other task reads a table that is suspected to cost the connection. `false` if
    /// the snapshot is outdated meanwhile.
    async fn wait_for_turn(&self, snapshot: &mut JoinedSnapshot) -> Result<bool> {
        let run = self.manifest.run.to_string();
        while !snapshot.reader.take_turn(&run).await? {
            if self.peers.outdated(snapshot).await? {
                return Ok(false);
            }
            tokio::time::sleep(TURN).await;
        }
        Ok(true)
    }

    fn joiner<'a>(&'a self, source: &'a dyn Source, state: &'a TaskState) -> Joiner<'a> {
        Joiner {
            source,
            store: self.store,
            manifest: self.manifest,
            share: self.peers.share,
            task: self.config.cloud_run_task_index,
            attempt: self.config.cloud_run_task_attempt,
            writer_id: &self.failures.writer_id,
            lost: state.lost,
            costly: &state.failing.costly,
        }
    }

    /// Records that a table cannot be read.
    async fn give_up(&self, unit: UnitRef, error: Error) -> Error {
        self.failures.leave(&error, Some(unit)).await;
        self.peers.mark_unreadable(unit.table);
        error
    }
}

#[expect(clippy::disallowed_methods, reason = "secrets come from the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests;
