//! Executions that end with gaps, never start, or cannot be started.

use chrono::TimeDelta;
use sluice_contracts::Kind;
use sluice_contracts::documents::{Manifest, SnapshotPlan, TaskKind};

use super::at;
use super::cloud::{Cloud, with_tasks};
use crate::RunState;

#[tokio::test]
async fn only_tasks_with_gaps_are_launched_again_where_no_snapshot_holds_them_together() {
    let mut cases = 0;
    for done in 0..15_u32 {
        for snapshot in [SnapshotPlan::Independent, SnapshotPlan::Held] {
            let cloud = Cloud::at_work(&[4], snapshot.clone()).await;
            for unit in (0..4).filter(|unit| done & (1 << unit) != 0) {
                cloud.world.prove(0, at(0, unit)).await;
            }
            cloud.end("e0", 1);
            assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
            let order = cloud.world.store.order(1).await.unwrap().unwrap();
            let wanted: Vec<u32> = match snapshot {
                SnapshotPlan::Held => (0..4).collect(),
                _ => (0..4).filter(|unit| done & (1 << unit) == 0).collect(),
            };
            assert_eq!(order.tasks, wanted);
            assert!(order.reason.contains("units are missing"), "{}", order.reason);
            let count = u32::try_from(wanted.len()).unwrap();
            assert_eq!(cloud.platform.started(), [(1, count)]);
            assert_eq!(cloud.queue.kinds(), ["sweep"]);
            cases += 1;
        }
    }
    println!("faults: {cases} gaps that the loader launches again");
    assert_eq!(cases, 30);
}

#[tokio::test]
async fn after_the_last_execution_the_run_fails_and_names_its_gaps() {
    for executions in 1..=4_u32 {
        let mut manifest = with_tasks(&[12], SnapshotPlan::Independent);
        manifest.max_executions = executions;
        let mut cloud = Cloud::planned(manifest).await;
        cloud.order(0, (0..12).collect(), cloud.now).await;
        cloud.claim(0, "e0", cloud.now).await;
        cloud.platform.add("e0", cloud.now);
        cloud.world.found(0).await;
        cloud.world.prove(0, at(0, 5)).await;
        for launch in 0..executions {
            let claim = cloud.world.store.claim(launch).await.unwrap().unwrap();
            cloud.world.fail(&claim.execution, Kind::Transient, at(0, 7)).await;
            cloud.end(&claim.execution, 1);
            cloud.pass(TimeDelta::minutes(1));
            cloud.check().await.unwrap();
        }
        assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
        let said = cloud.assert_failed("").await;
        let many =
            if executions == 1 { "1 execution" } else { &format!("{executions} executions") };
        assert!(said.contains(&format!("given up after {many}: execution `")), "{said}");
        assert!(said.contains("1 of its tasks failed"), "{said}");
        assert!(said.contains("1 of 12 work units have a receipt; missing: 0, 1, 2"), "{said}");
        assert!(said.ends_with("and 1 more; permission denied"), "{said}");
        let launches = cloud.platform.started().len() + 1;
        assert_eq!(launches, executions as usize);
    }
}

#[tokio::test]
async fn an_execution_that_never_starts_is_cancelled_and_another_one_started() {
    let cloud = &mut Cloud::planned(with_tasks(&[2], SnapshotPlan::Held)).await;
    cloud.order(0, vec![0, 1], cloud.now).await;
    cloud.claim(0, "e0", cloud.now).await;
    cloud.platform.add("e0", cloud.now);
    cloud.pass(TimeDelta::minutes(14));
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    assert!(cloud.platform.started().is_empty());
    for launch in 1..3 {
        cloud.pass(TimeDelta::minutes(15));
        assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
        assert_eq!(cloud.platform.started().len(), launch);
        assert_eq!(cloud.platform.cancelled().len(), launch);
        let order = cloud.world.store.order(u32::try_from(launch).unwrap()).await.unwrap().unwrap();
        assert!(order.reason.contains("did not start in 15 minutes"), "{}", order.reason);
    }
    cloud.pass(TimeDelta::minutes(15));
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    let said = cloud.assert_failed("").await;
    assert!(said.contains("did not start in 15 minutes: 0 of 2 work units"), "{said}");
}

#[tokio::test]
async fn a_delayed_execution_has_twelve_hours_to_start_and_is_launched_again_as_one() {
    let task_kind = TaskKind { task_size: Some("large".to_owned()), delay_execution: true };
    let manifest = Manifest { task_kind, ..with_tasks(&[2], SnapshotPlan::Held) };
    let mut cloud = Cloud::planned(manifest).await;
    cloud.order(0, vec![0, 1], cloud.now).await;
    cloud.claim(0, "e0", cloud.now).await;
    cloud.platform.add("e0", cloud.now);
    cloud.pass(TimeDelta::hours(12));
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    assert!(cloud.platform.cancelled().is_empty());
    cloud.pass(TimeDelta::minutes(15));
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    assert_eq!(cloud.platform.cancelled(), ["e0"]);
    assert_eq!(cloud.platform.kinds(), ["large-delayed"]);
    // What Cloud Run may wait before each of three executions does not count towards 24 hours.
    cloud.platform.set("s1", |state| state.started = Some(state.created));
    cloud.pass(TimeDelta::hours(47));
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    cloud.pass(TimeDelta::hours(1));
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    let said = cloud.assert_failed("").await;
    assert!(said.contains("not extracted within 60 hours"), "{said}");
}

