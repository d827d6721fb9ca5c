//! A table's folder as it stands.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use parquet::arrow::ArrowSchemaConverter;
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::Type;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_contracts::error::Doing as _;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::manifest::RunId;
use sluice_contracts::schema::{Column, bigquery_schema};
use sluice_contracts::{Error, Kind, Result};
use sluice_loader::Load;

use super::disk;

/// Name of the file that holds the table's schema.
pub(super) const SCHEMA: &str = "_schema.json";
/// Name of the file that holds the runs that were loaded.
pub(super) const RUNS: &str = "_runs.json";
/// Runs that the history keeps.
const KEPT: usize = 1000;

/// Where a table lies.
#[derive(Debug, Clone)]
pub(super) struct Place {
    /// The dataset's folder.
    pub(super) parent: PathBuf,
    /// The table's name.
    pub(super) name: String,
}

impl Place {
    /// The place that a target's URL names.
    pub(super) fn of(target: &str) -> Result<Self> {
        let mut path = sluice_runtime::storage::folder(target)?;
        // Exchanging a link would replace the link and leave the table that it points to.
        if fs::symlink_metadata(&path).is_ok_and(|found| found.is_symlink()) {
            path = fs::canonicalize(&path)
                .map_err(|source| disk::error(format!("follow `{}`", path.display()), source))?;
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

/// The runs that were loaded, the newest last.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct History {
    version: u32,
    runs: Vec<Entry>,
}

impl History {
    const VERSION: u32 = 1;

    /// The history with one more run, and without those that nobody will ask for any more.
    pub(super) fn with(&self, entry: Entry) -> Self {
        let mut runs = self.runs.clone();
        runs.push(entry);
        runs.drain(..runs.len().saturating_sub(KEPT));
        Self { version: Self::VERSION, runs }
    }
}

/// One run that was loaded.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    run: RunId,
    table: u32,
    /// Generation of the snapshot.
    pub(super) snapshot: u32,
    /// Rows that the run made visible.
    pub(super) rows: u64,
    write_disposition: WriteDisposition,
    at: DateTime<Utc>,
}

impl Entry {
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

/// A table's folder, or the place where one will be.
#[derive(Debug)]
pub(super) struct TableFolder {
    pub(super) place: Place,
    /// Whether there is a folder, be it an empty one.
    pub(super) exists: bool,
    pub(super) history: History,
    /// The table's Parquet files.
    pub(super) files: Vec<PathBuf>,
}

impl TableFolder {
    /// Looks at what is there.
    ///
    /// # Errors
    /// `Data` for a folder, or a file in it, that was not written by Sluice: replacing the table
    /// would delete it.
    pub(super) fn open(place: Place) -> Result<Self> {
        let folder = place.folder();
        let listed = match fs::read_dir(&folder) {
            Ok(listed) => listed,
            Err(source) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Self {
                    place,
                    exists: false,
                    history: History::default(),
                    files: vec![],
                });
            }
            Err(source) => {
                return Err(disk::error(format!("list `{}`", folder.display()), source));
            }
        };
        let names = listed
            .map(|entry| entry.map(|entry| entry.file_name()))
            .collect::<io::Result<Vec<OsString>>>()
            .map_err(|source| disk::error(format!("list `{}`", folder.display()), source))?;
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
        let history = if ours { read_history(&folder.join(RUNS))? } else { History::default() };
        Ok(Self { place, exists: true, history, files })
    }

    /// The entry of a table of a run, if it was loaded.
    pub(super) fn loaded(&self, run: RunId, table: u32) -> Result<Option<&Entry>> {
        match self.history.runs.iter().rev().find(|entry| entry.run == run) {
            Some(entry) if entry.table != table => Err(Error::invalid(format!(
                "two tables of run `{run}` have the target `{}`",
                self.place.folder().display()
            ))
            .hint("give each table a target of its own")),
            entry => Ok(entry),
        }
    }

