//! A run whose tasks are played by the tests, and a target that remembers.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use sluice_contracts::documents::{
    BadRows, Failure, Manifest, Part, Receipt, RunId, Snapshot, Stages, Table, UnitRef,
};
use sluice_contracts::store::{Bucket, RunStore, parse_manifest};
use sluice_contracts::{Error, Kind, Result};
use sluice_targets::{
    Admitted, Load, Loaded, NotLoaded, Prepared, Shown, Target, Targets, Visibility,
};

use super::faults::Faults;
use crate::{Outcome, RunView, Tries, commit};

/// By run, table and generation.
type AtWork = HashMap<(RunId, u32, u32), u32>;

/// A target that loads by itself, as BigQuery does: a load is asked for, is at work for a while,
/// and is visible once however often it was asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorder {
    /// What became visible, in order.
    pub(super) loads: Arc<Mutex<Vec<Load>>>,
    /// How often a load that was asked for will still be at work.
    pub(super) at_work: Arc<Mutex<AtWork>>,
    /// How often a new load is at work.
    pub(super) pending: u32,
    pub(super) refuse: Option<&'static str>,
    /// The targets whose last step may be refused; that of the last of them is.
    pub(super) refuse_last: Vec<&'static str>,
    /// Whether the last step fails once the rows are visible.
    pub(super) fails_visible: bool,
    /// The target that shows a later run, and that run.
    pub(super) overtaken: Option<(&'static str, RunId)>,
    /// The tables whose last step was given up.
    pub(super) discarded: Arc<Mutex<Vec<u32>>>,
    /// The tables that were given up before they were prepared.
    pub(super) abandoned: Arc<Mutex<Vec<u32>>>,
    pub(super) faults: Faults,
}

impl Recorder {
    /// Targets of which this one is the only one.
    pub(super) fn targets(&self) -> Targets {
        Targets::new(vec![("file", Arc::new(self.clone()))])
    }

    pub(super) fn loads(&self) -> Vec<Load> {
        self.loads.lock().unwrap().clone()
    }

    fn is_visible(&self, load: &Load) -> bool {
        has(&self.loads.lock().unwrap(), load)
    }

    fn is_at_work(&self, load: &Load) -> bool {
        let mut at_work = self.at_work.lock().unwrap();
        let left = at_work.entry((load.run, load.table, load.snapshot)).or_insert(self.pending);
        let pending = *left > 0;
        *left = left.saturating_sub(1);
        pending
    }

    /// Whether every part is there, before anything is loaded.
    async fn check_parts(&self, load: &Load) -> Result<()> {
        let sizes = load.listing.sizes(load).await?;
        match load.parts.iter().find(|part| !sizes.contains_key(&part.path.as_str().into())) {
            Some(part) => Err(Error::data(format!("look for `{}`", part.path))),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Target for Recorder {
    async fn shown(&self, load: &Load) -> Result<Shown> {
        Ok(if self.is_visible(load) { Shown::Yes } else { Shown::No })
    }

    async fn exists(&self, _: &str) -> Result<bool> {
        Ok(true)
    }

    async fn check(&self, _: RunId, _: &Table, _: Visibility) -> Result<Admitted> {
        Ok(Admitted::default())
    }

    async fn prepare(&self, load: &Load) -> Result<Poll<Box<dyn Prepared>>> {
        if self.refuse.is_some_and(|target| load.target.ends_with(target)) {
            return Err(Error::data("the table has rows"));
        }
        self.check_parts(load).await?;
        self.faults.call(async || Ok(self.is_at_work(load))).await.map(|at_work| {
            if at_work {
                return Poll::Pending;
            }
            Poll::Ready(Box::new(Recorded { recorder: self.clone(), load: load.clone() }) as _)
        })
    }

    async fn abandon(&self, load: &Load) -> Result<()> {
        self.abandoned.lock().unwrap().push(load.table);
        Ok(())
    }

    async fn load_at_once(&self, loads: &[Load]) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
        let mut prepared = Vec::new();
        for load in loads {
            match self.prepare(load).await {
                Ok(Poll::Ready(step)) => prepared.push(step),
                Ok(Poll::Pending) => return Ok(Poll::Pending),
                Err(error) => return Err(NotLoaded { table: Some(load.table), error }),
            }
        }
        if prepared.iter().any(|step| step.may_be_refused()) {
            return Err(Error::data("two rows have the same key").into());
        }
        let overtaken_by = prepared.iter().find_map(|step| step.overtaken_by());
        let loaded = |load: &Load| match overtaken_by {
            Some(_) => Loaded { snapshot: load.snapshot, rows: 0, dropped: None, overtaken_by },
            None => {
                Loaded { snapshot: load.snapshot, rows: load.rows, dropped: None, overtaken_by }
            }
        };
        let publish = async || {
            let mut visible = self.loads.lock().unwrap();
            if overtaken_by.is_none() && loads.iter().all(|load| !has(&visible, load)) {
                visible.extend_from_slice(loads);
            }
            Ok(Poll::Ready(loads.iter().map(loaded).collect()))
        };
        self.faults.call(publish).await.map_err(NotLoaded::from)
    }
}

fn has(visible: &[Load], load: &Load) -> bool {
    let same =
        |one: &Load| (one.run, one.table, one.snapshot) == (load.run, load.table, load.snapshot);
    visible.iter().any(same)
}

#[derive(Debug)]
struct Recorded {
    recorder: Recorder,
    load: Load,
}

#[async_trait]
impl Prepared for Recorded {
    fn overtaken_by(&self) -> Option<RunId> {
        let overtaken = self.recorder.overtaken?;
        self.load.target.ends_with(overtaken.0).then_some(overtaken.1)
    }

    fn may_be_refused(&self) -> bool {
        self.recorder.refuse_last.iter().any(|target| self.load.target.ends_with(target))
    }

    async fn publish(self: Box<Self>) -> Result<Poll<Loaded>> {
        if self.recorder.refuse_last.last().is_some_and(|end| self.load.target.ends_with(end)) {
            return Err(Error::data("two rows have the same key"));
        }
        let overtaken_by = self.overtaken_by();
        let Self { recorder, load } = *self;
        if overtaken_by.is_some() {
            return Ok(Poll::Ready(Loaded {
                snapshot: load.snapshot,
                rows: 0,
                dropped: None,
                overtaken_by,
            }));
        }
        let loaded =
            Loaded { snapshot: load.snapshot, rows: load.rows, dropped: None, overtaken_by: None };
        let publish = async || {
            if !recorder.is_visible(&load) {
                recorder.loads.lock().unwrap().push(load.clone());
            }
            if recorder.fails_visible {
                return Err(Error::data(
                    "the rows are visible, and their labels cannot be written",
                ));
            }
            Ok(Poll::Ready(loaded))
        };
        recorder.faults.call(publish).await
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        self.recorder.discarded.lock().unwrap().push(self.load.table);
        Ok(())
    }
}

/// The documents of a run, and where it is loaded.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) store: RunStore,
    pub(super) manifest: Manifest,
    pub(super) target: Recorder,
}

impl World {
    /// A run of tables with these numbers of units.
    pub(super) async fn new(units: &[u32]) -> Self {
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Self::of(store, manifest(units)).await
    }

