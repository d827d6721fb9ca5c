use std::fmt::Write as _;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;

use super::*;

/// As many columns as a table of SQLite can have.
const COLUMNS: usize = 2_000;

/// `t` has row numbers and `w` has none. Column `c1` holds the numbers 1 to 500, the last column
/// holds days.
fn wide() -> Database {
    let mut columns = String::new();
    for column in 2..COLUMNS {
        let _ = write!(columns, "c{column} INT, ");
    }
    Database::new(&format!(
        "CREATE TABLE t (c1 INT, {columns} at DATETIME);
         CREATE TABLE w (c1 INTEGER PRIMARY KEY, {columns} at DATETIME) WITHOUT ROWID;
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 500)
         INSERT INTO t (c1, at) SELECT i, '2024-01-01T10:00:00' FROM n;
         INSERT INTO w SELECT * FROM t;"
    ))
}

#[tokio::test]
async fn a_table_with_the_most_columns_is_described() {
    let database = wide();
    for table in ["t", "w"] {
        let described = database.describe(&job(table)).await.unwrap();
        assert_eq!(described.columns.len(), COLUMNS);
        assert_eq!(described.columns[COLUMNS - 1].encoding, "datetime_t", "{table}");
        // 1,998 NULL, a number and a text.
        assert_eq!(described.bytes(), described.rows() * (1_998 + 8 + 19), "{table}");
    }
    let half = TableJob { filter: Some("c1 % 2".to_owned()), ..job("t") };
    let rows = database.describe(&half).await.unwrap().rows();
    assert!((150..350).contains(&rows), "{rows}");
    let misfit = "UPDATE t SET at = 'x'";
    database.connection.execute_batch(misfit).unwrap();
    let warnings = database.describe(&job("t")).await.unwrap().warnings;
    assert!(warnings.iter().any(|warning| warning.starts_with("column `at`: ")), "{warnings:?}");
}

#[tokio::test]
async fn a_table_with_the_most_columns_is_read_by_the_hash_of_all() {
    let database = wide();
    for job in [job("t"), job("w"), query("SELECT * FROM t")] {
        let mut seen = Vec::new();
        for remainder in 0..3 {
            let cut = Cut::Hash { columns: vec![], modulus: 3, remainder };
            let (batches, _) = database.read(&job, cut).await.unwrap();
            assert!((100..250).contains(&rows(&batches)), "{}", rows(&batches));
            for batch in batches {
                assert_eq!(batch.num_columns(), COLUMNS);
                seen.extend_from_slice(batch.column(0).as_primitive::<Int64Type>().values());
            }
        }
        seen.sort_unstable();
        assert!(seen.iter().copied().eq(1..=500), "{}", job.relation);
    }
}
