//! The next state of a table, built beside it.

use std::fs;
use std::path::{Path, PathBuf};

use sluice_contracts::documents::{Column, RunId, bigquery_schema};
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

use super::address::TablePath;
use super::client;
use super::existing::ExistingTable;
use super::history::{History, LoadedRun, RUNS};
use super::parts::{PartSource, verify, write_empty};
use super::schema::{SCHEMA, parquet_schema};
use crate::target::Load;

/// A folder that becomes the table, or is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    run: RunId,
}

impl Staging {
    /// An empty folder beside the table.
    pub(super) fn begin(path: &TablePath, run: RunId) -> Result<Self> {
        let folder = path.staging(run);
        fs::create_dir(&folder)
            .map_err(|source| client::error(format!("make `{}`", folder.display()), source))?;
        Ok(Self { folder, run })
    }

    /// Takes over the files that the table has.
    pub(super) fn keep(&self, table: &ExistingTable) -> Result<()> {
        for file in &table.files {
            if let Some(name) = file.file_name() {
                client::link_or_copy(file, &self.folder.join(name))?;
            }
        }
        Ok(())
    }

    /// Takes over a run's parts, each compared with its receipt.
    pub(super) fn add(&self, load: &Load, source: &PartSource) -> Result<()> {
        let schema = parquet_schema(&load.columns)?;
        let mut rows = 0;
        for (number, part) in load.parts.iter().enumerate() {
            let path = self.part(number + 1);
            source.fetch(part, &path)?;
            rows += verify(part, &path, &schema)?;
            client::sync(&path)?;
        }
        if rows != load.rows {
            return Err(Error::data(format!(
                "the parts have {rows} rows, and the receipts say {}",
                load.rows
            ))
            .hint("nothing of the table was made visible; start the run again"));
        }
        if load.parts.is_empty() {
            // Readers learn the columns from the files, so a table without rows needs one too.
            write_empty(&self.part(0), &load.columns)?;
        }
        Ok(())
    }

    /// Writes the folder's schema and history.
    pub(super) fn describe(&self, columns: &[Column], old: &History, new: LoadedRun) -> Result<()> {
        let write = |name: &str, document: &serde_json::Value| {
            let text = format!("{document:#}\n");
            client::write(&self.folder.join(name), text.as_bytes())
        };
        write(SCHEMA, &bigquery_schema(columns))?;
        let history = serde_json::to_value(old.with(new))
            .doing(Kind::Bug, || format!("write `{RUNS}` as JSON"))?;
        write(RUNS, &history)
    }

    /// The one step that readers see.
    pub(super) fn publish(self, table: &ExistingTable) -> Result<()> {
        client::sync(&self.folder)?;
        let target = table.path.folder();
        if table.exists {
            client::exchange(&self.folder, &target)?;
        } else {
            client::place(&self.folder, &target)?;
        }
        // The table is visible: what fails from here on must not be taken for a failed load.
        if let Err(error) = client::sync(&table.path.parent) {
            tracing::warn!("the table is visible, but {}", error.chain());
        }
        // Dropping removes what is at the staging path now: the old table.
        Ok(())
    }

    fn part(&self, number: usize) -> PathBuf {
        self.folder.join(format!("{}-{number:05}.parquet", self.run))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        remove(&self.folder);
    }
}

/// Removes what loads that were killed left beside a table. Must be called under its lock.
pub(super) fn remove_leftovers(path: &TablePath) {
    let prefix = format!(".{}.", path.name);
    for entry in fs::read_dir(&path.parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let run = name.to_str().and_then(|name| name.strip_prefix(&prefix));
        if run.is_some_and(|run| run.parse::<RunId>().is_ok()) {
            remove(&entry.path());
        }
    }
}

fn remove(folder: &Path) {
    match fs::remove_dir_all(folder) {
        Ok(()) => {}
        Err(source) if source.kind() == std::io::ErrorKind::NotFound => {}
        Err(source) => tracing::warn!(
            "`{}` could not be removed and takes up space: {source}",
            folder.display()
        ),
    }
}
