//! The source against real database files.

mod cuts;
mod describe;
mod exactness;
mod invalid_values;
mod listing;
mod location;
mod planning;
mod relations;
mod snapshot;
mod surroundings;
mod values;
mod wide;

use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::RecordBatch;
use rusqlite::Connection;
use sluice_contracts::documents::{Cut, Relation, Table, TableWrite, Unit};
use sluice_contracts::job::{ColumnFile, Partitioning, RowSecurity, TableJob, WriteDisposition};
use sluice_contracts::{Error, Result};

use super::*;
use crate::conformance::{self, ROWS, SourceFixture};
use crate::description::Description;
use crate::source::Batches;

/// A database in a folder that goes away with it.
struct Database {
    folder: tempfile::TempDir,
    connection: Connection,
}

impl Database {
    fn new(sql: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let connection = Connection::open(folder.path().join("a b?.db")).unwrap();
        // For speed only: these databases need not survive a crash.
        connection.execute_batch("PRAGMA synchronous = off").unwrap();
        connection.execute_batch(sql).unwrap();
        Self { folder, connection }
    }

    fn source(&self) -> Arc<dyn Source> {
        let url = format!("sqlite://{}/a%20b%3F.db?mode=ro", self.folder.path().display());
        crate::open(&url, &|_| None, None).unwrap()
    }

    async fn describe(&self, job: &TableJob) -> Result<Description> {
        self.source().survey("test").await?.describe(job).await
    }

    async fn reader(&self) -> Box<dyn Reader> {
        self.source().reader("test", Join::New).await.unwrap().unwrap()
    }

    /// All rows that a cut covers.
    async fn read(&self, job: &TableJob, cut: Cut) -> Result<(Vec<RecordBatch>, Vec<u64>)> {
        let table = planned(job, self.describe(job).await?);
        let mut reader = self.reader().await;
        reader.check(&table).await?;
        let unit = unit(cut);
        let mut batches = reader.read(&table, &unit).await?;
        let all = drain(&mut *batches).await?;
        let invalid = batches.invalid().to_vec();
        drop(batches);
        reader.confirm().await?;
        Ok((all, invalid))
    }
}

async fn drain(batches: &mut dyn Batches) -> Result<Vec<RecordBatch>> {
    let mut all = Vec::new();
    while let Some(batch) = batches.next().await? {
        all.push(batch);
    }
    Ok(all)
}

fn job(table: &str) -> TableJob {
    TableJob {
        relation: Relation::table(None, table),
        select: None,
        filter: None,
        partitioning: Partitioning::default(),
        row_security: RowSecurity::default(),
        columns: std::collections::BTreeMap::new(),
        incremental: None,
        target: String::new(),
        write: TableWrite::of(WriteDisposition::Truncate),
    }
}

fn query(sql: &str) -> TableJob {
    TableJob { relation: Relation::Query(sql.to_owned()), ..job("") }
}

/// What the job file says about one column, as JSON.
fn with(mut job: TableJob, column: &str, asked: serde_json::Value) -> TableJob {
    let asked: ColumnFile = serde_json::from_value(asked).unwrap();
    job.columns.insert(column.to_owned(), asked);
    job
}

fn planned(job: &TableJob, description: Description) -> Table {
    Table {
        index: 0,
        name: job.relation.to_string(),
        relation: job.relation.clone(),
        filter: job.filter.clone(),
        target: String::new(),
        row_security: RowSecurity::default(),
        answer_within: None,
        write: TableWrite::of(WriteDisposition::Truncate),
        strategy: "full".to_owned(),
        reason: String::new(),
        engine: None,
        dataflow: None,
        statement: None,
        native: None,
        way: None,
        partitioned_by: None,
        shape: description.shape.clone(),
        rows: description.rows(),
        bytes: description.bytes(),
        warnings: Vec::new(),
        units: 1,
        columns: description.columns,
    }
}

fn unit(cut: Cut) -> Unit {
    Unit { table: 0, index: 3, leaf: None, cut, predicate: String::new(), rows: 0, bytes: 0 }
}

fn rows(batches: &[RecordBatch]) -> usize {
    batches.iter().map(RecordBatch::num_rows).sum()
}

fn message(error: &Error) -> String {
    format!("{} | {}", error.chain(), error.remedy().unwrap_or("-"))
}

/// A source, and the file to change below it.
struct FileFixture(Arc<dyn Source>, PathBuf);

impl FileFixture {
    fn write(&self, sql: &str) {
        Connection::open(&self.1).unwrap().execute_batch(sql).unwrap();
    }
}

#[async_trait]
impl SourceFixture for FileFixture {
    fn source(&self) -> Arc<dyn Source> {
        Arc::clone(&self.0)
    }

    fn relation(&self) -> Relation {
        Relation::table(None, "t")
    }

    fn missing_relation(&self) -> Relation {
        Relation::table(None, "absent")
    }

    async fn insert(&self, id: i64) {
        self.write(&format!("INSERT INTO t VALUES ({id}, 'x')"));
    }

    async fn alter(&self) {
        self.write("ALTER TABLE t DROP COLUMN note");
    }
}

#[tokio::test]
async fn a_database_file_does_what_every_source_has_to() {
    let database = Database::new(&format!(
        "PRAGMA journal_mode = WAL; CREATE TABLE t (id INTEGER PRIMARY KEY, note TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {ROWS})
         INSERT INTO t SELECT i, CASE WHEN i % 7 THEN 'x' END FROM n;"
    ));
    let file = database.folder.path().join("a b?.db");
    conformance::all(&FileFixture(database.source(), file)).await.unwrap();
}
