//! The next state of a table, built beside it.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use parquet::arrow::ArrowWriter;
use sluice_contracts::error::Doing as _;
use sluice_contracts::manifest::RunId;
use sluice_contracts::receipt::Part;
use sluice_contracts::schema::{Column, bigquery_schema};
use sluice_contracts::store::{Bucket, storage_error};
use sluice_contracts::{Error, Kind, Result};
use sluice_loader::Load;

use super::disk;
use super::table::{Entry, History, Place, RUNS, SCHEMA, TableFolder, parquet_schema, read_footer};

/// A folder that becomes the table, or is removed when it is dropped.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    run: RunId,
}

impl Staging {
    /// An empty folder beside the table.
    pub(super) fn begin(place: &Place, run: RunId) -> Result<Self> {
        let folder = place.staging(run);
        fs::create_dir(&folder)
            .map_err(|source| disk::error(format!("make `{}`", folder.display()), source))?;
        Ok(Self { folder, run })
    }

    /// Takes over the files that the table has.
    pub(super) fn keep(&self, table: &TableFolder) -> Result<()> {
        for file in &table.files {
            if let Some(name) = file.file_name() {
                disk::link_or_copy(file, &self.folder.join(name))?;
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
            disk::sync(&path)?;
        }
        if rows != load.rows {
            return Err(Error::data(format!(
                "the parts have {rows} rows, and the receipts say {}",
                load.rows
            ))
            .hint("nothing was made visible; start the run again"));
        }
        if load.parts.is_empty() {
            // Readers learn the columns from the files, so a table without rows needs one too.
            write_empty(&self.part(0), &load.columns)?;
        }
        Ok(())
    }

    /// Writes what the folder says about itself.
    pub(super) fn describe(&self, columns: &[Column], old: &History, new: Entry) -> Result<()> {
        let write = |name: &str, document: &serde_json::Value| {
            let text = format!("{document:#}\n");
            disk::write(&self.folder.join(name), text.as_bytes())
        };
        write(SCHEMA, &bigquery_schema(columns))?;
        let history = serde_json::to_value(old.with(new))
            .doing(Kind::Bug, || format!("write `{RUNS}` as JSON"))?;
        write(RUNS, &history)
    }

    /// The one step that readers see.
    pub(super) fn publish(self, table: &TableFolder) -> Result<()> {
        disk::sync(&self.folder)?;
        let target = table.place.folder();
        if table.exists {
            disk::exchange(&self.folder, &target)?;
        } else {
            disk::place(&self.folder, &target)?;
        }
        // The table is visible: what fails from here on must not be taken for a failed load.
        if let Err(error) = disk::sync(&table.place.parent) {
            tracing::warn!("the table is visible, but {}", error.chain());
        }
        // Dropping removes what lies at the staging's name now: the old table.
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

/// Removes what loads that were killed left beside a table. Only to be called under its lock.
pub(super) fn remove_leftovers(place: &Place) {
    let prefix = format!(".{}.", place.name);
    for entry in fs::read_dir(&place.parent).into_iter().flatten().flatten() {
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

/// Where the parts come from.
#[derive(Debug)]
pub(super) enum PartSource {
    /// A bucket that is a folder: parts are linked.
    Folder(PathBuf),
    /// Any other bucket: parts are copied.
    Remote(Bucket, tokio::runtime::Handle),
}

impl PartSource {
    /// The parts of a bucket. Within a runtime only.
    pub(super) fn of(bucket: &Bucket) -> Result<Self> {
        if bucket.url.starts_with("file://") {
            return Ok(Self::Folder(sluice_runtime::storage::folder(&bucket.url)?));
        }
        let runtime = tokio::runtime::Handle::try_current()
            .doing(Kind::Bug, || "read a bucket outside of the runtime")?;
        Ok(Self::Remote(bucket.clone(), runtime))
    }

    fn fetch(&self, part: &Part, to: &Path) -> Result<()> {
        match self {
            Self::Folder(root) => disk::link_or_copy(&root.join(&part.path), to),
            Self::Remote(bucket, runtime) => runtime.block_on(download(bucket, part, to)),
        }
    }
}

async fn download(bucket: &Bucket, part: &Part, to: &Path) -> Result<()> {
    let from = object_store::path::Path::from(part.path.as_str());
    let failed = |source| storage_error(format!("read `{from}`"), source);
    let mut file = File::create(to)
        .map_err(|source| disk::error(format!("write `{}`", to.display()), source))?;
    let mut chunks = bucket.store.get(&from).await.map_err(failed)?.into_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
        file.write_all(&chunk)
            .map_err(|source| disk::error(format!("write `{}`", to.display()), source))?;
    }
    Ok(())
}

/// Compares a part with its receipt, and counts its rows.
fn verify(part: &Part, path: &Path, schema: &parquet::schema::types::Type) -> Result<u64> {
    let wrong = |what: String| {
        Err(Error::data(format!("check part `{}`: {what}", part.path)).hint(
            "the bucket's object is not what was written; nothing was made visible; start the run again",
        ))
    };
    let (bytes, crc32c) = checksum(path)?;
    if bytes != part.bytes {
        return wrong(format!("it has {bytes} bytes, and its receipt says {}", part.bytes));
    }
    if crc32c != part.crc32c {
        return wrong(format!("its CRC-32C is {crc32c:08x}, not {:08x}", part.crc32c));
    }
    let (found, rows) = read_footer(path)?;
    if rows != part.rows {
        return wrong(format!("it has {rows} rows, and its receipt says {}", part.rows));
    }
    if found != *schema {
        return wrong("its columns are not those of the manifest".to_owned());
    }
    Ok(rows)
}

fn checksum(path: &Path) -> Result<(u64, u32)> {
    let failed = |source| disk::error(format!("read `{}`", path.display()), source);
    let mut file = File::open(path).map_err(failed)?;
    let mut buffer = vec![0; 1 << 20];
    let (mut bytes, mut crc32c) = (0, 0);
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => return Ok((bytes, crc32c)),
            read => {
                bytes += read as u64;
                crc32c = crc32c::crc32c_append(crc32c, &buffer[..read]);
            }
        }
    }
}

fn write_empty(path: &Path, columns: &[Column]) -> Result<()> {
    let file = File::create(path)
        .map_err(|source| disk::error(format!("write `{}`", path.display()), source))?;
    ArrowWriter::try_new(file, sluice_sources::arrow_schema(columns), None)
        .and_then(ArrowWriter::close)
        .doing(Kind::Transient, || format!("write `{}`", path.display()))?;
    disk::sync(path)
}
