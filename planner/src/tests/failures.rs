//! After a failure of any kind at any step, the planner goes on when it is called again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::http::StatusCode;
use futures::future::join_all;
use serde_json::json;
use sluice_contracts::Kind;
use sluice_contracts::documents::{Decision, EventName, Request, RunId};

use super::faults::Fault;
use super::{World, job, run_of};

/// Delivers a message, and then what the planner asks for, until both are answered with success.
async fn carry_through(world: &World) -> RunId {
    let mut answer = None;
    for _ in 0..5 {
        answer = world.push("m", &json!({"job": "shop"})).await;
        match &answer {
            Some(answer) if answer.status == StatusCode::ACCEPTED => break,
            Some(answer) => assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE),
            None => {}
        }
    }
    let run = run_of(&answer.expect("the planner lives again"));
    assert!(world.queue.take_plans().contains(&run));
    for _ in 0..5 {
        match world.plan(run).await {
            Some(answer) if answer.status == StatusCode::NO_CONTENT => return run,
            Some(answer) => assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE),
            None => {}
        }
    }
    panic!("run `{run}` is not planned");
}

/// Carries runs through with one fault each, at every step in turn.
async fn at_every_step(wrong: Option<Kind>, check: impl AsyncFn(&World, RunId, Fault)) {
    for fault in Fault::ALL {
        let mut steps = 0;
        loop {
            let world = World::new();
            world.put_job("shop", &job().to_string()).await;
            *world.target.wrong.lock().unwrap() = wrong;
            world.faults.arm(steps, fault);
            let run = carry_through(&world).await;
            let fired = world.faults.disarm();
            assert_eq!(world.runs().await, [run], "{fault:?} at {steps}");
            check(&world, run, fault).await;
            if !fired {
                break;
            }
            steps += 1;
        }
        println!("faults: {steps} steps of the planner ({fault:?})");
        assert!(steps > 15, "{fault:?} was tried at {steps} steps only");
    }
}

#[tokio::test]
async fn a_run_is_launched_once_whatever_fails_on_the_way() {
    at_every_step(None, async |world, run, fault| {
        let claim = world.assert_launched(run).await;
        assert!(world.listener.heard().is_empty());
        // If its name was lost, an execution remains that neither has a claim nor was cancelled:
        // its tasks find the claim of the other.
        let started = world.platform.started(&world.store(run).manifest_url());
        let idle = started.len() - 1 - world.platform.cancelled().len();
        assert!(idle <= 1, "{fault:?}: {started:?} {claim:?}");
    })
    .await;
}

#[tokio::test]
async fn a_run_that_cannot_be_planned_fails_once_whatever_fails_on_the_way() {
    at_every_step(Some(Kind::NotFound), async |world, run, _| {
        let store = world.store(run);
        let verdict = store.verdict().await.unwrap().unwrap();
        assert_eq!(verdict.decision, Decision::Fail);
        assert_eq!(verdict.failure.as_ref().unwrap().kind, Kind::NotFound);
        let heard = world.listener.heard();
        let announced = store.announced().await.unwrap().unwrap();
        assert!(!heard.is_empty() && heard.iter().all(|event| *event == announced), "{heard:?}");
        assert_eq!((announced.event, announced.job.as_str()), (EventName::Failed, "shop"));
        assert_eq!((announced.run_key.as_deref(), announced.tables.len()), (Some("m"), 0));
        assert_eq!(announced.failure, verdict.failure);
        assert_eq!(store.manifest().await.unwrap_err().kind(), Kind::NotFound);
        assert_eq!(world.platform.all(), 0);
        // Delivered once more, it announces nothing.
        world.plan(run).await.unwrap();
        assert_eq!(world.listener.heard().len(), heard.len());
    })
    .await;
}

#[tokio::test]
async fn a_failure_that_may_pass_ends_the_run_when_its_time_is_up_and_not_before() {
    let world = World::new();
    let run = run_of(&world.call(&json!({"job": job(), "run_key": "monday"})).await.unwrap());
    *world.target.wrong.lock().unwrap() = Some(Kind::Transient);
    for _ in 0..50 {
        let answer = world.plan(run).await.unwrap();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(answer.body["hint"], "make the dataset");
        assert_eq!(world.store(run).verdict().await.unwrap(), None);
    }
    // The same request, more than an hour old.
    let request = world.store(run).request().await.unwrap().unwrap();
    let at = request.at - chrono::TimeDelta::minutes(61);
    let old = Request { run: RunId::generate(), at, ..request };
    let run = old.run;
    world.store(run).create_request(&old).await.unwrap();
    assert_eq!(world.plan(run).await.unwrap().status, StatusCode::NO_CONTENT);
    let [event] = &world.listener.heard()[..] else { panic!("{:?}", world.listener.heard()) };
    let failure = event.failure.as_ref().unwrap();
    assert!(failure.message.contains("after 60 minutes: plan job `shop`: "), "{failure:?}");
    assert_eq!(failure.hint.as_deref(), Some("make the dataset"));
    // The target works again, but too late.
    *world.target.wrong.lock().unwrap() = None;
    assert_eq!(world.plan(run).await.unwrap().status, StatusCode::NO_CONTENT);
    assert_eq!(world.platform.all(), 0);
}

