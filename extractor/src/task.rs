//! One task of a run.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use backon::BackoffBuilder;
use chrono::Utc;
use sluice_contracts::manifest::{Manifest, Table, Task, UnitRef};
use sluice_contracts::receipt::{Failure, Receipt};
use sluice_contracts::store::{Bucket, RunStore};
use sluice_contracts::unit::Unit;
use sluice_contracts::{Error, Kind, Result};
use sluice_sources::{NoConnectionLeft, Source};

use crate::Config;
use crate::moment::{Joiner, Moment};
use crate::others::Others;
use crate::parts::Parts;
use crate::progress::Progress;

/// How long a task goes on trying without finishing a unit: a new path into a private network can
/// take two minutes to open.
const RETRY_FOR: Duration = Duration::from_secs(150);
/// The same where the source gives no connection: it was planned to give one, and whoever has taken
/// it may need it for hours, while the run's other tasks wait for this one's units.
const CONNECTION_FOR: Duration = Duration::from_secs(60);
/// How often a table that is locked is tried before it is given up. The source waits for a lock
/// itself, half a minute where nobody set less.
const LOCK_TRIES: u32 = 5;

/// Works through one task's units. `Ok` once each of them has a receipt.
///
/// Safe to call any number of times, concurrently too: units with a receipt are not read again,
/// and of two receipts the first counts. Retries what is transient, with backoff; records what
/// ended it in the run's documents. Ends on SIGTERM, keeping the receipts.
pub async fn run(config: Config, bucket: Bucket) -> Result<()> {
    let store = RunStore::new(bucket, config.run()?);
    let manifest = store.manifest().await?;
    let Some(task) = manifest.tasks.get(config.cloud_run_task_index as usize) else {
        tracing::info!(task = config.cloud_run_task_index, "the plan has no such task");
        return Ok(());
    };
    let nonce = uuid::Uuid::new_v4().simple().to_string();
    let writer_id = format!(
        "{}-{}-{}-{}",
        short(&config.cloud_run_execution),
        config.cloud_run_task_index,
        config.cloud_run_task_attempt,
        // The platform may run an attempt twice; the two must not write the same object.
        short(&nonce),
    );
    let others =
        Others { store: &store, manifest: &manifest, execution: &config.cloud_run_execution };
    let worker =
        Worker { config: &config, store: &store, manifest: &manifest, others, task, writer_id };
    let mut course = Course::default();
    let result = tokio::select! {
        result = worker.work(&mut course) => result,
        () = told_to_stop() => Err(Error::transient(format!("run task {}: told to stop", task.index))
            .hint("units with a receipt are kept; running the job again does the rest")),
    };
    match result {
        Ok(Ended::Done) => Ok(()),
        Ok(Ended::Partly(error)) => Err(error),
        Err(error) => {
            worker.record(&error, course.at).await;
            Err(error)
        }
    }
}

/// How a task ended that could go on to its end.
enum Ended {
    /// Every unit has a receipt.
    Done,
    /// Every unit but those of tables that cannot be read; each of them has left word.
    Partly(Error),
}

struct Worker<'a> {
    config: &'a Config,
    store: &'a RunStore,
    manifest: &'a Manifest,
    others: Others<'a>,
    task: &'a Task,
    writer_id: String,
}

/// How far a task has come, from one of its attempts at the source to the next.
#[derive(Default)]
struct Course {
    /// The moment that the last attempt left.
    moment: Option<Moment>,
    /// The unit that is being read.
    at: Option<UnitRef>,
    /// How often each table's lock was not given.
    refusals: BTreeMap<u32, u32>,
    /// Why the last of the tables that cannot be read was given up.
    failed: Option<Error>,
}

/// Why a moment was left.
enum Left {
    /// Nothing is left to do.
    Ended(Ended),
    /// A newer moment was founded meanwhile.
    Outdated,
}

