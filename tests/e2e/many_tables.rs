//! Many tables in one run.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::needs::skip;
use sluice_tests::oracle::{Expected, assert_same, duckdb};
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::Site;

use crate::crashes::start;

/// The number of tables. Each table except the first refers to the one before it.
pub(crate) const TABLES: usize = 12;

pub(crate) async fn related(database: &Database) {
    let mut statements = vec![
        "CREATE SCHEMA shop; CREATE TABLE shop.t0 (id bigint PRIMARY KEY, name text);
         INSERT INTO shop.t0 SELECT n, md5(n::text) FROM generate_series(1, 200) AS n;"
            .to_owned(),
    ];
    for at in 1..TABLES {
        let rows = [0, 10, 3_000, 20_000][at % 4];
        let above = at - 1;
        statements.push(format!(
            "CREATE TABLE shop.t{at} (id bigint PRIMARY KEY, parent bigint REFERENCES shop.t{above} (id), name text);
             INSERT INTO shop.t{at} SELECT n, (SELECT min(id) FROM shop.t{above}), md5(n::text)
                 FROM generate_series(1, {rows}) AS n;"
        ));
    }
    statements.push(
        "CREATE TABLE shop.django_session (id int); CREATE TABLE shop.orders_audit (id int);
         CREATE TABLE other (id int);
         CREATE TABLE shop.parted (id int) PARTITION BY RANGE (id);
         CREATE TABLE shop.parted_1 PARTITION OF shop.parted FOR VALUES FROM (0) TO (100);
         INSERT INTO shop.parted SELECT n FROM generate_series(0, 99) AS n;
         ANALYZE;"
            .to_owned(),
    );
    database.execute(&statements.concat()).await;
}

