use serde_json::json;
use sluice_contracts::documents::KeyType;

use super::*;
use crate::description::{Distribution, Key};

const NUMBERS: &str = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 20000)";

async fn distribution(database: &Database, job: &TableJob, column: &str) -> Option<Distribution> {
    let mut survey = database.source().survey("test").await.unwrap();
    let described = survey.describe(job).await.unwrap();
    let key: &Key = described.keys.iter().find(|key| key.column == column).unwrap();
    let found = survey.distribution(job, &described.pieces[0], key).await.unwrap()?;
    assert!(found.spans.iter().all(|span| span.lo <= span.hi && span.rows >= 0.0));
    assert!(found.spans.windows(2).all(|pair| pair[0].hi < pair[1].lo), "{found:?}");
    Some(found)
}

/// Expected rows with a key below `edge`.
fn below(found: &Distribution, edge: i64) -> f64 {
    found.spans.iter().filter(|span| span.hi < edge).map(|span| span.rows).sum()
}

fn near(estimate: f64, rows: f64, tolerance: f64) {
    assert!((estimate - rows).abs() <= tolerance, "{estimate} instead of {rows}");
}

#[expect(clippy::cast_precision_loss, reason = "small tables")]
async fn estimated(database: &Database, job: &TableJob) -> f64 {
    database.describe(job).await.unwrap().rows() as f64
}

#[tokio::test]
async fn rows_are_estimated_from_the_rows_numbers() {
    let database = Database::new(&format!(
        "CREATE TABLE gaps (id INTEGER PRIMARY KEY, v TEXT);
         {NUMBERS} INSERT INTO gaps SELECT i * 10 + i / 10000 * 1000000000000, 'abcdefgh' FROM n;
         CREATE TABLE ends (id INTEGER PRIMARY KEY);
         INSERT INTO ends VALUES (-9223372036854775808), (0), (9223372036854775807);
         CREATE TABLE empty (id INTEGER PRIMARY KEY);
         CREATE TABLE pairs (a INT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID;
         {NUMBERS} INSERT INTO pairs SELECT i / 7, i FROM n;"
    ));
    near(estimated(&database, &job("gaps")).await, 20_000.0, 200.0);
    near(estimated(&database, &job("ends")).await, 3.0, 0.0);
    near(estimated(&database, &job("empty")).await, 0.0, 0.0);
    let described = database.describe(&job("gaps")).await.unwrap();
    assert_eq!(described.bytes(), described.rows() * 16);
    let third = TableJob { filter: Some("id % 3 = 0".into()), ..job("gaps") };
    near(estimated(&database, &third).await, 6_666.0, 3_000.0);

    database.connection.execute_batch("ANALYZE").unwrap();
    near(estimated(&database, &job("gaps")).await, 20_000.0, 0.0);
    near(estimated(&database, &job("pairs")).await, 20_000.0, 0.0);
    // Wrong statistics are detected.
    let lie = "UPDATE sqlite_stat1 SET stat = '20000000 1' WHERE tbl = 'gaps'";
    database.connection.execute_batch(lie).unwrap();
    near(estimated(&database, &job("gaps")).await, 20_000.0, 200.0);
}

#[tokio::test]
async fn an_index_shows_where_its_keys_lie() {
    let database = Database::new(&format!(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, squared INT, few INT, at DATETIME, day DATE, same INT);
         {NUMBERS} INSERT INTO t SELECT i, i * i, CASE i % 4 WHEN 3 THEN NULL ELSE i % 4 END,
           strftime('%Y-%m-%dT%H:%M:%S', 1700000000 + i * 60, 'unixepoch'),
           date(1700000000 + i * 4320, 'unixepoch'), 7 FROM n;
         CREATE INDEX i1 ON t (squared); CREATE INDEX i2 ON t (few); CREATE INDEX i3 ON t (at);
         CREATE INDEX i4 ON t (day, id); CREATE INDEX i5 ON t (same);"
    ));
    let found = distribution(&database, &job("t"), "squared").await.unwrap();
    near(below(&found, 100_000_000), 10_000.0, 500.0);
    let found = distribution(&database, &job("t"), "few").await.unwrap();
    near(found.nulls, 5_000.0, 50.0);
    assert_eq!(found.spans.len(), 3);
    near(found.spans[1].rows, 5_000.0, 50.0);
    let found = distribution(&database, &job("t"), "at").await.unwrap();
    near(below(&found, (1_700_000_000 + 600_000) * 1_000_000), 10_000.0, 300.0);
    let found = distribution(&database, &job("t"), "day").await.unwrap();
    near(below(&found, 19_675 + 500), 10_000.0, 300.0);
    let found = distribution(&database, &job("t"), "same").await.unwrap();
    assert_eq!((found.spans.len(), found.spans[0].lo, found.spans[0].hi), (1, 7, 7));
    near(found.spans[0].rows, 20_000.0, 200.0);
    let found = distribution(&database, &job("t"), "id").await.unwrap();
    near(below(&found, 5_000), 5_000.0, 100.0);
}

#[tokio::test]
async fn without_an_index_a_few_rows_stand_for_all() {
    let database = Database::new(&format!(
        "CREATE TABLE t (v TEXT, squared INT, rowid TEXT);
         {NUMBERS} INSERT INTO t SELECT 'x', CASE i % 5 WHEN 0 THEN NULL ELSE i * i END, '' FROM n;
         CREATE VIEW seen AS SELECT squared FROM t;"
    ));
    let found = distribution(&database, &job("t"), "squared").await.unwrap();
    near(below(&found, 100_000_000), 8_000.0, 1_000.0);
    near(found.nulls, 4_000.0, 1_000.0);
    let late = TableJob { filter: Some("squared >= 100000000".into()), ..job("t") };
    let found = distribution(&database, &late, "squared").await.unwrap();
    near(below(&found, 100_000_000), 0.0, 0.0);
    assert!(distribution(&database, &job("seen"), "squared").await.is_none());
}

#[tokio::test]
async fn whatever_is_stored_planning_does_not_fail() {
    let database = Database::new(
        "CREATE TABLE t (id INT PRIMARY KEY, at DATETIME, day DATE COLLATE NOCASE, k INT);
         CREATE INDEX i1 ON t (at DESC); CREATE INDEX i2 ON t (day); CREATE INDEX i3 ON t (k);
         INSERT INTO t VALUES (1, 'zzz', x'00', 9e18), (2, 5, '2024-99-99', 'x'),
           (3, '2024-01-01', '2024-01-01T00:00', 9223372036854775807), (NULL, NULL, '', -9e99),
           (5, '9999-12-31 23:59:59.999999', '0001-01-01', -9223372036854775808);
         CREATE TABLE wr (at DATETIME, n INT, PRIMARY KEY (at, n)) WITHOUT ROWID;
         INSERT INTO wr VALUES ('2024-01-01 10:00:00', 1), ('x', 2), (4, 4);",
    );
    for (table, columns) in [("t", &["id", "at", "day", "k"][..]), ("wr", &["at", "n"])] {
        for column in columns {
            distribution(&database, &job(table), column).await;
        }
    }
    let key = Key {
        column: "k".into(),
        key_type: KeyType::Date,
        indexed: true,
        primary: false,
        nullable: true,
        correlation: None,
    };
    let mut survey = database.source().survey("test").await.unwrap();
    let lenient = with(job("t"), "k", json!({"on_invalid": "null"}));
    let piece = survey.describe(&lenient).await.unwrap().pieces.remove(0);
    survey.distribution(&lenient, &piece, &key).await.unwrap();
}
