//! The embedded warehouse: a table is a folder of Parquet files.
//!
//! ```text
//! <dataset>/<table>/_schema.json            the table's schema, as `bq show --schema` prints it
//! <dataset>/<table>/_runs.json              the runs that were loaded, the newest last
//! <dataset>/<table>/<run>-00001.parquet     the rows
//! <dataset>/.<table>.lock                   held while a run is loaded
//! <dataset>/.<table>.<run>/                 the next state of the table, while it is being built
//! ```
//!
//! A load builds the whole next state beside the table, of hard links where it can, and then
//! exchanges the two folders in one step of the file system.

mod disk;
mod staging;
mod table;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::path::Path;

use async_trait::async_trait;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::manifest::{RunId, Table};
use sluice_contracts::schema::Column;
use sluice_contracts::{Error, Result};
use sluice_loader::{Load, Loaded, Prepared, Progress, Sink};

use crate::figures::thousands;
use staging::{PartSource, Staging};
use table::{Entry, Place, TableFolder};

/// The sink of `file://` targets.
#[derive(Debug, Default)]
pub(crate) struct Warehouse;

#[async_trait]
impl Sink for Warehouse {
    async fn check(&self, run: RunId, table: &Table) -> Result<()> {
        let (target, index) = (table.target.clone(), table.index);
        let (disposition, columns) = (table.write_disposition, table.columns.clone());
        let doing = format!("load into `{target}`");
        blocking(move || {
            let folder = TableFolder::open(Place::of(&target)?)?;
            match folder.loaded(run, index)? {
                Some(_) => Ok(()),
                None => admit(&folder, disposition, &columns),
            }
        })
        .await
        .map_err(|error| error.during(doing))
    }

    async fn prepare(&self, load: &Load) -> Result<Progress<Box<dyn Prepared>>> {
        let doing = format!("load run `{}` into `{}`", load.run, load.target);
        let load = load.clone();
        match blocking(move || Next::prepare(&load)).await {
            Ok(next) => Ok(Progress::Done(Box::new(next))),
            Err(error) => Err(error.during(doing)),
        }
    }
}

/// The next state of a table.
#[derive(Debug)]
struct Next {
    target: String,
    loaded: Loaded,
    /// Nothing where the run is loaded already. Before the lock, so that it is removed before the
    /// lock ends.
    change: Option<(Staging, TableFolder)>,
    /// Keeps other loads away.
    lock: File,
}

impl Next {
    /// Waits for the table's lock, then builds its next state.
    fn prepare(load: &Load) -> Result<Self> {
        let place = Place::of(&load.target)?;
        disk::make_folder(&place.parent)?;
        let lock = lock(&place.lock())?;
        staging::remove_leftovers(&place);
        let folder = TableFolder::open(place)?;
        let target = load.target.clone();
        if let Some(entry) = folder.loaded(load.run, load.table)? {
            let loaded = Loaded { snapshot: entry.snapshot, rows: entry.rows };
            return Ok(Self { target, loaded, change: None, lock });
        }
        admit(&folder, load.disposition, &load.columns)?;

        let staging = Staging::begin(&folder.place, load.run)?;
        if load.disposition == WriteDisposition::Append {
            staging.keep(&folder)?;
        }
        staging.add(load, &PartSource::of(&load.bucket)?)?;
        staging.describe(&load.columns, &folder.history, Entry::of(load))?;
        let loaded = Loaded { snapshot: load.snapshot, rows: load.rows };
        Ok(Self { target, loaded, change: Some((staging, folder)), lock })
    }
}

#[async_trait]
impl Prepared for Next {
    async fn publish(self: Box<Self>) -> Result<Progress<Loaded>> {
        let Self { target, loaded, change, lock } = *self;
        let publish = move || {
            let published = change.map_or(Ok(()), |(staging, folder)| staging.publish(&folder));
            drop(lock);
            published.map(|()| Progress::Done(loaded))
        };
        blocking(publish).await.map_err(|error| error.during(format!("make `{target}` visible")))
    }
}

/// Refuses a disposition that the table, as it is, forbids.
fn admit(folder: &TableFolder, disposition: WriteDisposition, columns: &[Column]) -> Result<()> {
    match disposition {
        WriteDisposition::Truncate => Ok(()),
        WriteDisposition::Append => folder.require_schema(columns),
        WriteDisposition::Empty => match folder.rows()? {
            0 => Ok(()),
            rows => Err(Error::data(format!(
                "table has {} rows but write disposition is `empty`",
                thousands(rows)
            ))
            .hint("use `truncate` to replace them or `append` to keep them")),
        },
    }
}

/// The lock ends with the returned file, also when the process is killed.
fn lock(path: &Path) -> Result<File> {
    let open = File::options().create(true).truncate(false).write(true).open(path);
    open.and_then(|file| file.lock().map(|()| file))
        .map_err(|source| disk::error(format!("lock `{}`", path.display()), source))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(Error::bug("work on the warehouse").because(source)),
    }
}
