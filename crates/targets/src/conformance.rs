//! The suite that every target passes: what [`Target`] promises, seen by a reader of its tables.
//!
//! An adapter's test brings a [`TargetFixture`] and calls [`all`], or single functions where the real
//! system can only be imitated in part.
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has to stop and say why"
)]

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arrow_array::{Int64Array, RecordBatch};
use async_trait::async_trait;
use object_store::{ObjectStoreExt as _, PutPayload};
use parquet::arrow::ArrowWriter;
use sluice_contracts::documents::{
    Column, OnInvalid, Part, Relation, RunId, Table, TargetType, UnitRef, arrow_schema,
};
use sluice_contracts::job::WriteDisposition::{self, Append, Empty, Truncate};
use sluice_contracts::layout::Layout;
use sluice_contracts::store::Bucket;
use sluice_contracts::{Error, Kind, Result};

use crate::target::{Load, Loaded, Target};

/// A target under test, and a reader of its tables.
#[async_trait]
pub trait TargetFixture: Sync {
    /// The target.
    fn target(&self) -> &dyn Target;

    /// A bucket that it loads from.
    fn bucket(&self) -> Bucket;

    /// URL of the table of this name, which no load has created yet.
    fn table(&self, name: &str) -> String;

    /// What a reader finds in the column `id` of a table, in ascending order; `None` where there
    /// is no such table.
    async fn ids(&self, table: &str) -> Option<Vec<i64>>;
}

/// The whole suite.
pub async fn all(fixture: &dyn TargetFixture) {
    each_disposition_does_what_its_name_says(fixture).await;
    a_run_is_loaded_once(fixture).await;
    loads_that_race_load_once(fixture).await;
    nothing_is_visible_before_the_last_step(fixture).await;
    parts_are_compared_with_their_receipts(fixture).await;
    what_a_load_would_refuse_is_refused_before(fixture).await;
}

/// Rows are replaced, kept, or not allowed.
pub async fn each_disposition_does_what_its_name_says(fixture: &dyn TargetFixture) {
    let table = fixture.table("dispositions");
    loaded(fixture, &load(fixture, &table, Append, &[]).await).await;
    assert_eq!(fixture.ids(&table).await.as_deref(), Some(&[][..]), "a table without rows exists");
    loaded(fixture, &load(fixture, &table, Empty, &[&[1, 2], &[3]]).await).await;
    loaded(fixture, &load(fixture, &table, Append, &[&[4]]).await).await;
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1, 2, 3, 4]);
    let error = refused(fixture, &load(fixture, &table, Empty, &[&[5]]).await).await;
    assert_eq!(error.kind(), Kind::Data, "{}", error.chain());
    loaded(fixture, &load(fixture, &table, Truncate, &[&[6]]).await).await;
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [6]);
    loaded(fixture, &load(fixture, &table, Truncate, &[]).await).await;
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [0; 0]);
}

/// The second load of a run changes nothing, and says what the first did.
pub async fn a_run_is_loaded_once(fixture: &dyn TargetFixture) {
    let table = fixture.table("once");
    let load = load(fixture, &table, Append, &[&[1, 2]]).await;
    let first = loaded(fixture, &load).await;
    assert_eq!(first, Loaded { snapshot: load.snapshot, rows: 2 });
    // By then the parts may be gone.
    for part in &load.parts {
        let path = part.path.as_str().into();
        load.bucket.store.delete(&path).await.expect("the part was in the bucket");
    }
    assert_eq!(loaded(fixture, &load).await, first);
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1, 2]);
}

/// Two loaders of one run make its rows visible once.
pub async fn loads_that_race_load_once(fixture: &dyn TargetFixture) {
    let table = fixture.table("race");
    let load = load(fixture, &table, Append, &[&[1], &[2]]).await;
    let (one, other) = futures::future::join(loaded(fixture, &load), loaded(fixture, &load)).await;
    assert_eq!(one, other);
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1, 2]);
}

/// A load that is prepared, and dropped, has changed nothing that a reader sees.
pub async fn nothing_is_visible_before_the_last_step(fixture: &dyn TargetFixture) {
    let table = fixture.table("staged");
    loaded(fixture, &load(fixture, &table, Truncate, &[&[1]]).await).await;
    let load = Load { staged: true, ..load(fixture, &table, Truncate, &[&[2]]).await };
    for _ in 0..100 {
        match fixture.target().prepare(&load).await.expect("the load can be prepared") {
            Poll::Ready(prepared) => {
                drop(prepared);
                break;
            }
            Poll::Pending => pause().await,
        }
    }
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1]);
    loaded(fixture, &load).await;
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [2]);
}