    /// A run of this plan.
    pub(super) async fn of(store: Arc<dyn ObjectStore>, manifest: Manifest) -> Self {
        let bucket = Bucket { store, prefix: "".into(), url: "file:///bucket".into() };
        let store = RunStore::new(bucket, manifest.run);
        store.create_manifest(&manifest).await.unwrap();
        Self { store, manifest, target: Recorder::default() }
    }

    pub(super) async fn found(&self, generation: u32) {
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

    pub(super) fn receipt(&self, generation: u32, unit: UnitRef) -> Receipt {
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
            bad_rows: BadRows::default(),
            parts: vec![Part {
                path: path.to_string(),
                rows: 10,
                bytes: 50,
                crc32c: 7,
                span: None,
            }],
            seconds: 1.0,
            stages: Stages::default(),
            finished: DateTime::UNIX_EPOCH,
        }
    }

    /// Proves a unit, and writes its part.
    pub(super) async fn prove(&self, generation: u32, unit: UnitRef) {
        self.prove_by(&self.receipt(generation, unit)).await;
    }

    /// Proves a unit by this receipt.
    pub(super) async fn prove_by(&self, receipt: &Receipt) {
        let part = receipt.parts[0].path.as_str();
        self.store.bucket().store.put(&part.into(), "rows".into()).await.unwrap();
        self.store.create_receipt(receipt).await.unwrap();
    }

    pub(super) async fn prove_all(&self, generation: u32) {
        for unit in self.manifest.units() {
            self.prove(generation, unit).await;
        }
    }

    /// Records that a unit cannot be read.
    pub(super) async fn fail(&self, execution: &str, kind: Kind, unit: UnitRef) {
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
    pub(super) async fn plan(&mut self, manifest: Manifest) {
        self.manifest = manifest;
        self.store = RunStore::new(self.store.bucket().clone(), self.manifest.run);
        self.store.create_manifest(&self.manifest).await.unwrap();
    }

    pub(super) async fn commit(&self) -> Result<Outcome> {
        let tries = Tries::since(Utc::now(), Duration::from_hours(1));
        let view = RunView::new(self.store.clone());
        match commit(&view, &self.target.targets(), tries).await? {
            Poll::Ready(outcome) => Ok(outcome),
            Poll::Pending => panic!("a recorder is never at work"),
        }
    }

    pub(super) fn loads(&self) -> Vec<Load> {
        self.target.loads()
    }

    pub(super) async fn part_is_there(&self, generation: u32, unit: UnitRef) -> bool {
        let path = self.store.layout().part(generation, unit, "w", 0);
        self.store.bucket().store.head(&path).await.is_ok()
    }
}

pub(super) fn manifest(units: &[u32]) -> Manifest {
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
    let document = serde_json::json!({
        "version": 1, "run": RunId::generate().to_string(), "job": "j", "planned": Utc::now(),
        "source": "sqlite:///x", "bucket": "file:///bucket", "consistency": "snapshot",
        "tables": tables, "tasks": [],
        "estimate": {"rows": 0, "bytes": 0, "seconds": 0.0, "dollars": 0.0}
    });
    parse_manifest(&"manifest.json".into(), document.to_string().as_bytes()).unwrap()
}

pub(super) fn at(table: u32, unit: u32) -> UnitRef {
    UnitRef { table, unit }
}
