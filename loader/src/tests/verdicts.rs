//! Which loader decides what becomes of a run, and by which documents.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta};
use object_store::ObjectStoreExt as _;
use sluice_contracts::Kind;
use sluice_contracts::documents::{Decision, ErrorReport, Failure, Request, SnapshotPlan, Verdict};

use super::at;
use super::cloud::{Cloud, with_tasks};
use super::faults::Faults;
use crate::RunState;

#[tokio::test]
async fn of_two_loaders_that_decide_otherwise_one_decides_for_both() {
    let (mut commits, mut fails) = (0, 0);
    for seed in 0..300 {
        let mut cloud = Cloud::at_work(&[2], SnapshotPlan::Held).await;
        cloud.world.prove(0, at(0, 0)).await;
        cloud.pass(TimeDelta::hours(24));
        let (one, two) =
            (cloud.loader(&Faults::mixed(seed)), cloud.loader(&Faults::mixed(seed + 7777)));
        let late = cloud.now;
        // One sees a run that is overdue, the other one that is complete.
        let finish = async {
            for _ in 0..seed % 40 {
                tokio::task::yield_now().await;
            }
            cloud.world.prove(0, at(0, 1)).await;
            two.check(cloud.run(), late - TimeDelta::minutes(1)).await
        };
        let (first, second) = tokio::join!(one.check(cloud.run(), late), finish);
        assert_eq!((first.unwrap(), second.unwrap()), (RunState::Ended, RunState::Ended));
        let verdict = cloud.world.store.verdict().await.unwrap().unwrap();
        match verdict.decision {
            Decision::Commit => {
                cloud.assert_loaded("").await;
                commits += 1;
            }
            Decision::Fail => {
                cloud.assert_failed("").await;
                fails += 1;
            }
        }
    }
    println!("faults: {} races of loaders ({commits} loaded, {fails} failed)", commits + fails);
    assert!(commits > 0 && fails > 0, "{commits} {fails}");
}

#[tokio::test]
async fn a_run_that_was_decided_against_is_never_loaded() {
    let cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
    let failure =
        ErrorReport { kind: Kind::Denied, message: "plan".into(), hint: Some("grant it".into()) };
    cloud.world.store.create_verdict(&Verdict::fail(failure, cloud.now)).await.unwrap();
    cloud.world.prove_all(0).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    assert_eq!(cloud.assert_failed("").await, "plan");
    assert_eq!(cloud.world.commit().await.unwrap_err().kind(), Kind::Denied);
    assert!(cloud.world.loads().is_empty());
}

#[tokio::test]
async fn a_snapshot_that_is_complete_later_changes_nothing() {
    let mut cloud = Cloud::at_work(&[2, 1], SnapshotPlan::Held).await;
    cloud.world.target.pending = 2;
    cloud.world.prove_all(0).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Loading);
    cloud.world.found(1).await;
    cloud.world.prove_all(1).await;
    cloud.check_to_the_end().await;
    let loads = cloud.world.loads();
    assert_eq!(loads.len(), 2, "no table is loaded from both");
    assert!(loads.iter().all(|load| load.snapshot == 0));
}

#[tokio::test]
async fn a_failure_for_good_starts_nothing_again() {
    for (ended, unit) in [(false, Some((0, 0))), (true, Some((0, 0))), (false, None), (true, None)]
    {
        let cloud = Cloud::at_work(&[2, 1], SnapshotPlan::Held).await;
        cloud.world.prove(0, at(0, 1)).await;
        cloud.world.prove(0, at(1, 0)).await;
        if ended {
            cloud.end("e0", 1);
        }
        let failure = failure("e0", unit, 0);
        cloud.world.store.create_failure(&failure, "w").await.unwrap();
        assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
        assert!(cloud.platform.started().is_empty());
        // One table of two is skipped; a failure outside of any table ends the whole run.
        assert_eq!(cloud.world.loads().len(), usize::from(unit.is_some()));
        let event = cloud.world.store.announced().await.unwrap().unwrap();
        assert_eq!(event.event.name(), "run.failed");
        let failure = event.failure.unwrap();
        assert_eq!(failure.hint.as_deref(), Some("grant it"));
        assert!(failure.message.ends_with("permission denied"), "{}", failure.message);
    }
}

