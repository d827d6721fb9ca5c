//! Tables and documents that change while a run is under way, and runs that meet.

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::faults;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;

use crate::bad_days::{kill_half_way, resume, slow_orders, start};
use crate::shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_table_altered_between_plan_and_extract_is_never_loaded() {
    for change in [
        "ALTER TABLE orders DROP COLUMN note",
        "ALTER TABLE orders ALTER COLUMN customer_id TYPE text",
        "ALTER TABLE orders RENAME COLUMN total TO sum",
        "ALTER TABLE orders ADD COLUMN surprise text",
        "DROP TABLE orders",
        "TRUNCATE orders; DROP TABLE orders; CREATE VIEW orders AS SELECT 1 AS id",
    ] {
        let Some(database) = Database::fresh().await else { return };
        let (proxy, site, job) = slow_orders(&database).await;
        let running = start(&site, &job);
        assert!(
            faults::wait_for_tasks(running.id, Duration::from_secs(30)).await,
            "no task started"
        );
        let run = kill_half_way(&site, running, 0).await;
        proxy.cut();
        // Sessions whose client died may hold the table a little longer.
        database
            .execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()",
            )
            .await;
        database.execute(change).await;
        let ended = resume(&site, &job, &run).ended().await;
        ended.refused(1, &["`orders`: it was altered since the run was planned"]);
        assert!(!site.table("orders").exists(), "{change}: something became visible");
    }
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
    // Every row moves to another unit, half of them vanish, and some are new.
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
    let (proxy, site, job) = slow_orders(&database).await;
    let run = kill_half_way(&site, start(&site, &job), 3).await;
    drop(proxy);
    let fast = Site::reading(database.url());
    copy(&site.path().join("bucket"), &fast.path().join("bucket"));
    let mut job: Value =
        serde_json::from_str(&fs::read_to_string(&job).unwrap_or_default()).unwrap_or_default();
    job["bucket"] = json!(fast.bucket());
    job["target"]["table"] = json!(format!("file://{}", fast.table("orders").display()));
    let job = fast.file("orders.yaml", &job.to_string());

    let receipts = fast.documents(&run, "receipts");
    let [first, second, ..] = receipts.as_slice() else { panic!("too few receipts") };
    let manifest = fast.documents(&run, "manifest.json").remove(0);
    let part = fast
        .documents(&run, ".parquet")
        .into_iter()
        .find(|part| {
            let name = part.strip_prefix(fast.path().join("bucket")).unwrap_or(part);
            fs::read_to_string(first).is_ok_and(|text| text.contains(&*name.to_string_lossy()))
        })
        .expect("the first receipt names a part");
    let text = |path: &Path| fs::read_to_string(path).unwrap_or_default();
    let bytes = fs::read(&part).unwrap_or_default();
    for (document, contents, said) in [
        (first, text(first).as_bytes()[..40].to_vec(), "truncated"),
        (first, Vec::new(), "truncated"),
        (first, b"{\"hello\": \"world\"}".to_vec(), "not written by Sluice"),
        (first, text(second).into_bytes(), "another unit"),
        (
            first,
            text(first).replacen("\"version\": 1", "\"version\": 999", 1).into_bytes(),
            "has version 999",
        ),
        (&manifest, text(&manifest).as_bytes()[..100].to_vec(), "truncated"),
        (&manifest, text(first).into_bytes(), "not written by Sluice"),
        (&part, bytes[..bytes.len() / 2].to_vec(), ".parquet"),
        (&part, bytes.iter().map(|byte| byte ^ 1).collect(), ".parquet"),
    ] {
        let original = fs::read(document).unwrap_or_default();
        fs::write(document, contents).expect("the bucket can be written");
        let ended = resume(&fast, &job, &run).ended().await;
        // A newer version is no damage: the other build reads it.
        ended.refused(if said.contains("version") { 64 } else { 1 }, &[said]);
        assert!(!fast.table("orders").exists(), "{ended}");
        fs::write(document, original).expect("the bucket can be written");
    }
    fs::remove_file(&part).expect("the bucket can be written");
    resume(&fast, &job, &run).ended().await.refused(1, &[".parquet"]);
    assert!(!fast.table("orders").exists());

    fs::write(&part, bytes).expect("the bucket can be written");
    let run_id = "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90";
    resume(&fast, &job, run_id).ended().await.refused(1, &[run_id]);
    resume(&fast, &job, "nonsense").ended().await.refused(64, &["nonsense"]);
    let ended = resume(&fast, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &fast.table("orders")).await;
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
async fn write_dispositions_hold() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 3_000).await;
    let site = Site::reading(database.url());
    let run = async |disposition: &str| {
        let more = json!({"target": {"write_disposition": disposition}});
        let job = site.job("orders", &json!({"table": "orders"}), &more);
        start(&site, &job).ended().await
    };
    assert_eq!(run("empty").await.code, Some(0));
    let refused = run("empty").await;
    refused.refused(1, &["3,000 rows", "`empty`"]);
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;

    assert_eq!(run("append").await.code, Some(0));
    let twice = "SELECT * FROM orders UNION ALL SELECT * FROM orders";
    assert_same(Expected::Query(&database, twice), &site.table("orders")).await;

    database.execute("DELETE FROM orders WHERE id % 2 = 0").await;
    assert_eq!(run("truncate").await.code, Some(0));
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;

    // A table of another shape is replaced, but nothing can be added to it.
    database.execute("ALTER TABLE orders ALTER COLUMN customer_id TYPE text").await;
    run("append").await.refused(1, &["customer_id"]);
    assert_eq!(run("truncate").await.code, Some(0));
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

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the folder can be written");
    for entry in fs::read_dir(from).into_iter().flatten().flatten() {
        let (path, copied) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &copied);
        } else {
            fs::copy(&path, &copied).expect("the file can be copied");
        }
    }
}
