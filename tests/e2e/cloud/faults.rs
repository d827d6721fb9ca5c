//! Faults on Google Cloud: in each case the right table is loaded once, or the run fails clearly
//! and leaves the table as it was.

use std::time::Duration;

use serde_json::json;
use sluice_contracts::Kind;
use sluice_contracts::documents::EventName;
use sluice_tests::cloud::gateway::{Fault, Gateway, Trouble};
use sluice_tests::cloud::orders::Shop;
use sluice_tests::cloud::program::Program;
use sluice_tests::faults::counted;

/// The faults of requests, which are used one after another.
const TROUBLES: [Trouble; 6] = [
    Trouble::Answer(429),
    Trouble::CutBefore,
    Trouble::Answer(500),
    Trouble::CutAfter,
    Trouble::Answer(503),
    Trouble::CutWithin,
];

/// Spoils every `step`th of the next requests, `times` requests in all, beginning with trouble
/// number `first`.
pub(crate) fn spoil(gateway: &Gateway, first: usize, step: usize, times: usize) {
    for at in first..first + times {
        let trouble = TROUBLES[at % TROUBLES.len()];
        // The oldest fault counts down first, so each fault lets the same number of requests pass.
        gateway.fault(Fault { method: "", path: "", skip: step - 1, times: 1, trouble });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_and_bigquery_fail_every_few_requests() {
    let Some(shop) = Shop::open().await else { return };
    for step in [11, 7, 5] {
        spoil(shop.world.storage.gateway(), 0, step, 60);
        spoil(shop.world.warehouse.gateway(), 0, step, 3);
        let event = shop.world.carry_out(&Shop::request()).await;
        // Remaining faults must not spoil the test's own requests.
        shop.world.storage.gateway().calm();
        shop.world.warehouse.gateway().calm();
        shop.assert_moved(&event).await;
        shop.database.execute("UPDATE orders SET total = total + 1").await;
    }
    let spoilt =
        [shop.world.storage.gateway(), shop.world.warehouse.gateway()].map(Gateway::spoilt);
    counted(spoilt.iter().sum(), "requests of storage and BigQuery");
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_says_of_documents_that_they_are_there_when_they_are_not() {
    let Some(shop) = Shop::open().await else { return };
    let storage = shop.world.storage.gateway();
    for step in [7, 5, 3] {
        for _ in 0..10 {
            let trouble = Trouble::Answer(412);
            storage.fault(Fault {
                method: "POST",
                path: "ifGenerationMatch=0",
                skip: step - 1,
                times: 1,
                trouble,
            });
        }
        let event = shop.world.carry_out(&Shop::request()).await;
        storage.calm();
        shop.assert_moved(&event).await;
        shop.database.execute("UPDATE orders SET total = total + 1").await;
    }
    assert!(storage.spoilt() > 10, "{}", storage.spoilt());
    counted(storage.spoilt(), "documents said to be there");
}

pub(crate) async fn kill_and_start(program: &mut Program) {
    program.kill().await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    program.start().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_planner_is_killed_after_each_of_its_steps() {
    let Some(mut shop) = Shop::open().await else { return };
    let steps =
        ["request.json", "manifest.json", "launches/0000/order.json", "launches/0000/claim.json"];
    for (night, step) in steps.into_iter().enumerate() {
        let mut request = Shop::request();
        request["run_key"] = json!(format!("night {night}"));
        let runs = shop.world.storage.folder().join("etl/runs");
        let before = std::fs::read_dir(&runs).into_iter().flatten().count();
        let asked = shop.world.try_to_ask(&request).await;
        let run = match asked {
            Some(run) => run,
            None => shop.world.ask(&request).await,
        };
        shop.world.appears(run, step).await;
        kill_and_start(&mut shop.world.planner).await;
        // The caller got no answer, and asks again.
        assert_eq!(shop.world.ask(&request).await, run);
        let event = shop.world.ended(run).await;
        shop.assert_moved(&event).await;
        let after = std::fs::read_dir(&runs).into_iter().flatten().count();
        assert_eq!(after, before + 1, "{step}");
        shop.database.execute("UPDATE orders SET total = total + 1").await;
    }
    counted(steps.len(), "planners killed after a step");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loader_is_killed_after_each_of_its_steps() {
    let Some(mut shop) = Shop::open().await else { return };
    let steps = ["verdict.json", "commits/00000.json", "committed.json"];
    for step in steps {
        let run = shop.world.ask(&Shop::request()).await;
        shop.world.appears(run, step).await;
        kill_and_start(&mut shop.world.loader).await;
        let event = shop.world.ended(run).await;
        shop.assert_moved(&event).await;
        shop.database.execute("UPDATE orders SET total = total + 1").await;
    }
    counted(steps.len(), "loaders killed after a step");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_are_killed_at_random_moments() {
    let Some(shop) = Shop::open().await else { return };
    let mut killed = 0;
    for _ in 0..6 {
        let run = shop.world.ask(&Shop::request()).await;
        for _ in 0..3 {
            let pause = Duration::from_millis(rand::random_range(50..900));
            tokio::time::sleep(pause).await;
            killed += usize::from(shop.world.run.kill_a_task().is_some());
        }
        let event = shop.world.ended(run).await;
        shop.assert_moved(&event).await;
        shop.database.execute("UPDATE orders SET total = total + 1").await;
    }
    assert!(killed > 0, "no task was killed");
    counted(killed, "tasks killed at random moments");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_missing_or_truncated_leaves_the_table_untouched() {
    let Some(mut shop) = Shop::open().await else { return };
    let event = shop.world.carry_out(&Shop::request()).await;
    shop.assert_moved(&event).await;
    for truncated in [false, true] {
        shop.world.loader.kill().await;
        let run = shop.world.ask(&Shop::request()).await;
        shop.world.appears(run, "extracted/0000.json").await;
        let parts = std::fs::read_dir(shop.world.run_folder(run).join("parts"));
        let part = parts.into_iter().flatten().flatten().next().expect("there are parts").path();
        if truncated {
            let file = std::fs::File::options().write(true).open(&part).expect("it can be opened");
            file.set_len(100).expect("it can be cut off");
        } else {
            std::fs::remove_file(&part).expect("it can be removed");
        }
        shop.world.loader.start().await;
        let event = shop.world.ended(run).await;
        assert_eq!(event.event, EventName::Failed, "{event:#?}");
        let failure = event.failure.expect("it says why");
        assert_eq!(failure.kind, Kind::Data, "{failure:#?}");
        let name = part.file_name().and_then(|name| name.to_str()).expect("a name");
        assert!(failure.message.contains(name), "{failure:#?}");
        shop.assert_same().await;
    }
    counted(2, "parts missing or truncated");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_permanent_error_ends_the_run_at_once_and_leaves_the_table_untouched() {
    let Some(shop) = Shop::open().await else { return };
    let event = shop.world.carry_out(&Shop::request()).await;
    shop.assert_moved(&event).await;
    // The division by zero fails when the rows are read, not before.
    let sql = "SELECT id, customer, CAST(1 / (id - 7) AS numeric(12, 2)) AS total, placed, paid
        FROM orders";
    let mut query = json!({"source": {"query": sql}, "partitioning": {"strategy": "full"}});
    query["columns"] = json!({"total": {"type": "NUMERIC"}});
    let mut request = Shop::request_with(&query);
    request["job"]["source"].as_object_mut().expect("a section").remove("table");
    let run = shop.world.ask(&request).await;
    let event = shop.world.ended(run).await;
    assert_eq!(event.event, EventName::Failed, "{event:#?}");
    let failure = event.failure.expect("it says why");
    // `division_by_zero` by its code, because the server's message could contain a value.
    assert!(failure.message.contains("SQLSTATE 22012"), "{failure:#?}");
    assert_eq!(shop.world.run.executions().len(), 2, "it was not launched again");
    shop.assert_same().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_was_dropped_or_altered_meanwhile_is_replaced_whole_or_refused() {
    let Some(mut shop) = Shop::open().await else { return };
    let event = shop.world.carry_out(&Shop::request()).await;
    shop.assert_moved(&event).await;

    // The target is dropped between plan and load: a table that is replaced need not exist.
    shop.world.loader.kill().await;
    let run = shop.world.ask(&Shop::request()).await;
    shop.world.appears(run, "extracted/0000.json").await;
    shop.world.warehouse.query("DROP TABLE `sales.orders`").await;
    shop.world.loader.start().await;
    let event = shop.world.ended(run).await;
    shop.assert_moved(&event).await;

    // Rows that appear in a target that has to be empty.
    shop.world.warehouse.query("DROP TABLE `sales.orders`").await;
    shop.world.loader.kill().await;
    let empty = json!({"target": {"write_disposition": "empty"}});
    let run = shop.world.ask(&Shop::request_with(&empty)).await;
    shop.world.appears(run, "extracted/0000.json").await;
    shop.world.warehouse.query("CREATE TABLE `sales.orders` AS SELECT 1 AS id").await;
    shop.world.loader.start().await;
    let event = shop.world.ended(run).await;
    assert_eq!(event.event, EventName::Failed, "{event:#?}");
    let rows = shop.world.warehouse.query("SELECT count(*) FROM `sales.orders`").await;
    assert_eq!(rows, ["1"]);
    counted(2, "targets dropped or altered meanwhile");
}
