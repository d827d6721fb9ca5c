//! Executions that go wrong: in each case the right table is loaded once.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::json;
use sluice_tests::cloud::Trouble;
use sluice_tests::cloud::orders::Shop;
use sluice_tests::cloud::world::{Setting, World};
use sluice_tests::faults::counted;

use super::faults::spoil;

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_never_starts_is_cancelled_and_another_started() {
    let Some(shop) = Shop::open().await else { return };
    let world = &shop.world;
    world.run.let_start(false);
    // To the programs, the execution seems to have been created long ago.
    world.run.set_clock_ahead(-TimeDelta::minutes(20));
    let run = world.ask(&Shop::request()).await;
    world.appears(run, "launches/0000/claim.json").await;
    world.run.set_clock_ahead(TimeDelta::zero());
    world.look(run).await;
    let executions = world.run.executions();
    assert_eq!(executions.len(), 2, "{}", world.said());
    let first = world.run.ended(&executions[0]).await;
    assert_eq!(first["cancelledCount"], 4, "{first:#}");
    // The second execution is not late yet: another check changes nothing.
    world.look(run).await;
    world.run.let_start(true);
    let event = world.ended(run).await;
    shop.assert_moved(&event).await;
    assert_eq!(world.run.executions(), executions, "{}", world.said());
    counted(1, "execution that never starts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_hangs_is_killed_by_the_platform_and_started_again() {
    let change = |setting| Setting { timeout: Duration::from_secs(10), ..setting };
    let Some(shop) = Shop::open_with(change).await else { return };
    let world = &shop.world;
    let run = world.ask(&Shop::request()).await;
    let hangs = freeze_a_task(world).await;
    assert!(hangs, "no task was seen at work:\n{}", world.said());
    let event = world.ended(run).await;
    shop.assert_moved(&event).await;
    let executions = world.run.executions();
    let shown = world.run.ended(&executions[0]).await;
    assert!(shown["retriedCount"].as_u64() >= Some(1), "{shown:#}");
    assert_eq!(executions.len(), 1, "{}", world.said());
    counted(1, "task that hangs");
}

async fn freeze_a_task(world: &World) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_mins(1) {
        if world.run.freeze_a_task().is_some() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_whose_tasks_all_fail_is_followed_by_another() {
    let change = |setting| Setting { max_retries: 0, ..setting };
    let Some(shop) = Shop::open_with(change).await else { return };
    let world = &shop.world;
    let run = world.ask(&Shop::request()).await;
    let first = loop {
        if let Some(first) = world.run.executions().pop() {
            break first;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let mut killed = 0;
    while world.run.execution(&first).is_some_and(|shown| shown["completionTime"].is_null()) {
        killed += usize::from(world.run.kill_a_task().is_some());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let shown = world.run.ended(&first).await;
    assert_eq!(shown["failedCount"], 4, "{shown:#}");
    let event = world.ended(run).await;
    shop.assert_moved(&event).await;
    assert_eq!(world.run.executions().len(), 2, "{}", world.said());
    counted(killed, "tasks killed until none of the execution was left");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_may_be_apart_by_minutes() {
    let Some(shop) = Shop::open().await else { return };
    let minutes = [-7, 7];
    for ahead in minutes {
        shop.world.run.set_clock_ahead(TimeDelta::minutes(ahead));
        let event = shop.world.carry_out(&Shop::request()).await;
        shop.assert_moved(&event).await;
        shop.database.execute("UPDATE orders SET total = total + 1").await;
    }
    assert_eq!(shop.world.run.executions().len(), minutes.len());
    counted(minutes.len(), "clocks apart by minutes");
}

#[tokio::test(flavor = "multi_thread")]
async fn cloud_run_and_the_queue_fail_every_few_requests() {
    let Some(shop) = Shop::open().await else { return };
    let world = &shop.world;
    let troubles = [Trouble::TooMany, Trouble::Unavailable, Trouble::AnswerLost];
    for first in 0..6 {
        spoil(&world.to_run, first, 2, 8);
        world.tasks.trouble(troubles);
        let mut request = Shop::request();
        request["run_key"] = json!(format!("night {first}"));
        let event = world.carry_out(&request).await;
        world.to_run.calm();
        shop.assert_moved(&event).await;
        shop.database.execute("UPDATE orders SET total = total + 1").await;
    }
    // A start whose answer is lost may have succeeded, and is repeated: the tasks of the second
    // execution find the claim of the first, and end.
    let executions = world.run.executions().len();
    assert!((6..=18).contains(&executions), "{executions}");
    counted(world.to_run.spoilt() + 6 * troubles.len(), "requests of Cloud Run and its queue");
}
