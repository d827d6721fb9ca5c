//! A run whose rows belong to more partitions than one job of BigQuery changes.

use serde_json::{Value, json};
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::storage::CloudStorage;
use sluice_tests::sluice::Site;

/// The emulator takes any number of partitions. So the statement is looked at, too.
#[tokio::test(flavor = "multi_thread")]
async fn more_partitions_than_one_job_changes_are_loaded_in_one_step() {
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
            "CREATE TABLE days (id INTEGER PRIMARY KEY, at DATE);
             CREATE TABLE hours (id INTEGER PRIMARY KEY, at DATETIME);
             WITH RECURSIVE n(id) AS (SELECT 0 UNION ALL SELECT id + 1 FROM n WHERE id < 4499)
             INSERT INTO days SELECT id, date('1965-01-01', '+' || id || ' days') FROM n;
             INSERT INTO days VALUES (9999, NULL);
             INSERT INTO hours SELECT id, CASE WHEN id < 9999 THEN
                 datetime('1969-10-01', '+' || id || ' hours', '+7 minutes') END FROM days",
        )
        .expect("tables");
    for (table, granularity, number) in
        [("days", "day", "MOD(UNIX_DATE(`at`) + DIV("), ("hours", "hour", "MOD(DATETIME_DIFF(`at`")]
    {
        let mut job = json!({
            "name": "nightly",
            "source": {"url": "${SOURCE_URL}", "table": table},
            "target": {
                "table": Warehouse::target(table),
                "partition_by": {"column": "at", "granularity": granularity},
            },
            "partitioning": {"strategy": "id_range", "target_rows": 1000},
            "bucket": "gs://lake/etl",
        });
        let path = site.path().join("job.json");
        for (disposition, times) in [("truncate", 1), ("truncate", 1), ("append", 2)] {
            job["target"]["write_disposition"] = disposition.into();
            std::fs::write(&path, job.to_string()).expect("a job file");
            let arguments = ["run".as_ref(), path.as_os_str(), "--json".as_ref()];
            let ran = site.sluice(arguments).await;
            assert_eq!(ran.code, Some(0), "{ran}");
            let report: Value = serde_json::from_str(&ran.stdout).expect("a report");
            let run = report["run"].as_str().expect("the run");
            let url = format!(
                "{}/bigquery/v2/projects/shop/jobs/sluice_{run}_0_0?location=US",
                warehouse.url()
            );
            let job: Value =
                reqwest::get(url).await.expect("an answer").json().await.expect("a job");
            let statement = job["configuration"]["query"]["query"].to_string();
            assert_eq!(statement.matches(number).count(), 3, "{statement}");
            let found = warehouse
                .query(&format!(
                    "SELECT FORMAT('%d %d %t %t %d', COUNT(*), COUNT(DISTINCT id), MIN(at), MAX(at), \
                     COUNTIF(at IS NULL)) FROM `sales.{table}`"
                ))
                .await;
            let (first, last) = match table {
                "days" => ("1965-01-01", "1977-04-27"),
                _ => ("1969-10-01 00:07:00", "1970-04-06 11:07:00"),
            };
            let rows = 4501 * times;
            assert_eq!(found, [format!("{rows} 4501 {first} {last} {times}")]);
        }
    }
    assert_eq!(warehouse.tables().await, ["days", "hours"]);
}
