//! A stand-in for Dataflow: the launch of Flex Templates, the jobs and their messages, of version
//! 1b3 of the API. It answers Sluice, and the commands of `gcloud dataflow`.

mod api;
mod discovery;
mod job;
mod work;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{Server, Trouble, Troubles};

pub use job::{Job, State};

/// The program that the stand-in runs for each job, with `--order URL` as its last arguments.
#[derive(Debug, Clone)]
pub struct Pipeline {
    /// The program.
    pub program: PathBuf,
    /// The arguments before `--order`.
    pub arguments: Vec<String>,
    /// The program's whole environment.
    pub environment: Vec<(String, String)>,
    /// The folder in which the program runs; the test's own folder, if absent.
    pub folder: Option<PathBuf>,
}

impl Pipeline {
    /// A pipeline without further arguments, and with an empty environment.
    pub fn new(program: impl Into<PathBuf>) -> Self {
        Self {
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            folder: None,
        }
    }
}

/// A stand-in for Dataflow. Dropping it kills the programs of all jobs.
#[derive(Debug)]
pub struct Dataflow {
    inner: Arc<Inner>,
    server: Server,
}

#[derive(Debug)]
struct Inner {
    pipeline: Pipeline,
    /// What the programs print: for each job a file of its output, and one of its errors.
    logs: TempDir,
    entries: Mutex<Vec<Entry>>,
    troubles: Troubles,
    /// Whether jobs start.
    starting: watch::Sender<bool>,
}

#[derive(Debug)]
struct Entry {
    job: Job,
    /// The state in which the job has to end before its program does.
    demanded: watch::Sender<Option<State>>,
    work: JoinHandle<()>,
}

impl Dataflow {
    /// Starts a stand-in without jobs. Each job will run this pipeline.
    pub async fn start(pipeline: Pipeline) -> Self {
        let inner = Arc::new(Inner {
            pipeline,
            logs: TempDir::with_prefix("sluice-dataflow-").expect("a temporary folder"),
            entries: Mutex::default(),
            troubles: Troubles::default(),
            starting: watch::Sender::new(true),
        });
        let router = Router::new().fallback(api::answer).with_state(Arc::clone(&inner));
        Self { inner, server: Server::start(router).await }
    }

    /// The stand-in's URL, for `SLUICE_DATAFLOW_ENDPOINT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Makes the next calls go wrong.
    pub fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.inner.troubles.add(troubles);
    }

    /// Sets whether jobs start. New jobs stay queued until they may start.
    pub fn let_start(&self, start: bool) {
        self.inner.starting.send_replace(start);
    }

    /// All jobs, oldest first.
    pub fn jobs(&self) -> Vec<Job> {
        self.inner.entries().iter().map(|entry| entry.job.clone()).collect()
    }

    /// The job of an id.
    pub fn job(&self, id: &str) -> Option<Job> {
        self.inner.find(id)
    }

    /// Waits for the end of a job, and returns it.
    pub async fn ended(&self, id: &str) -> Job {
        for _ in 0..12_000 {
            match self.job(id) {
                Some(job) if job.state.has_ended() => return job,
                Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                None => panic!("there is no job `{id}`"),
            }
        }
        panic!("`{id}` did not end within two minutes:\n{}", self.log());
    }

    /// Ends a job in this state, as a person or Dataflow itself could. Kills its program, and waits
    /// for its death. Does nothing if the job has ended.
    pub async fn end(&self, id: &str, state: State) -> Job {
        assert!(state.has_ended(), "{state:?} is not the end of a job");
        self.inner.demand(id, state);
        self.ended(id).await
    }

    /// What the programs of all jobs have printed.
    pub fn log(&self) -> String {
        let mut files: Vec<PathBuf> = std::fs::read_dir(self.inner.logs.path())
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
            .collect();
        files.sort();
        let texts = files.iter().map(|file| std::fs::read_to_string(file).unwrap_or_default());
        texts.collect()
    }
}

impl Drop for Dataflow {
    fn drop(&mut self) {
        for entry in self.inner.entries().iter() {
            entry.work.abort();
        }
    }
}

impl Inner {
    fn entries(&self) -> MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().expect("no thread panicked")
    }

    fn find(&self, id: &str) -> Option<Job> {
        self.entries().iter().map(|entry| &entry.job).find(|job| job.id == id).cloned()
    }

    fn change(&self, id: &str, change: impl FnOnce(&mut Job)) {
        if let Some(entry) = self.entries().iter_mut().find(|entry| entry.job.id == id) {
            change(&mut entry.job);
        }
    }

    /// Makes a job end in this state.
    fn demand(&self, id: &str, state: State) {
        for entry in self.entries().iter().filter(|entry| entry.job.id == id) {
            entry.demanded.send_replace(Some(state));
        }
    }
}
