//! Tables that the loader hands over to Dataflow, whose pipeline is the real one: in each case the right
//! table is loaded once, or the run fails clearly and leaves the table as it was.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_contracts::Kind;
use sluice_contracts::documents::{Dropped, EventName, RunEvent, RunId};
use sluice_tests::cloud::Trouble;
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::clients::Gcloud;
use sluice_tests::cloud::dataflow::{Dataflow, State};
use sluice_tests::cloud::orders::{ROWS, Shop};
use sluice_tests::cloud::world::{Setting, World};
use sluice_tests::faults::counted;
use sluice_tests::postgres::Database;

use super::faults::{kill_and_start, spoil};

/// Rows that are older versions of others.
const OLDER: i64 = ROWS / 10;

/// A shop in which every tenth order has an older version, and some orders have two newest ones.
async fn shop() -> Option<Shop> {
    let shop = Shop::open_with(|setting| Setting { dataflow: true, ..setting }).await?;
    let versions = format!(
        "ALTER TABLE orders DROP CONSTRAINT orders_pkey;
         ALTER TABLE orders ADD changed timestamptz NOT NULL DEFAULT '2026-06-01 00:00:00+00';
         INSERT INTO orders SELECT id, 'old', -1, placed, NOT paid, '2026-05-01 00:00:00+00'
           FROM orders WHERE id <= {OLDER};
         INSERT INTO orders SELECT * FROM orders WHERE id IN (7, 8) AND total >= 0;
         ANALYZE orders"
    );
    shop.database.execute(&versions).await;
    Some(shop)
}

fn request() -> Value {
    Shop::request_with(&json!({
        "engine": "dataflow",
        "dedup": {"keys": ["id"], "order": "changed"},
    }))
}

fn dataflow(world: &World) -> &Dataflow {
    world.dataflow.as_ref().expect("the setting asks for it")
}

/// Fails unless the run has moved the newest version of each order, by this number of jobs.
async fn assert_moved(shop: &Shop, event: &RunEvent, jobs: usize) {
    let said = || format!("{event:#?}\n{}\n{}", shop.world.said(), dataflow(&shop.world).log());
    assert_eq!(event.event, EventName::Finished, "{}", said());
    assert_eq!(event.rows, ROWS.unsigned_abs(), "{}", said());
    let dropped = Dropped { rows: OLDER.unsigned_abs() + 2, ties: 2 };
    assert_eq!(event.tables[0].dropped, Some(dropped), "{}", said());
    let newest = "(SELECT DISTINCT ON (id) * FROM orders ORDER BY id, changed DESC) AS newest";
    let expected = format!("SELECT {} FROM {newest}", Shop::facts(false));
    let expected = shop.database.text(&expected).await;
    let found = format!("SELECT {} FROM `sales.orders`", Shop::facts(true));
    assert_eq!(shop.world.warehouse.query(&found).await, [expected], "{}", said());
    assert_eq!(shop.world.warehouse.tables().await, ["orders"], "{}", said());
    assert_eq!(dataflow(&shop.world).jobs().len(), jobs, "{}", said());
}

/// Changes every order, so that the next run has something to show.
async fn change(shop: &Shop) {
    shop.database.execute("UPDATE orders SET total = total + 1").await;
}

