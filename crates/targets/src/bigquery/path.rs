//! The way in which a load becomes visible.
//!
//! A load job is one step to readers, and it is free. But BigQuery says how many rows it has written
//! only when they are visible. So it writes to the table itself only where a difference can be taken
//! back: a table that is replaced, was empty, or did not exist. Rows that are appended cannot be told
//! from others afterwards; they go to staging tables first, are counted there, and are appended by
//! one copy, which is free too.
//!
//! One load job takes [`MOST_FILES`] files of [`MOST_BYTES`] together. Larger loads fill several
//! staging tables, of which one copy takes [`MOST_STAGES`].
//!
//! Where a column is of a type that no load from Parquet fills, or some rows of the table are
//! replaced and others not, a statement over the staging tables is the visible step. It reads them,
//! which is not free. So does the transaction that makes all tables of a run visible at once, and the
//! one that changes more than [`MOST_PARTITIONS`] partitions, by several statements.

use std::ops::Range;

use sluice_contracts::documents::{
    Column, Native, NativeFiles, NativeFormat, NativeRows, Part, Table, TargetType,
};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;

use super::existing::ExistingTable;
use crate::target::{Load, Visibility};

/// Files that one load job takes.
/// <https://cloud.google.com/bigquery/quotas#load_jobs>
pub(super) const MOST_FILES: usize = 10_000;
/// Bytes of files that one load job takes; BigQuery's limit is 15 TB.
const MOST_BYTES: u64 = 14_000_000_000_000;
/// Partitions that one load job or statement changes.
/// <https://cloud.google.com/bigquery/quotas#partitioned_tables>
const MOST_PARTITIONS: u64 = 4_000;
/// Tables that one copy takes.
/// <https://cloud.google.com/bigquery/quotas#copy_jobs>
const MOST_STAGES: usize = 1_200;

/// The jobs by which a load becomes visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadPath {
    /// One load job.
    Direct,
    /// Load jobs into staging tables, and one copy of them.
    Copy,
    /// Load jobs into staging tables, and one statement that reads them.
    Statement,
}

impl LoadPath {
    /// The path of a load, by whether its table exists.
    pub(super) fn of(shape: &Shape, exists: bool) -> Self {
        let appends = shape.disposition == WriteDisposition::Append && exists;
        let large = shape.files > MOST_FILES || shape.bytes > MOST_BYTES;
        match () {
            () if shape.visibility == Visibility::AtOnce => Self::Statement,
            () if shape.files == 0 && shape.visibility == Visibility::Each => Self::Direct,
            () if shape.replaces_some(exists) || shape.is_converted || shape.is_wide => {
                Self::Statement
            }
            () if shape.visibility == Visibility::InTurn || appends || large || shape.is_staged => {
                Self::Copy
            }
            () => Self::Direct,
        }
    }
}

/// What the path of a load depends on.
#[expect(clippy::struct_excessive_bools, reason = "each changes the path by itself")]
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    disposition: WriteDisposition,
    files: usize,
    bytes: u64,
    /// Whether there is a column that no load from Parquet fills.
    is_converted: bool,
    /// Whether the rows may belong to more partitions than one job changes.
    is_wide: bool,
    /// Whether a staging table holds the rows in any case: BigQuery takes them by itself, which counts as
    /// one file, one row of each key is kept, or Dataflow brings them.
    is_staged: bool,
    /// Whether fields fill the columns of a staging table by their places.
    by_places: bool,
    visibility: Visibility,
}

impl Shape {
    /// What is expected of a planned table: a file for each unit.
    pub(super) fn planned(table: &Table, visibility: Visibility) -> Self {
        Self {
            disposition: table.write.disposition,
            files: if table.native.is_some() { 1 } else { table.units as usize },
            bytes: if table.native.is_some() { 0 } else { table.bytes },
            is_staged: table.native.is_some()
                || table.write.dedup.is_some()
                || table.dataflow.is_some(),
            is_converted: table.native.is_none() && table.columns.iter().any(is_converted),
            // Which rows there are is known when they are read.
            is_wide: false,
            by_places: table.native.as_ref().and_then(Native::files).is_some_and(is_csv),
            visibility,
        }
    }

    /// Whether all rows of the table are replaced.
    pub(super) fn replaces_all(&self) -> bool {
        self.disposition == WriteDisposition::Truncate
    }

    /// Whether a staging table like this one would be filled with each other's columns.
    pub(super) fn mixes_columns(&self, existing: &ExistingTable, columns: &[Column]) -> bool {
        self.by_places && !existing.has_exactly(columns)
    }

    /// Whether some rows of the table are replaced, and others not.
    fn replaces_some(&self, exists: bool) -> bool {
        match self.disposition {
            // Of the rows of a run, too, one of each key is taken.
            WriteDisposition::Merge => true,
            WriteDisposition::ReplacePartitions => exists,
            _ => false,
        }
    }
}

