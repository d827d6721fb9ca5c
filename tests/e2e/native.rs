//! Tables of BigQuery that go to BigQuery: nothing is extracted.

use std::fs;

use serde_json::{Value, json};
use sluice_contracts::documents::{Column, NativeQuery, NativeRows, TargetType};
use sluice_contracts::job::WriteDisposition;
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::storage::CloudStorage;
use sluice_tests::sluice::{Ended, Site};

/// Sums that tell whether all columns of all rows arrived.
const SUMS: &str = "SELECT FORMAT('%d %t %t %d %d %t %t', COUNT(*), SUM(amount), MAX(at), \
                    COUNTIF(note IS NULL), SUM(ARRAY_LENGTH(tags)), SUM(of.n), \
                    STRING_AGG(TO_JSON_STRING(doc) ORDER BY id LIMIT 1))";

pub(crate) struct World {
    pub(crate) storage: CloudStorage,
    pub(crate) warehouse: Warehouse,
    pub(crate) site: Site,
}

impl World {
    pub(crate) async fn start() -> Option<Self> {
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

    pub(crate) async fn run(&self, command: &str, job: &Value) -> Ended {
        let path = self.site.path().join("job.json");
        std::fs::write(&path, job.to_string()).expect("a job file");
        self.site.sluice([command.as_ref(), path.as_os_str(), "--json".as_ref()]).await
    }

    /// Runs a job, and checks that no part file was written for it.
    pub(crate) async fn moved(&self, job: &Value) -> Value {
        let ran = self.run("run", job).await;
        assert_eq!(ran.code, Some(0), "{ran}");
        assert_eq!(self.storage.gateway().count("", "parquet"), 0);
        serde_json::from_str(&ran.stdout).expect("a report")
    }

    async fn sums(&self, from: &str) -> Vec<String> {
        self.warehouse.query(&format!("{SUMS} FROM {from}")).await
    }
}

#[expect(clippy::needless_pass_by_value, reason = "tests give what they make")]
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
async fn the_plan_says_which_engine_moves_a_table_and_why() {
    let Some(world) = World::start().await else { return };
    world
        .warehouse
        .query("CREATE VIEW sales.late AS SELECT * FROM sales.orders WHERE id > 900")
        .await;
    for day in ["20260101", "20260102"] {
        world.warehouse.query(&format!("CREATE TABLE sales.events_{day} AS SELECT 1 AS i")).await;
    }
    let of = |table: &str| json!({"url": format!("bigquery://shop/sales/{table}")});
    let filtered = json!({"url": "bigquery://shop/sales/orders", "where": "day = '2026-01-03'"});
    let query =
        json!({"url": "bigquery://shop/sales", "query": "SELECT id, doc FROM sales.orders"});
    let mut by_tasks = job(of("orders"), "new");
    by_tasks["engine"] = "cloud_run".into();
    let mut folder = job(of("orders"), "new");
    folder["target"] =
        json!({"table": format!("file://{}/lake/orders", world.site.path().display())});
    folder["bucket"] = Value::Null;
    folder.as_object_mut().expect("a job").remove("bucket");
    for (name, job) in [
        ("native_plan_table", job(of("orders"), "new")),
        ("native_plan_filter", job(filtered, "new")),
        ("native_plan_query", job(query, "new")),
        ("native_plan_wildcard", job(of("events_2026*"), "new")),
        ("native_plan_view", job(of("late"), "new")),
        ("native_plan_by_tasks", by_tasks),
        ("native_plan_folder", folder),
    ] {
        let path = world.site.path().join("job.json");
        fs::write(&path, job.to_string()).expect("a job file");
        let planned = world.site.sluice(["plan".as_ref(), path.as_os_str()]).await;
        assert_eq!(planned.code, Some(0), "{planned}");
        let home = world.site.path().display().to_string();
        let said = planned.stdout.replace(&home, "[home]");
        insta::with_settings!({prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(name, said);
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_engine_can_move_is_refused_with_the_reason() {
    let Some(world) = World::start().await else { return };
    let rest = json!({"url": "bigquery://shop/sales/orders"});
    let mut folder = job(rest.clone(), "new");
    folder["target"] =
        json!({"table": format!("file://{}/lake/orders", world.site.path().display())});
    let mut dataflow = job(rest.clone(), "new");
    dataflow["engine"] = "dataflow".into();
    let mut native = folder.clone();
    native["engine"] = "native".into();
    let mut other = job(rest, "new");
    other["source"] = json!({"url": "bigquery://shop/sales/orders", "table": "lines"});
    let absent = job(json!({"url": "bigquery://shop/sales/orderz"}), "new");
    let wrong = job(json!({"url": "bigquery://shop/sales/orders", "where": "days > 3"}), "new");
    for (code, job, words) in [
        (
            64,
            dataflow,
            ["`engine: dataflow` cannot move it: `SLUICE_DATAFLOW_TEMPLATE`", "leave `engine` out"],
        ),
        (
            64,
            native,
            [
                "`engine: native` cannot move it: the target takes part files alone",
                "leave `engine` out",
            ],
        ),
        (64, other, ["it names a table besides the dataset", "`bigquery://project/dataset`"]),
        (
            1,
            absent,
            ["`shop.sales.orderz`: it does not exist", "`bq ls shop:sales` lists the tables"],
        ),
        (64, wrong, ["describe table `orders`: check the query", "days"]),
    ] {
        let path = world.site.path().join("job.json");
        fs::write(&path, job.to_string()).expect("a job file");
        world.site.sluice(["run".as_ref(), path.as_os_str()]).await.refused(code, &words);
    }
    assert_eq!(world.warehouse.tables().await, ["orders"]);
}

/// The moment is that of the plan, and not of the load.
#[tokio::test(flavor = "multi_thread")]
async fn rows_that_come_after_the_plan_are_not_taken() {
    let Some(world) = World::start().await else { return };
    let warehouse = &world.warehouse;
    let at = warehouse.query("SELECT CAST(UNIX_MILLIS(CURRENT_TIMESTAMP()) AS STRING)").await;
    let at = chrono::DateTime::from_timestamp_millis(at[0].parse().expect("a number"));
    warehouse.query("DELETE FROM sales.orders WHERE id > 10").await;
    let statement = format!(
        "SELECT id FROM sales.orders FOR SYSTEM_TIME AS OF TIMESTAMP_MILLIS({}) WHERE id > 900",
        at.expect("a moment").timestamp_millis()
    );
    for (copied, columns, rows) in
        [(vec!["shop.sales.orders".to_owned()], None, 1_000), (Vec::new(), Some("id"), 100)]
    {
        let query = NativeQuery {
            at,
            location: "US".to_owned(),
            rows: Some(1_000).filter(|_| columns.is_none()),
            copied,
            bytes: 0,
            unfiltered: None,
        };
        let mut load = crate::bigquery::load(warehouse, WriteDisposition::Truncate, &[]);
        load.target = Warehouse::target(&format!("moment_{rows}"));
        load.columns = vec![Column::plain("id", "int64", TargetType::Int64)];
        load.native = Some(NativeRows::Query { statement: statement.clone(), query });
        let loaded = crate::bigquery::loaded(warehouse, &load).await.expect("it is loaded");
        assert_eq!(loaded.rows, rows);
        let found = warehouse.query(&format!("SELECT COUNT(*) FROM sales.moment_{rows}")).await;
        assert_eq!(found, [rows.to_string()]);
    }
}

/// All tables of a dataset, in one transaction.
#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_is_moved_at_once() {
    let Some(world) = World::start().await else { return };
    world.warehouse.query("CREATE TABLE sales.lines AS SELECT 7 AS n, JSON '{}' AS doc").await;
    world.warehouse.query("CREATE VIEW sales.seen AS SELECT 1 AS x").await;
    let dataset = json!({"datasetReference": {"projectId": "shop", "datasetId": "copy"}});
    world.warehouse.post("datasets", &dataset).await;
    let job = json!({
        "name": "nightly",
        "source": {"url": "bigquery://shop/sales"},
        "tables": [{"table": "sales.*"}],
        "target": {"dataset": "bigquery://shop/copy"},
        "bucket": "gs://lake/etl",
        "all_or_nothing": true,
    });
    for _ in 0..2 {
        let report = world.moved(&job).await;
        assert_eq!(report["rows"], 1001, "{report}");
        assert_eq!(report["excluded"][0]["reason"], "it is a view and not a table", "{report}");
    }
    assert_eq!(world.sums("copy.orders").await, world.sums("sales.orders").await);
    assert_eq!(world.warehouse.query("SELECT n FROM copy.lines").await, ["7"]);
}

/// A query is carried out with the rights of the account that loads.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_select_is_carried_out() {
    let Some(world) = World::start().await else { return };
    world.warehouse.query("CREATE TABLE sales.victim AS SELECT 1 AS i").await;
    let condition = "true); DROP TABLE sales.victim; SELECT (1";
    let filtered = json!({"url": "bigquery://shop/sales/orders", "where": condition});
    let script = json!({"url": "bigquery://shop/sales", "query": "DROP TABLE sales.victim"});
    let mut folder = job(filtered.clone(), "new");
    folder["target"] =
        json!({"table": format!("file://{}/lake/orders", world.site.path().display())});
    for job in [job(filtered, "new"), job(script, "new"), folder] {
        let ran = world.run("run", &job).await;
        assert_eq!(ran.code, Some(64), "{ran}");
    }
    assert_eq!(world.warehouse.tables().await, ["orders", "victim"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_leaves_out_what_is_not_a_table_and_names_its_suffix() {
    let Some(world) = World::start().await else { return };
    for day in ["20260101", "20260102"] {
        let events = format!("CREATE TABLE sales.events_{day} AS SELECT {day} AS day");
        world.warehouse.query(&events).await;
    }
    world.warehouse.query("CREATE VIEW sales.events_20260103 AS SELECT 1 AS day").await;
    let of = |more: Value| {
        let mut source = json!({"url": "bigquery://shop/sales/events_2026*"});
        sluice_tests::sluice::merge(&mut source, &more);
        job(source, "events")
    };
    for (more, rows, warning) in [
        (json!({}), 2, "`events_20260103` of `events_2026*` is not a table, and is left out"),
        (json!({"where": "_TABLE_SUFFIX = '0102'"}), 1, "BigQuery keeps no earlier state of table"),
    ] {
        let planned = world.run("plan", &of(more.clone())).await;
        assert!(planned.stdout.contains(warning), "{planned}");
        let report = world.moved(&of(more)).await;
        assert_eq!(report["rows"], rows, "{report}");
    }
}
