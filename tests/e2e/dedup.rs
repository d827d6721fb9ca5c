//! One row of each key, from the job file to the table.

use serde_json::{Value, json};
use sluice_tests::cloud::bigquery::Warehouse;

use crate::native::World;

/// 3,000 rows of 1,000 keys, some of which are NULL; of 100 keys two rows are the newest.
const VISITS: &str = "\
    CREATE TABLE sales.visits AS SELECT IF(k = 1000, NULL, k) AS customer, \
    TIMESTAMP_SECONDS(IF(MOD(k, 10) = 0 AND n = 2, 1, n)) AS at, \
    CONCAT(k, ' ', IF(MOD(k, 10) = 0 AND n = 2, 1, n)) AS note, \
    JSON '{\"a\": 1}' AS doc \
    FROM UNNEST(GENERATE_ARRAY(1, 1000)) AS k, UNNEST([0, 1, 2]) AS n";

const NEWEST: &str = "SELECT customer, at, note, TO_JSON_STRING(doc) FROM sales.visits WHERE TRUE \
    QUALIFY ROW_NUMBER() OVER (PARTITION BY customer ORDER BY at DESC) = 1";

/// Sums that tell whether the right rows arrived.
fn sums(from: &str) -> String {
    format!(
        "SELECT FORMAT('%d %d %t %t %t', COUNT(*), COUNTIF(customer IS NULL), SUM(customer), \
         SUM(UNIX_SECONDS(at)), STRING_AGG(note ORDER BY note)) FROM {from}"
    )
}

fn job(engine: &str, target: &str) -> Value {
    json!({
        "name": "nightly",
        "source": {"url": "bigquery://shop/sales/visits"},
        "engine": engine,
        "dedup": {"keys": ["customer"], "order": "at"},
        "target": {"table": Warehouse::target(target)},
        "bucket": "gs://lake/etl",
    })
}

/// Rows that BigQuery takes by itself, and rows that come in part files of several tasks.
#[tokio::test(flavor = "multi_thread")]
async fn the_newest_row_of_each_key_is_what_sql_says() {
    let Some(world) = World::start().await else { return };
    world.warehouse.query(VISITS).await;
    let expected = world.warehouse.query(&sums(&format!("({NEWEST})"))).await;
    for engine in ["native", "cloud_run"] {
        let ran = world.run("run", &job(engine, engine)).await;
        assert_eq!(ran.code, Some(0), "{ran}");
        let report: Value = serde_json::from_str(&ran.stdout).expect("a report");
        let dropped = &report["tables"][0]["dropped"];
        assert_eq!(*dropped, json!({"rows": 2000, "ties": 100}), "{report:#}");
        let shown = world.warehouse.query(&sums(&format!("sales.{engine}"))).await;
        assert_eq!(shown, expected, "{engine}");
    }
    assert_eq!(world.warehouse.tables().await, ["cloud_run", "native", "orders", "visits"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_choose_rows_says_so_before_it_reads_any() {
    let Some(world) = World::start().await else { return };
    let mut into_folder = job("cloud_run", "orders");
    into_folder["source"] = json!({"url": "bigquery://shop/sales/orders"});
    into_folder["dedup"] = json!({"keys": ["id"], "order": "at"});
    into_folder["target"]["table"] =
        format!("file://{}/w/orders", world.site.path().display()).into();
    let mut by_document = job("auto", "visits2");
    by_document["dedup"]["order"] = "doc".into();
    for (job, said) in [
        (into_folder, "`dedup` needs a query, and a folder of Parquet files has none"),
        (by_document, "`dedup.order` names `doc`, which is JSON"),
    ] {
        let ran = world.run("run", &job).await;
        assert_eq!(ran.code, Some(64), "{ran}");
        assert!(ran.stderr.contains(said), "{ran}");
    }
}
