//! Columns that the paths of files hold: `dt=2026-11-01/` as Hive writes it.
//!
//! <https://cloud.google.com/bigquery/docs/hive-partitioned-queries#supported_data_layouts>

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow_schema::SchemaRef;
use async_trait::async_trait;
use percent_encoding::percent_decode_str;
use sluice_contracts::documents::{BadRow, Column, OnInvalid, arrow_schema};
use sluice_contracts::{Error, Result};

use super::columns::{Conversion, way_out};
use super::infer::Seen;
use super::listing::FoundFile;
use super::piece::FilePiece;
use super::reader::What;
use super::store::FileStore;
use super::table::Found;
use crate::builder::{BatchBuilder, Invalid};
use crate::source::Batches;

/// What Hive writes for NULL.
const NULL: &str = "__HIVE_DEFAULT_PARTITION__";

/// The values that the path of a file has of these columns; `None` is NULL.
///
/// # Errors
/// `Data` for a path that lacks one.
pub(super) fn values_of(path: &str, names: &[String]) -> Result<Vec<Option<String>>> {
    let folders = path.rsplit_once('/').map_or("", |(folders, _)| folders);
    let values = names.iter().map(|name| {
        let value = folders.split('/').rev().find_map(|folder| {
            let (key, value) = folder.split_once('=')?;
            (decoded(key)? == *name).then_some(value)
        });
        let Some(value) = value else {
            return Err(Error::data(format!("read `{path}`: its path has no folder `{name}=...`"))
                .hint("leave the column out of `source.partition_columns`, or name the files more narrowly"));
        };
        if value == NULL {
            return Ok(None);
        }
        let text = decoded(value).ok_or_else(|| {
            Error::data(format!("read `{path}`: the folder `{name}=...` is not UTF-8"))
                .hint("rename the folder")
        });
        text.map(Some)
    });
    values.collect()
}

/// Hive writes `%3A` for a colon, and so on.
fn decoded(text: &str) -> Option<String> {
    percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// What the paths of files tell of their columns.
pub(super) fn look_at(store: &FileStore, files: &[FoundFile], names: &[String]) -> Result<Found> {
    let mut seen = vec![Seen::default(); names.len()];
    for file in files {
        let path = store.name_of(&file.path);
        for (seen, value) in seen.iter_mut().zip(values_of(&path, names)?) {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                seen.add(value.as_bytes());
            }
        }
    }
    Ok(Found { names: names.to_vec(), seen, rows: files.len() as u64, ..Found::default() })
}

/// The rows of a unit's files, with the columns of their paths.
pub(super) struct PartitionedBatches<'a> {
    what: What,
    /// All columns of the table, and those of the paths among them.
    columns: &'a [Column],
    schema: SchemaRef,
    files: VecDeque<FilePiece>,
    open: Option<OpenFile>,
    bytes: u64,
    waited: Duration,
    invalid: Vec<u64>,
    bad_rows: Vec<BadRow>,
}

/// A file that is being read.
struct OpenFile {
    batches: Box<dyn Batches + 'static>,
    /// The value of each column that the path holds.
    values: Vec<Option<PathValue>>,
}

/// A value that a path holds.
struct PathValue {
    /// An array of one row.
    array: ArrayRef,
    /// Whether the column could not hold it, and has NULL instead.
    is_invalid: bool,
}

impl std::fmt::Debug for PartitionedBatches<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartitionedBatches").field("files", &self.files).finish_non_exhaustive()
    }
}

impl<'a> PartitionedBatches<'a> {
    /// The rows of files whose own columns are those of `what`.
    pub(super) fn new(what: What, columns: &'a [Column], files: VecDeque<FilePiece>) -> Self {
        Self {
            what,
            columns,
            schema: arrow_schema(columns),
            files,
            open: None,
            bytes: 0,
            waited: Duration::ZERO,
            invalid: vec![0; columns.len()],
            bad_rows: Vec::new(),
        }
    }

    fn open(&self, piece: FilePiece) -> Result<OpenFile> {
        let names = &self.what.format.partition_columns;
        let path = self.what.store.name_of(&piece.file.path);
        let texts = values_of(&path, names)?;
        let values = self.columns.iter().map(|column| {
            let place = names.iter().position(|name| *name == column.source_name);
            let Some(text) = place.and_then(|place| texts.get(place)) else { return Ok(None) };
            value(column, text.as_deref(), &path).map(Some)
        });
        let values = values.collect::<Result<_>>()?;
        let batches = self.what.clone().batches(VecDeque::from([piece]))?;
        Ok(OpenFile { batches, values })
    }

