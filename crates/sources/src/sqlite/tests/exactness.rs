//! Generated values of every storage class in columns of every declared type: what is read back is
//! the value that SQLite itself says it holds, or NULL and counted.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, DecimalType, Float64Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array as _, ArrayRef};
use chrono::DateTime;
use proptest::prelude::*;
use proptest::string::string_regex;
use rusqlite::types::Value;
use serde_json::json;
use sluice_contracts::documents::{Column, TargetType};

use super::*;

/// Declared types and what the job asks for, if it does.
const COLUMNS: &[(&str, &str)] = &[
    ("INTEGER", ""),
    ("INTEGER", "FLOAT64"),
    ("INTEGER", "NUMERIC"),
    ("REAL", ""),
    ("REAL", "INT64"),
    ("DECIMAL(12,2)", ""),
    ("DECIMAL", ""),
    ("BOOLEAN", ""),
    ("TEXT", ""),
    ("TEXT", "STRING"),
    ("TEXT", "INT64"),
    ("TEXT", "BIGNUMERIC"),
    ("BLOB", ""),
    ("JSON", ""),
    ("DATE", ""),
    ("TIME", ""),
    ("DATETIME", ""),
    ("TIMESTAMPTZ", ""),
    ("", "STRING"),
    ("", "BYTES"),
];

fn value() -> impl Strategy<Value = Value> {
    let digits = "[+-]?[0-9]{0,25}(\\.[0-9]{0,12})?(e[+-]?[0-9]{1,3})?";
    let days = "(0001|1969|2024|9999)-(01|02|12)-(01|29|31)";
    let clock = "([01][0-9]|23|24):[0-5][0-9](:[0-5][0-9](\\.[0-9]{1,8})?)?";
    // SQLite, whose answer is compared, accepts no other offsets.
    let zone = "(Z|[+-](0[0-9]|1[0-3]):[0-5][0-9])?";
    prop_oneof![
        4 => any::<i64>().prop_map(Value::Integer),
        2 => (-130_i64..130).prop_map(Value::Integer),
        2 => ((1_i64 << 53) - 3..(1_i64 << 53) + 3).prop_map(Value::Integer),
        1 => prop::sample::select(vec![i64::MIN, i64::MAX]).prop_map(Value::Integer),
        4 => any::<u64>().prop_map(|bits| Value::Real(f64::from_bits(bits))),
        2 => (-100_000_i32..100_000).prop_map(|cents| Value::Real(f64::from(cents) / 100.0)),
        1 => prop::sample::select(vec![f64::INFINITY, f64::NEG_INFINITY, -0.0, 9_007_199_254_740_994.0])
            .prop_map(Value::Real),
        3 => digits.prop_map(Value::Text),
        2 => days.prop_map(Value::Text),
        2 => clock.prop_map(Value::Text),
        3 => string_regex(&format!("{days}[ T]{clock}{zone}")).unwrap().prop_map(Value::Text),
        2 => any::<String>().prop_map(Value::Text),
        1 => "(true|FALSE|t|[01]|\\[[0-9]{1,30}\\]|\\{\"a\": 1\\.50\\}|null)".prop_map(Value::Text),
        2 => prop::collection::vec(any::<u8>(), 0..12).prop_map(Value::Blob),
        1 => "[a-zé]{0,8}".prop_map(|text| Value::Blob(text.into_bytes())),
        1 => Just(Value::Null),
    ]
}

/// What SQLite says of a stored value.
struct Stored {
    class: String,
    quoted: String,
    value: Value,
    /// Its day and time to the second, where SQLite takes it for one.
    datetime: Option<String>,
}

fn stored(database: &Database) -> Vec<Stored> {
    let sql =
        "SELECT typeof(v), quote(v), v, CASE typeof(v) WHEN 'text' THEN datetime(v) END FROM t";
    let mut statement = database.connection.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| {
        let (class, quoted, value, datetime) = (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
        Ok(Stored { class, quoted, value, datetime })
    });
    rows.unwrap().map(rusqlite::Result::unwrap).collect()
}

