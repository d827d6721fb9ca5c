//! The rows of a unit: one file after another.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{Array as _, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_buffer::NullBuffer;
use arrow_schema::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use sluice_contracts::documents::{BadRow, OnInvalid, RowPlace, arrow_schema};
use sluice_contracts::job::FormatName;
use sluice_contracts::{Error, Result};

use super::avro::{AvroRows, Header};
use super::parquet::{Footer, ParquetRows};
use super::step::{Step, steps_of};
use crate::builder::rows_of;
use crate::files::bad_rows::BadRows;
use crate::files::columns::misfit;
use crate::files::file_bytes::FileBytes;
use crate::files::piece::FilePiece;
use crate::files::reader::What;
use crate::source::Batches;

/// Rows that are decoded at once.
pub(super) const ROWS: usize = 4_096;

/// The rows of a unit's files, one file after another.
#[derive(Debug)]
pub(in crate::files) struct TypedBatches {
    what: What,
    schema: SchemaRef,
    files: VecDeque<FilePiece>,
    open: Option<OpenFile>,
    /// What was converted, from the first row that is not handed out yet.
    ready: Option<RecordBatch>,
    /// Of the files before the open one.
    bytes: u64,
    waited: Duration,
    invalid: Vec<u64>,
    bad_rows: BadRows,
}

/// A file that is being read.
#[derive(Debug)]
struct OpenFile {
    name: String,
    /// Which array of a batch fills each column, and how.
    steps: Vec<(Option<usize>, Step)>,
    rows: Rows,
}

#[derive(Debug)]
enum Rows {
    Parquet(Box<ParquetRows>),
    Avro(Box<AvroRows>),
}

impl What {
    async fn open(&self, piece: &FilePiece) -> Result<OpenFile> {
        let bytes = FileBytes::new(&self.store, &piece.file);
        let name = bytes.name().to_owned();
        match self.format.name {
            Some(FormatName::Avro) => {
                let header = Header::read(&bytes).await?;
                let (steps, places) = self.steps(&name, header.schema())?;
                let rows = AvroRows::new(&self.store, &piece.file, header, &piece.range, &places)?;
                Ok(OpenFile { name, steps, rows: Rows::Avro(Box::new(rows)) })
            }
            _ => {
                let footer = Footer::read(&bytes).await?;
                let (steps, places) = self.steps(&name, footer.schema())?;
                let rows = ParquetRows::new(bytes, &footer, &piece.range, &places)?;
                Ok(OpenFile { name, steps, rows: Rows::Parquet(Box::new(rows)) })
            }
        }
    }

    /// The steps from the columns of a file, and the places of those that are read.
    #[expect(clippy::type_complexity, reason = "two lists that are made together")]
    fn steps(
        &self,
        name: &str,
        schema: &Schema,
    ) -> Result<(Vec<(Option<usize>, Step)>, Vec<usize>)> {
        let fields: Vec<&Field> = schema.fields().iter().map(AsRef::as_ref).collect();
        let steps = steps_of(&fields, &self.columns, &self.known, &self.format)
            .map_err(|error| error.during(format!("read `{name}`")))?;
        let mut places: Vec<usize> = steps.iter().filter_map(|(place, _)| *place).collect();
        places.sort_unstable();
        // Rows are counted by the arrays of a column.
        if places.is_empty() && !fields.is_empty() {
            places.push(0);
        }
        // Batches have the columns that are read, in the order of the file.
        let steps = steps.into_iter().map(|(place, step)| {
            let place = place.and_then(|place| places.binary_search(&place).ok());
            (place, step)
        });
        Ok((steps.collect(), places))
    }
}

impl TypedBatches {
    pub(in crate::files) fn new(what: What, files: VecDeque<FilePiece>) -> Self {
        Self {
            schema: arrow_schema(&what.columns),
            invalid: vec![0; what.columns.len()],
            bad_rows: BadRows::new(what.format.bad_rows),
            what,
            files,
            open: None,
            ready: None,
            bytes: 0,
            waited: Duration::ZERO,
        }
    }

    /// Rows of a file as those of a part file.
    fn convert(&mut self, file: &OpenFile, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let mut arrays: Vec<ArrayRef> = Vec::with_capacity(self.what.columns.len());
        for (at, (column, (place, step))) in self.what.columns.iter().zip(&file.steps).enumerate() {
            let converted = match place {
                Some(place) => step.apply(batch.column(*place))?,
                None => step.apply(&(Arc::new(arrow_array::NullArray::new(rows)) as ArrayRef))?,
            };
            let Some(bad) = converted.bad else {
                arrays.push(converted.array);
                continue;
            };
            if column.on_invalid == OnInvalid::Fail {
                for row in bad.rows.set_indices() {
                    let at = file.place(rows - row);
                    let (bad, hint) = misfit(&file.name, at, column, bad.why);
                    self.bad_rows.add(row, bad, &hint)?;
                }
                arrays.push(converted.array);
                continue;
            }
            if let Some(count) = self.invalid.get_mut(at) {
                *count += bad.rows.count_set_bits() as u64;
            }
            let good = NullBuffer::new(!&bad.rows);
            let nulls = NullBuffer::union(converted.array.nulls(), Some(&good));
            let data = converted.array.to_data().into_builder().nulls(nulls).build();
            let data =
                data.map_err(|source| Error::bug("leave out invalid values").because(source))?;
            arrays.push(arrow_array::make_array(data));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|source| {
            Error::bug("make a batch of the rows of a file").because(source)
        })?;
        self.bad_rows.leave_out(batch)
    }
}

impl OpenFile {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.rows {
            Rows::Parquet(rows) => rows.next().await,
            Rows::Avro(rows) => rows.next().await,
        }
    }

    /// Where the row is that is so many before the next one, for messages.
    fn place(&self, before: usize) -> RowPlace {
        match &self.rows {
            Rows::Parquet(rows) => RowPlace::Row(rows.row() - before as u64 + 1),
            Rows::Avro(rows) => rows.place(before),
        }
    }

    fn received(&self) -> u64 {
        match &self.rows {
            Rows::Parquet(rows) => rows.received(),
            Rows::Avro(rows) => rows.received(),
        }
    }

    fn waited(&self) -> Duration {
        match &self.rows {
            Rows::Parquet(rows) => rows.waited(),
            Rows::Avro(rows) => rows.waited(),
        }
    }
}

#[async_trait]
impl Batches for TypedBatches {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let ready = loop {
            if let Some(ready) = self.ready.take() {
                break ready;
            }
            let mut file = match self.open.take() {
                Some(file) => file,
                None => match self.files.pop_front() {
                    Some(piece) => self.what.open(&piece).await?,
                    None => return Ok(None),
                },
            };
            match file.next().await? {
                Some(batch) => {
                    self.ready = Some(self.convert(&file, &batch)?);
                    self.open = Some(file);
                }
                None => {
                    self.bytes += file.received();
                    self.waited += file.waited();
                }
            }
        };
        let all = ready.num_rows();
        let rows = rows_of(&ready).min(all);
        if rows < all {
            self.ready = Some(ready.slice(rows, all - rows));
        }
        Ok(Some(ready.slice(0, rows)))
    }

    fn bytes(&self) -> u64 {
        self.bytes + self.open.as_ref().map_or(0, OpenFile::received)
    }

    fn waited(&self) -> Duration {
        self.waited + self.open.as_ref().map_or(Duration::ZERO, OpenFile::waited)
    }

    fn invalid(&self) -> &[u64] {
        &self.invalid
    }

    fn take_bad_rows(&mut self) -> Vec<BadRow> {
        self.bad_rows.take()
    }
}
