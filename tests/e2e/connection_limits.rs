//! A role that may open only one connection, or fewer connections than the run was planned with.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::Site;

use crate::crashes::{kill_half_way, resume, slow_orders, start};
use crate::many_tables::{founding_token, job, related, states};

/// Tables and views that fail while they are read: in the first the reader refuses a value in the
/// middle of the rows, the second fails before the first row, and the third after some rows.
const BROKEN: &[&str] = &["shop.a_bad", "shop.b_constant", "shop.m_halves"];

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_fail_cost_the_run_neither_its_moment_nor_its_connection() {
    let Some(database) = Database::fresh().await else { return };
    related(&database).await;
    let user = format!("single_{}", database.name());
    database
        .execute(&format!(
            "CREATE TABLE shop.a_bad AS
                 SELECT CASE WHEN n = 5000 THEN 'NaN'::numeric ELSE n END AS amount, repeat('x', 90) AS note
                 FROM generate_series(1, 200000) AS n;
             CREATE VIEW shop.b_constant AS SELECT 1 AS whole;
             CREATE VIEW shop.m_halves AS SELECT id, 1 / (id - 2000) AS half, name FROM shop.t2;
             CREATE TABLE before AS SELECT * FROM shop.t2;
             CREATE ROLE {user} LOGIN CONNECTION LIMIT 1; GRANT USAGE ON SCHEMA shop TO {user};
             GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {user};"
        ))
        .await;
    let proxy = Proxy::slow(database.address(), 4_000_000).await;
    let url = database.url_as(&user);
    let (host, port) = database.address();
    let url = url.replace(&format!("{host}:{port}"), &format!("127.0.0.1:{}", proxy.port()));
    let site = Site::reading(url);
    let tables = json!([
        {"table": "shop.*", "exclude": ["shop.django_session", "shop.*_audit"]},
        {"table": "shop.b_constant"},
        {"table": "shop.m_halves"},
        {"table": "shop.t3", "columns": {"name": {"name": "label"}}, "partitioning": {"strategy": "ctid"}},
    ]);
    let job = job(&site, &json!({"tables": tables, "limits": {"max_tasks": 1}}));
    let running = site.start(["run".as_ref(), "--json".as_ref(), job.as_os_str()]);
    founding_token(&site).await;
    // A second snapshot would show the update. Every snapshot uses the view's definition as it is
    // now.
    database
        .execute(
            "UPDATE shop.t2 SET name = 'late';
             CREATE OR REPLACE VIEW shop.b_constant AS SELECT 1 / 0 AS whole;",
        )
        .await;
    let ended = running.ended().await;
    database.execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;

    assert_eq!(ended.code, Some(1), "{ended}");
    let answer = ended.json();
    for (table, state) in states(&answer) {
        let expected = if BROKEN.contains(&table.as_str()) { "failed" } else { "committed" };
        assert_eq!(state, expected, "{table}: {ended}");
    }
    for table in BROKEN {
        assert!(answer["error"].as_str().is_some_and(|error| error.contains(table)), "{answer:#}");
    }
    let run = site.newest_run().expect("there is a run");
    assert!(!site.documents(&run, "snapshots/0000").is_empty(), "{ended}");
    assert!(site.documents(&run, "snapshots/0001").is_empty(), "it was begun again: {ended}");
    let t2: &Path = &site.path().join("warehouse/shop/t2");
    assert_same(Expected::Table(&database, "before"), t2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_taken_after_the_plan_end_the_run_and_say_so() {
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let user = format!("crowded_{}", database.name());
    database.execute(&format!("CREATE ROLE {user} LOGIN; GRANT SELECT ON orders TO {user}")).await;
    let site = site.with("SOURCE_URL", database.url_as(&user));
    let running = start(&site, &job);
    let run = kill_half_way(&site, running, 0).await;
    database.execute(&format!("ALTER ROLE {user} CONNECTION LIMIT 1")).await;
    let began = Instant::now();
    let ended = resume(&site, &job, &run).ended().await;
    database.execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
    ended.refused(1, &["too many connections for role", "wait 60 s", "start the job again"]);
    assert!(!site.table("orders").exists(), "something became visible: {ended}");
    assert!(began.elapsed() < Duration::from_mins(2), "it took {:?}", began.elapsed());
}
