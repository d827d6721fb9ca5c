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

/// A plan chooses Dataflow for what is too large for a query, and says what each engine takes.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_hands_over_what_is_too_large_for_a_query() {
    let Some(mut world) = World::start().await else { return };
    world.warehouse.query(VISITS).await;
    let asked = job("dataflow", "large");
    let refused = world.run("plan", &asked).await;
    assert_eq!(refused.code, Some(64), "{refused}");
    assert!(refused.stdout.contains("SLUICE_DATAFLOW_TEMPLATE"), "{refused}");

    world.site = world
        .site
        .with("SLUICE_DATAFLOW_TEMPLATE", "gs://lake/templates/sluice.json")
        .with("SLUICE_DATAFLOW_LOCATION", "projects/shop/locations/europe-west3")
        .with("SLUICE_DATAFLOW_ABOVE_ROWS", "2999");
    let plan = async |job: &Value| -> Value {
        let planned = world.run("plan", job).await;
        assert_eq!(planned.code, Some(0), "{planned}");
        serde_json::from_str(&planned.stdout).expect("a plan")
    };
    let engine = |plan: &Value| {
        let table = &plan["tables"][0];
        let engine = &table["engine"];
        (engine["engine"].clone(), engine["reason"].clone(), table["dataflow"].clone())
    };
    let (chosen, reason, workers) = engine(&plan(&job("auto", "large")).await);
    assert_eq!(chosen, "dataflow");
    assert_eq!(
        reason,
        "Dataflow keeps one row of each key: the table has 3,000 rows, and `dataflow.above_rows` is \
         2,999"
    );
    let small = json!({"machine_type": "n1-standard-2", "workers": 2, "max_workers": 10});
    assert_eq!(workers, small);
    let mut larger = job("auto", "large");
    larger["dataflow"] = json!({"above_rows": 3000, "size": "huge"});
    let (chosen, _, workers) = engine(&plan(&larger).await);
    assert_eq!((chosen, workers), ("native".into(), Value::Null));
    larger["dataflow"] = json!({"above_bytes": 10, "size": "huge", "flexrs": true});
    let (chosen, _, workers) = engine(&plan(&larger).await);
    let huge = json!({
        "machine_type": "n1-standard-4", "workers": 15, "max_workers": 50, "flexrs": true,
    });
    assert_eq!((chosen, workers), ("dataflow".into(), huge));
    // Without `dedup` a query never has to choose.
    larger.as_object_mut().expect("a job").remove("dedup");
    assert_eq!(engine(&plan(&larger).await).0, "native");

    let path = world.site.path().join("job.json");
    std::fs::write(&path, job("auto", "large").to_string()).expect("a job file");
    let shown = world.site.sluice(["plan".as_ref(), path.as_os_str()]).await;
    assert_eq!(shown.code, Some(0), "{shown}");
    let from = shown.stdout.find("\n  engines").expect("it compares the engines");
    let engines: Vec<&str> = shown.stdout[from..].lines().skip(1).take(4).collect();
    insta::assert_snapshot!(engines.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_choose_rows_says_so_before_it_reads_any() {
    let Some(world) = World::start().await else { return };
    world.warehouse.query(VISITS).await;
    let mut into_folder = job("cloud_run", "orders");
    into_folder["source"] = json!({"url": "bigquery://shop/sales/orders"});
    into_folder["dedup"] = json!({"keys": ["id"], "order": "at"});
    into_folder["target"]["table"] =
        format!("file://{}/w/orders", world.site.path().display()).into();
    let mut by_document = job("auto", "visits2");
    by_document["dedup"]["order"] = "doc".into();
    for (job, said) in [
        (into_folder, "`dedup` works by a query, and a folder of Parquet files cannot be queried"),
        (by_document, "`dedup.order` names `doc`, which is JSON"),
    ] {
        let ran = world.run("run", &job).await;
        assert_eq!(ran.code, Some(64), "{ran}");
        assert!(ran.stdout.contains(said), "{ran}");
    }
}
