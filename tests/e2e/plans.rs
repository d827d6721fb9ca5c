//! What a person reads of plans into BigQuery: the way of the rows, its price, and what stands
//! against a table.

use serde_json::{Value, json};
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::storage::CloudStorage;
use sluice_tests::sluice::Site;

/// A job that reads a table of the file, as JSON.
fn job(table: &str, target: &Value, more: &Value) -> Value {
    let mut job = json!({
        "name": "nightly",
        "source": {"url": "${SOURCE_URL}", "table": table},
        "target": {"table": Warehouse::target(table)},
        "bucket": "gs://lake/etl",
    });
    sluice_tests::sluice::merge(&mut job["target"], target);
    sluice_tests::sluice::merge(&mut job, more);
    job
}

#[tokio::test(flavor = "multi_thread")]
async fn five_plans_into_bigquery() {
    let Some(storage) = CloudStorage::start().await else { return };
    let Some(warehouse) = Warehouse::over(storage.root()).await else { return };
    let site = Site::new()
        .with("SLUICE_BIGQUERY_ENDPOINT", warehouse.url())
        .with("STORAGE_EMULATOR_HOST", storage.url());
    let file = site.path().join("shop.db");
    let site = site.with("SOURCE_URL", format!("sqlite://{}", file.display()));
    let database = rusqlite::Connection::open(&file).expect("a file");
    database
        .execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE NOT NULL, total DECIMAL(12, 2));
             CREATE TABLE events (id INTEGER PRIMARY KEY, payload JSON);
             CREATE TABLE clicks (id INTEGER PRIMARY KEY);
             CREATE TABLE customers (id INTEGER PRIMARY KEY, name VARCHAR(100), email TEXT);
             WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 12000)
             INSERT INTO clicks SELECT id FROM n;
             INSERT INTO orders SELECT id, '2026-01-01', 1 FROM clicks WHERE id <= 500;
             INSERT INTO events SELECT id, '{}' FROM clicks WHERE id <= 500;
             INSERT INTO customers SELECT id, 'a', 'b' FROM clicks WHERE id <= 500",
        )
        .expect("tables");
    let tables = "CREATE TABLE `sales.customers` (id INT64 NOT NULL, name STRING(50), age INT64);
                  CREATE TABLE `sales.merged` (id INT64, day DATE, total NUMERIC) PARTITION BY day";
    for table in tables.split(';') {
        warehouse.query(table).await;
    }
    let into_merged = json!({"table": Warehouse::target("merged"), "write_disposition": "merge"});
    let cut = json!({"partitioning": {"strategy": "id_range", "target_rows": 1}});
    for (name, job) in [
        ("plan_small", job("orders", &json!({}), &json!({}))),
        ("plan_huge", job("clicks", &json!({}), &cut)),
        ("plan_documents", job("events", &json!({}), &json!({}))),
        ("plan_merge", job("orders", &into_merged, &json!({}))),
        ("plan_other_schema", job("customers", &json!({}), &json!({}))),
    ] {
        let file = site.path().join("job.json");
        std::fs::write(&file, job.to_string()).expect("a job file");
        let ended = site.sluice(["plan".as_ref(), file.as_os_str()]).await;
        assert_eq!(ended.code, Some(0), "{ended}");
        insta::with_settings!({prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(name, ended.stdout);
        });
    }
}
