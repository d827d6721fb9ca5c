//! Tables that a migration locks.

use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;
use sqlx::Connection as _;
use sqlx::postgres::PgConnection;

use crate::crashes::{kill_half_way, start};
use crate::many_tables::{TABLES, job, related, states};

/// The tables that [`migration`] locks.
const HELD: [&str; 2] = ["shop.t3", "shop.t7"];

/// A transaction that locks two tables as an `ALTER TABLE` does. Sessions that wait for the locks
/// fail soon, because the operator has set a short `lock_timeout`.
async fn migration(database: &Database) -> PgConnection {
    let name = database.name();
    database.execute(&format!("ALTER DATABASE {name} SET lock_timeout = '300ms'")).await;
    locked(database, &HELD).await
}

/// A transaction that locks tables.
async fn locked(database: &Database, tables: &[&str]) -> PgConnection {
    let mut migration = database.connect().await;
    let lock = format!("BEGIN; LOCK TABLE {} IN ACCESS EXCLUSIVE MODE", tables.join(", "));
    sqlx::raw_sql(sqlx::AssertSqlSafe(lock))
        .execute(&mut migration)
        .await
        .expect("no connection locks the tables");
    migration
}

/// Connections of killed clients may hold the tables a little longer.
async fn end_other_connections(database: &Database) {
    database
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_locked_while_planning_hold_up_no_others() {
    let Some(database) = Database::fresh().await else { return };
    related(&database).await;
    let migration = migration(&database).await;
    let site = Site::reading(database.url());
    let job = job(&site, &json!({}));
    let ended = site.sluice(["run".as_ref(), "--json".as_ref(), job.as_os_str()]).await;
    assert_eq!(ended.code, Some(1), "{ended}");
    let answer = ended.json();
    for (table, state) in states(&answer) {
        assert_eq!(
            state,
            if is_held(&table) { "refused" } else { "committed" },
            "{table}: {ended}"
        );
    }
    let error = answer["error"].as_str().unwrap_or_default();
    assert!(["`shop.t3`", "`shop.t7`", "lock"].iter().all(|word| error.contains(word)), "{error}");

    drop(migration.close().await);
    let answer = site.run(&job).await;
    assert!(states(&answer).iter().all(|(_, state)| state == "committed"), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_locked_while_extracting_hold_up_no_others() {
    for released in [true, false] {
        let Some(database) = Database::fresh().await else { return };
        related(&database).await;
        let site = Site::reading(database.url());
        let job = job(&site, &json!({"limits": {"max_tasks": 1}}));
        let run = kill_half_way(&site, start(&site, &job), 0).await;
        end_other_connections(&database).await;
        let migration = migration(&database).await;
        let arguments = ["run", "--json", job.to_str().expect("a path"), "--resume", &run];
        let running = site.start(arguments);
        // All other tables are read while these are locked.
        let units = units_of_others(&site, &run, &HELD);
        let receipts =
            |generation| site.documents(&run, &format!("receipts/{generation:04}")).len();
        let read = async {
            while (0..3).all(|generation| receipts(generation) < units) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let read = tokio::time::timeout(Duration::from_mins(1), read).await;
        assert!(read.is_ok(), "the others are not read while two tables are locked");
        if released {
            drop(migration.close().await);
            let ended = running.ended().await;
            assert_eq!(ended.code, Some(0), "{ended}");
            let renamed = "SELECT id, parent, name AS label FROM shop.t3";
            let t3 = site.path().join("warehouse/shop/t3");
            assert_same(Expected::Query(&database, renamed), &t3).await;
            continue;
        }
        let ended = running.ended().await;
        assert_eq!(ended.code, Some(1), "{ended}");
        let answer = ended.json();
        for (table, state) in states(&answer) {
            assert_eq!(
                state,
                if is_held(&table) { "failed" } else { "committed" },
                "{table}: {ended}"
            );
        }
        let error = answer["error"].as_str().unwrap_or_default();
        assert!(
            ["`shop.t3`", "`shop.t7`", "lock"].iter().all(|word| error.contains(word)),
            "{error}"
        );
        drop(migration.close().await);
    }
}

/// A migration waits for readers, and everyone else waits for the migration: a task that waits itself
/// keeps nobody from a table that it has read.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_read_can_be_changed_while_its_task_waits() {
    let Some(database) = Database::fresh().await else { return };
    related(&database).await;
    let site = Site::reading(database.url());
    let cut = json!([{"table": "shop.*", "exclude": ["shop.django_session", "shop.*_audit"],
                      "partitioning": {"target_rows": 2000}}]);
    let job = job(&site, &json!({"tables": cut}));
    let run = kill_half_way(&site, start(&site, &job), 0).await;
    end_other_connections(&database).await;
    // One task waits for this table, and the other for that task.
    let migration = locked(&database, &["shop.t1"]).await;
    let arguments = ["run", "--json", job.to_str().expect("a path"), "--resume", &run];
    let running = site.start(arguments);
    let units = units_of_others(&site, &run, &["shop.t1"]);
    let receipts = |generation| site.documents(&run, &format!("receipts/{generation:04}")).len();
    let read = async {
        while (0..3).all(|generation| receipts(generation) < units) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let read = tokio::time::timeout(Duration::from_mins(1), read).await;
    assert!(read.is_ok(), "the others are not read while a table is locked");
    for table in (0..TABLES).filter(|at| *at != 1).map(|at| format!("shop.t{at}")) {
        let change = format!(
            "SET lock_timeout = '5s'; ALTER TABLE {table} ADD COLUMN more int; RESET lock_timeout"
        );
        database.execute(&change).await;
    }
    drop(migration.close().await);
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
}

/// The number of units of the tables that are not locked.
fn units_of_others(site: &Site, run: &str, held: &[&str]) -> usize {
    let manifest = site.documents(run, "manifest.json").remove(0);
    let text = std::fs::read_to_string(manifest).expect("the manifest can be read");
    let manifest: Value = serde_json::from_str(&text).expect("the manifest is JSON");
    let tables = manifest["tables"].as_array().expect("`tables` is a list");
    let is_free = |table: &&Value| !held.contains(&table["name"].as_str().unwrap_or_default());
    let units = |table: &Value| table["units"].as_u64().expect("`units` is a number");
    let free: u64 = tables.iter().filter(is_free).map(units).sum();
    usize::try_from(free).expect("a number of units fits")
}

fn is_held(table: &str) -> bool {
    HELD.contains(&table)
}

/// Views whose functions the server calls when it plans to read them, as Sluice makes it do to
/// estimate their rows.
async fn views(database: &Database) {
    database
        .execute(
            "CREATE TABLE numbers (id int);
             CREATE FUNCTION limited() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
             BEGIN
               IF current_setting('statement_timeout') = '0' THEN RAISE 'no limit'; END IF;
               RETURN true;
             END $$;
             CREATE VIEW limited AS SELECT * FROM numbers WHERE limited();
             CREATE FUNCTION slow() RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS $$
             BEGIN PERFORM pg_sleep(300); RETURN true; END $$;
             CREATE VIEW slow AS SELECT * FROM numbers WHERE slow()",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_statement_of_planning_runs_without_a_limit() {
    let Some(database) = Database::fresh().await else { return };
    views(&database).await;
    let site = Site::reading(database.url());
    let source = json!({"url": "${SOURCE_URL}", "table": "public.limited"});
    let job = site.job("limited", &source, &json!({}));
    let planned = site.plan(&job).await;
    assert_eq!(planned["tables"][0]["table"], "public.limited", "{planned:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_of_planning_that_is_cancelled_says_what_may_have_ended_it() {
    let Some(database) = Database::fresh().await else { return };
    views(&database).await;
    let site = Site::reading(database.url());
    let source = json!({"url": "${SOURCE_URL}", "table": "public.slow"});
    let job = site.job("slow", &source, &json!({}));
    let planning = site.start(["plan", job.to_str().expect("a path")]);
    let cancel = "SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity
                  WHERE application_name LIKE 'sluice % plan' AND state = 'active'
                    AND datname = current_database() AND wait_event = 'PgSleep'";
    while database.number(cancel).await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = planning.ended().await;
    ended.refused(1, &["`public.slow`", "may take 1 minute"]);
}
