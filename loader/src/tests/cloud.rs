//! A cloud of ports that remember what was asked of them, and a loader in it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use object_store::memory::InMemory;
use sluice_contracts::documents::{
    Claim, Cut, Manifest, Order, RunEvent, RunId, SnapshotPlan, Task, TaskKind, Unit, UnitRef,
};
use sluice_contracts::ports::{Announcer, Check, Checks, ExecutionState, Executions, TaskTerms};
use sluice_contracts::store::Bucket;
use sluice_contracts::{Error, Kind, Result};

use super::faults::{Faults, Shaky};
use super::world::{Recorder, World, manifest};
use crate::{Loader, RunState};

/// A cloud with one run in it.
#[derive(Debug)]
pub(super) struct Cloud {
    /// The run, by a store in which nothing goes wrong.
    pub(super) world: World,
    memory: Arc<InMemory>,
    pub(super) platform: Platform,
    pub(super) queue: Queue,
    pub(super) topic: Topic,
    /// Now, by the clock of platform and loader.
    pub(super) now: DateTime<Utc>,
    /// How often the loaders have read each object.
    pub(super) reads: Arc<Mutex<BTreeMap<String, u32>>>,
    /// How often the loaders have listed each folder.
    pub(super) lists: Arc<Mutex<BTreeMap<String, u32>>>,
}

/// Where tasks run: an execution is as the test says.
#[derive(Debug, Clone, Default)]
pub(super) struct Platform {
    executions: Arc<Mutex<BTreeMap<String, ExecutionState>>>,
    /// Launch and number of tasks of each execution.
    started: Arc<Mutex<Vec<(u32, u32)>>>,
    /// The kind of tasks of each execution.
    kinds: Arc<Mutex<Vec<String>>>,
    cancelled: Arc<Mutex<Vec<String>>>,
    clock: Arc<Mutex<DateTime<Utc>>>,
    refuse: Arc<Mutex<Option<Kind>>>,
    /// Whether this loader knows no kind of tasks.
    lacks_kinds: Arc<Mutex<bool>>,
    faults: Faults,
}

/// Checks that were asked for, each name once.
#[derive(Debug, Clone, Default)]
pub(super) struct Queue {
    asked: Arc<Mutex<Vec<Check>>>,
    faults: Faults,
}

/// Takes announcements of the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Topic {
    heard: Arc<Mutex<Vec<RunEvent>>>,
    refuse: Arc<Mutex<Option<Kind>>>,
    faults: Faults,
}

impl Cloud {
    /// A run that was launched a minute ago, all its tasks at work.
    pub(super) async fn at_work(units: &[u32], snapshot: SnapshotPlan) -> Self {
        Self::at_work_on(with_tasks(units, snapshot)).await
    }

    /// The same of tables that become visible at once.
    pub(super) async fn at_work_at_once(units: &[u32]) -> Self {
        let manifest = with_tasks(units, SnapshotPlan::Held);
        Self::at_work_on(Manifest { all_or_nothing: true, at_once: true, ..manifest }).await
    }

    pub(super) async fn at_work_on(manifest: Manifest) -> Self {
        let cloud = Self::planned(manifest).await;
        let tasks = cloud.world.manifest.tasks.iter().map(|task| task.index).collect();
        cloud.order(0, tasks, cloud.now).await;
        cloud.claim(0, "e0", cloud.now).await;
        cloud.platform.add("e0", cloud.now);
        cloud.platform.set("e0", |state| state.started = Some(state.created));
        cloud.world.found(0).await;
        cloud
    }

    /// A run that was planned, and not yet launched.
    pub(super) async fn planned(manifest: Manifest) -> Self {
        let now = manifest.planned;
        let memory = Arc::new(InMemory::new());
        let world = World::of(memory.clone(), manifest).await;
        let platform = Platform::default();
        *platform.clock.lock().unwrap() = now;
        let (queue, topic) = (Queue::default(), Topic::default());
        let (reads, lists) = (Arc::default(), Arc::default());
        Self { world, memory, platform, queue, topic, now, reads, lists }
    }

    /// A loader, one of many, whose calls go wrong as `faults` says.
    pub(super) fn loader(&self, faults: &Faults) -> Loader {
        let (inner, reads, lists) = (self.memory.clone(), self.reads.clone(), self.lists.clone());
        let store = Shaky { inner, faults: faults.clone(), reads, lists };
        let target = Recorder { faults: faults.clone(), ..self.world.target.clone() };
        Loader {
            executions: Arc::new(Platform { faults: faults.clone(), ..self.platform.clone() }),
            checks: Arc::new(Queue { faults: faults.clone(), ..self.queue.clone() }),
            announcer: Some(Arc::new(Topic { faults: faults.clone(), ..self.topic.clone() })),
            bucket: Bucket {
                store: Arc::new(store),
                prefix: "".into(),
                url: "file:///bucket".into(),
            },
            targets: target.targets(),
            deadline: Duration::from_hours(24),
            patience: Duration::from_hours(6),
        }
    }

