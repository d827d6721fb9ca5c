//! BigQuery: a run's part files become a table once, whatever the table was before and however many
//! loaders load it.

use std::fs;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use arrow_array::builder::{Int64Builder, ListBuilder, StringBuilder};
use arrow_array::{RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow_schema::{DataType, Field, Schema, TimeUnit};
use parquet::arrow::ArrowWriter;
use serde_json::json;
use sluice_contracts::documents::{
    Column, NewTable, OnInvalid, Part, RunId, SchemaChanges, TargetType, UnitRef, arrow_schema,
};
use sluice_contracts::job::WriteDisposition::{self, Append, Empty, Truncate};
use sluice_contracts::layout::Layout;
use sluice_contracts::{Kind, Result};
use sluice_targets::{Load, Loaded, Target as _, Visibility};
use sluice_tests::cloud::bigquery::{DATASET, PROJECT, Warehouse};
use sluice_tests::cloud::clients::bq;
use sluice_tests::cloud::gateway::{Fault, Trouble};
use sluice_tests::cloud::storage::BUCKET;

/// The columns of every part file.
fn columns() -> Vec<Column> {
    let column = |(name, target_type): (&str, TargetType)| Column {
        name: name.into(),
        source_name: name.into(),
        source_type: String::new(),
        encoding: String::new(),
        target_type,
        repeated: name == "tags",
        decimal: None,
        fields: Vec::new(),
        nullable: None,
        max_length: None,
        description: None,
        on_invalid: OnInvalid::Fail,
        invalid: None,
    };
    let kinds = [TargetType::Int64, TargetType::String, TargetType::Timestamp, TargetType::String];
    ["id", "name", "at", "tags"].into_iter().zip(kinds).map(column).collect()
}

fn parquet(ids: &[i64]) -> Vec<u8> {
    let rows = ids.len();
    let item = Arc::new(Field::new("element", DataType::Utf8, true));
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("id", DataType::Int64, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("at", utc, true),
        Field::new("tags", DataType::List(Arc::clone(&item)), true),
    ]));
    let mut id = Int64Builder::new();
    let mut tags = ListBuilder::new(StringBuilder::new()).with_field(item);
    for value in ids {
        id.append_value(*value);
        tags.append_value([Some("a"), Some("b")]);
    }
    let batch = RecordBatch::try_new(
        Arc::clone(&schema),
        vec![
            Arc::new(id.finish()),
            Arc::new(StringArray::from(vec!["ä"; rows])),
            Arc::new(TimestampMicrosecondArray::from(vec![1; rows]).with_timezone("UTC")),
            Arc::new(tags.finish()),
        ],
    )
    .expect("the columns are equally long");
    let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a schema of Parquet");
    writer.write(&batch).expect("rows can be written");
    writer.into_inner().expect("a file has an end")
}

/// A load with one part file in the bucket for each slice of ids.
pub(crate) fn load(warehouse: &Warehouse, disposition: WriteDisposition, parts: &[&[i64]]) -> Load {
    let (run, bucket) = (RunId::generate(), warehouse.bucket());
    let layout = Layout::new(&bucket.prefix, run);
    let made = (0..).zip(parts).map(|(number, ids)| {
        let path = layout.part(0, UnitRef { table: 0, unit: number }, "w", 0).to_string();
        let bytes = parquet(ids);
        put(warehouse, &path, &bytes);
        Part { path, rows: ids.len() as u64, bytes: bytes.len() as u64, crc32c: 0, span: None }
    });
    Load {
        run,
        job: "nightly".into(),
        table: 0,
        snapshot: 0,
        target: Warehouse::target("orders"),
        disposition,
        key: Vec::new(),
        order_by: None,
        dedup: None,
        schema_changes: SchemaChanges::default(),
        new_table: NewTable::default(),
        partitioned_by: None,
        columns: columns(),
        parts: made.collect(),
        bucket,
        rows: parts.iter().map(|ids| ids.len() as u64).sum(),
        native: None,
        source_bucket: None,
        dataflow: None,
        dropped: None,
        listing: sluice_targets::PartListing::default(),
        begun: chrono::DateTime::UNIX_EPOCH,
        give_up: chrono::Utc::now() + chrono::Duration::hours(1),
        visibility: Visibility::Each,
    }
}

