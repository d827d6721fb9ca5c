//! What was read stays until it is loaded, and is loaded again when a person asks for it.

use std::sync::Arc;

use chrono::TimeDelta;
use sluice_contracts::Kind;
use sluice_contracts::documents::SnapshotPlan;

use super::at;
use super::cloud::Cloud;
use super::faults::{FAULTS, Fault, Faults};
use crate::RunState;

/// A run of two tables, of which the target refuses the second, at its end.
async fn half_loaded() -> Cloud {
    let mut cloud = Cloud::at_work(&[1, 2], SnapshotPlan::Held).await;
    cloud.world.prove_all(0).await;
    cloud.end("e0", 0);
    cloud.world.target.refuse = Some("t1");
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    cloud
}

async fn load_again(cloud: &Cloud) -> sluice_contracts::Result<RunState> {
    cloud.loader(&Faults::default()).load_again(cloud.run(), cloud.now).await
}

/// Of each announcement, whether the run had failed.
fn announced(cloud: &Cloud) -> Vec<&'static str> {
    cloud.topic.heard().iter().map(|event| event.event.name()).collect()
}

#[tokio::test]
async fn a_table_that_could_not_be_loaded_keeps_its_parts_and_is_loaded_from_them() {
    let mut cloud = half_loaded().await;
    assert!(!cloud.world.part_is_there(0, at(0, 0)).await, "it is visible");
    assert!(
        cloud.world.part_is_there(0, at(1, 0)).await
            && cloud.world.part_is_there(0, at(1, 1)).await
    );
    // A check by itself loads nothing again.
    cloud.world.target.refuse = None;
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    assert_eq!(cloud.world.loads().len(), 1);

    cloud.pass(TimeDelta::hours(2));
    assert_eq!(load_again(&cloud).await.unwrap(), RunState::Ended);
    let loads = cloud.world.loads();
    assert_eq!(loads.len(), 2);
    assert_eq!((loads[1].table, loads[1].begun), (1, cloud.now), "what was refused before is over");
    assert!(cloud.world.store.committed().await.unwrap().unwrap().is_whole());
    assert_eq!(announced(&cloud), ["run.failed", "run.finished"]);
    assert_eq!(cloud.world.store.announced().await.unwrap().unwrap().rows, 30);
    cloud.assert_tidy("").await;
    // Nothing is left to be loaded.
    assert_eq!(load_again(&cloud).await.unwrap(), RunState::Ended);
    assert_eq!((cloud.world.loads().len(), announced(&cloud).len()), (2, 2));
    assert_eq!(cloud.world.store.newest_load().await.unwrap().unwrap().load, 1);
}

#[tokio::test]
async fn a_load_that_fails_again_can_be_tried_a_third_time() {
    let mut cloud = half_loaded().await;
    for load in 1..4 {
        assert_eq!(load_again(&cloud).await.unwrap(), RunState::Ended);
        assert_eq!(cloud.world.store.newest_load().await.unwrap().unwrap().load, load);
        assert!(cloud.world.part_is_there(0, at(1, 0)).await);
    }
    cloud.world.target.refuse = None;
    cloud.world.target.pending = 2;
    assert_eq!(load_again(&cloud).await.unwrap(), RunState::Loading);
    // As long as it loads, asking again only checks.
    assert_eq!(load_again(&cloud).await.unwrap(), RunState::Loading);
    cloud.check_to_the_end().await;
    assert_eq!(cloud.world.store.newest_load().await.unwrap().unwrap().load, 4);
    assert_eq!(cloud.world.loads().len(), 2);
    cloud.assert_tidy("").await;
}

#[tokio::test]
async fn a_loader_that_fails_or_dies_while_it_loads_again_leaves_one_load() {
    let mut cases = 0;
    for fault in FAULTS {
        for call in 0.. {
            let mut cloud = half_loaded().await;
            cloud.world.target.refuse = None;
            cloud.world.target.pending = 1;
            let case = format!("{fault:?} at call {call}");
            let faults = Faults::at(call, fault);
            let loader = cloud.loader(&faults);
            for _ in 0..10 {
                tokio::select! {
                    biased;
                    () = faults.died() => {}
                    result = loader.load_again(cloud.run(), cloud.now) => match result {
                        Ok(RunState::Ended) => break,
                        Ok(_) => {}
                        Err(error) => assert!(error.is_transient(), "{case}: {}", error.chain()),
                    },
                }
                cloud.pass(TimeDelta::seconds(10));
            }
            cloud.check_to_the_end().await;
            let store = &cloud.world.store;
            assert_eq!(cloud.world.loads().len(), 2, "{case}");
            assert_eq!(store.newest_load().await.unwrap().unwrap().load, 1, "{case}");
            assert!(store.committed().await.unwrap().expect(&case).is_whole(), "{case}");
            assert_eq!(announced(&cloud).last(), Some(&"run.finished"), "{case}");
            if matches!(fault, Fault::DieBefore | Fault::DieAfter) {
                cloud.assert_tidy(&case).await;
            }
            if faults.calls() <= call {
                break;
            }
            cases += 1;
        }
    }
    println!("faults: {cases} steps of the loader (loading again)");
    assert!(cases > 60, "{cases}");
}

#[tokio::test]
async fn people_who_ask_at_once_get_one_load() {
    for seed in 0..50 {
        let mut cloud = half_loaded().await;
        cloud.world.target.refuse = None;
        let loaders = [1, 2, 3].map(|one| Arc::new(cloud.loader(&Faults::mixed(seed * 3 + one))));
        let asked = loaders.iter().map(|loader| loader.load_again(cloud.run(), cloud.now));
        let states = futures::future::join_all(asked).await;
        assert!(states.iter().all(|state| matches!(state, Ok(RunState::Ended))), "{states:?}");
        assert_eq!(cloud.world.loads().len(), 2);
        assert_eq!(cloud.world.store.newest_load().await.unwrap().unwrap().load, 1);
    }
}

#[tokio::test]
async fn what_was_never_read_is_not_loaded_again() {
    // The whole run was given up.
    let cloud = Cloud::at_work(&[2], SnapshotPlan::Held).await;
    cloud.world.prove(0, at(0, 1)).await;
    cloud.world.fail("e0", Kind::Denied, at(0, 0)).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    let error = load_again(&cloud).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{}", error.chain());
    assert!(error.remedy().unwrap().contains("`retry`"));

    // One table was given up, and the other is visible.
    let cloud = Cloud::at_work(&[1, 2], SnapshotPlan::Held).await;
    cloud.world.prove(0, at(0, 0)).await;
    cloud.world.prove(0, at(1, 1)).await;
    cloud.world.fail("e0", Kind::Denied, at(1, 0)).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    assert!(!cloud.world.part_is_there(0, at(1, 1)).await, "nobody can use it");
    assert_eq!(load_again(&cloud).await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(cloud.world.store.newest_load().await.unwrap(), None);
}

#[tokio::test]
async fn a_run_that_has_not_ended_is_checked() {
    let cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
    assert_eq!(load_again(&cloud).await.unwrap(), RunState::Extracting);
    cloud.world.prove_all(0).await;
    assert_eq!(load_again(&cloud).await.unwrap(), RunState::Ended);
    cloud.assert_loaded("").await;
}
