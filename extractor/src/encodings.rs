//! How the columns of a table are encoded: by what the first rows of the table are like.
//!
//! A dictionary makes a column of few values small, and costs time and bytes in a column whose values
//! are mostly distinct: it is filled, given up when it has grown too large, and stays in the file.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_data::ArrayData;
use arrow_schema::DataType;
use foldhash::fast::RandomState;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::types::ColumnPath;
use sluice_contracts::documents::{Column, Table, TargetType};

/// Rows that are looked at.
const SAMPLE_ROWS: usize = 64 << 10;
/// Bytes that are looked at, where rows are long.
const SAMPLE_BYTES: usize = 8 << 20;
/// A column of at most this many values has a dictionary, however few rows were looked at.
const FEW: usize = 256;
/// A dictionary that is larger than this is given up by the writer while a row group is written.
const LARGEST_DICTIONARY: usize = 1 << 20;

/// What the tasks of this process know of the tables that they have begun to write.
#[derive(Debug, Default)]
pub(crate) struct Encodings {
    known: Mutex<HashMap<u32, WriterProperties>>,
}

impl Encodings {
    /// How a table is written, if that is known.
    pub(crate) fn of(&self, table: &Table) -> Option<WriterProperties> {
        self.lock().get(&table.index).cloned()
    }

    /// How a table is written whose first rows are these. They decide for the rest of the table, if
    /// they are enough.
    pub(crate) fn decide(&self, table: &Table, sample: &Sample) -> WriterProperties {
        let properties = sample.properties(&table.columns);
        if sample.is_enough() {
            self.lock().insert(table.index, properties.clone());
        }
        properties
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<u32, WriterProperties>> {
        self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// The first rows of a unit, held until they are enough to decide by.
#[derive(Debug, Default)]
pub(crate) struct Sample {
    batches: Vec<RecordBatch>,
    rows: usize,
    bytes: usize,
}

impl Sample {
    /// Adds rows.
    pub(crate) fn add(&mut self, batch: RecordBatch) {
        self.rows += batch.num_rows();
        self.bytes += batch.get_array_memory_size();
        self.batches.push(batch);
    }

    /// Whether no more rows are needed.
    pub(crate) fn is_enough(&self) -> bool {
        self.rows >= SAMPLE_ROWS || self.bytes >= SAMPLE_BYTES
    }

    /// Whether there are no rows.
    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The rows, to be written.
    pub(crate) fn into_batches(self) -> Vec<RecordBatch> {
        self.batches
    }

    /// How columns are written whose first values these are.
    pub(crate) fn properties(&self, columns: &[Column]) -> WriterProperties {
        properties(columns, &self.dictionaries(columns.len()))
    }

    /// For each column, whether a dictionary pays.
    fn dictionaries(&self, columns: usize) -> Vec<bool> {
        let of_column = |at: usize| {
            let arrays: Vec<&ArrayRef> =
                self.batches.iter().filter_map(|batch| batch.columns().get(at)).collect();
            pays(&arrays)
        };
        (0..columns).map(of_column).collect()
    }
}

/// Whether a dictionary pays for these values: they are few; or fewer than a third of them differ, and few of those
/// are new in the second half. A key that grows has about as many new values there, however often each comes.
/// Values that are too long for a dictionary have none.
fn pays(arrays: &[&ArrayRef]) -> bool {
    let data: Vec<ArrayData> = arrays.iter().map(|array| elements(array.to_data())).collect();
    let total: usize = data.iter().map(ArrayData::len).sum();
    let mut seen: HashSet<&[u8], RandomState> = HashSet::default();
    let (mut count, mut in_first_half, mut bytes) = (0, 0, 0);
    for value in data.iter().flat_map(values) {
        if seen.insert(value) {
            bytes += value.len();
            let are_many = seen.len() > FEW && seen.len() >= total / 3;
            if are_many || bytes >= LARGEST_DICTIONARY {
                return false;
            }
        }
        count += 1;
        if count == total / 2 {
            in_first_half = seen.len();
        }
    }
    let distinct = seen.len();
    distinct <= FEW || distinct - in_first_half < in_first_half / 2
}

/// The elements of lists, however deep; other values as they are.
fn elements(data: ArrayData) -> ArrayData {
    match (data.data_type(), data.child_data()) {
        (DataType::List(_), [child]) => elements(child.clone()),
        _ => data,
    }
}

/// The bytes of each value. NULL counts as a value. A column of booleans gives none, because it never
/// has a dictionary.
fn values(data: &ArrayData) -> Box<dyn Iterator<Item = &[u8]> + '_> {
    let rows = data.offset()..data.offset() + data.len();
    match (data.data_type(), data.buffers()) {
        (DataType::Utf8 | DataType::Binary, [offsets, bytes]) => {
            let offsets: &[i32] = offsets.typed_data();
            Box::new(rows.filter_map(move |row| {
                let at = |row: usize| usize::try_from(*offsets.get(row)?).ok();
                bytes.get(at(row)?..at(row + 1)?)
            }))
        }
        (kind, [bytes]) => match width(kind) {
            Some(width) => {
                Box::new(rows.filter_map(move |row| bytes.get(row * width..(row + 1) * width)))
            }
            None => Box::new(std::iter::empty()),
        },
        _ => Box::new(std::iter::empty()),
    }
}

/// Bytes of each value of a type whose values have one length.
fn width(kind: &DataType) -> Option<usize> {
    match kind {
        DataType::FixedSizeBinary(length) => usize::try_from(*length).ok(),
        other => other.primitive_width(),
    }
}

/// What BigQuery is known to read: format v1 pages, plain and dictionary encodings, zstd or nothing.
fn properties(columns: &[Column], dictionaries: &[bool]) -> WriterProperties {
    let level = ZstdLevel::try_new(1).unwrap_or_default();
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_1_0)
        .set_compression(Compression::ZSTD(level))
        .set_dictionary_page_size_limit(LARGEST_DICTIONARY)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_created_by(concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned());
    for (column, dictionary) in columns.iter().zip(dictionaries) {
        properties = properties.set_column_dictionary_enabled(path(column), *dictionary);
        // No reader skips row groups by their least JSON document, and comparing texts costs time.
        let kind = column.target_type;
        if kind.range_element().is_some()
            || matches!(
                kind,
                TargetType::String | TargetType::Json | TargetType::Bytes | TargetType::Interval
            )
        {
            properties =
                properties.set_column_statistics_enabled(path(column), EnabledStatistics::None);
        }
    }
    properties.build()
}

/// Where a column's values lie in the file's schema.
fn path(column: &Column) -> ColumnPath {
    let mut path = vec![column.name.clone()];
    if column.repeated {
        path.extend(["list".to_owned(), "element".to_owned()]);
    }
    ColumnPath::new(path)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::builder::{Int64Builder, ListBuilder};
    use arrow_array::{BooleanArray, Decimal128Array, Int64Array, StringArray};

    use super::*;

    fn decided(arrays: &[ArrayRef]) -> bool {
        pays(&arrays.iter().collect::<Vec<_>>())
    }

    fn int64(values: impl Iterator<Item = i64>) -> ArrayRef {
        Arc::new(Int64Array::from_iter_values(values))
    }

    fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
        Arc::new(StringArray::from_iter_values(values))
    }