pub(crate) fn put(warehouse: &Warehouse, path: &str, bytes: &[u8]) {
    let file = warehouse.objects().join(BUCKET).join(path);
    fs::create_dir_all(file.parent().expect("an object lies in the bucket")).expect("a folder");
    fs::write(file, bytes).expect("the bucket can be written");
}

/// Loads as a loader does, which is called again until BigQuery is done.
pub(crate) async fn loaded(warehouse: &Warehouse, load: &Load) -> Result<Loaded> {
    for _ in 0..100 {
        let target = warehouse.client().await;
        if let Poll::Ready(prepared) = target.prepare(load).await?
            && let Poll::Ready(loaded) = prepared.publish().await?
        {
            return Ok(loaded);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the load never ends");
}

pub(crate) async fn refused(warehouse: &Warehouse, load: &Load) -> (Kind, String) {
    let error = loaded(warehouse, load).await.expect_err("the load should be refused");
    (error.kind(), format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default()))
}

async fn ids(warehouse: &Warehouse) -> Vec<String> {
    warehouse.query("SELECT id FROM `sales.orders` ORDER BY id").await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_disposition_does_what_its_name_says() {
    let Some(warehouse) = Warehouse::start().await else { return };
    let nothing = load(&warehouse, Append, &[]);
    assert_eq!(loaded(&warehouse, &nothing).await.expect("a table without rows").rows, 0);
    assert!(ids(&warehouse).await.is_empty());

    let first = load(&warehouse, Empty, &[&[1, 2], &[3]]);
    let made = loaded(&warehouse, &first).await.expect("an empty table is filled");
    assert_eq!(made, Loaded { snapshot: 0, rows: 3, dropped: None, overtaken_by: None });
    let tags = "SELECT CONCAT(name, ARRAY_TO_STRING(tags, '')) FROM `sales.orders` WHERE id = 3";
    assert_eq!(warehouse.query(tags).await, ["äab"]);
    // The same run again, after its part files were deleted.
    fs::remove_dir_all(warehouse.objects().join(BUCKET).join("runs")).expect("there are parts");
    assert_eq!(loaded(&warehouse, &first).await.expect("it was loaded"), made);

    let (kind, said) = refused(&warehouse, &load(&warehouse, Empty, &[&[4]])).await;
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("table has 3 rows but write disposition is `empty`"), "{said}");

    let more = load(&warehouse, Append, &[&[4]]);
    for _ in 0..2 {
        loaded(&warehouse, &more).await.expect("rows are added, and once");
    }
    assert_eq!(ids(&warehouse).await, ["1", "2", "3", "4"]);
    let mut fewer = load(&warehouse, Append, &[&[5]]);
    fewer.columns.truncate(2);
    let (kind, said) = refused(&warehouse, &fewer).await;
    assert_eq!(kind, Kind::Data);
    assert!(
        said.contains("column `at` NULLABLE TIMESTAMP exists in the table and not in the job"),
        "{said}"
    );

    loaded(&warehouse, &load(&warehouse, Truncate, &[&[7]])).await.expect("rows are replaced");
    assert_eq!(ids(&warehouse).await, ["7"]);
    loaded(&warehouse, &load(&warehouse, Truncate, &[])).await.expect("rows are removed");
    assert!(ids(&warehouse).await.is_empty());
    assert_eq!(warehouse.tables().await, ["orders"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_is_changed_once_on_bad_days_too() {
    let Some(warehouse) = Warehouse::start().await else { return };
    let insert = |skip, trouble| Fault { method: "POST", path: "/jobs", skip, times: 1, trouble };
    // Two loaders see no load job and start one each, the second a little later.
    warehouse.gateway().fault(insert(1, Trouble::Delay(Duration::from_millis(800))));
    let racing = load(&warehouse, Append, &[&[1, 2]]);
    let (one, other) = tokio::join!(loaded(&warehouse, &racing), loaded(&warehouse, &racing));
    assert_eq!(one.expect("one loads"), other.expect("the other adopts"));
    assert_eq!(ids(&warehouse).await, ["1", "2"]);

    // BigQuery has the load job, but its answer is lost.
    warehouse.gateway().fault(insert(0, Trouble::CutAfter));
    let lost = load(&warehouse, Append, &[&[3]]);
    assert_eq!(refused(&warehouse, &lost).await.0, Kind::Transient);
    loaded(&warehouse, &lost).await.expect("the job is found");
    assert_eq!(ids(&warehouse).await, ["1", "2", "3"]);

    // The first name is already used by a load job whose part files no longer exist.
    let burnt = load(&warehouse, Append, &[&[4]]);
    let name = json!({"projectId": PROJECT, "jobId": format!("sluice_{}_0_0", burnt.run)});
    let into = json!({"projectId": PROJECT, "datasetId": DATASET, "tableId": "orders"});
    let gone = json!({
        "sourceUris": [format!("gs://{BUCKET}/gone.parquet")],
        "sourceFormat": "PARQUET",
        "destinationTable": into,
        "writeDisposition": "WRITE_APPEND",
    });
    let labels = json!({"sluice_generation": "9"});
    let job = json!({"jobReference": name, "configuration": {"load": gone, "labels": labels}});
    warehouse.post("jobs", &job).await;
    loaded(&warehouse, &burnt).await.expect("the next name is free");
    assert_eq!(ids(&warehouse).await, ["1", "2", "3", "4"]);

    let missing = load(&warehouse, Truncate, &[&[5], &[6]]);
    fs::remove_file(warehouse.objects().join(BUCKET).join(&missing.parts[1].path))
        .expect("the part is there");
    let (kind, said) = refused(&warehouse, &missing).await;
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("it is not in the bucket"), "{said}");

    let garbage = load(&warehouse, Truncate, &[&[5], &[6]]);
    let part = &garbage.parts[1];
    put(&warehouse, &part.path, &vec![b'x'; usize::try_from(part.bytes).expect("a small part")]);
    for _ in 0..2 {
        let (kind, said) = refused(&warehouse, &garbage).await;
        assert_eq!(kind, Kind::Data);
        assert!(said.contains(&format!("BigQuery refused the parts at `{}`", part.path)), "{said}");
    }
    assert_eq!(ids(&warehouse).await, ["1", "2", "3", "4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_overtaken_changes_nothing() {
    let Some(warehouse) = Warehouse::start().await else { return };
    for visibility in [Visibility::Each, Visibility::InTurn] {
        // Made by the newer of the two, and then there already.
        for _ in 0..2 {
            let older = Load { visibility, ..load(&warehouse, Truncate, &[&[1]]) };
            let newer = Load { visibility, ..load(&warehouse, Truncate, &[&[2], &[3]]) };
            assert!(older.run < newer.run);
            let done = loaded(&warehouse, &newer).await.expect("it is the newest");
            assert_eq!(done.overtaken_by, None);
            let late = loaded(&warehouse, &older).await.expect("it ends");
            assert_eq!((late.rows, late.overtaken_by), (0, Some(newer.run)));
            assert_eq!(ids(&warehouse).await, ["2", "3"]);
            assert_eq!(warehouse.tables().await, ["orders"]);
        }
        warehouse.query("DROP TABLE `sales.orders`").await;
    }
    // What is only added replaces nothing, and a run between the two is overtaken by it.
    let first = load(&warehouse, Append, &[&[1]]);
    let between = load(&warehouse, Truncate, &[&[2]]);
    let last = load(&warehouse, Append, &[&[3]]);
    for load in [&last, &first] {
        assert_eq!(loaded(&warehouse, load).await.expect("it is added").overtaken_by, None);
    }
    let late = loaded(&warehouse, &between).await.expect("it ends");
    assert_eq!(late.overtaken_by, Some(last.run));
    assert_eq!(ids(&warehouse).await, ["1", "3"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_staged_load_is_invisible_until_it_is_published() {
    let Some(warehouse) = Warehouse::start().await else { return };
    for (disposition, parts, expected) in [
        (Truncate, &[&[1, 2][..], &[3]][..], 3),
        (Append, &[&[4][..]][..], 4),
        (Truncate, &[&[7][..]][..], 1),
        (Truncate, &[][..], 0),
    ] {
        let mut load = load(&warehouse, disposition, parts);
        load.visibility = Visibility::InTurn;
        let before =
            if warehouse.tables().await.is_empty() { vec![] } else { ids(&warehouse).await };
        let target = warehouse.client().await;
        let mut prepared = target.prepare(&load).await;
        while let Ok(Poll::Pending) = prepared {
            tokio::time::sleep(Duration::from_millis(100)).await;
            prepared = target.prepare(&load).await;
        }
        assert!(prepared.is_ok(), "{prepared:?}");
        let staged = warehouse.tables().await;
        assert!(staged.iter().any(|name| name.starts_with("sluice_")), "{staged:?}");
        if staged.iter().any(|name| name == "orders") {
            assert_eq!(ids(&warehouse).await, before);
        }
        assert_eq!(loaded(&warehouse, &load).await.expect("it is published").rows, load.rows);
        assert_eq!(ids(&warehouse).await.len(), expected);
        assert_eq!(warehouse.tables().await, ["orders"], "nothing is left behind");
        loaded(&warehouse, &load).await.expect("it was published");
        assert_eq!(ids(&warehouse).await.len(), expected);
    }
}

/// No load from Parquet fills a column of JSON: the documents are staged as text, and parsed by the
/// statement that makes them visible.
#[tokio::test(flavor = "multi_thread")]
async fn documents_of_json_arrive_as_such() {
    let Some(warehouse) = Warehouse::start().await else { return };
    let documents = |disposition, ids: &[i64]| {
        let mut load = load(&warehouse, disposition, &[]);
        load.columns.retain(|column| column.name != "tags" && column.name != "at");
        load.columns[1].target_type = TargetType::Json;
        let documents: Vec<String> =
            ids.iter().map(|id| format!(r#"{{"id": {id}, "big": 9007199254740993}}"#)).collect();
        let schema = arrow_schema(&load.columns);
        let ids = Arc::new(arrow_array::Int64Array::from(ids.to_vec()));
        let columns: Vec<arrow_array::ArrayRef> = vec![ids, Arc::new(StringArray::from(documents))];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns).expect("two columns");
        let mut writer = ArrowWriter::try_new(Vec::new(), schema, None).expect("a schema");
        writer.write(&batch).expect("rows can be written");
        let bytes = writer.into_inner().expect("a file has an end");
        let layout = Layout::new(&load.bucket.prefix, load.run);
        let path = layout.part(0, UnitRef { table: 0, unit: 0 }, "w", 0).to_string();
        put(&warehouse, &path, &bytes);
        let size = bytes.len() as u64;
        load.rows = batch.num_rows() as u64;
        load.parts = vec![Part { path, rows: load.rows, bytes: size, crc32c: 0, span: None }];
        load
    };
    let found = "SELECT CONCAT(CAST(id AS STRING), ' ', JSON_VALUE(name, '$.id'), ' ',
                     JSON_VALUE(name, '$.big')) FROM `sales.orders` ORDER BY id";
    let row = |id: i64| format!("{id} {id} 9007199254740993");
    for (disposition, ids, expected) in [
        (Truncate, &[][..], vec![]),
        (Empty, &[1, 2], vec![row(1), row(2)]),
        (Append, &[3], vec![row(1), row(2), row(3)]),
        (Truncate, &[4], vec![row(4)]),
    ] {
        let load = documents(disposition, ids);
        loaded(&warehouse, &load).await.expect("documents are loaded");
        assert_eq!(warehouse.query(found).await, expected, "{disposition:?}");
        assert_eq!(warehouse.tables().await, ["orders"], "nothing is left behind");
    }
    let types = "SELECT data_type FROM sales.INFORMATION_SCHEMA.COLUMNS
                 WHERE table_name = 'orders' AND column_name = 'name'";
    assert_eq!(warehouse.query(types).await, ["JSON"]);
    let (kind, _) = refused(&warehouse, &documents(Empty, &[7])).await;
    assert_eq!(kind, Kind::Data);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_loaded_is_what_googles_own_command_finds() {
    let Some(warehouse) = Warehouse::start().await else { return };
    let loading = load(&warehouse, Truncate, &[&[1, 2], &[3]]);
    loaded(&warehouse, &loading).await.expect("the table is made");
    let sql = "SELECT id FROM sales.orders ORDER BY 1";
    let Some(rows) = bq(&warehouse, &["query", "--nouse_legacy_sql", sql]).await else { return };
    assert_eq!(rows, json!([{"id": "1"}, {"id": "2"}, {"id": "3"}]));
    let job = format!("{PROJECT}:US.sluice_{}_0_0", loading.run);
    let job = bq(&warehouse, &["show", "-j", &job]).await.expect("it was there before");
    assert_eq!(job["status"]["state"], "DONE", "{job:#}");
    assert_eq!(job["configuration"]["labels"]["sluice_job"], "nightly", "{job:#}");
    assert_eq!(job["configuration"]["load"]["sourceUris"].as_array().map(Vec::len), Some(2));
}
