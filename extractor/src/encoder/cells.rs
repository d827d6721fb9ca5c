//! The values of an array as they lie in memory.

use std::ops::Range;

use arrow_array::{Array, ArrayRef};
use arrow_buffer::{BooleanBuffer, NullBuffer, i256};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use parquet::errors::{ParquetError, Result};

/// How the values of a column lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bits,
    Four,
    Eight,
    /// Unscaled integers of this many decimal digits at most.
    Decimal128(u8),
    Decimal256,
    Bytes,
    /// Values of this many bytes.
    Fixed(usize),
}

impl Kind {
    /// The kind of a type of single values that a column of a table has; `None` for others.
    pub(super) fn of(kind: &DataType) -> Option<Self> {
        Some(match kind {
            DataType::Boolean => Self::Bits,
            DataType::Int32 | DataType::Date32 => Self::Four,
            DataType::Int64 | DataType::Float64 | DataType::Time64(_) | DataType::Timestamp(..) => {
                Self::Eight
            }
            DataType::Decimal128(precision, _) => Self::Decimal128(*precision),
            DataType::Decimal256(..) => Self::Decimal256,
            DataType::Utf8 | DataType::Binary => Self::Bytes,
            DataType::FixedSizeBinary(length) => {
                Self::Fixed(usize::try_from(*length).ok().filter(|length| *length > 0)?)
            }
            _ => return None,
        })
    }
}

/// The values of an array. Places of NULL hold anything.
#[derive(Debug)]
pub(super) enum Cells<'a> {
    Bits(BooleanBuffer),
    Four(&'a [i32]),
    Eight(&'a [i64]),
    Decimal128(&'a [i128]),
    Decimal256(&'a [i256]),
    /// Where each value begins, and where the last one ends; and the bytes of all of them.
    Bytes(&'a [i32], &'a [u8]),
    /// Values of one length, one behind another.
    Fixed(&'a [u8], usize),
}

impl<'a> Cells<'a> {
    /// The values of an array of a kind.
    pub(super) fn of(data: &'a ArrayData, kind: Kind) -> Result<Self> {
        let rows = data.offset()..data.offset() + data.len();
        let first = data.buffers().first().ok_or_else(unexpected)?;
        Ok(match kind {
            Kind::Bits => Self::Bits(BooleanBuffer::new(first.clone(), data.offset(), data.len())),
            Kind::Four => Self::Four(part(first.typed_data(), rows)?),
            Kind::Eight => Self::Eight(part(first.typed_data(), rows)?),
            Kind::Decimal128(_) => Self::Decimal128(part(first.typed_data(), rows)?),
            Kind::Decimal256 => Self::Decimal256(part(first.typed_data(), rows)?),
            Kind::Fixed(length) => {
                Self::Fixed(part(first, rows.start * length..rows.end * length)?, length)
            }
            Kind::Bytes => {
                let bytes = data.buffers().get(1).ok_or_else(unexpected)?;
                Self::Bytes(part(first.typed_data(), rows.start..rows.end + 1)?, bytes)
            }
        })
    }
}

fn part<T>(all: &[T], rows: Range<usize>) -> Result<&[T]> {
    all.get(rows).ok_or_else(unexpected)
}

/// An array is not what its type says.
fn unexpected() -> ParquetError {
    ParquetError::General("an array lacks a buffer of its type".to_owned())
}

/// The runs of rows that hold values.
pub(super) fn runs(
    nulls: Option<&NullBuffer>,
    rows: usize,
) -> Box<dyn Iterator<Item = Range<usize>> + '_> {
    match nulls {
        Some(nulls) => Box::new(nulls.valid_slices().map(|(start, end)| start..end)),
        None => Box::new(std::iter::once(0..rows)),
    }
}

/// Which rows of an array are NULL, if any are.
pub(super) fn nulls(array: &ArrayRef) -> Option<&NullBuffer> {
    array.nulls().filter(|nulls| nulls.null_count() > 0)
}