    pub(super) fn run(&self) -> RunId {
        self.world.manifest.run
    }

    /// A check by a loader without faults.
    pub(super) async fn check(&self) -> Result<RunState> {
        self.loader(&Faults::default()).check(self.run(), self.now).await
    }

    pub(super) fn pass(&mut self, time: TimeDelta) {
        self.now += time;
        *self.platform.clock.lock().unwrap() = self.now;
    }

    /// Checks again and again, as the queue would, until the run has ended.
    pub(super) async fn check_to_the_end(&mut self) {
        for _ in 0..100 {
            match self.check().await {
                Ok(RunState::Ended) => return,
                Ok(RunState::Loading) => self.pass(TimeDelta::seconds(5)),
                other => panic!("{other:?}"),
            }
        }
        panic!("it never ended");
    }

    pub(super) async fn order(&self, launch: u32, tasks: Vec<u32>, at: DateTime<Utc>) {
        let reason = "the run begins".to_owned();
        let order = Order { version: 1, launch, tasks, reason, at };
        self.world.store.create_order(&order).await.unwrap();
    }

    pub(super) async fn claim(&self, launch: u32, execution: &str, at: DateTime<Utc>) {
        let claim = Claim { version: 1, launch, execution: execution.to_owned(), at };
        self.world.store.create_claim(&claim).await.unwrap();
    }

    /// The execution's last task ends.
    pub(super) fn end(&self, execution: &str, failed: u32) {
        let now = self.now;
        self.platform.set(execution, |state| {
            state.ended = Some(now);
            state.failed = failed;
        });
    }

    /// Asserts that every table is visible once, and that this was announced.
    pub(super) async fn assert_loaded(&self, case: &str) {
        let store = &self.world.store;
        let loads = self.world.loads();
        let tables = self.world.manifest.tables.len();
        assert_eq!(loads.len(), tables, "{case}: {loads:?}");
        for load in &loads {
            let units = self.world.manifest.tables[load.table as usize].units;
            assert_eq!(load.rows, 10 * u64::from(units), "{case}");
        }
        let committed = store.committed().await.unwrap().expect(case);
        assert!(committed.is_whole(), "{case}: {committed:?}");
        let heard = self.topic.heard();
        assert!(!heard.is_empty(), "{case}");
        assert!(heard.iter().all(|event| event.event.name() == "run.finished"), "{case}");
        assert!(store.announced().await.unwrap().is_some(), "{case}");
    }

    /// Asserts that no part is left in the bucket.
    pub(super) async fn assert_tidy(&self, case: &str) {
        let store = &self.world.store;
        let parts = store.bucket().store.list(Some(&store.layout().parts()));
        assert_eq!(futures::StreamExt::count(parts).await, 0, "{case}: parts are left");
    }

    /// Asserts that nothing is visible, that this was announced, and returns the message.
    pub(super) async fn assert_failed(&self, case: &str) -> String {
        assert!(self.world.loads().is_empty(), "{case}");
        let store = &self.world.store;
        assert!(store.committed().await.unwrap().is_none(), "{case}");
        let event = store.announced().await.unwrap().expect(case);
        assert_eq!(event.event.name(), "run.failed", "{case}");
        assert!(!self.topic.heard().is_empty(), "{case}");
        let failure = event.failure.expect(case);
        assert!(failure.hint.is_some(), "{case}: {failure:?}");
        failure.message
    }
}

impl Platform {
    pub(super) fn add(&self, name: &str, created: DateTime<Utc>) {
        let state = ExecutionState {
            created,
            started: None,
            ended: None,
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            message: None,
            log_url: None,
        };
        self.executions.lock().unwrap().insert(name.to_owned(), state);
    }

    pub(super) fn set(&self, name: &str, change: impl FnOnce(&mut ExecutionState)) {
        change(self.executions.lock().unwrap().get_mut(name).unwrap());
    }

    /// Starts end with this error from now on.
    pub(super) fn refuse(&self, kind: Kind) {
        *self.refuse.lock().unwrap() = Some(kind);
    }

    pub(super) fn started(&self) -> Vec<(u32, u32)> {
        self.started.lock().unwrap().clone()
    }

