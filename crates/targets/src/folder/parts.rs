//! The parts of a load, as files.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use futures::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use parquet::arrow::ArrowWriter;
use sluice_contracts::documents::{Column, Part, arrow_schema};
use sluice_contracts::error::Doing as _;
use sluice_contracts::store::{Bucket, storage_error};
use sluice_contracts::{Error, Kind, Result};

use super::client;
use super::schema::{agree, read_footer};

/// Where the parts come from.
#[derive(Debug)]
pub(super) enum PartSource {
    /// A bucket that is a folder: parts are linked.
    Folder(PathBuf),
    /// Any other bucket: parts are copied.
    Remote(Bucket, tokio::runtime::Handle),
}

impl PartSource {
    /// The parts of a bucket. Must be called within a runtime.
    pub(super) fn of(bucket: &Bucket) -> Result<Self> {
        if bucket.url.starts_with("file://") {
            return Ok(Self::Folder(sluice_runtime::storage::folder(&bucket.url)?));
        }
        let runtime = tokio::runtime::Handle::try_current()
            .doing(Kind::Bug, || "read a bucket outside of the runtime")?;
        Ok(Self::Remote(bucket.clone(), runtime))
    }

    pub(super) fn fetch(&self, part: &Part, to: &Path) -> Result<()> {
        match self {
            Self::Folder(root) => client::link_or_copy(&root.join(&part.path), to),
            Self::Remote(bucket, runtime) => runtime.block_on(download(bucket, part, to)),
        }
    }
}

async fn download(bucket: &Bucket, part: &Part, to: &Path) -> Result<()> {
    let from = object_store::path::Path::from(part.path.as_str());
    let failed = |source| storage_error(format!("read `{from}`"), source);
    let mut file = File::create(to)
        .map_err(|source| client::error(format!("write `{}`", to.display()), source))?;
    let mut chunks = bucket.store.get(&from).await.map_err(failed)?.into_stream();
    while let Some(chunk) = chunks.try_next().await.map_err(failed)? {
        file.write_all(&chunk)
            .map_err(|source| client::error(format!("write `{}`", to.display()), source))?;
    }
    Ok(())
}

/// Compares a part with its receipt, and counts its rows.
pub(super) fn verify(
    part: &Part,
    path: &Path,
    schema: &parquet::schema::types::Type,
) -> Result<u64> {
    let wrong = |what: String| {
        Err(Error::data(format!("check part `{}`: {what}", part.path)).hint(
            "the bucket's object is not what was written; nothing of the table was made visible; start the run again",
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
    // Of a run that an earlier version began, some parts hold in 64 bits what later ones hold in 32.
    if !agree(&found, schema) {
        return wrong("its columns are not those of the manifest".to_owned());
    }
    Ok(rows)
}

fn checksum(path: &Path) -> Result<(u64, u32)> {
    let failed = |source| client::error(format!("read `{}`", path.display()), source);
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

/// Writes a file without rows.
pub(super) fn write_empty(path: &Path, columns: &[Column]) -> Result<()> {
    let file = File::create(path)
        .map_err(|source| client::error(format!("write `{}`", path.display()), source))?;
    ArrowWriter::try_new(file, arrow_schema(columns), None)
        .and_then(ArrowWriter::close)
        .doing(Kind::Transient, || format!("write `{}`", path.display()))?;
    client::sync(path)
}
