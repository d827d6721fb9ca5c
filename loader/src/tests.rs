//! What is committed, what is refused, and that it happens once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use sluice_contracts::manifest::{Manifest, RunId, Table, UnitRef};
use sluice_contracts::receipt::{Commit, Failure, Part, Receipt, Snapshot};
use sluice_contracts::store::{Bucket, RunStore};
use sluice_contracts::{Error, Kind, Result};

use crate::{Load, Loaded, Outcome, Prepared, Progress, Sink, census, commit};

/// A sink that remembers what it was given, and can be told to refuse a target.
#[derive(Debug, Clone, Default)]
struct Recorder {
    loads: Arc<Mutex<Vec<Load>>>,
    refuse: Option<&'static str>,
}

#[async_trait]
impl Sink for Recorder {
    async fn check(&self, _: RunId, _: &Table) -> Result<()> {
        Ok(())
    }

    async fn prepare(&self, load: &Load) -> Result<Progress<Box<dyn Prepared>>> {
        if self.refuse.is_some_and(|target| load.target.ends_with(target)) {
            return Err(Error::data("the table has rows"));
        }
        Ok(Progress::Done(Box::new(Recorded { recorder: self.clone(), load: load.clone() })))
    }
}

#[derive(Debug)]
struct Recorded {
    recorder: Recorder,
    load: Load,
}

#[async_trait]
impl Prepared for Recorded {
    async fn publish(self: Box<Self>) -> Result<Progress<Loaded>> {
        let loaded = Loaded { snapshot: self.load.snapshot, rows: self.load.rows };
        self.recorder.loads.lock().unwrap().push(self.load);
        Ok(Progress::Done(loaded))
    }
}

struct World {
    store: RunStore,
    manifest: Manifest,
    sink: Recorder,
}

impl World {
    /// A run of tables with so many units each.
    async fn new(units: &[u32]) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let bucket = Bucket { store, prefix: "".into(), url: "file:///bucket".into() };
        let manifest = manifest(units);
        let store = RunStore::new(bucket, manifest.run);
        store.create_manifest(&manifest).await.unwrap();
        Self { store, manifest, sink: Recorder::default() }
    }

    async fn found(&self, generation: u32) {
        let snapshot = Snapshot {
            version: 1,
            generation,
            token: String::new(),
            task: 0,
            attempt: 0,
            at: DateTime::UNIX_EPOCH,
        };
        self.store.create_founder(&snapshot).await.unwrap();
    }

    fn receipt(&self, generation: u32, unit: UnitRef) -> Receipt {
        let path = self.store.layout().part(generation, unit, "w", 0);
        Receipt {
            version: 1,
            table: unit.table,
            unit: unit.unit,
            snapshot: generation,
            task: 0,
            attempt: 0,
            execution: "e".into(),
            rows: 10,
            bytes: 100,
            invalid: BTreeMap::new(),
            parts: vec![Part { path: path.to_string(), rows: 10, bytes: 50, crc32c: 7 }],
            seconds: 1.0,
            finished: DateTime::UNIX_EPOCH,
        }
    }

    /// Proves a unit, and writes its part.
    async fn prove(&self, generation: u32, unit: UnitRef) {
        let receipt = self.receipt(generation, unit);
        let part = receipt.parts[0].path.as_str();
        self.store.bucket().store.put(&part.into(), "rows".into()).await.unwrap();
        self.store.create_receipt(&receipt).await.unwrap();
    }

    async fn prove_all(&self, generation: u32) {
        for unit in self.manifest.units() {
            self.prove(generation, unit).await;
        }
    }

    /// Leaves word that a unit cannot be read.
    async fn fail(&self, execution: &str, kind: Kind, unit: UnitRef) {
        let number = self.store.failures().await.unwrap().len();
        let failure = Failure {
            version: 1,
            task: 0,
            attempt: 0,
            execution: execution.into(),
            unit: Some((unit.table, unit.unit)),
            kind,
            message: "permission denied".into(),
            hint: None,
            at: DateTime::from_timestamp(i64::try_from(number).unwrap(), 0).unwrap(),
        };
        self.store.create_failure(&failure, &number.to_string()).await.unwrap();
    }

    /// Replaces the plan by one of another run.
    async fn plan(&mut self, manifest: Manifest) {
        self.manifest = manifest;
        self.store = RunStore::new(self.store.bucket().clone(), self.manifest.run);
        self.store.create_manifest(&self.manifest).await.unwrap();
    }

    async fn commit(&self) -> Result<Outcome> {
        let sink = self.sink.clone();
        let sinks = move |_: &str| Ok(Arc::new(sink.clone()) as Arc<dyn Sink>);
        match commit(&self.store, &sinks).await? {
            Progress::Done(outcome) => Ok(outcome),
            Progress::Pending => panic!("a recorder is never at work"),
        }
    }

    fn loads(&self) -> Vec<Load> {
        self.sink.loads.lock().unwrap().clone()
    }

    async fn part_is_there(&self, generation: u32, unit: UnitRef) -> bool {
        let path = self.store.layout().part(generation, unit, "w", 0);
        self.store.bucket().store.head(&path).await.is_ok()
    }
}