#[tokio::test]
async fn a_run_whose_tasks_read_already_is_not_given_up_for_a_failure_that_may_pass() {
    let world = World::new();
    let run = run_of(&world.call(&json!({"job": job()})).await.unwrap());
    world.plan(run).await.unwrap();
    world.assert_launched(run).await;
    // Request, verdict, manifest, the order twice, its claim: then the queue.
    for step in 0..12 {
        world.faults.arm(step, Fault::Refused);
        world.plan(run).await.unwrap();
        assert_eq!(world.store(run).verdict().await.unwrap(), None, "step {step}");
    }
    assert!(world.faults.disarm());
}

#[tokio::test]
async fn a_run_that_fails_after_its_launch_is_cancelled_unless_it_is_to_be_loaded() {
    let world = World::new();
    let run = run_of(&world.call(&json!({"job": job()})).await.unwrap());
    world.plan(run).await.unwrap();
    let claim = world.assert_launched(run).await;
    let store = world.store(run);
    let verdict = sluice_contracts::documents::Verdict {
        version: 1,
        decision: Decision::Fail,
        snapshot: None,
        given_up: std::collections::BTreeMap::new(),
        failure: None,
        at: chrono::DateTime::UNIX_EPOCH,
    };
    store.create_verdict(&verdict).await.unwrap();
    world.plan(run).await.unwrap();
    assert_eq!(world.platform.cancelled(), [claim.execution]);
    let tables = &world.listener.heard()[0].tables;
    let names: Vec<&str> = tables.iter().map(|table| table.table.as_str()).collect();
    assert_eq!(names, ["items", "orders"]);

    let other = run_of(&world.call(&json!({"job": job()})).await.unwrap());
    world.plan(other).await.unwrap();
    let commit = sluice_contracts::documents::Verdict { decision: Decision::Commit, ..verdict };
    world.store(other).create_verdict(&commit).await.unwrap();
    world.plan(other).await.unwrap();
    assert_eq!(world.platform.cancelled().len(), 1);
    assert_eq!(world.listener.heard().len(), 1);
}

#[tokio::test]
async fn a_bucket_in_which_nothing_may_be_deleted_fails_no_run() {
    let world = World::new();
    world.faults.deletes_refused.store(true, Ordering::SeqCst);
    for day in 0..5 {
        let request = json!({"job": job(), "run_key": format!("day {day}")});
        let run = run_of(&world.call(&request).await.unwrap());
        assert_eq!(world.plan(run).await.unwrap().status, StatusCode::NO_CONTENT);
        world.assert_launched(run).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_planning_ends_whatever_hangs_and_one_without_a_place_does_not_wait_for_it() {
    let world = World::new();
    world.platform.stuck.store(true, Ordering::SeqCst);
    let mut runs = Vec::new();
    for _ in 0..6 {
        runs.push(run_of(&world.call(&json!({"job": job()})).await.unwrap()));
    }
    let plannings = join_all(runs.iter().map(|run| world.plan(*run)));
    let answers = tokio::time::timeout(Duration::from_hours(1), plannings).await;
    let mut said = Vec::new();
    for answer in answers.expect("every planning ends") {
        let answer = answer.unwrap();
        assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{answer:?}");
        said.push(answer.body["detail"].as_str().unwrap().to_owned());
    }
    let last = said.pop().unwrap();
    assert!(last.ends_with("5 other runs are being planned"), "{last}");
    for said in said {
        let (what, step) = said.split_once("; the last step was: ").unwrap();
        assert!(what.ends_with("not done after 10 minutes"), "{said}");
        assert_eq!(step, "ask how many tasks run at once");
    }
    world.platform.stuck.store(false, Ordering::SeqCst);
    tokio::time::resume();
    for run in runs {
        world.plan(run).await.unwrap();
        world.assert_launched(run).await;
    }
}
