//! A run of all tables or none into BigQuery: readers find the new rows of all tables, or the old
//! rows of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::storage::CloudStorage;
use sluice_tests::sluice::Site;

/// The rows of two tables at one moment.
const ROWS: &str = "\
    SELECT FORMAT('%d %d', (SELECT COUNT(*) FROM `sales.orders`), \
                           (SELECT COUNT(*) FROM `sales.lines`))";

#[tokio::test(flavor = "multi_thread")]
async fn readers_never_find_one_table_of_a_run_beside_another_of_the_run_before() {
    let Some(storage) = CloudStorage::start().await else { return };
    let Some(warehouse) = Warehouse::over(storage.root()).await else { return };
    let warehouse = Arc::new(warehouse);
    let site = Site::new()
        .with("SLUICE_BIGQUERY_ENDPOINT", warehouse.url())
        .with("STORAGE_EMULATOR_HOST", storage.url());
    let file = site.path().join("shop.db");
    let site = site.with("SOURCE_URL", format!("sqlite://{}", file.display()));
    let database = rusqlite::Connection::open(&file).expect("a file");
    database
        .execute_batch(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, day DATE NOT NULL);
             CREATE TABLE lines (id INTEGER PRIMARY KEY, wishes JSON);
             CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
             WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n WHERE id < 2000)
             INSERT INTO lines SELECT id, '{\"gift\": true}' FROM n;
             INSERT INTO orders SELECT id, '2026-01-01' FROM lines WHERE id <= 500;
             INSERT INTO customers SELECT id, 'a' FROM lines WHERE id <= 20",
        )
        .expect("tables");
    for statement in [
        "CREATE TABLE `sales.orders` (id INT64 OPTIONS (description = 'the number'), day DATE)",
        "CREATE TABLE `sales.lines` (id INT64, wishes JSON)",
        "INSERT INTO `sales.orders` VALUES (1, '2025-01-01')",
        "INSERT INTO `sales.lines` VALUES (1, JSON '{}'), (2, JSON '{}')",
    ] {
        warehouse.query(statement).await;
    }
    let job = json!({
        "name": "nightly",
        "source": {"url": "${SOURCE_URL}"},
        "tables": [{"table": "orders"}, {"table": "lines"}, {"table": "customers"}],
        "target": {"dataset": "bigquery://shop/sales"},
        "bucket": "gs://lake/etl",
        "all_or_nothing": true,
    });
    let path = site.path().join("job.json");
    std::fs::write(&path, job.to_string()).expect("a job file");

    let planned = site.sluice(["plan".as_ref(), path.as_os_str()]).await;
    assert_eq!(planned.code, Some(0), "{planned}");
    insta::with_settings!({prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("plan_at_once", planned.stdout);
    });

    let over = Arc::new(AtomicBool::new(false));
    let (reader, ended) = (Arc::clone(&warehouse), Arc::clone(&over));
    let reader = tokio::spawn(async move {
        let mut found = Vec::new();
        while !ended.load(Ordering::Relaxed) {
            let rows = reader.query(ROWS).await;
            if found.last() != rows.first() {
                found.extend(rows);
            }
        }
        found
    });
    let ran = site.sluice(["run".as_ref(), path.as_os_str()]).await;
    over.store(true, Ordering::Relaxed);
    let mut found = reader.await.expect("the reader ends");
    assert_eq!(ran.code, Some(0), "{ran}");
    found.extend(warehouse.query(ROWS).await);
    found.dedup();
    assert_eq!(found, ["1 2", "500 2000"]);
    assert_eq!(warehouse.query("SELECT COUNT(*) FROM `sales.customers`").await, ["20"]);
    assert_eq!(warehouse.tables().await, ["customers", "lines", "orders"]);

    // Once more: all tables exist now, and are replaced.
    database.execute_batch("DELETE FROM orders WHERE id > 7; DELETE FROM customers").expect("rows");
    let ran = site.sluice(["run".as_ref(), path.as_os_str()]).await;
    assert_eq!(ran.code, Some(0), "{ran}");
    assert_eq!(warehouse.query(ROWS).await, ["7 2000"]);
    assert_eq!(warehouse.query("SELECT COUNT(*) FROM `sales.customers`").await, ["0"]);
    assert_eq!(warehouse.tables().await, ["customers", "lines", "orders"]);
}
