//! Carrying out a job: plan, launch, watch, commit.

use std::collections::BTreeSet;
use std::path::Path;
use std::task::Poll;
use std::time::{Duration, Instant};

use chrono::Utc;
use sluice_contracts::documents::{Manifest, RunId};
use sluice_contracts::error::Doing as _;
use sluice_contracts::job::Job;
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Kind, Result};
use sluice_loader::{
    Coverage, Outcome, RunView, Tries, coverage, error_of, table_outcomes, tasks_to_start,
};
use sluice_planner::TargetCheck;
use sluice_planner::launch::Launcher as _;
use sluice_runtime::storage::open_bucket;
use sluice_targets::Targets;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};

use crate::commands::{self, check_places, open_source, open_targets, open_targets_of};
use crate::format::count;
use crate::launch::{ChildProcesses, Event};
use crate::location::shell_word;
use crate::progress::{Display, TICK, shown};
use crate::resume::find;
use crate::summary::RunReport;

/// Executions of a run before its gaps are reported. More than one is needed only if the snapshot
/// was lost, and some tasks had ended before the next one was taken.
const EXECUTIONS: u32 = 3;
/// Time between two checks of a target that is at work.
const LOOK: Duration = Duration::from_secs(1);
/// Time between two attempts at a target that does not answer.
const PAUSE: Duration = Duration::from_secs(5);
/// How long a target is waited for that is out of order. A person waits for the command, and can
/// load the run later.
const PATIENCE: Duration = Duration::from_mins(10);

/// A run that has a manifest, and how it ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) report: RunReport,
    /// Why some table is not visible.
    pub(crate) error: Option<Error>,
}

/// What to type to finish a run that ended early.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Again<'a> {
    /// `sluice run` with this job file, and the bucket that the file leaves out.
    Run { job: &'a Path, bucket: Option<&'a str> },
    /// The same command, which has no job file.
    Same,
    /// `sluice load`.
    Load,
}

/// A run that has a manifest, to be carried out.
#[derive(Debug)]
pub(crate) struct Planned {
    started: Instant,
    store: RunStore,
    manifest: Manifest,
}

impl Planned {
    /// Plans a run of a job, or finds one of its runs.
    pub(crate) async fn run(job: &Job, resume: Option<RunId>) -> Result<Self> {
        let started = Instant::now();
        let (store, manifest) = match resume {
            None => plan(job).await?,
            Some(run) => find(job, run).await?,
        };
        Ok(Self { started, store, manifest })
    }

    /// A run of which the documents were found.
    pub(crate) fn found(store: RunStore, manifest: Manifest) -> Self {
        Self { started: Instant::now(), store, manifest }
    }

    /// Carries it out.
    ///
    /// # Errors
    /// If there is nothing to report; failures of the run are in [`Finished`].
    pub(crate) async fn carry_out(self, again: Again<'_>) -> Result<Finished> {
        let result = extract_and_commit(&self.store, &self.manifest).await;
        self.finish(result, again).await
    }

    /// Loads what was read of it, and reads nothing.
    pub(crate) async fn load_again(self) -> Result<Finished> {
        let Self { store, manifest, .. } = &self;
        let run = manifest.run;
        let loaded = async {
            let coverage = coverage(store, manifest).await?;
            coverage.given_up(store, manifest).await.map_err(|error| {
                error.hint(format!(
                    "`sluice run JOB --resume {run}` reads what is missing, and loads"
                ))
            })?;
            commit(store, manifest, &open_targets_of(manifest).await?).await
        };
        let result = loaded.await;
        self.finish(result, Again::Load).await
    }

    async fn finish(self, result: Result<Outcome>, again: Again<'_>) -> Result<Finished> {
        let Self { started, store, manifest } = self;
        let seconds = started.elapsed().as_secs_f64();
        let report = RunReport::gather(&store, &manifest, &result, seconds).await;
        let error = result
            .map_or_else(Some, |outcome| error_of(&manifest, &table_outcomes(&manifest, &outcome)));
        let error = error.map(|error| with_way_out(error, again, manifest.run));
        match (report, error) {
            (Ok(report), error) => Ok(Finished { report, error }),
            // The first failure says more than the one that it led to.
            (Err(_), Some(error)) => Err(error),
            (Err(later), None) => Err(later),
        }
    }
}

