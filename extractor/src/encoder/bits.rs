//! Levels and indexes, in few bits each: the hybrid of runs and packed groups.
//!
//! <https://parquet.apache.org/docs/file-format/data-pages/encodings/#RLE>

use arrow_buffer::{BooleanBufferBuilder, NullBuffer};

/// Values of a packed group.
const GROUP: usize = 8;
/// Groups of a run, whose header is one byte then. Longer runs are allowed, but no other writer makes them.
const RUN_GROUPS: usize = 63;

/// Which rows of a page hold a value.
#[derive(Debug, Default)]
pub(super) struct Levels {
    rows: usize,
    /// Rows without a value.
    nulls: usize,
    /// A bit for each row; absent while none is NULL.
    validity: Option<BooleanBufferBuilder>,
}

impl Levels {
    /// Adds the rows of an array.
    pub(super) fn add(&mut self, nulls: Option<&NullBuffer>, rows: usize) {
        match (nulls, &mut self.validity) {
            (Some(nulls), validity) => {
                let before = self.rows;
                let validity = validity.get_or_insert_with(|| {
                    let mut all = BooleanBufferBuilder::new(before + rows);
                    all.append_n(before, true);
                    all
                });
                validity.append_buffer(nulls.inner());
                self.nulls += nulls.null_count();
            }
            (None, Some(validity)) => validity.append_n(rows, true),
            (None, None) => {}
        }
        self.rows += rows;
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    pub(super) fn nulls(&self) -> usize {
        self.nulls
    }

    /// Appends the definition levels: 1 for a value, 0 for NULL.
    pub(super) fn append_to(self, into: &mut Vec<u8>) {
        let Self { rows, nulls, validity } = self;
        let length_at = into.len();
        into.extend_from_slice(&[0; 4]);
        match validity {
            Some(mut validity) if nulls < rows => {
                let bits = validity.finish();
                let bytes = bits.values().get(..rows.div_ceil(GROUP)).unwrap_or(bits.values());
                for run in bytes.chunks(RUN_GROUPS) {
                    into.push(packed_header(run.len()));
                    into.extend_from_slice(run);
                }
            }
            _ => {
                varint(rows << 1, into);
                into.push(u8::from(nulls == 0));
            }
        }
        let length = u32::try_from(into.len() - length_at - 4).unwrap_or(u32::MAX);
        if let Some(place) = into.get_mut(length_at..length_at + 4) {
            place.copy_from_slice(&length.to_le_bytes());
        }
    }
}

/// Appends the indexes of a page: the width of one, and all of them. `distinct` is more than each.
pub(super) fn indexes(indexes: &[u32], distinct: usize, into: &mut Vec<u8>) {
    // Some readers do not know an index of no bits.
    let width = (usize::BITS - distinct.saturating_sub(1).leading_zeros()).max(1);
    into.push(u8::try_from(width).unwrap_or(u8::MAX));
    let Some(first) = indexes.first() else { return };
    if indexes.iter().all(|index| index == first) {
        varint(indexes.len() << 1, into);
        let bytes = first.to_le_bytes();
        into.extend_from_slice(bytes.get(..width.div_ceil(8) as usize).unwrap_or(&bytes));
        return;
    }
    for run in indexes.chunks(RUN_GROUPS * GROUP) {
        into.push(packed_header(run.len().div_ceil(GROUP)));
        pack(run, width, into);
    }
}

/// Appends indexes of `width` bits each, in whole groups.
fn pack(indexes: &[u32], width: u32, into: &mut Vec<u8>) {
    let end = into.len() + indexes.len().div_ceil(GROUP) * width as usize;
    into.reserve(end - into.len() + 8);
    let (mut held, mut bits) = (0_u64, 0);
    for index in indexes {
        held |= u64::from(*index) << bits;
        bits += width;
        if bits >= u32::BITS {
            let [a, b, c, d, ..] = held.to_le_bytes();
            into.extend_from_slice(&[a, b, c, d]);
            held >>= u32::BITS;
            bits -= u32::BITS;
        }
    }
    into.extend_from_slice(&held.to_le_bytes());
    into.resize(end, 0);
}

/// The header of a run of at most [`RUN_GROUPS`] packed groups.
fn packed_header(groups: usize) -> u8 {
    u8::try_from(groups << 1 | 1).unwrap_or(u8::MAX)
}

/// Appends a number, seven bits a byte.
fn varint(mut number: usize, into: &mut Vec<u8>) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            into.push(low & 0x7f);
            return;
        }
        into.push(low | 0x80);
    }
}