impl Worker<'_> {
    /// Joins the run's moment and reads, again and again while failures are transient.
    async fn work(&self, course: &mut Course) -> Result<Ended> {
        let mut progress = Progress::new(self.task.index);
        if self.others.is_over().await? {
            return Ok(Ended::Done);
        }
        let source = sluice_sources::open(&self.manifest.source, &environment)?;
        let mut delays = delays();
        let mut since = Instant::now();
        loop {
            let done = progress.units_done();
            let error = match self.attempt(source.as_ref(), course, &mut progress).await {
                Ok(Left::Ended(ended)) => return Ok(ended),
                Ok(Left::Outdated) => {
                    course.moment = None;
                    continue;
                }
                Err(error) => error,
            };
            if progress.units_done() > done {
                delays = self::delays();
                since = Instant::now();
            }
            let delay = delays.next().filter(|_| error.is_transient());
            let refused = NoConnectionLeft::caused(&error);
            let patience = if refused { CONNECTION_FOR } else { RETRY_FOR };
            let Some(delay) = delay.filter(|_| since.elapsed() < patience) else {
                return Err(if refused { still_refused(&error) } else { error });
            };
            tracing::warn!(error = error.chain(), seconds = delay.as_secs_f64(), "trying again");
            tokio::time::sleep(delay).await;
        }
    }

    /// Reads what is missing, until it is done or an error that concerns more than one table. A
    /// table that is locked is left for the next attempt.
    async fn attempt(
        &self,
        source: &dyn Source,
        course: &mut Course,
        progress: &mut Progress,
    ) -> Result<Left> {
        let joiner = Joiner {
            source,
            store: self.store,
            manifest: self.manifest,
            task: self.task.index,
            attempt: self.config.cloud_run_task_attempt,
            writer_id: &self.writer_id,
        };
        let fresh = match course.moment.take() {
            Some(broken) => joiner.rejoin(broken).await?,
            None => joiner.join().await?,
        };
        let mut moment = course.moment.insert(fresh);
        let mut locked: BTreeMap<u32, (UnitRef, Error)> = BTreeMap::new();
        for unit in self.missing(moment).await? {
            course.at = Some(unit);
            if self.others.outdated(moment).await? {
                return Ok(Left::Outdated);
            }
            if locked.contains_key(&unit.table) || self.others.has_given_up(unit.table).await? {
                continue;
            }
            let error = match self.check(moment, unit).await {
                Ok(()) => match self.read(moment, unit, progress).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                // On a connection that works: it is the table that keeps the task waiting.
                Err(error) if error.is_transient() && moment.reader.recover().await.is_ok() => {
                    let refusals = course.refusals.entry(unit.table).or_default();
                    *refusals += 1;
                    if *refusals < LOCK_TRIES || self.others.is_strict() {
                        tracing::warn!(error = error.chain(), "leaving a table for later");
                        locked.insert(unit.table, (unit, error));
                        continue;
                    }
                    course.failed = Some(self.give_up(unit, still_locked(&error)).await);
                    continue;
                }
                Err(error) => error,
            };
            if error.is_transient() || self.others.is_strict() {
                return Err(error);
            }
            course.failed = Some(self.give_up(unit, error).await);
            let generation = moment.generation;
            let Some(broken) = course.moment.take() else { return Ok(Left::Outdated) };
            moment = course.moment.insert(joiner.rejoin(broken).await?);
            if moment.generation != generation {
                return Ok(Left::Outdated);
            }
        }
        if let Some((_, (unit, error))) = locked.pop_first() {
            course.at = Some(unit);
            return Err(error);
        }
        course.at = None;
        if self.others.wait(moment).await? {
            return Ok(Left::Outdated);
        }
        Ok(Left::Ended(course.failed.take().map_or(Ended::Done, Ended::Partly)))
    }

    /// Leaves word that a table cannot be read.
    async fn give_up(&self, unit: UnitRef, error: Error) -> Error {
        self.record(&error, Some(unit)).await;
        error
    }

    /// This task's units that were not read at `moment`.
    async fn missing(&self, moment: &Moment) -> Result<Vec<UnitRef>> {
        let mut missing = Vec::new();
        for &unit in &self.task.units {
            let proved = self.store.receipt(moment.generation, unit).await?.is_some();
            if !proved && !moment.proofs.keeps(unit) {
                missing.push(unit);
            }
        }
        Ok(missing)
    }

    /// Looks whether a unit's table is still what was planned.
    async fn check(&self, moment: &mut Moment, unit: UnitRef) -> Result<()> {
        let (table, _) = self.planned(unit)?;
        let checked = moment.reader.check(table).await;
        checked.map_err(|error| error.during(place(table, unit)))
    }

    fn planned(&self, unit: UnitRef) -> Result<(&Table, &Unit)> {
        self.manifest.unit(unit).ok_or_else(|| {
            Error::data(format!("find unit {} of table {}", unit.unit, unit.table))
                .hint("the manifest was changed; start the run again")
        })
    }

    /// Reads one unit that was checked, and proves it.
    async fn read(
        &self,
        moment: &mut Moment,
        unit: UnitRef,
        progress: &mut Progress,
    ) -> Result<()> {
        let (table, found) = self.planned(unit)?;
        let (mut rows, mut bytes) = (0, 0);
        let result = async {
            let started = Instant::now();
            let mut parts = Parts::new(self.store, moment.generation, unit, &self.writer_id, table);
            let mut batches = moment.reader.read(table, found).await?;
            while let Some(batch) = batches.next().await? {
                let (more, total) = (batch.num_rows() as u64, batches.bytes());
                parts.write(&batch).await?;
                progress.read(more, total - bytes);
                rows += more;
                bytes = total;
            }
            bytes = batches.bytes();
            let invalid = table
                .columns
                .iter()
                .zip(batches.invalid())
                .filter(|(_, count)| **count > 0)
                .map(|(column, count)| (column.name.clone(), *count))
                .collect();
            drop(batches);
            moment.reader.confirm().await?;
            let receipt = Receipt {
                version: Receipt::VERSION,
                table: unit.table,
                unit: unit.unit,
                snapshot: moment.generation,
                task: self.task.index,
                attempt: self.config.cloud_run_task_attempt,
                execution: self.config.cloud_run_execution.clone(),
                rows,
                bytes,
                invalid,
                parts: parts.finish().await?,
                seconds: started.elapsed().as_secs_f64(),
                finished: Utc::now(),
            };
            let seconds = receipt.seconds;
            moment.proofs.prove(receipt).await?;
            tracing::info!(
                table = table.name,
                unit = unit.unit,
                kind = found.cut.kind(),
                rows,
                bytes,
                seconds,
                "extracted rows from work unit"
            );
            Ok(())
        }
        .await;
        match result {
            Ok(()) => progress.unit_done(),
            Err(_) => progress.take_back(rows, bytes),
        }
        result.map_err(|error: Error| error.during(place(table, unit)))
    }

    /// Leaves word of what ended this attempt. Failing to do so changes nothing.
    async fn record(&self, error: &Error, at: Option<UnitRef>) {
        let failure = Failure {
            version: Failure::VERSION,
            task: self.task.index,
            attempt: self.config.cloud_run_task_attempt,
            execution: self.config.cloud_run_execution.clone(),
            unit: at.map(|unit| (unit.table, unit.unit)),
            kind: error.kind(),
            message: error.chain(),
            hint: error.remedy().map(str::to_owned),
            at: Utc::now(),
        };
        // Each table that fails leaves a word of its own.
        let name = match at {
            Some(unit) => format!("{}-{}", self.writer_id, unit.table),
            None => self.writer_id.clone(),
        };
        if let Err(error) = self.store.create_failure(&failure, &name).await {
            tracing::warn!(error = error.chain(), "could not record the failure");
        }
    }
}