    #[test]
    fn a_dictionary_is_for_columns_of_few_values() {
        let rows = || 0..60_000_i64;
        for (what, column, expected) in [
            ("ids", int64(rows()), false),
            ("an order's lines: a key that grows", int64(rows().map(|n| n / 4)), false),
            ("days", int64(rows().map(|n| n * 7919 % 2_500)), true),
            ("customers", int64(rows().map(|n| n * 7919 % 10_007)), true),
            ("many customers", int64(rows().map(|n| n * 7919 % 40_009)), false),
            ("states", texts(rows().map(|n| format!("state {}", n % 4))), true),
            ("references", texts(rows().map(|n| format!("{:032x}", n * 7919))), false),
            (
                "few values that are long",
                texts(rows().map(|n| "x".repeat(20_000 + usize::try_from(n % 90).unwrap()))),
                false,
            ),
            ("NULL only", Arc::new(Int64Array::new_null(60_000)), true),
            ("booleans", Arc::new(BooleanArray::from(vec![true; 60_000])), true),
        ] {
            assert_eq!(decided(&[column]), expected, "{what}");
        }
        // However few rows there are.
        assert!(decided(&[int64(0..10)]));
        assert!(decided(&[]));
    }

    #[test]
    fn parts_of_arrays_lists_and_decimals_are_looked_at() {
        let decimals = Decimal128Array::from_iter_values((0..60_000).map(|n: i128| n % 300));
        assert!(decided(&[Arc::new(decimals)]));
        let mut lists = ListBuilder::new(Int64Builder::new());
        for n in 0..10_000_i64 {
            lists.values().append_slice(&[n * 3, n * 3 + 1, n * 3 + 2]);
            lists.append(true);
        }
        assert!(!decided(&[Arc::new(lists.finish())]));
        // Batches of the same values, some of which are a part of a longer one.
        let (first, part) = (int64(0..300), int64(-7..307).slice(7, 300));
        assert!(decided(&[first.clone(), part.clone(), first.clone(), part]));
        let others = [300..600, 600..900, 900..1200].map(int64);
        assert!(!decided(&[vec![first], others.to_vec()].concat()));
    }
}
