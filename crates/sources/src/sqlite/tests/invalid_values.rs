use serde_json::json;

use super::*;

/// The query in a hint.
fn search(error: &Error) -> String {
    let hint = error.remedy().unwrap();
    hint.split('`').nth(1).unwrap().to_owned()
}

/// What the hint suggests as another type.
fn other_type(error: &Error) -> Option<String> {
    let (_, rest) = error.remedy()?.split_once("`columns.v.type` to `")?;
    Some(rest.trim_end_matches('`').to_owned())
}

#[tokio::test]
async fn the_query_of_an_error_finds_the_row_and_its_hint_holds_the_value() {
    for (declared, asked, good, bad, way_out) in [
        ("INT", "", "1", "1.5", Some("FLOAT64")),
        ("INT", "", "9007199254740993", "9.5e18", Some("FLOAT64")),
        ("INT", "", "7", "'x'", Some("STRING")),
        ("INT", "", "7", "x'00'", Some("STRING")),
        ("INT", "FLOAT64", "9007199254740992", "9223372036854775807", Some("INT64")),
        ("REAL", "", "0.5", "'x'", Some("STRING")),
        ("REAL", "INT64", "5", "5.5", Some("FLOAT64")),
        ("DECIMAL(4,2)", "", "99.99", "1.005", Some("FLOAT64")),
        ("DECIMAL(4,2)", "", "-99", "100", Some("INT64")),
        ("DECIMAL(4,2)", "", "99.99", "9e999", Some("FLOAT64")),
        ("DECIMAL(4,2)", "", "99.99", "'1,5'", Some("STRING")),
        ("BOOL", "", "1", "2", Some("INT64")),
        ("BOOL", "", "'False'", "'nope'", Some("STRING")),
        ("TEXT", "", "'é'", "x'c3a9'", Some("BYTES")),
        ("TEXT", "", "'é'", "CAST(x'ff' AS TEXT)", Some("BYTES")),
        ("TEXT", "INT64", "'-12'", "'1.5'", Some("STRING")),
        ("TEXT", "JSON", "'[1]'", "'[1'", Some("STRING")),
        ("BLOB", "", "x'00'", "5", Some("STRING")),
        ("BLOB", "STRING", "x'61'", "x'ff'", Some("BYTES")),
        ("JSON", "", "'{}'", "'{'", Some("STRING")),
        ("JSON", "", "1.5", "9e999", Some("STRING")),
        ("DATE", "", "'2024-02-29'", "'2023-02-29'", Some("STRING")),
        ("DATE", "", "'2024-02-29'", "'2024-02-29 10:00'", Some("DATETIME")),
        ("DATE", "", "'2024-02-29'", "19782", Some("INT64")),
        ("DATE", "", "'2024-02-29'", "2460310.5", Some("FLOAT64")),
        ("TIME", "", "'23:59:59.123456'", "'24:00'", Some("STRING")),
        ("TIME", "", "'23:59'", "'00:00:00.0000001'", Some("STRING")),
        ("DATETIME", "", "'2024-02-29 10:00:00.123456'", "'2024-02-29 10:00Z'", Some("TIMESTAMP")),
        ("DATETIME", "", "'2024-02-29 10:00'", "'2024-02-29T10:00-01:00'", Some("TIMESTAMP")),
        ("DATETIME", "", "'2024-02-29'", "'infinity'", Some("STRING")),
        ("DATETIME", "", "'2024-02-29'", "'0000-02-29 10:00'", Some("STRING")),
        ("DATETIME", "", "'2024-02-29T24:00' IS NULL", "'2024-02-29 24:00'", Some("STRING")),
        ("DATETIME", "", "'2024-02-29'", "1700000000", Some("INT64")),
        ("TIMESTAMPTZ", "", "'2024-02-29 10:00+01:00'", "'9999-12-31 23:59:59-01'", Some("STRING")),
        ("TIMESTAMPTZ", "", "'2024-02-29 10:00Z'", "'2024-02-29 10:00 CET'", Some("STRING")),
    ] {
        // A line without a good value has NULL in its place.
        let good = if good.ends_with("IS NULL") { "NULL" } else { good };
        let database = Database::new(&format!(
            "CREATE TABLE t (k INT, v {declared}); INSERT INTO t VALUES (1, {good}), (2, {bad})"
        ));
        let asked =
            if asked.is_empty() { job("t") } else { with(job("t"), "v", json!({"type": asked})) };
        let cut = Cut::Range {
            column: "k".to_owned(),
            key: sluice_contracts::documents::KeyType::Integer,
            lo: Some(1),
            hi: None,
        };
        let error = database.read(&asked, cut).await.unwrap_err();
        let sql = search(&error);
        let by_place = bad.contains("x'ff'");
        let start = if by_place { "\"k\" >= 1 LIMIT 1 OFFSET 1" } else { "typeof(\"v\")" };
        assert!(sql.starts_with(&format!("SELECT rowid FROM \"t\" WHERE {start}")), "{sql}");
        assert!(by_place || sql.ends_with(" AND \"k\" >= 1"), "{sql}");
        let mut statement = database.connection.prepare(&sql).unwrap();
        let rows: Vec<i64> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        assert_eq!(rows, [2], "{declared} {bad}: {sql}");
        assert_eq!(other_type(&error).as_deref(), way_out, "{declared} {bad}");
        if let Some(way_out) = way_out.filter(|_| bad != "x'00'") {
            let again = with(job("t"), "v", json!({"type": way_out, "on_invalid": "null"}));
            let (batches, _) = database.read(&again, Cut::Full).await.unwrap();
            assert!(batches[0].column(1).is_valid(1), "{declared} {bad} as {way_out}");
        }
    }
}

