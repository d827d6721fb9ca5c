//! A stand-in for Cloud Run's jobs: `jobs.get`, `run`, `executions.get` and `executions.cancel` of
//! the API's version 2, which Sluice calls, and the calls of version 1 that `gcloud run jobs
//! execute` and `executions` make.

mod api;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use chrono::{DateTime, TimeDelta, Utc};
use futures::future::join_all;
use rand::seq::IndexedRandom as _;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio::task::JoinHandle;

use crate::faults;

use super::execution::{Ask, Execution};
use super::{LOCATION, PROJECT, Server, Trouble, Troubles, task};

/// The job of a stand-in.
#[derive(Debug, Clone)]
pub struct Job {
    /// The job's name.
    pub name: String,
    /// The program that its container runs.
    pub program: PathBuf,
    /// The arguments of the program.
    pub arguments: Vec<String>,
    /// The program's whole environment, except what Cloud Run and the request for an execution add.
    pub environment: Vec<(String, String)>,
    /// How many tasks may run at once; zero, if the job does not say.
    pub parallelism: usize,
    /// How many tasks really run at once: the quota of the region.
    pub at_once: usize,
    /// How often a failed task is started again.
    pub max_retries: u32,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How long a task has between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// CPUs and memory of a task, as `resources.limits` has them.
    pub size: (String, String),
}

impl Job {
    /// A job with Cloud Run's own defaults.
    pub fn new(name: &str, program: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            parallelism: 0,
            at_once: 100,
            max_retries: 3,
            timeout: Duration::from_mins(10),
            grace: Duration::from_secs(10),
            // <https://cloud.google.com/run/docs/configuring/jobs/cpu>
            size: ("1000m".to_owned(), "512Mi".to_owned()),
        }
    }

    /// The job's full name, as in `SLUICE_EXTRACTOR_JOB`.
    pub fn full_name(&self) -> String {
        format!("projects/{PROJECT}/locations/{LOCATION}/jobs/{}", self.name)
    }

    pub(super) fn v1_template(&self, environment: &[Value], timeout_seconds: u64) -> Value {
        json!({"metadata": {"annotations": {}}, "spec": {
            "containers": [{"image": "extractor", "env": environment}],
            "maxRetries": self.max_retries,
            "timeoutSeconds": timeout_seconds.to_string(),
        }})
    }

    /// As `google.cloud.run.v2.Job`.
    pub(super) fn v2(&self) -> Value {
        let mut execution =
            json!({"taskCount": 1, "template": self.v2_template(self.timeout.as_secs())});
        // Google's APIs leave out a number that is zero.
        if self.parallelism > 0 {
            execution["parallelism"] = self.parallelism.into();
        }
        json!({"name": self.full_name(), "uid": self.name, "template": execution})
    }

    fn at_once(&self) -> usize {
        if self.parallelism == 0 { self.at_once } else { self.parallelism.min(self.at_once) }
    }

    /// The template of a task.
    pub(super) fn v2_template(&self, timeout_seconds: u64) -> Value {
        json!({
            "containers": [{
                "image": "extractor",
                "resources": {"limits": {"cpu": self.size.0, "memory": self.size.1}},
            }],
            "maxRetries": self.max_retries,
            "timeout": format!("{timeout_seconds}s"),
        })
    }

    fn v1(&self) -> Value {
        let environment = v1_environment(&self.environment);
        let task = self.v1_template(&environment, self.timeout.as_secs());
        let template = json!({"taskCount": 1, "template": task});
        json!({
            "apiVersion": "run.googleapis.com/v1",
            "kind": "Job",
            "metadata": {
                "name": self.name,
                "namespace": PROJECT,
                "generation": 1,
                "uid": self.name,
                "creationTimestamp": "2026-01-01T00:00:00.000000Z",
                "annotations": {},
                "labels": {"cloud.googleapis.com/location": LOCATION},
            },
            "spec": {"template": {"metadata": {"annotations": {}}, "spec": template}},
            "status": {"observedGeneration": 1, "conditions": [{"type": "Ready", "status": "True"}]},
        })
    }
}