/// Plans a run and writes its manifest.
async fn plan(job: &Job) -> Result<(RunStore, Manifest)> {
    check_places(job)?;
    let targets = open_targets(job.selection.target()).await?;
    let mut manifest = plan_shown(job, TargetCheck::ToRun(&targets)).await?;
    // Not before: a job that is refused makes no folder.
    let bucket = open_bucket(&job.bucket)?;
    sluice_planner::name_dropped(&bucket, job, &mut manifest).await?;
    let store = RunStore::new(bucket, manifest.run);
    match store.create_manifest(&manifest).await? {
        Created::First => {
            sluice_planner::remember(store.bucket(), &manifest).await;
            Ok((store, manifest))
        }
        Created::Lost => Err(Error::bug(format!("run `{}` has a manifest already", manifest.run))),
    }
}

/// Plans a run, and shows how far the planning has come.
pub(crate) async fn plan_shown(job: &Job, targets: TargetCheck<'_>) -> Result<Manifest> {
    let progress = sluice_planner::Progress::default();
    let planning = sluice_planner::plan(job, open_source(&job.source)?, targets, &progress);
    shown(|| format!("planning: {}", progress.last()), planning).await
}

async fn extract_and_commit(store: &RunStore, manifest: &Manifest) -> Result<Outcome> {
    let doing = |error: Error| error.during(format!("run `{}`", manifest.run));
    let targets = open_targets_of(manifest).await?;
    for _ in 0..EXECUTIONS {
        let coverage = coverage(store, manifest).await?;
        if coverage.is_complete() {
            break;
        }
        let tasks = tasks_to_start(store, manifest, &coverage.missing).await?;
        let ended = launch_and_watch(store, manifest, &coverage, &tasks).await.map_err(doing)?;
        require_one_snapshot(store, manifest).await.map_err(doing)?;
        if ended == Ended::Partly {
            break;
        }
    }
    commit(store, manifest, &targets).await
}

/// Makes the tables of a run visible that was read.
async fn commit(store: &RunStore, manifest: &Manifest, targets: &Targets) -> Result<Outcome> {
    // After the tasks: what was read of the run before they ended is out of date.
    let view = RunView::new(store.clone());
    let tries = Tries::since(Utc::now(), PATIENCE);
    let committing = async {
        loop {
            match sluice_loader::commit(&view, targets, tries).await? {
                Poll::Ready(outcome) if outcome.may_pass() && Utc::now() < tries.give_up => {
                    tokio::time::sleep(PAUSE).await;
                }
                Poll::Ready(outcome) => break Ok::<_, Error>(outcome),
                Poll::Pending => tokio::time::sleep(LOOK).await,
            }
        }
    };
    let of = count(manifest.tables.len() as u64, "table");
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let outcome = tokio::select! {
        outcome = shown(|| format!("loading: {} of {of}", view.settled()), committing) => outcome?,
        _ = interrupt.recv() => return Err(stopped_loading()),
        _ = terminate.recv() => return Err(stopped_loading()),
    };
    if outcome.is_whole() {
        sluice_loader::delete_parts(store, &BTreeSet::new()).await;
        sweep(store);
    }
    Ok(outcome)
}

/// Why a load ends that a person has stopped. What the target was asked for goes on by itself.
fn stopped_loading() -> Error {
    Error::transient("interrupted while the rows were loaded: what the target has begun goes on")
}

/// Removes the unfinished parts that killed tasks left in a bucket that is a folder. They are not
/// objects, so the run's own deletion of its parts skips them.
fn sweep(store: &RunStore) {
    let Ok(bucket) = sluice_runtime::storage::folder(&store.bucket().url) else { return };
    let parts = bucket.join(store.layout().parts().as_ref());
    match std::fs::remove_dir_all(&parts) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!("`{}` could not be removed: {error}", parts.display());
        }
        _ => {}
    }
}

