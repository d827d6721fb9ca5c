use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Float64Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use serde_json::json;
use sluice_contracts::Kind;

use super::*;

/// Stores `value`, an SQL expression, in a column of type `declared`, and reads it as `target`.
async fn one(declared: &str, value: &str, asked: serde_json::Value) -> Result<RecordBatch> {
    let database = Database::new(&format!(
        "CREATE TABLE t (v {declared}); INSERT INTO t VALUES (NULL), ({value})"
    ));
    let job = if asked.is_null() { job("t") } else { with(job("t"), "v", asked) };
    let (mut batches, invalid) = database.read(&job, Cut::Full).await?;
    let batch = batches.pop().unwrap();
    assert!(batch.column(0).is_null(0));
    assert_eq!(batch.column(0).is_null(1), invalid == [1]);
    Ok(batch)
}

async fn refused(declared: &str, value: &str, asked: &str) -> String {
    let asked = if asked.is_empty() { json!(null) } else { json!({"type": asked}) };
    let error = one(declared, value, asked).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Data, "{declared} {value}");
    error.to_string()
}

macro_rules! reads {
    ($declared:expr, $value:expr, $asked:expr, $type:ty, $expected:expr) => {
        let asked = if $asked.is_empty() { json!(null) } else { json!({"type": $asked}) };
        let batch = one($declared, $value, asked).await.unwrap();
        let value = batch.column(0).as_primitive::<$type>().value(1);
        assert_eq!(format!("{value:?}"), format!("{:?}", $expected), "{}", $value);
    };
}

async fn text(declared: &str, value: &str, asked: &str) -> String {
    let asked = if asked.is_empty() { json!(null) } else { json!({"type": asked}) };
    one(declared, value, asked).await.unwrap().column(0).as_string::<i32>().value(1).to_owned()
}

#[tokio::test]
async fn numbers_fit_exactly() {
    reads!("INT", "-9223372036854775808", "", Int64Type, i64::MIN);
    reads!("INT", "3.0", "", Int64Type, 3);
    reads!("REAL", "9007199254740992", "INT64", Int64Type, 1_i64 << 53);
    reads!("TEXT", "'-12'", "INT64", Int64Type, -12);
    reads!("REAL", "0.1", "", Float64Type, 0.1);
    reads!("REAL", "9e999", "", Float64Type, f64::INFINITY);
    reads!("INT", "9007199254740992", "FLOAT64", Float64Type, 9_007_199_254_740_992.0);
    reads!("INT", "-9223372036854775808", "FLOAT64", Float64Type, -9_223_372_036_854_775_808.0);
    reads!("DECIMAL(12,2)", "'19.99'", "", Decimal128Type, 1999);
    reads!("DECIMAL(12,2)", "-7", "", Decimal128Type, -700);
    reads!("DECIMAL(12,2)", "1e3", "", Decimal128Type, 100_000);
    reads!(
        "TEXT",
        "'123456789012345678.123456789'",
        "NUMERIC",
        Decimal128Type,
        123_456_789_012_345_678_123_456_789_i128
    );
    let batch = one("decimal", "0.1", json!(null)).await.unwrap();
    let value = batch.column(0).as_primitive::<arrow_array::types::Decimal256Type>().value(1);
    assert_eq!(value.to_string(), format!("1{}", "0".repeat(37)));
    for (value, expected) in
        [("1", true), ("0", false), ("'TRUE'", true), ("'f'", false), ("1.0", true)]
    {
        let batch = one("bool", value, json!(null)).await.unwrap();
        assert_eq!(batch.column(0).as_boolean().value(1), expected, "{value}");
    }
}

#[tokio::test]
async fn numbers_that_would_be_bent_are_refused() {
    for (declared, value, asked) in [
        ("INT", "1.5", ""),
        ("INT", "9223372036854775808", ""),
        ("INT", "'x'", ""),
        ("INT", "x'00'", ""),
        ("REAL", "9007199254740994.0", "INT64"),
        ("INT", "9007199254740993", "FLOAT64"),
        ("INT", "9223372036854775807", "FLOAT64"),
        ("REAL", "'0.1x'", ""),
        ("REAL", "x'00'", ""),
        ("DECIMAL(12,2)", "1.005", ""),
        ("DECIMAL(4,2)", "100", ""),
        ("DECIMAL(4,2)", "'1,5'", ""),
        ("DECIMAL(4,2)", "9e999", ""),
        ("DECIMAL(4,2)", "x'31'", ""),
        ("BOOL", "2", ""),
        ("BOOL", "'yes'", ""),
        ("BOOL", "0.5", ""),
        ("BOOL", "x'31'", ""),
        ("TEXT", "'2'", "BOOL"),
        ("TEXT", "'1.5'", "INT64"),
        ("BLOB", "5", ""),
    ] {
        refused(declared, value, asked).await;
    }
}

