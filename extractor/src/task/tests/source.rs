//! A source whose snapshots live as long as their holders, and whose units behave as a test says.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use sluice_contracts::documents::{Table, Unit};
use sluice_contracts::{Error, Kind, Result};
use sluice_sources::{Batches, Join, Place, Protection, Reader, Source, Survey};
use tokio::sync::watch;

/// What a unit does when it is read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Reading {
    /// It has no rows, and reading it takes this long.
    Takes(Duration),
    /// It fails.
    Fails(Kind),
    /// It is locked for longer than the source waits.
    IsLocked,
    /// The connection is lost.
    LosesConnection,
    /// The server ends all connections, as PostgreSQL does when one of its processes dies.
    CrashesServer,
    /// It never ends.
    Hangs,
}

type Script = dyn Fn(u32, u32) -> Reading + Send + Sync;

/// A server.
#[derive(Clone)]
pub(super) struct Server {
    exports: Arc<Mutex<BTreeMap<String, Weak<()>>>>,
    /// Connections that were ever made.
    pub(super) connections: Arc<AtomicU32>,
    /// How long it takes to get one.
    pub(super) delay: Arc<Mutex<Duration>>,
    /// The task that cannot reach it.
    pub(super) unreachable_for: Arc<Mutex<Option<u32>>>,
    /// Units that were ever read, and how often.
    pub(super) reads: Arc<Mutex<BTreeMap<(u32, u32), u32>>>,
    /// What the unit of a table does.
    script: Arc<Script>,
    /// How often it has ended all connections.
    crashes: watch::Sender<u32>,
    /// What the reader lives by that has the turn.
    turn: Arc<Mutex<Weak<()>>>,
}

impl Server {
    pub(super) fn new(script: impl Fn(u32, u32) -> Reading + Send + Sync + 'static) -> Self {
        Self {
            exports: Arc::default(),
            connections: Arc::default(),
            delay: Arc::default(),
            unreachable_for: Arc::default(),
            reads: Arc::default(),
            script: Arc::new(script),
            crashes: watch::Sender::new(0),
            turn: Arc::default(),
        }
    }

    pub(super) fn connections(&self) -> u32 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server")
    }
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

    async fn reader(&self, name: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let task = name.rsplit(' ').next().and_then(|task| task.parse().ok());
        if task.is_some() && task == *self.unreachable_for.lock().unwrap() {
            return Err(Error::transient("connect to the server"));
        }
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        if let Join::Token(token) = join {
            let lives = |life: &Weak<()>| life.strong_count() > 0;
            if !self.exports.lock().unwrap().get(token).is_some_and(lives) {
                return Ok(None);
            }
        }
        Ok(Some(Box::new(Connection {
            server: self.clone(),
            crashes: self.crashes.subscribe(),
            life: Some(Arc::new(())),
            token: None,
        })))
    }
}

struct Connection {
    server: Server,
    crashes: watch::Receiver<u32>,
    /// What its exports live by; `None` once it is lost.
    life: Option<Arc<()>>,
    token: Option<String>,
}

impl Connection {
    /// What its exports live by.
    fn life(&mut self) -> Result<Weak<()>> {
        if self.crashes.has_changed().unwrap_or(true) {
            self.life = None;
        }
        self.life.as_ref().map(Arc::downgrade).ok_or_else(lost)
    }
}

#[async_trait]
impl Reader for Connection {
    async fn export(&mut self) -> Result<String> {
        let life = self.life()?;
        let token = self.token.get_or_insert_with(|| uuid::Uuid::new_v4().to_string());
        self.server.exports.lock().unwrap().insert(token.clone(), life);
        Ok(token.clone())
    }

    async fn check(&mut self, _: &Table) -> Result<()> {
        self.life().map(drop)
    }

    async fn take_turn(&mut self, _: &str) -> Result<bool> {
        let life = self.life()?;
        let mut turn = self.server.turn.lock().unwrap();
        if turn.strong_count() > 0 && !turn.ptr_eq(&life) {
            return Ok(false);
        }
        *turn = life;
        Ok(true)
    }

    async fn rest(&mut self) -> Result<()> {
        let life = self.life()?;
        let mut turn = self.server.turn.lock().unwrap();
        if turn.ptr_eq(&life) {
            *turn = Weak::new();
        }
        Ok(())
    }

    async fn read<'a>(
        &'a mut self,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Box<dyn Batches + 'a>> {
        *self.server.reads.lock().unwrap().entry((table.index, unit.index)).or_default() += 1;
        match (self.server.script)(table.index, unit.index) {
            Reading::Takes(time) => tokio::select! {
                () = tokio::time::sleep(time) => {}
                _ = self.crashes.changed() => {
                    self.life = None;
                    return Err(lost());
                }
            },
            Reading::CrashesServer => {
                tokio::time::sleep(Duration::from_secs(1)).await;
                self.life = None;
                self.server.exports.lock().unwrap().clear();
                self.server.crashes.send_modify(|crashes| *crashes += 1);
                return Err(lost());
            }
            Reading::Fails(kind) => return Err(Error::new(kind, "read what cannot be read")),
            Reading::IsLocked => {
                tokio::time::sleep(Duration::from_secs(30)).await;
                return Err(Error::transient("lock a table"));
            }
            Reading::LosesConnection => {
                self.life = None;
                return Err(lost());
            }
            Reading::Hangs => std::future::pending().await,
        }
        Ok(Box::new(Nothing))
    }

    async fn confirm(&mut self) -> Result<()> {
        Ok(())
    }

    async fn recover(&mut self) -> Result<()> {
        self.life().map(drop)
    }
}

fn lost() -> Error {
    Error::transient("read on a connection that is lost")
}

/// No rows.
struct Nothing;

#[async_trait]
impl Batches for Nothing {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        Ok(None)
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn invalid(&self) -> &[u64] {
        &[]
    }
}
