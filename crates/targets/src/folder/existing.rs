//! A table as it is before a load.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::PathBuf;

use serde_json::Value;
use sluice_contracts::documents::{Column, RunId, bigquery_schema};
use sluice_contracts::error::Doing as _;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::format::thousands;

use super::address::TablePath;
use super::client;
use super::history::{History, LoadedRun, RUNS};
use super::schema::{SCHEMA, agree, difference, parquet_schema, read_footer, widened};

/// A table's folder, or the path where a load will create it.
#[derive(Debug)]
pub(super) struct ExistingTable {
    pub(super) path: TablePath,
    /// Whether there is a folder, even an empty one.
    pub(super) exists: bool,
    pub(super) history: History,
    /// The table's Parquet files.
    pub(super) files: Vec<PathBuf>,
}

impl ExistingTable {
    /// Reads what is there.
    ///
    /// # Errors
    /// `Data` for a folder, or a file in it, that was not written by Sluice: replacing the table
    /// would delete it.
    pub(super) fn open(path: TablePath) -> Result<Self> {
        let folder = path.folder();
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    path,
                    exists: false,
                    history: History::default(),
                    files: vec![],
                });
            }
            Err(source) => {
                return Err(client::error(format!("list `{}`", folder.display()), source));
            }
        };
        let names = listed
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<OsString>>>()
            .map_err(|source| client::error(format!("list `{}`", folder.display()), source))?;
        let ours = names.iter().any(|name| name == RUNS);
        if !ours && !names.is_empty() {
            return Err(Error::data(format!(
                "folder `{}` has files and was not written by Sluice",
                folder.display()
            ))
            .hint("choose another `target.table`, or move the files away"));
        }
        let mut files = Vec::new();
        for name in names.iter().filter(|name| *name != RUNS && *name != SCHEMA) {
            if !is_part(name) {
                return Err(Error::data(format!(
                    "folder `{}` holds `{}`, which was not written by Sluice",
                    folder.display(),
                    name.display()
                ))
                .hint("move it away: loading a table replaces its whole folder"));
            }
            files.push(folder.join(name));
        }
        files.sort();
        let history = if ours { History::read(&folder.join(RUNS))? } else { History::default() };
        Ok(Self { path, exists: true, history, files })
    }

    /// The entry of a table of a run, if it was loaded.
    pub(super) fn loaded(&self, run: RunId, table: u32) -> Result<Option<&LoadedRun>> {
        match self.history.runs.iter().rev().find(|entry| entry.run == run) {
            Some(entry) if entry.table != table => Err(Error::invalid(format!(
                "two tables of run `{run}` have the target `{}`",
                self.path.folder().display()
            ))
            .hint("give each table a target of its own")),
            entry => Ok(entry),
        }
    }

    /// The newest run that the table shows, if it is later than `run` and `run` would replace its
    /// rows. Ids of runs are in the order of their planning.
    pub(super) fn overtakes(&self, run: RunId, disposition: WriteDisposition) -> Option<RunId> {
        let newest = self.history.runs.iter().map(|entry| entry.run).max()?;
        let replaces = disposition != WriteDisposition::Append;
        (replaces && newest > run).then_some(newest)
    }

    /// Refuses a write disposition that the table does not allow as it is now.
    pub(super) fn admit(&self, disposition: WriteDisposition, columns: &[Column]) -> Result<()> {
        match disposition {
            WriteDisposition::Truncate => Ok(()),
            WriteDisposition::Append => self.require_schema(columns),
            WriteDisposition::Merge | WriteDisposition::ReplacePartitions => {
                check_disposition(disposition)
            }
            WriteDisposition::Empty => match self.rows()? {
                0 => Ok(()),
                rows => Err(Error::data(format!(
                    "table has {} row{} but write disposition is `empty`",
                    thousands(rows),
                    if rows == 1 { "" } else { "s" }
                ))
                .hint("use `truncate` to replace them or `append` to keep them")),
            },
        }
    }

    /// Rows of the table, as its files count them.
    fn rows(&self) -> Result<u64> {
        self.files.iter().try_fold(0, |sum: u64, file| {
            let (_, rows) = read_footer(file)?;
            Ok(sum.saturating_add(rows))
        })
    }

    /// Refuses columns that the table lacks, or has with another type.
    fn require_schema(&self, columns: &[Column]) -> Result<()> {
        let path = self.path.folder().join(SCHEMA);
        if !self.exists || self.history.runs.is_empty() {
            return Ok(());
        }
        let text = fs::read(&path)
            .map_err(|source| client::error(format!("read `{}`", path.display()), source))?;
        let theirs: Value = serde_json::from_slice(&text)
            .doing(Kind::Data, || format!("read `{}`", path.display()))?;
        let hint = "use `truncate`, or a target of its own; `source.columns` and `columns` in the job choose names and types";
        if let Some(difference) = difference(&theirs, &bigquery_schema(columns)) {
            return Err(Error::data(format!("the table's columns differ: {difference}")).hint(hint));
        }
        // The schema holds neither the digits of decimals nor the width of integers; the files do.
        let Some(file) = self.files.first() else { return Ok(()) };
        let (theirs, ours) = (read_footer(file)?.0, parquet_schema(columns)?);
        if let Some(name) = widened(&theirs, &ours) {
            return Err(Error::data(format!(
                "the table's files hold column `{name}` in 32 bits, and the source's has 64 now"
            ))
            .hint("use `truncate`, which writes all rows anew, or a target of its own"));
        }
        if agree(&theirs, &ours) {
            return Ok(());
        }
        let what = "the table's files hold the same columns with other digits or units";
        Err(Error::data(what).hint(hint))
    }
}

/// Whether a file is named as a load names them: `<run>-<number>.parquet`.
fn is_part(name: &OsString) -> bool {
    let stem = name.to_str().and_then(|name| name.strip_suffix(".parquet"));
    stem.and_then(|stem| stem.rsplit_once('-')).is_some_and(|(run, number)| {
        run.parse::<RunId>().is_ok() && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// Refuses what no folder allows.
pub(super) fn check_disposition(disposition: WriteDisposition) -> Result<()> {
    match disposition {
        WriteDisposition::Truncate | WriteDisposition::Append | WriteDisposition::Empty => Ok(()),
        WriteDisposition::Merge | WriteDisposition::ReplacePartitions => {
            let what = format!(
                "a folder of Parquet files does not take `write_disposition: {}`",
                disposition.name()
            );
            let hint = "write `truncate`, `append` or `empty`, or a table of BigQuery as target";
            Err(Error::invalid(what).hint(hint))
        }
    }
}
