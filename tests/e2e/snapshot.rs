//! One snapshot: what a run reads while other sessions write.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use rusqlite::Connection;
use serde_json::{Value, json};
use sluice_tests::faults;
use sluice_tests::oracle::duckdb;
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::{Ended, Site};

use crate::crashes::{founder, start, wait_for_receipts};
use crate::shop;

pub(crate) const ACCOUNTS: i64 = 20_000;
pub(crate) const BALANCE: i64 = 1_000;
/// A speed at which a run takes some seconds, in which thousands of transfers happen.
pub(crate) const SLOW: usize = 400_000;

/// Writers that move money between accounts until they are dropped. A transfer keeps the sum;
/// every update moves a row to another page and changes its `moved`.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    pub(crate) transfers: Arc<AtomicU64>,
}

impl Writers {
    pub(crate) async fn start(database: &Database, count: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let transfers = Arc::new(AtomicU64::new(0));
        for _ in 0..count {
            let mut connection = database.connect().await;
            let (stop, transfers) = (Arc::clone(&stop), Arc::clone(&transfers));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let from = rand::rng().random_range(1..ACCOUNTS);
                    let to = rand::rng().random_range(from + 1..=ACCOUNTS);
                    // Always the lower account first, so that writers cannot wait for each other.
                    let sql = format!(
                        "BEGIN; \
                         UPDATE accounts SET balance = balance - 1, moved = nextval('moves') WHERE id = {from}; \
                         UPDATE accounts SET balance = balance + 1, moved = nextval('moves') WHERE id = {to}; \
                         COMMIT"
                    );
                    let done =
                        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await;
                    if done.is_err() {
                        break;
                    }
                    transfers.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, transfers }
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

pub(crate) async fn accounts(database: &Database) {
    database
        .execute(&format!(
            "CREATE SEQUENCE moves;
             CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint, moved bigint, note text);
             INSERT INTO accounts
                 SELECT n, {BALANCE}, nextval('moves'), repeat('x', 60) FROM generate_series(1, {ACCOUNTS}) AS n;
             CREATE INDEX ON accounts (moved);
             ANALYZE accounts;"
        ))
        .await;
}

/// The number of rows, the number of different accounts, and the money of the copy.
pub(crate) async fn figures(folder: &Path) -> Option<(i64, i64, i64)> {
    let query = format!(
        "SELECT count(*) AS n, count(DISTINCT id) AS ids, sum(balance)::BIGINT AS money FROM '{}/*.parquet'",
        folder.display()
    );
    let row = duckdb(&query).await?.remove(0);
    let figure = |name: &str| row[name].as_i64().expect("a figure is a whole number");
    Some((figure("n"), figure("ids"), figure("money")))
}

/// Whether a run has read any unit again, that is, a snapshot before its newest has a receipt.
fn begun_again(site: &Site, run: &str) -> bool {
    let generations = site.documents(run, "founder.json").len();
    (1..generations)
        .any(|older| !site.documents(run, &format!("receipts/{:04}", older - 1)).is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_money_is_all_there_whatever_is_killed() {
    let Some(database) = Database::fresh().await else { return };
    accounts(&database).await;
    for cut in [shop::cut("ctid"), shop::cut_by("id_range", "moved"), shop::cut_by("hash", "id")] {
        let proxy = Proxy::slow(database.address(), SLOW).await;
        let site = Site::reading(database.url_through(proxy.port()));
        let job = site.job("accounts", &json!({"table": "accounts"}), &cut);
        let writers = Writers::start(&database, 4).await;
        let running = start(&site, &job);
        assert!(
            faults::wait_for_tasks(running.id, Duration::from_secs(30)).await,
            "no task started"
        );
        for _ in 0..2 {
            let pause = rand::rng().random_range(300..1_200);
            tokio::time::sleep(Duration::from_millis(pause)).await;
            // Kill any tasks, the first one too, but never all of them.
            if faults::tasks_of(running.id).len() > 1 {
                faults::kill_a_task(running.id);
            }
        }
        let ended = running.ended().await;
        drop(proxy);
        assert_eq!(ended.code, Some(0), "{ended}");
        assert!(writers.transfers.load(Ordering::Relaxed) > 100, "the writers hardly wrote");
        let Some(found) = figures(&site.table("accounts")).await else { return };
        assert_eq!(found, (ACCOUNTS, ACCOUNTS, ACCOUNTS * BALANCE), "{ended}");
        let run = site.newest_run().expect("there is a run");
        assert!(!begun_again(&site, &run), "it was begun again: {ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_snapshot_the_same_run_is_wrong() {
    let Some(database) = Database::fresh().await else { return };
    accounts(&database).await;
    let mut more = shop::cut_by("id_range", "moved");
    more["consistency"] = json!("none");
    let _writers = Writers::start(&database, 4).await;
    for _ in 0..5 {
        let proxy = Proxy::slow(database.address(), SLOW).await;
        let site = Site::reading(database.url_through(proxy.port()));
        let job = site.job("accounts", &json!({"table": "accounts"}), &more);
        let plan = site.plan(&job).await;
        let warnings = plan["tables"][0]["warnings"].to_string();
        assert!(warnings.contains("loaded twice or not at all"), "{warnings}");
        let ended = start(&site, &job).ended().await;
        assert_eq!(ended.code, Some(0), "{ended}");
        let Some(found) = figures(&site.table("accounts")).await else { return };
        if found != (ACCOUNTS, ACCOUNTS, ACCOUNTS * BALANCE) {
            return;
        }
    }
    panic!("five runs without a snapshot were right: the test above proves nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_tasks_all_die_begins_again_by_itself() {
    let Some(database) = Database::fresh().await else { return };
    accounts(&database).await;
    let proxy = Proxy::slow(database.address(), SLOW).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let job = site.job("accounts", &json!({"table": "accounts"}), &shop::cut("ctid"));
    let writers = Writers::start(&database, 2).await;
    let running = start(&site, &job);
    while site.newest_run().is_none_or(|run| site.documents(&run, "receipts").is_empty()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for task in faults::tasks_of(running.id) {
        faults::kill(task);
    }
    let ended = running.ended().await;
    drop(writers);
    assert_eq!(ended.code, Some(0), "{ended}");
    let Some(found) = figures(&site.table("accounts")).await else { return };
    assert_eq!(found, (ACCOUNTS, ACCOUNTS, ACCOUNTS * BALANCE), "{ended}");
    let run = site.newest_run().expect("there is a run");
    assert!(begun_again(&site, &run), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_dies_while_it_holds_the_snapshot_alone_takes_nothing_along() {
    let Some(database) = Database::fresh().await else { return };
    accounts(&database).await;
    // The other tasks are alive, and wait for an answer of the server.
    let proxy = Proxy::narrow(database.address(), SLOW).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let job = site.job("accounts", &json!({"table": "accounts"}), &shop::cut("ctid"));
    let writers = Writers::start(&database, 2).await;
    let running = start(&site, &job);
    while site.newest_run().is_none_or(|run| site.documents(&run, ".parquet").len() < 4) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let run = site.newest_run().expect("there is a run");
    assert!(site.documents(&run, "receipts").is_empty(), "units were proved that could be lost");
    let founder = founder(&running, &site, &run);
    assert!(faults::tasks_of(running.id).len() > 1, "no other task lives");
    assert!(faults::kill(founder));
    proxy.widen();
    let ended = running.ended().await;
    drop(writers);
    assert_eq!(ended.code, Some(0), "{ended}");
    let Some(found) = figures(&site.table("accounts")).await else { return };
    assert_eq!(found, (ACCOUNTS, ACCOUNTS, ACCOUNTS * BALANCE), "{ended}");
    assert!(!site.documents(&run, "snapshots/0001").is_empty(), "nothing was founded: {ended}");
    assert!(!begun_again(&site, &run), "it was begun again: {ended}");
    assert!(!ended.stderr.contains("beginning again"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_outlives_all_tasks_but_one() {
    let Some(database) = Database::fresh().await else { return };
    accounts(&database).await;
    let proxy = Proxy::slow(database.address(), SLOW).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let job = site.job("accounts", &json!({"table": "accounts"}), &shop::cut("ctid"));
    let running = start(&site, &job);
    while site.newest_run().is_none_or(|run| site.documents(&run, "snapshots/0000").len() < 3) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Another snapshot would show less money.
    database.execute("UPDATE accounts SET balance = 0").await;
    let tasks = faults::tasks_of(running.id);
    assert_eq!(tasks.len(), 3, "the run is over already");
    for task in &tasks[..2] {
        faults::kill(*task);
    }
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    let Some(found) = figures(&site.table("accounts")).await else { return };
    assert_eq!(found, (ACCOUNTS, ACCOUNTS, ACCOUNTS * BALANCE), "{ended}");
    let run = site.newest_run().expect("there is a run");
    assert!(site.documents(&run, "snapshots/0001").is_empty(), "it was begun again: {ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_transaction_at_the_source_is_neither_waited_for_nor_seen() {
    let Some(database) = Database::fresh().await else { return };
    accounts(&database).await;
    let mut writer = database.connect().await;
    let changes = format!(
        "BEGIN; UPDATE accounts SET balance = 0 WHERE id % 2 = 0;
         DELETE FROM accounts WHERE id % 3 = 0;
         INSERT INTO accounts SELECT n + {ACCOUNTS}, 1, 1, '' FROM generate_series(1, 1000) AS n"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(changes)).execute(&mut writer).await.expect("changes");
    let proxy = Proxy::slow(database.address(), SLOW).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let job = site.job("accounts", &json!({"table": "accounts"}), &shop::cut("ctid"));
    let running = start(&site, &job);
    wait_for_receipts(&site, 3).await;
    sqlx::raw_sql("COMMIT").execute(&mut writer).await.expect("the writer commits");
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    let Some(found) = figures(&site.table("accounts")).await else { return };
    assert_eq!(found, (ACCOUNTS, ACCOUNTS, ACCOUNTS * BALANCE), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_sees_which_run_holds_the_snapshot() {
    let Some(database) = Database::fresh().await else { return };
    accounts(&database).await;
    // Timeouts that an operator may have set must not end a run.
    let name = database.name().to_owned();
    database
        .execute(&format!(
            "ALTER DATABASE {name} SET statement_timeout = '200ms';
             ALTER DATABASE {name} SET idle_in_transaction_session_timeout = '200ms';"
        ))
        .await;
    let proxy = Proxy::slow(database.address(), SLOW).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let job = site.job("accounts", &json!({"table": "accounts"}), &shop::cut("ctid"));
    let running = start(&site, &job);
    while site.newest_run().is_none_or(|run| site.documents(&run, "receipts").is_empty()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let run = site.newest_run().expect("there is a run");
    let seen = database
        .number(&format!(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() \
             AND application_name ~ '^sluice {run} [0-9]+$' AND backend_xmin IS NOT NULL"
        ))
        .await;
    assert!(seen > 0, "no connection is named `sluice {run} <task>`");
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
}

/// A site with an SQLite database, its table `orders`, and a job that cuts the table into many
/// units.
fn sqlite_orders(consistency: &str) -> (Site, PathBuf, Connection) {
    let site = Site::new();
    let file = site.path().join("shop.db");
    let database = Connection::open(&file).expect("a database can be made");
    database
        .execute_batch(
            "PRAGMA journal_mode = wal;
             CREATE TABLE orders (id INTEGER PRIMARY KEY, note TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 400000)
             INSERT INTO orders SELECT i, printf('note %d', i) FROM n;",
        )
        .expect("the database can be written");
    let site = site.with("SOURCE_URL", format!("sqlite://{}", file.display()));
    let more = json!({
        "consistency": consistency,
        "partitioning": {"strategy": "id_range", "target_rows": 4000},
        "limits": {"max_tasks": 1},
    });
    let job = site.job("orders", &json!({"table": "orders"}), &more);
    (site, job, database)
}

/// Starts the job, and changes a row that is read late.
async fn run_while_it_changes(site: &Site, job: &Path, database: &Connection) -> Ended {
    let running = start(site, job);
    while site.newest_run().is_none_or(|run| site.documents(&run, "receipts").is_empty()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    database.execute("UPDATE orders SET note = 'late' WHERE id = 400000", []).expect("an update");
    running.ended().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_database_that_changes_meanwhile_ends_the_run() {
    let (site, job, database) = sqlite_orders("snapshot");
    let ended = run_while_it_changes(&site, &job, &database).await;
    ended.refused(1, &["changed"]);
    assert!(!site.table("orders").exists(), "{ended}");
    let again: Value = site.run(&job).await;
    assert_eq!(again["rows"], 400_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sqlite_database_may_change_meanwhile_where_nothing_was_promised() {
    let (site, job, database) = sqlite_orders("none");
    let ended = run_while_it_changes(&site, &job, &database).await;
    assert_eq!(ended.code, Some(0), "{ended}");
    let folder = site.table("orders");
    let query = format!("SELECT count(DISTINCT id) AS ids FROM '{}/*.parquet'", folder.display());
    let Some(rows) = duckdb(&query).await else { return };
    assert_eq!(rows[0]["ids"], 400_000);
}
