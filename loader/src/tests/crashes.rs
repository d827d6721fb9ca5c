//! A loader that fails or dies at any call, and is called again.

use chrono::TimeDelta;
use sluice_contracts::Kind;
use sluice_contracts::documents::SnapshotPlan;

use super::at;
use super::cloud::Cloud;
use super::faults::{FAULTS, Fault, Faults};
use crate::RunState;

/// Carries a run to its end with one call of the loader going wrong, for each of its calls in turn.
/// Prints how many there were.
async fn every_call(
    name: &str,
    setting: impl AsyncFn() -> Cloud,
    ended: impl AsyncFn(&Cloud, &str),
) {
    let mut cases = 0;
    for fault in FAULTS {
        for call in 0.. {
            let mut cloud = setting().await;
            let case = format!("{name}: {fault:?} at call {call}");
            let faults = Faults::at(call, fault);
            let loader = cloud.loader(&faults);
            for _ in 0..20 {
                tokio::select! {
                    biased;
                    () = faults.died() => {}
                    result = loader.check(cloud.run(), cloud.now) => match result {
                        Ok(RunState::Ended) => break,
                        Ok(_) => {}
                        Err(error) => assert!(error.is_transient(), "{case}: {}", error.chain()),
                    },
                }
                cloud.pass(TimeDelta::seconds(10));
            }
            // Whatever went wrong, the queue still knows of the run, or it has ended.
            cloud.check_to_the_end().await;
            ended(&cloud, &case).await;
            if matches!(fault, Fault::DieBefore | Fault::DieAfter)
                && cloud.world.store.committed().await.unwrap().is_some()
            {
                // Parts that could not be deleted may stay; a loader that died comes back to them.
                cloud.assert_tidy(&case).await;
            }
            if faults.calls() <= call {
                break;
            }
            cases += 1;
        }
    }
    println!("faults: {cases} steps of the loader ({name})");
    assert!(cases > 100, "{name}: {cases}");
}

#[tokio::test]
async fn a_run_that_is_complete_is_loaded_once() {
    let setting = async || {
        let mut cloud = Cloud::at_work(&[2, 1], SnapshotPlan::Held).await;
        cloud.world.target.pending = 1;
        cloud.world.prove_all(0).await;
        cloud.end("e0", 0);
        cloud
    };
    every_call("complete", setting, async |cloud, case| cloud.assert_loaded(case).await).await;
}

#[tokio::test]
async fn a_run_whose_tables_become_visible_at_once_is_loaded_once() {
    let setting = async || {
        let mut cloud = Cloud::at_work_at_once(&[2, 1]).await;
        cloud.world.target.pending = 1;
        cloud.world.prove_all(0).await;
        cloud.end("e0", 0);
        cloud
    };
    every_call("at once", setting, async |cloud, case| cloud.assert_loaded(case).await).await;
}

#[tokio::test]
async fn a_run_that_cannot_go_on_fails_and_is_untouched() {
    let setting = async || {
        let cloud = Cloud::at_work(&[3], SnapshotPlan::Held).await;
        cloud.world.prove(0, at(0, 1)).await;
        cloud.world.fail("e0", Kind::Denied, at(0, 0)).await;
        cloud
    };
    let ended = async |cloud: &Cloud, case: &str| {
        let said = cloud.assert_failed(case).await;
        assert!(said.ends_with("permission denied"), "{case}: {said}");
        assert!(cloud.platform.cancelled().contains(&"e0".to_owned()), "{case}");
    };
    every_call("failed", setting, ended).await;
}

#[tokio::test]
async fn a_table_that_was_given_up_is_told_of_and_the_other_loaded() {
    let setting = async || {
        let cloud = Cloud::at_work(&[1, 2], SnapshotPlan::Held).await;
        cloud.world.prove(0, at(0, 0)).await;
        cloud.world.prove(0, at(1, 1)).await;
        cloud.world.fail("e0", Kind::Denied, at(1, 0)).await;
        cloud
    };
    let ended = async |cloud: &Cloud, case: &str| {
        assert_eq!(cloud.world.loads().len(), 1, "{case}");
        let event = cloud.world.store.announced().await.unwrap().expect(case);
        assert_eq!((event.event.name(), event.rows), ("run.failed", 10), "{case}");
        let failed: Vec<bool> = event.tables.iter().map(|one| one.failure.is_some()).collect();
        assert_eq!(failed, [false, true], "{case}");
    };
    every_call("given up", setting, ended).await;
}

#[tokio::test]
async fn gaps_are_launched_again_by_one_execution_that_counts() {
    let mut cases = 0;
    for fault in FAULTS {
        for call in 0.. {
            let mut cloud = Cloud::at_work(&[3], SnapshotPlan::Independent).await;
            cloud.world.prove(0, at(0, 1)).await;
            cloud.end("e0", 2);
            let case = format!("{fault:?} at call {call}");
            let faults = Faults::at(call, fault);
            let loader = cloud.loader(&faults);
            for _ in 0..5 {
                tokio::select! {
                    biased;
                    () = faults.died() => {}
                    result = loader.check(cloud.run(), cloud.now) => {
                        assert_ne!(result.ok(), Some(RunState::Ended), "{case}");
                    }
                }
                // Longer than a launch may be without a claim.
                cloud.pass(TimeDelta::minutes(3));
            }
            let store = &cloud.world.store;
            assert_eq!(store.newest_launch().await.unwrap(), Some(1), "{case}");
            assert_eq!(store.order(1).await.unwrap().unwrap().tasks, [0, 2], "{case}");
            let claim = store.claim(1).await.unwrap().expect(&case);
            let started = cloud.platform.started();
            assert!(started.iter().all(|one| *one == (1, 2)), "{case}: {started:?}");
            assert!(started.len() <= 2, "{case}: {started:?}");
            assert_eq!(cloud.platform.cancelled(), Vec::<String>::new(), "{case}");
            // The execution that counts does the rest.
            cloud.world.prove_all(0).await;
            cloud.end(&claim.execution, 0);
            cloud.check_to_the_end().await;
            cloud.assert_loaded(&case).await;
            if faults.calls() <= call {
                break;
            }
            cases += 1;
        }
    }
    println!("faults: {cases} steps of the loader (launching again)");
    assert!(cases > 100, "{cases}");
}
