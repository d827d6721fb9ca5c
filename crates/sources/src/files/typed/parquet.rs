//! Parquet: the row groups of a file, each of which is read once.

use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_schema::{DataType, Field, FieldRef, Schema, SchemaRef, TimeUnit};
use bytes::Bytes;
use parquet::DecodeResult;
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::arrow::push_decoder::{ParquetPushDecoder, ParquetPushDecoderBuilder};
use parquet::arrow::{ProjectionMask, parquet_to_arrow_schema};
use parquet::basic::{Compression, ConvertedType, LogicalType, Type as Physical};
use parquet::errors::ParquetError;
use parquet::file::metadata::{
    ColumnChunkMetaData, PageIndexPolicy, ParquetMetaDataPushDecoder, RowGroupMetaData,
};
use parquet::schema::types::ColumnDescPtr;
use sluice_contracts::{Error, Result};

use super::batches::ROWS;
use super::marks;
use crate::files::file_bytes::FileBytes;

/// What every Parquet file begins and ends with.
pub(in crate::files) const MAGIC: &[u8] = b"PAR1";
/// Bytes at the end of a file that are fetched at once: most footers are shorter.
const FOOTER: u64 = 256 << 10;

/// Bytes of values that are decoded at once, at about most.
const BATCH: u64 = 64 << 20;

/// A file's footer.
#[derive(Debug, Clone)]
pub(super) struct Footer {
    metadata: ArrowReaderMetadata,
}

/// A row group, as far as planning needs it.
#[derive(Debug, Clone, Copy)]
pub(super) struct RowGroup {
    /// Its first byte in the file.
    pub(super) start: u64,
    pub(super) rows: u64,
    /// Bytes of its values, before compression.
    pub(super) bytes: u64,
    /// Bytes in the file.
    pub(super) stored: u64,
}

impl Footer {
    /// Reads the footer of a file.
    pub(super) async fn read(bytes: &FileBytes) -> Result<Self> {
        let size = bytes.size();
        let malformed = |source: ParquetError| malformed(bytes.name(), source);
        let mut decoder = ParquetMetaDataPushDecoder::try_new(size)
            .map_err(malformed)?
            .with_page_index_policy(PageIndexPolicy::Skip);
        let end = size.saturating_sub(FOOTER)..size;
        let tail = bytes.get(end.clone()).await?;
        decoder.push_range(end, tail).map_err(malformed)?;
        let metadata = loop {
            match decoder.try_decode().map_err(malformed)? {
                DecodeResult::Data(metadata) => break metadata,
                DecodeResult::NeedsData(ranges) => {
                    let fetched = bytes.get_all(&ranges).await?;
                    decoder.push_ranges(ranges, fetched).map_err(malformed)?;
                }
                DecodeResult::Finished => {
                    return Err(Error::bug("read the footer of a Parquet file: it ended"));
                }
            }
        };
        if metadata.row_groups().iter().any(|group| is_outside(group, size)) {
            let what = "its footer names bytes that it does not have".to_owned();
            return Err(malformed(ParquetError::General(what)));
        }
        let metadata = Arc::new(marks::with_marks(&metadata).map_err(malformed)?);
        let descr = metadata.file_metadata().schema_descr();
        let schema = parquet_to_arrow_schema(descr, None).map_err(malformed)?;
        let mut leaves = descr.columns().iter();
        let fields = schema.fields().iter().map(|field| hinted(field, &mut leaves));
        let hinted = Schema::new(fields.collect::<Vec<_>>());
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_schema(Arc::new(hinted))
            .with_page_index_policy(PageIndexPolicy::Skip);
        let metadata = ArrowReaderMetadata::try_new(metadata, options).map_err(malformed)?;
        Ok(Self { metadata })
    }

    /// The columns of the file.
    pub(super) fn schema(&self) -> &SchemaRef {
        self.metadata.schema()
    }

    /// Its row groups that have rows, in the order of the file.
    pub(super) fn row_groups(&self) -> Vec<RowGroup> {
        self.numbered().map(|(_, group)| group).collect()
    }

    /// How its columns are compressed, each way once.
    pub(super) fn codecs(&self) -> Vec<Compression> {
        let groups = self.metadata.metadata().row_groups().iter();
        let mut codecs = Vec::new();
        for column in groups.flat_map(RowGroupMetaData::columns) {
            if !codecs.contains(&column.compression()) {
                codecs.push(column.compression());
            }
        }
        codecs
    }

    fn numbered(&self) -> impl Iterator<Item = (usize, RowGroup)> + '_ {
        let groups = self.metadata.metadata().row_groups().iter().enumerate();
        groups.filter(|(_, group)| group.num_rows() > 0).map(|(number, group)| {
            let count = |number: i64| u64::try_from(number).unwrap_or_default();
            let row_group = RowGroup {
                start: start_of(group),
                rows: count(group.num_rows()),
                bytes: count(group.total_byte_size()),
                stored: count(group.compressed_size()),
            };
            (number, row_group)
        })
    }
}

/// Whether a footer names bytes of a row group that a file of this size does not have.
fn is_outside(group: &RowGroupMetaData, size: u64) -> bool {
    let is_outside = |column: &ColumnChunkMetaData| {
        let is_negative = column.data_page_offset() < 0
            || column.dictionary_page_offset().is_some_and(|place| place < 0)
            || column.compressed_size() < 0;
        // The library panics for a range of negative places.
        is_negative || {
            let (at, length) = column.byte_range();
            at.saturating_add(length) > size
        }
    };
    group.num_rows() < 0 || group.columns().iter().any(is_outside)
}

