//! The suite that every target passes: what [`Target`] promises, seen by a reader of its tables.
//!
//! An adapter's test brings a [`TargetFixture`] and calls [`all`], or single functions where the real
//! system can only be imitated in part.

use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arrow_array::{Int64Array, RecordBatch};
use async_trait::async_trait;
use object_store::path::Path;
use object_store::{ObjectStoreExt as _, PutPayload};
use parquet::arrow::ArrowWriter;
use sluice_contracts::documents::{
    Column, NewTable, OnInvalid, Part, Relation, RunId, SchemaChanges, Table, TableWrite,
    TargetType, UnitRef, arrow_schema,
};
use sluice_contracts::error::Doing as _;
use sluice_contracts::job::RowSecurity;
use sluice_contracts::job::WriteDisposition::{self, Append, Empty, Truncate};
use sluice_contracts::layout::Layout;
use sluice_contracts::store::{Bucket, storage_error};
use sluice_contracts::{Error, Kind, Result};

use crate::target::{Load, Loaded, Prepared, Target, Visibility};

/// Calls before a target that is still at work counts as broken.
const CALLS: u32 = 100;

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
pub async fn all(fixture: &dyn TargetFixture) -> Result<()> {
    each_disposition_does_what_its_name_says(fixture).await?;
    a_run_is_loaded_once(fixture).await?;
    loads_that_race_load_once(fixture).await?;
    nothing_is_visible_before_the_last_step(fixture).await?;
    parts_are_compared_with_their_receipts(fixture).await?;
    what_a_load_would_refuse_is_refused_before(fixture).await?;
    Ok(())
}

/// Rows are replaced, kept, or not allowed.
pub async fn each_disposition_does_what_its_name_says(fixture: &dyn TargetFixture) -> Result<()> {
    let table = fixture.table("dispositions");
    loaded(fixture, &load(fixture, &table, Append, &[]).await?).await?;
    assert_eq!(fixture.ids(&table).await.as_deref(), Some(&[][..]), "a table without rows exists");
    loaded(fixture, &load(fixture, &table, Empty, &[&[1, 2], &[3]]).await?).await?;
    loaded(fixture, &load(fixture, &table, Append, &[&[4]]).await?).await?;
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1, 2, 3, 4]);
    let more = load(fixture, &table, Empty, &[&[5]]).await?;
    assert_eq!(refusal(fixture, &more).await, Some(Kind::Data));
    loaded(fixture, &load(fixture, &table, Truncate, &[&[6]]).await?).await?;
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [6]);
    loaded(fixture, &load(fixture, &table, Truncate, &[]).await?).await?;
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [0; 0]);
    Ok(())
}

/// The second load of a run changes nothing, and says what the first did.
pub async fn a_run_is_loaded_once(fixture: &dyn TargetFixture) -> Result<()> {
    let table = fixture.table("once");
    let load = load(fixture, &table, Append, &[&[1, 2]]).await?;
    let first = loaded(fixture, &load).await?;
    assert_eq!(
        first,
        Loaded { snapshot: load.snapshot, rows: 2, dropped: None, overtaken_by: None }
    );
    // By then the parts may be gone.
    for part in &load.parts {
        let path = part.path.as_str().into();
        delete(&load.bucket, &path).await?;
    }
    assert_eq!(loaded(fixture, &load).await?, first);
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1, 2]);
    Ok(())
}

/// Two loaders of one run make its rows visible once.
pub async fn loads_that_race_load_once(fixture: &dyn TargetFixture) -> Result<()> {
    let table = fixture.table("race");
    let load = load(fixture, &table, Append, &[&[1], &[2]]).await?;
    let (one, other) =
        futures::future::try_join(loaded(fixture, &load), loaded(fixture, &load)).await?;
    assert_eq!(one, other);
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1, 2]);
    Ok(())
}

/// A load that is prepared, and dropped, has changed nothing that a reader sees.
pub async fn nothing_is_visible_before_the_last_step(fixture: &dyn TargetFixture) -> Result<()> {
    let table = fixture.table("staged");
    loaded(fixture, &load(fixture, &table, Truncate, &[&[1]]).await?).await?;
    let load =
        Load { visibility: Visibility::InTurn, ..load(fixture, &table, Truncate, &[&[2]]).await? };
    drop(prepared(fixture, &load).await?);
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1]);
    loaded(fixture, &load).await?;
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [2]);
    Ok(())
}

/// A part that is not what its receipt says is never made visible.
pub async fn parts_are_compared_with_their_receipts(fixture: &dyn TargetFixture) -> Result<()> {
    let table = fixture.table("spoilt");
    loaded(fixture, &load(fixture, &table, Truncate, &[&[1]]).await?).await?;
    let good = load(fixture, &table, Truncate, &[&[2], &[3]]).await?;
    let mut longer = good.clone();
    longer.parts[0].bytes += 1;
    assert_eq!(refusal(fixture, &longer).await, Some(Kind::Data));
    let path = good.parts[1].path.as_str().into();
    delete(&good.bucket, &path).await?;
    let missing = refusal(fixture, &good).await;
    assert!(matches!(missing, Some(Kind::Data | Kind::NotFound)), "{missing:?}");
    assert_eq!(fixture.ids(&table).await.unwrap_or_default(), [1]);
    Ok(())
}