#[tokio::test]
async fn a_delayed_execution_that_the_platform_forgot_is_not_waited_for() {
    let task_kind = TaskKind { task_size: None, delay_execution: true };
    let manifest = Manifest { task_kind, ..with_tasks(&[2], SnapshotPlan::Held) };
    let mut cloud = Cloud::planned(manifest).await;
    cloud.order(0, vec![0, 1], cloud.now).await;
    cloud.claim(0, "forgotten", cloud.now).await;
    cloud.pass(TimeDelta::minutes(16));
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    assert_eq!(cloud.platform.started(), [(1, 2)]);
}

#[tokio::test]
async fn a_loader_that_does_not_know_the_kind_of_tasks_ends_no_run() {
    let task_kind = TaskKind { task_size: Some("large".to_owned()), delay_execution: false };
    let manifest = Manifest { task_kind, ..with_tasks(&[2], SnapshotPlan::Held) };
    let mut cloud = Cloud::at_work_on(manifest).await;
    cloud.end("e0", 1);
    cloud.platform.lack_kinds(true);
    assert_eq!(cloud.check().await.unwrap_err().kind(), Kind::Invalid);
    assert_eq!(cloud.queue.kinds(), ["again"]);
    // Its operator has added the kind.
    cloud.platform.lack_kinds(false);
    cloud.pass(TimeDelta::minutes(5));
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    assert_eq!(cloud.platform.kinds(), ["large"]);
}

#[tokio::test]
async fn a_launch_that_nobody_claims_is_started_again() {
    let mut cloud = Cloud::planned(with_tasks(&[2], SnapshotPlan::Held)).await;
    cloud.order(0, vec![1], cloud.now).await;
    cloud.pass(TimeDelta::seconds(100));
    cloud.check().await.unwrap();
    assert!(cloud.platform.started().is_empty(), "its planner may be about to");
    cloud.pass(TimeDelta::seconds(30));
    cloud.check().await.unwrap();
    cloud.check().await.unwrap();
    assert_eq!(cloud.platform.started(), [(0, 1)], "as it was ordered, once");
}

#[tokio::test]
async fn a_plan_that_nobody_launched_is_launched() {
    let mut cloud = Cloud::planned(with_tasks(&[3], SnapshotPlan::Held)).await;
    cloud.check().await.unwrap();
    assert!(cloud.platform.started().is_empty(), "its planner is about to");
    cloud.pass(TimeDelta::minutes(3));
    cloud.check().await.unwrap();
    assert_eq!(cloud.platform.started(), [(0, 3)]);
}

#[tokio::test]
async fn what_cannot_be_started_fails_and_what_may_be_is_tried_again() {
    let mut cloud = Cloud::at_work(&[2], SnapshotPlan::Held).await;
    cloud.end("e0", 1);
    cloud.platform.refuse(Kind::Transient);
    assert_eq!(cloud.check().await.unwrap_err().kind(), Kind::Transient);
    assert_eq!(cloud.queue.kinds(), ["again"]);
    cloud.pass(TimeDelta::minutes(3));
    cloud.platform.refuse(Kind::Denied);
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    let said = cloud.assert_failed("").await;
    assert!(said.contains("launch 1 of run"), "{said}");
}

#[tokio::test]
async fn a_run_that_takes_too_long_is_cancelled_and_fails() {
    let mut cloud = Cloud::at_work(&[2], SnapshotPlan::Held).await;
    cloud.world.prove(0, at(0, 1)).await;
    cloud.pass(TimeDelta::hours(23));
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    cloud.pass(TimeDelta::hours(1));
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    assert_eq!(cloud.platform.cancelled(), ["e0"]);
    let said = cloud.assert_failed("").await;
    assert!(said.contains("not extracted within 24 hours: 1 of 2 work units"), "{said}");
}

#[tokio::test]
async fn an_execution_that_the_platform_forgot_is_given_time_and_then_replaced() {
    let mut cloud = Cloud::at_work(&[2], SnapshotPlan::Independent).await;
    cloud.order(1, vec![1], cloud.now).await;
    cloud.claim(1, "forgotten", cloud.now).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    assert!(cloud.platform.started().is_empty());
    cloud.pass(TimeDelta::minutes(16));
    assert_eq!(cloud.check().await.unwrap(), RunState::Extracting);
    assert_eq!(cloud.platform.started(), [(2, 2)]);
}

#[tokio::test]
async fn what_was_read_just_before_the_end_counts() {
    let mut cloud = Cloud::at_work(&[2], SnapshotPlan::Independent).await;
    cloud.world.prove_all(0).await;
    // The check that sees the end counts the missing units again before it launches anything.
    cloud.end("e0", 1);
    cloud.check_to_the_end().await;
    assert!(cloud.platform.started().is_empty());
    cloud.assert_loaded("").await;
}
