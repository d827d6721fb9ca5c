use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int64Type};
use serde_json::json;

use super::*;

fn types(described: &Description) -> Vec<(&str, &str)> {
    described.columns.iter().map(|c| (c.name.as_str(), c.target_type.name())).collect()
}

#[tokio::test]
async fn columns_as_frameworks_declare_them() {
    // Django, SQLAlchemy, Rails, Laravel and Hibernate, Entity Framework and Prisma.
    let database = Database::new(
        "CREATE TABLE django (id integer PRIMARY KEY AUTOINCREMENT, uid char(32), n integer unsigned,
           big bigint, slug varchar(50), amount decimal, ok bool, at datetime, d date, t time, f real,
           b BLOB, j text);
         CREATE TABLE sqlalchemy (id INTEGER, uid CHAR(32), n BIGINT, amount NUMERIC(10, 2), f FLOAT,
           dp DOUBLE_PRECISION, ok BOOLEAN, at DATETIME, d DATE, s VARCHAR(20), u NVARCHAR(3), j JSON);
         CREATE TABLE rails (id integer, n integer(8), s varchar, amount decimal(10,2), f float,
           at datetime(6), t time(6), ok boolean, j json, b blob);
         CREATE TABLE others (ok tinyint(1), n mediumint unsigned, f double(8,2), at timestamp,
           tz timestamp with time zone, c clob, amount numeric(19,2), g uniqueidentifier, o JSONB,
           geom POINT, img longblob);",
    );
    let described = database.describe(&job("django")).await.unwrap();
    let of = |described: &Description| {
        let types: Vec<&str> = described.columns.iter().map(|c| c.target_type.name()).collect();
        types.join(" ")
    };
    assert_eq!(
        of(&described),
        "INT64 STRING INT64 INT64 STRING BIGNUMERIC BOOL DATETIME DATE TIME FLOAT64 BYTES STRING"
    );
    assert_eq!(
        of(&database.describe(&job("sqlalchemy")).await.unwrap()),
        "INT64 STRING INT64 NUMERIC FLOAT64 FLOAT64 BOOL DATETIME DATE STRING STRING JSON"
    );
    assert_eq!(
        of(&database.describe(&job("rails")).await.unwrap()),
        "INT64 INT64 STRING NUMERIC FLOAT64 DATETIME TIME BOOL JSON BYTES"
    );
    assert_eq!(
        of(&database.describe(&job("others")).await.unwrap()),
        "INT64 INT64 FLOAT64 DATETIME TIMESTAMP STRING NUMERIC STRING JSON BYTES BYTES"
    );
}

#[tokio::test]
async fn a_strict_table_holds_what_it_declares() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, n INT, f REAL, s TEXT, b BLOB, a ANY,
           v INT GENERATED ALWAYS AS (n + 1) VIRTUAL, w REAL AS (f * 2) STORED) STRICT;
         INSERT INTO t (n, f, s, b, a) VALUES (1, 2, 'x', x'00', '007'), (NULL, 0.5, '', x'', 7);",
    );
    let error = database.describe(&job("t")).await.unwrap_err();
    assert!(
        message(&error).contains("column `a` has declared type `ANY`, which is not known | set")
    );
    let job = with(job("t"), "a", json!({"type": "STRING"}));
    let described = database.describe(&job).await.unwrap();
    let risky: Vec<(&str, &str)> = described
        .columns
        .iter()
        .filter_map(|c| Some((c.name.as_str(), c.invalid.as_deref()?)))
        .collect();
    assert_eq!(
        risky,
        [("s", "text that is not UTF-8"), ("a", "text and blobs that are not UTF-8")]
    );
    let (batches, _) = database.read(&job, Cut::Full).await.unwrap();
    let column = |place: usize| batches[0].column(place);
    assert_eq!(column(2).as_primitive::<Float64Type>().values(), &[2.0, 0.5]);
    assert_eq!(column(5).as_string::<i32>().iter().collect::<Vec<_>>(), [Some("007"), Some("7")]);
    assert_eq!(column(6).as_primitive::<Int64Type>().value(0), 2);
    assert!(column(6).is_null(1));
    assert_eq!(column(7).as_primitive::<Float64Type>().values(), &[4.0, 1.0]);
}

#[tokio::test]
async fn a_strict_table_checks_its_generated_columns_too() {
    let database = Database::new(
        "CREATE TABLE t (s TEXT, n INT AS (s) STORED, v INT AS (s) VIRTUAL) STRICT;
         INSERT INTO t VALUES ('5');",
    );
    for insert in ["INSERT INTO t VALUES ('x')", "INSERT INTO t VALUES ('1.5')"] {
        assert!(database.connection.execute(insert, []).is_err());
    }
    let (batches, _) = database.read(&job("t"), Cut::Full).await.unwrap();
    assert_eq!(batches[0].column(2).as_primitive::<Int64Type>().value(0), 5);
}

#[tokio::test]
async fn what_a_view_computes_has_a_type_only_where_it_is_cast() {
    let database = Database::new(
        "CREATE TABLE t (n INT, s TEXT); INSERT INTO t VALUES (1, 'a'), (2, 'b');
         CREATE VIEW bare AS SELECT n + 1 AS next FROM t;
         CREATE VIEW typed AS SELECT n, CAST(n + 1 AS INTEGER) AS next, CAST(s AS TEXT) AS s FROM t;",
    );
    let error = database.describe(&job("bare")).await.unwrap_err();
    let told = message(&error);
    assert!(told.starts_with("describe view `bare`: column `next` has "), "{told}");
    assert!(told.ends_with("or write `CAST(... AS ...)` where it is selected"), "{told}");
    let described = database.describe(&job("typed")).await.unwrap();
    assert_eq!(types(&described), [("n", "INT64"), ("next", "INT64"), ("s", "STRING")]);
    let (batches, _) = database.read(&job("typed"), Cut::Full).await.unwrap();
    assert_eq!(batches[0].column(1).as_primitive::<Int64Type>().values(), &[2, 3]);
}

#[tokio::test]
async fn names_are_quoted_whatever_they_are() {
    let database = Database::new(
        "CREATE TABLE \"select \"\"x\"\"\" (\"a\"\"b\" INT, [from] TEXT, \"größe\" REAL, \"\" INT, \"1st\" INT);
         INSERT INTO \"select \"\"x\"\"\" VALUES (1, 'x', 0.5, 2, 3)",
    );
    let job = job("select \"x\"");
    let described = database.describe(&job).await.unwrap();
    let names: Vec<&str> = described.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, ["a_b", "from", "gr__e", "_", "_1st"]);
    let (batches, _) = database.read(&job, Cut::Full).await.unwrap();
    assert_eq!(batches[0].column(0).as_primitive::<Int64Type>().value(0), 1);
    assert_eq!(batches[0].column(2).as_primitive::<Float64Type>().values(), &[0.5]);
    assert_eq!(batches[0].column(3).as_primitive::<Int64Type>().value(0), 2);
    assert_eq!(batches[0].column(4).as_primitive::<Int64Type>().value(0), 3);
}

#[tokio::test]
async fn a_database_of_utf_16_reads_as_one_of_utf_8() {
    let database = Database::new(
        "PRAGMA encoding = 'UTF-16be'; CREATE TABLE t (s TEXT, d DATE);
         INSERT INTO t VALUES ('größe 🚀', '2024-02-29')",
    );
    let (batches, _) = database.read(&job("t"), Cut::Full).await.unwrap();
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), "größe 🚀");
    assert!(batches[0].column(1).is_valid(0));
}
