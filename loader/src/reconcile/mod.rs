//! Brings a run towards its end: reads what its documents say, chooses the next step, and takes it.

mod decide;
mod ending;
mod launching;
mod loading_again;
mod requeue;

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, Utc};
use sluice_contracts::documents::{Committed, Decision, LoadOrder, RunId, Verdict};
use sluice_contracts::ports::{Announcer, Checks, Executions};
use sluice_contracts::store::{Bucket, Created, RunStore};
use sluice_contracts::{Error, Result};
use sluice_targets::Targets;
use tracing::Instrument as _;

use crate::commit::{Tries, commit};
use crate::outcome::table_outcomes;
use crate::view::RunView;
use requeue::Requeue;

/// The loader: asked about a run, it takes the step that the run's documents say is next.
#[derive(Debug, Clone)]
pub struct Loader {
    /// Where tasks run.
    pub executions: Arc<dyn Executions>,
    /// The queue that calls it again.
    pub checks: Arc<dyn Checks>,
    /// Where a run's end is announced, if anywhere.
    pub announcer: Option<Arc<dyn Announcer>>,
    /// Where the documents of all runs lie.
    pub bucket: Bucket,
    /// The targets that tables are loaded into.
    pub targets: Targets,
    /// How long a run may take, from its plan until all its receipts are there.
    pub deadline: Duration,
    /// How long a load is tried again that a target cannot carry out for the time being.
    pub patience: Duration,
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
    /// Its name in answers.
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

/// What is next for a run.
enum Step {
    /// Nothing: it has ended, or there is no such run.
    Nothing(RunState),
    /// To wait for its planner, its tasks or its targets, and to be checked again.
    Wait(RunState, Requeue),
    /// To load what the verdict says.
    Load(LoadNumber),
    /// To end without a load.
    Fail(Arc<Verdict>),
    /// To announce what became of its tables.
    Announce(u32, Committed),
}

/// A load of a run.
#[derive(Debug, Clone, Copy)]
struct LoadNumber {
    /// How often the run was loaded before.
    number: u32,
    /// When it was begun.
    begun: DateTime<Utc>,
}

impl Loader {
    /// Takes a run as far as it can come now, and asks for another check unless the run has ended.
    ///
    /// Safe to be killed at any point, to be called at any time, and by any number of callers at
    /// once: decisions lie in the run's documents, and a later caller adopts them. It never waits:
    /// it asks tasks and targets how far they are, and the next check asks them again.
    ///
    /// # Errors
    /// `Transient` where the same call may succeed; another check is asked for whatever the error.
    pub async fn check(&self, run: RunId, now: DateTime<Utc>) -> Result<RunState> {
        let span = tracing::info_span!("check", run = %run);
        async {
            let view = RunView::new(RunStore::new(self.bucket.clone(), run));
            let result = self.reconcile(&view, now).await;
            match &result {
                Ok(state) => tracing::info!(state = state.name(), "checked a run"),
                Err(_) => self.check_after_failure(run, now).await,
            }
            result
        }
        .instrument(span)
        .await
    }

    /// Like [`Loader::check`], without another check if it fails.
    async fn reconcile(&self, view: &RunView, now: DateTime<Utc>) -> Result<RunState> {
        match self.next_step(view, now).await? {
            Step::Nothing(state) => Ok(state),
            Step::Wait(state, requeue) => self.wait(view, state, requeue, now).await,
            Step::Load(load) => self.load(view, load, now).await,
            Step::Fail(verdict) => self.end_failed(view, &verdict, now).await,
            Step::Announce(load, committed) => self.end_committed(view, load, &committed).await,
        }
    }

    /// What the run's documents say is next.
    async fn next_step(&self, view: &RunView, now: DateTime<Utc>) -> Result<Step> {
        let store = view.store();
        if let Some(LoadOrder { load, at, .. }) = store.newest_load().await? {
            return Ok(match self.end_of(view, load).await? {
                Some(step) => step,
                None => Step::Load(LoadNumber { number: load, begun: at }),
            });
        }
        if let Some(step) = self.end_of(view, 0).await? {
            return Ok(step);
        }
        match view.verdict().await? {
            Some(verdict) => Ok(follow(verdict)),
            None => self.decide(view, now).await,
        }
    }

    /// What is next for a run of which a load has ended, if it has.
    async fn end_of(&self, view: &RunView, load: u32) -> Result<Option<Step>> {
        if view.store().announced_of(load).await?.is_some() {
            return Ok(Some(Step::Nothing(RunState::Ended)));
        }
        let committed = view.store().committed_of(load).await?;
        Ok(committed.map(|committed| Step::Announce(load, committed)))
    }

    async fn wait(
        &self,
        view: &RunView,
        state: RunState,
        requeue: Requeue,
        now: DateTime<Utc>,
    ) -> Result<RunState> {
        self.checks.ask(&requeue.at(view.store().run(), now)).await?;
        Ok(state)
    }

    /// Loads what the verdict says, as far as the targets have come.
    async fn load(&self, view: &RunView, load: LoadNumber, now: DateTime<Utc>) -> Result<RunState> {
        let (store, manifest) = (view.store(), view.manifest().await?);
        let tries = Tries::since(load.begun, self.patience);
        let tables = match commit(view, &self.targets, tries).await {
            Ok(Poll::Pending) => {
                let requeue = Requeue::for_targets(load.begun);
                return self.wait(view, RunState::Loading, requeue, now).await;
            }
            Ok(Poll::Ready(outcome)) => {
                let endings = table_outcomes(&manifest, &outcome);
                let transient =
                    |table: crate::TableCommit| table.result.err().filter(Error::is_transient);
                // It may be visible, or become so: that is not known yet.
                if let Some(error) = outcome.tables.into_iter().find_map(transient) {
                    return Err(error);
                }
                endings
            }
            Err(error) if error.is_transient() => return Err(error),
            Err(error) => ending::outcomes_without_load(view, &manifest, &error).await?,
        };
        let ours = Committed { version: Committed::VERSION, tables, at: now };
        let committed = match store.create_committed(load.number, &ours).await? {
            Created::First => ours,
            Created::Lost => {
                gone(store.committed_of(load.number).await?, "what became of the tables")?
            }
        };
        self.end_committed(view, load.number, &committed).await
    }
}

/// The step that a verdict leads to.
fn follow(verdict: Arc<Verdict>) -> Step {
    match verdict.decision {
        Decision::Commit => Step::Load(LoadNumber { number: 0, begun: verdict.at }),
        Decision::Fail => Step::Fail(verdict),
    }
}

/// A document that cannot be created because it exists, and is then not found.
fn gone<T>(document: Option<T>, what: &str) -> Result<T> {
    document.ok_or_else(|| Error::transient(format!("read {what}: it is gone")))
}

fn elapsed(since: DateTime<Utc>, now: DateTime<Utc>) -> Duration {
    (now - since).to_std().unwrap_or_default()
}
