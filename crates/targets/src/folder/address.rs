//! The folder that a target's URL names.

use std::fs;
use std::path::PathBuf;

use sluice_contracts::documents::RunId;
use sluice_contracts::{Error, Result};

use super::client;
use super::history::RUNS;

/// Where a table lies.
#[derive(Debug, Clone)]
pub(super) struct TablePath {
    /// The dataset's folder.
    pub(super) parent: PathBuf,
    /// The table's name.
    pub(super) name: String,
}

impl TablePath {
    /// The folder that a target's URL names.
    pub(super) fn of(target: &str) -> Result<Self> {
        let mut path = sluice_runtime::storage::folder(target)?;
        // Exchanging a link would replace the link, not the table that it points to.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            path = fs::canonicalize(&path)
                .map_err(|source| client::error(format!("follow `{}`", path.display()), source))?;
        }
        let parts = path.parent().zip(path.file_name().and_then(|name| name.to_str()));
        let Some((parent, name)) = parts else {
            return Err(Error::invalid(format!("read target `{target}`: it names no table"))
                .hint("write `file:///warehouse/dataset/table`"));
        };
        if let Some(table) = parent.ancestors().find(|folder| folder.join(RUNS).is_file()) {
            return Err(Error::invalid(format!(
                "read target `{target}`: it would lie in the table `{}`",
                table.display()
            ))
            .hint("a table is a folder without others in it: write it beside that one"));
        }
        Ok(Self { parent: parent.to_owned(), name: name.to_owned() })
    }

    /// The table's folder.
    pub(super) fn folder(&self) -> PathBuf {
        self.parent.join(&self.name)
    }

    /// The file that is locked while a run is loaded.
    pub(super) fn lock(&self) -> PathBuf {
        self.parent.join(format!(".{}.lock", self.name))
    }

    /// The folder that a run's load is built in.
    pub(super) fn staging(&self, run: RunId) -> PathBuf {
        self.parent.join(format!(".{}.{run}", self.name))
    }
}
