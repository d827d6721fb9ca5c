//! One step of a run towards its end.

mod ending;
mod launching;
mod requeue;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sluice_contracts::documents::{Committed, Decision, ErrorReport, Manifest, RunId, Verdict};
use sluice_contracts::ports::{Announcer, Checks, Executions};
use sluice_contracts::store::{Bucket, Created, RunStore};
use sluice_contracts::{Error, Kind, Result};
use sluice_targets::Targets;
use tracing::Instrument as _;

use crate::commit::{check_targets, commit};
use crate::coverage::{MissingUnits, coverage_of, missing_units, name_missing};
use crate::failures::{Failures, fatal};
use crate::outcome::table_outcomes;
use launching::Watched;
use requeue::Requeue;

/// The loader: whatever it is asked about a run, it does what the run's documents say is next.
#[derive(Debug, Clone)]
pub struct Service {
    /// Where tasks run.
    pub executions: Arc<dyn Executions>,
    /// Whom it asks to be called again.
    pub checks: Arc<dyn Checks>,
    /// Who hears of a run's end.
    pub announcer: Option<Arc<dyn Announcer>>,
    /// Where the documents of all runs lie.
    pub bucket: Bucket,
    /// Where tables go.
    pub targets: Targets,
    /// How long a run may take, from its plan until all its receipts are there.
    pub deadline: Duration,
}

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// There is no such run.
    Unknown,
    /// It has no plan yet.
    Planning,
    /// Its tasks are at work.
    Extracting,
    /// A target is at work.
    Loading,
    /// Nothing is left to do.
    Ended,
}

impl RunState {
    /// The word in answers.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Planning => "planning",
            Self::Extracting => "extracting",
            Self::Loading => "loading",
            Self::Ended => "ended",
        }
    }
}

impl Service {
    /// Takes a run as far as it can come now, and asks for another look where that is not its end.
    ///
    /// Safe to be killed at any point, to be called at any time, and by any number of callers at
    /// once: what was decided lies in the run's documents, and who comes second adopts it. It
    /// waits for nobody: tasks and targets are asked how far they are, and asked again by the
    /// next look.
    ///
    /// # Errors
    /// `Transient` where the same call may succeed; another look is asked for whatever the error.
    pub async fn look(&self, run: RunId, now: DateTime<Utc>) -> Result<RunState> {
        let span = tracing::info_span!("look", run = %run);
        async {
            let result = self.reconcile(run, now).await;
            match &result {
                Ok(state) => tracing::info!(state = state.name(), "looked at a run"),
                Err(_) => self.look_after_failure(run, now).await,
            }
            result
        }
        .instrument(span)
        .await
    }

    /// As [`Service::look`], without another look where it fails.
    async fn reconcile(&self, run: RunId, now: DateTime<Utc>) -> Result<RunState> {
        let store = RunStore::new(self.bucket.clone(), run);
        if store.announced().await?.is_some() {
            return Ok(RunState::Ended);
        }
        if let Some(committed) = store.committed().await? {
            return self.end_committed(&store, &committed).await;
        }
        let verdict = match store.verdict().await? {
            Some(verdict) => verdict,
            None => match self.decide(&store, now).await? {
                Decided::Verdict(verdict) => decide_once(&store, verdict).await?,
                Decided::Open(state, look) => {
                    self.checks.ask(&look.at(run, now)).await?;
                    return Ok(state);
                }
                Decided::Unknown => return Ok(RunState::Unknown),
            },
        };
        match verdict.decision {
            Decision::Fail => self.end_failed(&store, &verdict, now).await,
            Decision::Commit => self.load(&store, &verdict, now).await,
        }
    }

    /// What is to become of a run, if that can be said.
    async fn decide(&self, store: &RunStore, now: DateTime<Utc>) -> Result<Decided> {
        let result = match store.manifest().await {
            Ok(manifest) => Judge { service: self, store, manifest: &manifest, now }.judge().await,
            Err(error) if error.kind() == Kind::NotFound => self.unplanned(store, now).await,
            Err(error) => Err(error),
        };
        match result {
            // Documents never change: one that is wrong stays wrong.
            Err(error) if matches!(error.kind(), Kind::Data | Kind::Bug) => {
                Ok(Decided::Verdict(Verdict::fail(ErrorReport::from(&error), now)))
            }
            result => result,
        }
    }

    /// A run without a plan is the planner's, who is asked for it again and again; but not for
    /// ever.
    async fn unplanned(&self, store: &RunStore, now: DateTime<Utc>) -> Result<Decided> {
        let Some(request) = store.request().await? else { return Ok(Decided::Unknown) };
        if let Some(error) = self.overdue(store.run(), request.at, now) {
            let error = error.because(Error::transient("it was never planned"));
            return Ok(Decided::Verdict(Verdict::fail(ErrorReport::from(&error), now)));
        }
        Ok(Decided::Open(RunState::Planning, Requeue::for_tasks(request.at)))
    }

    /// The error of a run that takes too long.
    fn overdue(&self, run: RunId, since: DateTime<Utc>, now: DateTime<Utc>) -> Option<Error> {
        let hours = self.deadline.as_secs_f64() / 3600.0;
        (elapsed(since, now) >= self.deadline).then(|| {
            Error::transient(format!("run `{run}`: not extracted within {hours} hours")).hint(
                "ask for the job again with more tasks, or raise the loader's `SLUICE_RUN_DEADLINE`",
            )
        })
    }

