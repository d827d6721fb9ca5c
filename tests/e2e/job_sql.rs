//! The SQL that a job holds: its query and its filters.

use serde_json::json;
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;

/// A statement that ends the transaction would not have to read only.
#[tokio::test(flavor = "multi_thread")]
async fn a_job_carries_out_no_statements_of_its_own() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE mine AS SELECT n AS id FROM generate_series(1, 10) AS n;
             CREATE TABLE victim AS SELECT * FROM mine",
        )
        .await;
    let points = "savepoint several; savepoint unlogged; savepoint below; savepoint planned;
        savepoint attempt";
    let closed =
        format!("true); commit; delete from victim; commit; begin; {points}; select (true");
    let below = format!(
        "select * from mine) as q; commit; delete from victim; commit; begin;
        {points}; select * from (select * from mine"
    );
    for (source, code) in [
        (json!({"table": "mine", "where": closed}), 64),
        (json!({"table": "mine", "where": "true; delete from victim"}), 64),
        (json!({"query": below}), 64),
        (json!({"query": "select * from mine; delete from victim"}), 64),
        // Each is well-formed only with what Sluice writes around it.
        (json!({"table": "mine", "where": "id < 3) or (id > 7"}), 64),
        (json!({"table": "mine", "where": "id < 3 /*"}), 64),
        (json!({"query": "select id from mine) union all (select id from victim"}), 64),
        (json!({"query": "select * from mine where id <> ascii(';') -- ;"}), 0),
        (json!({"table": "mine", "where": "id::text <> ';'"}), 0),
    ] {
        let site = Site::reading(database.url());
        let job = site.job("mine", &source, &json!({}));
        for command in ["plan", "run"] {
            let ended = site.sluice([command.as_ref(), job.as_os_str()]).await;
            assert_eq!(ended.code, Some(code), "{command} {source}: {ended}");
        }
    }
    assert_eq!(database.number("SELECT count(*) FROM victim").await, 10);
}
