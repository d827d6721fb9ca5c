//! Tables of BigQuery that go to BigQuery: nothing is extracted.

use serde_json::{Value, json};
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::storage::CloudStorage;
use sluice_tests::sluice::{Ended, Site};

/// Sums that tell whether all columns of all rows arrived.
const SUMS: &str = "SELECT FORMAT('%d %t %t %d %d %t %t', COUNT(*), SUM(amount), MAX(at), \
                    COUNTIF(note IS NULL), SUM(ARRAY_LENGTH(tags)), SUM(of.n), \
                    STRING_AGG(TO_JSON_STRING(doc) ORDER BY id LIMIT 1))";

struct World {
    storage: CloudStorage,
    warehouse: Warehouse,
    site: Site,
}

impl World {
    async fn start() -> Option<Self> {
        let storage = CloudStorage::start().await?;
        let warehouse = Warehouse::over(storage.root()).await?;
        let site = Site::new()
            .with("SLUICE_BIGQUERY_ENDPOINT", warehouse.url())
            .with("SLUICE_BIGQUERY_STORAGE_ENDPOINT", warehouse.storage_url())
            .with("STORAGE_EMULATOR_HOST", storage.url());
        warehouse
            .query(
                "CREATE TABLE sales.orders (id INT64 NOT NULL, amount NUMERIC, at TIMESTAMP, \
                 note STRING, tags ARRAY<STRING>, of STRUCT<n INT64, what STRING>, doc JSON, \
                 day DATE) PARTITION BY day",
            )
            .await;
        warehouse
            .query(
                "INSERT INTO sales.orders SELECT i, CAST(i AS NUMERIC) / 8, \
                 TIMESTAMP_ADD(TIMESTAMP '2026-01-01', INTERVAL i SECOND), \
                 IF(MOD(i, 7) = 0, NULL, CONCAT('n', i)), IF(MOD(i, 3) = 0, [], ['a', 'b']), \
                 STRUCT(i, 'x'), JSON '{\"a\": 1}', DATE_ADD(DATE '2026-01-01', INTERVAL MOD(i, 5) DAY) \
                 FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS i",
            )
            .await;
        Some(Self { storage, warehouse, site })
    }

    async fn run(&self, command: &str, job: &Value) -> Ended {
        let path = self.site.path().join("job.json");
        std::fs::write(&path, job.to_string()).expect("a job file");
        self.site.sluice([command.as_ref(), path.as_os_str(), "--json".as_ref()]).await
    }

    /// Runs a job, and checks that no part file was written for it.
    async fn moved(&self, job: &Value) -> Value {
        let ran = self.run("run", job).await;
        assert_eq!(ran.code, Some(0), "{ran}");
        assert_eq!(self.storage.gateway().count("", "parquet"), 0);
        serde_json::from_str(&ran.stdout).expect("a report")
    }

    async fn sums(&self, from: &str) -> Vec<String> {
        self.warehouse.query(&format!("{SUMS} FROM {from}")).await
    }
}

