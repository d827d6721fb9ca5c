//! Which execution carries a launch out, and that its tasks cover it.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use object_store::memory::InMemory;
use sluice_contracts::documents::RunId;
use sluice_contracts::store::{Bucket, parse_manifest};

use super::*;

struct World {
    store: RunStore,
    manifest: Manifest,
}

impl World {
    /// A run whose tasks have these numbers of units.
    fn new(tasks: &[u32]) -> Self {
        let manifest = manifest(tasks);
        let bucket = Bucket {
            store: Arc::new(InMemory::new()),
            prefix: "".into(),
            url: "memory:///".into(),
        };
        Self { store: RunStore::new(bucket, manifest.run), manifest }
    }

    /// What a task of an execution takes.
    async fn take(
        &self,
        execution: &str,
        launch: Option<u32>,
        (task, count): (u32, u32),
    ) -> Option<Share> {
        let config = TaskConfig {
            cloud_run_task_index: task,
            cloud_run_task_count: count,
            cloud_run_task_attempt: 0,
            cloud_run_execution: execution.into(),
            sluice_manifest: self.store.manifest_url(),
            sluice_launch: launch,
        };
        Share::take(&self.store, &self.manifest, &config).await.unwrap()
    }

    async fn share(&self, launch: u32, ordered: &[u32], task: u32, count: u32) -> Share {
        Share::of(&self.store, &self.manifest, launch, ordered, task, count).await.unwrap()
    }

    /// What all tasks of an execution take when they start at once.
    async fn take_all(&self, execution: &str, launch: Option<u32>, count: u32) -> Vec<Share> {
        let tasks = (0..count).map(|task| self.take(execution, launch, (task, count)));
        join_all(tasks).await.into_iter().flatten().collect()
    }

    async fn order(&self, launch: u32, tasks: &[u32]) {
        let order = Order {
            version: Order::VERSION,
            launch,
            tasks: tasks.to_vec(),
            reason: "a test".into(),
            at: Utc::now(),
        };
        self.store.create_order(&order).await.unwrap();
    }

    async fn claimed_by(&self, launch: u32) -> Option<String> {
        self.store.claim(launch).await.unwrap().map(|claim| claim.execution)
    }

    /// The units of these tasks of the plan.
    fn units(&self, tasks: impl IntoIterator<Item = u32>) -> BTreeSet<UnitRef> {
        let tasks = tasks.into_iter().map(|task| &self.manifest.tasks[task as usize]);
        tasks.flat_map(|task| task.units.iter().flatten()).map(Unit::place).collect()
    }
}

pub(crate) fn manifest(tasks: &[u32]) -> Manifest {
    let mut units = Vec::new();
    let tasks: Vec<_> = (0..)
        .zip(tasks)
        .map(|(index, count): (u32, &u32)| {
            let own: Vec<_> = (0..*count)
                .map(|_| {
                    let unit = units.len();
                    units.push(serde_json::json!({
                        "index": unit, "cut": {"kind": "full"}, "predicate": "", "rows": 1, "bytes": 1
                    }));
                    serde_json::json!({"table": 0, "unit": unit})
                })
                .collect();
            serde_json::json!({"index": index, "units": own})
        })
        .collect();
    let document = serde_json::json!({
        "version": 1, "run": RunId::generate().to_string(), "job": "j", "planned": Utc::now(),
        "source": "postgres://x", "bucket": "memory:///", "consistency": "snapshot",
        "tables": [{
            "index": 0, "name": "t", "relation": {"table": {"name": "t"}}, "target": "file:///w/t",
            "write_disposition": "truncate", "strategy": "full", "reason": "small", "columns": [],
            "shape": "", "rows": 1, "bytes": 1, "units": units
        }],
        "tasks": tasks,
        "estimate": {"rows": 0, "bytes": 0, "seconds": 0.0, "dollars": 0.0}
    });
    parse_manifest(&"manifest.json".into(), document.to_string().as_bytes()).unwrap()
}

/// Every unit of `expected` is in one share, and no other.
fn assert_covered(shares: &[Share], expected: &BTreeSet<UnitRef>) {
    let units = shares.iter().flat_map(|share| &share.units);
    let all: Vec<UnitRef> = units.map(Unit::place).collect();
    let set: BTreeSet<UnitRef> = all.iter().copied().collect();
    assert_eq!(all.len(), set.len(), "a unit is in two shares");
    assert_eq!(&set, expected);
}

