//! One part file, encoded: Parquet, of what BigQuery is known to read.
//!
//! Pages are of format v1, and hold plain values or indexes into a dictionary. The pages of a column of single
//! values are made here, straight from the memory of Arrow's arrays; those of the types ARRAY and STRUCT, and
//! everything of a file that is not a page, are made by the `parquet` crate.
//!
//! <https://parquet.apache.org/docs/file-format/>

mod bits;
mod cells;
mod column;
mod compression;
mod dictionary;
mod nested;
mod pages;
mod plain;
mod span;

use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::arrow::arrow_writer::ArrowRowGroupWriterFactory;
use parquet::arrow::{ArrowSchemaConverter, add_encoded_arrow_schema_to_metadata};
use parquet::errors::Result;
use parquet::file::metadata::ParquetMetaData;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::SchemaDescriptor;

use crate::upload::Outbox;
use column::Column;
use compression::Compressor;
use nested::Nested;

// Arrow keeps numbers as the machine does, and Parquet the least byte first.
const _: () = assert!(cfg!(target_endian = "little"));

/// A row group is closed at this many rows.
const ROW_GROUP_ROWS: usize = 1 << 20;
/// A row group is closed at this many encoded bytes: BigQuery asks for 16 MiB at least, and all of
/// it is held in memory.
const ROW_GROUP_BYTES: usize = 16 << 20;
/// Bytes of values that the open pages of all columns have together, about.
const OPEN_BYTES: usize = 16 << 20;
/// Bytes of values that a page is closed at: a column of a table with many columns closes its pages sooner.
const PAGE_BYTES: std::ops::RangeInclusive<usize> = (16 << 10)..=(1 << 20);

/// The encoder of one part file.
pub(crate) struct FileEncoder {
    file: SerializedFileWriter<Outbox>,
    schema: SchemaRef,
    leaves: SchemaDescriptor,
    /// Makes the writers of columns that are not flat.
    nested: ArrowRowGroupWriterFactory,
    compressor: Compressor,
    page_bytes: usize,
    group: Option<RowGroup>,
}

/// A row group that rows are added to.
struct RowGroup {
    columns: Vec<Field>,
    rows: usize,
}

/// A field of the schema.
enum Field {
    /// One of single values.
    Flat(Box<Column>),
    /// An array or a STRUCT.
    Nested(Nested),
}

impl FileEncoder {
    /// An encoder of rows of a schema.
    pub(crate) fn new(schema: SchemaRef, mut properties: WriterProperties) -> Result<Self> {
        let leaves = ArrowSchemaConverter::new().convert(&schema)?;
        add_encoded_arrow_schema_to_metadata(&schema, &mut properties);
        let columns = leaves.num_columns();
        let root = leaves.root_schema_ptr();
        let file = SerializedFileWriter::new(Outbox::default(), root, Arc::new(properties))?;
        let nested = ArrowRowGroupWriterFactory::new(&file, Arc::clone(&schema));
        let share = OPEN_BYTES / columns.max(1);
        Ok(Self {
            leaves,
            file,
            schema,
            nested,
            compressor: Compressor::new()?,
            page_bytes: share.clamp(*PAGE_BYTES.start(), *PAGE_BYTES.end()),
            group: None,
        })
    }

    /// Adds rows, and closes the row group that they make large enough.
    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let mut group = match self.group.take() {
            Some(group) => group,
            None => self.begin_group()?,
        };
        for (column, array) in group.columns.iter_mut().zip(batch.columns()) {
            match column {
                Field::Flat(column) => column.write(array, &mut self.compressor)?,
                Field::Nested(nested) => nested.write(array)?,
            }
        }
        group.rows += batch.num_rows();
        let (encoded, held) = group.sizes();
        self.group = Some(group);
        let is_full = self.group.as_ref().is_some_and(|group| group.rows >= ROW_GROUP_ROWS);
        if is_full || encoded >= ROW_GROUP_BYTES || held >= 2 * ROW_GROUP_BYTES {
            self.close_group()?;
        }
        Ok(())
    }

    /// Bytes of the file so far. The open pages count with the values that they hold.
    pub(crate) fn bytes(&self) -> usize {
        let of_group = self.group.as_ref().map_or(0, |group| group.sizes().0);
        self.file.bytes_written() + of_group
    }

    /// Time that compressing took so far, of the columns of single values.
    pub(crate) fn compressing(&self) -> Duration {
        self.compressor.spent
    }

    /// Where the closed row groups are.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        self.file.inner_mut()
    }

    /// Completes the file.
    pub(crate) fn finish(&mut self) -> Result<ParquetMetaData> {
        self.close_group()?;
        self.file.finish()
    }

    fn begin_group(&self) -> Result<RowGroup> {
        let properties = self.file.properties();
        let number = self.file.flushed_row_groups().len();
        let mut leaves = self.leaves.columns().iter();
        // Of all leaves; those of flat columns are dropped unused.
        let is_flat = |kind| cells::Kind::of(kind).is_some();
        let any_nested = self.schema.fields().iter().any(|field| !is_flat(field.data_type()));
        let writers =
            if any_nested { self.nested.create_column_writers(number)? } else { Vec::new() };
        let mut writers = writers.into_iter();
        let mut columns = Vec::with_capacity(self.schema.fields().len());
        for field in self.schema.fields() {
            if let (Some(kind), Some(leaf)) =
                (cells::Kind::of(field.data_type()), leaves.as_slice().first())
            {
                leaves.next();
                writers.next();
                let column = Column::new(Arc::clone(leaf), kind, properties, self.page_bytes);
                columns.push(Field::Flat(Box::new(column)));
                continue;
            }
            let count = nested::leaves(field.data_type());
            columns.push(Field::Nested(Nested::new(field, writers.by_ref().take(count).collect())));
            leaves.by_ref().take(count).for_each(drop);
        }
        Ok(RowGroup { columns, rows: 0 })
    }

    fn close_group(&mut self) -> Result<()> {
        let Some(group) = self.group.take() else { return Ok(()) };
        let mut into = self.file.next_row_group()?;
        for column in group.columns {
            match column {
                Field::Flat(column) => column.finish(&mut self.compressor, &mut into)?,
                Field::Nested(nested) => nested.finish(&mut into)?,
            }
        }
        into.close()?;
        Ok(())
    }
}

impl RowGroup {
    /// Bytes of the file that the columns make, about, and bytes of memory that they hold.
    fn sizes(&self) -> (usize, usize) {
        let of_column = |column: &Field| match column {
            Field::Flat(column) => column.sizes(),
            Field::Nested(nested) => nested.sizes(),
        };
        let sizes = self.columns.iter().map(of_column);
        sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }
}

#[cfg(test)]
mod tests;
