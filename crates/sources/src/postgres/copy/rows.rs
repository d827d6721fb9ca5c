//! Whole rows, decoded a column at a time.
//!
//! A loop over the values of one column does one thing, so it takes less than half as long for a value as a
//! loop over the columns of a row, which does another thing for each.

use arrow_array::ArrowPrimitiveType;
use arrow_array::builder::{
    Date32Builder, Decimal128Builder, Float64Builder, Int32Builder, Int64Builder, PrimitiveBuilder,
    TimestampMicrosecondBuilder,
};
use sluice_contracts::Result;

use super::super::type_table::Wire;
use super::MAX_VALUE;
use super::field::Field;
use super::numeric::Short;
use super::times::{date, timestamp};
use crate::builder::{ColumnBuilder, Room};

/// The first byte of a message with bytes of a COPY.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html#PROTOCOL-MESSAGE-FORMATS-COPYDATA>
const COPY_DATA: u8 = b'd';
/// A message's first byte and its length, and the number of a row's fields.
const ROW_HEADER: usize = 1 + 4 + 2;

/// Rows that are found at once, at most, and bytes of them, about: they stay in the fastest memory of the
/// processor while one column after another is read from them.
const ROWS: usize = 64;
const BYTES: usize = 16 << 10;

/// Where the fields of some rows are.
#[derive(Debug, Default)]
pub(super) struct Rows {
    /// Where each field begins: those of the first row, those of the second, and so on. Entries of an
    /// earlier call may follow.
    starts: Vec<u32>,
    pub(super) count: usize,
    /// Bytes of the rows, without what the messages add.
    pub(super) bytes: usize,
    /// Bytes of their messages.
    pub(super) length: usize,
}

impl Rows {
    /// Finds the rows at the front of `input` that there is room for, as far as each is one message that is
    /// there to its end. Anything else is left to what decodes a stream byte by byte.
    pub(super) fn find(&mut self, input: &[u8], columns: usize, room: Room) {
        let (rows, bytes) = (room.rows.min(ROWS), room.bytes.min(BYTES));
        if self.starts.len() < ROWS * columns {
            self.starts.resize(ROWS * columns, 0);
        }
        (self.count, self.bytes, self.length) = (0, 0, 0);
        while self.count < rows && self.bytes < bytes {
            let rest = input.get(self.length..).unwrap_or_default();
            let first = self.count * columns;
            let starts = self.starts.get_mut(first..first + columns).unwrap_or_default();
            let Some(message) = find_row(rest, self.length, starts) else { return };
            self.count += 1;
            self.bytes += message - (ROW_HEADER - 2);
            self.length += message;
        }
    }

    /// Appends the values of a column to its builder.
    pub(super) fn append(
        &self,
        input: &[u8],
        at: usize,
        columns: usize,
        into: &mut ColumnBuilder,
        other: Other<'_>,
    ) -> Result<()> {
        let starts = self.starts.get(at..self.count * columns).unwrap_or_default();
        let starts = starts.iter().step_by(columns);
        let cells = starts.map(|start| input.get(*start as usize..).unwrap_or_default());
        match (other.column.wire, &mut *into) {
            (Wire::Int8, ColumnBuilder::Int64(_)) => {
                fixed(cells, int64, into, other, |value| Some(i64::from_be_bytes(*value)))
            }
            (Wire::Int4, ColumnBuilder::Int32(_)) => {
                fixed(cells, int32, into, other, |value| Some(i32::from_be_bytes(*value)))
            }
            (Wire::Int2, ColumnBuilder::Int32(_)) => {
                fixed(cells, int32, into, other, |value| Some(i16::from_be_bytes(*value).into()))
            }
            (Wire::Float8, ColumnBuilder::Float64(_)) => {
                fixed(cells, float64, into, other, |value| Some(f64::from_be_bytes(*value)))
            }
            (Wire::Date, ColumnBuilder::Date(_)) => {
                fixed(cells, days, into, other, |value| date(i32::from_be_bytes(*value)).ok())
            }
            (Wire::Timestamp, ColumnBuilder::Timestamp(_)) => {
                fixed(cells, microseconds, into, other, |value| {
                    timestamp(i64::from_be_bytes(*value)).ok()
                })
            }
            (Wire::Numeric, ColumnBuilder::Decimal128(_, digits)) => {
                let short = Short::of(*digits);
                sized(cells, decimal128, into, other, |value| short?.read(value).map(i128::from))
            }
            (Wire::Text, ColumnBuilder::Text(_)) => texts(cells, into, other, []),
            (Wire::Jsonb, ColumnBuilder::Text(_)) => texts(cells, into, other, [1]),
            (Wire::Bool, ColumnBuilder::Bool(_)) => {
                appended(cells, into, other, |cell, into| match (cell.first_chunk(), into) {
                    (Some([0, 0, 0, 1, value @ (0 | 1)]), ColumnBuilder::Bool(builder)) => {
                        builder.append_value(*value == 1);
                        true
                    }
                    _ => false,
                })
            }
            (Wire::Uuid, ColumnBuilder::FixedBytes(_)) => {
                appended(cells, into, other, |cell, into| match (cell.first_chunk::<20>(), into) {
                    (Some([0, 0, 0, 16, value @ ..]), ColumnBuilder::FixedBytes(builder)) => {
                        builder.append_value(value).is_ok()
                    }
                    _ => false,
                })
            }
            _ => appended(cells, into, other, |_, _| false),
        }
    }
}