/// The first byte of a row group.
fn start_of(group: &RowGroupMetaData) -> u64 {
    group.columns().iter().map(|column| column.byte_range().0).min().unwrap_or_default()
}

/// The type in which the values of a field are asked for: text of enumerations as text, and the moments of 96 bits in
/// microseconds, because their nanoseconds end in the year 2262. Fields and the columns that they are stored in have one
/// order.
fn hinted<'c>(field: &Field, leaves: &mut impl Iterator<Item = &'c ColumnDescPtr>) -> Field {
    let mut inner = |field: &FieldRef| Arc::new(hinted(field, leaves));
    let kind = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::List(element) => DataType::List(inner(element)),
        DataType::Map(entries, is_sorted) => DataType::Map(inner(entries), *is_sorted),
        kind => match (kind, leaves.next()) {
            (DataType::Binary, Some(leaf)) if is_enum(leaf) => DataType::Utf8,
            (_, Some(leaf)) if leaf.physical_type() == Physical::INT96 => {
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
            }
            _ => kind.clone(),
        },
    };
    field.clone().with_data_type(kind)
}

fn is_enum(leaf: &ColumnDescPtr) -> bool {
    leaf.logical_type_ref() == Some(&LogicalType::Enum)
        || leaf.converted_type() == ConvertedType::ENUM
}

/// The rows of the row groups that begin in a range of a file's bytes.
///
/// Ranges that are disjoint and cover the file have each row group once, wherever they are cut.
#[derive(Debug)]
pub(super) struct ParquetRows {
    bytes: FileBytes,
    decoder: ParquetPushDecoder,
    /// Rows that are still to come, as the footer has it.
    left: u64,
    /// Rows of the file before the next one.
    row: u64,
    waited: Duration,
}

impl ParquetRows {
    /// The rows of a range, with these of the file's columns.
    pub(super) fn new(
        bytes: FileBytes,
        footer: &Footer,
        range: &Range<u64>,
        columns: &[usize],
    ) -> Result<Self> {
        let mut row = 0;
        let mut before = 0;
        let (mut chosen, mut left, mut batch) = (Vec::new(), 0, ROWS);
        for (number, group) in footer.numbered() {
            if range.contains(&group.start) {
                if chosen.is_empty() {
                    row = before;
                }
                chosen.push(number);
                left += group.rows;
                let rows =
                    u128::from(BATCH) * u128::from(group.rows) / u128::from(group.bytes.max(1));
                batch = batch.min(usize::try_from(rows).unwrap_or(ROWS).max(1));
            }
            before += group.rows;
        }
        let builder = ParquetPushDecoderBuilder::new_with_metadata(footer.metadata.clone());
        let projection = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let decoder = builder
            .with_row_groups(chosen)
            .with_projection(projection)
            .with_batch_size(batch)
            .build()
            .map_err(|source| malformed(bytes.name(), source))?;
        Ok(Self { bytes, decoder, left, row, waited: Duration::ZERO })
    }

    /// The next rows; `None` after the last.
    ///
    /// # Errors
    /// `Data` if the file has fewer or more rows than its footer says.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let parquet = &mut self.decoder;
            // Damage that the library does not foresee is one of the file, too.
            let decoded = catch_unwind(AssertUnwindSafe(|| parquet.try_decode()));
            let decoded = decoded
                .unwrap_or_else(|_| Err(ParquetError::General("it cannot be decoded".into())));
            match decoded.map_err(|source| malformed(self.bytes.name(), source))? {
                DecodeResult::NeedsData(ranges) => {
                    let begun = Instant::now();
                    let fetched = self.bytes.get_all(&ranges).await;
                    self.waited += begun.elapsed();
                    let fetched: Vec<Bytes> = fetched?;
                    self.decoder
                        .push_ranges(ranges, fetched)
                        .map_err(|source| malformed(self.bytes.name(), source))?;
                }
                DecodeResult::Data(batch) => {
                    let rows = batch.num_rows() as u64;
                    self.left = self.left.checked_sub(rows).ok_or_else(|| self.miscounted())?;
                    self.row += rows;
                    return Ok(Some(batch));
                }
                DecodeResult::Finished if self.left > 0 => return Err(self.miscounted()),
                DecodeResult::Finished => return Ok(None),
            }
        }
    }

    /// Rows of the file before the next one.
    pub(super) fn row(&self) -> u64 {
        self.row
    }

    pub(super) fn received(&self) -> u64 {
        self.bytes.received()
    }

    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    fn miscounted(&self) -> Error {
        let name = self.bytes.name();
        Error::data(format!("read `{name}`: it has not as many rows as its footer says"))
            .hint("write the file again: it is damaged")
    }
}

fn malformed(name: &str, source: ParquetError) -> Error {
    if source.to_string().contains("overflow") {
        return Error::data(format!(
            "read `{name}`: its values are too large to be decoded together"
        ))
        .because(source)
        .hint("write the file again with fewer rows in a row group, or without dictionaries");
    }
    Error::data(format!("read `{name}`: it is not a whole Parquet file")).because(source).hint(
        "write the file again, if it is damaged or cut off; if it is of another format, name that in \
         `source.format.type`",
    )
}
