//! The target's promises, each broken on purpose.

mod conformance;
mod later_runs;
mod widths;

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::task::Poll;

use arrow_array::{Int64Array, RecordBatch};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _, PutPayload};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sluice_contracts::documents::{
    Column, NewTable, Part, RunId, SchemaChanges, TargetType, arrow_schema,
};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::store::Bucket;
use sluice_contracts::{Kind, Result};
use tempfile::TempDir;

use super::FolderTarget;
use crate::target::{Load, Loaded, Target, Visibility};

struct World {
    dir: TempDir,
    bucket: Bucket,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let bucket = format!("file://{}/bucket", dir.path().display());
        let bucket = sluice_runtime::storage::open_bucket(&bucket).unwrap();
        Self { dir, bucket }
    }

    fn table(&self) -> PathBuf {
        self.dir.path().join("warehouse/shop/events")
    }

    /// A load of one part for each slice of ids.
    async fn load(&self, disposition: WriteDisposition, parts: &[&[i64]]) -> Load {
        let run = RunId::generate();
        let mut made = Vec::new();
        for (number, ids) in parts.iter().enumerate() {
            let path = format!("runs/{run}/parts/00000/{number}.parquet");
            made.push(put(&self.bucket, &path, parquet(ids)).await);
        }
        Load {
            run,
            job: "nightly".into(),
            table: 0,
            snapshot: 0,
            target: format!("file://{}", self.table().display()),
            disposition,
            key: Vec::new(),
            order_by: None,
            dedup: None,
            schema_changes: SchemaChanges::default(),
            new_table: NewTable::default(),
            partitioned_by: None,
            columns: columns("id", TargetType::Int64),
            bucket: self.bucket.clone(),
            rows: parts.iter().map(|ids| ids.len() as u64).sum(),
            parts: made,
            native: None,
            source_bucket: None,
            dataflow: None,
            dropped: None,
            listing: crate::listing::PartListing::default(),
            begun: chrono::DateTime::UNIX_EPOCH,
            give_up: chrono::Utc::now() + chrono::Duration::hours(1),
            visibility: Visibility::Each,
        }
    }

    /// What a reader of the table's folder finds, in order.
    fn ids(&self) -> Vec<i64> {
        read_ids(&self.table())
    }

    /// Everything beside the table but its lock.
    fn leftovers(&self) -> Vec<String> {
        let parent = self.table().parent().unwrap().to_owned();
        names(&parent).into_iter().filter(|n| n != "events" && n != ".events.lock").collect()
    }
}

pub(super) fn columns(name: &str, target_type: TargetType) -> Vec<Column> {
    vec![Column::plain(name, "int8", target_type)]
}

fn parquet(ids: &[i64]) -> Vec<u8> {
    let schema = arrow_schema(&columns("id", TargetType::Int64));
    let batch =
        RecordBatch::try_new(Arc::clone(&schema), vec![Arc::new(Int64Array::from(ids.to_vec()))])
            .unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}

async fn put(bucket: &Bucket, path: &str, bytes: Vec<u8>) -> Part {
    let file = bytes::Bytes::from(bytes.clone());
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap();
    let (size, crc32c) = (bytes.len() as u64, crc32c::crc32c(&bytes));
    bucket.store.put(&path.into(), PutPayload::from(bytes)).await.unwrap();
    Part { path: path.into(), rows, bytes: size, crc32c, span: None }
}

fn read_ids(folder: &Path) -> Vec<i64> {
    let mut ids = Vec::new();
    for name in names(folder).iter().filter(|name| name.ends_with(".parquet")) {
        let file = File::open(folder.join(name)).unwrap();
        for batch in ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap() {
            let batch = batch.unwrap();
            let column = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap();
            ids.extend(column.values());
        }
    }
    ids.sort_unstable();
    ids
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// A folder is never pending, because it does no work by itself.
async fn load_into(load: &Load) -> Result<Loaded> {
    match FolderTarget.prepare(load).await? {
        Poll::Ready(prepared) => match prepared.publish().await? {
            Poll::Ready(loaded) => Ok(loaded),
            Poll::Pending => panic!("it published"),
        },
        Poll::Pending => panic!("it prepared"),
    }
}

fn refused(result: Result<Loaded>) -> (Kind, String) {
    let error = result.expect_err("the load should be refused");
    (error.kind(), format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default()))
}

