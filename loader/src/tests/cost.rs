//! What a run has cost, beside what its plan expected.

use chrono::{DateTime, TimeDelta, Utc};
use sluice_contracts::documents::{Estimate, Manifest, SnapshotPlan};

use super::at;
use super::cloud::{Cloud, with_tasks};
use super::log::Lines;
use crate::RunState;

/// The price of a second in these tests, in US dollars.
const A_SECOND: f64 = 0.001;

/// A run of two units that was expected to cost `planned` dollars; its units end this many seconds
/// after the first began, on the attempt and the generation that come with them.
async fn cost(planned: f64, units: &[(u32, u32, u32)]) -> Lines {
    let dollars_per_second = Some(A_SECOND);
    let estimate = Estimate { dollars: planned, dollars_per_second, ..Estimate::default() };
    let manifest = Manifest { estimate, ..with_tasks(&[2], SnapshotPlan::Independent) };
    let mut cloud = Cloud::at_work_on(manifest).await;
    let begin = DateTime::<Utc>::UNIX_EPOCH;
    for (unit, (seconds, attempt, generation)) in (0..).zip(units) {
        if *generation > 0 {
            cloud.world.found(*generation).await;
        }
        let mut receipt = cloud.world.receipt(*generation, at(0, unit % 2));
        receipt.attempt = *attempt;
        receipt.finished = begin + TimeDelta::seconds(i64::from(*seconds));
        receipt.seconds = f64::from(*seconds);
        cloud.world.prove_by(&receipt).await;
    }
    let (lines, _logging) = Lines::from_now_on();
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    cloud.pass(TimeDelta::minutes(1));
    lines
}

#[tokio::test]
async fn the_line_of_a_run_says_what_it_cost_and_what_its_plan_expected() {
    // Two units of one attempt, one after the other.
    let lines = cost(0.5, &[(200, 0, 0), (300, 0, 0)]).await;
    let said = lines.text();
    assert!(lines.have(&["run finished", "dollars=0.3 ", "dollars_planned=0.5 "]), "{said}");
    assert!(!said.contains("cost more than its plan"), "{said}");
    // A task is billed for a minute at least.
    let lines = cost(0.12, &[(1, 0, 0), (2, 1, 0)]).await;
    assert!(lines.have(&["run finished", "dollars=0.12 "]), "{}", lines.text());
}

#[tokio::test]
async fn a_run_that_cost_more_than_twice_its_plan_is_told_of() {
    let line = "a run cost more than its plan";
    for (planned, units, told) in [
        (0.2, &[(300, 0, 0), (500, 0, 0)][..], true),
        (0.3, &[(300, 0, 0), (500, 0, 0)], false),
        // The work of an earlier attempt counts.
        (0.2, &[(250, 0, 0), (250, 1, 0)], true),
        // So does that of a snapshot that was lost.
        (0.2, &[(240, 0, 0), (240, 1, 1), (250, 1, 1)], true),
        // A few cents are not worth a look.
        (0.01, &[(90, 0, 0), (90, 0, 0)], false),
    ] {
        let lines = cost(planned, units).await;
        let said = lines.text();
        assert_eq!(lines.have(&[line, "dollars_planned="]), told, "{planned} {units:?}: {said}");
        assert!(lines.have(&["run finished"]), "{said}");
    }
}
