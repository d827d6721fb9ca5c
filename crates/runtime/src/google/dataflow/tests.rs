//! What Dataflow is asked for, held against the document that it publishes of its API.

use serde_json::{Value, json};
use sluice_contracts::job::DataflowSize;

use super::*;

/// Refuses keys that the published schema of this name does not have.
fn require_known(schemas: &Value, schema: &str, value: &Value) {
    let known = &schemas[schema]["properties"];
    for (key, value) in value.as_object().unwrap() {
        let property = &known[key];
        assert!(property.is_object(), "`{schema}` has no `{key}`");
        match (&property["$ref"], &property["type"]) {
            (Value::String(name), _) => require_known(schemas, name, value),
            (_, Value::String(kind)) if kind == "integer" => assert!(value.is_u64(), "{key}"),
            (_, Value::String(kind)) if kind == "string" => assert!(value.is_string(), "{key}"),
            _ => {}
        }
        let words = property["enum"].as_array();
        assert!(words.is_none_or(|words| words.contains(value)), "`{key}` is `{value}`");
    }
}

#[test]
fn a_launch_is_one_that_dataflow_knows() {
    let settings = DataflowSettings {
        account: Some("workers@shop".to_owned()),
        subnetwork: Some("regions/eu/subnetworks/s".to_owned()),
        ..settings::tests::settings()
    };
    let workers = DataflowSize::Medium.workers(true);
    let body = launch_body(
        &settings,
        &DataflowJobRequest {
            name: "sluice-r-0-0-0",
            order: "gs://lake/order.json",
            temp: "gs://lake/temp",
            workers: &workers,
            run: "r",
        },
    );
    assert_eq!(
        body,
        json!({"launchParameter": {
            "jobName": "sluice-r-0-0-0",
            "containerSpecGcsPath": "gs://lake/sluice.json",
            "parameters": {"order": "gs://lake/order.json"},
            "environment": {
                "tempLocation": "gs://lake/temp",
                "stagingLocation": "gs://lake/temp",
                "machineType": "n1-standard-4",
                "numWorkers": 5,
                "maxWorkers": 20,
                "additionalUserLabels": {"sluice_run": "r"},
                "serviceAccountEmail": "workers@shop",
                "subnetwork": "regions/eu/subnetworks/s",
                "ipConfiguration": "WORKER_IP_PRIVATE",
                "flexrsGoal": "FLEXRS_COST_OPTIMIZED",
            },
        }})
    );
    let text = include_str!("../../../../../tests/fixtures/dataflow-discovery.json");
    let document: Value = serde_json::from_str(text).unwrap();
    require_known(&document["schemas"], "LaunchFlexTemplateRequest", &body);
}

#[test]
fn a_state_that_is_not_known_is_not_an_end() {
    for (state, known) in [
        ("JOB_STATE_DONE", DataflowState::Done),
        ("JOB_STATE_DRAINED", DataflowState::Drained),
        ("JOB_STATE_CANCELLING", DataflowState::AtWork),
        ("JOB_STATE_QUEUED", DataflowState::AtWork),
        ("", DataflowState::AtWork),
    ] {
        assert_eq!(DataflowState::of(state), known, "{state}");
    }
}