fn manifest(units: &[u32]) -> Manifest {
    let tables: Vec<_> = (0..)
        .zip(units)
        .map(|(index, units): (u32, &u32)| {
            let units: Vec<_> = (0..*units)
                .map(|index| {
                    serde_json::json!({
                        "index": index, "cut": {"kind": "full"}, "predicate": "", "rows": 10, "bytes": 1
                    })
                })
                .collect();
            serde_json::json!({
                "index": index, "name": format!("t{index}"), "relation": {"table": {"name": "t"}},
                "target": format!("file:///w/t{index}"), "write_disposition": "truncate",
                "strategy": "full", "reason": "small", "columns": [], "shape": "", "rows": 10,
                "bytes": 1, "units": units
            })
        })
        .collect();
    serde_json::from_value(serde_json::json!({
        "version": 1, "run": RunId::generate().to_string(), "job": "j", "planned": Utc::now(),
        "source": "sqlite:///x", "bucket": "file:///bucket", "consistency": "snapshot",
        "tables": tables, "tasks": [],
        "estimate": {"rows": 0, "bytes": 0, "seconds": 0.0, "dollars": 0.0}
    }))
    .unwrap()
}

fn at(table: u32, unit: u32) -> UnitRef {
    UnitRef { table, unit }
}

#[tokio::test]
async fn a_complete_run_is_loaded_once_and_its_parts_are_deleted() {
    let world = World::new(&[3]).await;
    world.found(0).await;
    world.prove_all(0).await;
    let outcome = world.commit().await.unwrap();
    assert!(outcome.is_whole());
    assert_eq!(outcome.tables[0].result.as_ref().unwrap().rows, 30);
    let loads = world.loads();
    assert_eq!((loads.len(), loads[0].rows, loads[0].parts.len()), (1, 30, 3));
    assert!(!world.part_is_there(0, at(0, 1)).await);

    let again = world.commit().await.unwrap();
    assert_eq!(again.tables[0].result.as_ref().unwrap().rows, 30);
    assert_eq!(world.loads().len(), 1);
}

#[tokio::test]
async fn missing_units_are_named() {
    let world = World::new(&[20]).await;
    world.found(0).await;
    for unit in (0..20).filter(|unit| *unit != 17) {
        world.prove(0, at(0, unit)).await;
    }
    let error = world.commit().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    assert_eq!(
        error.chain(),
        format!(
            "load run `{}`: 19 of 20 work units have a receipt; missing: 17",
            world.manifest.run
        )
    );
    assert!(world.loads().is_empty());
    assert!(world.part_is_there(0, at(0, 1)).await);

    let world = World::new(&[20, 1]).await;
    let said = world.commit().await.unwrap_err().chain();
    assert!(said.ends_with("8 of `t0`, 9 of `t0`, and 11 more"), "{said}");
}

#[tokio::test]
async fn receipts_of_two_snapshots_never_commit_together() {
    let world = World::new(&[2]).await;
    world.found(0).await;
    world.prove(0, at(0, 0)).await;
    world.found(1).await;
    world.prove(1, at(0, 1)).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Transient);
    world.prove(1, at(0, 0)).await;
    assert_eq!(world.commit().await.unwrap().generation, 1);
    assert!(world.loads()[0].parts.iter().all(|part| part.path.contains("-0001-")));
}

#[tokio::test]
async fn an_older_generation_counts_when_the_newest_has_gaps() {
    let world = World::new(&[2]).await;
    world.found(0).await;
    world.prove_all(0).await;
    world.found(1).await;
    world.prove(1, at(0, 0)).await;
    assert_eq!(world.commit().await.unwrap().generation, 0);
}

#[tokio::test]
async fn a_second_table_follows_the_generation_of_the_first() {
    let world = World::new(&[1, 1]).await;
    world.found(0).await;
    world.prove_all(0).await;
    world.found(1).await;
    world.prove_all(1).await;
    let first = Commit { version: 1, table: 0, snapshot: 0, rows: 10, at: DateTime::UNIX_EPOCH };
    world.store.create_commit(&first).await.unwrap();
    assert_eq!(census(&world.store, &world.manifest).await.unwrap().generation, 0);
    world.commit().await.unwrap();
    let loads = world.loads();
    assert_eq!((loads.len(), loads[0].table, loads[0].snapshot), (1, 1, 0));
}

