//! The source against real files.

mod bad_rows;
mod csv;
mod json;
mod native;
mod partitions;
mod ranges;
mod typed;
mod versions;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use arrow_schema::FieldRef;
use sluice_contracts::documents::{Cut, Leaf, Relation, Table, Unit};
use sluice_contracts::job::{ColumnFile, TableJob};
use sluice_contracts::{Error, Kind, Result};

use super::*;
use crate::conformance::{self, ROWS, SourceFixture, planned};
use crate::description::Description;

/// Files in a folder that goes away with it.
struct Folder {
    place: tempfile::TempDir,
    /// The name of one of them, or a pattern.
    pattern: String,
    options: BTreeMap<String, String>,
    format: String,
}

impl Folder {
    fn new(pattern: &str) -> Self {
        Self {
            place: tempfile::tempdir().unwrap(),
            pattern: pattern.to_owned(),
            options: BTreeMap::new(),
            format: "auto".to_owned(),
        }
    }

    /// With one file.
    fn of(name: &str, bytes: impl AsRef<[u8]>) -> Self {
        Self::new(name).with(name, bytes)
    }

    fn with(self, name: &str, bytes: impl AsRef<[u8]>) -> Self {
        std::fs::write(self.path(name), bytes).unwrap();
        self
    }

    fn option(mut self, name: &str, value: &str) -> Self {
        self.options.insert(name.to_owned(), value.to_owned());
        self
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        Path::new(self.place.path()).join(name)
    }

    fn url(&self) -> String {
        format!("file://{}/{}", self.place.path().display(), self.pattern)
    }

    fn source(&self) -> Arc<dyn Source> {
        crate::open(&self.url(), &|_| None, None).unwrap()
    }

    fn relation(&self) -> Relation {
        let (format, options) = (self.format.clone(), self.options.clone());
        Relation::Files { urls: vec![self.url()], format, options }
    }

    fn job(&self) -> TableJob {
        conformance::job(self.relation())
    }

    async fn describe(&self, job: &TableJob) -> Result<Description> {
        self.source().survey("test").await?.describe(job).await
    }

    /// `name: TYPE` of each column.
    async fn columns(&self) -> Vec<String> {
        let described = self.describe(&self.job()).await.unwrap();
        described.columns.iter().map(|it| format!("{}: {}", it.name, it.target_type)).collect()
    }

    /// All rows as text, each file as one unit.
    async fn rows(&self) -> Result<Vec<String>> {
        self.rows_of(&self.job()).await.map(|(rows, _)| rows)
    }

    async fn rows_of(&self, job: &TableJob) -> Result<(Vec<String>, Vec<u64>)> {
        let described = self.describe(job).await?;
        let table = planned(job, &described);
        let (mut rows, mut invalid) = (Vec::new(), vec![0; table.columns.len()]);
        for piece in &described.pieces {
            let unit = unit(piece.leaf.clone(), Cut::Full);
            let (more, counts) = self.read(&table, &unit).await?;
            rows.extend(more);
            invalid.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        }
        Ok((rows, invalid))
    }

    async fn read(&self, table: &Table, unit: &Unit) -> Result<(Vec<String>, Vec<u64>)> {
        let mut reader = self.source().reader("test", Join::Independent).await?.unwrap();
        reader.check(table).await?;
        let mut batches = reader.read(table, unit).await?;
        let mut rows = Vec::new();
        while let Some(batch) = batches.next().await? {
            rows.extend(texts(&batch));
        }
        Ok((rows, batches.invalid().to_vec()))
    }

    async fn refused(&self) -> Error {
        self.rows().await.expect_err("the files should be refused")
    }
}

/// The rows of a batch, each as its values with `|` between them; `NULL` is `-`.
fn texts(batch: &RecordBatch) -> Vec<String> {
    let value = |column: usize, row: usize| match batch.column(column) {
        array if array.is_null(row) => "-".to_owned(),
        array => arrow_text(array, row),
    };
    let row = |row| (0..batch.num_columns()).map(|column| value(column, row)).collect::<Vec<_>>();
    (0..batch.num_rows()).map(|at| row(at).join("|")).collect()
}