/// A part that is not what its receipt says is never made visible.
pub async fn parts_are_compared_with_their_receipts(fixture: &dyn TargetFixture) {
    let table = fixture.table("spoilt");
    loaded(fixture, &load(fixture, &table, Truncate, &[&[1]]).await).await;
    let good = load(fixture, &table, Truncate, &[&[2], &[3]]).await;
    let mut longer = good.clone();
    longer.parts[0].bytes += 1;
    let error = refused(fixture, &longer).await;
    assert_eq!(error.kind(), Kind::Data, "{}", error.chain());
    let path = good.parts[1].path.as_str().into();
    good.bucket.store.delete(&path).await.expect("the part was in the bucket");
    let error = refused(fixture, &good).await;
    assert!(!error.is_transient(), "{}", error.chain());
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1]);
}

/// What a load would refuse is refused before a row is read, unless the run itself has loaded it.
pub async fn what_a_load_would_refuse_is_refused_before(fixture: &dyn TargetFixture) {
    let url = fixture.table("checked");
    let first = load(fixture, &url, Empty, &[&[1]]).await;
    let table = planned(&first);
    fixture.target().check(first.run, &table).await.expect("there is no such table yet");
    loaded(fixture, &first).await;
    fixture.target().check(first.run, &table).await.expect("the run itself has loaded it");
    let error = fixture.target().check(RunId::generate(), &table).await;
    assert_eq!(error.expect_err("the table has rows").kind(), Kind::Data);
}

/// A load of one part for each slice of ids. The parts are in the bucket.
async fn load(
    fixture: &dyn TargetFixture,
    table: &str,
    disposition: WriteDisposition,
    parts: &[&[i64]],
) -> Load {
    let (run, bucket) = (RunId::generate(), fixture.bucket());
    let layout = Layout::new(&bucket.prefix, run);
    let mut written = Vec::with_capacity(parts.len());
    for (unit, ids) in (0..).zip(parts) {
        let path = layout.part(0, UnitRef { table: 0, unit }, "w", 0);
        let file = parquet(ids);
        let (bytes, crc32c) = (file.len() as u64, crc32c::crc32c(&file));
        bucket.store.put(&path, PutPayload::from(file)).await.expect("the bucket can be written");
        written.push(Part { path: path.to_string(), rows: ids.len() as u64, bytes, crc32c });
    }
    Load {
        run,
        job: "conformance".into(),
        table: 0,
        snapshot: 0,
        target: table.to_owned(),
        disposition,
        columns: columns(),
        bucket,
        rows: written.iter().map(|part| part.rows).sum(),
        parts: written,
        staged: false,
    }
}

/// The manifest's table for this load.
fn planned(load: &Load) -> Table {
    Table {
        index: load.table,
        name: "conformance".into(),
        relation: Relation::Query(String::new()),
        filter: None,
        target: load.target.clone(),
        write_disposition: load.disposition,
        strategy: "full".into(),
        reason: String::new(),
        columns: load.columns.clone(),
        shape: String::new(),
        rows: load.rows,
        bytes: 0,
        warnings: Vec::new(),
        units: Vec::new(),
    }
}

fn columns() -> Vec<Column> {
    vec![Column {
        name: "id".into(),
        source_name: "id".into(),
        source_type: "bigint".into(),
        encoding: "int8".into(),
        target_type: TargetType::Int64,
        repeated: false,
        decimal: None,
        on_invalid: OnInvalid::Fail,
        invalid: None,
    }]
}

fn parquet(ids: &[i64]) -> Vec<u8> {
    let schema = arrow_schema(&columns());
    let column = Arc::new(Int64Array::from(ids.to_vec()));
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).expect("one column");
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a schema of Parquet");
    writer.write(&batch).expect("rows can be written to memory");
    writer.into_inner().expect("the file can be ended")
}

/// Calls the target as a loader does: again and again until it is done.
async fn advance(fixture: &dyn TargetFixture, load: &Load) -> Result<Loaded> {
    for _ in 0..100 {
        if let Poll::Ready(prepared) = fixture.target().prepare(load).await?
            && let Poll::Ready(loaded) = prepared.publish().await?
        {
            return Ok(loaded);
        }
        pause().await;
    }
    panic!("the target is still at work after a hundred calls");
}

async fn loaded(fixture: &dyn TargetFixture, load: &Load) -> Loaded {
    match advance(fixture, load).await {
        Ok(loaded) => loaded,
        Err(error) => panic!("the load should succeed: {}", error.chain()),
    }
}

async fn refused(fixture: &dyn TargetFixture, load: &Load) -> Error {
    advance(fixture, load).await.expect_err("the load should be refused")
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
