//! The requests to BigQuery, and the results of its answers.

mod answers;
mod attempts;
mod check;
mod claims;
mod cost;
mod crashes;
mod dataflow;
mod dataflow_service;
mod dedup;
mod discovery;
mod endings;
mod layout;
mod line;
mod made_tables;
mod many_tables;
mod merge;
mod native;
mod native_files;
mod races;
mod recorder;
mod requests;
mod schema;
mod transaction;
mod transaction_plans;
mod warehouse;
mod wide;

use std::sync::Arc;
use std::task::Poll;

use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use sluice_contracts::Result;
use sluice_contracts::documents::{Column, NewTable, OnInvalid, Part, SchemaChanges, TargetType};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::store::Bucket;

use super::BigQueryTarget;
use crate::target::{Load, Loaded, Target as _, Visibility};
use recorder::Recorder;

const RUN: &str = "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90";

/// A load of two parts of three rows together, both in the bucket.
async fn load(disposition: WriteDisposition, columns: Vec<Column>) -> Load {
    load_of(RUN, disposition, columns).await
}

/// The same of another run.
async fn load_of(run: &str, disposition: WriteDisposition, columns: Vec<Column>) -> Load {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let mut parts = Vec::new();
    for (number, rows) in [(1, 2), (2, 1)] {
        let path = format!("etl/runs/{run}/parts/{number}.parquet");
        store.put(&path.as_str().into(), PutPayload::from_static(b"rows")).await.unwrap();
        parts.push(Part { path, rows, bytes: 4, crc32c: 0, span: None });
    }
    Load {
        run: run.parse().unwrap(),
        job: "Nightly".into(),
        table: 7,
        snapshot: 0,
        target: "bigquery://shop/sales/orders".into(),
        disposition,
        key: Vec::new(),
        order_by: None,
        dedup: None,
        schema_changes: SchemaChanges::default(),
        new_table: NewTable::default(),
        partitioned_by: None,
        columns,
        native: None,
        source_bucket: None,
        dataflow: None,
        bucket: Bucket { store, prefix: "etl".into(), url: "gs://lake/etl".into() },
        parts,
        rows: 3,
        dropped: None,
        listing: crate::listing::PartListing::default(),
        begun: chrono::DateTime::UNIX_EPOCH,
        give_up: chrono::Utc::now() + chrono::Duration::hours(1),
        visibility: Visibility::Each,
    }
}

/// Parts of one row each in the load's bucket.
async fn many_parts(load: &Load, count: usize) -> Vec<Part> {
    let mut parts = Vec::with_capacity(count);
    for number in 0..count {
        let path = format!("etl/runs/{RUN}/parts/many_{number}.parquet");
        let rows = PutPayload::from_static(b"rows");
        load.bucket.store.put(&path.as_str().into(), rows).await.unwrap();
        parts.push(Part { path, rows: 1, bytes: 4, crc32c: 0, span: None });
    }
    parts
}

/// The same without a row.
async fn load_of_nothing(disposition: WriteDisposition) -> Load {
    let load = load(disposition, columns(&[ID, TAGS])).await;
    Load { parts: vec![], rows: 0, ..load }
}

const ID: (&str, TargetType) = ("id", TargetType::Int64);
const TAGS: (&str, TargetType) = ("tags", TargetType::String);

/// Columns; `tags` is an array.
fn columns(wanted: &[(&str, TargetType)]) -> Vec<Column> {
    let column = |(name, target_type): &(&str, TargetType)| Column {
        name: (*name).to_owned(),
        source_name: (*name).to_owned(),
        source_type: String::new(),
        encoding: String::new(),
        target_type: *target_type,
        repeated: *name == "tags",
        decimal: None,
        fields: Vec::new(),
        nullable: None,
        max_length: None,
        description: None,
        on_invalid: OnInvalid::Fail,
        invalid: None,
    };
    wanted.iter().map(column).collect()
}

/// One call of the loader.
async fn advance(target: &BigQueryTarget, load: &Load) -> Result<Poll<Loaded>> {
    match target.prepare(load).await? {
        Poll::Ready(prepared) => prepared.publish().await,
        Poll::Pending => Ok(Poll::Pending),
    }
}

/// A load that has to be done at the first call.
async fn loaded(recorder: &Recorder, load: &Load) -> Loaded {
    let target = recorder.serve().await;
    match advance(&target, load).await.unwrap() {
        Poll::Ready(loaded) => loaded,
        Poll::Pending => panic!("it is done"),
    }
}

/// How the tables of a run become visible whose loads are staged, or not.
fn visibility(staged: bool) -> Visibility {
    if staged { Visibility::InTurn } else { Visibility::Each }
}
