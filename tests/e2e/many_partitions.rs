//! Tables of more partitions than a transaction may lock.

use std::fs;

use serde_json::json;
use sluice_tests::cluster::Cluster;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::Site;

use crate::concurrent_changes::{altered_when_planned, execute};
use crate::crashes::{resume, wait_for_receipts};
use crate::snapshot::SLOW;

/// Makes `events` of so many partitions, each of so many rows and with two indexes.
async fn events(database: &Database, partitions: u32, rows: u32) {
    database
        .execute(
            "CREATE TABLE events (id bigint, d integer, note text, PRIMARY KEY (id, d))
                 PARTITION BY RANGE (d);
             CREATE INDEX ON events (d);",
        )
        .await;
    // One transaction cannot lock all of them.
    for first in (0..partitions).step_by(10) {
        let last = (first + 10).min(partitions) - 1;
        database
            .execute(&format!(
                "DO $$ BEGIN FOR i IN {first}..{last} LOOP
                     EXECUTE format('CREATE TABLE events_%s PARTITION OF events
                         FOR VALUES FROM (%s) TO (%s)', i, i, i + 1);
                     EXECUTE format('INSERT INTO events_%s SELECT n, %s, repeat(''x'', 200) || n
                         FROM generate_series(1, {rows}) AS n', i, i);
                     EXECUTE format('ANALYZE events_%s', i);
                 END LOOP; END $$"
            ))
            .await;
    }
}

/// What [`events`] made, by a query that locks nothing.
fn written(partitions: u32, rows: u32) -> String {
    format!(
        "SELECT n::bigint AS id, d, repeat('x', 200) || n AS note
         FROM generate_series(1, {rows}) AS n, generate_series(0, {partitions} - 1) AS d"
    )
}

/// A server's table of locks has room for about `max_locks_per_transaction` times
/// `max_connections`.
#[tokio::test(flavor = "multi_thread")]
async fn many_partitions_are_read_with_few_locks_and_in_few_files() {
    const PARTITIONS: u32 = 1_200;
    let Some(server) = Cluster::with(&["max_locks_per_transaction=10", "max_connections=20"])
    else {
        return;
    };
    let database = server.database().await;
    events(&database, PARTITIONS, 7).await;
    let cut = json!({
        "partitioning": {"strategy": "id_range", "column": "id", "target_rows": 1000},
        "limits": {"max_tasks": 3, "finish_within": "1s"},
    });
    let mut independent = cut.clone();
    independent["row_security"] = json!("filter");
    independent["consistency"] = json!("none");
    for (more, most) in [(json!({}), 5), (cut, 20), (independent, 20)] {
        let site = Site::reading(database.url());
        let job = site.job("events", &json!({"table": "events"}), &more);
        site.run(&job).await;
        let rows = written(PARTITIONS, 7);
        assert_same(Expected::Query(&database, &rows), &site.table("events")).await;
        let files = fs::read_dir(site.table("events")).expect("the table is there").count();
        assert!(files <= most, "{files} files: {more}");
    }
}

/// A partition is locked when it is read, so it can be replaced until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_partition_of_many_that_is_replaced_after_the_snapshot_is_never_loaded() {
    const REFILL: &str = "CREATE TEMP TABLE kept AS SELECT * FROM events_99; TRUNCATE events_99;
        INSERT INTO events_99 SELECT * FROM kept";
    const EXCHANGE: &str =
        "ALTER TABLE events_99 RENAME TO old; ALTER TABLE spare RENAME TO events_99";
    for change in [REFILL, EXCHANGE] {
        let Some(database) = Database::fresh().await else { return };
        events(&database, 100, 200).await;
        database.execute("CREATE TABLE spare AS SELECT * FROM events_99").await;
        let proxy = Proxy::slow(database.address(), SLOW).await;
        let site = Site::reading(database.url_through(proxy.port()));
        let more = json!({
            "partitioning": {"strategy": "id_range", "column": "id", "target_rows": 2000},
            "limits": {"max_tasks": 1},
        });
        let job = site.job("events", &json!({"table": "events"}), &more);
        let run = altered_when_planned(&database, &site, &job, "SELECT").await;
        let before = site.documents(&run, "receipts").len();
        let mut nightly = database.connect().await;
        execute(&mut nightly, "BEGIN; LOCK TABLE events_99 IN ACCESS EXCLUSIVE MODE").await;
        let running = resume(&site, &job, &run);
        wait_for_receipts(&site, before + 1).await;
        execute(&mut nightly, &format!("{change}; COMMIT")).await;
        let ended = running.ended().await;
        ended.refused(1, &["altered since the run was planned"]);
        assert!(!site.table("events").exists(), "something became visible: {ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_partitions_other_than_those_planned_are_refused() {
    let attach = "CREATE TABLE events_more PARTITION OF events FOR VALUES FROM (1000) TO (2000)";
    for change in ["ALTER TABLE events DETACH PARTITION events_9", "DROP TABLE events_9", attach] {
        let Some(database) = Database::fresh().await else { return };
        events(&database, 100, 50).await;
        let proxy = Proxy::slow(database.address(), SLOW).await;
        let site = Site::reading(database.url_through(proxy.port()));
        let job = site.job("events", &json!({"table": "events"}), &json!({}));
        let run = altered_when_planned(&database, &site, &job, change).await;
        let ended = resume(&site, &job, &run).ended().await;
        ended.refused(1, &["altered since the run was planned"]);
        assert!(!site.table("events").exists(), "{change}: something became visible");
    }
}

/// Where partitions may not be read one by one, each unit locks all of them: one task reads them.
#[tokio::test(flavor = "multi_thread")]
async fn many_partitions_that_only_their_parent_shows_are_read_by_one_task() {
    let Some(database) = Database::fresh().await else { return };
    events(&database, 100, 50).await;
    let role = format!("{}_clerk", database.name());
    let sql = format!(
        "CREATE ROLE {role} LOGIN; GRANT SELECT ON events TO {role};
         CREATE VIEW through AS SELECT * FROM events; GRANT SELECT ON through TO {role}"
    );
    database.execute(&sql).await;
    let cut = json!({
        "partitioning": {"strategy": "id_range", "column": "id", "target_rows": 100},
        "limits": {"max_tasks": 3, "finish_within": "1s"},
    });
    for table in ["events", "through"] {
        let site = Site::reading(database.url_as(&role));
        let job = site.job("events", &json!({"table": table}), &cut);
        let plan = site.plan(&job).await;
        let units = plan["tables"][0]["units"].as_array().map_or(0, Vec::len);
        assert_eq!(units, 1, "{plan:#}");
        site.run(&job).await;
        let rows = written(100, 50);
        assert_same(Expected::Query(&database, &rows), &site.table("events")).await;
    }
    database.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
}

/// The server is asked about several partitions at once: each answer is about its own, whether the
/// partitions between them were analysed or not.
#[tokio::test(flavor = "multi_thread")]
async fn of_partitions_that_nobody_analysed_the_large_one_is_cut() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE days (id int, d int) PARTITION BY LIST (d);
             DO $$ BEGIN FOR i IN 0..39 LOOP
                 EXECUTE format('CREATE TABLE days_%s PARTITION OF days FOR VALUES IN (%s)
                     WITH (autovacuum_enabled = false)', i, i);
                 EXECUTE format('INSERT INTO days_%s SELECT n, %s FROM generate_series(1, %s) AS n',
                     i, i, CASE i WHEN 23 THEN 60000 ELSE 10 END);
                 IF i % 3 = 0 THEN EXECUTE format('ANALYZE days_%s', i); END IF;
             END LOOP; END $$",
        )
        .await;
    let site = Site::reading(database.url());
    let more =
        json!({"partitioning": {"strategy": "id_range", "column": "id", "target_rows": 9000}});
    for source in
        [json!({"table": "public.days"}), json!({"table": "public.days", "where": "id > 0"})]
    {
        let job = site.job("days", &source, &more);
        let plan = site.plan(&job).await;
        let units = plan["tables"][0]["units"].as_array().expect("the units of a small plan");
        let [small, large @ ..] = units.as_slice() else { panic!("no units: {plan:#}") };
        assert_eq!(small["leaf"], "public.days_0 and 38 more", "{plan:#}");
        assert!(large.len() > 2, "{plan:#}");
        assert!(large.iter().all(|unit| unit["leaf"] == "public.days_23"), "{plan:#}");
        site.run(&job).await;
        assert_same(Expected::Table(&database, "days"), &site.table("days")).await;
    }
}
