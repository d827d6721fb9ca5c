//! Tables and documents that change during a run, and runs at the same time.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::faults;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;
use sqlx::postgres::PgConnection;

use crate::crashes::{kill_half_way, resume, slow_orders, start};
use crate::shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_altered_between_plan_and_extract_is_never_loaded() {
    for (change, named) in [
        ("ALTER TABLE orders DROP COLUMN note", "`note`"),
        ("ALTER TABLE orders ALTER COLUMN customer_id TYPE text", "`customer_id` was `integer`"),
        ("ALTER TABLE orders RENAME COLUMN total TO sum", "`total`"),
        ("DROP TABLE orders", "`orders`"),
        ("TRUNCATE orders; DROP TABLE orders; CREATE VIEW orders AS SELECT 1 AS id", "`orders`"),
    ] {
        let Some(database) = Database::fresh().await else { return };
        let (_proxy, site, job) = slow_orders(&database).await;
        let run = altered_when_planned(&database, &site, &job, change).await;
        let ended = resume(&site, &job, &run).ended().await;
        assert_eq!(ended.code, Some(1), "{change}: {ended}");
        ended.refused(1, &["`orders`: it was altered since the run was planned", named]);
        assert!(!site.table("orders").exists(), "{change}: something became visible");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_column_that_nobody_planned_waits_for_the_next_plan() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    database.execute("CREATE TABLE before AS SELECT * FROM orders").await;
    let change = "ALTER TABLE orders ADD COLUMN surprise text DEFAULT 'x'";
    let run = altered_when_planned(&database, &site, &job, change).await;
    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "before"), &site.table("orders")).await;
    site.run(&job).await;
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

/// Tasks that begin before and after a column is added cut the rows of a table without a key alike.
#[tokio::test(flavor = "multi_thread")]
async fn rows_without_a_key_are_cut_by_the_columns_of_the_plan() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute("CREATE TABLE keyless AS SELECT n AS id, n::text AS note FROM generate_series(1, 5000) AS n")
        .await;
    let site = Site::reading(database.url());
    let job = site.job("keyless", &json!({"table": "keyless"}), &shop::cut("hash"));
    let plan = site.plan(&job).await;
    let units = plan["tables"][0]["units"].as_array().expect("units are a list");
    assert!(units.len() > 1, "{plan:#}");
    for unit in units {
        let predicate = unit["predicate"].as_str().unwrap_or_default();
        assert!(predicate.contains(r#"row("id", "note")"#), "{predicate}");
    }
}

/// Starts a run, kills it once it is planned, alters its table, and returns the run's name.
pub(crate) async fn altered_when_planned(
    database: &Database,
    site: &Site,
    job: &Path,
    change: &str,
) -> String {
    let running = start(site, job);
    assert!(faults::wait_for_tasks(running.id, Duration::from_secs(30)).await, "no task started");
    let run = kill_half_way(site, running, 0).await;
    // Sessions of killed clients may hold the table a little longer.
    database
        .execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .await;
    database.execute(change).await;
    run
}

/// Some changes are visible to every transaction, however old its snapshot: a table that a nightly
/// job empties and fills again, or exchanges, would be read as empty or as another one.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_replaced_after_the_snapshot_is_never_loaded_whatever_reads_it() {
    const REFILL: &str = "CREATE TEMP TABLE kept AS SELECT * FROM orders; TRUNCATE orders;
        INSERT INTO orders SELECT * FROM kept";
    const EXCHANGE: &str = "ALTER TABLE orders RENAME TO old; ALTER TABLE spare RENAME TO orders";
    // The snapshot knows nothing of the new table, neither its name nor its rows.
    const RECREATE: &str = "DROP TABLE orders CASCADE; CREATE TABLE orders AS SELECT * FROM spare";
    let spare = "CREATE TABLE spare AS SELECT * FROM orders WHERE id % 2 = 0";
    let view =
        "CREATE VIEW outer_view AS SELECT * FROM (SELECT id, note FROM orders) AS inner_query";
    let sources = [
        json!({"table": "orders"}),
        json!({"table": "outer_view"}),
        json!({"query": "SELECT id, note FROM outer_view WHERE id > 0"}),
        json!({"query": "SELECT id FROM orders WHERE id IN (SELECT id FROM orders)"}),
    ];
    let changes = sources.iter().flat_map(|it| [(it, REFILL), (it, EXCHANGE)]);
    let more = [(&sources[0], RECREATE), (&sources[3], RECREATE)];
    for (source, change) in changes.chain(more) {
        refused_when_changed(source, &format!("{view}; {spare}"), "orders", change).await;
    }
}

