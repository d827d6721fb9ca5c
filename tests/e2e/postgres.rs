//! Everything that a PostgreSQL database can hold, moved and read back.

use serde_json::{Value, json};
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;

use crate::shop;

/// Moves a table with the given settings, compares the copy, and returns the run's answer.
async fn moves(database: &Database, table: &str, more: &Value) -> Value {
    let site = Site::reading(database.url());
    let job = site.job("it", &json!({"table": table}), more);
    let answer = site.run(&job).await;
    let rows = database.number(&format!("SELECT count(*) FROM {table}")).await;
    assert_eq!(answer["rows"], rows, "{answer:#}");
    assert_eq!(answer["tables"][0]["state"], "committed", "{answer:#}");
    assert_same(Expected::Table(database, table), &site.table("it")).await;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn every_strategy_moves_every_row_once() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 12_000).await;
    for (more, strategy, least) in [
        (json!({}), "full", 1),
        (json!({"partitioning": {"strategy": "full"}}), "full", 1),
        (shop::cut("id_range"), "id_range", 10),
        (shop::cut_by("id_range", "customer_id"), "id_range", 10),
        (shop::cut("date_range"), "date_range", 10),
        (shop::cut_by("date_range", "shipped_on"), "date_range", 10),
        (shop::cut("hash"), "hash", 10),
        (shop::cut_by("hash", "note"), "hash", 10),
        (shop::cut("ctid"), "ctid", 10),
    ] {
        let answer = moves(&database, "public.orders", &more).await;
        let table = &answer["tables"][0];
        assert_eq!(table["strategy"], strategy, "{more} gave {answer:#}");
        assert!(table["units"].as_u64() >= Some(least), "{more} gave {answer:#}");
    }
}

