//! The distinct values of a column, numbered in the order in which they come.

use std::hash::{BuildHasher as _, Hash};
use std::ops::Range;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::cells::{Cells, Kind};
use super::plain::{Width, last, text};

/// The values of a dictionary.
pub(super) struct Dictionary {
    numbers: Numbers,
    /// The numbers of short values near the first one. An entry is the number plus one, or 0 for a
    /// value that is not in the dictionary yet. A lookup here takes a fraction of the time of a lookup
    /// in a hash table, and most columns of few values are dates, amounts or keys that lie close together.
    near: Vec<u32>,
    /// The value that `near` begins with.
    least_near: i64,
    /// The number plus one of the last text for each place that [`recent_place`] computes, or 0. Most texts
    /// of a column of few have a place of their own, and a lookup here is faster than one in a hash table.
    recent: Vec<u32>,
    hasher: RandomState,
    width: Width,
    /// All values, plain.
    pub(super) plain: Vec<u8>,
    count: u32,
}

/// The number of each value.
enum Numbers {
    Short(HashTable<(i64, u32)>),
    Long(HashTable<(i128, u32)>),
    /// Where each value lies in the plain ones is looked up.
    Bytes(HashTable<u32>, Vec<Range<usize>>),
}

/// Entries of [`Dictionary::recent`].
const RECENT: usize = 256;

impl Dictionary {
    /// An empty dictionary; `None` for a kind of values that never has one. `near` values around the
    /// first one are looked up without hashing.
    pub(super) fn new(kind: Kind, width: Width, near: usize) -> Option<Self> {
        let numbers = match kind {
            Kind::Bits | Kind::Decimal256 => return None,
            Kind::Four | Kind::Eight => Numbers::Short(HashTable::new()),
            Kind::Decimal128(digits) if digits <= 18 => Numbers::Short(HashTable::new()),
            Kind::Decimal128(_) => Numbers::Long(HashTable::new()),
            Kind::Bytes | Kind::Fixed(_) => Numbers::Bytes(HashTable::new(), Vec::new()),
        };
        let near = if matches!(numbers, Numbers::Short(_)) { near } else { 0 };
        Some(Self {
            numbers,
            near: vec![0; near],
            least_near: 0,
            recent: if matches!(kind, Kind::Bytes) { vec![0; RECENT] } else { Vec::new() },
            hasher: RandomState::default(),
            width,
            plain: Vec::new(),
            count: 0,
        })
    }

    /// Bytes of memory.
    pub(super) fn memory(&self) -> usize {
        let table = match &self.numbers {
            Numbers::Short(table) => table.allocation_size(),
            Numbers::Long(table) => table.allocation_size(),
            Numbers::Bytes(table, places) => {
                table.allocation_size() + places.capacity() * size_of::<Range<usize>>()
            }
        };
        table + self.near.capacity() * size_of::<u32>() + self.plain.capacity()
    }

    /// Keeps only the values, because none is looked up any more.
    pub(super) fn close(&mut self) {
        self.numbers = Numbers::Short(HashTable::new());
        self.near = Vec::new();
        self.recent = Vec::new();
    }

    /// Values.
    pub(super) fn len(&self) -> usize {
        self.count as usize
    }

    /// Appends the number of each value of a run of rows.
    pub(super) fn add(&mut self, cells: &Cells<'_>, run: Range<usize>, into: &mut Vec<u32>) {
        into.reserve(run.len());
        match cells {
            Cells::Four(values) => {
                let values = values.get(run).unwrap_or_default();
                into.extend(values.iter().map(|value| self.short(i64::from(*value))));
            }
            Cells::Eight(values) => {
                let values = values.get(run).unwrap_or_default();
                into.extend(values.iter().map(|value| self.short(*value)));
            }
            Cells::Decimal128(values) => {
                let values = values.get(run).unwrap_or_default();
                if matches!(self.numbers, Numbers::Short(_)) {
                    // They have at most 18 digits.
                    let low = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
                    into.extend(values.iter().map(|value| self.short(low(*value))));
                } else {
                    into.extend(values.iter().map(|value| self.long(*value)));
                }
            }
            Cells::Bytes(offsets, all) => {
                let at = |offset: i32| usize::try_from(offset).unwrap_or(0);
                let offsets = offsets.get(run.start..=run.end).unwrap_or_default();
                into.extend(offsets.array_windows::<2>().map(|[start, end]| {
                    self.bytes(all.get(at(*start)..at(*end)).unwrap_or_default())
                }));
            }
            Cells::Fixed(values, length) => {
                let values = values.get(run.start * length..run.end * length).unwrap_or_default();
                into.extend(values.chunks_exact(*length).map(|value| self.bytes(value)));
            }
            Cells::Bits(_) | Cells::Decimal256(_) => {}
        }
    }

