//! Decides what becomes of a run without a verdict.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sluice_contracts::documents::{ErrorReport, Manifest, RunId, Verdict};
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Kind, Result};

use super::requeue::Requeue;
use super::{Loader, RunState, Step, elapsed, follow, gone};
use crate::commit::check_targets;
use crate::coverage::{MissingUnits, best_generation, name_missing};
use crate::failures::{Failures, fatal};
use crate::view::RunView;

/// What can be said of a run without a verdict.
pub(super) enum Decided {
    /// It is decided, with this verdict.
    Verdict(Verdict),
    /// Nothing yet: check again.
    Open(RunState, Requeue),
    /// There is no such run.
    Unknown,
}

impl Loader {
    /// Decides what becomes of a run, if that is known, and writes the verdict.
    pub(super) async fn decide(&self, view: &RunView, now: DateTime<Utc>) -> Result<Step> {
        let decided = match view.manifest().await {
            Ok(manifest) => {
                let store = view.store();
                Undecided { service: self, view, store, manifest: &manifest, now }.decide().await
            }
            Err(error) if error.kind() == Kind::NotFound => self.unplanned(view.store(), now).await,
            Err(error) => Err(error),
        };
        match decided {
            Ok(Decided::Verdict(verdict)) => decide_once(view, verdict).await.map(follow),
            Ok(Decided::Open(state, requeue)) => Ok(Step::Wait(state, requeue)),
            Ok(Decided::Unknown) => Ok(Step::Nothing(RunState::Unknown)),
            // Documents never change: one that is wrong stays wrong.
            Err(error) if matches!(error.kind(), Kind::Data | Kind::Bug) => {
                let verdict = Verdict::fail(ErrorReport::from(&error), now);
                decide_once(view, verdict).await.map(follow)
            }
            Err(error) => Err(error),
        }
    }

    /// A run without a plan is left to the planner, which is asked for the plan again and again,
    /// but not forever.
    async fn unplanned(&self, store: &RunStore, now: DateTime<Utc>) -> Result<Decided> {
        let Some(request) = store.request().await? else { return Ok(Decided::Unknown) };
        if let Some(error) = Self::overdue(store.run(), request.at, self.deadline, now) {
            let error = error.because(Error::transient("it was never planned"));
            return Ok(Decided::Verdict(Verdict::fail(ErrorReport::from(&error), now)));
        }
        Ok(Decided::Open(RunState::Planning, Requeue::for_tasks(request.at)))
    }

    /// The error of a run that takes too long.
    fn overdue(
        run: RunId,
        since: DateTime<Utc>,
        deadline: Duration,
        now: DateTime<Utc>,
    ) -> Option<Error> {
        let hours = deadline.as_secs_f64() / 3600.0;
        (elapsed(since, now) >= deadline).then(|| {
            Error::transient(format!("run `{run}`: not extracted within {hours} hours")).hint(
                "ask for the job again with more tasks, or raise the loader's `SLUICE_RUN_DEADLINE`",
            )
        })
    }
}

/// The verdict that counts: this one, or the one that was there before it.
async fn decide_once(view: &RunView, verdict: Verdict) -> Result<Arc<Verdict>> {
    let verdict = match view.store().create_verdict(&verdict).await? {
        Created::First => {
            tracing::info!(decision = ?verdict.decision, "decided what becomes of a run");
            verdict
        }
        Created::Lost => gone(view.store().verdict().await?, "the verdict")?,
    };
    Ok(view.keep_verdict(verdict))
}

/// The state of the newest launch of a run.
pub(super) enum LaunchState {
    /// At work, or about to be: check again.
    Open(Requeue),
    /// No task works on it any more.
    Ended {
        /// Its number.
        launch: u32,
        /// What is known of its end.
        why: String,
    },
    /// It cannot be started.
    Impossible(Error),
}

