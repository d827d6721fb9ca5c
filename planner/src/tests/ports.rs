//! Ports that remember what they were asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use chrono::DateTime;
use sluice_contracts::documents::{RunEvent, RunId, Table, TaskKind};
use sluice_contracts::ports::{Announcer, Check, Checks, ExecutionState, Executions, TaskTerms};
use sluice_contracts::{Error, Kind, Result};
use sluice_targets::{Admitted, Load, Prepared, Shown, Target, Visibility};

use super::faults::Faults;

fn lost() -> Error {
    Error::transient("call: the network is gone")
}

/// A size of tasks that the platform has not; it has every other.
pub(super) const NO_SUCH_SIZE: &str = "gigantic";

/// A platform whose executions are only names.
#[derive(Debug)]
pub(super) struct Platform {
    faults: Arc<Faults>,
    /// Manifest and name of each execution.
    started: Mutex<Vec<(String, String)>>,
    cancelled: Mutex<Vec<String>>,
    /// The most tasks that run at once.
    pub(super) parallelism: Mutex<Option<u32>>,
    /// Whether it does not say so.
    pub(super) stuck: AtomicBool,
}

impl Platform {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self {
            faults,
            started: Mutex::default(),
            cancelled: Mutex::default(),
            parallelism: Mutex::default(),
            stuck: AtomicBool::default(),
        }
    }

    /// The executions that were started for a manifest.
    pub(super) fn started(&self, manifest_url: &str) -> Vec<String> {
        let started = self.started.lock().unwrap();
        let of = |(url, name): &(String, String)| (url == manifest_url).then(|| name.clone());
        started.iter().filter_map(of).collect()
    }

    pub(super) fn all(&self) -> usize {
        self.started.lock().unwrap().len()
    }

    pub(super) fn cancelled(&self) -> Vec<String> {
        self.cancelled.lock().unwrap().clone()
    }
}

#[async_trait]
impl Executions for Platform {
    async fn start(
        &self,
        _: &TaskKind,
        manifest_url: &str,
        _: u32,
        task_count: u32,
    ) -> Result<String> {
        assert!(task_count > 0);
        let start = async {
            // Other calls come in between, on a busy machine too.
            tokio::time::sleep(Duration::from_millis(3)).await;
            let mut started = self.started.lock().unwrap();
            let name = format!("extract-{}", started.len());
            started.push((manifest_url.to_owned(), name.clone()));
            Ok(name)
        };
        self.faults.call(lost, start).await
    }

    async fn state(&self, execution: &str) -> Result<Option<ExecutionState>> {
        let state = ExecutionState {
            created: DateTime::UNIX_EPOCH,
            started: None,
            ended: None,
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            message: None,
            log_url: Some(format!("https://console.example/{execution}")),
        };
        self.faults.call(lost, async { Ok(Some(state)) }).await
    }

    fn check(&self, kind: &TaskKind) -> Result<()> {
        if kind.task_size.as_deref() == Some(NO_SUCH_SIZE) {
            return Err(Error::invalid("the deployment has no such tasks").hint("it has others"));
        }
        Ok(())
    }

    async fn tasks(&self, kind: &TaskKind) -> Result<TaskTerms> {
        self.check(kind)?;
        if self.stuck.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let parallelism = *self.parallelism.lock().unwrap();
        let size = kind.task_size.as_ref().map(|_| (4.0, 8.0));
        self.faults.call(lost, async { Ok(TaskTerms { parallelism, size }) }).await
    }

    async fn cancel(&self, execution: &str) -> Result<()> {
        let cancel = async {
            self.cancelled.lock().unwrap().push(execution.to_owned());
            Ok(())
        };
        self.faults.call(lost, cancel).await
    }
}

/// A queue that delivers nothing by itself.
#[derive(Debug)]
pub(super) struct Queue {
    faults: Arc<Faults>,
    plans: Mutex<Vec<RunId>>,
    checks: Mutex<Vec<Check>>,
}

impl Queue {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self { faults, plans: Mutex::default(), checks: Mutex::default() }
    }

    /// The plans that were asked for since the last call.
    pub(super) fn take_plans(&self) -> Vec<RunId> {
        std::mem::take(&mut *self.plans.lock().unwrap())
    }

    /// The names of a run's checks.
    pub(super) fn checks(&self, run: RunId) -> Vec<String> {
        let checks = self.checks.lock().unwrap();
        checks.iter().filter(|check| check.run == run).map(|check| check.name.clone()).collect()
    }
}

#[async_trait]
impl Checks for Queue {
    async fn ask(&self, check: &Check) -> Result<()> {
        let ask = async {
            self.checks.lock().unwrap().push(check.clone());
            Ok(())
        };
        self.faults.call(lost, ask).await
    }

    async fn ask_for_plan(&self, run: RunId) -> Result<()> {
        let ask = async {
            self.plans.lock().unwrap().push(run);
            Ok(())
        };
        self.faults.call(lost, ask).await
    }
}

/// An announcer that remembers how runs end.
#[derive(Debug)]
pub(super) struct Listener {
    faults: Arc<Faults>,
    heard: Mutex<Vec<RunEvent>>,
}

impl Listener {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self { faults, heard: Mutex::default() }
    }

    pub(super) fn heard(&self) -> Vec<RunEvent> {
        self.heard.lock().unwrap().clone()
    }
}

#[async_trait]
impl Announcer for Listener {
    async fn announce(&self, event: &RunEvent) -> Result<()> {
        let hear = async {
            self.heard.lock().unwrap().push(event.clone());
            Ok(())
        };
        self.faults.call(lost, hear).await
    }
}

/// A target that takes every table, unless a test says otherwise.
#[derive(Debug)]
pub(super) struct Checked {
    faults: Arc<Faults>,
    /// What is wrong with every table.
    pub(super) wrong: Mutex<Option<Kind>>,
}

impl Checked {
    pub(super) fn new(faults: Arc<Faults>) -> Self {
        Self { faults, wrong: Mutex::default() }
    }
}

#[async_trait]
impl Target for Checked {
    async fn shown(&self, _: &Load) -> Result<Shown> {
        Ok(Shown::No)
    }

    async fn exists(&self, _: &str) -> Result<bool> {
        Ok(true)
    }

    async fn check(&self, _: RunId, table: &Table, _: Visibility) -> Result<Admitted> {
        let check = async {
            match *self.wrong.lock().unwrap() {
                Some(kind) => Err(Error::new(kind, format!("look at `{}`", table.target))
                    .hint("make the dataset")),
                None => Ok(Admitted::from(vec!["its policies are lost".to_owned()])),
            }
        };
        self.faults.call(lost, check).await
    }

    async fn prepare(&self, _: &Load) -> Result<Poll<Box<dyn Prepared>>> {
        panic!("the planner loads nothing")
    }
}
