//! The runs that were loaded into a table.

use std::fs;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_contracts::Result;
use sluice_contracts::documents::RunId;
use sluice_contracts::job::WriteDisposition;

use super::client;
use crate::target::Load;

/// Name of the file that holds the runs that were loaded.
pub(super) const RUNS: &str = "_runs.json";
/// Runs that the history keeps.
const KEPT: usize = 1000;

/// The runs that were loaded, the newest last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct History {
    version: u32,
    pub(super) runs: Vec<LoadedRun>,
}

impl History {
    const VERSION: u32 = 1;

    /// Reads the history of a table from its file.
    pub(super) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path)
            .map_err(|source| client::error(format!("read `{}`", path.display()), source))?;
        let location = object_store::path::Path::from(path.display().to_string());
        sluice_contracts::store::parse_document(&location, &text, Self::VERSION)
    }

    /// The history with one more run, and without the oldest beyond the limit.
    pub(super) fn with(&self, entry: LoadedRun) -> Self {
        let mut runs = self.runs.clone();
        runs.push(entry);
        runs.drain(..runs.len().saturating_sub(KEPT));
        Self { version: Self::VERSION, runs }
    }
}

/// One run that was loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct LoadedRun {
    pub(super) run: RunId,
    pub(super) table: u32,
    /// Generation of the snapshot.
    pub(super) snapshot: u32,
    /// Rows that the run made visible.
    pub(super) rows: u64,
    write_disposition: WriteDisposition,
    at: DateTime<Utc>,
}

impl LoadedRun {
    /// The entry of a load that becomes visible now.
    pub(super) fn of(load: &Load) -> Self {
        Self {
            run: load.run,
            table: load.table,
            snapshot: load.snapshot,
            rows: load.rows,
            write_disposition: load.disposition,
            at: Utc::now(),
        }
    }
}
