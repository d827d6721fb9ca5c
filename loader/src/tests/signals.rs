//! One signal is enough, and more do no harm.

use chrono::TimeDelta;
use sluice_contracts::documents::SnapshotPlan;

use super::cloud::Cloud;
use super::faults::Faults;
use crate::RunState;

/// When a signal comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// While tasks are at work.
    Early,
    /// When the last unit has its receipt, and the task that read it still runs.
    Extracted,
    /// When the execution has ended.
    Ended,
    /// Long after.
    Late,
}

const MOMENTS: [Moment; 4] = [Moment::Early, Moment::Extracted, Moment::Ended, Moment::Late];

/// A run of two tables, loads that take a while, and checks at these moments.
async fn carry(checks: &[usize; 4], together: usize, seed: u64) -> Cloud {
    let mut cloud = Cloud::at_work(&[3, 2], SnapshotPlan::Held).await;
    cloud.world.target.pending = u32::try_from(seed % 4).unwrap();
    for (moment, times) in MOMENTS.into_iter().zip(checks) {
        match moment {
            Moment::Early => cloud.world.prove(0, super::at(0, 1)).await,
            Moment::Extracted => cloud.world.prove_all(0).await,
            Moment::Ended => cloud.end("e0", 0),
            Moment::Late => cloud.pass(TimeDelta::hours(30)),
        }
        for number in 0..*times {
            let mixed = Faults::mixed(seed + number as u64 * 1000);
            let loaders = vec![cloud.loader(&mixed); together];
            let checks = loaders.iter().map(|loader| loader.check(cloud.run(), cloud.now));
            for state in futures::future::join_all(checks).await {
                let state = state.unwrap();
                assert!(
                    (moment == Moment::Early) == (state == RunState::Extracting),
                    "{moment:?}: {state:?}"
                );
            }
            cloud.pass(TimeDelta::seconds(3));
        }
    }
    cloud
}

#[tokio::test]
async fn each_signal_alone_suffices_however_often_it_comes() {
    let mut cases = 0;
    for only in 1..4 {
        for times in 1..=5 {
            for together in 1..=2 {
                for seed in 0..8 {
                    let mut checks = [0; 4];
                    checks[only] = times;
                    // The loader's own checks follow the last one that came from outside.
                    let mut cloud = carry(&checks, together, seed).await;
                    cloud.check_to_the_end().await;
                    let case = format!("{:?} x{times} by {together}, {seed}", MOMENTS[only]);
                    cloud.assert_loaded(&case).await;
                    cloud.assert_tidy(&case).await;
                    cases += 1;
                }
            }
        }
    }
    println!("faults: {cases} signals lost, repeated, reordered or late");
    assert_eq!(cases, 240);
}

#[tokio::test]
async fn signals_come_together_early_and_again() {
    let mut cases = 0;
    for number in 0..4_usize.pow(4) {
        let checks = [number % 4, number / 4 % 4, number / 16 % 4, number / 64];
        for together in 1..=3 {
            let seed = (number * 3 + together) as u64;
            let mut cloud = carry(&checks, together, seed).await;
            cloud.check_to_the_end().await;
            cloud.assert_loaded(&format!("{checks:?} by {together}")).await;
            cases += 1;
        }
    }
    println!("faults: {cases} signals repeated, reordered or late, to loaders at once");
    assert_eq!(cases, 768);
}

#[tokio::test]
async fn a_check_that_is_not_the_last_asks_for_one_more_whoever_makes_it() {
    let cloud = Cloud::at_work(&[2], SnapshotPlan::Held).await;
    let loader = cloud.loader(&Faults::mixed(7));
    let checks = (0..5).map(|_| loader.check(cloud.run(), cloud.now));
    for state in futures::future::join_all(checks).await {
        assert_eq!(state.unwrap(), RunState::Extracting);
    }
    assert_eq!(cloud.queue.kinds(), ["sweep"], "five signals are one more check");
    let after = cloud.queue.asked()[0].after;
    assert!(after.as_secs() <= 30 && after.as_secs() >= 9, "{after:?}");
}

#[tokio::test]
async fn a_load_that_takes_a_while_is_looked_at_again() {
    let mut cloud = Cloud::at_work(&[2], SnapshotPlan::Held).await;
    cloud.world.target.pending = 3;
    cloud.world.prove_all(0).await;
    for _ in 0..3 {
        assert_eq!(cloud.check().await.unwrap(), RunState::Loading);
        cloud.pass(TimeDelta::seconds(6));
    }
    assert_eq!(cloud.queue.kinds(), ["load"; 3]);
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    assert_eq!(cloud.queue.kinds(), ["load"; 3], "nothing is asked for after the end");
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    assert_eq!(cloud.topic.heard().len(), 1, "what was announced is not announced again");
    cloud.assert_loaded("").await;
}

#[tokio::test]
async fn a_run_that_nobody_knows_is_left_alone() {
    let cloud = Cloud::at_work(&[1], SnapshotPlan::Held).await;
    let loader = cloud.loader(&Faults::default());
    let unknown = sluice_contracts::documents::RunId::generate();
    assert_eq!(loader.check(unknown, cloud.now).await.unwrap(), RunState::Unknown);
    assert!(cloud.queue.asked().is_empty());
}