/// Waits until the newest of so many jobs is there, and returns its id.
async fn job(world: &World, count: usize) -> String {
    let begun = Instant::now();
    loop {
        let jobs = dataflow(world).jobs();
        if let Some(job) = jobs.get(count - 1) {
            return job.id.clone();
        }
        assert!(begun.elapsed() < Duration::from_mins(1), "no job came:\n{}", world.said());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_becomes_the_newest_rows_of_a_table() {
    let Some(shop) = shop().await else { return };
    let world = &shop.world;
    for jobs in 1..=2 {
        let run = world.ask(&request()).await;
        let event = world.ended(run).await;
        assert_moved(&shop, &event, jobs).await;
        let name = format!("sluice-{run}-0-0-0");
        let launched = &dataflow(world).jobs()[jobs - 1];
        assert_eq!(launched.name, name);
        let environment = &launched.launch["launchParameter"]["environment"];
        assert_eq!(environment["machineType"], "n1-standard-2", "{environment:#}");
        assert_eq!(environment["maxWorkers"], 10, "{environment:#}");
        // The files of the pipeline are no longer needed; the documents say what was done.
        let folder = world.run_folder(run).join("dataflow/00000/0000-0000");
        let mut left: Vec<_> = std::fs::read_dir(folder)
            .expect("the folder of the job")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .filter(|name| !name.ends_with(".metadata"))
            .collect();
        left.sort();
        assert_eq!(left, ["launch.json", "order.json", "result.json"]);
        change(&shop).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_launch_that_is_refused_or_not_answered_leads_to_one_job() {
    let Some(shop) = shop().await else { return };
    let troubles = [Trouble::AnswerLost, Trouble::Unavailable, Trouble::TooMany];
    for (jobs, trouble) in (1..).zip(troubles) {
        dataflow(&shop.world).trouble([trouble]);
        let event = shop.world.carry_out(&request()).await;
        assert_moved(&shop, &event, jobs).await;
        change(&shop).await;
    }
    counted(troubles.len(), "launches of Dataflow that went wrong");
}

/// Lets a job start while a part is not in the bucket, and waits for its end.
async fn without_a_part(world: &World, run: RunId, id: &str) {
    let parts = world.run_folder(run).join("parts");
    let mut parts = std::fs::read_dir(parts).expect("parts").map(|part| part.expect("one").path());
    let part = parts.find(|path| path.extension().is_some_and(|it| it == "parquet"));
    let part = part.expect("a part");
    let away = world.storage.folder().join("away");
    std::fs::rename(&part, &away).expect("the part can be moved");
    dataflow(world).let_start(true);
    assert_eq!(dataflow(world).ended(id).await.state, State::Failed);
    std::fs::rename(&away, &part).expect("it can be moved back");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_does_not_end_well_fails_the_run_and_another_load_launches_another() {
    let Some(shop) = shop().await else { return };
    let world = &shop.world;
    let Some(gcloud) = Gcloud::find() else { return };
    let (mut jobs, mut done) = (0, 0);
    for (state, said) in [
        (State::Cancelled, "was cancelled"),
        (State::Drained, "was drained, so that rows may be missing"),
        // The pipeline's own words.
        (State::Failed, "read `gs://lake/etl/runs/"),
    ] {
        dataflow(world).let_start(false);
        let run = world.ask(&request()).await;
        jobs += 1;
        let id = job(world, jobs).await;
        match state {
            State::Cancelled => {
                gcloud.dataflow(dataflow(world), &["jobs", "cancel", &id]).await.succeeded();
            }
            State::Failed => without_a_part(world, run, &id).await,
            _ => _ = dataflow(world).end(&id, state).await,
        }
        let event = world.ended(run).await;
        dataflow(world).let_start(true);
        assert_eq!(event.event, EventName::Failed, "{event:#?}");
        let failure = event.tables[0].failure.clone().expect("a failure");
        assert_eq!(failure.kind, Kind::Data);
        assert!(failure.message.contains(said), "{}", failure.message);
        assert!(failure.hint.unwrap_or_default().contains("sluice load"), "{}", failure.message);
        // Nothing is visible of it.
        let tables = world.warehouse.tables().await;
        assert_eq!(tables.iter().any(|table| table == "orders"), done > 0, "{tables:?}");

        let again = format!("{}/runs/{run}/load", world.loader.url());
        let answer = reqwest::Client::new().post(again).send().await.expect("it answers");
        assert!(answer.status().is_success(), "{}", answer.status());
        world.appears_within(run, "loads/0001/announced.json", Duration::from_mins(2)).await;
        let store = world.store(run);
        let committed = store.committed_of(1).await.expect("a document").expect("it is there");
        assert!(committed.is_whole(), "{committed:#?}\n{}", dataflow(world).log());
        jobs += 1;
        done += 1;
        assert_eq!(dataflow(world).jobs().len(), jobs);
        assert_eq!(dataflow(world).jobs()[jobs - 1].name, format!("sluice-{run}-0-0-1"));
        let rows = world.warehouse.query("SELECT COUNT(*) FROM `sales.orders`").await;
        assert_eq!(rows, [ROWS.to_string()]);
        change(&shop).await;
    }
    counted(3, "jobs of Dataflow that did not end well");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_loader_is_killed_after_each_step_of_a_hand_over() {
    let Some(mut shop) = shop().await else { return };
    let job = "dataflow/00000/0000-0000";
    let steps =
        ["order.json", "launch.json", "result.json"].map(|document| format!("{job}/{document}"));
    let steps =
        steps.into_iter().chain(["commits/00000.json", "committed.json"].map(str::to_owned));
    for (jobs, step) in (1..).zip(steps.clone()) {
        let run = shop.world.ask(&request()).await;
        shop.world.appears(run, &step).await;
        kill_and_start(&mut shop.world.loader).await;
        let event = shop.world.ended(run).await;
        assert_moved(&shop, &event, jobs).await;
        change(&shop).await;
    }
    counted(steps.count(), "loaders killed after a step of Dataflow's");
}

#[tokio::test(flavor = "multi_thread")]
async fn storage_and_bigquery_fail_every_few_requests_of_a_hand_over() {
    let Some(shop) = shop().await else { return };
    let world = &shop.world;
    for (jobs, step) in [(1, 11), (2, 7)] {
        spoil(world.storage.gateway(), 0, step, 30);
        spoil(world.warehouse.gateway(), 0, step, 3);
        let event = world.carry_out(&request()).await;
        world.storage.gateway().calm();
        world.warehouse.gateway().calm();
        assert_moved(&shop, &event, jobs).await;
        change(&shop).await;
    }
    let spoilt = [world.storage.gateway(), world.warehouse.gateway()]
        .map(sluice_tests::cloud::gateway::Gateway::spoilt);
    counted(spoilt.iter().sum(), "requests of storage and BigQuery beside Dataflow");
}

/// Types that lie in part files and staging tables in other forms than in the table. (local-bigquery loads
/// neither BYTES nor BIGNUMERIC; the pipeline's own tests compare these.)
const TYPES: &str = "
    CREATE TABLE orders AS SELECT n % 300 AS id, timestamptz '2026-01-01+00' + n * interval '1 second' AS changed,
      (n * 1.25)::numeric(12, 2) AS total, n::int2 AS small, n / 7.0::float8 AS ratio, n % 3 = 0 AS paid,
      'größe ' || n AS note, date '2026-01-01' + n AS day, time '00:00' + n * interval '1 second' AS clock,
      timestamp '2026-01-01' + n * interval '1 hour' AS local, md5(n::text)::uuid AS token,
      json_build_object('n', n, 'f', 1.50) AS payload, ARRAY[n, -n]::int8[] AS numbers,
      ARRAY['a' || n, '']::text[] AS tags, ARRAY[n / 4.0]::numeric(12, 2)[] AS amounts
    FROM generate_series(1, 1000) AS n;
    UPDATE orders SET total = NULL, ratio = NULL, note = NULL, payload = NULL, day = NULL WHERE id % 30 = 0;
    ANALYZE orders";

#[tokio::test(flavor = "multi_thread")]
async fn every_value_is_the_one_that_a_query_keeps() {
    let database = Database::fresh().await;
    let Some(database) = database else { return };
    database.execute(TYPES).await;
    let setting = Setting { dataflow: true, ..Setting::reading(database.url()) };
    let Some(world) = World::start(setting).await else { return };
    for (engine, disposition) in
        [("cloud_run", "truncate"), ("dataflow", "truncate"), ("dataflow", "merge")]
    {
        let request = Shop::request_with(&json!({
            "engine": engine,
            "dedup": {"keys": ["id"], "order": "changed"},
            "partitioning": {"strategy": "hash", "target_rows": 300, "column": "id"},
            "target": {
                "table": Warehouse::target(&format!("{engine}_{disposition}")),
                "write_disposition": disposition,
                "partition_by": {"column": "day", "granularity": "month"},
            },
        }));
        let mut request = request;
        if disposition == "merge" {
            request["job"]["target"]["key"] = json!(["id"]);
        }
        let event = world.carry_out(&request).await;
        assert_eq!(event.event, EventName::Finished, "{event:#?}\n{}", dataflow(&world).log());
        let dropped = Dropped { rows: 700, ties: 0 };
        assert_eq!((event.rows, event.tables[0].dropped), (300, Some(dropped)));
    }
    let rows = async |table: &str| {
        let rows = format!("SELECT TO_JSON_STRING(row) FROM `sales.{table}` AS row ORDER BY id");
        world.warehouse.query(&rows).await
    };
    let expected = rows("cloud_run_truncate").await;
    assert_eq!(expected.len(), 300);
    assert_eq!(rows("dataflow_truncate").await, expected);
    assert_eq!(rows("dataflow_merge").await, expected);
    assert_eq!(dataflow(&world).jobs().len(), 2);
}
