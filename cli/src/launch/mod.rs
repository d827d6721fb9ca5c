//! Tasks as child processes, started and restarted the way Cloud Run does it.

mod child;
mod output;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use sluice_contracts::documents::{Claim, Failure, Order};
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Kind, Result};
use sluice_planner::launch::Launcher;
use tokio::sync::{mpsc, watch};
use uuid::Uuid;

pub(crate) use child::PARENT;
use child::{Child, Ended};

/// Cloud Run's default for a task's retries.
pub(crate) const RETRIES: u32 = 3;
/// Pause before a task's first retry; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(250);

/// Something that happened to a task.
#[derive(Debug)]
pub(crate) enum Event {
    /// How far an attempt has come.
    Progress(Progress),
    /// The task warns of something.
    Warned { task: u32, message: String },
    /// An attempt failed, and the next one begins.
    Retried { task: u32, attempt: u32, why: String },
    /// The task is done.
    Done { task: u32 },
    /// The task was asked to stop, and did.
    Stopped { task: u32 },
    /// The task failed and is not tried again. Where it says that only some tables of the run are
    /// concerned, it has read its units of all others.
    Failed { task: u32, error: Error, tables_only: bool },
}

/// How far an attempt of a task has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Deserialize)]
pub(crate) struct Progress {
    /// The task.
    pub(crate) task: u32,
    /// Rows it has read.
    pub(crate) rows: u64,
    /// Bytes it has received from the source.
    pub(crate) bytes: u64,
    /// Units that are done.
    pub(crate) units_done: u64,
    /// The generation of the snapshot that all of this was read at.
    pub(crate) generation: u32,
}

impl Progress {
    /// Counts more of the same kind.
    pub(crate) fn add(&mut self, more: &Self) {
        self.rows += more.rows;
        self.bytes += more.bytes;
        self.units_done += more.units_done;
    }
}

/// Runs tasks as children of this process.
///
/// A task that fails, or is killed, is started again up to three times, unless it recorded a
/// failure that trying again cannot fix. Every task ends with exactly one of `Done`, `Stopped` and
/// `Failed`.
pub(crate) struct ChildProcesses {
    /// The program and its arguments.
    pub(crate) command: (PathBuf, Vec<OsString>),
    /// Where launches are ordered, and tasks record their failures.
    pub(crate) store: RunStore,
    /// Takes what happens. It ends when the last task has and the launcher is gone.
    pub(crate) events: mpsc::UnboundedSender<Event>,
    /// Turns true when all tasks must stop.
    pub(crate) stop: watch::Receiver<bool>,
}

impl fmt::Debug for ChildProcesses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChildProcesses").field("command", &self.command).finish_non_exhaustive()
    }
}

#[async_trait]
impl Launcher for ChildProcesses {
    async fn launch(&self, manifest_url: &str, tasks: &[u32]) -> Result<String> {
        let name = Uuid::new_v4().simple().to_string();
        let name = format!("sluice-{}", &name[..8]);
        let execution = Arc::new(Execution {
            command: self.command.clone(),
            store: self.store.clone(),
            launch: self.order(tasks, &name).await?,
            name,
            manifest_url: manifest_url.to_owned(),
            task_count: u32::try_from(tasks.len()).unwrap_or(u32::MAX),
        });
        for (index, &task) in (0..).zip(tasks) {
            let place = Place { task, index };
            let (execution, events) = (Arc::clone(&execution), self.events.clone());
            let stop = self.stop.clone();
            tokio::spawn(async move { execution.supervise(place, &events, stop).await });
        }
        Ok(execution.name.clone())
    }
}

impl ChildProcesses {
    /// Orders a launch of the tasks, the run's next, and claims it for an execution.
    async fn order(&self, tasks: &[u32], execution: &str) -> Result<u32> {
        loop {
            let launch = self.store.newest_launch().await?.map_or(0, |newest| newest + 1);
            let order = Order {
                version: Order::VERSION,
                launch,
                tasks: tasks.to_vec(),
                reason: "`sluice run` carries the run out".to_owned(),
                at: Utc::now(),
            };
            let claim = Claim {
                version: Claim::VERSION,
                launch,
                execution: execution.to_owned(),
                at: Utc::now(),
            };
            // Another `sluice run --resume` may order the same launch.
            if self.store.create_order(&order).await? == Created::First
                && self.store.create_claim(&claim).await? == Created::First
            {
                return Ok(launch);
            }
        }
    }
}

/// A task's two numbers.
#[derive(Debug, Clone, Copy)]
struct Place {
    /// In the manifest: what people are shown.
    task: u32,
    /// In the execution: what it finds in its environment, and what documents name it by.
    index: u32,
}

/// One launch.
struct Execution {
    command: (PathBuf, Vec<OsString>),
    store: RunStore,
    launch: u32,
    name: String,
    manifest_url: String,
    task_count: u32,
}

impl Execution {
    /// Starts a task until it is done, or until starting it again is of no use.
    async fn supervise(
        &self,
        place: Place,
        events: &mpsc::UnboundedSender<Event>,
        mut stop: watch::Receiver<bool>,
    ) {
        let task = place.task;
        let mut attempt = 0;
        let last = loop {
            if *stop.borrow() {
                break Event::Stopped { task };
            }
            let ended = match Child::start(self, place, attempt) {
                Ok(child) => child.wait(events, &mut stop).await,
                Err(error) => break Event::Failed { task, error, tables_only: false },
            };
            let failed = match ended {
                Ok(Ended::Done) => break Event::Done { task },
                Ok(Ended::Stopped) => break Event::Stopped { task },
                Ok(Ended::Failed(failed)) => failed,
                Err(error) => break Event::Failed { task, error, tables_only: false },
            };
            let word = self.failure(place.index, attempt).await;
            let useless = word.as_ref().is_some_and(|failure| failure.kind != Kind::Transient);
            if useless || attempt == RETRIES {
                let tables_only = useless && word.as_ref().is_some_and(|word| word.unit.is_some());
                let error = match word {
                    Some(failure) => failure.into_error(),
                    None => failed.error(task, attempt + 1),
                };
                break Event::Failed { task, error, tables_only };
            }
            let why = word.map_or_else(|| failed.how.clone(), |failure| failure.message);
            // Sending fails only if the run has ended.
            let _ = events.send(Event::Retried { task, attempt, why });
            let pause = tokio::time::sleep(PAUSE * 2_u32.pow(attempt));
            tokio::select! {
                () = pause => {}
                () = told_to_stop(&mut stop) => {}
            }
            attempt += 1;
        };
        let _ = events.send(last);
    }

    /// What an attempt said about its end.
    async fn failure(&self, index: u32, attempt: u32) -> Option<Failure> {
        let failures = match self.store.failures().await {
            Ok(failures) => failures,
            Err(error) => {
                tracing::warn!("{}", error.chain());
                return None;
            }
        };
        failures.into_iter().rev().find(|failure| {
            failure.execution == self.name && failure.task == index && failure.attempt == attempt
        })
    }
}

/// Waits until all tasks must stop.
async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // An error says that the run, which holds the other side, is gone: that is reason enough.
    drop(stop.wait_for(|stop| *stop).await);
}
