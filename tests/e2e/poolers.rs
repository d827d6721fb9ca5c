//! PostgreSQL behind a pooler of connections.

use serde_json::json;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::pooler::Pooler;
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use crate::crashes::start;
use crate::shop;

/// What another program finds that gets a connection of the pool.
const FOUND: &str = "SELECT concat_ws(', ', current_setting('search_path'),
    current_setting('statement_timeout'), current_setting('lock_timeout'),
    current_setting('idle_in_transaction_session_timeout'), current_setting('intervalstyle'),
    current_setting('row_security'), current_setting('lc_monetary'), current_setting('bytea_output'),
    (SELECT count(*) FROM pg_prepared_statements))";

/// The settings of an operator who knows other programs than ours.
async fn furnish(database: &Database) {
    shop::orders(database, 5_000).await;
    let name = database.name();
    database
        .execute(&format!(
            "CREATE VIEW late AS SELECT id, created_at, total FROM orders WHERE id > 100;
             CREATE TABLE spans AS SELECT n AS id, n * interval '1 h 1 s' AS span, n::text::money AS price,
                 1 / n::float8 AS share, timestamptz '2024-01-01 00:00:00+00' + n * interval '1 h' AS at
             FROM generate_series(1, 3000) AS n;
             ALTER TABLE spans ADD PRIMARY KEY (id); ANALYZE;
             ALTER DATABASE {name} SET search_path = app, public;
             ALTER DATABASE {name} SET statement_timeout = '50s';
             ALTER DATABASE {name} SET timezone = 'America/New_York';
             ALTER DATABASE {name} SET intervalstyle = 'postgres_verbose';
             ALTER DATABASE {name} SET bytea_output = 'escape';
             ALTER DATABASE {name} SET lc_monetary = 'C';
             ALTER ROLE postgres IN DATABASE {name} SET lc_monetary = 'POSIX'"
        ))
        .await;
}

/// Opens as many transactions at once as a pool has connections, and says what is set in each.
async fn found(database: &Database, port: u16, count: usize) -> Vec<String> {
    let options: PgConnectOptions =
        database.url_through(port).parse().expect("the database's URL is one");
    let options = options.extra_float_digits(None).disable_statement_logging();
    let mut open = Vec::new();
    let mut found = Vec::new();
    for _ in 0..count {
        let mut connection = options.connect().await.expect("the pooler answers");
        let sql = format!("BEGIN; {FOUND}");
        let row = sqlx::raw_sql(AssertSqlSafe(sql)).fetch_one(&mut connection).await;
        found.push(row.expect("the query has an answer").get(0));
        open.push(connection);
    }
    found
}

