//! The load of one table of a run.

use std::fs::File;
use std::path::Path;
use std::task::Poll;

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::RunId;
use sluice_contracts::job::WriteDisposition;

use super::address::TablePath;
use super::client;
use super::existing::ExistingTable;
use super::history::LoadedRun;
use super::parts::PartSource;
use super::staging::{self, Staging};
use crate::target::{Load, Loaded, Prepared};

/// The load of one table: the next state of its folder.
#[derive(Debug)]
pub(super) struct TableLoad {
    target: String,
    loaded: Loaded,
    /// `None` if the run is loaded already, or overtaken. Declared before the lock, so that it is
    /// dropped before the lock is released.
    change: Option<(Staging, ExistingTable)>,
    /// Keeps other loads away.
    lock: File,
}

impl TableLoad {
    /// Waits for the table's lock, then builds its next state.
    pub(super) fn prepare(load: &Load) -> Result<Self> {
        let path = TablePath::of(&load.target)?;
        client::make_folder(&path.parent)?;
        let lock = lock(&path.lock())?;
        staging::remove_leftovers(&path);
        let existing = ExistingTable::open(path)?;
        let target = load.target.clone();
        if let Some(entry) = existing.loaded(load.run, load.table)? {
            let loaded = Loaded {
                snapshot: entry.snapshot,
                rows: entry.rows,
                dropped: None,
                overtaken_by: None,
            };
            return Ok(Self { target, loaded, change: None, lock });
        }
        if let Some(newer) = existing.overtakes(load.run, load.disposition) {
            let loaded = Loaded {
                snapshot: load.snapshot,
                rows: 0,
                dropped: None,
                overtaken_by: Some(newer),
            };
            return Ok(Self { target, loaded, change: None, lock });
        }
        existing.admit(load.disposition, &load.columns)?;

        let staging = Staging::begin(&existing.path, load.run)?;
        if load.disposition == WriteDisposition::Append {
            staging.keep(&existing)?;
        }
        staging.add(load, &PartSource::of(&load.bucket)?)?;
        staging.describe(&load.columns, &existing.history, LoadedRun::of(load))?;
        let loaded =
            Loaded { snapshot: load.snapshot, rows: load.rows, dropped: None, overtaken_by: None };
        Ok(Self { target, loaded, change: Some((staging, existing)), lock })
    }
}

#[async_trait]
impl Prepared for TableLoad {
    fn overtaken_by(&self) -> Option<RunId> {
        self.loaded.overtaken_by
    }

    async fn publish(self: Box<Self>) -> Result<Poll<Loaded>> {
        let Self { target, loaded, change, lock } = *self;
        let publish = move || {
            let published = change.map_or(Ok(()), |(staging, existing)| staging.publish(&existing));
            drop(lock);
            published.map(|()| Poll::Ready(loaded))
        };
        client::blocking(publish)
            .await
            .map_err(|error| error.during(format!("make `{target}` visible")))
    }
}

/// The lock is released with the returned file, also when the process is killed.
fn lock(path: &Path) -> Result<File> {
    let open = File::options().create(true).truncate(false).write(true).open(path);
    open.and_then(|file| file.lock().map(|()| file))
        .map_err(|source| client::error(format!("lock `{}`", path.display()), source))
}