/// How an execution ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    /// Every task did what it could.
    Done,
    /// Some tables were given up.
    Partly,
}

/// Refuses to go on if some tables are visible as of a snapshot that is gone and the others lack
/// rows of it: they could only be read at a later one. Another process that resumes the run may
/// have read them, and committed some.
async fn require_one_snapshot(store: &RunStore, manifest: &Manifest) -> Result<()> {
    let newest = store.generation().await?.unwrap_or(0);
    for table in &manifest.tables {
        if let Some(commit) = store.commit(table.index).await?
            && commit.snapshot < newest
            && !coverage(store, manifest).await?.is_complete()
        {
            return Err(Error::data(format!(
                "`{}` is committed as of a snapshot that no task holds any more",
                table.name
            ))
            .hint("start the job again: a new run reads all its tables at one moment"));
        }
    }
    Ok(())
}

/// One execution, to its end. When a task fails for good, and not only for some tables of many, the
/// others are asked to stop: what they have finished stays.
async fn launch_and_watch(
    store: &RunStore,
    manifest: &Manifest,
    coverage: &Coverage,
    tasks: &[u32],
) -> Result<Ended> {
    let program =
        std::env::current_exe().doing(Kind::NotFound, || "find the program to start tasks with")?;
    let (events, mut heard) = mpsc::unbounded_channel();
    let (stop, stopping) = watch::channel(false);
    let launcher = ChildProcesses {
        command: (program, vec![commands::task::NAME.into()]),
        store: store.clone(),
        events,
        stop: stopping,
    };
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let mut display = Display::new(store, manifest, coverage, tasks).await?;
    launcher.launch(&store.manifest_url(), tasks).await?;
    // The events end with the last task: nothing else may hold their sending side.
    drop(launcher);
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + TICK, TICK);
    let fails_as_a_whole = manifest.fails_as_a_whole();
    let mut ended = Ended::Done;
    let mut failure = None;
    loop {
        tokio::select! {
            event = heard.recv() => {
                let Some(event) = event else { break };
                display.show(&event);
                match event {
                    Event::Failed { tables_only: true, .. } if !fails_as_a_whole => ended = Ended::Partly,
                    Event::Failed { task, error, .. } => {
                        stop.send_replace(true);
                        failure.get_or_insert(error.during(format!("task {task}")));
                    }
                    _ => {}
                }
            }
            _ = interrupt.recv() => stop_all(&stop, &mut failure),
            _ = terminate.recv() => stop_all(&stop, &mut failure),
            _ = ticks.tick() => display.tick(),
        }
    }
    display.finish();
    failure.map_or(Ok(ended), Err)
}

fn stop_all(stop: &watch::Sender<bool>, failure: &mut Option<Error>) {
    stop.send_replace(true);
    failure.get_or_insert_with(|| Error::transient("interrupted"));
}

fn listen(kind: SignalKind) -> Result<tokio::signal::unix::Signal> {
    signal(kind).doing(Kind::Bug, || "listen for signals")
}

/// Adds how to go on, if the error does not say so itself and going on may help.
fn with_way_out(error: Error, again: Again<'_>, run: RunId) -> Error {
    let helps = matches!(error.kind(), Kind::Transient | Kind::Denied | Kind::NotFound);
    if error.remedy().is_some() || !helps {
        return error;
    }
    let command = match again {
        Again::Run { job, bucket } => {
            let job = if job.as_os_str() == "-" { "JOB".to_owned() } else { shell_word(job) };
            let bucket = bucket.map(|url| format!(" --bucket {}", shell_word(Path::new(url))));
            format!("`sluice run {job}{} --resume {run}`", bucket.unwrap_or_default())
        }
        Again::Same => format!("the same command with `--resume {run}`"),
        Again::Load => {
            return error.hint(format!("`sluice load {run}` tries it again: the parts are kept"));
        }
    };
    error.hint(format!("{command} reads only what is missing, and commits"))
}