#[tokio::test]
async fn a_first_load_makes_the_table_with_its_schema() {
    let world = World::new();
    let load = world.load(WriteDisposition::Truncate, &[&[1, 2], &[3]]).await;
    assert_eq!(
        load_into(&load).await.unwrap(),
        Loaded { snapshot: 0, rows: 3, dropped: None, overtaken_by: None }
    );
    assert_eq!(world.ids(), [1, 2, 3]);
    let run = load.run;
    assert_eq!(
        names(&world.table()),
        [
            format!("{run}-00001.parquet"),
            format!("{run}-00002.parquet"),
            "_runs.json".into(),
            "_schema.json".into()
        ]
    );
    let schema = fs::read_to_string(world.table().join("_schema.json")).unwrap();
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema[0]["type"], "INT64");
    assert!(world.leftovers().is_empty());
}

#[tokio::test]
async fn the_same_run_is_loaded_once() {
    let world = World::new();
    for disposition in [WriteDisposition::Truncate, WriteDisposition::Append] {
        let load = world.load(disposition, &[&[1, 2]]).await;
        let first = load_into(&load).await.unwrap();
        let before = names(&world.table());
        // By then the parts are gone.
        fs::remove_dir_all(world.dir.path().join("bucket/runs")).unwrap();
        assert_eq!(load_into(&load).await.unwrap(), first);
        assert_eq!(names(&world.table()), before);
    }
    assert_eq!(world.ids(), [1, 1, 2, 2]);
}

#[tokio::test]
async fn loaders_that_race_on_append_lose_nothing() {
    let world = World::new();
    let mut racing = Vec::new();
    let mut expected = Vec::new();
    for id in 0..8 {
        let load = world.load(WriteDisposition::Append, &[&[id], &[100 + id]]).await;
        expected.extend([id, 100 + id]);
        // The same run twice, as after a trigger that fired twice.
        for load in [load.clone(), load] {
            racing.push(tokio::spawn(async move { load_into(&load).await }));
        }
    }
    for loaded in racing {
        assert_eq!(loaded.await.unwrap().unwrap().rows, 2);
    }
    expected.sort_unstable();
    assert_eq!(world.ids(), expected);
    assert!(world.leftovers().is_empty());
}

#[tokio::test]
async fn truncate_replaces_while_a_reader_holds_the_old_table() {
    let world = World::new();
    load_into(&world.load(WriteDisposition::Truncate, &[&[1, 2]]).await).await.unwrap();
    let old = names(&world.table()).into_iter().find(|name| name.ends_with(".parquet")).unwrap();
    let held = File::open(world.table().join(old)).unwrap();
    load_into(&world.load(WriteDisposition::Truncate, &[&[7]]).await).await.unwrap();
    assert_eq!(world.ids(), [7]);
    let rows = ParquetRecordBatchReaderBuilder::try_new(held).unwrap().build().unwrap();
    assert_eq!(rows.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
    assert!(world.leftovers().is_empty());
}

#[tokio::test]
async fn empty_wants_a_table_without_rows() {
    let world = World::new();
    load_into(&world.load(WriteDisposition::Empty, &[]).await).await.unwrap();
    load_into(&world.load(WriteDisposition::Empty, &[&[1, 2]]).await).await.unwrap();
    let load = world.load(WriteDisposition::Empty, &[&[3]]).await;
    let (kind, said) = refused(load_into(&load).await);
    assert_eq!(kind, Kind::Data);
    assert!(said.contains(": table has 2 rows but write disposition is `empty`"), "{said}");
    assert_eq!(world.ids(), [1, 2]);
}

#[tokio::test]
async fn a_table_without_rows_still_has_its_columns() {
    let world = World::new();
    let load = world.load(WriteDisposition::Truncate, &[]).await;
    assert_eq!(load_into(&load).await.unwrap().rows, 0);
    let file = File::open(world.table().join(format!("{}-00000.parquet", load.run))).unwrap();
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    assert_eq!(reader.schema().field(0).name(), "id");
}

#[tokio::test]
async fn what_a_killed_loader_left_is_removed_and_the_run_loaded() {
    let world = World::new();
    let load = world.load(WriteDisposition::Truncate, &[&[1]]).await;
    let parent = world.table().parent().unwrap().to_owned();
    // One loader died while it built this run's table, another while it removed an old one.
    for run in [load.run, RunId::generate()] {
        let staging = parent.join(format!(".events.{run}"));
        fs::create_dir_all(&staging).unwrap();
        fs::write(staging.join(format!("{run}-00001.parquet")), "half").unwrap();
    }
    let other = parent.join(".events.archive");
    fs::create_dir_all(&other).unwrap();
    load_into(&load).await.unwrap();
    assert_eq!(world.ids(), [1]);
    assert_eq!(world.leftovers(), [".events.archive"]);
}

#[tokio::test]
async fn a_folder_of_somebody_else_is_refused() {
    let world = World::new();
    fs::create_dir_all(world.table()).unwrap();
    // An empty folder is not refused.
    load_into(&world.load(WriteDisposition::Truncate, &[&[1]]).await).await.unwrap();
    fs::write(world.table().join("thesis.txt"), "years of work").unwrap();
    let load = world.load(WriteDisposition::Truncate, &[&[2]]).await;
    let (kind, said) = refused(load_into(&load).await);
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("holds `thesis.txt`, which was not written by Sluice"), "{said}");
    fs::remove_file(world.table().join("_runs.json")).unwrap();
    let (_, said) = refused(load_into(&load).await);
    assert!(said.contains("has files and was not written by Sluice"), "{said}");
    assert_eq!(world.ids(), [1]);
}

