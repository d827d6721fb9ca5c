//! What a table reads outside of the snapshot: on other servers, and over connections of functions.

use serde_json::json;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;

use crate::access::job;
use crate::many_tables::states;

/// A foreign table is read over a connection of its own, at a moment of its own: cut into ranges,
/// it would be read at as many moments as it has units.
#[tokio::test(flavor = "multi_thread")]
async fn what_lies_on_another_server_is_read_by_one_statement_and_the_plan_says_so() {
    let Some(database) = Database::fresh().await else { return };
    let (host, port) = database.address();
    let setup = format!(
        "CREATE SCHEMA there;
         CREATE TABLE there.rows AS SELECT n AS id, n % 9 AS part FROM generate_series(1, 9000) AS n;
         CREATE EXTENSION postgres_fdw;
         CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw
             OPTIONS (host '{host}', port '{port}', dbname '{name}');
         CREATE USER MAPPING FOR CURRENT_USER SERVER away OPTIONS (user 'postgres');
         CREATE FOREIGN TABLE remote (id int, part int) SERVER away
             OPTIONS (schema_name 'there', table_name 'rows');
         CREATE VIEW joined AS SELECT r.id FROM remote AS r JOIN there.rows USING (id);
         CREATE TABLE days (id int, part int) PARTITION BY RANGE (id);
         CREATE TABLE days_here PARTITION OF days FOR VALUES FROM (10000) TO (MAXVALUE);
         INSERT INTO days SELECT n, n % 9 FROM generate_series(10000, 15000) AS n;
         CREATE FOREIGN TABLE days_there PARTITION OF days FOR VALUES FROM (MINVALUE) TO (10000)
             SERVER away OPTIONS (schema_name 'there', table_name 'rows')",
        name = database.name()
    );
    database.execute(&setup).await;
    // The other server does not see what is not committed yet.
    database.execute("ANALYZE").await;
    let site = Site::reading(database.url());
    let cut = |column: &str| json!({"partitioning": {"strategy": "id_range", "column": column, "target_rows": 100}});
    for (source, units) in [
        (json!({"table": "public.remote"}), 1),
        (json!({"table": "public.joined"}), 1),
        (json!({"query": "SELECT id, part FROM remote WHERE part > 0"}), 1),
        // The partition on this server is in the snapshot, and may be cut.
        (json!({"table": "public.days"}), 2),
    ] {
        let job = site.job("copied", &source, &cut("id"));
        let plan = site.plan(&job).await;
        let planned = plan["tables"][0]["units"].as_array().map_or(0, Vec::len);
        assert!(if units == 1 { planned == 1 } else { planned > 2 }, "{source}: {plan:#}");
        let warnings = plan["warnings"].to_string();
        assert!(warnings.contains("server `away`") && warnings.contains("snapshot"), "{warnings}");
        site.run(&job).await;
        // A job that does without a snapshot may cut it.
        let mut more = cut("id");
        more["consistency"] = json!("none");
        let plan = site.plan(&site.job("cut", &source, &more)).await;
        let planned = plan["tables"][0]["units"].as_array().map_or(0, Vec::len);
        assert!(planned > 2, "{source}: {plan:#}");
    }
    assert_same(Expected::Table(&database, "days"), &site.table("copied")).await;
}

/// A function may open connections of its own: what it reads over them is of the moment of its call.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_function_reads_elsewhere_is_read_by_one_statement_and_the_plan_says_so() {
    let Some(database) = Database::fresh().await else { return };
    let (host, port) = database.address();
    let there = format!("host={host} port={port} dbname={} user=postgres", database.name());
    let setup = format!(
        "CREATE TABLE rows AS SELECT n AS id FROM generate_series(1, 9000) AS n;
         CREATE EXTENSION dblink; CREATE EXTENSION pgcrypto;
         CREATE VIEW linked AS SELECT id FROM dblink('{there}', 'SELECT id FROM rows') AS r(id int);
         CREATE VIEW joined AS SELECT l.id FROM (SELECT * FROM linked) AS l JOIN rows USING (id);
         CREATE FUNCTION inside() RETURNS SETOF int LANGUAGE sql AS
             $$ SELECT id FROM dblink('{there}', 'SELECT id FROM rows') AS r(id int) $$;
         CREATE FUNCTION outer() RETURNS SETOF int LANGUAGE plpgsql AS
             $$ BEGIN RETURN QUERY SELECT * FROM inside(); END $$;
         CREATE VIEW called AS SELECT * FROM outer() AS id;
         CREATE FUNCTION harmless(int) RETURNS int LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
         CREATE VIEW here AS SELECT harmless(id) AS id, gen_random_bytes(2) AS salt FROM rows;
         ANALYZE"
    );
    database.execute(&setup).await;
    let site = Site::reading(database.url());
    let cut = json!({"partitioning": {"strategy": "hash", "column": "id", "target_rows": 100}});
    let query = format!("SELECT id FROM dblink('{there}', 'SELECT id FROM rows') AS r(id int)");
    for source in [
        json!({"table": "public.linked"}),
        json!({"table": "public.joined"}),
        json!({"table": "public.called"}),
        json!({"query": "SELECT id FROM joined WHERE id > 0"}),
        json!({"query": query}),
        json!({"table": "public.rows", "where": "id IN (SELECT id FROM linked)"}),
        json!({"table": "public.rows", "where": "id IN (SELECT inside())"}),
    ] {
        let job = site.job("copied", &source, &cut);
        let plan = site.plan(&job).await;
        assert_eq!(plan["tables"][0]["units"].as_array().map_or(0, Vec::len), 1, "{plan:#}");
        let warnings = plan["warnings"].to_string();
        for words in ["not part of the snapshot", "`public.dblink` of extension `dblink`"] {
            assert!(warnings.contains(words), "{source}: {warnings}");
        }
        assert_eq!(site.run(&job).await["rows"], 9000, "{source}");
        // A job that does without a snapshot may cut it.
        let mut more = cut.clone();
        more["consistency"] = json!("none");
        let plan = site.plan(&site.job("cut", &source, &more)).await;
        let planned = plan["tables"][0]["units"].as_array().map_or(0, Vec::len);
        assert!(planned > 2, "{source}: {plan:#}");
    }
    // Functions that see the snapshot, and those that read nothing, leave a view as it was.
    let plan = site.plan(&site.job("here", &json!({"table": "public.here"}), &cut)).await;
    assert!(plan["tables"][0]["units"].as_array().map_or(0, Vec::len) > 2, "{plan:#}");
    assert!(!plan["warnings"].to_string().contains("not part of the snapshot"), "{plan:#}");
}

