//! Part files: Parquet, rolled by size.

use std::sync::Arc;

use arrow_array::RecordBatch;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::buffered::BufWriter;
use parquet::arrow::AsyncArrowWriter;
use parquet::arrow::async_writer::AsyncFileWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use sluice_contracts::manifest::{Table, UnitRef};
use sluice_contracts::receipt::Part;
use sluice_contracts::schema::TargetType;
use sluice_contracts::store::{RunStore, storage_error};
use sluice_contracts::{Error, Kind, Result};
use sluice_sources::arrow_schema;
use tokio::io::AsyncWriteExt;

/// A part is closed when it has grown to this many bytes: 32 to 64 MiB is what BigQuery loads
/// fastest.
const PART_BYTES: usize = 48 << 20;
/// A row group is closed at this many encoded bytes: BigQuery asks for 16 MiB at least, and all of
/// it is held in memory.
const ROW_GROUP_BYTES: usize = 16 << 20;
/// A row group is closed at this many rows too.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// Bytes of a part sent to the bucket at once.
const UPLOAD_BYTES: usize = 5 << 20;

/// The parts of one unit, written one after another.
pub(crate) struct Parts<'a> {
    store: &'a RunStore,
    generation: u32,
    unit: UnitRef,
    /// Unique to this process, so that another attempt never writes the same object.
    writer_id: &'a str,
    table: &'a Table,
    properties: WriterProperties,
    open: Option<Open>,
    done: Vec<Part>,
}

struct Open {
    path: object_store::path::Path,
    writer: AsyncArrowWriter<Upload>,
    rows: u64,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(
        store: &'a RunStore,
        generation: u32,
        unit: UnitRef,
        writer_id: &'a str,
        table: &'a Table,
    ) -> Self {
        let properties = properties(table);
        Self { store, generation, unit, writer_id, table, properties, open: None, done: Vec::new() }
    }

    /// Adds rows to the open part, and closes it when it has grown large enough.
    pub(crate) async fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        let failed = |error| write_error(&open.path, error);
        open.writer.write(batch).await.map_err(failed)?;
        open.rows += batch.num_rows() as u64;
        // Encoded pages count with what they weigh, the page in progress with what it holds.
        let growing = open.writer.in_progress_size();
        if growing >= ROW_GROUP_BYTES || open.writer.memory_size() >= 2 * ROW_GROUP_BYTES {
            open.writer.flush().await.map_err(|error| write_error(&open.path, error))?;
        }
        if open.writer.bytes_written() + open.writer.in_progress_size() >= PART_BYTES {
            self.close(open).await
        } else {
            self.open = Some(open);
            Ok(())
        }
    }

    /// Closes the last part and names all of them.
    pub(crate) async fn finish(mut self) -> Result<Vec<Part>> {
        if let Some(open) = self.open.take() {
            self.close(open).await?;
        }
        Ok(self.done)
    }

    fn begin(&self) -> Result<Open> {
        let number = u32::try_from(self.done.len())
            .map_err(|source| Error::bug("number a part").because(source))?;
        let path = self.store.layout().part(self.generation, self.unit, self.writer_id, number);
        let upload = Upload {
            inner: BufWriter::with_capacity(
                Arc::clone(&self.store.bucket().store),
                path.clone(),
                UPLOAD_BYTES,
            )
            .with_max_concurrency(2),
            crc32c: 0,
            bytes: 0,
        };
        let schema = arrow_schema(&self.table.columns);
        let properties = self.properties.clone();
        let writer = AsyncArrowWriter::try_new(upload, schema, Some(properties))
            .map_err(|error| write_error(&path, error))?;
        Ok(Open { path, writer, rows: 0 })
    }

    async fn close(&mut self, mut open: Open) -> Result<()> {
        open.writer.finish().await.map_err(|error| write_error(&open.path, error))?;
        let upload = open.writer.into_inner();
        self.done.push(Part {
            path: open.path.to_string(),
            rows: open.rows,
            bytes: upload.bytes,
            crc32c: upload.crc32c,
        });
        Ok(())
    }
}

/// What BigQuery is known to read: format v1 pages, plain and dictionary encodings, zstd.
fn properties(table: &Table) -> WriterProperties {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(ROW_GROUP_ROWS))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned());
    for column in &table.columns {
        // Nobody skips row groups by the least JSON document, and comparing texts costs time.
        if matches!(column.target_type, TargetType::String | TargetType::Json | TargetType::Bytes) {
            let mut path = vec![column.name.clone()];
            if column.repeated {
                path.extend(["list".to_owned(), "element".to_owned()]);
            }
            properties = properties
                .set_column_statistics_enabled(ColumnPath::new(path), EnabledStatistics::None);
        }
    }
    properties.build()
}

/// A part on its way to the bucket, counted and checksummed.
struct Upload {
    inner: BufWriter,
    crc32c: u32,
    bytes: u64,
}

impl AsyncFileWriter for Upload {
    fn write(&mut self, bytes: Bytes) -> BoxFuture<'_, Result<(), ParquetError>> {
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes);
        self.bytes += bytes.len() as u64;
        self.inner.put(bytes).map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }

    fn complete(&mut self) -> BoxFuture<'_, Result<(), ParquetError>> {
        self.inner.shutdown().map_err(|error| ParquetError::External(Box::new(error))).boxed()
    }
}

/// Storage failures keep their kind; what is left is ours.
fn write_error(path: &object_store::path::Path, error: ParquetError) -> Error {
    let what = format!("write `{path}`");
    let ParquetError::External(source) = error else {
        return Error::new(Kind::Bug, what).because(error);
    };
    match source.downcast::<object_store::Error>() {
        Ok(source) => storage_error(what, *source),
        Err(source) => match source.downcast::<std::io::Error>() {
            Ok(source) => {
                storage_error(what, object_store::Error::Generic { store: "bucket", source })
            }
            Err(source) => Error::new(Kind::Transient, what).because(source),
        },
    }
}
