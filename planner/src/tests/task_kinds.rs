//! Tasks of other sizes, and delayed ones.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sluice_contracts::documents::Manifest;

use super::ports::NO_SUCH_SIZE;
use super::{World, job, run_of};

#[tokio::test]
async fn a_plan_costs_what_the_tasks_that_it_asks_for_cost() {
    let world = World::new();
    let plan = async |cloud_run: Value| -> Manifest {
        let mut job = job();
        job["cloud_run"] = cloud_run;
        let run = run_of(&world.call(&json!({"job": job})).await.unwrap());
        world.plan(run).await.unwrap();
        world.store(run).manifest().await.unwrap()
    };
    let usual = plan(json!({})).await;
    assert!(usual.task_kind.is_default());
    for (cloud_run, times) in [
        // 1 vCPU and 2 GiB against 4 and 8: the price of both is four times as high.
        (json!({"task_size": "large"}), 4.0),
        (json!({"delay_execution": true}), 0.7),
        (json!({"task_size": "large", "delay_execution": true}), 2.8),
    ] {
        let manifest = plan(cloud_run.clone()).await;
        let found = manifest.estimate.dollars / usual.estimate.dollars;
        assert!((found - times).abs() < 1e-9, "{cloud_run}: {found}");
        let warned = manifest.warnings.iter().any(|warning| warning.contains("within 12 hours"));
        assert_eq!(warned, cloud_run["delay_execution"] == true, "{:?}", manifest.warnings);
    }
}

#[tokio::test]
async fn a_request_for_tasks_that_the_deployment_does_not_have_is_refused() {
    let world = World::new();
    let mut job = job();
    job["cloud_run"] = json!({"task_size": NO_SUCH_SIZE});
    let answer = world.call(&json!({"job": job})).await.unwrap();
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:?}");
    assert_eq!(answer.body["hint"], "it has others", "{answer:?}");
}
