use std::collections::BTreeMap;

use arrow_array::cast::AsArray as _;
use arrow_array::types::Int64Type;
use proptest::prelude::*;
use rusqlite::types::Value;
use serde_json::json;
use sluice_contracts::documents::KeyType;

use super::*;

/// How often each row is read, by its number, when every cut is read once.
async fn covered(database: &Database, job: &TableJob, cuts: &[Cut]) -> BTreeMap<i64, u32> {
    let table = planned(job, database.describe(job).await.unwrap());
    let mut reader = database.reader().await;
    let mut seen = BTreeMap::new();
    for cut in cuts {
        let unit = unit(cut.clone());
        let mut batches = reader.read(&table, &unit).await.unwrap();
        for batch in drain(&mut *batches).await.unwrap() {
            for number in batch.column(0).as_primitive::<Int64Type>().values() {
                *seen.entry(*number).or_default() += 1;
            }
        }
    }
    seen
}

/// Half-open ranges between the edges, open at both ends, and one for NULL.
fn ranges(column: &str, key: KeyType, mut edges: Vec<i64>) -> Vec<Cut> {
    edges.sort_unstable();
    let edges: Vec<Option<i64>> =
        [None].into_iter().chain(edges.into_iter().map(Some)).chain([None]).collect();
    let range = |pair: &[Option<i64>]| Cut::Range {
        column: column.to_owned(),
        key,
        lo: pair[0],
        hi: pair[1],
    };
    let mut cuts: Vec<Cut> = edges.windows(2).map(range).collect();
    cuts.push(Cut::Null { column: column.to_owned() });
    cuts
}

fn stored() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::Integer),
        (-3..4_i64).prop_map(Value::Integer),
        prop_oneof![Just(i64::MIN), Just(i64::MAX)].prop_map(Value::Integer),
        any::<f64>().prop_map(Value::Real),
        (-3.0..4.0_f64).prop_map(Value::Real),
        "[0-9:T. -]{0,12}".prop_map(Value::Text),
        "\\PC{0,4}".prop_map(Value::Text),
        prop::sample::select(vec![
            "1970-01-01",
            "1970-01-01 00:00:00",
            "1970-01-01T00:00:00",
            "1970-01-01 00:00:00.000001",
            "1969-12-31 23:59:59.999999",
            "2024-03-05T10:00:00Z",
            "9999-12-31",
            "0001-01-01",
            "",
            "1970-01-01 00:00:00 ",
            "2024",
            "zzz",
        ])
        .prop_map(|text| Value::Text(text.to_owned())),
        prop::collection::vec(any::<u8>(), 0..4).prop_map(Value::Blob),
    ]
}

fn edge() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        -3..4_i64,
        Just(i64::MIN),
        Just(i64::MAX),
        Just(1_709_632_800_000_000),
        Just(86_400_000_000),
    ]
}

/// Every way in which a key column may be declared, with what its bounds count.
const DECLARED: &[(&str, KeyType)] = &[
    ("INTEGER", KeyType::Integer),
    ("BIGINT UNSIGNED", KeyType::Integer),
    ("DATE", KeyType::Date),
    ("DATETIME", KeyType::Timestamp),
    ("DATETIME COLLATE NOCASE", KeyType::Timestamp),
    ("TIMESTAMP COLLATE RTRIM", KeyType::Timestamp),
    ("TIMESTAMPTZ", KeyType::Timestamptz),
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For every stored value of a column, and every declaration of it.
    #[test]
    fn every_row_is_in_exactly_one_unit(
        values in prop::collection::vec(stored(), 0..60),
        edges in prop::collection::vec(edge(), 0..8),
        columns in prop::sample::select(vec![vec![], vec!["k".to_owned()], vec!["id".to_owned()]]),
        modulus in 1_u32..6,
        spelled in any::<bool>(),
    ) {
        let database = Database::new("");
        for (declared, key) in DECLARED {
            database.connection.execute_batch(&format!(
                "DROP VIEW IF EXISTS v; DROP TABLE IF EXISTS t;
                 CREATE TABLE t (id INTEGER PRIMARY KEY, k {declared}); CREATE INDEX i ON t (k);
                 CREATE VIEW v AS SELECT id, k FROM t WHERE id % 2
                   UNION ALL SELECT id, k FROM t WHERE NOT id % 2;"
            )).unwrap();
            for value in &values {
                database.connection.execute("INSERT INTO t (k) VALUES (?1)", [value]).unwrap();
            }
            if spelled {
                let sql = "INSERT INTO t (k) VALUES ('2024-01-01T00:00:00')";
                database.connection.execute_batch(sql).unwrap();
            }
            let rows: i64 = database.connection
                .query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let hashes: Vec<Cut> = (0..modulus)
                .map(|remainder| Cut::Hash { columns: columns.clone(), modulus, remainder })
                .collect();
            let ranges = ranges("k", *key, edges.clone());
            let lenient = |job| with(job, "k", json!({"on_invalid": "null"}));
            let jobs = [job("t"), job("v"), query("SELECT * FROM t")].map(lenient);
            for (job, cuts) in jobs.iter().flat_map(|job| [(job, &ranges), (job, &hashes)]) {
                let seen = runtime.block_on(covered(&database, job, cuts));
                prop_assert_eq!(i64::try_from(seen.len()).unwrap(), rows, "{}", declared);
                prop_assert!(seen.values().all(|times| *times == 1), "{}: {:?}", declared, seen);
            }
        }
    }
}

#[tokio::test]
async fn ranges_and_filters_hold_together() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k INT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 100)
         INSERT INTO t SELECT i, nullif(i, 50) FROM n;",
    );
    let filtered = TableJob { filter: Some("id > 10 OR id = 1 -- mine".into()), ..job("t") };
    let seen = covered(&database, &filtered, &ranges("k", KeyType::Integer, vec![20, 60])).await;
    assert_eq!(seen.len(), 91);
    let (batches, _) = database
        .read(
            &filtered,
            Cut::Range { column: "k".into(), key: KeyType::Integer, lo: Some(5), hi: Some(13) },
        )
        .await
        .unwrap();
    assert_eq!(rows(&batches), 2);
    let pages = database.read(&job("t"), Cut::Blocks { lo: 0, hi: None }).await.unwrap_err();
    assert_eq!(pages.kind(), sluice_contracts::Kind::Invalid);
}

#[tokio::test]
async fn units_of_a_column_spelled_with_t_are_cut_within_the_day() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, k DATETIME); CREATE INDEX i ON t (k);
         WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n LIMIT 24)
         INSERT INTO t (k) SELECT printf('2024-01-01T%02d:00:00', i) FROM n;",
    );
    let job = job("t");
    let mut survey = database.source().survey("test").await.unwrap();
    assert_eq!(survey.describe(&job).await.unwrap().columns[1].encoding, "datetime_t");
    let noon = 1_704_110_400_000_000;
    let cut = Cut::Range { column: "k".into(), key: KeyType::Timestamp, lo: None, hi: Some(noon) };
    assert_eq!(survey.predicate(&cut).unwrap(), "\"k\" < '2024-01-01T12:00:00'");
    assert_eq!(rows(&database.read(&job, cut).await.unwrap().0), 12);
}