/// What a load would refuse is refused before a row is read, unless the run itself has loaded it.
pub async fn what_a_load_would_refuse_is_refused_before(fixture: &dyn TargetFixture) -> Result<()> {
    let url = fixture.table("checked");
    let first = load(fixture, &url, Empty, &[&[1]]).await?;
    let table = planned(&first);
    fixture.target().check(first.run, &table, Visibility::Each).await?;
    loaded(fixture, &first).await?;
    fixture.target().check(first.run, &table, Visibility::Each).await?;
    let checked = fixture.target().check(RunId::generate(), &table, Visibility::Each).await;
    assert_eq!(checked.err().map(|error| error.kind()), Some(Kind::Data));
    Ok(())
}

/// A load of one part for each slice of ids. The parts are in the bucket.
async fn load(
    fixture: &dyn TargetFixture,
    table: &str,
    disposition: WriteDisposition,
    parts: &[&[i64]],
) -> Result<Load> {
    let (run, bucket) = (RunId::generate(), fixture.bucket());
    let layout = Layout::new(&bucket.prefix, run);
    let mut written = Vec::with_capacity(parts.len());
    for (unit, ids) in (0..).zip(parts) {
        let path = layout.part(0, UnitRef { table: 0, unit }, "w", 0);
        let file = parquet(ids)?;
        let (bytes, crc32c) = (file.len() as u64, crc32c::crc32c(&file));
        let put = bucket.store.put(&path, PutPayload::from(file)).await;
        put.map_err(|source| storage_error(format!("write `{path}`"), source))?;
        written.push(Part {
            path: path.to_string(),
            rows: ids.len() as u64,
            bytes,
            crc32c,
            span: None,
        });
    }
    Ok(Load {
        run,
        job: "conformance".into(),
        table: 0,
        snapshot: 0,
        target: table.to_owned(),
        disposition,
        key: Vec::new(),
        order_by: None,
        dedup: None,
        schema_changes: SchemaChanges::default(),
        new_table: NewTable::default(),
        partitioned_by: None,
        columns: columns(),
        bucket,
        rows: written.iter().map(|part| part.rows).sum(),
        parts: written,
        native: None,
        source_bucket: None,
        dataflow: None,
        dropped: None,
        listing: crate::listing::PartListing::default(),
        begun: chrono::DateTime::UNIX_EPOCH,
        give_up: chrono::Utc::now() + chrono::Duration::hours(1),
        visibility: Visibility::Each,
    })
}

/// The manifest's table for this load.
pub(crate) fn planned(load: &Load) -> Table {
    Table {
        index: load.table,
        name: "conformance".into(),
        relation: Relation::Query(String::new()),
        filter: None,
        target: load.target.clone(),
        row_security: RowSecurity::default(),
        answer_within: None,
        write: TableWrite::of(load.disposition),
        strategy: "full".into(),
        reason: String::new(),
        engine: None,
        dataflow: None,
        statement: None,
        native: None,
        way: None,
        partitioned_by: None,
        columns: load.columns.clone(),
        shape: String::new(),
        rows: load.rows,
        bytes: 0,
        warnings: Vec::new(),
        units: 1,
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
        fields: Vec::new(),
        nullable: None,
        max_length: None,
        description: None,
        on_invalid: OnInvalid::Fail,
        invalid: None,
    }]
}

fn parquet(ids: &[i64]) -> Result<Vec<u8>> {
    let schema = arrow_schema(&columns());
    let column = Arc::new(Int64Array::from(ids.to_vec()));
    let what = || "write a part";
    let batch = RecordBatch::try_new(Arc::clone(&schema), vec![column]).doing(Kind::Bug, what)?;
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).doing(Kind::Bug, what)?;
    writer.write(&batch).doing(Kind::Bug, what)?;
    writer.into_inner().doing(Kind::Bug, what)
}

async fn delete(bucket: &Bucket, path: &Path) -> Result<()> {
    let deleted = bucket.store.delete(path).await;
    deleted.map_err(|source| storage_error(format!("delete `{path}`"), source))
}

/// Calls the target as a loader does: again and again until the load lacks only its last step.
async fn prepared(fixture: &dyn TargetFixture, load: &Load) -> Result<Box<dyn Prepared>> {
    for _ in 0..CALLS {
        if let Poll::Ready(prepared) = fixture.target().prepare(load).await? {
            return Ok(prepared);
        }
        pause().await;
    }
    Err(Error::bug(format!("prepare a load: the target is still at work after {CALLS} calls")))
}

/// The same to the end of the load.
async fn loaded(fixture: &dyn TargetFixture, load: &Load) -> Result<Loaded> {
    for _ in 0..CALLS {
        if let Poll::Ready(loaded) = prepared(fixture, load).await?.publish().await? {
            return Ok(loaded);
        }
        pause().await;
    }
    Err(Error::bug(format!("publish a load: the target is still at work after {CALLS} calls")))
}

/// The kind of the refusal of a load; `None` if the load succeeded.
async fn refusal(fixture: &dyn TargetFixture, load: &Load) -> Option<Kind> {
    loaded(fixture, load).await.err().map(|error| error.kind())
}

async fn pause() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}