#[tokio::test]
async fn rows_are_named_in_every_form_of_relation() {
    let database = Database::new(
        "CREATE TABLE pairs (a INT, \"b c\" TEXT, v INT, PRIMARY KEY (\"b c\", a)) WITHOUT ROWID;
         INSERT INTO pairs VALUES (1, 'x', 'bad');
         CREATE TABLE shadow (rowid TEXT, v INT); INSERT INTO shadow VALUES ('r', 'bad');
         CREATE TABLE shadows (rowid INT, oid INT, _rowid_ INT, v INT);
         INSERT INTO shadows VALUES (1, 2, 3, 'bad');
         CREATE TABLE \"odd \"\"name\" (id INTEGER PRIMARY KEY, v INT);
         INSERT INTO \"odd \"\"name\" VALUES (1, 'bad');
         CREATE VIEW seen AS SELECT v FROM pairs;",
    );
    for (job, cut, expected) in [
        (job("pairs"), Cut::Full, "SELECT \"b c\", \"a\" FROM \"pairs\" WHERE "),
        (job("shadow"), Cut::Full, "SELECT oid FROM \"shadow\" WHERE "),
        (job("shadows"), Cut::Full, "SELECT * FROM \"shadows\" WHERE "),
        (job("odd \"name"), Cut::Full, "SELECT \"id\" FROM \"odd \"\"name\" WHERE "),
        (job("seen"), Cut::Full, "SELECT * FROM \"seen\" WHERE "),
        (query("SELECT v FROM pairs"), Cut::Full, ""),
        (
            job("shadow"),
            Cut::Hash { columns: vec![], modulus: 1, remainder: 0 },
            "SELECT oid FROM \"shadow\" WHERE ",
        ),
    ] {
        let job = TableJob { filter: Some("v IS NOT NULL".to_owned()), ..job };
        let sql = search(&database.read(&job, cut).await.unwrap_err());
        let (select, conditions) = sql.split_at(expected.len());
        assert_eq!(select, expected);
        assert_eq!(
            conditions,
            "typeof(\"v\") = 'text' AND CAST(CAST(\"v\" AS INTEGER) AS TEXT) <> \"v\" AND (v IS NOT NULL)"
        );
        if !select.is_empty() {
            assert!(database.connection.prepare(&sql).unwrap().exists([]).unwrap(), "{sql}");
        }
    }
}

#[tokio::test]
async fn the_plan_warns_of_values_that_a_look_at_some_rows_finds() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, at DATETIME, n INT);
         INSERT INTO t VALUES (1, 1700000000, 1), (2, '2024-01-01', 2), (3, 5.5, 'x')",
    );
    let warnings = database.describe(&job("t")).await.unwrap().warnings;
    assert_eq!(
        warnings,
        [
            "column `at`: DATETIME does not hold 2 of 3 values looked at, such as a number: such a \
             value ends the run; `columns.at.type: INT64` holds it",
            "column `n`: INT64 does not hold 1 of 3 values looked at, such as text: such a value \
             ends the run; `columns.n.type: STRING` holds it",
        ]
    );
    let lenient = with(job("t"), "at", json!({"on_invalid": "null"}));
    let lenient = with(lenient, "n", json!({"type": "STRING"}));
    let warnings = database.describe(&lenient).await.unwrap().warnings;
    assert!(warnings[0].contains(": NULL is loaded instead; ") && warnings.len() == 1);
    let good = TableJob { filter: Some("id = 2".to_owned()), ..job("t") };
    assert!(database.describe(&good).await.unwrap().warnings.is_empty());
}