/// Variables as version 1 of the API shows them.
pub(super) fn v1_environment(variables: &[(String, String)]) -> Vec<Value> {
    variables.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

/// A stand-in for Cloud Run. Dropping it ends all running tasks.
#[derive(Debug)]
pub struct CloudRun {
    inner: Arc<Inner>,
    server: Server,
}

#[derive(Debug)]
pub(super) struct Inner {
    jobs: Vec<Job>,
    /// The output of the tasks, one file for each attempt.
    pub(super) logs: TempDir,
    entries: Mutex<Vec<Entry>>,
    processes: Mutex<Vec<u32>>,
    troubles: Troubles,
    /// Whether executions start.
    starting: watch::Sender<bool>,
    /// How far the stand-in's clock is ahead of the programs' clocks.
    ahead: Mutex<TimeDelta>,
    ended: broadcast::Sender<Execution>,
}

#[derive(Debug)]
struct Entry {
    execution: Execution,
    cancelled: watch::Sender<bool>,
    work: JoinHandle<()>,
}

impl CloudRun {
    /// Starts a stand-in with this job and without executions.
    pub async fn start(job: Job) -> Self {
        Self::with(vec![job]).await
    }

    /// Starts a stand-in with these jobs and without executions.
    pub async fn with(jobs: Vec<Job>) -> Self {
        let inner = Arc::new(Inner {
            jobs,
            logs: TempDir::with_prefix("sluice-tasks-").expect("a temporary folder"),
            entries: Mutex::default(),
            processes: Mutex::default(),
            troubles: Troubles::default(),
            starting: watch::Sender::new(true),
            ahead: Mutex::new(TimeDelta::zero()),
            ended: broadcast::Sender::new(64),
        });
        let router = Router::new().fallback(api::answer).with_state(Arc::clone(&inner));
        Self { inner, server: Server::start(router).await }
    }

    /// The stand-in's URL, for `SLUICE_RUN_ENDPOINT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The port that the stand-in listens on.
    pub fn port(&self) -> u16 {
        self.server.port()
    }

    /// Makes the next calls go wrong.
    pub fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.inner.troubles.add(troubles);
    }

    /// Sets whether executions start. New executions wait until they may start.
    pub fn let_start(&self, start: bool) {
        self.inner.starting.send_replace(start);
    }

    /// Sets the stand-in's clock this far ahead of the programs' clocks for future executions, or
    /// behind them if `ahead` is negative.
    pub fn set_clock_ahead(&self, ahead: TimeDelta) {
        *self.inner.ahead.lock().expect("no thread panicked") = ahead;
    }

    /// The names of all executions, oldest first.
    pub fn executions(&self) -> Vec<String> {
        self.inner.entries().iter().map(|entry| entry.execution.name.clone()).collect()
    }

    /// An execution as the API's version 2 shows it.
    pub fn execution(&self, name: &str) -> Option<Value> {
        self.inner.find(name).map(|execution| execution.v2())
    }

    /// Waits for the end of an execution, and returns it as the API's version 2 shows it.
    pub async fn ended(&self, name: &str) -> Value {
        for _ in 0..12_000 {
            match self.execution(name) {
                Some(shown) if shown["completionTime"].is_string() => return shown,
                Some(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                None => panic!("there is no execution `{name}`"),
            }
        }
        panic!("`{name}` did not end within two minutes:\n{}", self.log());
    }

    /// Kills a random running task, and returns its process; `None` if no task runs.
    pub fn kill_a_task(&self) -> Option<u32> {
        let processes = self.inner.processes.lock().expect("no thread panicked");
        let victim = *processes.choose(&mut rand::rng())?;
        faults::kill(victim).then_some(victim)
    }

    /// Stops a random running task, which then hangs until it is killed, and returns its process.
    /// `None` if no task runs.
    pub fn freeze_a_task(&self) -> Option<u32> {
        let processes = self.inner.processes.lock().expect("no thread panicked");
        let victim = *processes.choose(&mut rand::rng())?;
        faults::freeze(victim).then_some(victim)
    }

    /// The output of all tasks.
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

    pub(super) fn endings(&self) -> broadcast::Receiver<Execution> {
        self.inner.ended.subscribe()
    }
}

impl Drop for CloudRun {
    fn drop(&mut self) {
        for entry in self.inner.entries().iter() {
            entry.work.abort();
        }
    }
}

impl Inner {
    fn entries(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().expect("no thread panicked")
    }

    fn find(&self, name: &str) -> Option<Execution> {
        let entries = self.entries();
        entries.iter().map(|entry| &entry.execution).find(|found| found.name == name).cloned()
    }

    pub(super) fn change(&self, name: &str, change: impl FnOnce(&mut Execution)) {
        if let Some(entry) = self.entries().iter_mut().find(|entry| entry.execution.name == name) {
            change(&mut entry.execution);
        }
    }

    fn now(&self) -> DateTime<Utc> {
        Utc::now() + *self.ahead.lock().expect("no thread panicked")
    }

    pub(super) fn cancellation(&self, name: &str) -> Option<watch::Receiver<bool>> {
        let entries = self.entries();
        let entry = entries.iter().find(|entry| entry.execution.name == name)?;
        Some(entry.cancelled.subscribe())
    }

    pub(super) fn born(&self, process: u32) {
        self.processes.lock().expect("no thread panicked").push(process);
    }

    pub(super) fn died(&self, process: u32) {
        self.processes.lock().expect("no thread panicked").retain(|known| *known != process);
    }

    /// The job of a name.
    fn job(&self, name: &str) -> Option<&Job> {
        self.jobs.iter().find(|job| job.name == name)
    }

    /// Starts an execution of a job, and returns it as it is then, or the reason why it cannot be.
    fn start(self: &Arc<Self>, job: &Job, body: &Value) -> Result<Execution, String> {
        let ask = Ask::read(job, body)?;
        let mut entries = self.entries();
        let name = format!("{}-{:05x}", job.name, entries.len() * 40_503 % 0xf_ffff);
        let execution = Execution::new(name.clone(), job.clone(), ask, self.now());
        entries.push(Entry {
            execution: execution.clone(),
            cancelled: watch::Sender::new(false),
            work: tokio::spawn(Arc::clone(self).carry_out(execution.clone())),
        });
        Ok(execution)
    }

    async fn carry_out(self: Arc<Self>, execution: Execution) {
        let Execution { name, job, ask, .. } = execution;
        let Some(mut cancelled) = self.cancellation(&name) else { return };
        let mut starting = self.starting.subscribe();
        tokio::select! {
            () = task::is_set(&mut starting) => {
                self.change(&name, |execution| execution.started = Some(self.now()));
            }
            () = task::is_set(&mut cancelled) => {}
        }
        let slots = Semaphore::new(job.at_once());
        let (inner, slots, name, job, ask) = (&*self, &slots, &name, &job, &ask);
        join_all((0..ask.task_count).map(|index| async move {
            let _slot = slots.acquire().await.expect("slots are not closed");
            task::carry_out(inner, name, job, ask, index).await;
        }))
        .await;
        self.change(name, |execution| execution.completed = Some(self.now()));
        if let Some(execution) = self.find(name) {
            // It is not an error if no subscription listens.
            let _ = self.ended.send(execution);
        }
    }
}