#[tokio::test]
async fn any_number_of_tasks_covers_an_order_once() {
    let world = World::new(&[3, 1, 2, 1, 1, 4, 1, 1, 1, 0, 2, 1]);
    let everything: Vec<u32> = (0..12).collect();
    for ordered in [everything.as_slice(), &[7, 2, 9, 5], &[11], &[]] {
        let expected = world.units(ordered.iter().copied());
        for count in 1..=20 {
            let mut shares = Vec::new();
            for task in 0..count {
                shares.push(world.share(3, ordered, task, count).await);
            }
            assert_covered(&shares, &expected);
            let busy: Vec<(u32, UnitRef)> = (0..)
                .zip(&shares)
                .filter_map(|(task, share)| Some((task, share.units.last()?.place())))
                .collect();
            assert!(shares.iter().all(|share| share.peers == busy), "{count} {ordered:?}");
        }
    }
    // Task 0 of two carries the first and the third out, in this order.
    let share = world.share(0, &[7, 2, 9, 5], 1, 2).await;
    assert_eq!(
        share.units,
        [2, 5].map(|task| world.manifest.tasks[task].units.clone().unwrap()).concat()
    );
}

#[tokio::test]
async fn a_launch_is_its_executions_whoever_claims_it() {
    let world = World::new(&[1, 1, 1, 1]);
    world.order(0, &[0, 1, 2, 3]).await;
    let shares = world.take_all("e1", Some(0), 4).await;
    assert_covered(&shares, &world.units(0..4));
    assert_eq!(world.claimed_by(0).await.as_deref(), Some("e1"));
    // A second execution of the same launch ends quietly.
    assert!(world.take_all("e2", Some(0), 4).await.is_empty());
    // A later attempt of the first execution takes its share again.
    assert_eq!(world.take("e1", Some(0), (3, 4)).await.unwrap().launch, 0);

    // The program that started it may be first too.
    world.order(1, &[2, 3]).await;
    let (version, launch, at) = (Claim::VERSION, 1, Utc::now());
    let claim = Claim { version, launch, execution: "e4".into(), at };
    world.store.create_claim(&claim).await.unwrap();
    assert!(world.take_all("e3", Some(1), 2).await.is_empty());
    assert_covered(&world.take_all("e4", Some(1), 2).await, &world.units([2, 3]));
}

#[tokio::test]
async fn of_two_executions_of_a_launch_one_carries_it_out() {
    for _ in 0..20 {
        let world = World::new(&[1, 2, 1, 1, 1, 3]);
        world.order(0, &[0, 1, 2, 3, 4, 5]).await;
        let (one, two) =
            tokio::join!(world.take_all("e1", Some(0), 6), world.take_all("e2", Some(0), 6));
        assert!(one.is_empty() != two.is_empty(), "{one:?} {two:?}");
        let both: Vec<Share> = one.into_iter().chain(two).collect();
        assert_covered(&both, &world.units(0..6));
    }
}

#[tokio::test]
async fn the_tasks_of_a_persons_execution_agree_on_a_launch() {
    let world = World::new(&[1; 30]);
    world.order(0, &(0..30).collect::<Vec<_>>()).await;
    world.take_all("planned", Some(0), 30).await;
    // It covers everything, with any number of tasks.
    let shares = world.take_all("person", None, 7).await;
    assert!(shares.iter().all(|share| share.launch == 1), "{shares:?}");
    assert_covered(&shares, &world.units(0..30));
    assert_eq!(world.take("person", None, (6, 7)).await.unwrap(), shares[6]);
    assert_eq!(world.claimed_by(1).await.as_deref(), Some("person"));

    // A launch that was ordered and not claimed is carried out as it was ordered.
    world.order(2, &[4, 8]).await;
    assert_covered(&world.take_all("late", None, 3).await, &world.units([4, 8]));
    assert!(world.take_all("planned too", Some(2), 2).await.is_empty());
}

#[tokio::test]
async fn two_persons_at_once_have_a_launch_each() {
    for _ in 0..20 {
        let world = World::new(&[1; 9]);
        let (one, two) = tokio::join!(world.take_all("e1", None, 4), world.take_all("e2", None, 5));
        for shares in [&one, &two] {
            assert_covered(shares, &world.units(0..9));
            assert!(shares.iter().all(|share| share.launch == shares[0].launch), "{shares:?}");
        }
        assert_eq!(one[0].launch + two[0].launch, 1);
    }
}

#[test]
fn few_tasks_start_at_once_and_many_within_seconds() {
    assert_eq!(head_start(FEW), Duration::ZERO);
    let starts: Vec<Duration> = (0..200).map(|_| head_start(500)).collect();
    assert!(starts.iter().all(|start| *start < Duration::from_millis(2_500)));
    assert!(starts.iter().max().unwrap() > &Duration::from_secs(2));
    assert!(starts.iter().min().unwrap() < &Duration::from_millis(500));
    assert!((0..200).all(|_| head_start(10_000) < MOST_SPREAD));
}
