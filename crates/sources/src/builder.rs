//! Arrow columns, grown value by value.

use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, BooleanBuilder, Date32Builder, Decimal128Builder, Decimal256Builder,
    FixedSizeBinaryBuilder, Float64Builder, Int32Builder, Int64Builder, PrimitiveBuilder,
    Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow_array::{
    Array as _, ArrayRef, ArrowPrimitiveType, ListArray, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, SchemaRef};
use sluice_contracts::documents::{
    Column, Decimal, TargetType, arrow_schema, digits, fixed_length, is_short_integer, scalar_type,
};
use sluice_contracts::{Error, Result};

use crate::text_builder::TextBuilder;

/// Why a value cannot be held by its column's type. Names the reason, never the value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Invalid(pub &'static str);

/// One column of a batch under construction.
#[derive(Debug)]
pub enum ColumnBuilder {
    /// INT64 whose values fit in 32 bits.
    Int32(Int32Builder),
    /// INT64.
    Int64(Int64Builder),
    /// FLOAT64.
    Float64(Float64Builder),
    /// BOOL.
    Bool(BooleanBuilder),
    /// STRING, JSON, GEOGRAPHY, INTERVAL and RANGE.
    Text(TextBuilder),
    /// BYTES.
    Bytes(BinaryBuilder),
    /// BYTES of one length.
    FixedBytes(FixedSizeBinaryBuilder),
    /// DATE, as days since 1970-01-01.
    Date(Date32Builder),
    /// TIME, as microseconds since midnight.
    Time(Time64MicrosecondBuilder),
    /// DATETIME and TIMESTAMP, as microseconds since 1970-01-01.
    Timestamp(TimestampMicrosecondBuilder),
    /// NUMERIC and BIGNUMERIC of up to 38 digits, unscaled.
    Decimal128(Decimal128Builder, Decimal),
    /// BIGNUMERIC of more digits, unscaled.
    Decimal256(Decimal256Builder, Decimal),
    /// An array of any of these.
    List(ListColumn),
    /// STRUCT.
    Struct(StructColumn),
}

/// A STRUCT column: the values of each field, and which rows have one.
#[derive(Debug)]
pub struct StructColumn {
    /// Builders of the fields. Each gets a value; then the row is closed with [`StructColumn::close`].
    pub fields: Vec<ColumnBuilder>,
    schema: Fields,
    validity: Vec<bool>,
}

impl StructColumn {
    fn new(fields: &[Column]) -> Self {
        Self {
            fields: fields.iter().map(ColumnBuilder::new).collect(),
            schema: arrow_schema(fields).fields().clone(),
            validity: Vec::new(),
        }
    }

    /// Ends the row. One that is not `valid` is NULL, whatever its fields got.
    pub fn close(&mut self, valid: bool) {
        self.validity.push(valid);
    }

    fn finish(&mut self) -> Result<ArrayRef> {
        let validity = std::mem::take(&mut self.validity);
        let fields: Vec<ArrayRef> =
            self.fields.iter_mut().map(|field| field.finish(refuse)).collect::<Result<_>>()?;
        let array = StructArray::try_new(self.schema.clone(), fields, Some(validity.into()));
        let array = array.map_err(|source| Error::bug("build a STRUCT column").because(source))?;
        Ok(Arc::new(array))
    }
}

/// An array column: the elements of all rows, and where each row's end.
#[derive(Debug)]
pub struct ListColumn {
    /// Elements are appended here; then the row is closed with [`ListColumn::close`].
    pub elements: Box<ColumnBuilder>,
    field: Arc<Field>,
    offsets: Vec<i32>,
    validity: Vec<bool>,
}

impl ListColumn {
    /// Ends the row: all elements since the last call are its own. A row that is not `valid` is
    /// NULL, whatever was appended for it.
    pub fn close(&mut self, valid: bool) -> Result<(), Invalid> {
        let end = i32::try_from(self.elements.len())
            .map_err(|_| Invalid("an array column of more than 2^31 elements in one batch"))?;
        self.offsets.push(end);
        self.validity.push(valid);
        Ok(())
    }
}

