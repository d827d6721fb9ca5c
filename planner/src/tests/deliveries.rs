//! Messages that come more than once, in any order, and together.

use std::collections::{BTreeMap, BTreeSet};

use axum::http::{Request, StatusCode};
use futures::future::join_all;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;
use sluice_contracts::Kind;
use sluice_contracts::documents::{ErrorReport, RunId, Verdict};

use super::{Answer, World, job, post, run_of};

/// Worlds that are tried.
const WORLDS: u64 = 60;

/// One delivery of something.
#[derive(Debug, Clone)]
enum Delivery {
    Message(usize),
    Plan(RunId),
}

#[tokio::test]
async fn messages_delivered_again_and_reordered_are_one_run_each_with_one_claim() {
    let (mut deliveries, mut duplicates) = (0, 0);
    for seed in 0..WORLDS {
        let mut random = StdRng::seed_from_u64(seed);
        let world = World::new();
        world.put_job("shop", &job().to_string()).await;
        let messages = random.random_range(1..=3);
        let mut waiting = Vec::new();
        for message in 0..messages {
            let copies = random.random_range(1..=5);
            waiting.extend(std::iter::repeat_n(Delivery::Message(message), copies));
        }
        let mut runs: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
        while !waiting.is_empty() {
            waiting.shuffle(&mut random);
            let together = random.random_range(1..=waiting.len().min(3));
            let now: Vec<Delivery> = waiting.drain(..together).collect();
            deliveries += now.len();
            let answers = join_all(now.iter().map(|delivery| deliver(&world, delivery))).await;
            for (delivery, answer) in now.iter().zip(answers) {
                match delivery {
                    Delivery::Message(message) => {
                        runs.entry(*message).or_default().insert(run_of(&answer).to_string());
                    }
                    Delivery::Plan(_) => assert_eq!(answer.status, StatusCode::NO_CONTENT),
                }
            }
            // The queue delivers every plan, even one that was asked for twice.
            for run in world.queue.take_plans() {
                let copies = random.random_range(1..=5);
                waiting.extend(std::iter::repeat_n(Delivery::Plan(run), copies));
            }
        }
        assert_eq!(runs.len(), messages, "seed {seed}");
        assert!(runs.values().all(|runs| runs.len() == 1), "seed {seed}: {runs:?}");
        assert_eq!(world.runs().await.len(), messages, "seed {seed}");
        for run in world.runs().await {
            world.assert_launched(run).await;
        }
        // Every execution but the claimed ones was cancelled.
        assert_eq!(world.platform.all(), messages + world.platform.cancelled().len());
        duplicates += world.platform.cancelled().len();
    }
    println!(
        "faults: {deliveries} messages and calls of the planner repeated, reordered or together \
         ({duplicates} second executions cancelled)"
    );
    assert!(duplicates > 0, "nothing ever came together");
}

async fn deliver(world: &World, delivery: &Delivery) -> Answer {
    let answer = match delivery {
        Delivery::Message(message) => {
            world.push(&format!("m{message}"), &json!({"job": "shop"})).await
        }
        Delivery::Plan(run) => world.plan(*run).await,
    };
    answer.unwrap()
}

#[tokio::test]
async fn a_job_file_that_changes_between_two_deliveries_changes_no_run() {
    let world = World::new();
    let request = json!({"job": "shop", "run_key": "monday"});
    world.put_job("shop", &job().to_string()).await;
    let run = run_of(&world.call(&request).await.unwrap());

    let mut changed = job();
    changed["target"]["dataset"] = json!("bigquery://lake/other");
    for text in [changed.to_string(), "name: [".to_owned()] {
        world.put_job("shop", &text).await;
        assert_eq!(run_of(&world.call(&request).await.unwrap()), run);
    }
    world.plan(run).await.unwrap();
    let manifest = world.store(run).manifest().await.unwrap();
    let table = &manifest.tables[0];
    assert!(table.target.starts_with("bigquery://lake/shop"), "{table:?}");
    assert!(table.warnings.contains(&"its policies are lost".to_owned()), "{table:?}");
    // A request of its own finds the file as it is now.
    let answer = world.call(&json!({"job": "shop"})).await.unwrap();
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
}

#[tokio::test]
async fn requests_without_a_key_are_runs_of_their_own() {
    let world = World::new();
    let request = json!({"job": job()});
    let one = run_of(&world.call(&request).await.unwrap());
    let two = run_of(&world.call(&request).await.unwrap());
    assert_ne!(one, two);
    assert_eq!(world.queue.take_plans(), [one, two]);
}

#[tokio::test]
async fn cloud_scheduler_that_calls_again_for_the_same_time_gets_the_same_run() {
    let world = World::new();
    let call = |time: &'static str| {
        let (mut head, body) = post("/runs", json!({"job": job()}).to_string()).into_parts();
        head.headers.insert("X-CloudScheduler-JobName", "nightly".parse().unwrap());
        head.headers.insert("X-CloudScheduler-ScheduleTime", time.parse().unwrap());
        world.send(Request::from_parts(head, body))
    };
    let first = run_of(&call("2026-01-01T03:00:00Z").await.unwrap());
    assert_eq!(run_of(&call("2026-01-01T03:00:00Z").await.unwrap()), first);
    assert_ne!(run_of(&call("2026-01-02T03:00:00Z").await.unwrap()), first);
}

