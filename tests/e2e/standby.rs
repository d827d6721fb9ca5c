//! Reading from a hot standby.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use sluice_tests::cluster::Cluster;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::Site;

use crate::crashes::start;
use crate::shop;
use crate::snapshot::{ACCOUNTS, BALANCE, SLOW, Writers, accounts, figures};

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_is_read_at_one_moment_while_its_primary_is_written_to() {
    let Some(primary) = Cluster::start() else { return };
    let database = primary.database().await;
    accounts(&database).await;
    let standby = primary.standby(&["hot_standby_feedback=on", "max_standby_streaming_delay=-1"]);
    standby.catch_up(&database).await;
    let proxy = Proxy::slow(standby.address(), SLOW).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let job = site.job("accounts", &json!({"table": "accounts"}), &shop::cut("ctid"));
    let writers = Writers::start(&database, 4).await;
    let ended = start(&site, &job).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert!(writers.transfers.load(Ordering::Relaxed) > 100, "the writers hardly wrote");
    let Some(found) = figures(&site.table("accounts")).await else { return };
    assert_eq!(found, (ACCOUNTS, ACCOUNTS, ACCOUNTS * BALANCE), "{ended}");
    let run = site.newest_run().expect("there is a run");
    assert!(site.documents(&run, "snapshots/0000").len() >= 3, "not three tasks: {ended}");
    assert!(site.documents(&run, "snapshots/0001").is_empty(), "it was begun again: {ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_ends_every_long_read_ends_the_run_and_says_why() {
    let Some(primary) = Cluster::start() else { return };
    let database = primary.database().await;
    accounts(&database).await;
    let standby = primary.standby(&["hot_standby_feedback=off", "max_standby_streaming_delay=0"]);
    standby.catch_up(&database).await;
    // A task needs about twenty seconds for all units, and the standby lets it read for two.
    let proxy = Proxy::slow(standby.address(), SLOW / 4).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let mut more = shop::cut("ctid");
    more["limits"]["max_tasks"] = json!(1);
    let job = site.job("accounts", &json!({"table": "accounts"}), &more);
    let cleaning = clean_all_the_time(&database).await;
    let ended = start(&site, &job).ended().await;
    cleaning.abort();
    ended.refused(1, &["hot_standby_feedback"]);
    assert!(!site.table("accounts").exists(), "something became visible: {ended}");
}

/// A standby has the definitions of unlogged tables and none of their rows.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_standby_has_no_rows_of_is_refused_by_name_and_the_rest_is_moved() {
    let Some(primary) = Cluster::start() else { return };
    let database = primary.database().await;
    database
        .execute(
            "CREATE TABLE kept AS SELECT n AS id FROM generate_series(1, 100) AS n;
             CREATE UNLOGGED TABLE lost AS SELECT * FROM kept;
             CREATE VIEW over_lost AS SELECT id FROM kept WHERE id IN (SELECT id FROM lost);
             CREATE TABLE tree (id int) PARTITION BY RANGE (id);
             CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (50);
             CREATE UNLOGGED TABLE tree_2 PARTITION OF tree FOR VALUES FROM (50) TO (999);
             INSERT INTO tree SELECT * FROM kept",
        )
        .await;
    let standby = primary.standby(&[]);
    standby.catch_up(&database).await;
    let (_, port) = standby.address();
    let site = Site::reading(database.url_through(port));
    for (source, named) in [
        (json!({"table": "lost"}), "`lost`"),
        (json!({"table": "over_lost"}), "`lost`"),
        (json!({"table": "tree"}), "`tree_2`"),
        (json!({"query": "SELECT id FROM over_lost WHERE id > 3"}), "`lost`"),
        (json!({"table": "kept", "where": "EXISTS (SELECT FROM lost)"}), "`lost`"),
    ] {
        let job = site.job("copied", &source, &json!({}));
        let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
        ended.refused(1, &[named, "unlogged", "standby", "primary"]);
    }
    let all = json!({
        "name": "shop",
        "source": {"url": "${SOURCE_URL}"},
        "tables": [{"table": "public.*"}, {"table": "public.over_lost"}],
        "target": {"dataset": format!("file://{}/warehouse/shop", site.path().display())},
        "bucket": site.bucket(),
    });
    let job = site.file("shop.yaml", &all.to_string());
    let planned = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
    for words in ["public.lost", "it is unlogged", "`tree_2`", "public.over_lost"] {
        assert!(planned.stdout.contains(words), "{words}: {planned}");
    }
    let ended = site.sluice(["run".as_ref(), job.as_os_str()]).await;
    for words in ["unlogged", "`tree_2`", "public.over_lost"] {
        assert!(format!("{ended}").contains(words), "{words}: {ended}");
    }
    assert_same(Expected::Table(&database, "kept"), &site.table("kept")).await;
    // On their primary they are tables like any other.
    let direct = Site::reading(database.url());
    for table in ["lost", "over_lost", "tree"] {
        direct.run(&direct.job(table, &json!({"table": table}), &json!({}))).await;
        assert_same(Expected::Table(&database, table), &direct.table(table)).await;
    }
}

/// Removes, every two seconds, row versions that an older snapshot can still see.
async fn clean_all_the_time(database: &Database) -> tokio::task::JoinHandle<()> {
    database
        .execute("CREATE TABLE churn AS SELECT n AS id, 0 AS at FROM generate_series(1, 100) AS n")
        .await;
    let mut connection = database.connect().await;
    tokio::spawn(async move {
        loop {
            for sql in ["UPDATE churn SET at = at + 1", "VACUUM churn"] {
                if sqlx::raw_sql(sql).execute(&mut connection).await.is_err() {
                    return;
                }
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        }
    })
}
