//! A whole job on Google Cloud: planner, tasks and loader as processes, from a request to a table
//! in BigQuery.

mod dataflow;
mod dataflow_jobs;
mod executions;
mod faults;
mod native;
mod run;
mod scale;
mod signals;
mod users;

use std::time::Duration;

use serde_json::json;
use sluice_tests::cloud::delivery::Fate;
use sluice_tests::cloud::orders::{ROWS, Shop};
use sluice_tests::faults::counted;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_a_table() {
    let Some(shop) = Shop::open().await else { return };
    let world = &shop.world;
    let run = world.ask(&Shop::request()).await;
    let event = world.ended(run).await;
    shop.assert_moved(&event).await;
    let status = world.status(run).await;
    assert_eq!(status["rows"], ROWS, "{status:#}");
    assert_eq!(world.run.executions().len(), 1);
    // The part files are no longer needed.
    let parts = world.storage.folder().join("etl/runs").join(run.to_string()).join("parts");
    let left = std::fs::read_dir(parts).into_iter().flatten().count();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_signal_alone_is_enough() {
    let Some(shop) = Shop::open().await else { return };
    let world = &shop.world;
    let sent = ["notice", "sluice-extractor", "sweep"];
    for alone in sent {
        for other in sent.iter().filter(|signal| **signal != alone) {
            world.tasks.weather().set(other, Fate::Lost);
            world.events.weather().set(other, Fate::Lost);
        }
        let event = world.carry_out(&Shop::request()).await;
        shop.assert_moved(&event).await;
        world.tasks.weather().clear();
        world.events.weather().clear();
        shop.database.execute("UPDATE orders SET total = total + 1").await;
    }
    counted(2 * sent.len(), "signals lost");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_delivered_twice_or_late_changes_nothing() {
    let Some(shop) = Shop::open().await else { return };
    let world = &shop.world;
    for fate in [Fate::Twice, Fate::Late(Duration::from_secs(2))] {
        world.tasks.weather().set("", fate);
        world.events.weather().set("", fate);
        let mut request = Shop::request();
        request["run_key"] = json!(format!("night {fate:?}"));
        let run = world.ask(&request).await;
        for _ in 0..4 {
            assert_eq!(world.ask(&request).await, run);
        }
        let event = world.ended(run).await;
        shop.assert_moved(&event).await;
    }
    assert_eq!(world.run.executions().len(), 2, "{}", world.said());
    counted(10, "signals and requests delivered again or late");
}