/// The length of the message at the front of `rest`, if it is one whole row. The places of its fields are
/// those in what has `before` bytes in front of `rest`.
#[inline]
fn find_row(rest: &[u8], before: usize, starts: &mut [u32]) -> Option<usize> {
    let ([tag, l0, l1, l2, l3, c0, c1], _) = rest.split_first_chunk::<ROW_HEADER>()?;
    if *tag != COPY_DATA || usize::from(u16::from_be_bytes([*c0, *c1])) != starts.len() {
        return None;
    }
    let end = 1 + u32::from_be_bytes([*l0, *l1, *l2, *l3]) as usize;
    let row = rest.get(..end)?;
    // Places are kept in 32 bits.
    let before = u32::try_from(before + end).ok()? - u32::try_from(end).ok()?;
    let mut at = ROW_HEADER;
    for start in starts {
        let length = row.get(at..)?.first_chunk()?;
        *start = before + u32::try_from(at).ok()?;
        at += 4;
        match i32::from_be_bytes(*length) {
            // NULL.
            -1 => {}
            length => at += usize::try_from(length).ok().filter(|length| *length < MAX_VALUE)?,
        }
    }
    (at == end).then_some(end)
}

/// Appends the values that the loop of their column leaves out.
pub(super) struct Other<'a> {
    pub(super) column: &'a Field,
    /// The number of the first row.
    pub(super) first: u64,
    /// Values that became NULL.
    pub(super) invalid: &'a mut u64,
}

impl Other<'_> {
    fn append(&mut self, row: usize, cell: &[u8], into: &mut ColumnBuilder) -> Result<()> {
        self.column.append(value_of(cell), self.first + row as u64, into, self.invalid)
    }
}

/// The value of a field. The lengths of all fields were looked at.
#[inline]
fn value_of(cell: &[u8]) -> Option<&[u8]> {
    let (length, body) = cell.split_first_chunk()?;
    body.get(..u32::from_be_bytes(*length) as usize)
}

/// Values of a type that all have one length.
#[inline]
fn fixed<'a, P: ArrowPrimitiveType, const N: usize>(
    cells: impl Iterator<Item = &'a [u8]>,
    builder: fn(&mut ColumnBuilder) -> Option<&mut PrimitiveBuilder<P>>,
    into: &mut ColumnBuilder,
    other: Other<'_>,
    decode: impl Fn(&[u8; N]) -> Option<P::Native>,
) -> Result<()> {
    primitives(cells, builder, into, other, |cell| {
        let (length, body) = cell.split_first_chunk()?;
        if u32::from_be_bytes(*length) as usize == N { decode(body.first_chunk()?) } else { None }
    })
}