fn place(table: &Table, unit: UnitRef) -> String {
    format!("unit {} of {} of table `{}`", unit.unit, table.units.len(), table.name)
}

/// The same for good: starting the task again would give it no connection either.
fn still_refused(error: &Error) -> Error {
    let denied =
        Error::new(Kind::Denied, format!("wait {} s for a connection", CONNECTION_FOR.as_secs()));
    let denied = denied.because(error.chain());
    match error.remedy() {
        Some(hint) => denied.hint(hint.to_owned()),
        None => denied,
    }
}

/// The same for good: whoever holds the lock has to act, and no other table waits for that.
fn still_locked(error: &Error) -> Error {
    let hint = error.remedy().unwrap_or("run the job again when the table is free").to_owned();
    Error::new(Kind::Denied, format!("wait for a table, {LOCK_TRIES} times"))
        .because(error.chain())
        .hint(hint)
}

/// Growing, jittered, and more of them than [`RETRY_FOR`] lets through.
fn delays() -> impl Iterator<Item = Duration> {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(15))
        .with_jitter()
        .with_max_times(64)
        .build()
}

/// The end of a name, which is what tells it from others.
fn short(name: &str) -> String {
    let tail: Vec<char> = name.chars().rev().filter(char::is_ascii_alphanumeric).take(12).collect();
    tail.into_iter().rev().collect()
}

#[expect(clippy::disallowed_methods, reason = "secrets come from the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Resolves when the platform asks the task to end: SIGTERM, ten seconds before SIGKILL.
async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    match signal(SignalKind::terminate()) {
        Ok(mut signal) => {
            signal.recv().await;
        }
        Err(error) => {
            tracing::warn!(%error, "cannot listen for SIGTERM");
            std::future::pending::<()>().await;
        }
    }
}
