//! Reading from a hot standby.

use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use sluice_tests::cluster::Cluster;
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
