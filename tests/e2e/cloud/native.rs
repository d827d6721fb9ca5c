//! Tables of BigQuery that planner and loader move without a task.

use serde_json::{Value, json};
use sluice_contracts::documents::EventName;
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::gateway::Gateway;
use sluice_tests::cloud::world::{Setting, World};
use sluice_tests::faults::counted;

use super::faults::spoil;

async fn world() -> Option<World> {
    let world = World::start(Setting::reading("sqlite:///absent.db")).await?;
    let orders = "CREATE TABLE sales.orders AS SELECT i AS id, CAST(i AS NUMERIC) AS total, 'x' AS note \
                  FROM UNNEST(GENERATE_ARRAY(1, 500)) AS i";
    world.warehouse.query(orders).await;
    Some(world)
}

fn request(source: &Value, target: &str) -> Value {
    json!({"job": {
        "name": "copies",
        "source": source,
        "target": {"table": Warehouse::target(target)},
    }})
}

async fn rows(world: &World, table: &str) -> Vec<String> {
    let sums = format!("SELECT FORMAT('%d %t', COUNT(*), SUM(total)) FROM sales.{table}");
    world.warehouse.query(&sums).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_a_copy_without_an_execution() {
    let Some(world) = world().await else { return };
    for (source, table, expected) in [
        (json!({"url": "bigquery://shop/sales/orders"}), "copy", "500 125250.000000000"),
        (
            json!({"url": "bigquery://shop/sales/orders", "where": "id > 400"}),
            "late",
            "100 45050.000000000",
        ),
    ] {
        let event = world.carry_out(&request(&source, table)).await;
        assert_eq!(event.event, EventName::Finished, "{event:?}");
        assert_eq!(rows(&world, table).await, [expected]);
    }
    assert_eq!(world.run.executions().len(), 0);
    assert_eq!(world.storage.gateway().count("", "parquet"), 0);
    let status = world
        .status(world.ask(&request(&json!({"url": "bigquery://shop/sales/orders"}), "copy")).await)
        .await;
    assert_eq!(status["job"], "copies", "{status:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dataset_that_the_operator_does_not_list_is_not_read() {
    let Some(world) = world().await else { return };
    let call = reqwest::Client::new().post(format!("{}/runs", world.planner.url()));
    let request = request(&json!({"url": "bigquery://shop/people/salaries"}), "copy");
    let answer = call.json(&request).send().await.expect("the planner answers");
    assert_eq!(answer.status(), 403);
    let problem: Value = answer.json().await.expect("it answers in JSON");
    assert!(problem.to_string().contains("SLUICE_JOB_DATASETS"), "{problem:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_and_bigquery_fail_every_few_requests_of_a_copy() {
    let Some(world) = world().await else { return };
    let source = json!({"url": "bigquery://shop/sales/orders"});
    for step in [9, 6, 4] {
        spoil(world.storage.gateway(), 0, step, 40);
        spoil(world.warehouse.gateway(), 0, step, 4);
        let event = world.carry_out(&request(&source, "copy")).await;
        world.storage.gateway().calm();
        world.warehouse.gateway().calm();
        assert_eq!(event.event, EventName::Finished, "{event:?}");
        assert_eq!(rows(&world, "copy").await, ["500 125250.000000000"]);
        assert_eq!(world.warehouse.tables().await, ["copy", "orders"]);
    }
    let spoilt = [world.storage.gateway(), world.warehouse.gateway()].map(Gateway::spoilt);
    counted(spoilt.iter().sum(), "requests of storage and BigQuery for copies");
}