/// Values of a type of any length.
#[inline]
fn sized<'a, P: ArrowPrimitiveType>(
    cells: impl Iterator<Item = &'a [u8]>,
    builder: fn(&mut ColumnBuilder) -> Option<&mut PrimitiveBuilder<P>>,
    into: &mut ColumnBuilder,
    other: Other<'_>,
    decode: impl Fn(&[u8]) -> Option<P::Native>,
) -> Result<()> {
    primitives(cells, builder, into, other, |cell| decode(value_of(cell)?))
}

/// Appends what `decode` makes of the fields. The others, NULL among them, are appended one by one.
#[inline]
fn primitives<'a, P: ArrowPrimitiveType>(
    cells: impl Iterator<Item = &'a [u8]>,
    builder: fn(&mut ColumnBuilder) -> Option<&mut PrimitiveBuilder<P>>,
    into: &mut ColumnBuilder,
    mut other: Other<'_>,
    decode: impl Fn(&'a [u8]) -> Option<P::Native>,
) -> Result<()> {
    let mut values = [P::Native::default(); ROWS];
    let mut count = 0;
    for (row, cell) in cells.enumerate() {
        let place = values.get_mut(count);
        if let (Some(value), Some(place)) = (decode(cell), place) {
            *place = value;
            count += 1;
            continue;
        }
        flush(builder, into, values.get(..count));
        count = 0;
        other.append(row, cell, into)?;
    }
    flush(builder, into, values.get(..count));
    Ok(())
}

fn flush<P: ArrowPrimitiveType>(
    builder: fn(&mut ColumnBuilder) -> Option<&mut PrimitiveBuilder<P>>,
    into: &mut ColumnBuilder,
    values: Option<&[P::Native]>,
) {
    if let Some(builder) = builder(into) {
        builder.append_slice(values.unwrap_or_default());
    }
}

/// Texts. `before` is what comes before the text in each value, such as the version of a `jsonb`.
#[inline]
fn texts<'a, const N: usize>(
    cells: impl Iterator<Item = &'a [u8]>,
    into: &mut ColumnBuilder,
    other: Other<'_>,
    before: [u8; N],
) -> Result<()> {
    appended(cells, into, other, |cell, into| {
        if let ColumnBuilder::Text(texts) = into
            && let Some((length, body)) = cell.split_first_chunk()
            && let Some((found, text)) = body.split_first_chunk()
            && *found == before
            && let Some(length) = (u32::from_be_bytes(*length) as usize).checked_sub(N)
            && length <= text.len()
        {
            texts.append_front(text, length);
            return true;
        }
        false
    })
}

/// Appends each field with `append`. A field for which that returns `false`, such as NULL, is appended as one of
/// any other type.
#[inline]
fn appended<'a>(
    cells: impl Iterator<Item = &'a [u8]>,
    into: &mut ColumnBuilder,
    mut other: Other<'_>,
    append: impl Fn(&'a [u8], &mut ColumnBuilder) -> bool,
) -> Result<()> {
    for (row, cell) in cells.enumerate() {
        if !append(cell, into) {
            other.append(row, cell, into)?;
        }
    }
    Ok(())
}

fn int32(into: &mut ColumnBuilder) -> Option<&mut Int32Builder> {
    if let ColumnBuilder::Int32(builder) = into { Some(builder) } else { None }
}

fn int64(into: &mut ColumnBuilder) -> Option<&mut Int64Builder> {
    if let ColumnBuilder::Int64(builder) = into { Some(builder) } else { None }
}

fn float64(into: &mut ColumnBuilder) -> Option<&mut Float64Builder> {
    if let ColumnBuilder::Float64(builder) = into { Some(builder) } else { None }
}

fn days(into: &mut ColumnBuilder) -> Option<&mut Date32Builder> {
    if let ColumnBuilder::Date(builder) = into { Some(builder) } else { None }
}

fn microseconds(into: &mut ColumnBuilder) -> Option<&mut TimestampMicrosecondBuilder> {
    if let ColumnBuilder::Timestamp(builder) = into { Some(builder) } else { None }
}

fn decimal128(into: &mut ColumnBuilder) -> Option<&mut Decimal128Builder> {
    if let ColumnBuilder::Decimal128(builder, _) = into { Some(builder) } else { None }
}