fn job(source: Value, target: &str) -> Value {
    json!({
        "name": "nightly",
        "source": source,
        "target": {"table": Warehouse::target(target)},
        "bucket": "gs://lake/etl",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_table_is_copied() {
    let Some(world) = World::start().await else { return };
    let mut job = job(json!({"url": "bigquery://shop/sales/orders"}), "copy");
    for (disposition, times) in [("truncate", 1), ("truncate", 1), ("append", 2)] {
        job["target"]["write_disposition"] = disposition.into();
        let report = world.moved(&job).await;
        assert_eq!(report["rows"], 1000, "{report}");
        let rows = world.warehouse.query("SELECT COUNT(*) FROM sales.copy").await;
        assert_eq!(rows, [(1000 * times).to_string()]);
    }
    job["target"]["write_disposition"] = "truncate".into();
    world.moved(&job).await;
    assert_eq!(world.sums("sales.copy").await, world.sums("sales.orders").await);
    assert_eq!(world.warehouse.tables().await, ["copy", "orders"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_conditions_casts_and_queries_are_one_query() {
    let Some(world) = World::start().await else { return };
    let filtered = json!({
        "name": "nightly",
        "source": {
            "url": "bigquery://shop/sales",
            "table": "orders",
            "columns": ["id", "amount", "at", "doc", "note"],
            "where": "day >= '2026-01-03' -- the first days are elsewhere",
        },
        "columns": {"amount": {"type": "BIGNUMERIC"}, "doc": {"type": "STRING"}, "note": {"name": "n"}},
        "target": {"table": Warehouse::target("late")},
        "bucket": "gs://lake/etl",
    });
    world.moved(&filtered).await;
    let sums = |of: &str, from: &str| {
        format!(
            "SELECT FORMAT('%d %t %t %t', COUNT(*), SUM(CAST(amount AS BIGNUMERIC)), MAX(at), \
             MAX({of})) FROM {from}"
        )
    };
    assert_eq!(
        world.warehouse.query(&sums("CONCAT(doc, n)", "sales.late")).await,
        world
            .warehouse
            .query(&sums(
                "CONCAT(TO_JSON_STRING(doc), note)",
                "sales.orders WHERE day >= '2026-01-03'"
            ))
            .await
    );
    let types = "SELECT STRING_AGG(CONCAT(column_name, ' ', data_type) ORDER BY ordinal_position) \
                 FROM sales.INFORMATION_SCHEMA.COLUMNS WHERE table_name = 'late'";
    assert_eq!(
        world.warehouse.query(types).await,
        ["id INT64,amount BIGNUMERIC,at TIMESTAMP,doc STRING,n STRING"]
    );

    let query =
        "SELECT day, COUNT(*) AS orders, SUM(amount) AS amount FROM sales.orders GROUP BY day";
    let mut asked = job(json!({"url": "bigquery://shop/sales", "query": query}), "days");
    asked["target"]["write_disposition"] = "merge".into();
    asked["target"]["key"] = json!(["day"]);
    for _ in 0..2 {
        world.moved(&asked).await;
        let rows = "SELECT FORMAT('%d %d %t', COUNT(*), SUM(orders), SUM(amount)) FROM sales.days";
        let own = "SELECT FORMAT('5 %d %t', COUNT(*), SUM(amount)) FROM sales.orders";
        assert_eq!(world.warehouse.query(rows).await, world.warehouse.query(own).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_a_wildcard_are_one_table() {
    let Some(world) = World::start().await else { return };
    for (day, more) in
        [("20260101", ""), ("20260102", ""), ("20270101", ""), ("20260103", ", 'x' AS y")]
    {
        let sql = format!(
            "CREATE TABLE sales.events_{day} AS SELECT {day} AS day, i{more} FROM UNNEST([1, 2]) AS i"
        );
        world.warehouse.query(&sql).await;
    }
    let report =
        world.moved(&job(json!({"url": "bigquery://shop/sales/events_2026*"}), "events")).await;
    assert_eq!(report["rows"], 6, "{report}");
    let found = world
        .warehouse
        .query("SELECT FORMAT('%d %d %d', SUM(day), SUM(i), COUNTIF(y IS NULL)) FROM sales.events")
        .await;
    assert_eq!(found, ["121560612 9 4"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_filled_by_streams() {
    let Some(world) = World::start().await else { return };
    world
        .warehouse
        .query(
            "CREATE TABLE sales.wide AS SELECT i AS id, CAST(i AS NUMERIC) / 8 AS amount, \
             CAST(i AS BIGNUMERIC) / 7 AS big, i / 3 AS ratio, MOD(i, 2) = 0 AS even, \
             CONCAT('größe ', i) AS note, TIMESTAMP_MICROS(i) AS at, DATETIME '2026-01-01 00:00:00' AS local, \
             DATE_ADD(DATE '2026-01-01', INTERVAL MOD(i, 400) DAY) AS day, TIME '23:59:59.999999' AS clock, \
             CAST(CONCAT('b', i) AS BYTES) AS raw, JSON '{\"a\": [1, null]}' AS doc, \
             IF(MOD(i, 3) = 0, [], [i, i + 1]) AS tags, STRUCT(i AS n, ['x', 'y'] AS words) AS of \
             FROM UNNEST(GENERATE_ARRAY(1, 250000)) AS i",
        )
        .await;
    let target = format!("file://{}/warehouse/wide", world.site.path().display());
    let folder = |source: Value| {
        json!({
            "name": "lake",
            "source": source,
            "target": {"table": target},
            "partitioning": {"strategy": "bigquery_native"},
            "limits": {"max_tasks": 2, "finish_within": "1s"},
        })
    };
    let ran = world.run("run", &folder(json!({"url": "bigquery://shop/sales/wide"}))).await;
    assert_eq!(ran.code, Some(0), "{ran}");
    let report: Value = serde_json::from_str(&ran.stdout).expect("a report");
    assert_eq!((&report["rows"], &report["units"]), (&250_000.into(), &3.into()), "{report}");
}
