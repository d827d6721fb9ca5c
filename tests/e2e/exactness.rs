//! Every value is moved exactly, or refused.

use serde_json::json;
use sluice_tests::oracle::{Expected, assert_same, duckdb};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::Site;

use crate::shop;

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_nothing_can_hold_is_refused_by_the_plan() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE places (id bigint, spot gtsvector);
             CREATE TABLE sums (id bigint, total numeric(80, 2));
             CREATE TABLE fractions (id bigint, total numeric(60, 45));",
        )
        .await;
    let site = Site::reading(database.url());
    for (table, column) in [("places", "`spot`"), ("sums", "`total`"), ("fractions", "`total`")] {
        let job = site.job(table, &json!({"table": table}), &json!({}));
        for command in ["plan", "run"] {
            let ended = site.sluice([command, job.to_str().unwrap_or_default()]).await;
            ended.refused(64, &[column, table, "hint: "]);
        }
        assert!(!site.table(table).exists());
    }
    // The remedy that the hint names.
    database
        .execute(
            "INSERT INTO sums VALUES (1, 12345678901234567890123456789012345678901234567890.12)",
        )
        .await;
    let more = json!({"columns": {"total": {"type": "STRING"}}});
    let job = site.job("sums", &json!({"table": "sums"}), &more);
    site.run(&job).await;
    assert_same(Expected::Table(&database, "sums"), &site.table("sums")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_that_does_not_fit_fails_the_run_or_is_counted() {
    let Some(database) = Database::fresh().await else { return };
    let wide = "12345678901234567890123456789012345678901234567890";
    for (name, declared, bad, good) in [
        ("late", "timestamptz", "'infinity'", "'2024-01-01 00:00:00+00'"),
        ("early", "timestamptz", "'-infinity'", "'2024-01-01 00:00:00+00'"),
        ("ancient", "timestamp", "'0044-03-15 12:00:00 BC'", "'2024-01-01 00:00:00'"),
        ("distant", "date", "'10000-01-01'", "'9999-12-31'"),
        ("forever", "date", "'infinity'", "'0001-01-01'"),
        ("midnight", "time", "'24:00:00'", "'23:59:59.999999'"),
        ("nan", "numeric(10, 2)", "'NaN'", "1.25"),
        ("unbounded", "numeric", wide, "0.000000001"),
    ] {
        database
            .execute(&format!(
                "CREATE TABLE {name} (id bigint PRIMARY KEY, value {declared});
                 INSERT INTO {name} VALUES (1, {good}), (2, {bad}), (3, NULL), (4, {bad});"
            ))
            .await;
        let site = Site::reading(database.url());
        let job = site.job(name, &json!({"table": name}), &json!({}));
        let plan = site.plan(&job).await;
        let ended = site.sluice(["run", job.to_str().unwrap_or_default()]).await;
        ended.refused(1, &["`value`"]);
        assert!(!ended.stderr.contains(wide), "a cell's value was printed: {ended}");
        assert!(!site.table(name).exists(), "{name}: something became visible");
        assert!(plan.to_string().contains("value"), "{plan:#}");

        let site = Site::reading(database.url());
        let more = json!({"columns": {"value": {"on_invalid": "null"}}});
        let job = site.job(name, &json!({"table": name}), &more);
        site.run(&job).await;
        let query = format!("SELECT id, CASE WHEN id = 1 THEN value END AS value FROM {name}");
        assert_same(Expected::Query(&database, &query), &site.table(name)).await;
        let run = site.newest_run().unwrap_or_default();
        let receipts = site.documents(&run, "receipts");
        let receipt = std::fs::read_to_string(&receipts[0]).unwrap_or_default();
        let receipt: serde_json::Value = serde_json::from_str(&receipt).unwrap_or_default();
        assert_eq!(receipt["invalid"]["value"], 2, "{name}: {receipt:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_invalid_value_is_expected_from_statistics_and_found_by_its_query() {
    let Some(database) = Database::fresh().await else { return };
    for (name, declared, bad, good) in [
        ("late", "timestamptz", "'infinity'", "'2024-01-01 00:00:00+00'"),
        ("ancient", "date", "'0044-03-15 BC'", "'0001-01-01'"),
        ("midnight", "time", "'24:00:00'", "'23:59:59.999999'"),
        ("nan", "numeric(10, 2)", "'NaN'", "99999999.99"),
        ("wide", "numeric", "1e38", "1e37"),
        ("long", "numeric[]", "'{1, NaN}'", "'{}'"),
    ] {
        database
            .execute(&format!(
                "CREATE TABLE {name} (id bigint PRIMARY KEY, other text, value {declared});
                 INSERT INTO {name} SELECT n, 'x', {good} FROM generate_series(1, 40) AS n;
                 ANALYZE {name}"
            ))
            .await;
        let site = Site::reading(database.url());
        let job = site.job(name, &json!({"table": name}), &json!({}));
        let clean = site.plan(&job).await;
        assert_eq!(clean["warnings"], json!([]), "{name}: {clean:#}");

        database
            .execute(&format!(
                "UPDATE {name} SET value = {bad} WHERE id IN (7, 8, 9); ANALYZE {name}"
            ))
            .await;
        let plan = site.plan(&job).await;
        let warning = plan["warnings"][0].as_str().unwrap_or_default();
        assert!(warning.starts_with("column `value` of `"), "{name}: {plan:#}");
        let ended = site.sluice(["run", job.to_str().unwrap_or_default()]).await;
        ended.refused(1, &["`value`", "find such rows with `"]);
        let search = ended.stderr.split("find such rows with `").nth(1).unwrap_or_default();
        let search = search.rsplit_once('`').unwrap_or_default().0;
        let count = format!("SELECT sum(id)::bigint FROM ({search}) AS found");
        assert_eq!(database.number(&count).await, 7 + 8 + 9, "{name}: {search}");

        let more = json!({"columns": {"value": {"on_invalid": "null"}}});
        let plan = site.plan(&site.job(name, &json!({"table": name}), &more)).await;
        assert_eq!(plan["warnings"], json!([]), "{name}: {plan:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_functions_of_the_search_path_are_not_used() {
    let Some(database) = Database::fresh().await else { return };
    let name = database.name();
    database
        .execute(&format!(
            "CREATE SCHEMA planted;
             CREATE FUNCTION planted.never(bigint, bigint) RETURNS boolean
                 LANGUAGE sql AS 'SELECT false';
             CREATE OPERATOR planted.>= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = planted.never);
             CREATE OPERATOR planted.< (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = planted.never);
             CREATE FUNCTION planted.never(integer, integer) RETURNS boolean
                 LANGUAGE sql AS 'SELECT false';
             CREATE OPERATOR planted.= (LEFTARG = integer, RIGHTARG = integer, FUNCTION = planted.never);
             CREATE FUNCTION planted.to_json(anyelement) RETURNS json
                 LANGUAGE sql AS $$ SELECT '\"planted\"'::json $$;
             CREATE TYPE public.pair AS (n numeric, at timestamptz);
             CREATE TABLE pairs (id bigint PRIMARY KEY, value pair, deep integer[][]);
             INSERT INTO pairs SELECT n, ROW(1.10, '2024-01-01 00:00:00+00')::public.pair, '{{{{1}},{{2}}}}'
                 FROM generate_series(1, 100) AS n;
             ANALYZE pairs;
             ALTER DATABASE {name} SET search_path = planted, public, pg_catalog"
        ))
        .await;
    let site = Site::reading(database.url());
    let more = json!({"partitioning": {"strategy": "id_range", "column": "id", "target_rows": 30}});
    let job = site.job("pairs", &json!({"table": "pairs"}), &more);
    let answer = site.run(&job).await;
    assert_eq!(answer["rows"], 100, "{answer:#}");
    let files = format!("{}/*.parquet", site.table("pairs").display());
    let query = format!("SELECT value, deep, count(*) AS n FROM '{files}' GROUP BY ALL");
    let Some(rows) = duckdb(&query).await else { return };
    assert_eq!(
        json!(rows),
        json!([{"value": r#"{"n":1.10,"at":"2024-01-01T00:00:00+00:00"}"#, "deep": "[[1],[2]]", "n": 100}])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_at_midnight_and_without_a_date_are_loaded_once() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE ticks (id bigint PRIMARY KEY, at timestamptz, local timestamp, day date);
             INSERT INTO ticks SELECT n,
                 timestamptz '2024-01-01 00:00:00+00' + (n % 300) * interval '1 day',
                 CASE WHEN n % 10 <> 0 THEN timestamp '2024-01-01' + (n % 300) * interval '12 hours' END,
                 CASE WHEN n % 3 <> 0 THEN date '2024-01-01' + n % 40 END
             FROM generate_series(1, 6000) AS n;
             CREATE INDEX ON ticks (at); CREATE INDEX ON ticks (local); CREATE INDEX ON ticks (day);
             ANALYZE;",
        )
        .await;
    for column in ["at", "local", "day"] {
        let site = Site::reading(database.url());
        let job =
            site.job("ticks", &json!({"table": "ticks"}), &shop::cut_by("date_range", column));
        let answer = site.run(&job).await;
        assert_eq!(answer["rows"], 6000, "{answer:#}");
        assert_same(Expected::Table(&database, "ticks"), &site.table("ticks")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_says_what_bigquery_will_make_of_it() {
    let Some(database) = Database::fresh().await else { return };
    database
        .execute(
            "CREATE TABLE kinds (i integer, n numeric(12, 2), t text, at timestamptz, local timestamp, d date,
                 c time, b bytea, j jsonb, u uuid, ok boolean, f real, tags text[], l bigint);
             INSERT INTO kinds VALUES (1, 2.50, 'x', now(), now(), now(), '12:00', '\\x01', '{}', md5('x')::uuid, true, 1.5, '{a}', 7)",
        )
        .await;
    let site = Site::reading(database.url());
    let job = site.job("kinds", &json!({"table": "kinds"}), &json!({}));
    site.run(&job).await;
    let schema =
        std::fs::read_to_string(site.table("kinds").join("_schema.json")).unwrap_or_default();
    let schema: Vec<serde_json::Value> =
        serde_json::from_str(&schema).expect("the schema is a list");
    let types: Vec<&str> = schema.iter().filter_map(|column| column["type"].as_str()).collect();
    let expected = [
        "INT64",
        "NUMERIC",
        "STRING",
        "TIMESTAMP",
        "DATETIME",
        "DATE",
        "TIME",
        "BYTES",
        "JSON",
        "STRING",
        "BOOL",
        "FLOAT64",
        "STRING",
        "INT64",
    ];
    assert_eq!(types, expected);
    assert_eq!(schema[12]["mode"], "REPEATED");

    let files = format!("{}/*.parquet", site.table("kinds").display());
    let Some(rows) = duckdb(&format!("DESCRIBE SELECT * FROM '{files}'")).await else { return };
    let types: Vec<&str> = rows.iter().filter_map(|row| row["column_type"].as_str()).collect();
    let expected = [
        "INTEGER",
        "DECIMAL(12,2)",
        "VARCHAR",
        "TIMESTAMP WITH TIME ZONE",
        "TIMESTAMP",
        "DATE",
        "TIME",
        "BLOB",
        "VARCHAR",
        "VARCHAR",
        "BOOLEAN",
        "DOUBLE",
        "VARCHAR[]",
        "BIGINT",
    ];
    assert_eq!(types, expected);
}
