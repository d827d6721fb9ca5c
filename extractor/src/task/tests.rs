//! Executions of many tasks: what they read, say, and ask the bucket for.

mod giving_up;
mod requests;
mod scale;
mod source;

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::Utc;
use futures::future::{join, join_all};
use rustix::process::{Signal, getpid, kill_process};
use sluice_contracts::Kind;
use sluice_contracts::documents::{
    BadRows, ErrorReport, LeastTls, Receipt, RunId, Snapshot, Stages, Table, Task, Unit, Verdict,
};
use sluice_contracts::ports::Check;

use super::*;
use crate::launch::tests::manifest;
use requests::Counted;
use source::{Reading, Server};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// A run, its source, and the checks that the loader is asked for.
struct World {
    counted: Arc<Counted>,
    store: RunStore,
    manifest: Manifest,
    server: Server,
    recorded: Arc<Recorded>,
}

/// Takes requests for checks, each with the number of receipts at that time.
#[derive(Debug)]
struct Recorded {
    store: RunStore,
    manifest: Manifest,
    checks: Mutex<Vec<(String, usize)>>,
}

#[async_trait]
impl Checks for Recorded {
    async fn ask(&self, check: &Check) -> Result<()> {
        assert_eq!((check.run, check.after), (self.manifest.run, Duration::ZERO));
        let receipts = self.store.receipted(&self.manifest, 0).await?.len();
        self.checks.lock().unwrap().push((check.name.clone(), receipts));
        Ok(())
    }

    async fn ask_for_plan(&self, _: RunId) -> Result<()> {
        Err(Error::bug("a task plans nothing"))
    }
}

impl World {
    async fn new(manifest: Manifest, server: Server) -> Self {
        let counted = Arc::new(Counted::default());
        let bucket = Bucket {
            store: Arc::clone(&counted) as _,
            prefix: "".into(),
            url: "memory:///bucket".into(),
        };
        let store = RunStore::new(bucket, manifest.run);
        store.create_manifest(&manifest).await.unwrap();
        let recorded =
            Recorded { store: store.clone(), manifest: manifest.clone(), checks: Mutex::default() };
        Self { counted, store, manifest, server, recorded: Arc::new(recorded) }
    }

    fn config(&self, execution: &str, (task, count): (u32, u32), attempt: u32) -> TaskConfig {
        TaskConfig {
            cloud_run_task_index: task,
            cloud_run_task_count: count,
            cloud_run_task_attempt: attempt,
            cloud_run_execution: execution.into(),
            sluice_manifest: self.store.manifest_url(),
            sluice_launch: None,
        }
    }

    /// One attempt of a task.
    async fn attempt(
        &self,
        execution: &str,
        (task, count): (u32, u32),
        attempt: u32,
    ) -> Result<()> {
        let config = self.config(execution, (task, count), attempt);
        let server = Arc::new(self.server.clone());
        let open = |_: &str| Ok(Arc::clone(&server) as Arc<dyn Source>);
        let checks = Some(Arc::clone(&self.recorded) as Arc<dyn Checks>);
        carry_out(&config, self.store.bucket().clone(), checks, &open).await
    }

    /// Runs the first attempts of all tasks of an execution, and returns how each ended.
    async fn execution(&self, name: &str, count: u32) -> Vec<Result<()>> {
        join_all((0..count).map(|task| self.attempt(name, (task, count), 0))).await
    }

    async fn receipts(&self, generation: u32) -> usize {
        self.store.receipted(&self.manifest, generation).await.unwrap().len()
    }

    /// The checks, each name once, with the number of receipts at its first request.
    fn checks(&self) -> Vec<(String, usize)> {
        let mut checks = self.recorded.checks.lock().unwrap().clone();
        checks.sort();
        checks.dedup_by(|later, first| later.0 == first.0);
        checks
    }
}

fn check(name: &str, receipts: usize) -> (String, usize) {
    (name.to_owned(), receipts)
}

/// The same run with a table for each unit.
fn with_a_table_for_each_unit(mut manifest: Manifest) -> Manifest {
    let table = manifest.tables.remove(0);
    for index in 0..table.units {
        manifest.tables.push(Table { index, units: 1, ..table.clone() });
    }
    for task in &mut manifest.tasks {
        let units = task.units.iter().flatten();
        let units = units.map(|unit| Unit { table: unit.index, index: 0, ..unit.clone() });
        *task = Task::new(task.index, units.collect());
    }
    manifest
}

#[tokio::test(start_paused = true)]
async fn few_tasks_carry_out_a_plan_of_many_and_tell_the_loader_when_all_is_read() {
    let server = Server::new(|_, unit| Reading::Takes(SECOND * (1 + unit % 7)));
    let world = World::new(manifest(&[2, 1, 3, 1, 2, 2, 1, 1, 1, 1, 4, 1]), server).await;
    let ended = world.execution("e", 5).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(world.receipts(0).await, 20);
    assert!(world.server.reads.lock().unwrap().values().all(|reads| *reads == 1));
    assert!(world.store.is_extracted(0).await.unwrap());
    assert_eq!(world.checks(), [check("notice-0-0", 20)]);

    // One that comes late reads nothing.
    let connections = world.server.connections();
    assert!(world.attempt("e", (2, 5), 1).await.is_ok());
    assert_eq!(world.server.connections(), connections);
}

