//! The answers to wrong requests.

use std::fmt::Write as _;

use axum::http::StatusCode;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::{World, envelope, job, post};

/// Bodies that lead to no run, by what is wrong with them.
fn wrong() -> Vec<(&'static str, String)> {
    let mut other_bucket = job();
    other_bucket["bucket"] = json!("gs://elsewhere");
    let mut other_target = job();
    other_target["target"]["dataset"] = json!("file:///warehouse/shop");
    let mut many = job();
    many["taget"] = json!(1);
    many["limits"] = json!({"max_tasks": 0});
    let mut password = job();
    password["source"]["url"] = json!("postgres://etl:s3cret@db/shop");
    let json = |value: Value| value.to_string();
    vec![
        ("nothing", String::new()),
        ("no JSON", "{\"job\": \"s3cret".to_owned()),
        ("no mapping", json(json!(["shop"]))),
        ("no job", json(json!({"run_key": "monday"}))),
        ("an unknown key", json(json!({"job": "shop", "runkey": "monday"}))),
        ("two unknown keys", json(json!({"jobb": "shop", "x": 1}))),
        ("a job that is a number", json(json!({"job": 7}))),
        ("a name that is a path", json(json!({"job": "../secrets"}))),
        ("a name that is too long", json(json!({"job": "x".repeat(101)}))),
        ("an empty key", json(json!({"job": "shop", "run_key": ""}))),
        ("a key that is a number", json(json!({"job": "shop", "run_key": 7}))),
        ("a name that no file has", json(json!({"job": "nowhere"}))),
        ("a file that is not YAML", json(json!({"job": "broken"}))),
        ("a file that is empty", json(json!({"job": "empty"}))),
        ("a job with much that is wrong", json(json!({"job": many}))),
        ("a job with a password", json(json!({"job": password}))),
        ("another bucket", json(json!({"job": other_bucket}))),
        ("an unknown target", json(json!({"job": other_target}))),
        ("more than 1 MiB", format!("{{\"job\": \"{}\"}}", "x".repeat(1 << 20))),
    ]
}

async fn world() -> World {
    let world = World::new();
    world.put_job("broken", "name: [s3cret").await;
    world.put_job("empty", "").await;
    world
}

#[tokio::test]
async fn a_wrong_request_is_answered_with_what_is_wrong() {
    let world = world().await;
    let mut page = String::new();
    for (name, body) in wrong() {
        let answer = world.send(post("/runs", body)).await.unwrap();
        writeln!(page, "# {name}: {}\n{:#}\n", answer.status, answer.body).unwrap();
    }
    assert!(!page.contains("s3cret"), "{page}");
    insta::assert_snapshot!(page);
    assert!(world.runs().await.is_empty());
}

#[tokio::test]
async fn a_wrong_message_is_acknowledged_and_says_the_same() {
    let world = world().await;
    for (name, body) in wrong() {
        let direct = world.send(post("/runs", body.clone())).await.unwrap();
        let mut wrapped = envelope("m", &Value::Null);
        wrapped["message"]["data"] = json!(BASE64_STANDARD.encode(body));
        let pushed = world.send(post("/pubsub", wrapped.to_string())).await.unwrap();
        assert_eq!(pushed.status, StatusCode::OK, "{name}");
        assert_eq!(pushed.body, direct.body, "{name}");
        assert_eq!(pushed.body["status"], direct.status.as_u16(), "{name}");
    }
    assert!(world.runs().await.is_empty());
}

#[tokio::test]
async fn what_is_no_message_or_no_address_is_answered_too() {
    let world = world().await;
    let no_base64 = json!({"message": {"data": "%s3cret%", "messageId": "m"}});
    let mut page = String::new();
    for (name, path, body) in [
        ("a request where a message belongs", "/pubsub", json!({"job": "s3cret"}).to_string()),
        ("a message that is not Base64", "/pubsub", no_base64.to_string()),
        ("a message without data", "/pubsub", json!({"message": {"messageId": "m"}}).to_string()),
        ("the plan of no run", "/runs/x/plan", String::new()),
        (
            "the plan of a run that no request asked for",
            "/runs/0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90/plan",
            String::new(),
        ),
        ("no address", "/run", String::new()),
    ] {
        let answer = world.send(post(path, body)).await.unwrap();
        writeln!(page, "# {name}: {}\n{:#}\n", answer.status, answer.body).unwrap();
    }
    assert!(!page.contains("s3cret"), "{page}");
    insta::assert_snapshot!(page);
}

#[tokio::test]
async fn what_is_not_the_requests_fault_is_not_acknowledged() {
    let world = world().await;
    let body = envelope("m", &json!({"job": job()})).to_string();
    world.faults.arm(0, super::faults::Fault::Refused);
    let answer = world.send(post("/pubsub", body.clone())).await.unwrap();
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    let answer = world.send(post("/pubsub", body)).await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED);
}
