//! The answers to Cloud Tasks and Pub/Sub.

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sluice_contracts::Kind;
use sluice_contracts::documents::{RunId, SnapshotPlan};
use tower::ServiceExt as _;

use super::cloud::Cloud;
use super::faults::{Fault, Faults};
use crate::{RunState, health, router};

async fn post(cloud: &Cloud, faults: &Faults, path: &str, body: String) -> (StatusCode, Value) {
    let router = router(Arc::new(cloud.loader(faults)));
    let request = Request::post(path).body(Body::from(body)).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

fn ended(cloud: &Cloud) -> String {
    let entry = json!({"protoPayload": {
        "status": {"code": 10, "message": "it failed"},
        "response": {"spec": {"template": {"spec": {"containers": [
            {"env": [{"name": "SLUICE_MANIFEST", "value": cloud.world.store.manifest_url()}]}
        ]}}}}
    }});
    json!({"message": {"data": STANDARD.encode(entry.to_string())}}).to_string()
}

#[tokio::test]
async fn a_request_and_an_execution_lead_to_a_check() {
    for pushed in [false, true] {
        let cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
        let (path, body) = if pushed {
            ("/executions".to_owned(), ended(&cloud))
        } else {
            (format!("/runs/{}/check", cloud.run()), String::new())
        };
        let sound = Faults::default();
        let (status, body_1) = post(&cloud, &sound, &path, body.clone()).await;
        assert_eq!((status, &body_1["state"]), (StatusCode::OK, &json!("extracting")));
        // The reported failure does not count: the tasks did all there was to do.
        cloud.world.prove_all(0).await;
        let (status, body_2) = post(&cloud, &sound, &path, body).await;
        assert_eq!((status, &body_2["state"]), (StatusCode::OK, &json!("ended")));
        assert_eq!(body_2["run"], cloud.run().to_string());
        cloud.assert_loaded(&path).await;
    }
}

#[tokio::test]
async fn what_would_be_delivered_in_vain_is_acknowledged_with_a_problem() {
    let cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
    let unknown = format!("/runs/{}/check", RunId::generate());
    let cases = [
        ("/executions", "", 422),
        ("/executions", "{}", 422),
        ("/executions", r#"{"message": {"data": "?"}}"#, 422),
        ("/executions", r#"{"message": {"data": "aGVsbG8="}}"#, 422),
        ("/runs/1/check", "", 422),
        ("/runs/..%2F..%2Fx/check", "{}", 422),
        (unknown.as_str(), "", 404),
    ];
    for (path, body, own) in cases {
        let (status, problem) = post(&cloud, &Faults::default(), path, body.into()).await;
        assert_eq!(status, StatusCode::OK, "{path} {body}");
        assert_eq!(problem["status"], own, "{path} {body}: {problem}");
    }
    let foreign = r#"{"message": {"data": "e30="}}"#.to_owned();
    let (status, body) = post(&cloud, &Faults::default(), "/executions", foreign).await;
    assert_eq!(status, StatusCode::OK);
    assert!(body["ignored"].is_string(), "{body}");
    assert!(cloud.queue.asked().is_empty());
}

#[tokio::test]
async fn what_may_come_out_otherwise_is_delivered_again() {
    let cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
    let path = format!("/runs/{}/check", cloud.run());
    let faults = Faults::at(3, Fault::FailBefore);
    let (status, problem) = post(&cloud, &faults, &path, String::new()).await;
    assert_eq!((status, &problem["kind"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("transient")));
    assert_eq!(cloud.queue.kinds(), ["again"]);
    let (status, _) = post(&cloud, &faults, "/executions", ended(&cloud)).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn what_an_operator_has_to_mend_is_looked_at_again_later() {
    let cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
    cloud.world.prove_all(0).await;
    cloud.topic.refuse(Kind::Denied);
    let path = format!("/runs/{}/check", cloud.run());
    let (status, problem) = post(&cloud, &Faults::default(), &path, String::new()).await;
    assert_eq!((status, &problem["kind"]), (StatusCode::OK, &json!("denied")));
    assert_eq!(cloud.queue.kinds(), ["again"]);
    assert!(cloud.world.store.announced().await.unwrap().is_none());
    cloud.topic.mend();
    let (_, body) = post(&cloud, &Faults::default(), &path, String::new()).await;
    assert_eq!(body["state"], "ended");
    cloud.assert_loaded("").await;
}

#[tokio::test]
async fn a_person_has_a_run_loaded_again_and_hears_what_is_wrong() {
    let mut cloud = Cloud::at_work(&[1, 1], SnapshotPlan::Held).await;
    cloud.world.prove_all(0).await;
    cloud.world.target.refuse = Some("t1");
    let sound = Faults::default();
    let path = format!("/runs/{}/load", cloud.run());
    // Not loaded yet: it is checked, and ends.
    let (status, body) = post(&cloud, &sound, &path, String::new()).await;
    assert_eq!((status, &body["state"]), (StatusCode::OK, &json!("ended")));
    assert_eq!(cloud.world.loads().len(), 1);
    cloud.world.target.refuse = None;
    let (status, body) = post(&cloud, &sound, &path, String::new()).await;
    assert_eq!((status, &body["state"]), (StatusCode::OK, &json!("ended")));
    assert_eq!(cloud.world.loads().len(), 2);

    for (path, status) in [
        ("/runs/1/load".to_owned(), StatusCode::UNPROCESSABLE_ENTITY),
        (format!("/runs/{}/load", RunId::generate()), StatusCode::NOT_FOUND),
    ] {
        assert_eq!(post(&cloud, &sound, &path, String::new()).await.0, status, "{path}");
    }
    let cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
    cloud.world.fail("e0", Kind::Denied, super::at(0, 0)).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    let path = format!("/runs/{}/load", cloud.run());
    let (status, problem) = post(&cloud, &sound, &path, String::new()).await;
    assert_eq!((status, &problem["kind"]), (StatusCode::CONFLICT, &json!("conflict")));
}

#[tokio::test]
async fn the_service_says_that_it_is_up() {
    let request = Request::get("/healthz").body(Body::empty()).unwrap();
    let response = health().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}