/// A run that has a plan and no verdict.
pub(super) struct Undecided<'a> {
    pub(super) service: &'a Loader,
    pub(super) view: &'a RunView,
    pub(super) store: &'a RunStore,
    pub(super) manifest: &'a Manifest,
    pub(super) now: DateTime<Utc>,
}

impl Undecided<'_> {
    async fn decide(&self) -> Result<Decided> {
        if let Err(error) = check_targets(self.manifest) {
            return Ok(self.fail(&error));
        }
        let missing = best_generation(self.store, self.manifest).await?;
        if let Some(decided) = self.settle(&missing).await? {
            return Ok(decided);
        }
        let (launch, why) = match self.watch().await? {
            LaunchState::Open(requeue) => return Ok(Decided::Open(RunState::Extracting, requeue)),
            LaunchState::Impossible(error) => return Ok(self.fail(&error)),
            LaunchState::Ended { launch, why } => (launch, why),
        };
        // The first count may have missed what the tasks did before they ended.
        let missing = best_generation(self.store, self.manifest).await?;
        if let Some(decided) = self.settle(&missing).await? {
            return Ok(decided);
        }
        self.launch_again(launch, &why, &missing).await
    }

    /// Decides a run, if that does not depend on the state of its tasks.
    async fn settle(&self, missing: &MissingUnits) -> Result<Option<Decided>> {
        if missing.units.is_empty() {
            return self.commit(missing, Vec::new()).await.map(Some);
        }
        let failures = Failures::read(self.store).await?;
        let given_up = failures.permanent(self.manifest);
        if let Some(failure) = given_up.run.into_iter().next() {
            return Ok(Some(self.fail(&fatal(self.manifest, failure))));
        }
        if missing.units.iter().all(|unit| given_up.tables.contains_key(&unit.table)) {
            let tables = given_up
                .tables
                .into_iter()
                .filter(|(table, _)| missing.units.iter().any(|unit| unit.table == *table))
                .map(|(table, failure)| (table, ErrorReport::from(&failure.into_error())))
                .collect();
            return self.commit(missing, tables).await.map(Some);
        }
        // What Cloud Run may wait before each execution does not count.
        let delay = self.manifest.task_kind.delay() * self.manifest.max_executions;
        let deadline = self.service.deadline + delay;
        let (run, since) = (self.manifest.run, self.manifest.planned);
        let overdue = Loader::overdue(run, since, deadline, self.now);
        Ok(overdue.map(|error| {
            let hint = error.remedy().map(str::to_owned);
            self.fail(&self.incomplete(&error.to_string(), missing, &failures, hint))
        }))
    }

    /// Decides to load the run, if its receipts can be read.
    async fn commit(
        &self,
        missing: &MissingUnits,
        given_up: Vec<(u32, ErrorReport)>,
    ) -> Result<Decided> {
        self.view.coverage_of(missing.generation).await?;
        let given_up = given_up.into_iter().collect();
        Ok(Decided::Verdict(Verdict::commit(missing.generation, given_up, self.now)))
    }

    pub(super) fn fail(&self, error: &Error) -> Decided {
        Decided::Verdict(Verdict::fail(ErrorReport::from(error), self.now))
    }

    /// The error of a run that ends with units missing: which units, and the last failure of each.
    pub(super) fn incomplete(
        &self,
        what: &str,
        missing: &MissingUnits,
        failures: &Failures,
        hint: Option<String>,
    ) -> Error {
        let mut text = format!("{what}: {}", name_missing(self.manifest, &missing.units));
        let words = failures.last_words(&missing.units);
        for failure in &words {
            text.push_str("; ");
            text.push_str(&failure.message);
        }
        let kind = words.last().map_or(Kind::Transient, |failure| failure.kind);
        let remedy = words.iter().rev().find_map(|failure| failure.hint.clone()).or(hint);
        Error::new(kind, text).hint(remedy.unwrap_or_else(|| {
            format!(
                "`sluice status {} --bucket {}` shows each unit's last error; when its cause is fixed, ask for the job again",
                self.manifest.run, self.manifest.bucket
            )
        }))
    }
}