#[tokio::test]
async fn claims_say_which_execution_is_the_newest_and_not_the_clocks_of_tasks() {
    let mut cases = 0;
    for minutes in [-30, -5, 0, 5, 30] {
        // What an older execution gave up may be fixed since, even if its clock is ahead.
        let cloud = Cloud::at_work(&[1], SnapshotPlan::Independent).await;
        cloud.order(1, vec![0], cloud.now).await;
        cloud.claim(1, "e1", cloud.now + TimeDelta::minutes(minutes)).await;
        cloud.platform.add("e1", cloud.now);
        let mut old = failure("e0", Some((0, 0)), 0);
        old.at = cloud.now + TimeDelta::minutes(minutes);
        cloud.world.store.create_failure(&old, "old").await.unwrap();
        assert_eq!(cloud.check().await.unwrap(), RunState::Extracting, "{minutes}");
        // What the newest gave up is given up, even if its clock is behind.
        let mut new = failure("e1", Some((0, 0)), 0);
        new.at = cloud.now - TimeDelta::minutes(minutes);
        cloud.world.store.create_failure(&new, "new").await.unwrap();
        assert_eq!(cloud.check().await.unwrap(), RunState::Ended, "{minutes}");
        cloud.assert_failed("").await;
        cases += 2;
    }
    println!("faults: {cases} clocks apart");
}

#[tokio::test]
async fn a_claim_by_a_clock_that_is_off_is_neither_late_nor_early() {
    for minutes in [-600, -20, 20, 600] {
        let cloud = Cloud::planned(with_tasks(&[1], SnapshotPlan::Held)).await;
        cloud.order(0, vec![0], cloud.now).await;
        cloud.claim(0, "e0", cloud.now + TimeDelta::minutes(minutes)).await;
        cloud.platform.add("e0", cloud.now);
        assert_eq!(cloud.check().await.unwrap(), RunState::Extracting, "{minutes}");
        assert!(cloud.platform.started().is_empty() && cloud.platform.cancelled().is_empty());
    }
}

#[tokio::test]
async fn receipts_of_an_older_attempt_count_and_those_of_another_unit_end_the_run() {
    let cloud = Cloud::at_work(&[2], SnapshotPlan::Held).await;
    let mut older = cloud.world.receipt(0, at(0, 0));
    (older.attempt, older.execution) = (3, "another".into());
    let part = older.parts[0].path.as_str();
    cloud.world.store.bucket().store.put(&part.into(), "rows".into()).await.unwrap();
    cloud.world.store.create_receipt(&older).await.unwrap();
    cloud.world.prove(0, at(0, 1)).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    cloud.assert_loaded("").await;

    let cloud = Cloud::at_work(&[2], SnapshotPlan::Held).await;
    cloud.world.prove(0, at(0, 0)).await;
    let store = &cloud.world.store;
    let foreign = serde_json::to_vec(&cloud.world.receipt(0, at(0, 0))).unwrap();
    let path = store.layout().receipt(0, at(0, 1));
    store.bucket().store.put(&path, foreign.into()).await.unwrap();
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    let said = cloud.assert_failed("").await;
    assert!(said.contains("it is the receipt of another unit"), "{said}");
}

#[tokio::test]
async fn a_target_that_refuses_is_told_of_as_its_tables_failure() {
    let mut cloud = Cloud::at_work(&[1, 1], SnapshotPlan::Held).await;
    cloud.world.target.refuse = Some("t0");
    cloud.world.prove_all(0).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    let event = cloud.world.store.announced().await.unwrap().unwrap();
    assert_eq!(event.rows, 10);
    let message = event.failure.unwrap().message;
    assert!(message.contains("1 of 2 tables not visible: `t0`: the table has rows"), "{message}");
}

#[tokio::test]
async fn a_run_without_a_plan_is_waited_for_and_not_for_ever() {
    let mut cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
    let run = sluice_contracts::documents::RunId::generate();
    let store = sluice_contracts::store::RunStore::new(cloud.world.store.bucket().clone(), run);
    let request = Request {
        version: 1,
        run,
        job: serde_json::json!({"name": "orders"}),
        run_key: Some("nightly".into()),
        at: cloud.now,
    };
    store.create_request(&request).await.unwrap();
    let loader = Arc::new(cloud.loader(&Faults::default()));
    assert_eq!(loader.check(run, cloud.now).await.unwrap(), RunState::Planning);
    assert_eq!(cloud.queue.kinds(), ["sweep"]);
    cloud.pass(TimeDelta::hours(24));
    assert_eq!(loader.check(run, cloud.now).await.unwrap(), RunState::Ended);
    let event = store.announced().await.unwrap().unwrap();
    assert_eq!((event.job.as_str(), event.run_key.as_deref()), ("orders", Some("nightly")));
    assert!(event.failure.unwrap().message.contains("it was never planned"));
}

fn failure(execution: &str, unit: Option<(u32, u32)>, attempt: u32) -> Failure {
    Failure {
        version: 1,
        task: 0,
        attempt,
        execution: execution.into(),
        unit,
        kind: Kind::Denied,
        message: "permission denied".into(),
        hint: Some("grant it".into()),
        at: DateTime::UNIX_EPOCH,
    }
}