/// A pooler has one code for all that it says.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_pooler_does_not_let_in_is_refused_at_once() {
    let Some(database) = Database::fresh().await else { return };
    let (host, port) = database.address();
    let known =
        format!("[databases]\nother = host={host} port={port}\n[pgbouncer]\nauth_type = any");
    let Some(pooler) = Pooler::listing(&known).await else { return };
    let site = Site::reading(database.url_through(pooler.port()));
    let job = site.job("t", &json!({"table": "t"}), &json!({}));
    for command in ["plan", "run"] {
        let ended = site.sluice([command.as_ref(), job.as_os_str()]).await;
        ended.refused(1, &["(SQLSTATE 08P01)", "the pooler's configuration"]);
        assert!(!ended.stderr.contains("default_pool_size"), "{ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pooler_of_sessions_or_transactions_is_read_through_and_nothing_is_left_in_it() {
    const POOL: usize = 6;
    for mode in ["session", "transaction"] {
        let Some(database) = Database::fresh().await else { return };
        furnish(&database).await;
        let settings = [format!("pool_mode = {mode}"), format!("default_pool_size = {POOL}")];
        let settings: Vec<&str> = settings.iter().map(String::as_str).collect();
        let Some(pooler) = Pooler::before(database.address(), &settings).await else { return };
        let before = found(&database, pooler.port(), POOL).await;
        let orders = Site::reading(database.url_through(pooler.port()));
        orders.run(&orders.job("orders", &json!({"table": "public.orders"}), &json!({}))).await;
        assert_same(Expected::Table(&database, "public.orders"), &orders.table("orders")).await;
        let query = "SELECT id, total FROM orders WHERE id % 2 = 0";
        let mut independent = shop::cut("ctid");
        independent["consistency"] = json!("none");
        // The server's text of an interval depends on a setting.
        let mut texts = shop::cut("ctid");
        texts["columns"] = json!({"span": {"type": "STRING"}});
        for (source, more) in [
            (json!({"table": "public.orders"}), shop::cut("date_range")),
            (json!({"table": "public.orders"}), shop::cut("id_range")),
            (json!({"table": "public.late"}), shop::cut_by("id_range", "id")),
            (json!({"query": query.replace("orders", "public.orders")}), json!({})),
            (json!({"table": "public.spans"}), texts),
            // The last one: its transactions end with a commit, which keeps what a client has set,
            // and the pooler closes the connections of the others.
            (json!({"table": "public.orders"}), independent),
        ] {
            let through = Site::reading(database.url_through(pooler.port()));
            through.run(&through.job("copied", &source, &more)).await;
            let direct = Site::reading(database.url());
            direct.run(&direct.job("copied", &source, &more)).await;
            same(&direct, &through).await;
        }
        let after = found(&database, pooler.port(), POOL).await;
        assert_eq!(before, after, "{mode}");
    }
}

/// Compares two copies by the rows of each that the other lacks.
async fn same(direct: &Site, through: &Site) {
    let files = |site: &Site| format!("'{}/*.parquet'", site.table("copied").display());
    let (one, two) = (files(direct), files(through));
    let query = format!(
        "SELECT (SELECT count(*) FROM {one}) AS rows, (SELECT count(*) FROM {two}) AS copied,
         (SELECT count(*) FROM (SELECT * FROM {one} EXCEPT ALL SELECT * FROM {two})) AS lacking"
    );
    let Some(rows) = sluice_tests::oracle::duckdb(&query).await else { return };
    let [row] = rows.as_slice() else { panic!("one row") };
    assert_eq!(row["rows"], row["copied"]);
    assert_eq!(row["lacking"], 0, "{row}");
}

/// The tasks of a run hold their connections until all of them have read: one that gets none would
/// be waited for without end.
#[tokio::test(flavor = "multi_thread")]
async fn a_pool_with_fewer_connections_than_tasks_ends_the_run_and_says_so() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 20_000).await;
    let run = async |mode: &str| {
        let settings = [&*format!("pool_mode = {mode}"), "default_pool_size = 2"];
        let pooler = Pooler::before(database.address(), &settings).await?;
        let site = Site::reading(database.url_through(pooler.port()));
        let job = site.job("orders", &json!({"table": "orders"}), &shop::cut("id_range"));
        let planned = site.plan(&job).await;
        assert_eq!(planned["tasks"], 3, "{planned:#}");
        let warned = planned["warnings"].to_string().contains("a pooler of transactions");
        assert_eq!(warned, mode == "transaction", "{planned:#}");
        let ended = start(&site, &job).ended().await;
        ended.refused(1, &["wait 60 s for a connection", "default_pool_size"]);
        assert!(!site.table("orders").exists(), "something became visible: {ended}");
        Some(())
    };
    let _ = tokio::join!(run("session"), run("transaction"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pooler_cannot_do_is_said_with_the_way_out() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 100).await;
    for (settings, parameters, words) in [
        (["pool_mode = statement"], "", "pool_mode"),
        (["pool_mode = transaction"], "?options=-c%20geqo%3Doff", "ignore_startup_parameters"),
    ] {
        let Some(pooler) = Pooler::before(database.address(), &settings).await else { return };
        let url = format!("{}{parameters}", database.url_through(pooler.port()));
        let site = Site::reading(url);
        let job = site.job("orders", &json!({"table": "orders"}), &json!({}));
        let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
        assert_ne!(ended.code, Some(0), "{ended}");
        assert!(ended.stderr.contains("PgBouncer"), "{ended}");
        assert!(ended.stderr.contains(words), "{ended}");
    }
}
