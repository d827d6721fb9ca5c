//! The builds of the command that people install: without Google Cloud, and as a wheel.

use std::path::PathBuf;

use serde_json::json;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::sluice::{Site, other_program};

/// Moves a table with a build of the command.
async fn assert_moves(program: PathBuf) -> Site {
    let site = Site::of(program);
    let file = site.path().join("shop.db");
    let database = rusqlite::Connection::open(&file).expect("a database can be made");
    let rows = "CREATE TABLE t (id INTEGER PRIMARY KEY, total DECIMAL(9, 2)); \
                INSERT INTO t VALUES (1, '1.25'), (2, NULL)";
    database.execute_batch(rows).expect("rows can be written");
    let answer = site.sluice(["copy", "shop.db", "t", "w", "--json"]).await.answer();
    assert_eq!(answer["rows"], 2, "{answer:#}");
    assert_same(Expected::Sqlite(&file, "t"), &site.path().join("w/t")).await;
    site
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_without_google_cloud_says_how_to_get_it() {
    let Some(program) = other_program("sluice_local") else { return };
    let site = assert_moves(program).await;
    let words = ["does not include Google Cloud", "--features google"];
    let target = site.sluice(["copy", "shop.db", "t", "bigquery://p/d"]).await;
    target.refused(64, &words);
    let job = site.job("t", &json!({"url": "sqlite://shop.db", "table": "t"}), &json!({}));
    let job = job.to_str().unwrap_or_default();
    let bucket = json!({"bucket": "gs://lake/sluice"});
    let cloud = site.job("cloud", &json!({"url": "sqlite://shop.db", "table": "t"}), &bucket);
    site.sluice(["run".as_ref(), cloud.as_os_str()]).await.refused(64, &words);
    site.sluice(["submit", job, "--planner", "https://planner.example"]).await.refused(64, &words);
    let run = "01a20568-22ff-74b7-abf2-b7b22aa9f360";
    let status = ["status", run, "--planner", "https://planner.example"];
    site.sluice(status).await.refused(64, &words);
    site.sluice(["status", run, "--bucket", "gs://lake/sluice"]).await.refused(64, &words);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_program_of_the_wheel_moves_a_table_and_knows_google_cloud() {
    let Some(program) = other_program("sluice_wheel") else { return };
    let site = assert_moves(program).await;
    let job = json!({"target": {"table": "bigquery://p/d/t"}, "bucket": "gs://lake/sluice"});
    let job = site.job("t", &json!({"url": "sqlite://shop.db", "table": "t"}), &job);
    site.sluice(["validate".as_ref(), job.as_os_str()]).await.succeeded();
}