/// Makes a `change` after the snapshot is taken and before the read begins, which waits
/// for a lock of what is `held`, and expects a refusal.
pub(crate) async fn refused_when_changed(source: &Value, setup: &str, held: &str, change: &str) {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, _) = slow_orders(&database).await;
    database.execute(setup).await;
    let job = site.job("copied", source, &json!({"partitioning": {"strategy": "full"}}));
    let run = altered_when_planned(&database, &site, &job, "SELECT").await;
    let before = site.documents(&run, "snapshots").len();
    let mut nightly = database.connect().await;
    let lock = if held == "kept" { "REFRESH MATERIALIZED VIEW" } else { "LOCK TABLE" };
    execute(&mut nightly, &format!("BEGIN; {lock} {held}")).await;
    let running = resume(&site, &job, &run);
    while site.documents(&run, "snapshots").len() == before {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    execute(&mut nightly, &format!("{change}; COMMIT")).await;
    let ended = running.ended().await;
    ended.refused(1, &["altered since the run was planned"]);
    assert!(!site.table("copied").exists(), "{source}, {change}: something became visible");
}

pub(crate) async fn execute(connection: &mut PgConnection, statements: &str) {
    let statements = sqlx::raw_sql(sqlx::AssertSqlSafe(statements.to_owned()));
    statements.execute(connection).await.expect("the statements are carried out");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_changed_during_a_run_are_seen_at_one_moment() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    database.execute("CREATE TABLE before AS SELECT * FROM orders").await;
    let running = start(&site, &job);
    while site.newest_run().is_none_or(|run| site.documents(&run, "snapshots").is_empty()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Every row moves to another unit, half of the rows vanish, and some are new.
    database
        .execute(
            "DELETE FROM orders WHERE paid;
             UPDATE orders SET id = 1000000 - id, status = 'moved';
             INSERT INTO orders SELECT n, n, 'late', 1, 1, true, now(), now(), md5('x')::uuid, NULL, NULL, NULL, '{}'
             FROM generate_series(5000000, 5000100) AS n;",
        )
        .await;
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "before"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_are_not_what_they_should_be() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    // Every unit is done, but the target's folder holds files of another program.
    let running = start(&site, &job);
    assert!(faults::wait_for_tasks(running.id, Duration::from_secs(30)).await, "no task started");
    let folder = site.table("orders");
    fs::create_dir_all(&folder).expect("the folder can be written");
    fs::write(folder.join("precious.txt"), "not ours").expect("the folder can be written");
    running.ended().await.refused(1, &["was not written by Sluice"]);
    fs::remove_dir_all(&folder).expect("the folder can be written");
    let run = site.newest_run().expect("there is a run");

    let receipts = site.documents(&run, "receipts");
    let [first, second, ..] = receipts.as_slice() else { panic!("too few receipts") };
    let manifest = site.documents(&run, "manifest.json").remove(0);
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let receipt: Value = serde_json::from_str(&text(first)).unwrap_or_default();
    let part = receipt["parts"][0]["path"].as_str().expect("the first unit has rows");
    let part = site.path().join("bucket").join(part);
    let bytes = fs::read(&part).expect("the part is there");
    let newer = text(first).replacen("\"version\": 1", "\"version\": 999", 1);
    let fewer = text(first).replacen("\"rows\": ", "\"rows\": 1", 1);
    for (document, contents, code, said) in [
        (first, text(first).as_bytes()[..40].to_vec(), 1, "truncated"),
        (first, Vec::new(), 1, "truncated"),
        (first, b"{\"hello\": \"world\"}".to_vec(), 1, "another version of Sluice"),
        (first, text(second).into_bytes(), 1, "another unit"),
        (first, fewer.into_bytes(), 1, "rows"),
        // A newer version is not damage: a newer build reads it.
        (first, newer.into_bytes(), 64, "has version 999"),
        (&manifest, text(&manifest).as_bytes()[..100].to_vec(), 1, "truncated"),
        (&manifest, text(first).into_bytes(), 1, "another version of Sluice"),
        (&part, bytes[..bytes.len() / 2].to_vec(), 1, ".parquet"),
        (&part, bytes.iter().map(|byte| byte ^ 1).collect(), 1, ".parquet"),
    ] {
        let original = fs::read(document).unwrap_or_default();
        fs::write(document, contents).expect("the bucket can be written");
        let ended = resume(&site, &job, &run).ended().await;
        ended.refused(code, &[said]);
        assert!(!folder.exists(), "{ended}");
        fs::write(document, original).expect("the bucket can be written");
    }
    fs::remove_file(&part).expect("the bucket can be written");
    resume(&site, &job, &run).ended().await.refused(1, &[".parquet"]);
    assert!(!folder.exists());
    fs::write(&part, bytes).expect("the bucket can be written");

    let absent = "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90";
    resume(&site, &job, absent).ended().await.refused(1, &[absent]);
    assert_eq!(resume(&site, &job, "nonsense").ended().await.code, Some(64));
    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_of_one_job_at_once() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let (one, two) = tokio::join!(start(&site, &job).ended(), start(&site, &job).ended());
    assert_eq!((one.code, two.code), (Some(0), Some(0)), "{one}\n{two}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_a_later_one_has_overtaken_changes_nothing_and_says_so() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let older = kill_half_way(&site, start(&site, &job), 1).await;
    let newer = site.run(&job).await["run"].as_str().expect("the run's name").to_owned();
    let shown = Expected::Table(&database, "orders");
    assert_same(shown, &site.table("orders")).await;
    let before = std::fs::read(site.table("orders").join("_runs.json")).expect("the history");

    let ended = resume(&site, &job, &older).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    for words in ["overtaken", &*newer, "stays as it is"] {
        assert!(ended.stdout.contains(words), "{words}: {ended}");
    }
    let after = std::fs::read(site.table("orders").join("_runs.json")).expect("the history");
    assert_eq!(before, after);
    let status = ["status".as_ref(), older.as_ref(), "--job".as_ref(), job.as_os_str()];
    let ended = site.sluice(status).await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(ended.stdout.contains("overtaken") && ended.stdout.contains(&newer), "{ended}");
    // It stays so, however often it is resumed, and the next run replaces the table again.
    assert!(resume(&site, &job, &older).ended().await.stdout.contains("overtaken"));
    site.run(&job).await;
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn write_dispositions_hold() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 3_000).await;
    let site = Site::reading(database.url());
    let run = async |disposition: &str| {
        let more = json!({"target": {"write_disposition": disposition}});
        let job = site.job("orders", &json!({"table": "orders"}), &more);
        start(&site, &job).ended().await
    };
    run("empty").await.succeeded();
    let refused = run("empty").await;
    refused.refused(1, &["3,000 rows", "`empty`"]);
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;

    run("append").await.succeeded();
    let twice = "SELECT * FROM orders UNION ALL SELECT * FROM orders";
    assert_same(Expected::Query(&database, twice), &site.table("orders")).await;

    database.execute("DELETE FROM orders WHERE id % 2 = 0").await;
    run("truncate").await.succeeded();
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;

    // A table of another shape can be replaced, but not appended to.
    database.execute("ALTER TABLE orders ALTER COLUMN customer_id TYPE text").await;
    run("append").await.refused(1, &["customer_id"]);
    run("truncate").await.succeeded();
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_at_their_extremes() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE same (id bigint, at timestamptz); CREATE INDEX ON same (id); CREATE INDEX ON same (at);
             INSERT INTO same SELECT 7, '2024-01-01 00:00:00+00' FROM generate_series(1, 5000);
             CREATE TABLE absent (id bigint, at timestamptz); CREATE INDEX ON absent (id); CREATE INDEX ON absent (at);
             INSERT INTO absent SELECT NULL, NULL FROM generate_series(1, 5000);
             CREATE TABLE far (id bigint, at timestamptz); CREATE INDEX ON far (id); CREATE INDEX ON far (at);
             INSERT INTO far SELECT n, timestamptz '2024-01-01 00:00:00+00' + n * interval '1 s'
                 FROM generate_series(-2500, 2500) AS n;
             INSERT INTO far VALUES
                 (-9223372036854775808, '0001-01-01 00:00:00+00'), (-9223372036854775808, NULL),
                 (9223372036854775807, '9999-12-31 23:59:59.999999+00'), (9223372036854775807, NULL),
                 (9223372036854775806, '9999-12-31 23:59:59.999999+00'), (NULL, NULL);
             CREATE TABLE stale (id bigint PRIMARY KEY, at timestamptz); CREATE INDEX ON stale (at);
             INSERT INTO stale SELECT n, timestamptz '2024-01-01 00:00:00+00' + n * interval '1 s'
                 FROM generate_series(1, 20) AS n;
             ANALYZE;
             ALTER TABLE stale SET (autovacuum_enabled = false);
             INSERT INTO stale SELECT n * 1000, timestamptz '2030-01-01 00:00:00+00' + n * interval '1 min'
                 FROM generate_series(1, 20000) AS n;
             CREATE TABLE shrunk (id bigint PRIMARY KEY, at timestamptz) WITH (autovacuum_enabled = false);
             CREATE INDEX ON shrunk (at);
             INSERT INTO shrunk SELECT n, timestamptz '2024-01-01 00:00:00+00' + n * interval '1 s'
                 FROM generate_series(1, 20000) AS n;
             ANALYZE shrunk;
             DELETE FROM shrunk WHERE id % 1000 <> 0;",
        )
        .await;
    for table in ["same", "absent", "far", "stale", "shrunk"] {
        for more in [
            shop::cut_by("id_range", "id"),
            shop::cut_by("date_range", "at"),
            shop::cut_by("hash", "id"),
            shop::cut("ctid"),
            json!({}),
        ] {
            let site = Site::reading(database.url());
            let job = site.job(table, &json!({"table": table}), &more);
            let answer = site.run(&job).await;
            let rows = database.number(&format!("SELECT count(*) FROM {table}")).await;
            assert_eq!(answer["rows"], rows, "{answer:#}");
            assert_same(Expected::Table(&database, table), &site.table(table)).await;
        }
    }
}

/// The server names snapshots by counters that begin again when it starts, so a name may be that of
/// another run's snapshot by now.
#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_of_the_same_name_that_is_another_one_is_not_joined() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let run = kill_half_way(&site, start(&site, &job), 3).await;
    database.execute("UPDATE orders SET note = 'later'").await;
    // Another connection holds a snapshot, and the documents of the run name it.
    let mut other = database.connect().await;
    execute(&mut other, "BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ").await;
    let name: String = sqlx::query_scalar("SELECT pg_export_snapshot()")
        .fetch_one(&mut other)
        .await
        .expect("a snapshot can be exported");
    for path in site.documents(&run, "snapshots/0000") {
        let text = fs::read_to_string(&path).expect("the document can be read");
        let mut document: Value = serde_json::from_str(&text).expect("the document is JSON");
        let token = document["token"].as_str().expect("a token is text");
        let (_, meant) = token.split_once(' ').expect("a token says which snapshot it means");
        document["token"] = json!(format!("{name} {meant}"));
        fs::write(&path, document.to_string()).expect("the document can be written");
    }
    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(!site.documents(&run, "snapshots/0001").is_empty(), "the other snapshot was joined");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}