/// A job for all of `shop`.
pub(crate) fn job(site: &Site, more: &Value) -> PathBuf {
    let mut file = json!({
        "name": "nightly",
        "source": {"url": "${SOURCE_URL}"},
        "tables": [
            {"table": "shop.*", "exclude": ["shop.django_session", "shop.*_audit"]},
            {"table": "shop.t3", "columns": {"name": {"name": "label"}}, "partitioning": {"strategy": "ctid"}},
        ],
        "target": {"dataset": format!("file://{}", site.path().join("warehouse/shop").display())},
        "bucket": site.bucket(),
        "limits": {"max_tasks": 2, "finish_within": "100ms"},
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        file[key] = value.clone();
    }
    site.file("nightly.yaml", &file.to_string())
}

pub(crate) fn states(answer: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let tables = answer["tables"].as_array().expect("`tables` is a list");
    tables.iter().map(|table| (text(&table["table"]), text(&table["state"]))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_keys_hold_in_the_copy() {
    let Some(database) = Database::fresh().await else { return };
    related(&database).await;
    let proxy = Proxy::slow(database.address(), 600_000).await;
    let site = Site::reading(database.url_through(proxy.port()));
    let job = job(&site, &json!({}));

    let plan = site.plan(&job).await;
    assert_eq!(plan["tasks"], 2, "{plan:#}");
    let excluded = plan["excluded"].to_string();
    for (table, why) in [
        ("shop.django_session", "excludes"),
        ("shop.orders_audit", "excludes"),
        ("shop.parted_1", "partition"),
    ] {
        assert!(excluded.contains(table) && excluded.contains(why), "{excluded}");
    }
    assert!(!excluded.contains("other"), "{excluded}");

    let running = start(&site, &job);
    let token = founding_token(&site).await;
    let copy = dump(&database, &token).await;
    // A child first, then its parent: if they were read in two snapshots, the child would be an
    // orphan.
    for n in 0..50 {
        let id = 900_000 + n;
        let inserts: Vec<String> = (0..TABLES)
            .map(|at| {
                let parent = if at == 0 { String::new() } else { format!("{id}, ") };
                format!("INSERT INTO shop.t{at} VALUES ({id}, {parent}'late');")
            })
            .collect();
        database.execute(&format!("BEGIN; {} COMMIT", inserts.concat())).await;
    }
    let ended = running.ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");

    let folder = |at: usize| site.path().join(format!("warehouse/shop/t{at}"));
    for at in 1..TABLES {
        if let (Some(child), Some(parent)) = (files(&folder(at)), files(&folder(at - 1))) {
            let query = format!(
                "SELECT count(*) AS orphans FROM {child} AS c \
                 WHERE c.parent IS NOT NULL AND c.parent NOT IN (SELECT id FROM {parent})"
            );
            let Some(rows) = duckdb(&query).await else { return };
            assert_eq!(rows[0]["orphans"], 0, "t{at}");
        }
    }
    let Some(copy) = copy else { return };
    for at in (0..TABLES).filter(|at| *at != 3) {
        assert_same(Expected::Table(&copy, &format!("shop.t{at}")), &folder(at)).await;
    }
    let renamed = "SELECT id, parent, name AS label FROM shop.t3";
    assert_same(Expected::Query(&copy, renamed), &folder(3)).await;
    let parted = site.path().join("warehouse/shop/parted");
    assert_same(Expected::Table(&copy, "shop.parted"), &parted).await;

    // A table that was dropped since is named, and its target is left as it is.
    database.execute("DROP TABLE shop.t11; CREATE TABLE shop.fresh (id int)").await;
    let answer = site.run(&job).await;
    let out = answer["excluded"].to_string();
    assert!(out.contains("shop.t11") && out.contains("does not have it any more"), "{out}");
    let tables = states(&answer);
    assert!(tables.iter().any(|(table, _)| table == "shop.fresh"), "{answer:#}");
    assert!(!tables.iter().any(|(table, _)| table == "shop.t11"), "{answer:#}");
    assert!(files(&folder(11)).is_some(), "a table was deleted unasked");
}

fn files(folder: &Path) -> Option<String> {
    let any = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .any(|entry| entry.path().extension().is_some_and(|extension| extension == "parquet"));
    any.then(|| format!("'{}/*.parquet'", folder.display()))
}

/// Waits for the snapshot of the newest run, and returns its name.
pub(crate) async fn founding_token(site: &Site) -> String {
    for _ in 0..3000 {
        let founder = site.newest_run().and_then(|run| site.documents(&run, "founder.json").pop());
        if let Some(path) = founder
            && let Ok(text) = std::fs::read_to_string(path)
            && let Ok(snapshot) = serde_json::from_str::<Value>(&text)
        {
            let token = snapshot["token"].as_str().expect("a token is text");
            return token.split(' ').next().unwrap_or_default().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("no snapshot was founded within half a minute");
}

/// A copy of the database as `pg_dump` reads it in that snapshot.
async fn dump(database: &Database, token: &str) -> Option<Database> {
    let copy = Database::fresh().await?;
    let script = "set -e -o pipefail; pg_dump --no-owner --snapshot=\"$1\" \"$2\" | psql -q -v ON_ERROR_STOP=1 \"$3\" > /dev/null";
    let status = Command::new("bash")
        .args(["-c", script, "dump", token, &database.url(), &copy.url()])
        .status();
    match status {
        Ok(status) if status.success() => Some(copy),
        Ok(status) if status.code() == Some(127) => {
            skip("pg_dump and psql");
            None
        }
        other => panic!("pg_dump failed: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_table_holds_nobody_up_unless_the_job_says_so() {
    let Some(database) = Database::fresh().await else { return };
    related(&database).await;
    let user = format!("reader_{}", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {user} LOGIN; GRANT USAGE ON SCHEMA shop TO {user};
             GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {user};
             REVOKE SELECT ON shop.t5 FROM {user};"
        ))
        .await;
    let site = Site::reading(database.url_as(&user));
    let strict = job(&site, &json!({"all_or_nothing": true}));
    let ended = start(&site, &strict).ended().await;
    ended.refused(1, &["shop.t5", "SELECT"]);
    assert!(!site.path().join("warehouse/shop/t0").exists(), "{ended}");

    let lenient = job(&site, &json!({}));
    let ended = site.sluice(["run".as_ref(), "--json".as_ref(), lenient.as_os_str()]).await;
    database.execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
    assert_eq!(ended.code, Some(1), "{ended}");
    let answer = ended.json();
    for (table, state) in states(&answer) {
        let expected = if table == "shop.t5" { "refused" } else { "committed" };
        assert_eq!(state, expected, "{table}: {answer:#}");
    }
    assert!(answer["error"].as_str().is_some_and(|error| error.contains("shop.t5")), "{answer:#}");
    assert!(!site.path().join("warehouse/shop/t5").exists(), "{answer:#}");
    let t4 = site.path().join("warehouse/shop/t4");
    assert_same(Expected::Table(&database, "shop.t4"), &t4).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_tasks_than_the_server_takes_connections() {
    let Some(database) = Database::fresh().await else { return };
    related(&database).await;
    let user = format!("narrow_{}", database.name());
    database
        .execute(&format!(
            "CREATE ROLE {user} LOGIN CONNECTION LIMIT 1; GRANT USAGE ON SCHEMA shop TO {user};
             GRANT SELECT ON ALL TABLES IN SCHEMA shop TO {user};"
        ))
        .await;
    let site = Site::reading(database.url_as(&user));
    let job = job(&site, &json!({}));
    let plan = site.plan(&job).await;
    let ended = start(&site, &job).ended().await;
    database.execute(&format!("DROP OWNED BY {user}; DROP ROLE {user}")).await;
    assert_eq!(plan["tasks"], 1, "{plan:#}");
    assert!(plan.to_string().contains("takes 1 more connections"), "{plan:#}");
    assert_eq!(ended.code, Some(0), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_dropped_or_broken_in_mid_run_fails_alone() {
    for all_or_nothing in [false, true] {
        let Some(database) = Database::fresh().await else { return };
        related(&database).await;
        database
            .execute(
                "CREATE TABLE shop.bad (id int, amount numeric); INSERT INTO shop.bad VALUES (1, 'NaN');
                 CREATE TABLE shop.doomed (id int); INSERT INTO shop.doomed VALUES (1);
                 CREATE VIEW shop.halves AS SELECT id, 1 / (id - 1) AS half FROM shop.t0;",
            )
            .await;
        let proxy = Proxy::slow(database.address(), 300_000).await;
        let site = Site::reading(database.url_through(proxy.port()));
        let tables = json!([
            {"table": "shop.*", "exclude": ["shop.django_session", "shop.*_audit"]},
            {"table": "shop.t3", "columns": {"name": {"name": "label"}}, "partitioning": {"strategy": "ctid"}},
            // The server ends the statement that reads this table with an error.
            {"table": "shop.halves"},
        ]);
        let more =
            json!({"all_or_nothing": all_or_nothing, "limits": {"max_tasks": 1}, "tables": tables});
        let job = job(&site, &more);
        let running = site.start(["run".as_ref(), "--json".as_ref(), job.as_os_str()]);
        founding_token(&site).await;
        database.execute("DROP TABLE shop.doomed").await;
        let ended = running.ended().await;
        drop(proxy);
        assert_eq!(ended.code, Some(1), "{ended}");
        if all_or_nothing {
            assert!(!site.path().join("warehouse/shop/t0").exists(), "{ended}");
            continue;
        }
        let answer = ended.json();
        for (table, state) in states(&answer) {
            let broken = ["shop.bad", "shop.doomed", "shop.halves"].contains(&table.as_str());
            assert_eq!(state, if broken { "failed" } else { "committed" }, "{table}: {answer:#}");
        }
        let run = site.newest_run().expect("there is a run");
        assert!(
            site.documents(&run, "snapshots/0001").is_empty(),
            "it was begun again: {answer:#}"
        );
        let t3 = "SELECT id, parent, name AS label FROM shop.t3";
        assert_same(Expected::Query(&database, t3), &site.path().join("warehouse/shop/t3")).await;
    }
}
