//! Tasks that come, read and die, at a source whose snapshots live as long as their holders.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, Weak};

use async_trait::async_trait;
use chrono::Utc;
use object_store::ObjectStore;
use object_store::memory::InMemory;
use sluice_contracts::documents::{BadRows, Manifest, Receipt, Stages, Table, Unit, UnitRef};
use sluice_contracts::store::{Bucket, RunStore};
use sluice_sources::{Batches, Place, Protection, Reader, Source, Survey};

use super::*;
use crate::launch::Share;
use crate::launch::tests::manifest;
use crate::task_state::CostlyTables;

/// A server: what its connections have exported, while they live.
#[derive(Debug, Clone, Default)]
struct Server {
    exports: Arc<Mutex<BTreeMap<String, Weak<()>>>>,
}

#[async_trait]
impl Source for Server {
    fn label(&self) -> &'static str {
        "server"
    }

    fn places(&self) -> Vec<Place> {
        Vec::new()
    }

    fn protection(&self) -> Protection {
        Protection::Local
    }

    async fn survey(&self, _: &str) -> Result<Box<dyn Survey>> {
        Err(Error::bug("this source cannot be planned"))
    }

    async fn reader(&self, _: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        if let Join::Token(token) = join {
            let lives = |life: &Weak<()>| life.strong_count() > 0;
            if !self.exports.lock().unwrap().get(token).is_some_and(lives) {
                return Ok(None);
            }
        }
        Ok(Some(Box::new(Connection { server: self.clone(), life: Arc::new(()) })))
    }
}

struct Connection {
    server: Server,
    life: Arc<()>,
}

#[async_trait]
impl Reader for Connection {
    async fn export(&mut self) -> Result<String> {
        let token = uuid::Uuid::new_v4().to_string();
        self.server.exports.lock().unwrap().insert(token.clone(), Arc::downgrade(&self.life));
        Ok(token)
    }

    async fn check(&mut self, _: &Table) -> Result<()> {
        Ok(())
    }

    async fn read<'a>(&'a mut self, _: &'a Table, _: &'a Unit) -> Result<Box<dyn Batches + 'a>> {
        Err(Error::bug("this source cannot be read"))
    }

    async fn confirm(&mut self) -> Result<()> {
        Ok(())
    }

    async fn recover(&mut self) -> Result<()> {
        Ok(())
    }
}

struct World {
    server: Server,
    store: RunStore,
    manifest: Manifest,
    share: Share,
    costly: CostlyTables,
}

impl World {
    /// A run whose tasks have these numbers of units.
    async fn new(tasks: &[u32]) -> Self {
        let bucket: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let bucket = Bucket { store: bucket, prefix: "".into(), url: "memory:///".into() };
        let manifest = manifest(tasks);
        let store = RunStore::new(bucket, manifest.run);
        let ordered: Vec<u32> = manifest.tasks.iter().map(|task| task.index).collect();
        let count = u32::try_from(ordered.len()).unwrap();
        let share = Share::of(&store, &manifest, 0, &ordered, 0, count).await.unwrap();
        let costly = CostlyTables::default();
        Self { server: Server::default(), store, manifest, share, costly }
    }

    /// A task starts. Dropping what it gets kills it.
    async fn join(&self, task: u32) -> JoinedSnapshot {
        let mut lost = None;
        loop {
            let joiner = Joiner { lost, ..self.joiner(task) };
            if let Some(snapshot) = joiner.join().await.unwrap().or(&mut lost) {
                return snapshot;
            }
        }
    }

    /// Its connection meets an error.
    async fn rejoin(&self, task: u32, broken: JoinedSnapshot) -> JoinedSnapshot {
        match self.joiner(task).rejoin(broken).await.unwrap() {
            Joined::At(snapshot) => *snapshot,
            Joined::Lost(_) => self.join(task).await,
        }
    }

    fn joiner(&self, task: u32) -> Joiner<'_> {
        Joiner {
            source: &self.server,
            store: &self.store,
            manifest: &self.manifest,
            share: &self.share,
            task,
            attempt: 0,
            writer_id: ["e-0-0-n", "e-1-0-n", "e-2-0-n"][task as usize],
            lost: None,
            costly: &self.costly,
        }
    }

    async fn receipts(&self, generation: u32) -> usize {
        self.store.receipted(&self.manifest, generation).await.unwrap().len()
    }
}

/// A unit that a task has read.
fn receipt(snapshot: &JoinedSnapshot, unit: u32) -> Receipt {
    Receipt {
        version: Receipt::VERSION,
        table: 0,
        unit,
        snapshot: snapshot.generation,
        task: 0,
        attempt: 0,
        execution: "e".into(),
        rows: 10,
        bytes: 100,
        invalid: BTreeMap::new(),
        bad_rows: BadRows::default(),
        parts: Vec::new(),
        seconds: 1.0,
        stages: Stages::default(),
        finished: Utc::now(),
    }
}