    pub(super) fn lack_kinds(&self, lack: bool) {
        *self.lacks_kinds.lock().unwrap() = lack;
    }

    pub(super) fn kinds(&self) -> Vec<String> {
        self.kinds.lock().unwrap().clone()
    }

    pub(super) fn cancelled(&self) -> Vec<String> {
        self.cancelled.lock().unwrap().clone()
    }
}

#[async_trait]
impl Executions for Platform {
    async fn start(
        &self,
        kind: &TaskKind,
        manifest_url: &str,
        launch: u32,
        task_count: u32,
    ) -> Result<String> {
        assert!(manifest_url.starts_with("file:///bucket/runs/"), "{manifest_url}");
        self.kinds.lock().unwrap().push(kind.to_string());
        let start = async || {
            if let Some(kind) = *self.refuse.lock().unwrap() {
                return Err(Error::new(kind, "start an execution").hint("grant it"));
            }
            let name = {
                let mut started = self.started.lock().unwrap();
                started.push((launch, task_count));
                format!("s{}", started.len())
            };
            let now = *self.clock.lock().unwrap();
            self.add(&name, now);
            Ok(name)
        };
        self.faults.call(start).await
    }

    async fn state(&self, execution: &str) -> Result<Option<ExecutionState>> {
        let find = async || Ok(self.executions.lock().unwrap().get(execution).cloned());
        self.faults.call(find).await
    }

    fn check(&self, _: &TaskKind) -> Result<()> {
        if *self.lacks_kinds.lock().unwrap() {
            return Err(Error::invalid("the deployment has no tasks of the kind").hint("add it"));
        }
        Ok(())
    }

    async fn tasks(&self, _: &TaskKind) -> Result<TaskTerms> {
        panic!("a loader plans nothing")
    }

    async fn cancel(&self, execution: &str) -> Result<()> {
        let cancel = async || {
            self.cancelled.lock().unwrap().push(execution.to_owned());
            if let Some(state) = self.executions.lock().unwrap().get_mut(execution) {
                state.ended.get_or_insert(*self.clock.lock().unwrap());
            }
            Ok(())
        };
        self.faults.call(cancel).await
    }
}

impl Queue {
    /// The checks that were asked for.
    pub(super) fn asked(&self) -> Vec<Check> {
        self.asked.lock().unwrap().clone()
    }

    /// The kinds of the checks that were asked for.
    pub(super) fn kinds(&self) -> Vec<String> {
        let kind = |check: &Check| check.name.split('-').next().unwrap_or_default().to_owned();
        self.asked().iter().map(kind).collect()
    }
}

#[async_trait]
impl Checks for Queue {
    async fn ask(&self, check: &Check) -> Result<()> {
        let ask = async || {
            let mut asked = self.asked.lock().unwrap();
            if !asked.iter().any(|one| one.name == check.name) {
                asked.push(check.clone());
            }
            Ok(())
        };
        self.faults.call(ask).await
    }

    async fn ask_for_plan(&self, _: RunId) -> Result<()> {
        panic!("a loader asks for no plan")
    }
}

impl Topic {
    /// Announcements fail with this error from now on.
    pub(super) fn refuse(&self, kind: Kind) {
        *self.refuse.lock().unwrap() = Some(kind);
    }

    pub(super) fn mend(&self) {
        *self.refuse.lock().unwrap() = None;
    }

    pub(super) fn heard(&self) -> Vec<RunEvent> {
        self.heard.lock().unwrap().clone()
    }
}

#[async_trait]
impl Announcer for Topic {
    async fn announce(&self, event: &RunEvent) -> Result<()> {
        let tell = async || {
            if let Some(kind) = *self.refuse.lock().unwrap() {
                return Err(Error::new(kind, "publish to the topic").hint("grant it"));
            }
            self.heard.lock().unwrap().push(event.clone());
            Ok(())
        };
        self.faults.call(tell).await
    }
}

/// A plan of tables with these numbers of units, each unit in a task of its own.
pub(super) fn with_tasks(units: &[u32], snapshot: SnapshotPlan) -> Manifest {
    let mut manifest = manifest(units);
    manifest.snapshot = snapshot;
    let unit = |place: UnitRef| Unit {
        table: place.table,
        index: place.unit,
        leaf: None,
        cut: Cut::Full,
        predicate: String::new(),
        rows: 10,
        bytes: 1,
    };
    let tasks = manifest.units().zip(0..).map(|(place, at)| Task::new(at, vec![unit(place)]));
    manifest.tasks = tasks.collect();
    manifest
}