#[tokio::test]
async fn a_part_that_is_not_what_its_receipt_says_is_refused() {
    let world = World::new();
    load_into(&world.load(WriteDisposition::Truncate, &[&[1]]).await).await.unwrap();
    let good = world.load(WriteDisposition::Truncate, &[&[5, 6], &[7]]).await;
    let file = world.dir.path().join("bucket").join(&good.parts[1].path);

    let mut wrong_rows = good.clone();
    wrong_rows.parts[0].rows = 3;
    let mut wrong_sum = good.clone();
    wrong_sum.rows = 4;
    let mut wrong_columns = good.clone();
    wrong_columns.columns = columns("id", TargetType::String);
    for (load, expected) in [
        (wrong_rows, "it has 2 rows, and its receipt says 3"),
        (wrong_sum, "the parts have 3 rows, and the receipts say 4"),
        (wrong_columns, "its columns are not those of the manifest"),
    ] {
        let (kind, said) = refused(load_into(&load).await);
        assert_eq!(kind, Kind::Data, "{said}");
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }

    let whole = fs::read(&file).unwrap();
    let mut flipped = whole.clone();
    flipped[10] ^= 1;
    for (bytes, expected) in [
        (&flipped[..], "its CRC-32C is "),
        (&whole[..whole.len() - 1], &*format!("bytes, and its receipt says {}", whole.len())),
    ] {
        fs::write(&file, bytes).unwrap();
        let (kind, said) = refused(load_into(&good).await);
        assert_eq!(kind, Kind::Data, "{said}");
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
    fs::remove_file(&file).unwrap();
    let (kind, _) = refused(load_into(&good).await);
    assert_eq!(kind, Kind::NotFound);
    assert_eq!(world.ids(), [1]);
    assert!(world.leftovers().is_empty());
}

#[tokio::test]
async fn append_wants_the_same_columns() {
    let world = World::new();
    load_into(&world.load(WriteDisposition::Append, &[&[1]]).await).await.unwrap();
    for (columns, expected) in [
        (columns("nr", TargetType::Int64), "it has `id` NULLABLE INT64 where the job has `nr`"),
        (columns("id", TargetType::String), "where the job has `id` NULLABLE STRING"),
        (columns("id", TargetType::RangeDate), "where the job has `id` NULLABLE RANGE<DATE>"),
        (vec![], "column `id` NULLABLE INT64 exists in the table and not in the job"),
    ] {
        let mut load = world.load(WriteDisposition::Append, &[&[2]]).await;
        load.columns = columns;
        let (kind, said) = refused(load_into(&load).await);
        assert_eq!(kind, Kind::Data);
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
    assert_eq!(world.ids(), [1]);
}

#[tokio::test]
async fn two_tables_of_a_run_cannot_share_a_target() {
    let world = World::new();
    let mut load = world.load(WriteDisposition::Append, &[&[1]]).await;
    load_into(&load).await.unwrap();
    load.table = 1;
    let (kind, said) = refused(load_into(&load).await);
    assert_eq!(kind, Kind::Invalid, "{said}");
}

#[tokio::test]
async fn parts_come_from_a_bucket_that_is_no_folder_too() {
    let world = World::new();
    let mut load = world.load(WriteDisposition::Truncate, &[]).await;
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    load.bucket = Bucket { store, prefix: "".into(), url: "memory://".into() };
    load.parts = vec![put(&load.bucket, "runs/x/parts/1.parquet", parquet(&[4, 5])).await];
    load.rows = 2;
    load_into(&load).await.unwrap();
    assert_eq!(world.ids(), [4, 5]);
}

#[tokio::test]
async fn a_target_behind_a_link_is_the_table_that_the_link_names() {
    let world = World::new();
    let real = world.dir.path().join("elsewhere");
    fs::create_dir_all(&real).unwrap();
    fs::create_dir_all(world.table().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&real, world.table()).unwrap();
    load_into(&world.load(WriteDisposition::Truncate, &[&[1]]).await).await.unwrap();
    load_into(&world.load(WriteDisposition::Truncate, &[&[2]]).await).await.unwrap();
    assert!(fs::symlink_metadata(world.table()).unwrap().is_symlink());
    assert_eq!(read_ids(&real), [2]);
}