    /// Loads what was decided for, as far as the targets are.
    async fn load(
        &self,
        store: &RunStore,
        verdict: &Verdict,
        now: DateTime<Utc>,
    ) -> Result<RunState> {
        let manifest = store.manifest().await?;
        let tables = match commit(store, &self.targets).await {
            Ok(Poll::Pending) => {
                let look = Requeue::for_targets(verdict.at);
                self.checks.ask(&look.at(store.run(), now)).await?;
                return Ok(RunState::Loading);
            }
            Ok(Poll::Ready(outcome)) => {
                let endings = table_outcomes(&manifest, &outcome);
                let transient =
                    |table: crate::TableCommit| table.result.err().filter(Error::is_transient);
                // It may be visible, or become so: nobody can say yet.
                if let Some(error) = outcome.tables.into_iter().find_map(transient) {
                    return Err(error);
                }
                endings
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => ending::outcomes_without_load(store, &manifest, &error).await?,
        };
        let ours = Committed { version: Committed::VERSION, tables, at: now };
        let committed = match store.create_committed(&ours).await? {
            Created::First => ours,
            Created::Lost => gone(store.committed().await?, "what became of the tables")?,
        };
        self.end_committed(store, &committed).await
    }
}

/// What can be said of a run without a verdict.
enum Decided {
    /// This is to become of it.
    Verdict(Verdict),
    /// Nothing yet: look again.
    Open(RunState, Requeue),
    /// There is no such run.
    Unknown,
}

/// The verdict that counts: this one, or the one that was there before it.
async fn decide_once(store: &RunStore, verdict: Verdict) -> Result<Verdict> {
    match store.create_verdict(&verdict).await? {
        Created::First => {
            tracing::info!(decision = ?verdict.decision, "decided what becomes of a run");
            Ok(verdict)
        }
        Created::Lost => gone(store.verdict().await?, "the verdict"),
    }
}

fn gone<T>(document: Option<T>, what: &str) -> Result<T> {
    document.ok_or_else(|| Error::transient(format!("read {what}: it is gone")))
}

fn elapsed(since: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - since).to_std().unwrap_or_default()
}

/// Who decides about a run that has a plan.
struct Judge<'a> {
    service: &'a Service,
    store: &'a RunStore,
    manifest: &'a Manifest,
    now: DateTime<Utc>,
}

impl Judge<'_> {
    async fn judge(&self) -> Result<Decided> {
        if let Err(error) = check_targets(self.manifest) {
            return Ok(self.fail(&error));
        }
        let missing_units = missing_units(self.store, self.manifest).await?;
        if let Some(decided) = self.settle(&missing_units).await? {
            return Ok(decided);
        }
        let (launch, why) = match self.watch().await? {
            Watched::Open(look) => return Ok(Decided::Open(RunState::Extracting, look)),
            Watched::Impossible(error) => return Ok(self.fail(&error)),
            Watched::Ended { launch, why } => (launch, why),
        };
        // What its tasks did before they ended may have been missed before.
        let missing_units = crate::coverage::missing_units(self.store, self.manifest).await?;
        if let Some(decided) = self.settle(&missing_units).await? {
            return Ok(decided);
        }
        self.launch_again(launch, &why, &missing_units).await
    }

    /// Whether a run can be decided about, however its tasks are.
    async fn settle(&self, missing_units: &MissingUnits) -> Result<Option<Decided>> {
        if missing_units.missing.is_empty() {
            return self.commit(missing_units, Vec::new()).await.map(Some);
        }
        let failures = Failures::read(self.store).await?;
        let given_up = failures.permanent(self.manifest);
        if let Some(failure) = given_up.run.into_iter().next() {
            return Ok(Some(self.fail(&fatal(self.manifest, failure))));
        }
        if missing_units.missing.iter().all(|unit| given_up.tables.contains_key(&unit.table)) {
            let tables = given_up
                .tables
                .into_iter()
                .filter(|(table, _)| missing_units.missing.iter().any(|unit| unit.table == *table))
                .map(|(table, failure)| (table, ErrorReport::from(&failure.into_error())))
                .collect();
            return self.commit(missing_units, tables).await.map(Some);
        }
        let overdue = self.service.overdue(self.manifest.run, self.manifest.planned, self.now);
        Ok(overdue.map(|error| {
            let hint = error.remedy().map(str::to_owned);
            self.fail(&self.incomplete(&error.to_string(), missing_units, &failures, hint))
        }))
    }

    /// That the run is loaded, once its receipts can be read.
    async fn commit(
        &self,
        missing_units: &MissingUnits,
        given_up: Vec<(u32, ErrorReport)>,
    ) -> Result<Decided> {
        coverage_of(self.store, self.manifest, missing_units.generation).await?;
        let given_up = given_up.into_iter().collect();
        Ok(Decided::Verdict(Verdict::commit(missing_units.generation, given_up, self.now)))
    }

    fn fail(&self, error: &Error) -> Decided {
        Decided::Verdict(Verdict::fail(ErrorReport::from(error), self.now))
    }

    /// The error of a run that ends with units missing: which, and the last word of each.
    fn incomplete(
        &self,
        what: &str,
        missing_units: &MissingUnits,
        failures: &Failures,
        hint: Option<String>,
    ) -> Error {
        let mut text = format!("{what}: {}", name_missing(self.manifest, &missing_units.missing));
        let words = failures.last_words(&missing_units.missing);
        for failure in &words {
            text.push_str("; ");
            text.push_str(&failure.message);
        }
        let kind = words.last().map_or(Kind::Transient, |failure| failure.kind);
        let remedy = words.iter().rev().find_map(|failure| failure.hint.clone()).or(hint);
        Error::new(kind, text).hint(remedy.unwrap_or_else(|| {
            format!(
                "`sluice status {} --bucket {}` shows each unit's last error; when its cause is mended, ask for the job again",
                self.manifest.run, self.manifest.bucket
            )
        }))
    }
}
