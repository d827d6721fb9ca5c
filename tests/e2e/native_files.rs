//! Files of Cloud Storage that BigQuery loads by itself: nothing is extracted.

use std::fs;

use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use serde_json::{Value, json};
use sluice_contracts::documents::{
    Column, NativeFiles, NativeFormat, NativeRows, ObjectVersion, TargetType,
};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::store::version_of;
use sluice_tests::cloud::bigquery::Warehouse;

use crate::native::World;

/// Orders as JSON lines, from the id `first` on.
fn json_lines(first: u64, rows: u64) -> String {
    let row = |id: u64| {
        format!("{{\"id\": {id}, \"note\": \"n {id}\", \"total\": {}.{:02}}}\n", id % 90, id % 100)
    };
    (first..first + rows).map(row).collect()
}

async fn put(world: &World, path: &str, text: String) {
    let store = world.storage.bucket_at("gs://drop").store;
    store.put(&Path::from(path), text.into()).await.expect("it is written");
}

/// A world with two files of 500 orders each.
async fn world() -> Option<World> {
    let world = World::start().await?;
    world.storage.make_bucket("drop").await;
    put(&world, "orders/1.jsonl", json_lines(1, 500)).await;
    put(&world, "orders/2.jsonl", json_lines(501, 500)).await;
    Some(world)
}

#[expect(clippy::needless_pass_by_value, reason = "tests give what they make")]
fn job(source: Value, engine: Option<&str>, target: &str) -> Value {
    let mut job = json!({
        "name": "nightly",
        "source": source,
        "target": {"table": Warehouse::target(target)},
        "bucket": "gs://lake/etl",
    });
    if let Some(engine) = engine {
        job["engine"] = engine.into();
    }
    job
}