    /// Counts what became NULL in a file that was read to its end.
    fn close(&mut self, file: &mut OpenFile) {
        self.bad_rows.extend(file.batches.take_bad_rows());
        self.bytes += file.batches.bytes();
        self.waited += file.batches.waited();
        let mut counts = file.batches.invalid().iter();
        for (sum, value) in self.invalid.iter_mut().zip(&file.values) {
            if value.is_none() {
                *sum += counts.next().copied().unwrap_or_default();
            }
        }
    }

    fn with_values(&mut self, file: &OpenFile, batch: &RecordBatch) -> Result<RecordBatch> {
        let rows = batch.num_rows();
        let failed = |source| Error::bug("add the columns of a path").because(source);
        for (count, value) in self.invalid.iter_mut().zip(&file.values) {
            if value.as_ref().is_some_and(|value| value.is_invalid) {
                *count += rows as u64;
            }
        }
        let mut own = batch.columns().iter();
        let arrays = file.values.iter().map(|value| match value {
            Some(value) => {
                let places = arrow_array::UInt32Array::from(vec![0; rows]);
                arrow_select::take::take(&value.array, &places, None).map_err(failed)
            }
            None => own.next().cloned().ok_or_else(|| Error::bug("read a file: it lacks a column")),
        });
        let arrays: Vec<ArrayRef> = arrays.collect::<Result<_>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), arrays, &options)
            .map_err(failed)
    }
}

/// The value of a path that has this text.
fn value(column: &Column, text: Option<&str>, path: &str) -> Result<PathValue> {
    let mut is_invalid = false;
    let mut batch = BatchBuilder::new(std::slice::from_ref(column));
    if let Some(builder) = batch.columns.first_mut() {
        let texts = std::iter::once(text.map(str::as_bytes));
        let mut refuse = |_, why: Invalid| {
            if column.on_invalid == OnInvalid::Null {
                is_invalid = true;
                return Ok(());
            }
            let Column { source_name, target_type, .. } = column;
            let what = format!(
                "read the path `{path}`: column `{source_name}`: {target_type} cannot hold {}",
                why.0
            );
            Err(Error::data(what).hint(way_out(column)))
        };
        Conversion::of(column)?.append(builder, texts, &mut refuse)?;
    }
    batch.end_row(0);
    let array = batch.finish()?.and_then(|batch| batch.columns().first().cloned());
    let array = array.ok_or_else(|| Error::bug("read the columns of a path: there is no value"))?;
    Ok(PathValue { array, is_invalid })
}

#[async_trait]
impl Batches for PartitionedBatches<'_> {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let mut file = match self.open.take() {
                Some(file) => file,
                None => match self.files.pop_front() {
                    Some(piece) => self.open(piece)?,
                    None => return Ok(None),
                },
            };
            if let Some(batch) = file.batches.next().await? {
                let batch = self.with_values(&file, &batch)?;
                self.open = Some(file);
                return Ok(Some(batch));
            }
            self.close(&mut file);
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes + self.open.as_ref().map_or(0, |file| file.batches.bytes())
    }

    fn waited(&self) -> Duration {
        self.waited + self.open.as_ref().map_or(Duration::ZERO, |file| file.batches.waited())
    }

    fn invalid(&self) -> &[u64] {
        &self.invalid
    }

    fn take_bad_rows(&mut self) -> Vec<BadRow> {
        std::mem::take(&mut self.bad_rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_folder_of_a_name_has_the_value() {
        let names = ["dt".to_owned(), "at".to_owned()];
        let read = |path: &str| values_of(path, &names);
        let text = |text: &str| Some(text.to_owned());
        assert_eq!(read("t/dt=1/at=10%3A00/dt=2/a=b.csv").unwrap(), [text("2"), text("10:00")]);
        assert_eq!(read(&format!("dt={NULL}/at=/a.csv")).unwrap(), [None, text("")]);
        for path in ["dt=1/a.csv", "at=1/dt=1.csv", "a.csv"] {
            assert!(read(path).unwrap_err().to_string().contains("has no folder"), "{path}");
        }
    }
}