impl From<&Load> for Shape {
    fn from(load: &Load) -> Self {
        Self {
            disposition: load.disposition,
            files: if load.native.is_some() { 1 } else { load.parts.len() },
            bytes: load.parts.iter().map(|part| part.bytes).sum(),
            is_staged: load.native.is_some() || load.dedup.is_some() || load.dataflow.is_some(),
            is_converted: load.native.is_none() && load.columns.iter().any(is_converted),
            is_wide: is_wide(load),
            by_places: load.native.as_ref().and_then(NativeRows::files).is_some_and(is_csv),
            visibility: load.visibility,
        }
    }
}

fn is_csv(files: &NativeFiles) -> bool {
    matches!(files.format, NativeFormat::Csv(_))
}

/// Whether the rows of a load may belong to more partitions than one job changes.
pub(super) fn is_wide(load: &Load) -> bool {
    let spans = load.parts.iter().filter_map(|part| part.span);
    let span = spans.reduce(|(least, greatest), span| (least.min(span.0), greatest.max(span.1)));
    let (Some(by), Some((least, greatest))) = (&load.partitioned_by, span) else { return false };
    let width = i64::try_from(by.width).unwrap_or(i64::MAX).max(1);
    let place = |value: i64| i128::from(value.div_euclid(width));
    // Ranges may begin between two multiples of their width, and the rows without a value have a
    // partition, too.
    place(greatest) - place(least) + 3 > i128::from(MOST_PARTITIONS)
}

/// How many staging tables a planned load fills.
pub(super) fn planned_stages(shape: &Shape) -> u64 {
    let by_files = (shape.files as u64).div_ceil(MOST_FILES as u64);
    by_files.max(shape.bytes.div_ceil(MOST_BYTES)).max(1)
}

/// The parts of each staging table. A load without parts has one staging table, which stays empty.
///
/// # Errors
/// `Invalid` if they are more than one copy takes.
pub(super) fn stages(parts: &[Part]) -> Result<Vec<Range<usize>>> {
    let mut stages = Vec::new();
    let (mut start, mut size) = (0, 0);
    for (at, part) in parts.iter().enumerate() {
        if at - start == MOST_FILES || (at > start && size + part.bytes > MOST_BYTES) {
            stages.push(start..at);
            (start, size) = (at, 0);
        }
        size += part.bytes;
    }
    stages.push(start..parts.len());
    if stages.len() > MOST_STAGES {
        return Err(Error::invalid(format!(
            "the table has {} parts, and BigQuery takes {} at once",
            thousands(parts.len() as u64),
            thousands((MOST_FILES * MOST_STAGES) as u64)
        ))
        .hint("a larger `partitioning.target_rows` makes fewer parts"));
    }
    Ok(stages)
}

/// Whether no load from Parquet fills a column of this type, or a field of it, so that it is loaded as text.
/// <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#parquet_conversions>
pub(super) fn is_converted(column: &Column) -> bool {
    let kind = column.target_type;
    let is_text = matches!(kind, TargetType::Json | TargetType::Interval);
    is_text || kind.range_element().is_some() || column.fields.iter().any(is_converted)
}

/// The columns of the staging tables.
pub(super) fn staged_columns(columns: &[Column]) -> Vec<Column> {
    let staged = |column: &Column| {
        let is_text = column.fields.is_empty() && is_converted(column);
        Column {
            target_type: if is_text { TargetType::String } else { column.target_type },
            fields: staged_columns(&column.fields),
            ..column.clone()
        }
    };
    columns.iter().map(staged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(count: usize, bytes: u64) -> Vec<Part> {
        let part = |at| Part { path: format!("{at}"), rows: 1, bytes, crc32c: 0, span: None };
        (0..count).map(part).collect()
    }

    #[test]
    fn a_staging_table_takes_as_many_files_and_bytes_as_one_load_job() {
        let sizes = |parts: &[Part]| -> Vec<usize> {
            stages(parts).unwrap().iter().map(ExactSizeIterator::len).collect()
        };
        assert_eq!(sizes(&[]), [0]);
        assert_eq!(sizes(&parts(10_000, 1)), [10_000]);
        assert_eq!(sizes(&parts(12_000, 1)), [10_000, 2_000]);
        let tera = 1_000_000_000_000;
        assert_eq!(sizes(&parts(3, 6 * tera)), [2, 1]);
        assert_eq!(sizes(&parts(2, 20 * tera)), [1, 1]);
        assert_eq!(sizes(&parts(1_200, 13 * tera)).len(), 1_200);
        let error = stages(&parts(1_201, 13 * tera)).unwrap_err();
        assert!(error.remedy().unwrap().contains("target_rows"), "{error:?}");
    }
}