fn arrow_text(array: &ArrayRef, row: usize) -> String {
    use arrow_array::types::{
        Date32Type, Decimal128Type, Float64Type, Int64Type, Time64MicrosecondType,
        TimestampMicrosecondType,
    };
    if array.is_null(row) {
        return String::new();
    }
    if let Some(texts) = array.as_string_opt::<i32>() {
        return texts.value(row).to_owned();
    }
    if let Some(fields) = array.as_struct_opt() {
        let fields = fields.fields().iter().zip(fields.columns());
        let text = |(field, values): (&FieldRef, &ArrayRef)| {
            format!("{}: {}", field.name(), arrow_text(values, row))
        };
        return format!("{{{}}}", fields.map(text).collect::<Vec<_>>().join(", "));
    }
    if let Some(list) = array.as_list_opt::<i32>() {
        let elements = list.value(row);
        let texts = (0..elements.len()).map(|at| arrow_text(&elements, at));
        return format!("[{}]", texts.collect::<Vec<_>>().join(", "));
    }
    if let Some(values) = array.as_primitive_opt::<Int64Type>() {
        return values.value(row).to_string();
    }
    if let Some(values) = array.as_primitive_opt::<Float64Type>() {
        return format!("{:?}", values.value(row));
    }
    if let Some(values) = array.as_primitive_opt::<Decimal128Type>() {
        return values.value_as_string(row);
    }
    if let Some(values) = array.as_primitive_opt::<Date32Type>() {
        return values.value_as_date(row).unwrap().to_string();
    }
    if let Some(values) = array.as_primitive_opt::<Time64MicrosecondType>() {
        return values.value_as_time(row).unwrap().to_string();
    }
    if let Some(values) = array.as_primitive_opt::<TimestampMicrosecondType>() {
        return values.value_as_datetime(row).unwrap().to_string();
    }
    if let Some(values) = array.as_boolean_opt() {
        return values.value(row).to_string();
    }
    if let Some(values) = array.as_binary_opt::<i32>() {
        return format!("{:?}", values.value(row));
    }
    panic!("no text for {}", array.data_type())
}

fn unit(leaf: Option<Leaf>, cut: Cut) -> Unit {
    conformance::unit(cut, leaf, String::new())
}

fn of_type(target_type: &str) -> ColumnFile {
    serde_json::from_value(serde_json::json!({"type": target_type})).unwrap()
}

/// The error with its remedy.
fn said(error: &Error) -> String {
    format!("{} ({})", error.chain(), error.remedy().unwrap_or_default())
}

struct Fixture(Folder);

#[async_trait]
impl SourceFixture for Fixture {
    fn source(&self) -> Arc<dyn Source> {
        self.0.source()
    }

    fn relation(&self) -> Relation {
        self.0.relation()
    }

    fn missing_relation(&self) -> Relation {
        Folder::new("absent.csv").relation()
    }

    async fn insert(&self, id: i64) {
        let path = self.0.path(&self.0.pattern);
        if !self.0.pattern.ends_with("csv") && !self.0.pattern.ends_with("jsonl") {
            std::fs::write(path, typed::conforming(&self.0.pattern, id)).unwrap();
            return;
        }
        let more = if self.0.pattern.ends_with("csv") {
            format!("{id},x\n")
        } else {
            format!("{{\"id\": {id}, \"note\": \"x\"}}\n")
        };
        let text = std::fs::read_to_string(&path).unwrap() + &more;
        std::fs::write(path, text).unwrap();
    }

    async fn alter(&self) {
        let pattern = &self.0.pattern;
        let is_text = pattern.ends_with("csv") || pattern.ends_with("jsonl");
        let bytes = if is_text { b"id\n1\n".to_vec() } else { typed::altered(pattern) };
        std::fs::write(self.0.path(pattern), bytes).unwrap();
    }
}

#[tokio::test]
async fn csv_files_do_what_every_source_has_to() {
    let rows = (1..=ROWS).map(|id| format!("{id},{}\n", if id % 7 == 0 { "" } else { "x" }));
    let text = "id,note\n".to_owned() + &rows.collect::<String>();
    conformance::all(&Fixture(Folder::of("rows.csv", text))).await.unwrap();
}

#[tokio::test]
async fn json_lines_do_what_every_source_has_to() {
    let row = |id: i64| match id % 7 {
        0 => format!("{{\"id\": {id}, \"note\": null}}\n"),
        _ => format!("{{\"id\": {id}, \"note\": \"x\"}}\n"),
    };
    let text: String = (1..=ROWS).map(row).collect();
    conformance::all(&Fixture(Folder::of("rows.jsonl", text))).await.unwrap();
}