/// An error of a statement is not one of the connection, whatever its code: the table fails by its
/// name, and its neighbours are moved at the same moment.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_behind_the_server_that_is_down_takes_one_table_along() {
    let Some(database) = Database::fresh().await else { return };
    let setup = "
        CREATE EXTENSION postgres_fdw;
        CREATE SERVER dead FOREIGN DATA WRAPPER postgres_fdw
            OPTIONS (host '127.0.0.1', port '1', dbname 'x');
        CREATE USER MAPPING FOR CURRENT_USER SERVER dead OPTIONS (user 'postgres');
        CREATE TABLE events (id int, d date) PARTITION BY RANGE (d);
        CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2024-06-01') TO (MAXVALUE);
        CREATE FOREIGN TABLE events_old PARTITION OF events
            FOR VALUES FROM (MINVALUE) TO ('2024-06-01') SERVER dead;
        INSERT INTO events_new SELECT n, date '2024-06-01' + n FROM generate_series(1, 300) AS n;
        CREATE TABLE alone AS SELECT n AS id FROM generate_series(1, 10) AS n;
        CREATE VIEW through AS SELECT * FROM events";
    database.execute(setup).await;
    let site = Site::reading(database.url());
    let tables = ["public.events", "public.through", "public.alone"];
    let path = job(&site, &tables, &json!({}));
    let ended = site.sluice(["run".as_ref(), path.as_os_str()]).await;
    ended.refused(1, &["`public.events`", "`public.through`", "server \"dead\"", "user mapping"]);
    assert!(!ended.to_string().contains("tried"), "the table was tried again: {ended}");
    assert_same(Expected::Table(&database, "alone"), &site.table("alone")).await;
    for gone in ["events", "through"] {
        assert!(!site.table(gone).exists(), "{gone}: {ended}");
    }
    let run = site.newest_run().expect("there is a run");
    assert!(site.documents(&run, "snapshots/0001").is_empty(), "a second snapshot was read");
}

/// What is computed for a table may never end, here or on the server that it lies on. Nothing of the
/// connection tells that from a view that takes an hour.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_the_server_never_comes_to_an_end_with_is_given_up_by_name() {
    let Some(database) = Database::fresh().await else { return };
    let (host, port) = database.address();
    let setup = format!(
        "CREATE TABLE numbers AS SELECT n AS id FROM generate_series(1, 9) AS n;
         CREATE FUNCTION slow() RETURNS boolean LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(3600); RETURN true; END $$;
         CREATE VIEW endless AS SELECT id FROM numbers WHERE slow();
         CREATE EXTENSION postgres_fdw;
         CREATE SERVER away FOREIGN DATA WRAPPER postgres_fdw
             OPTIONS (host '{host}', port '{port}', dbname '{name}');
         CREATE USER MAPPING FOR CURRENT_USER SERVER away OPTIONS (user 'postgres');
         CREATE FOREIGN TABLE remote (id int) SERVER away OPTIONS (table_name 'endless');",
        name = database.name()
    );
    database.execute(&setup).await;
    let site = Site::reading(database.url());
    let tables = ["endless", "remote", "numbers"];
    let more = json!({"limits": {"max_tasks": 1, "answer_within": "3s"}});
    let ended = site
        .sluice(["run".as_ref(), "--json".as_ref(), job(&site, &tables, &more).as_os_str()])
        .await;
    assert_eq!(ended.code, Some(1), "{ended}");
    let answer = ended.json();
    let failed = |state: &str| state == "failed";
    let states: Vec<bool> = states(&answer).iter().map(|(_, state)| failed(state)).collect();
    assert_eq!(states, [true, true, false], "{ended}");
    let error = answer["error"].as_str().unwrap_or_default();
    for words in ["`endless`", "still computes", "`remote`", "waits for another one"] {
        assert!(error.contains(words), "{error}");
    }
    assert!(ended.to_string().contains("limits.answer_within"), "{ended}");
    // The server computes no more for who is gone.
    let at_work = "SELECT count(*) FROM pg_stat_activity WHERE state = 'active'
                   AND datname = current_database() AND application_name LIKE 'sluice %'";
    let gone = async {
        while database.number(at_work).await > 0 {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    };
    let ended = tokio::time::timeout(std::time::Duration::from_mins(1), gone).await;
    assert!(ended.is_ok(), "the server goes on for a client that is gone");
}