#[tokio::test]
async fn text_is_utf8_and_numbers_have_their_shortest_text() {
    let odd = "e\u{301} \u{202e}שלום\u{1f469}\u{200d}\u{1f680}\u{0}end";
    let database = Database::new("CREATE TABLE t (v TEXT)");
    database.connection.execute("INSERT INTO t VALUES (?1)", [odd]).unwrap();
    let (batches, _) = database.read(&job("t"), Cut::Full).await.unwrap();
    assert_eq!(batches[0].column(0).as_string::<i32>().value(0), odd);

    assert_eq!(text("INT", "-9223372036854775808", "STRING").await, i64::MIN.to_string());
    assert_eq!(text("REAL", "0.1", "STRING").await, "0.1");
    assert_eq!(text("REAL", "3", "STRING").await, "3.0");
    assert_eq!(text("REAL", "1e300", "STRING").await, "1e300");
    assert_eq!(text("REAL", "-9e999", "STRING").await, "-Inf");
    assert_eq!(text("DECIMAL(4,2)", "0.30000000000000004", "STRING").await, "0.30000000000000004");
    assert_eq!(text("BLOB", "x'6162'", "STRING").await, "ab");
    assert_eq!(text("TEXT", "x'6162'", "STRING").await, "ab");
    // Eight bytes of a number in a text column are not meant as text.
    assert!(refused("TEXT", "x'0500000000000000'", "").await.contains("a blob"));
    assert!(refused("TEXT", "CAST(x'ff' AS TEXT)", "").await.contains("not UTF-8"));
    assert!(refused("BLOB", "x'ff'", "STRING").await.contains("not UTF-8"));
    let batch = one("BLOB", "x'00ff'", json!(null)).await.unwrap();
    assert_eq!(batch.column(0).as_binary::<i32>().value(1), [0, 255]);
}

#[tokio::test]
async fn json_is_verbatim_and_has_to_be_json() {
    let document = r#" {"a": [1.50, null, "é😀"], "a": {}} "#;
    assert_eq!(text("JSON", &format!("'{document}'"), "").await, document);
    assert_eq!(text("JSON", "'5'", "").await, "5");
    assert_eq!(text("JSON", "'1.5'", "").await, "1.5");
    let deep = format!("{}{}", "[".repeat(500), "]".repeat(500));
    assert_eq!(text("JSON", &format!("'{deep}'"), "").await, deep);
    for value in ["'{a: 1}'", "''", "'{} {}'", "x'7b7d'", "9e999"] {
        refused("JSON", value, "").await;
    }
}

#[tokio::test]
async fn moments_are_read_in_the_usual_spellings() {
    reads!("DATE", "'1970-01-02'", "", Date32Type, 1);
    reads!("DATE", "'1970-01-02 00:00:00.000'", "", Date32Type, 1);
    reads!("DATETIME", "'1970-01-02'", "", TimestampMicrosecondType, 86_400_000_000_i64);
    reads!("DATE", "'1970-01-02'", "TIMESTAMP", TimestampMicrosecondType, 86_400_000_000_i64);
    reads!("DATETIME", "2460310.5", "FLOAT64", Float64Type, 2_460_310.5);
    reads!("DATE", "1700000000", "INT64", Int64Type, 1_700_000_000);
    reads!("TIME", "'00:01'", "", Time64MicrosecondType, 60_000_000);
    reads!("DATETIME", "'1970-01-01T00:00:01.5'", "", TimestampMicrosecondType, 1_500_000);
    reads!("DATETIME", "'1969-12-31 23:59:59.999999'", "", TimestampMicrosecondType, -1);
    reads!("DATETIME", "'1970-01-01 01:00+01:00'", "TIMESTAMP", TimestampMicrosecondType, 0);
    reads!("TIMESTAMPTZ", "'1970-01-01 00:00:00Z'", "", TimestampMicrosecondType, 0);
    reads!("DATETIME", "1700000000", "INT64", Int64Type, 1_700_000_000);
    for (declared, value) in [
        ("DATE", "'2023-02-29'"),
        ("DATE", "'0000-01-01'"),
        ("DATE", "'2024-01-01 00:01'"),
        ("DATE", "'2024-01-01 00:00Z'"),
        ("DATE", "20240101"),
        ("DATE", "2460310.5"),
        ("TIME", "'24:00'"),
        ("TIME", "'00:00:00.0000001'"),
        ("DATETIME", "'1970-01-01 00:00:00Z'"),
        ("DATETIME", "1700000000"),
        ("DATETIME", "'infinity'"),
        ("TIMESTAMPTZ", "'9999-12-31 23:59:59-01'"),
    ] {
        refused(declared, value, "").await;
    }
}

#[tokio::test]
async fn an_invalid_value_is_named_without_being_shown() {
    let database = Database::new(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, v INT);
         INSERT INTO t VALUES (1, 1), (2, 'se' || 'cret'), (3, 'x')",
    );
    let error = database.read(&job("t"), Cut::Full).await.unwrap_err();
    assert_eq!(
        message(&error),
        "read unit 3 of `t`: column `v`, row 2 of the unit: INT64 cannot hold text | find it with \
         `SELECT \"id\" FROM \"t\" WHERE typeof(\"v\") = 'text' AND CAST(CAST(\"v\" AS INTEGER) AS \
         TEXT) <> \"v\"`; or set `columns.v.on_invalid` to `null`, or `columns.v.type` to `STRING`"
    );
    let lenient = with(job("t"), "v", json!({"on_invalid": "null"}));
    let (batches, invalid) = database.read(&lenient, Cut::Full).await.unwrap();
    assert_eq!((rows(&batches), invalid), (3, vec![0, 2]));
    assert_eq!(batches[0].column(1).null_count(), 2);
    let strings = with(job("t"), "v", json!({"type": "STRING"}));
    let (batches, _) = database.read(&strings, Cut::Full).await.unwrap();
    assert_eq!(batches[0].column(1).as_string::<i32>().value(1), "secret");
}