const SUMS: &str = "SELECT FORMAT('%d %d %t %t', COUNT(*), SUM(id), SUM(total), MAX(note))";

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_are_loaded_by_bigquery_and_equal_what_tasks_read() {
    let Some(world) = world().await else { return };
    let source = json!({"url": "gs://drop/orders/*.jsonl"});
    let sums =
        async |table: &str| world.warehouse.query(&format!("{SUMS} FROM sales.{table}")).await;
    let mut native = job(source.clone(), Some("native"), "loaded");
    for (disposition, times) in [("truncate", 1), ("append", 2), ("truncate", 1)] {
        native["target"]["write_disposition"] = disposition.into();
        let report = world.moved(&native).await;
        assert_eq!((&report["rows"], &report["units"]), (&1000.into(), &0.into()), "{report}");
        let rows = world.warehouse.query("SELECT COUNT(*) FROM sales.loaded").await;
        assert_eq!(rows, [(1000 * times).to_string()]);
    }
    native["target"]["write_disposition"] = "merge".into();
    native["target"]["key"] = json!(["id"]);
    world.moved(&native).await;
    // `extract` is another word for `cloud_run`.
    for (table, engine) in [("tasks", None), ("extracted", Some("extract"))] {
        let ran = world.run("run", &job(source.clone(), engine, table)).await;
        assert_eq!(ran.code, Some(0), "{ran}");
        let report: Value = serde_json::from_str(&ran.stdout).expect("a report");
        assert!(report["units"].as_u64() > Some(0), "{report}");
        assert_eq!(sums("loaded").await, sums(table).await);
    }
    assert_eq!(world.warehouse.tables().await, ["extracted", "loaded", "orders", "tasks"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_is_loaded_by_bigquery_unless_the_job_asks_for_tasks() {
    let Some(world) = World::start().await else { return };
    world.storage.make_bucket("drop").await;
    let store = world.storage.bucket_at("gs://drop").store;
    for (path, first) in [("in/1", 0), ("in/2", 400)] {
        store.put(&Path::from(path), parquet_of(first).into()).await.expect("it is written");
    }
    let source = json!({"url": "gs://drop/in/*"});
    let report = world.moved(&job(source.clone(), None, "loaded")).await;
    assert_eq!((&report["rows"], &report["units"]), (&800.into(), &0.into()), "{report}");
    let ran = world.run("run", &job(source.clone(), Some("extract"), "tasks")).await;
    assert_eq!(ran.code, Some(0), "{ran}");
    let sums = async |table: &str| {
        let sums = "SELECT FORMAT('%d %d %t', COUNT(*), SUM(id), MAX(note))";
        world.warehouse.query(&format!("{sums} FROM sales.{table}")).await
    };
    assert_eq!(sums("loaded").await, sums("tasks").await);
    let path = world.site.path().join("job.json");
    fs::write(&path, job(source, None, "loaded").to_string()).expect("a job file");
    let planned = world.site.sluice(["plan".as_ref(), path.as_os_str()]).await;
    assert_eq!(planned.code, Some(0), "{planned}");
    insta::with_settings!({prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("native_files_plan_parquet", planned.stdout);
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn bigquery_loads_each_file_once() {
    let Some(world) = World::start().await else { return };
    world.storage.make_bucket("drop").await;
    let store = world.storage.bucket_at("gs://drop").store;
    let put = async |path: &str, first: i64| {
        store.put(&Path::from(path), parquet_of(first).into()).await.expect("it is written");
    };
    let mut once = job(json!({"url": "gs://drop/in/*"}), None, "once");
    once["incremental"] = "files".into();
    once["target"]["write_disposition"] = "append".into();
    let mut merged = once.clone();
    merged["target"] = json!({
        "table": Warehouse::target("merged"), "write_disposition": "merge", "key": ["id"],
    });
    put("in/2", 400).await;
    put("in/3", 800).await;
    for job in [&once, &merged] {
        assert_eq!(world.moved(job).await["rows"], 800);
        let report = world.moved(job).await;
        assert_eq!(
            (&report["rows"], &report["tables"][0]["state"]),
            (&0.into(), &"committed".into())
        );
    }
    // One comes late, and one changes.
    put("in/1", 0).await;
    put("in/3", 900).await;
    let ids = async |table: &str| {
        let facts = "SELECT FORMAT('%d %d %d', COUNT(*), COUNT(DISTINCT id), MAX(id))";
        world.warehouse.query(&format!("{facts} FROM sales.{table}")).await
    };
    let report = world.moved(&once).await;
    assert_eq!(report["rows"], 400, "{report}");
    let files = json!({"new": 1, "left_out": 2, "changed": 1, "changed_paths": ["in/3"]});
    assert_eq!(report["tables"][0]["files"], files, "{report}");
    assert_eq!(ids("once").await, ["1200 1200 1199"]);
    let report = world.moved(&merged).await;
    assert_eq!(report["rows"], 800, "{report}");
    assert_eq!(ids("merged").await, ["1300 1300 1299"]);
    assert_eq!(world.moved(&merged).await["rows"], 0);
}

/// A file of 400 rows.
fn parquet_of(first: i64) -> Vec<u8> {
    use arrow_array::{ArrayRef, Int64Array, RecordBatch, StringArray};
    let ids: ArrayRef = std::sync::Arc::new(Int64Array::from_iter_values(first..first + 400));
    let notes = (first..first + 400).map(|id| format!("note {id}"));
    let notes: ArrayRef = std::sync::Arc::new(StringArray::from_iter_values(notes));
    let rows = RecordBatch::try_from_iter([("id", ids), ("note", notes)]).expect("two columns");
    let writer = parquet::arrow::ArrowWriter::try_new(Vec::new(), rows.schema(), None);
    let mut writer = writer.expect("a writer");
    writer.write(&rows).expect("rows are written");
    writer.into_inner().expect("the file ends")
}

#[tokio::test(flavor = "multi_thread")]
async fn csv_is_loaded_by_bigquery_with_the_options_of_the_plan() {
    let Some(world) = World::start().await else { return };
    world.storage.make_bucket("drop").await;
    let text = "made by a program\nid|note\n1|\"one\n\"\"1\"\" é\"\n2|\\N\n".to_owned();
    let latin1: Vec<u8> = text.chars().map(|one| u8::try_from(one).unwrap_or(b'?')).collect();
    let store = world.storage.bucket_at("gs://drop").store;
    store.put(&Path::from("in/1.csv"), latin1.into()).await.expect("it is written");
    let format = json!({
        "null": "\\N", "skip_lines": 1, "encoding": "latin1", "delimiter": "|",
    });
    let source = json!({"url": "gs://drop/in/1.csv", "format": format});
    let sums = async |table: &str| {
        let notes = "SELECT FORMAT('%d %d %T', COUNT(*), SUM(id), ARRAY_AGG(note ORDER BY id))";
        world.warehouse.query(&format!("{notes} FROM sales.{table}")).await
    };
    world.moved(&job(source.clone(), Some("native"), "loaded")).await;
    let ran = world.run("run", &job(source, None, "tasks")).await;
    assert_eq!(ran.code, Some(0), "{ran}");
    let loaded = sums("loaded").await;
    assert!(loaded[0].contains('é'), "{loaded:?}");
    assert_eq!(loaded, sums("tasks").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_plan_says_whether_bigquery_loads_the_files_and_why() {
    let Some(world) = world().await else { return };
    put(&world, "in/1.csv", "id,note\n1,a\n".to_owned()).await;
    put(&world, "in/2.csv", "id,note\n2,b\n".to_owned()).await;
    put(&world, "in/odd.csv", "# a comment\nid,note\n1,a\n".to_owned()).await;
    let lines = json!({"url": "gs://drop/orders/*.jsonl"});
    let csv = json!({"url": "gs://drop/in/?.csv"});
    let odd = json!({"url": "gs://drop/in/odd.csv", "format": {"comment": "#"}});
    for (name, job) in [
        ("native_files_plan_asked", job(lines, Some("native"), "new")),
        ("native_files_plan_csv", job(csv, None, "new")),
        ("native_files_plan_odd", job(odd, None, "new")),
    ] {
        let path = world.site.path().join("job.json");
        fs::write(&path, job.to_string()).expect("a job file");
        let planned = world.site.sluice(["plan".as_ref(), path.as_os_str()]).await;
        assert_eq!(planned.code, Some(0), "{planned}");
        insta::with_settings!({prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(name, planned.stdout);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_load_job_does_not_have_is_refused_by_its_name() {
    let Some(world) = world().await else { return };
    put(&world, "in/1.csv", "id,note\n1,a\n".to_owned()).await;
    put(&world, "in/2.csv", "note,id\nb,2\n".to_owned()).await;
    let of = |url: &str, format: Value| json!({"url": url, "format": format});
    let one = "gs://drop/in/1.csv";
    let mut typed = job(json!({"url": one}), Some("native"), "new");
    typed["columns"] = json!({"id": {"type": "STRING"}});
    let mut named = job(json!({"url": one}), Some("native"), "new");
    named["columns"] = json!({"id": {"name": "number"}});
    let chosen = json!({"url": one, "columns": ["id"]});
    let jobs = [
        (typed, "`columns.id.type`"),
        (named, "column `id` becomes `number`"),
        (job(chosen, Some("native"), "new"), "`source.columns`"),
        (job(of(one, json!({"comment": "#"})), Some("native"), "new"), "`source.format.comment`"),
        (job(of(one, json!({"escape": "\\"})), Some("native"), "new"), "`source.format.escape`"),
        (
            job(of(one, json!({"encoding": "windows-1252"})), Some("native"), "new"),
            "in windows-1252",
        ),
        (job(of("gs://drop/in/*.csv", json!({})), Some("native"), "new"), "in another order"),
    ];
    for (job, words) in jobs {
        let path = world.site.path().join("job.json");
        fs::write(&path, job.to_string()).expect("a job file");
        let refused = world.site.sluice(["run".as_ref(), path.as_os_str()]).await;
        refused.refused(64, &["`engine: native` cannot move it", words]);
    }
    assert_eq!(world.warehouse.tables().await, ["orders"]);
}

/// The moment is that of the plan, and not of the load.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_after_the_plan_is_not_loaded() {
    let Some(world) = world().await else { return };
    let warehouse = &world.warehouse;
    let bucket = world.storage.bucket_at("gs://drop");
    let mut files = Vec::new();
    for path in ["orders/1.jsonl", "orders/2.jsonl"] {
        let meta = bucket.store.head(&Path::from(path)).await.expect("it is there");
        let (generation, size) = (version_of(&meta), meta.size);
        files.push(ObjectVersion { path: path.to_owned(), generation, size });
    }
    let format = NativeFormat::JsonLines { latin1: false, ignore_unknown: false };
    let files = NativeFiles { bucket: bucket.url.clone(), format, files, rows: None };
    let mut load = crate::bigquery::load(warehouse, WriteDisposition::Truncate, &[]);
    load.columns = vec![
        Column::plain("id", "integer", TargetType::Int64),
        Column::plain("note", "text", TargetType::String),
        Column::plain("total", "decimal", TargetType::Numeric),
    ];
    load.native = Some(NativeRows::Files(files));
    load.source_bucket = Some(bucket);
    load.target = Warehouse::target("replaced");
    put(&world, "orders/2.jsonl", json_lines(501, 400)).await;
    let error = crate::bigquery::loaded(warehouse, &load).await.expect_err("it is refused");
    let said = format!("{error:?}");
    assert!(said.contains("`gs://drop/orders/2.jsonl`: it was replaced"), "{said}");
    assert_eq!(warehouse.tables().await, ["orders"]);
}