#[tokio::test]
async fn a_table_that_is_refused_keeps_no_other_back_and_keeps_the_parts() {
    let mut world = World::new(&[1, 1]).await;
    world.found(0).await;
    world.prove_all(0).await;
    world.sink.refuse = Some("t0");
    let outcome = world.commit().await.unwrap();
    assert!(outcome.tables[0].result.is_err() && outcome.tables[1].result.is_ok());
    assert!(world.part_is_there(0, at(0, 0)).await);

    world.sink.refuse = None;
    assert!(world.commit().await.unwrap().is_whole());
    assert_eq!(world.loads().len(), 2);
    assert!(!world.part_is_there(0, at(0, 0)).await);
}

#[tokio::test]
async fn receipts_that_contradict_themselves_are_refused() {
    type Change = fn(&mut Receipt);
    let break_it: [(&str, Change); 4] = [
        ("its receipt says 11 rows, and its parts 10", |receipt| receipt.rows = 11),
        ("its parts more than can be counted", |receipt| {
            let mut huge = receipt.parts[0].clone();
            (huge.rows, huge.path) = (u64::MAX, format!("{}x", huge.path));
            receipt.parts.push(huge);
        }),
        ("is not its own", |receipt| receipt.parts[0].path = "other/run.parquet".into()),
        ("is not its own", |receipt| {
            receipt.parts.push(receipt.parts[0].clone());
            receipt.rows = 20;
        }),
    ];
    for (expected, change) in break_it {
        let world = World::new(&[1]).await;
        world.found(0).await;
        let mut receipt = world.receipt(0, at(0, 0));
        change(&mut receipt);
        world.store.create_receipt(&receipt).await.unwrap();
        let error = world.commit().await.unwrap().tables.remove(0).result.unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.chain().contains(expected), "{}", error.chain());
        assert!(world.loads().is_empty());
    }
}

#[tokio::test]
async fn two_tables_with_one_target_are_refused() {
    let mut world = World::new(&[1, 1]).await;
    let mut manifest = manifest(&[1, 1]);
    manifest.tables[1].target = "file:///w/t0/".into();
    world.plan(manifest).await;
    world.found(0).await;
    world.prove_all(0).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Invalid);
    assert!(world.loads().is_empty());
}

#[tokio::test]
async fn a_table_that_was_given_up_keeps_no_other_back() {
    let world = World::new(&[2, 1]).await;
    world.found(0).await;
    world.prove(0, at(0, 0)).await;
    world.prove(0, at(1, 0)).await;
    // A failure that may pass gives nothing up.
    world.fail("first", Kind::Transient, at(0, 1)).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Transient);
    world.fail("first", Kind::Denied, at(0, 1)).await;
    let outcome = world.commit().await.unwrap();
    assert_eq!(outcome.tables[0].result.as_ref().unwrap_err().kind(), Kind::Denied);
    assert!(outcome.tables[1].result.is_ok());
    assert!(world.part_is_there(0, at(0, 0)).await);
    // It can be read after all: the run becomes whole.
    world.prove(0, at(0, 1)).await;
    assert!(world.commit().await.unwrap().is_whole());
    assert_eq!(world.loads().len(), 2);
}

#[tokio::test]
async fn what_an_older_execution_gave_up_is_not_given_up() {
    let world = World::new(&[1, 1]).await;
    world.found(0).await;
    world.prove(0, at(1, 0)).await;
    world.fail("first", Kind::Denied, at(0, 0)).await;
    world.fail("second", Kind::Transient, at(0, 0)).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Transient);
    assert!(world.loads().is_empty());
}

#[tokio::test]
async fn all_or_nothing_is_nothing_when_one_table_fails() {
    let mut world = World::new(&[1]).await;
    let mut manifest = manifest(&[1, 1, 1]);
    manifest.all_or_nothing = true;
    world.plan(manifest).await;
    world.found(0).await;
    world.prove(0, at(0, 0)).await;
    world.prove(0, at(1, 0)).await;
    world.fail("first", Kind::Denied, at(2, 0)).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Transient);

    world.prove(0, at(2, 0)).await;
    world.sink.refuse = Some("t1");
    let outcome = world.commit().await.unwrap();
    let kinds: Vec<Kind> =
        outcome.tables.iter().map(|table| table.result.as_ref().unwrap_err().kind()).collect();
    assert_eq!(kinds, [Kind::Conflict, Kind::Data, Kind::Conflict]);
    assert!(world.loads().is_empty());

    world.sink.refuse = None;
    assert!(world.commit().await.unwrap().is_whole());
    assert_eq!(world.loads().len(), 3);
}