    #[inline]
    fn short(&mut self, value: i64) -> u32 {
        if self.count == 0 {
            let half = i64::try_from(self.near.len() / 2).unwrap_or(0);
            self.least_near = value.saturating_sub(half);
        }
        let offset = value.wrapping_sub(self.least_near).cast_unsigned();
        let place = usize::try_from(offset).ok().and_then(|offset| self.near.get_mut(offset));
        match place {
            Some(0) | None => self.rare_short(value),
            Some(number) => *number - 1,
        }
    }

    /// The number of a value that is new, or far from the first one.
    fn rare_short(&mut self, value: i64) -> u32 {
        let mut keep = || {
            let bytes = value.to_le_bytes();
            let width = if self.width == Width::Fixed(4) { 4 } else { 8 };
            self.plain.extend_from_slice(bytes.get(..width).unwrap_or(&bytes));
        };
        let offset = value.wrapping_sub(self.least_near).cast_unsigned();
        let place = usize::try_from(offset).ok().and_then(|offset| self.near.get_mut(offset));
        if let Some(place) = place {
            keep();
            self.count += 1;
            *place = self.count;
            return self.count - 1;
        }
        let Numbers::Short(table) = &mut self.numbers else { return 0 };
        number(table, &self.hasher, value, &mut self.count, keep)
    }

    #[inline]
    fn long(&mut self, value: i128) -> u32 {
        let Numbers::Long(table) = &mut self.numbers else { return 0 };
        let width = if let Width::Fixed(width) = self.width { width } else { 16 };
        number(table, &self.hasher, value, &mut self.count, || {
            last(&value.to_be_bytes(), width, &mut self.plain);
        })
    }

    #[inline]
    fn bytes(&mut self, value: &[u8]) -> u32 {
        let Numbers::Bytes(table, places) = &mut self.numbers else { return 0 };
        let plain = &mut self.plain;
        let recent = self.recent.get_mut(recent_place(value));
        if let Some(number) = recent.as_deref()
            && *number > 0
            && let Some(place) = places.get(*number as usize - 1)
            && plain.get(place.clone()) == Some(value)
        {
            return *number - 1;
        }
        let hash = self.hasher.hash_one(value);
        let stored = |number: u32| {
            places
                .get(number as usize)
                .and_then(|place| plain.get(place.clone()))
                .unwrap_or_default()
        };
        let known = table.find(hash, |number| stored(*number) == value).copied();
        let number = known.unwrap_or(self.count);
        if let Some(recent) = recent {
            *recent = number + 1;
        }
        if known.is_some() {
            return number;
        }
        table.insert_unique(hash, number, |number| self.hasher.hash_one(stored(*number)));
        match self.width {
            Width::Any => text(value, plain),
            _ => plain.extend_from_slice(value),
        }
        places.push(plain.len() - value.len()..plain.len());
        self.count += 1;
        number
    }
}

/// The place of a text in [`Dictionary::recent`], from its length, its first and its last byte.
#[inline]
fn recent_place(value: &[u8]) -> usize {
    let end = |byte: Option<&u8>| byte.copied().map_or(0, usize::from);
    (31 * value.len() + 7 * end(value.first()) + 3 * end(value.last())) % RECENT
}

/// The number of a key. A new key gets the next one, and is kept by `keep`.
#[inline]
fn number<K: Copy + Eq + Hash>(
    table: &mut HashTable<(K, u32)>,
    hasher: &RandomState,
    key: K,
    count: &mut u32,
    keep: impl FnOnce(),
) -> u32 {
    let hash = hasher.hash_one(key);
    if let Some((_, found)) = table.find(hash, |(known, _)| *known == key) {
        return *found;
    }
    let new = *count;
    table.insert_unique(hash, (key, new), |(known, _)| hasher.hash_one(*known));
    keep();
    *count += 1;
    new
}