/// A decimal as text.
fn decimal(column: &Column, array: &ArrayRef, row: usize) -> String {
    let digits = column.decimal.unwrap();
    let scale = i8::try_from(digits.scale).unwrap();
    if digits.precision <= 38 {
        let value = array.as_primitive::<Decimal128Type>().value(row);
        Decimal128Type::format_decimal(value, digits.precision, scale)
    } else {
        let value = array.as_primitive::<Decimal256Type>().value(row);
        Decimal256Type::format_decimal(value, digits.precision, scale)
    }
}

/// A decimal without the zeros and signs that change nothing, and without an exponent.
fn plain(text: &str) -> String {
    let (text, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let negative = text.starts_with('-');
    let text = text.trim_start_matches(['+', '-']);
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let exponent: i64 = exponent.parse().unwrap();
    let digits = format!("{whole}{fraction}");
    let zeros = digits.len() - digits.trim_start_matches('0').len();
    let significant = digits.trim_matches('0');
    let point = i64::try_from(whole.len()).unwrap() - i64::try_from(zeros).unwrap() + exponent;
    match significant {
        "" => "0".to_owned(),
        _ => format!("{}0.{significant}e{point}", if negative { "-" } else { "" }),
    }
}

/// Whether what was read is what SQLite holds. An error says what differs.
fn same(
    column: &Column,
    array: &ArrayRef,
    row: usize,
    stored: &Stored,
) -> std::result::Result<(), String> {
    let expect = |right: bool| {
        let wrong =
            || format!("{} ({}) read as {:?}", stored.quoted, stored.class, array.slice(row, 1));
        right.then_some(()).ok_or_else(wrong)
    };
    let seconds = |micros: i64| {
        DateTime::from_timestamp_micros(micros).unwrap().format("%Y-%m-%d %H:%M:%S").to_string()
    };
    match (column.target_type, &stored.value) {
        (TargetType::Int64, value) => {
            let read = array.as_primitive::<Int64Type>().value(row);
            expect(match value {
                Value::Real(_) => {
                    read.abs() <= 1 << 53 && same_double(&read.to_string(), &stored.quoted)
                }
                Value::Text(text) => plain(text) == plain(&read.to_string()),
                _ => stored.quoted == read.to_string(),
            })
        }
        (TargetType::Float64, value) => {
            let read = array.as_primitive::<Float64Type>().value(row);
            expect(match value {
                Value::Integer(_) => format!("{read:.0}") == stored.quoted,
                Value::Real(value) => read.to_bits() == value.to_bits(),
                _ => false,
            })
        }
        (TargetType::Numeric | TargetType::Bignumeric, value) => {
            let read = decimal(column, array, row);
            expect(match value {
                Value::Real(_) => same_double(&read, &stored.quoted),
                Value::Text(text) => plain(&read) == plain(text),
                _ => plain(&read) == plain(&stored.quoted),
            })
        }
        (TargetType::Bool, value) => {
            let read = array.as_boolean().value(row);
            expect(match value {
                Value::Integer(value) => *value == i64::from(read),
                Value::Text(text) => "true".starts_with(&text.to_lowercase()) == read,
                _ => false,
            })
        }
        (TargetType::String | TargetType::Json, value) => {
            let read = array.as_string::<i32>().value(row);
            if column.target_type == TargetType::Json {
                expect(serde_json::from_str::<serde::de::IgnoredAny>(read).is_ok())?;
            }
            expect(match value {
                Value::Text(text) => text == read,
                Value::Integer(_) => stored.quoted == read,
                Value::Real(value) => read.parse::<f64>().unwrap().to_bits() == value.to_bits(),
                Value::Blob(bytes) => column.encoding == "untyped" && bytes == read.as_bytes(),
                Value::Null => false,
            })
        }
        (TargetType::Bytes, value) => {
            let read = array.as_binary::<i32>().value(row);
            expect(match value {
                Value::Text(text) => text.as_bytes() == read,
                Value::Blob(bytes) => bytes == read,
                _ => false,
            })
        }
        (TargetType::Date, Value::Text(text)) => {
            let read = i64::from(array.as_primitive::<Date32Type>().value(row)) * 86_400_000_000;
            expect(seconds(read).starts_with(&text[..10]) && stored.datetime == Some(seconds(read)))
        }
        (TargetType::Time, Value::Text(text)) => {
            let read = array.as_primitive::<Time64MicrosecondType>().value(row);
            let clock = seconds(read).split_off(11);
            expect(text.starts_with(&clock[..5]) && fraction(text) == read % 1_000_000)
        }
        (TargetType::Datetime | TargetType::Timestamp, Value::Text(text)) => {
            let read = array.as_primitive::<TimestampMicrosecondType>().value(row);
            // SQLite rounds what it prints to the millisecond, so the second is asked alone.
            let whole = seconds(read - read.rem_euclid(1_000_000));
            let asked = stored.datetime.clone();
            expect(asked == Some(whole) && fraction(text) == read.rem_euclid(1_000_000))
        }
        _ => expect(false),
    }
}

/// Whether two texts mean the same double. There is no difference between the zeros.
fn same_double(one: &str, other: &str) -> bool {
    let bits = |text: &str| (text.parse::<f64>().unwrap() + 0.0).to_bits();
    bits(one) == bits(other)
}

/// The digits after the point, as microseconds.
fn fraction(text: &str) -> i64 {
    let Some((_, rest)) = text.split_once('.') else { return 0 };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    format!("{digits:0<6}")[..6].parse().unwrap()
}

/// Whether a value is of the class that the column is for, so that refusing it would be wrong.
fn fits(column: &Column, value: &Value) -> bool {
    match (column.encoding.as_str(), column.target_type, value) {
        ("integer", TargetType::Int64 | TargetType::Numeric, Value::Integer(_))
        | ("real", TargetType::Float64, Value::Real(_))
        | (
            "text" | "untyped",
            TargetType::String,
            Value::Text(_) | Value::Integer(_) | Value::Real(_),
        )
        | ("blob" | "untyped", TargetType::Bytes, Value::Blob(_) | Value::Text(_))
        | ("json", TargetType::Json, Value::Integer(_))
        | ("boolean", TargetType::Bool, Value::Integer(0 | 1)) => true,
        ("decimal", TargetType::Numeric, Value::Real(value)) => {
            let cents = value * 100.0;
            cents.abs() < 1e12 && (cents.round() / 100.0).to_bits() == value.to_bits()
        }
        _ => false,
    }
}

async fn check(
    declared: &str,
    asked: &str,
    values: &[Value],
) -> std::result::Result<(usize, u64), String> {
    let database = Database::new(&format!("CREATE TABLE t (v {declared})"));
    for value in values {
        database.connection.execute("INSERT INTO t VALUES (?1)", [value]).unwrap();
    }
    let settings = match asked {
        "" => json!({"on_invalid": "null"}),
        asked => json!({"on_invalid": "null", "type": asked}),
    };
    let job = with(job("t"), "v", settings);
    let column = database.describe(&job).await.unwrap().columns.remove(0);
    let (batches, counted) = database.read(&job, Cut::Full).await.unwrap();
    let array = batches[0].column(0);
    let mut refused = 0;
    for (row, stored) in stored(&database).iter().enumerate() {
        if stored.value == Value::Null {
            assert!(array.is_null(row));
        } else if array.is_null(row) {
            refused += 1;
            if fits(&column, &stored.value) {
                return Err(format!("{} ({}) was refused", stored.quoted, stored.class));
            }
        } else {
            same(&column, array, row, stored)?;
        }
    }
    assert_eq!(counted, [refused]);
    Ok((values.len(), refused))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn every_value_is_read_exactly_or_counted(values in prop::collection::vec(value(), 150)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for (declared, asked) in COLUMNS {
            let outcome = runtime.block_on(check(declared, asked, &values));
            prop_assert!(outcome.is_ok(), "{declared} {asked}: {outcome:?}");
        }
    }
}
