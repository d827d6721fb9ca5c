//! A run of many units on many tasks, from the request to the table.
//!
//! In `./test` the run is small; `tests/scale.sh cloud` makes it ten thousand units on five hundred
//! tasks. Prints the requests to Cloud Storage and BigQuery, and the memory of planner and loader.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rusqlite::Connection;
use serde_json::json;
use sluice_contracts::documents::EventName;
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::gateway::{Gateway, Seen};
use sluice_tests::cloud::world::{Setting, World};
use sluice_tests::needs::number;
use tempfile::TempDir;

/// The number of units of a task.
const SHARE: usize = 20;
/// The number of rows of a unit.
const UNIT: usize = 10;

/// A cheap source, which any number of tasks can open quickly and at the same time.
fn source(folder: &TempDir, rows: usize) -> String {
    let file = folder.path().join("source.db");
    let database = Connection::open(&file).expect("a database can be made");
    database
        .execute_batch(&format!(
            "CREATE TABLE numbers (id INTEGER PRIMARY KEY, text TEXT NOT NULL);
             INSERT INTO numbers SELECT value, 'number ' || value
               FROM (WITH RECURSIVE n(value) AS
                 (SELECT 1 UNION ALL SELECT value + 1 FROM n WHERE value < {rows}) SELECT value FROM n);
             ANALYZE"
        ))
        .expect("it can be filled");
    format!("sqlite://{}", file.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_units_on_many_tasks() {
    let tasks = number("TEST_TASKS").unwrap_or(15);
    let units = tasks * SHARE;
    let rows = units * UNIT;
    let folder = TempDir::with_prefix("sluice-source-").expect("a temporary folder");
    // Each running task lists from time to time what other tasks gave up, and for each list the
    // emulator of storage walks through the whole bucket.
    let setting =
        Setting { parallelism: tasks, at_once: 25, ..Setting::reading(source(&folder, rows)) };
    let Some(world) = World::start(setting).await else { return };
    let job = json!({
        "name": "numbers",
        "source": {"url": "${SOURCE_URL}", "table": "numbers"},
        "target": {"table": Warehouse::target("numbers")},
        "partitioning": {"strategy": "id_range", "target_rows": UNIT},
        // Tasks that hold a snapshot for each other would all have to run at the same time.
        "consistency": "none",
        "limits": {"max_tasks": tasks, "max_connections": tasks, "finish_within": "1ms"},
    });
    let begun = Instant::now();
    let run = world.ask(&json!({"job": job})).await;
    let mut stages = vec![("asked", begun.elapsed())];
    for (stage, document) in [
        ("planned", "manifest.json"),
        ("claimed", "launches/0000/claim.json"),
        ("extracted", "extracted/0000.json"),
        ("committed", "committed.json"),
    ] {
        world.appears_within(run, document, Duration::from_mins(20)).await;
        stages.push((stage, begun.elapsed()));
    }
    let event = world.ended(run).await;
    stages.push(("announced", begun.elapsed()));
    assert_eq!(event.event, EventName::Finished, "{event:#?}");
    let sums =
        "SELECT concat(count(*), ' ', count(DISTINCT id), ' ', sum(id)) FROM `sales.numbers`";
    let expected = format!("{rows} {rows} {}", rows * (rows + 1) / 2);
    assert_eq!(world.warehouse.query(sums).await, [expected]);
    let manifest = world.store(run).manifest().await.expect("the plan is there");
    assert_eq!((manifest.units().count(), manifest.tasks.len()), (units, tasks));
    assert_eq!(world.run.executions().len(), 1);
    // Nothing is read twice if nothing fails.
    assert_eq!(created(world.storage.gateway(), "receipts"), units);
    assert_eq!(created(world.storage.gateway(), "parts"), units);

    println!("\nseconds since the request:");
    for (stage, since) in stages {
        println!("{stage:>12} {:>8.1}", since.as_secs_f64());
    }
    println!("\npeak memory, MiB:");
    for (name, program) in [("planner", &world.planner), ("loader", &world.loader)] {
        println!("{name:>12} {:>8.1}", mebibytes(program.peak()));
    }
    println!("\n{}", requests(world.storage.gateway(), &run.to_string()));
    println!("requests of BigQuery: {}", world.warehouse.gateway().count("", ""));
    println!("requests of Cloud Run: {}", world.to_run.count("", ""));
    println!("tasks of the queue: {}", world.tasks.tasks("").len());
}

/// How many objects were created in a folder of the run.
fn created(storage: &Gateway, folder: &str) -> usize {
    storage.count("POST", &format!("%2F{folder}%2F"))
}

/// A table of the requests for each kind of document: how many, for how many names, and the most
/// for one name.
fn requests(storage: &Gateway, run: &str) -> String {
    let mut names: BTreeMap<(String, &str), Vec<String>> = BTreeMap::new();
    for seen in storage.requests() {
        names.entry((folder(&seen, run), verb(&seen))).or_default().push(object(&seen));
    }
    let mut table = format!(
        "{:>14} {:>8} {:>10} {:>10} {:>12}\n",
        "document", "request", "requests", "names", "most of one"
    );
    for ((folder, verb), mut names) in names {
        names.sort_unstable();
        let same: Vec<usize> = names.chunk_by(String::eq).map(<[String]>::len).collect();
        let most = same.iter().max().copied().unwrap_or(0);
        let (all, different) = (names.len(), same.len());
        let line = format!("{folder:>14} {verb:>8} {all:>10} {different:>10} {most:>12}\n");
        table.push_str(&line);
    }
    table
}

/// The folder of the run that a request is about.
fn folder(seen: &Seen, run: &str) -> String {
    let object = object(seen);
    let below = object.split_once(run).map_or("", |(_, below)| below.trim_start_matches('/'));
    let first = below.split('/').next().unwrap_or_default();
    if first.is_empty() { "other".to_owned() } else { first.to_owned() }
}

/// The object that a request names, or the prefix that it lists.
fn object(seen: &Seen) -> String {
    let (path, query) = seen.path.split_once('?').unwrap_or((&seen.path, ""));
    let parameter =
        |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
    let named = path.split_once("/o/").map(|(_, name)| name);
    let text = named.or(parameter("name")).or(parameter("prefix")).unwrap_or_default();
    text.replace("%2F", "/").replace("%2f", "/")
}

fn verb(seen: &Seen) -> &'static str {
    let is_upload = seen.path.contains("/upload/");
    match seen.method.as_str() {
        "POST" if is_upload => "create",
        "PUT" => "send",
        "DELETE" => "delete",
        "GET" if seen.path.contains("alt=media") => "read",
        "GET" if seen.path.contains("/o/") => "look",
        "GET" => "list",
        _ => "other",
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
