//! Values as they are: plain encoding.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#PLAIN>

use std::ops::Range;

use arrow_buffer::{BooleanBufferBuilder, ToByteSlice, i256};

use super::cells::Cells;

/// How long a value of a column is in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// One bit.
    Bit,
    /// This many bytes. Those of a decimal of more than 18 digits begin with the greatest.
    Fixed(usize),
    /// A length of four bytes and as many bytes as it says.
    Any,
}

/// A value of up to this many bytes is copied as a block of this fixed length.
const BLOCK: usize = 64;

/// Room for the levels of a page without NULL, so that its values need not be moved behind them.
const ROOM: usize = 16;

/// Plain values of a page, behind [`ROOM`] bytes.
#[derive(Debug)]
pub(super) struct Plain {
    bytes: Vec<u8>,
    bits: Option<BooleanBufferBuilder>,
}

impl Plain {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; ROOM], bits: None }
    }

    /// Appends the values of a run of rows.
    pub(super) fn add(&mut self, cells: &Cells<'_>, run: Range<usize>, width: Width) {
        let bytes = &mut self.bytes;
        match cells {
            Cells::Bits(values) => {
                let bits = self.bits.get_or_insert_with(|| BooleanBufferBuilder::new(0));
                bits.append_buffer(&values.slice(run.start, run.len()));
            }
            Cells::Four(values) => bytes.extend_from_slice(of_run(values, run).to_byte_slice()),
            Cells::Eight(values) => bytes.extend_from_slice(of_run(values, run).to_byte_slice()),
            Cells::Decimal128(values) => decimals(of_run(values, run), width, bytes),
            Cells::Decimal256(values) => wide_decimals(of_run(values, run), width, bytes),
            Cells::Fixed(values, length) => {
                bytes.extend_from_slice(of_run(values, run.start * length..run.end * length));
            }
            Cells::Bytes(offsets, all) => {
                texts(of_run(offsets, run.start..run.end + 1), all, bytes);
            }
        }
    }

    /// Bytes of the values so far.
    pub(super) fn len(&self) -> usize {
        self.bytes.len() - ROOM + self.bits.as_ref().map_or(0, |bits| bits.len() / 8)
    }

    /// Bytes of memory.
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Hands out the page: its levels and its values.
    pub(super) fn page(&mut self, levels: &[u8]) -> &[u8] {
        if let Some(mut bits) = self.bits.take() {
            let end = bits.len().div_ceil(8);
            let packed = bits.finish();
            self.bytes.extend_from_slice(packed.values().get(..end).unwrap_or(packed.values()));
        }
        let start = ROOM.saturating_sub(levels.len());
        self.bytes.splice(start..ROOM, levels.iter().copied());
        self.bytes.get(start..).unwrap_or_default()
    }

    /// Begins another page. A buffer of more than `kept` bytes is freed.
    pub(super) fn clear(&mut self, kept: usize) {
        self.bytes.truncate(ROOM);
        self.bytes.resize(ROOM, 0);
        self.bytes.shrink_to(kept);
    }
}

fn of_run<T>(values: &[T], run: Range<usize>) -> &[T] {
    values.get(run).unwrap_or_default()
}

fn texts(offsets: &[i32], all: &[u8], into: &mut Vec<u8>) {
    let at = |offset: i32| usize::try_from(offset).unwrap_or(0);
    let length = |first: &i32, last: &i32| at(*last) - at(*first);
    let (Some(first), Some(last)) = (offsets.first(), offsets.last()) else { return };
    into.reserve(length(first, last) + 4 * offsets.len() + BLOCK);
    for pair in offsets.array_windows::<2>() {
        let [start, end] = *pair;
        let rest = all.get(at(start)..).unwrap_or_default();
        let length = at(end) - at(start);
        match rest.first_chunk::<BLOCK>() {
            // A copy of a fixed length takes a few instructions and no call.
            Some(chunk) if length <= BLOCK => {
                into.extend_from_slice(&prefix(length));
                let end = into.len() + length;
                into.extend_from_slice(chunk);
                into.truncate(end);
            }
            _ => text(rest.get(..length).unwrap_or(rest), into),
        }
    }
}

/// Appends one value of any length. It is shorter than 2 GiB, because its offset in the array is.
pub(super) fn text(value: &[u8], into: &mut Vec<u8>) {
    into.extend_from_slice(&prefix(value.len()));
    into.extend_from_slice(value);
}

/// What is before a value of any length.
fn prefix(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes()
}

/// The low bytes of each number, which fit because the column's precision does.
fn decimals(values: &[i128], width: Width, into: &mut Vec<u8>) {
    match width {
        Width::Fixed(4) => {
            into.extend(values.iter().flat_map(|value| first::<4>(&value.to_le_bytes())));
        }
        Width::Fixed(8) => {
            let start = into.len();
            into.resize(start + 8 * values.len(), 0);
            let places = into.get_mut(start..).unwrap_or_default().as_chunks_mut::<8>().0;
            for (place, value) in places.iter_mut().zip(values) {
                *place = first(&value.to_le_bytes());
            }
        }
        Width::Fixed(width) => {
            for value in values {
                last(&value.to_be_bytes(), width, into);
            }
        }
        Width::Bit | Width::Any => {}
    }
}

fn wide_decimals(values: &[i256], width: Width, into: &mut Vec<u8>) {
    if let Width::Fixed(width) = width {
        for value in values {
            last(&value.to_be_bytes(), width, into);
        }
    }
}

fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    bytes.first_chunk().copied().unwrap_or([0; N])
}

/// Appends the last bytes of a number that begins with the greatest.
pub(super) fn last(bytes: &[u8], width: usize, into: &mut Vec<u8>) {
    into.extend_from_slice(bytes.get(bytes.len().saturating_sub(width)..).unwrap_or(bytes));
}