/// Cloud Run reaches a Cloud SQL instance through a socket in the instance's own folder.
/// The plan of a table for a strategy.
async fn planned(site: &Site, strategy: &str) -> Value {
    let more = json!({"partitioning": {"strategy": strategy}});
    let job = site.job("scattered", &json!({"table": "scattered"}), &more);
    site.plan(&job).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_table_is_read_by_its_pages_and_a_scattered_key_is_warned_of() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE scattered AS SELECT n * 7919 % 1200007 AS id FROM generate_series(1, 1100000::bigint) AS n;
             ALTER TABLE scattered ADD PRIMARY KEY (id);
             ANALYZE scattered",
        )
        .await;
    let site = Site::reading(database.url());
    let plan = planned(&site, "auto").await;
    assert_eq!(plan["tables"][0]["strategy"], "ctid", "{plan:#}");
    assert!(plan["tables"][0]["reason"].as_str().is_some_and(|why| why.contains("each page once")));
    assert!(!plan.to_string().contains("its correlation"), "{plan:#}");
    let plan = planned(&site, "id_range").await;
    assert!(plan.to_string().contains("do not lie in the order of `id`"), "{plan:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_reached_by_its_socket() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 12_000).await;
    let folders = database.text("SHOW unix_socket_directories").await;
    let folder = folders.split(',').next().expect("a split text has a first piece").trim();
    let (_, port) = database.address();
    // The host in its usual place does not exist.
    let url =
        format!("postgres://postgres@nowhere.invalid:{port}/{}?host={folder}", database.name());
    let site = Site::reading(url);
    let more = json!({"partitioning": {"strategy": "ctid", "target_rows": 3000}});
    let job = site.job("it", &json!({"table": "public.orders"}), &more);
    let answer = site.run(&job).await;
    assert_eq!(answer["rows"], 12_000, "{answer:#}");
    assert_same(Expected::Table(&database, "public.orders"), &site.table("it")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_types_of_a_django_application() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TYPE mood AS ENUM ('sad', 'ok', 'über');
             CREATE DOMAIN email AS varchar(100) CHECK (value LIKE '%@%');
             CREATE DOMAIN cents AS bigint;
             CREATE TABLE things (
                 id bigserial PRIMARY KEY,
                 small smallint, medium integer, large bigint,
                 single real, double double precision,
                 price numeric(12, 2), tiny numeric(3, 3), broad numeric(38, 9), wide numeric(60, 30), whole numeric(20),
                 yes boolean,
                 name varchar(50), body text, padded char(6),
                 day date, clock time, local timestamp, moment timestamptz,
                 key uuid, document json, binary_document jsonb, bytes bytea,
                 feeling mood, contact email, amount cents,
                 numbers integer[], words text[], prices numeric(10, 2)[], moments timestamptz[], keys uuid[],
                 doubled integer GENERATED ALWAYS AS (medium * 2) STORED
             );
             INSERT INTO things (small) VALUES (NULL);
             INSERT INTO things VALUES
             (DEFAULT, -32768, -1073741824, -9223372036854775808, '-Infinity', 'NaN',
              -9999999999.99, -0.999, -99999999999999999999999999999.999999999,
              -999999999999999999999999999999.999999999999999999999999999999, -99999999999999999999,
              false, '', '', '', '0001-01-01', '00:00:00', '0001-01-01 00:00:00', '0001-01-01 00:00:00+00',
              '00000000-0000-0000-0000-000000000000', 'null', 'null', '', 'sad', '@', -9223372036854775808,
              '{}', '{}', '{}', '{}', '{}'),
             (DEFAULT, 32767, 1073741823, 9223372036854775807, 3.4028235e38, 5e-324,
              9999999999.99, 0.999, 99999999999999999999999999999.999999999,
              999999999999999999999999999999.999999999999999999999999999999, 99999999999999999999,
              true, 'Ünïcödé', E'tab\\tnewline\\nquote\" backslash\\\\ 𝄞', 'ab', '9999-12-31', '23:59:59.999999',
              '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00',
              'ffffffff-ffff-ffff-ffff-ffffffffffff', '{\"b\":1,  \"a\":[1.10, 12345678901234567890123], \"b\":2}',
              '{\"b\": 1.10, \"a\": \"é\"}', '\\x00ff0a5c', 'über', 'a@b', 9223372036854775807,
              '{1,-2147483648,2147483647}', '{\"a,b\",\"\",\"NULL\"}', '{1.10,-0.01}',
              '{2024-02-29 12:34:56.123456+05:30}', '{0cf81f90-3840-2e85-910c-fad17d0051b3}'),
             (DEFAULT, 0, 0, 0, '-0', '-0', 0, 0, 0.000000001, 0.000000000000000000000000000001, 0,
              true, ' ', ' ', 'abcdef', '1970-01-01', '12:00:00.1', '1969-12-31 23:59:59.999999', '1970-01-01 00:00:00+14',
              '12345678-9abc-def0-1234-56789abcdef0', '[]', '[]', '\\x00', 'ok', 'é@é', 1,
              '{0}', '{x}', '{0}', '{1970-01-01 00:00:00+00}', '{00000000-0000-0000-0000-000000000001}');",
        )
        .await;
    let answer = moves(&database, "things", &json!({})).await;
    assert_eq!(answer["rows"], 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_and_heirs_are_read_once_each() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE visits (id bigint, region text, seen_at timestamptz, PRIMARY KEY (id, region, seen_at))
                 PARTITION BY LIST (region);
             CREATE TABLE visits_north PARTITION OF visits FOR VALUES IN ('north') PARTITION BY RANGE (seen_at);
             CREATE TABLE visits_north_old PARTITION OF visits_north FOR VALUES FROM (MINVALUE) TO ('2024-06-01');
             CREATE TABLE visits_north_new PARTITION OF visits_north FOR VALUES FROM ('2024-06-01') TO (MAXVALUE);
             CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
             CREATE TABLE visits_empty PARTITION OF visits FOR VALUES IN ('nowhere');
             INSERT INTO visits SELECT n, (ARRAY['north', 'south', 'east'])[1 + n % 3],
                 timestamptz '2024-01-01 00:00:00+00' + n * interval '1 hour' FROM generate_series(1, 8000) AS n;
             CREATE TABLE animals (id integer PRIMARY KEY, name text);
             CREATE TABLE birds (wingspan real, extra text) INHERITS (animals);
             CREATE TABLE owls (hoots boolean) INHERITS (birds);
             INSERT INTO animals SELECT n, 'animal ' || n FROM generate_series(1, 3000) AS n;
             INSERT INTO birds SELECT n, 'bird ' || n, n / 2.0 FROM generate_series(2000, 5000) AS n;
             INSERT INTO owls SELECT n, 'owl ' || n, n, 'x', true FROM generate_series(4000, 6000) AS n;
             ANALYZE;",
        )
        .await;
    for more in [
        json!({}),
        shop::cut("full"),
        shop::cut("id_range"),
        shop::cut("date_range"),
        shop::cut("ctid"),
        shop::cut("hash"),
    ] {
        moves(&database, "visits", &more).await;
    }
    for more in
        [json!({}), shop::cut("full"), shop::cut("id_range"), shop::cut("ctid"), shop::cut("hash")]
    {
        moves(&database, "animals", &more).await;
    }
    moves(&database, "birds", &shop::cut("ctid")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn views_queries_filters_and_chosen_columns() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 5_000).await;
    database
        .execute(
            "CREATE VIEW late AS SELECT id, created_at, total FROM orders WHERE created_at >= '2024-04-01';
             CREATE MATERIALIZED VIEW totals AS SELECT status, sum(total) AS total FROM orders GROUP BY status;",
        )
        .await;
    moves(&database, "late", &json!({"columns": {"total": {"type": "BIGNUMERIC"}}})).await;
    moves(&database, "late", &shop::cut_by("id_range", "id")).await;
    moves(&database, "late", &shop::cut("hash")).await;
    moves(&database, "totals", &json!({"columns": {"total": {"type": "STRING"}}})).await;

    let query = "SELECT o.id, o.status || ' ; -- ' AS label, count(*) OVER () AS n FROM orders AS o WHERE id % 2 = 0";
    for more in [json!({}), shop::cut_by("id_range", "id"), shop::cut("hash")] {
        let site = Site::reading(database.url());
        let job = site.job("it", &json!({"query": format!("{query};")}), &more);
        site.run(&job).await;
        assert_same(Expected::Query(&database, query), &site.table("it")).await;
    }

    for more in [
        json!({}),
        shop::cut("id_range"),
        shop::cut("ctid"),
        shop::cut("hash"),
        shop::cut("date_range"),
    ] {
        let site = Site::reading(database.url());
        let source = json!({
            "table": "public.orders",
            "columns": ["total", "id", "created_at"],
            "where": "status = 'paid' OR total IS NULL -- not a comment that ends the query",
        });
        let job = site.job("it", &source, &more);
        site.run(&job).await;
        let query =
            "SELECT total, id, created_at FROM orders WHERE status = 'paid' OR total IS NULL";
        assert_same(Expected::Query(&database, query), &site.table("it")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_have_to_be_quoted() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE SCHEMA \"My.Schema\";
             CREATE TABLE \"My.Schema\".\"Select \"\"From\"\"\" (
                 \"select\" bigint PRIMARY KEY, \"MixedCase\" timestamptz, \"two words\" text, \"order\" integer
             );
             INSERT INTO \"My.Schema\".\"Select \"\"From\"\"\"
             SELECT n, timestamptz '2024-01-01 00:00:00+00' + n * interval '1 hour', 'x' || n, n % 7
             FROM generate_series(1, 4000) AS n;
             ANALYZE;",
        )
        .await;
    let table = "\"My.Schema\".\"Select \"\"From\"\"\"";
    for more in [
        json!({}),
        shop::cut_by("id_range", "select"),
        shop::cut_by("date_range", "MixedCase"),
        shop::cut_by("hash", "two words"),
        shop::cut("ctid"),
    ] {
        let site = Site::reading(database.url());
        let job = site.job("it", &json!({"table": table}), &more);
        site.run(&job).await;
        // A character that a column name may not contain becomes an underscore, and the plan says
        // so.
        let query = format!(
            "SELECT \"select\", \"MixedCase\", \"two words\" AS two_words, \"order\" FROM {table}"
        );
        assert_same(Expected::Query(&database, &query), &site.table("it")).await;
    }
    let site = Site::reading(database.url());
    let source = json!({"table": table, "columns": ["order", "select"], "where": "\"order\" > 3"});
    let job = site.job("it", &source, &json!({"columns": {"select": {"name": "id"}}}));
    site.run(&job).await;
    let query = format!("SELECT \"order\", \"select\" AS id FROM {table} WHERE \"order\" > 3");
    assert_same(Expected::Query(&database, &query), &site.table("it")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_without_rows_or_without_columns() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE empty (id bigint PRIMARY KEY, created_at timestamptz, total numeric(10, 2));
             CREATE TABLE hollow ();
             INSERT INTO hollow SELECT FROM generate_series(1, 7);
             CREATE TABLE emptied AS SELECT n AS id FROM generate_series(1, 5000) AS n;
             ANALYZE;
             DELETE FROM emptied;
             CREATE TABLE parts (id bigint) PARTITION BY RANGE (id);",
        )
        .await;
    for more in [
        json!({}),
        shop::cut("id_range"),
        shop::cut("date_range"),
        shop::cut("ctid"),
        shop::cut("hash"),
    ] {
        let answer = moves(&database, "empty", &more).await;
        assert_eq!(answer["rows"], 0);
    }
    moves(&database, "emptied", &shop::cut("id_range")).await;
    moves(&database, "emptied", &shop::cut("ctid")).await;
    moves(&database, "parts", &json!({})).await;

    // A table without columns has rows all the same: seven, also for independent readers.
    let answer = moves(&database, "hollow", &json!({})).await;
    assert_eq!(answer["rows"], 7);
    let site = Site::reading(database.url());
    let job = site.job("it", &json!({"query": "select 1 as present from hollow"}), &json!({}));
    assert_eq!(site.run(&job).await["rows"], 7);
}