impl ColumnBuilder {
    /// An empty builder for a column.
    pub fn new(column: &Column) -> Self {
        if let Some(length) = fixed_length(column) {
            return Self::FixedBytes(FixedSizeBinaryBuilder::new(length));
        }
        if is_short_integer(column) {
            return Self::Int32(Int32Builder::new());
        }
        let single = match column.target_type {
            TargetType::Struct => Self::Struct(StructColumn::new(&column.fields)),
            scalar => Self::scalar(scalar, column.decimal),
        };
        if !column.repeated {
            return single;
        }
        let inner = match column.target_type {
            TargetType::Struct => DataType::Struct(arrow_schema(&column.fields).fields().clone()),
            scalar => scalar_type(scalar, column.decimal),
        };
        Self::List(ListColumn {
            elements: Box::new(single),
            field: Arc::new(Field::new("element", inner, true)),
            offsets: vec![0],
            validity: Vec::new(),
        })
    }

    fn scalar(target: TargetType, decimal: Option<Decimal>) -> Self {
        match target {
            TargetType::Int64 => Self::Int64(Int64Builder::new()),
            TargetType::Float64 => Self::Float64(Float64Builder::new()),
            TargetType::Bool => Self::Bool(BooleanBuilder::new()),
            // A STRUCT has fields, and a builder of its own.
            TargetType::String
            | TargetType::Json
            | TargetType::Geography
            | TargetType::Interval
            | TargetType::RangeDate
            | TargetType::RangeDatetime
            | TargetType::RangeTimestamp
            | TargetType::Struct => Self::Text(TextBuilder::new()),
            TargetType::Bytes => Self::Bytes(BinaryBuilder::new()),
            TargetType::Date => Self::Date(Date32Builder::new()),
            TargetType::Time => Self::Time(Time64MicrosecondBuilder::new()),
            TargetType::Datetime | TargetType::Timestamp => {
                let kind = scalar_type(target, decimal);
                Self::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(kind))
            }
            TargetType::Numeric | TargetType::Bignumeric => {
                let kind = scalar_type(target, decimal);
                let decimal = digits(target, decimal);
                if decimal.precision <= 38 {
                    Self::Decimal128(Decimal128Builder::new().with_data_type(kind), decimal)
                } else {
                    Self::Decimal256(Decimal256Builder::new().with_data_type(kind), decimal)
                }
            }
        }
    }

    /// Values so far.
    pub fn len(&self) -> usize {
        use arrow_array::builder::ArrayBuilder as _;
        match self {
            Self::Int32(b) => b.len(),
            Self::Int64(b) => b.len(),
            Self::Float64(b) => b.len(),
            Self::Bool(b) => b.len(),
            Self::Text(b) => b.len(),
            Self::Bytes(b) => b.len(),
            Self::FixedBytes(b) => b.len(),
            Self::Date(b) => b.len(),
            Self::Time(b) => b.len(),
            Self::Timestamp(b) => b.len(),
            Self::Decimal128(b, _) => b.len(),
            Self::Decimal256(b, _) => b.len(),
            Self::List(list) => list.validity.len(),
            Self::Struct(column) => column.validity.len(),
        }
    }

    /// Whether there are no values yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends NULL.
    pub fn append_null(&mut self) -> Result<(), Invalid> {
        match self {
            Self::Int32(b) => b.append_null(),
            Self::Int64(b) => b.append_null(),
            Self::Float64(b) => b.append_null(),
            Self::Bool(b) => b.append_null(),
            Self::Text(b) => b.append_null(),
            Self::Bytes(b) => b.append_null(),
            Self::FixedBytes(b) => b.append_null(),
            Self::Date(b) => b.append_null(),
            Self::Time(b) => b.append_null(),
            Self::Timestamp(b) => b.append_null(),
            Self::Decimal128(b, _) => b.append_null(),
            Self::Decimal256(b, _) => b.append_null(),
            Self::List(list) => list.close(false)?,
            Self::Struct(column) => {
                for field in &mut column.fields {
                    field.append_null()?;
                }
                column.close(false);
            }
        }
        Ok(())
    }

    /// The values as an array; the builder is empty afterwards. `allow` as [`TextBuilder::finish`] has it.
    fn finish(&mut self, allow: impl FnOnce(&[usize]) -> Result<()>) -> Result<ArrayRef> {
        Ok(match self {
            Self::Int32(b) => values(b),
            Self::Int64(b) => values(b),
            Self::Float64(b) => values(b),
            Self::Bool(b) => Arc::new(b.finish()),
            Self::Text(b) => b.finish(allow)?,
            Self::Bytes(b) => Arc::new(b.finish()),
            Self::FixedBytes(b) => {
                let array = b.finish();
                *b = FixedSizeBinaryBuilder::with_capacity(array.len(), array.value_length());
                Arc::new(array)
            }
            Self::Date(b) => values(b),
            Self::Time(b) => values(b),
            Self::Timestamp(b) => values(b),
            Self::Decimal128(b, _) => values(b),
            Self::Decimal256(b, _) => values(b),
            Self::List(list) => {
                let offsets = std::mem::replace(&mut list.offsets, vec![0]);
                let validity = std::mem::take(&mut list.validity);
                let array = ListArray::try_new(
                    Arc::clone(&list.field),
                    OffsetBuffer::new(offsets.into()),
                    list.elements.finish(refuse)?,
                    Some(NullBuffer::from(validity)),
                )
                .map_err(|source| Error::bug("build an array column").because(source))?;
                Arc::new(array)
            }
            Self::Struct(column) => column.finish()?,
        })
    }
}