#[tokio::test]
async fn no_plan_has_more_tasks_than_run_at_once() {
    let mut quick = job();
    // A task for each of the two tables, if there may be as many.
    quick["limits"] = json!({"finish_within": "1ms"});
    for (of_the_job, of_the_operator, tasks) in [
        (None, None, 2),
        (Some(1), None, 1),
        (None, Some(1), 1),
        (Some(100), Some(1), 1),
        (Some(1), Some(100), 1),
        (Some(250), None, 2),
    ] {
        let world = World::with_most_tasks(of_the_operator);
        *world.platform.parallelism.lock().unwrap() = of_the_job;
        let run = run_of(&world.call(&json!({"job": quick})).await.unwrap());
        world.plan(run).await.unwrap();
        let manifest = world.store(run).manifest().await.unwrap();
        assert_eq!(manifest.tasks.len(), tasks, "{of_the_job:?} {of_the_operator:?}");
    }
}

/// Ends a run as failed.
async fn fail(world: &World, run: RunId) {
    let why = ErrorReport { kind: Kind::Denied, message: "no right".to_owned(), hint: None };
    let verdict = Verdict::fail(why, chrono::Utc::now());
    world.store(run).create_verdict(&verdict).await.unwrap();
}

#[tokio::test]
async fn a_failed_run_of_a_key_is_tried_again_when_the_request_says_so_and_only_then() {
    let world = World::new();
    let plain = json!({"job": job(), "run_key": "monday"});
    let retry = json!({"job": job(), "run_key": "monday", "retry": true});
    // Before anything failed, both are the same request.
    let first = run_of(&world.call(&retry).await.unwrap());
    assert_eq!(run_of(&world.call(&plain).await.unwrap()), first);
    assert_eq!(run_of(&world.call(&retry).await.unwrap()), first);
    let mut runs = vec![first];
    for _ in 0..3 {
        let last = *runs.last().unwrap();
        fail(&world, last).await;
        let again = world.call(&plain).await.unwrap();
        assert_eq!((run_of(&again), &again.body["state"]), (last, &json!("failed")));
        let next = run_of(&world.call(&retry).await.unwrap());
        assert!(!runs.contains(&next), "{next} {runs:?}");
        // Either request leads to the newest run from now on.
        assert_eq!(run_of(&world.call(&retry).await.unwrap()), next);
        assert_eq!(run_of(&world.call(&plain).await.unwrap()), next);
        let request = world.store(next).request().await.unwrap().unwrap();
        assert_eq!(request.run_key.as_deref(), Some("monday"));
        world.plan(next).await.unwrap();
        world.assert_launched(next).await;
        runs.push(next);
    }
}

#[tokio::test]
async fn a_failed_run_that_many_try_again_at_once_is_one_new_run() {
    for seed in 0..WORLDS {
        let mut random = StdRng::seed_from_u64(seed);
        let world = World::new();
        let body = |retry: bool| json!({"job": job(), "run_key": "monday", "retry": retry});
        let first = run_of(&world.call(&body(false)).await.unwrap());
        fail(&world, first).await;
        let wishes: Vec<bool> = (0..6).map(|_| random.random_bool(0.7)).collect();
        let bodies: Vec<_> = wishes.iter().map(|retry| body(*retry)).collect();
        let answers = join_all(bodies.iter().map(|body| world.call(body))).await;
        let runs: Vec<RunId> = answers.into_iter().map(|answer| run_of(&answer.unwrap())).collect();
        let tried: BTreeSet<String> = std::iter::zip(&wishes, &runs)
            .filter(|(retry, _)| **retry)
            .map(|(_, run)| run.to_string())
            .collect();
        assert_eq!(tried.len(), usize::from(wishes.contains(&true)), "seed {seed}: {runs:?}");
        assert!(!tried.contains(&first.to_string()), "seed {seed}");
        assert_eq!(world.runs().await.len(), 1 + tried.len(), "seed {seed}");
    }
}

#[tokio::test]
async fn only_a_key_of_the_callers_own_can_be_tried_again() {
    let world = World::new();
    for body in [json!({"job": job(), "retry": true}), json!({"job": job(), "retry": "yes"})] {
        let answer = world.call(&body).await.unwrap();
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{answer:?}");
        assert!(answer.body["detail"].as_str().unwrap().contains("retry"), "{answer:?}");
    }
    assert!(world.runs().await.is_empty());
}

#[tokio::test]
async fn a_message_that_is_delivered_again_after_a_failure_starts_nothing() {
    let world = World::new();
    let run = run_of(&world.push("m", &json!({"job": job(), "run_key": "monday"})).await.unwrap());
    fail(&world, run).await;
    for body in [
        json!({"job": job(), "retry": true}),
        json!({"job": job(), "run_key": "monday", "retry": true}),
    ] {
        let pushed = world.push("n", &body).await.unwrap();
        assert_eq!(pushed.body["status"], 422, "{pushed:?}");
        assert!(pushed.body["hint"].as_str().unwrap().contains("`POST /runs`"), "{pushed:?}");
    }
    assert_eq!(world.runs().await, [run]);
}
