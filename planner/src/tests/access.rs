//! What a job may name, and who may send one.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sluice_contracts::documents::LeastTls;
use sluice_runtime::http::Caller;

use super::{World, envelope, job, post};
use crate::rules::JobRules;

fn strict() -> JobRules {
    JobRules { sluice_inline_callers: vec!["ann@shop.example".to_owned()], ..super::rules() }
}

#[tokio::test]
async fn a_job_itself_is_taken_from_listed_callers_only() {
    let world = World::with(strict(), None);
    let body = json!({"job": job()});
    let (call, message) = (body.to_string(), envelope("7", &body).to_string());
    // A message that is refused is not to be delivered again.
    for (path, text, refusal) in
        [("/runs", &call, StatusCode::FORBIDDEN), ("/pubsub", &message, StatusCode::OK)]
    {
        for (email, status) in [
            (None, refusal),
            (Some("bob@shop.example"), refusal),
            (Some("ann@shop.example"), StatusCode::ACCEPTED),
        ] {
            let mut request = post(path, text.clone());
            request.extensions_mut().insert(Caller::new(email.map(str::to_owned)));
            let answer = world.send(request).await.unwrap();
            assert_eq!(answer.status, status, "{path} {email:?}: {}", answer.body);
            assert_eq!(answer.body["status"] == 403, status == refusal, "{}", answer.body);
        }
    }
    // A job file is the operator's: every caller may name it.
    world.put_job("shop", &job().to_string()).await;
    let answer = world.call(&json!({"job": "shop"})).await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
}

/// A task finds the source in an environment of its own, so it must know what was demanded.
#[tokio::test]
async fn what_the_operator_demands_of_connections_reaches_the_tasks() {
    let rules = JobRules { sluice_source_tls: LeastTls::VerifyFull, ..super::rules() };
    let world = World::with(rules, None);
    let answer = world.call(&json!({"job": job()})).await.unwrap();
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.body);
    let [run] = world.runs().await[..] else { panic!("one run") };
    world.plan(run).await.unwrap();
    assert_eq!(world.store(run).manifest().await.unwrap().least_tls, LeastTls::VerifyFull);
}

#[tokio::test]
async fn a_job_that_names_more_than_it_may_leads_to_no_run() {
    let world = World::new();
    for (url, list) in [
        ("${DB_PASSWORD}", "SLUICE_JOB_VARIABLES"),
        ("postgres://u@elsewhere.example/${DB_PASSWORD}", "SLUICE_JOB_VARIABLES"),
        ("postgres://u@elsewhere.example/d", "SLUICE_JOB_HOSTS"),
        ("${SOURCE_URL}/../../etc/passwd", "SLUICE_JOB_FILES"),
    ] {
        let mut named = job();
        named["source"]["url"] = Value::from(url);
        world.put_job("shop", &named.to_string()).await;
        for body in [json!({"job": "shop"}), json!({"job": named})] {
            let answer = world.call(&body).await.unwrap();
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{url}: {}", answer.body);
            let hint = answer.body["hint"].as_str().unwrap();
            assert!(hint.contains(list), "{url}: {hint}");
        }
        let pushed = world.push("m", &json!({"job": "shop"})).await.unwrap();
        assert_eq!((pushed.status, &pushed.body["status"]), (StatusCode::OK, &json!(403)));
    }
    assert!(world.runs().await.is_empty());
}