/// The values of a builder, which has room for as many afterwards.
fn values<P: ArrowPrimitiveType>(builder: &mut PrimitiveBuilder<P>) -> ArrayRef {
    let array = builder.finish();
    let kind = array.data_type().clone();
    *builder = PrimitiveBuilder::with_capacity(array.len()).with_data_type(kind);
    Arc::new(array)
}

/// What a batch has room for: a row is added while there is some of both.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Room {
    /// Rows.
    pub(crate) rows: usize,
    /// Bytes of values.
    pub(crate) bytes: usize,
}

/// A batch under construction: one builder per column, and when to stop.
#[derive(Debug)]
pub struct BatchBuilder {
    schema: SchemaRef,
    /// The columns, in the table's order.
    pub columns: Vec<ColumnBuilder>,
    rows: usize,
    bytes: usize,
}

impl BatchBuilder {
    /// A batch is full at this many rows: larger ones cost memory and save no time.
    const MAX_ROWS: usize = 4_096;
    /// A batch is full at this many bytes of values, so that wide rows stay bounded too.
    const MAX_BYTES: usize = 1 << 20;

    /// An empty batch of a table's columns.
    pub fn new(columns: &[Column]) -> Self {
        Self {
            schema: arrow_schema(columns),
            columns: columns.iter().map(ColumnBuilder::new).collect(),
            rows: 0,
            bytes: 0,
        }
    }

    /// Rows so far.
    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// What may be added before the batch is full.
    pub(crate) fn room(&self) -> Room {
        Room {
            rows: Self::MAX_ROWS.saturating_sub(self.rows),
            bytes: Self::MAX_BYTES.saturating_sub(self.bytes),
        }
    }

    /// Counts a row whose values have all been appended, and says whether the batch is full.
    pub fn end_row(&mut self, bytes: usize) -> bool {
        self.end_rows(1, bytes)
    }

    /// The same of some rows.
    pub(crate) fn end_rows(&mut self, rows: usize, bytes: usize) -> bool {
        self.rows += rows;
        self.bytes += bytes;
        self.rows >= Self::MAX_ROWS || self.bytes >= Self::MAX_BYTES
    }

    /// The rows so far, if any; the builder is empty afterwards.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        self.finish_unchecked(|_, places| refuse(places))
    }

    /// The same, where texts were appended unchecked. Those that are not UTF-8 become NULL, if `allow`
    /// does not refuse them: it gets the number of their column, and their places in the batch.
    pub(crate) fn finish_unchecked(
        &mut self,
        mut allow: impl FnMut(usize, &[usize]) -> Result<()>,
    ) -> Result<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays = self
            .columns
            .iter_mut()
            .enumerate()
            .map(|(at, column)| column.finish(|places| allow(at, places)))
            .collect::<Result<Vec<_>>>()?;
        // A table without columns still has rows.
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(|source| Error::bug("build a batch").because(source))?;
        self.rows = 0;
        self.bytes = 0;
        Ok(Some(batch))
    }
}

/// The answer where every text was looked at before it was appended.
fn refuse(_: &[usize]) -> Result<()> {
    Err(Error::bug("build a batch: it has texts that are not UTF-8"))
}

/// How many rows of those that a source sent together make a batch.
pub(crate) fn rows_of(sent: &RecordBatch) -> usize {
    let sizes = sent.columns().iter().map(|column| column.to_data().get_slice_memory_size());
    let bytes: usize = sizes.map(Result::unwrap_or_default).sum();
    let each = bytes.div_ceil(sent.num_rows().max(1)).max(1);
    (BatchBuilder::MAX_BYTES / each).clamp(1, BatchBuilder::MAX_ROWS)
}