    /// Rows of the table, as its files count them.
    pub(super) fn rows(&self) -> Result<u64> {
        self.files.iter().try_fold(0, |sum: u64, file| {
            let (_, rows) = read_footer(file)?;
            Ok(sum.saturating_add(rows))
        })
    }

    /// Refuses columns that the table does not have, or has otherwise.
    pub(super) fn require_schema(&self, columns: &[Column]) -> Result<()> {
        let path = self.place.folder().join(SCHEMA);
        if !self.exists || self.history.runs.is_empty() {
            return Ok(());
        }
        let text = fs::read(&path)
            .map_err(|source| disk::error(format!("read `{}`", path.display()), source))?;
        let theirs: Value = serde_json::from_slice(&text)
            .doing(Kind::Data, || format!("read `{}`", path.display()))?;
        let hint = "use `truncate`, or a target of its own; `source.columns` and `columns` in the job choose names and types";
        if let Some(difference) = difference(&theirs, &bigquery_schema(columns)) {
            return Err(Error::data(format!("the table's columns differ: {difference}")).hint(hint));
        }
        // The schema has no digits of decimals; the files have.
        if let Some(file) = self.files.first()
            && read_footer(file)?.0 != parquet_schema(columns)?
        {
            return Err(Error::data(
                "the table's files hold the same columns with other digits or units",
            )
            .hint(hint));
        }
        Ok(())
    }
}

/// The Parquet schema of part files with these columns.
pub(super) fn parquet_schema(columns: &[Column]) -> Result<Type> {
    let schema = sluice_sources::arrow_schema(columns);
    let described = ArrowSchemaConverter::new()
        .convert(&schema)
        .doing(Kind::Bug, || "describe the columns as a Parquet schema")?;
    Ok(described.root_schema().clone())
}

/// Schema and rows of a Parquet file.
pub(super) fn read_footer(path: &Path) -> Result<(Type, u64)> {
    let file = File::open(path)
        .map_err(|source| disk::error(format!("read `{}`", path.display()), source))?;
    let reader = SerializedFileReader::new(file)
        .doing(Kind::Data, || format!("read the footer of `{}`", path.display()))?;
    let footer = reader.metadata().file_metadata();
    let rows = u64::try_from(footer.num_rows())
        .doing(Kind::Data, || format!("count the rows of `{}`", path.display()))?;
    Ok((footer.schema_descr().root_schema().clone(), rows))
}

/// Whether a file is named as this sink names them: `<run>-<number>.parquet`.
fn is_part(name: &OsString) -> bool {
    let stem = name.to_str().and_then(|name| name.strip_suffix(".parquet"));
    stem.and_then(|stem| stem.rsplit_once('-')).is_some_and(|(run, number)| {
        run.parse::<RunId>().is_ok() && number.bytes().all(|digit| digit.is_ascii_digit())
    })
}

fn read_history(path: &Path) -> Result<History> {
    let text = fs::read(path)
        .map_err(|source| disk::error(format!("read `{}`", path.display()), source))?;
    let location = object_store::path::Path::from(path.display().to_string());
    sluice_contracts::store::parse_document(&location, &text, History::VERSION)
}

/// The first column in which two schemas differ.
fn difference(theirs: &Value, ours: &Value) -> Option<String> {
    let none = Vec::new();
    let (theirs, ours) = (theirs.as_array().unwrap_or(&none), ours.as_array().unwrap_or(&none));
    let column = |schema: &[Value], at: usize| {
        schema.get(at).map(|column| {
            let text = |key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default();
            format!("`{}` {} {}", text("name"), text("mode"), text("type"))
        })
    };
    (0..theirs.len().max(ours.len())).find_map(|at| match (column(theirs, at), column(ours, at)) {
        (theirs, ours) if theirs == ours => None,
        (Some(theirs), Some(ours)) => Some(format!("it has {theirs} where the job has {ours}")),
        (Some(theirs), None) => Some(format!("it has {theirs}, which the job does not")),
        (None, ours) => Some(format!("it lacks {}", ours.unwrap_or_default())),
    })
}