#[tokio::test(start_paused = true)]
async fn tasks_of_an_execution_that_nobody_claimed_for_end_without_a_look_at_the_source() {
    let world = World::new(manifest(&[1, 1]), Server::new(|_, _| Reading::Takes(SECOND))).await;
    let started = tokio::time::Instant::now();
    let (one, two) = join(world.execution("e1", 2), async {
        tokio::time::sleep(SECOND / 2).await;
        let config = TaskConfig { sluice_launch: Some(0), ..world.config("e2", (0, 2), 0) };
        let open = |_: &str| Err(Error::bug("look at the source"));
        let ended = carry_out(&config, world.store.bucket().clone(), None, &open).await;
        (ended, started.elapsed())
    })
    .await;
    assert!(one.iter().all(Result::is_ok), "{one:?}");
    assert!(two.0.is_ok() && two.1 < SECOND, "{two:?}");
}

/// The planner looked at the URL that its own environment holds, and not at the task's.
#[tokio::test(start_paused = true)]
async fn a_task_connects_to_nothing_that_is_protected_less_than_the_operator_demands() {
    let world = async || {
        let planned = Manifest { least_tls: LeastTls::VerifyCa, ..manifest(&[1]) };
        World::new(planned, Server::new(|_, _| Reading::Takes(SECOND))).await
    };
    for parameters in ["", "?sslmode=prefer", "?sslmode=require"] {
        let (world, url) = (world().await, format!("postgres://u@db.invalid/d{parameters}"));
        let open = |_: &str| sluice_sources::open(&url, &|_| None, None);
        let config = world.config("e", (0, 1), 0);
        let ended = carry_out(&config, world.store.bucket().clone(), None, &open).await;
        let error = ended.unwrap_err();
        assert_eq!(error.kind(), Kind::Denied, "{parameters}: {}", error.chain());
        assert!(error.chain().contains("at least `sslmode=verify-ca`"), "{}", error.chain());
    }
    // What does not leave the machine meets every demand.
    assert!(world().await.attempt("e", (0, 1), 0).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_error_for_good_ends_all_tasks_of_a_strict_run_within_seconds() {
    let server = Server::new(|_, unit| match unit {
        2 => Reading::Fails(Kind::Data),
        _ => Reading::Takes(HOUR),
    });
    let world = World::new(manifest(&[1, 1, 1, 1]), server).await;
    let started = tokio::time::Instant::now();
    let ended = world.execution("e", 4).await;
    assert!(started.elapsed() < 10 * SECOND, "{:?}", started.elapsed());
    let failed: Vec<bool> = ended.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, false, true, false]);
    assert_eq!(world.checks(), [check("failed-0", 0)]);
    assert!(!world.store.is_extracted(0).await.unwrap());
    assert_eq!(world.store.failures().await.unwrap().len(), 1);

    // Started again, the task reports the same error and the others report none. No task reads.
    let connections = world.server.connections();
    let again = world.attempt("e", (2, 4), 1).await.unwrap_err();
    assert!(again.chain().contains("read what cannot be read"), "{}", again.chain());
    assert!(world.attempt("e", (3, 4), 1).await.is_ok());
    assert_eq!(world.server.connections(), connections);
    assert_eq!(world.store.failures().await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_table_that_cannot_be_read_holds_up_no_other_until_it_is_fixed() {
    let broken = Arc::new(Mutex::new(true));
    let is_broken = Arc::clone(&broken);
    let server = Server::new(move |table, _| match table {
        3 if *is_broken.lock().unwrap() => Reading::Fails(Kind::Denied),
        _ => Reading::Takes(SECOND),
    });
    let world = World::new(with_a_table_for_each_unit(manifest(&[2, 1, 3, 1])), server).await;
    let ended = world.execution("e1", 3).await;
    let failed: Vec<bool> = ended.iter().map(Result::is_err).collect();
    assert_eq!(failed, [false, false, true]);
    assert_eq!(world.receipts(0).await, 6);
    assert!(world.store.is_extracted(0).await.unwrap());
    assert_eq!(world.checks(), [check("notice-0-0", 6)]);

    // No task holds the snapshot any more, so everything is read again.
    *broken.lock().unwrap() = false;
    let ended = world.execution("e2", 4).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert_eq!(world.receipts(1).await, 7);
    assert_eq!(world.checks(), [check("notice-0-0", 6), check("notice-1-1", 6)]);
}

#[tokio::test(start_paused = true)]
async fn what_another_machine_may_read_ends_no_run() {
    let server = Server::new(|_, _| Reading::Takes(SECOND));
    *server.unreachable_for.lock().unwrap() = Some(1);
    let world = World::new(manifest(&[1, 1, 1]), server).await;
    let (ended, ()) = Box::pin(join(world.attempt("e", (1, 3), 0), async {
        let others = [0, 2].map(|task| world.attempt("e", (task, 3), 0));
        let (others, ()) = join(join_all(others), async {
            tokio::time::sleep(300 * SECOND).await;
            assert_eq!(world.checks(), []);
            *world.server.unreachable_for.lock().unwrap() = None;
            assert!(world.attempt("e", (1, 3), 1).await.is_ok());
        })
        .await;
        assert!(others.iter().all(Result::is_ok), "{others:?}");
    }))
    .await;
    assert!(ended.unwrap_err().is_transient());
    assert_eq!(world.checks(), [check("notice-0-0", 3)]);
    assert_eq!(world.receipts(0).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_read_by_tasks_which_died_at_once_is_not_read_again() {
    let world = World::new(manifest(&[2, 2]), Server::new(|_, _| Reading::Takes(SECOND))).await;
    // The tasks died before they reported that all is read.
    let snapshot = Snapshot {
        version: Snapshot::VERSION,
        generation: 0,
        token: "gone".into(),
        task: 0,
        attempt: 0,
        at: Utc::now(),
    };
    world.store.create_founder(&snapshot).await.unwrap();
    for unit in world.manifest.units() {
        let receipt = Receipt {
            version: Receipt::VERSION,
            table: unit.table,
            unit: unit.unit,
            snapshot: 0,
            task: 0,
            attempt: 0,
            execution: "e".into(),
            rows: 0,
            bytes: 0,
            invalid: BTreeMap::new(),
            bad_rows: BadRows::default(),
            parts: Vec::new(),
            seconds: 0.0,
            stages: Stages::default(),
            finished: Utc::now(),
        };
        world.store.create_receipt(&receipt).await.unwrap();
    }
    assert!(world.attempt("e", (0, 2), 1).await.is_ok());
    assert_eq!(world.server.connections(), 0);
    assert_eq!(world.checks(), [check("notice-0-0", 4)]);
    assert!(world.store.is_extracted(0).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_task_that_starts_again_while_the_others_read_the_last_unit_begins_nothing() {
    let server = Server::new(|_, unit| Reading::Takes(SECOND * (10 - 9 * unit)));
    let world = World::new(manifest(&[1, 1]), server).await;
    let (first, second) = join(Box::pin(world.attempt("e", (0, 2), 0)), async {
        // It is killed when its own unit is done, and the other's is not.
        let killed = Box::pin(world.attempt("e", (1, 2), 0));
        let killed = tokio::time::timeout(5 * SECOND, killed).await;
        assert!(killed.is_err(), "{killed:?}");
        assert_eq!(world.receipts(0).await, 1);
        // Before it has a connection, the other is done and gone.
        *world.server.delay.lock().unwrap() = 20 * SECOND;
        let again = Box::pin(world.attempt("e", (1, 2), 1));
        tokio::time::timeout(HOUR / 6, again).await.expect("it waits for no other task")
    })
    .await;
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
    assert_eq!(world.store.generation().await.unwrap(), Some(0));
    assert_eq!(world.receipts(0).await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_last_to_read_keeps_nobody_waiting() {
    let server = Server::new(|_, unit| Reading::Takes(SECOND * (1 + 10 * unit)));
    let world = World::new(manifest(&[1, 1, 1]), server).await;
    let started = tokio::time::Instant::now();
    let ended = world.execution("e", 3).await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert!(started.elapsed() < Duration::from_millis(21_300), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_decided_ends_its_tasks() {
    let world = World::new(manifest(&[1, 1]), Server::new(|_, _| Reading::Takes(HOUR))).await;
    let started = tokio::time::Instant::now();
    let (ended, ()) = join(world.execution("e", 2), async {
        tokio::time::sleep(20 * SECOND).await;
        let decided = ErrorReport::from(&Error::invalid("decided"));
        let verdict = Verdict::fail(decided, Utc::now());
        world.store.create_verdict(&verdict).await.unwrap();
    })
    .await;
    assert!(ended.iter().all(Result::is_ok), "{ended:?}");
    assert!(started.elapsed() < 25 * SECOND, "{:?}", started.elapsed());
    assert_eq!(world.checks(), []);
}

#[tokio::test]
async fn a_task_that_was_moved_to_another_machine_reads_on() {
    let hung = std::sync::atomic::AtomicBool::new(false);
    // The connection is dead, and nothing reports that.
    let server = Server::new(move |_, _| {
        if hung.swap(true, Ordering::Relaxed) {
            Reading::Takes(Duration::ZERO)
        } else {
            Reading::Hangs
        }
    });
    let world = World::new(manifest(&[1]), server).await;
    let (ended, ()) = join(world.execution("e", 1), async {
        while world.server.reads.lock().unwrap().is_empty() {
            tokio::time::sleep(SECOND / 100).await;
        }
        kill_process(getpid(), Signal::CONT).unwrap();
    })
    .await;
    assert!(ended[0].is_ok(), "{ended:?}");
    assert_eq!(world.receipts(0).await, 1);
    assert!(world.store.failures().await.unwrap().is_empty());
}