async fn read(snapshot: &mut JoinedSnapshot, unit: u32) {
    let receipt = receipt(snapshot, unit);
    snapshot.receipts.prove(receipt).await.unwrap();
}

fn unit(unit: u32) -> UnitRef {
    UnitRef { table: 0, unit }
}

#[tokio::test(start_paused = true)]
async fn a_founder_that_dies_before_anybody_has_joined_has_proved_nothing() {
    let world = World::new(&[1, 1]).await;
    let mut founder = world.join(0).await;
    read(&mut founder, 0).await;
    tokio::time::sleep(Duration::from_hours(1)).await;
    founder.receipts.release().await.unwrap();
    assert!(founder.receipts.keeps(unit(0)));
    assert_eq!(world.receipts(0).await, 0);
    drop(founder);

    let mut other = world.join(1).await;
    assert_eq!((other.generation, world.receipts(0).await), (1, 0));
    read(&mut other, 1).await;
    assert_eq!(world.receipts(1).await, 0);
    let _again = world.join(0).await;
    other.receipts.release().await.unwrap();
    assert_eq!(world.receipts(1).await, 1);
}

#[tokio::test(start_paused = true)]
async fn a_founder_proves_what_it_has_read_once_everybody_has_joined() {
    let world = World::new(&[2, 1, 1, 0]).await;
    let mut founder = world.join(0).await;
    read(&mut founder, 0).await;
    let second = world.join(1).await;
    read(&mut founder, 1).await;
    assert_eq!(world.receipts(0).await, 0, "the third has not joined");
    let mut third = world.join(2).await;
    founder.receipts.release().await.unwrap();
    assert_eq!(world.receipts(0).await, 2);

    // A task that is killed now loses nothing.
    drop((founder, second));
    let again = world.join(0).await;
    assert_eq!(again.generation, 0);
    read(&mut third, 3).await;
    assert_eq!(world.receipts(0).await, 3);
}

#[tokio::test(start_paused = true)]
async fn a_task_that_does_not_come_is_not_waited_for_where_another_has() {
    let world = World::new(&[1, 1, 1]).await;
    let mut founder = world.join(0).await;
    read(&mut founder, 0).await;
    let mut second = world.join(1).await;
    read(&mut second, 1).await;
    assert_eq!(world.receipts(0).await, 0);
    tokio::time::sleep(Duration::from_secs(4)).await;
    founder.receipts.release().await.unwrap();
    second.receipts.release().await.unwrap();
    assert_eq!(world.receipts(0).await, 2);
}

#[tokio::test(start_paused = true)]
async fn the_only_task_of_a_run_waits_for_nobody() {
    let world = World::new(&[1, 0]).await;
    let mut only = world.join(0).await;
    read(&mut only, 0).await;
    assert_eq!(world.receipts(0).await, 1);
}

#[tokio::test(start_paused = true)]
async fn what_was_kept_outlives_a_connection_and_not_its_moment() {
    let world = World::new(&[1, 1]).await;
    let mut founder = world.join(0).await;
    read(&mut founder, 0).await;
    let founder = world.rejoin(0, founder).await;
    assert_eq!((founder.generation, founder.receipts.keeps(unit(0))), (0, true));

    // Its connection is lost, and no other task holds the snapshot.
    world.server.exports.lock().unwrap().clear();
    let lost = JoinedSnapshot { reader: Box::new(Lost), ..founder };
    let mut founder = world.rejoin(0, lost).await;
    assert_eq!((founder.generation, founder.receipts.keeps(unit(0))), (1, false));

    // Another task founded a newer generation: kept receipts are worthless, whichever task joins.
    read(&mut founder, 0).await;
    let newer = world.joiner(1).found(2).await.unwrap().unwrap();
    world.store.create_holder(&world.joiner(1).document(1, "x".into()), "w").await.unwrap();
    founder.receipts.release().await.unwrap();
    assert_eq!((newer.generation, world.receipts(1).await), (2, 0));
}

/// A connection that is lost.
struct Lost;

#[async_trait]
impl Reader for Lost {
    async fn export(&mut self) -> Result<String> {
        Err(Error::transient("the connection is lost"))
    }

    async fn check(&mut self, _: &Table) -> Result<()> {
        Err(Error::transient("the connection is lost"))
    }

    async fn read<'a>(&'a mut self, _: &'a Table, _: &'a Unit) -> Result<Box<dyn Batches + 'a>> {
        Err(Error::transient("the connection is lost"))
    }

    async fn confirm(&mut self) -> Result<()> {
        Err(Error::transient("the connection is lost"))
    }

    async fn recover(&mut self) -> Result<()> {
        Err(Error::transient("the connection is lost"))
    }
}
