//! What the service says of a run in progress.

use axum::http::StatusCode;
use chrono::DateTime;
use serde_json::{Value, json};
use sluice_contracts::Kind;
use sluice_contracts::documents::{
    Committed, Decision, ErrorReport, Extracted, Receipt, RunId, Snapshot, TableOutcome, Verdict,
};

use super::faults::Fault;
use super::{World, job, run_of};

const LONG_AGO: DateTime<chrono::Utc> = DateTime::UNIX_EPOCH;

async fn accepted() -> (World, RunId) {
    let world = World::new();
    let request = json!({"job": job(), "run_key": "monday"});
    let run = run_of(&world.call(&request).await.unwrap());
    (world, run)
}

async fn state(world: &World, run: RunId) -> Value {
    let answer = world.status(run).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.body["state"].clone()
}

fn receipt(table: u32) -> Receipt {
    serde_json::from_value(json!({
        "version": 1, "table": table, "unit": 0, "snapshot": 0, "task": 0, "attempt": 0,
        "execution": "extract-0", "rows": 3, "bytes": 30, "parts": [], "seconds": 1.0,
        "finished": LONG_AGO,
    }))
    .unwrap()
}

fn verdict(decision: Decision) -> Verdict {
    let failure =
        ErrorReport { kind: Kind::Denied, message: "the server refuses".to_owned(), hint: None };
    match decision {
        Decision::Fail => Verdict::fail(failure, LONG_AGO),
        Decision::Commit => Verdict::commit(0, std::collections::BTreeMap::new(), LONG_AGO),
    }
}

fn committed(failure: Option<ErrorReport>) -> Committed {
    let ending = |table: &str, rows, failure| TableOutcome {
        table: table.to_owned(),
        target: format!("bigquery://lake/shop/{table}"),
        rows,
        dropped: None,
        overtaken_by: None,
        invalid: (rows > 0).then(|| ("amount".to_owned(), 2)).into_iter().collect(),
        bad_rows: 0,
        failure,
    };
    let tables = vec![ending("items", 0, None), ending("orders", 3, failure)];
    Committed { version: 1, tables, at: LONG_AGO }
}

fn snapshot() -> Snapshot {
    let token = String::new();
    Snapshot { version: 1, generation: 0, token, task: 0, attempt: 0, at: LONG_AGO }
}

/// A run that has a plan and no execution.
async fn planned() -> (World, RunId) {
    for step in 0.. {
        let (world, run) = accepted().await;
        assert_eq!(state(&world, run).await, "planning");
        world.faults.arm(step, Fault::Refused);
        world.plan(run).await.unwrap();
        let store = world.store(run);
        let launched = store.claim(0).await.unwrap().is_some();
        if store.manifest().await.is_ok() && !launched {
            return (world, run);
        }
        assert!(step < 50, "no step lies between plan and claim");
    }
    unreachable!("the steps have no end")
}

#[tokio::test]
async fn a_run_goes_through_its_states() {
    let (world, run) = planned().await;
    let store = world.store(run);
    assert_eq!(state(&world, run).await, "launching");

    world.plan(run).await.unwrap();
    assert_eq!(state(&world, run).await, "extracting");
    store.create_founder(&snapshot()).await.unwrap();
    store.create_receipt(&receipt(1)).await.unwrap();
    let answer = world.status(run).await;
    insta::with_settings!({filters => vec![
        (r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f-]{21}", "<run>"),
        (r"\d{4}-\d\d-\d\dT[\d:.]+Z", "<time>"),
    ]}, {
        insta::assert_snapshot!(format!("{:#}", answer.body));
    });

    let extracted = Extracted { version: 1, snapshot: 0, at: LONG_AGO };
    store.create_extracted(&extracted).await.unwrap();
    assert_eq!(state(&world, run).await, "loading");
    store.create_verdict(&verdict(Decision::Commit)).await.unwrap();
    assert_eq!(state(&world, run).await, "loading");
    store.create_committed(0, &committed(None)).await.unwrap();
    let answer = world.status(run).await;
    assert_eq!(answer.body["state"], "finished");
    assert_eq!(answer.body["rows"], 3);
    assert_eq!(answer.body["tables"][0].get("invalid"), None);
    assert_eq!(answer.body["tables"][1]["invalid"], json!({"amount": 2}));

    // The same request, sent again, is answered with the present state of its run.
    let again = world.call(&json!({"job": job(), "run_key": "monday"})).await.unwrap();
    assert_eq!((run_of(&again), &again.body["state"]), (run, &json!("finished")));
}

#[tokio::test]
async fn a_run_that_failed_says_why() {
    let (world, run) = accepted().await;
    world.store(run).create_verdict(&verdict(Decision::Fail)).await.unwrap();
    let answer = world.status(run).await;
    assert_eq!(answer.body["state"], "failed");
    assert_eq!(answer.body["failure"]["message"], "the server refuses");
}

#[tokio::test]
async fn a_run_that_lacks_a_table_failed() {
    let (world, run) = accepted().await;
    world.plan(run).await.unwrap();
    let store = world.store(run);
    let failure = verdict(Decision::Fail).failure;
    store.create_verdict(&verdict(Decision::Commit)).await.unwrap();
    store.create_committed(0, &committed(failure)).await.unwrap();
    let answer = world.status(run).await;
    assert_eq!(answer.body["state"], "failed");
    assert_eq!(answer.body["tables"][1]["failure"]["message"], "the server refuses");
    assert_eq!(answer.body["tables"][0].get("failure"), None);
}

#[tokio::test]
async fn a_platform_that_does_not_answer_costs_the_link_to_its_log_only() {
    let (world, run) = accepted().await;
    world.plan(run).await.unwrap();
    let mut without = 0;
    for step in 0.. {
        world.faults.arm(step, Fault::Refused);
        let answer = world.status(run).await;
        if answer.status == StatusCode::OK && answer.body["links"].get("log").is_none() {
            without += 1;
        } else if answer.status == StatusCode::OK {
            break;
        }
    }
    assert!(without > 0);
}

#[tokio::test]
async fn an_unknown_run_is_not_found() {
    let world = World::new();
    let answer = world.status(RunId::generate()).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
}

/// What one more planning of a job reads and writes: calls of all ports, and objects listed.
async fn cost_of_planning(world: &World, request: &Value) -> (usize, usize) {
    let run = run_of(&world.call(request).await.unwrap());
    let before = world.faults.counted();
    world.plan(run).await.unwrap();
    world.assert_launched(run).await;
    let after = world.faults.counted();
    (after.0 - before.0, after.1 - before.1)
}

#[tokio::test]
async fn planning_costs_the_same_however_many_runs_there_were() {
    let world = World::new();
    let mut other = job();
    other["name"] = json!("other");
    let (own, other) = (json!({"job": job()}), json!({"job": other}));
    for _ in 0..5 {
        cost_of_planning(&world, &own).await;
    }
    let early = cost_of_planning(&world, &own).await;
    for _ in 0..120 {
        cost_of_planning(&world, &other).await;
    }
    for _ in 0..5 {
        assert_eq!(cost_of_planning(&world, &own).await, early);
    }
}
