//! Part files: Parquet, rolled by size.

use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use object_store::path::Path;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, RowGroupMetaData};
use parquet::file::properties::WriterProperties;
use parquet::file::statistics::Statistics;
use sluice_contracts::documents::{Part, Stages, Table, UnitRef, arrow_schema};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Kind, Result};

use crate::encoder::FileEncoder;
use crate::encodings::{Encodings, Sample};
use crate::no_columns;
use crate::upload::{Outbox, Upload};

/// A part is closed when it has grown to this many bytes: 32 to 64 MiB is what BigQuery loads
/// fastest.
const PART_BYTES: usize = 48 << 20;

/// The parts of one unit, written one after another.
pub(crate) struct Parts<'a> {
    store: &'a RunStore,
    generation: u32,
    unit: UnitRef,
    /// Unique to this process, so that another attempt never writes the same object.
    writer_id: &'a str,
    table: &'a Table,
    encodings: &'a Encodings,
    /// How they are encoded; unknown while the first rows are sampled.
    properties: Option<WriterProperties>,
    sample: Sample,
    open: Option<Open>,
    /// Rows of a table without columns.
    bare_rows: u64,
    done: Vec<Part>,
    /// Time of the stages of writing. That of compressing is a part of that of encoding until the end.
    encoding: Duration,
    compressing: Duration,
    uploading: Duration,
}

struct Open {
    upload: Upload,
    encoder: FileEncoder,
    rows: u64,
}

impl<'a> Parts<'a> {
    pub(crate) fn new(
        store: &'a RunStore,
        generation: u32,
        unit: UnitRef,
        writer_id: &'a str,
        table: &'a Table,
        encodings: &'a Encodings,
    ) -> Self {
        Self {
            store,
            generation,
            unit,
            writer_id,
            table,
            encodings,
            properties: encodings.of(table),
            sample: Sample::default(),
            open: None,
            bare_rows: 0,
            done: Vec::new(),
            encoding: Duration::ZERO,
            compressing: Duration::ZERO,
            uploading: Duration::ZERO,
        }
    }

    /// Adds rows: to the sample by which the encodings are decided, or to a part.
    pub(crate) async fn write(&mut self, batch: RecordBatch) -> Result<()> {
        if self.table.columns.is_empty() {
            self.bare_rows += batch.num_rows() as u64;
            return Ok(());
        }
        if let Some(properties) = self.properties.clone() {
            return self.encode(&batch, &properties).await;
        }
        self.sample.add(batch);
        if self.sample.is_enough() { self.encode_sample().await } else { Ok(()) }
    }

    /// Decides how the rows are encoded, and adds those of the sample to a part.
    async fn encode_sample(&mut self) -> Result<()> {
        let sample = std::mem::take(&mut self.sample);
        let properties = self.encodings.decide(self.table, &sample);
        self.properties = Some(properties.clone());
        for batch in sample.into_batches() {
            self.encode(&batch, &properties).await?;
        }
        Ok(())
    }

    /// Adds rows to the open part, and closes it when it has grown large enough.
    async fn encode(&mut self, batch: &RecordBatch, properties: &WriterProperties) -> Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(properties)?,
        };
        let path = open.upload.path();
        let begun = Instant::now();
        open.encoder.write(batch).map_err(|error| encode_error(path, error))?;
        let encoded = Instant::now();
        self.encoding += encoded - begun;
        open.rows += batch.num_rows() as u64;
        open.upload.send(open.encoder.outbox()).await?;
        self.uploading += encoded.elapsed();
        if open.encoder.bytes() >= PART_BYTES {
            self.close(open).await
        } else {
            self.open = Some(open);
            Ok(())
        }
    }

    /// Closes the last part. Names all of them, and adds what the stages of writing took.
    pub(crate) async fn finish(mut self, stages: &mut Stages) -> Result<Vec<Part>> {
        if !self.sample.is_empty() {
            self.encode_sample().await?;
        }
        if let Some(open) = self.open.take() {
            self.close(open).await?;
        }
        if self.bare_rows > 0 {
            let mut upload = Upload::new(&self.store.bucket().store, self.next_path()?);
            let mut outbox = Outbox::default();
            no_columns::write(self.bare_rows, &mut outbox)
                .map_err(|error| encode_error(upload.path(), error))?;
            upload.send(&mut outbox).await?;
            self.done.push(upload.finish(self.bare_rows, None).await?);
        }
        stages.encode += self.encoding.saturating_sub(self.compressing).as_secs_f64();
        stages.compress += self.compressing.as_secs_f64();
        stages.upload += self.uploading.as_secs_f64();
        Ok(self.done)
    }

    fn next_path(&self) -> Result<Path> {
        let number = u32::try_from(self.done.len())
            .map_err(|source| Error::bug("number a part").because(source))?;
        Ok(self.store.layout().part(self.generation, self.unit, self.writer_id, number))
    }

    fn begin(&self, properties: &WriterProperties) -> Result<Open> {
        let path = self.next_path()?;
        let schema = arrow_schema(&self.table.columns);
        let encoder = FileEncoder::new(schema, properties.clone())
            .map_err(|error| encode_error(&path, error))?;
        let upload = Upload::new(&self.store.bucket().store, path);
        Ok(Open { upload, encoder, rows: 0 })
    }

    async fn close(&mut self, mut open: Open) -> Result<()> {
        let begun = Instant::now();
        let written = open.encoder.finish();
        let encoded = Instant::now();
        self.encoding += encoded - begun;
        self.compressing += open.encoder.compressing();
        let written = written.map_err(|error| encode_error(open.upload.path(), error))?;
        open.upload.send(open.encoder.outbox()).await?;
        let by = self.table.partitioned_by.as_ref();
        let span = by.and_then(|by| span(&written, &by.column));
        self.done.push(open.upload.finish(open.rows, span).await?);
        self.uploading += encoded.elapsed();
        Ok(())
    }
}

/// The least and the greatest value of a column, from the statistics of a file that was written.
fn span(file: &ParquetMetaData, column: &str) -> Option<(i64, i64)> {
    let of_group = |group: &RowGroupMetaData| {
        // BigQuery ignores case in names.
        let named = |chunk: &&ColumnChunkMetaData| match chunk.column_path().parts() {
            [name] => name.eq_ignore_ascii_case(column),
            _ => false,
        };
        match group.columns().iter().find(named)?.statistics()? {
            Statistics::Int32(values) => values
                .min_opt()
                .zip(values.max_opt())
                .map(|(least, greatest)| (i64::from(*least), i64::from(*greatest))),
            Statistics::Int64(values) => {
                values.min_opt().zip(values.max_opt()).map(|(least, greatest)| (*least, *greatest))
            }
            _ => None,
        }
    };
    let spans = file.row_groups().iter().filter_map(of_group);
    spans.reduce(|(least, greatest), span| (least.min(span.0), greatest.max(span.1)))
}

fn encode_error(path: &Path, error: ParquetError) -> Error {
    Error::new(Kind::Bug, format!("write `{path}`")).because(error)
}
