//! Every value goes from the wire to Arrow to Parquet and back.

use std::fmt::Debug;

use arrow_array::RecordBatch;
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use sluice_contracts::documents::{Column, TargetType, arrow_schema};
use uuid::Uuid;

use super::encode::{array, cell, column, date, decode, numeric, stream_of, timestamp};
use super::messages::decode_messages;

/// A value on the wire, and as text.
type Value = (Vec<u8>, String);

/// Checks a type and its array: the extremes, and many others between them.
fn check(
    pg: &str,
    wanted: Option<TargetType>,
    extremes: Vec<Value>,
    any: impl Strategy<Value = Value>,
) {
    let scalar = column(pg, wanted);
    let repeated = column(&format!("{pg}[]"), wanted);
    let known: Vec<Option<Value>> = extremes.iter().cloned().map(Some).collect();
    through_parquet(&scalar, &known);
    let value = prop_oneof![1 => prop::sample::select(extremes), 3 => any];
    let values = prop::collection::vec(prop::option::weighted(0.9, value), 0..60);
    let mut runner =
        TestRunner::new(Config { cases: 48, failure_persistence: None, ..Config::default() });
    runner
        .run(&values, |values| {
            through_parquet(&scalar, &values);
            let present: Vec<&Value> = values.iter().flatten().collect();
            let rows: Vec<Option<Value>> = present
                .chunks(3)
                .map(|row| {
                    let elements: Vec<_> = row.iter().map(|value| Some(value.0.clone())).collect();
                    let texts: Vec<_> = row.iter().map(|value| Some(value.1.clone())).collect();
                    Some((array(&elements), format!("{texts:?}")))
                })
                .chain([None, Some((array(&[]), "[]".into()))])
                .collect();
            // As STRING, an array is one text that the server makes.
            if repeated.repeated {
                through_parquet(&repeated, &rows);
            }
            Ok(())
        })
        .unwrap();
}

fn through_parquet(column: &Column, values: &[Option<Value>]) {
    let wire: Vec<_> = values.iter().map(|v| v.as_ref().map(|value| value.0.clone())).collect();
    let columns = [column.clone()];
    let stream = stream_of(&wire);
    let (batches, invalid) = decode(&columns, &stream, &[]).unwrap();
    assert_eq!(decode_messages(&columns, &stream).unwrap().0, batches);
    assert_eq!(invalid, [0]);
    let mut writer = ArrowWriter::try_new(Vec::new(), arrow_schema(&columns), None).unwrap();
    for batch in &batches {
        writer.write(batch).unwrap();
    }
    let file = Bytes::from(writer.into_inner().unwrap());
    let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().build().unwrap();
    let found: Vec<Option<String>> = reader
        .map(Result::unwrap)
        .flat_map(|batch: RecordBatch| {
            (0..batch.num_rows()).map(|row| cell(batch.column(0), row)).collect::<Vec<_>>()
        })
        .collect();
    let expected: Vec<_> = values.iter().map(|v| v.as_ref().map(|value| value.1.clone())).collect();
    assert_eq!(found, expected, "{}", column.source_type);
}

fn shown<T: Debug + Clone>(values: &[T], show: impl Fn(T) -> Value) -> Vec<Value> {
    values.iter().cloned().map(show).collect()
}

#[test]
fn integers() {
    let int2 = |n: i16| (n.to_be_bytes().into(), n.to_string());
    let int4 = |n: i32| (n.to_be_bytes().into(), n.to_string());
    let int8 = |n: i64| (n.to_be_bytes().into(), n.to_string());
    let oid = |n: u32| (n.to_be_bytes().into(), n.to_string());
    for wanted in [None, Some(TargetType::Numeric), Some(TargetType::Bignumeric)] {
        check("int2", wanted, shown(&[i16::MIN, 0, i16::MAX], int2), any::<i16>().prop_map(int2));
        check("int4", wanted, shown(&[i32::MIN, 0, i32::MAX], int4), any::<i32>().prop_map(int4));
        check("int8", wanted, shown(&[i64::MIN, 0, i64::MAX], int8), any::<i64>().prop_map(int8));
        check("oid", wanted, shown(&[0, u32::MAX], oid), any::<u32>().prop_map(oid));
    }
}

fn bits(value: f64) -> String {
    format!("{:016x}", value.to_bits())
}

#[test]
fn floats() {
    let float8 = |f: f64| (f.to_be_bytes().into(), bits(f));
    let float4 = |f: f32| (f.to_be_bytes().into(), bits(f.into()));
    let int4 = |n: i32| (n.to_be_bytes().into(), bits(n.into()));
    #[expect(clippy::cast_precision_loss, reason = "no more than 53 bits")]
    let int8 = |n: i64| (n.to_be_bytes().into(), bits(n as f64));
    let ends = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, f64::MIN, f64::MAX];
    check("float8", None, shown(&ends, float8), any::<f64>().prop_map(float8));
    let ends = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::MIN, f32::from_bits(1)];
    check("float4", None, shown(&ends, float4), any::<f32>().prop_map(float4));
    let wanted = Some(TargetType::Float64);
    check("int4", wanted, shown(&[i32::MIN, i32::MAX], int4), any::<i32>().prop_map(int4));
    let ends = [i64::MIN, -(1 << 53), 1 << 53, 1 << 62];
    check("int8", wanted, shown(&ends, int8), (-(1_i64 << 53)..=1 << 53).prop_map(int8));
}

/// A decimal of at most these digits, without superfluous zeros but for those of its scale.
fn decimals(whole: usize, scale: usize) -> impl Strategy<Value = Value> {
    let digits = |most: usize| prop::collection::vec(0_u8..10, 0..=most);
    (any::<bool>(), digits(whole), digits(scale)).prop_map(move |(minus, whole, fraction)| {
        let text = |digits: &[u8]| -> String { digits.iter().map(u8::to_string).collect() };
        let sign = if minus { "-" } else { "" };
        decimal(&format!("{sign}{}.{}", text(&whole), text(&fraction)), scale)
    })
}

fn decimal(text: &str, scale: usize) -> Value {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let whole = whole.trim_start_matches('0');
    let zero = whole.is_empty() && fraction.chars().all(|digit| digit == '0');
    let sign = if zero { "" } else { sign };
    let point = if scale == 0 { "" } else { "." };
    let whole = if whole.is_empty() { "0" } else { whole };
    (numeric(text), format!("{sign}{whole}{point}{fraction:0<scale$}"))
}

#[test]
fn numerics() {
    for (precision, scale) in [
        (1, 0),
        (4, 4),
        (9, 0),
        (12, 2),
        (18, 18),
        (18, 5),
        (19, 3),
        (38, 9),
        (38, 38),
        (39, 1),
        (76, 38),
    ] {
        let whole = precision - scale;
        let most = format!("{}.{}", "9".repeat(whole), "9".repeat(scale));
        let least = format!("0.{}1", "0".repeat(scale.saturating_sub(1)));
        let least = if scale == 0 { "1".to_owned() } else { least };
        let extremes = ["0", &most, &format!("-{most}"), &least, &format!("-{least}")]
            .map(|text| decimal(text, scale));
        let pg = format!("numeric({precision},{scale})");
        check(&pg, None, extremes.into(), decimals(whole, scale));
    }
    let extremes = [
        format!("{}.{}", "9".repeat(38), "9".repeat(38)),
        format!("-{}.{}", "9".repeat(38), "9".repeat(38)),
        format!("0.{}1", "0".repeat(37)),
    ];
    check("numeric", None, extremes.map(|text| decimal(&text, 38)).into(), decimals(38, 38));
    let small = Some(TargetType::Numeric);
    check("numeric", small, vec![decimal(&"9".repeat(29), 9)], decimals(29, 9));
    let ends = [i64::MIN, -1, 0, i64::MAX].map(|n| (numeric(&n.to_string()), n.to_string()));
    let whole = any::<i64>().prop_map(|n| (numeric(&n.to_string()), n.to_string()));
    check("numeric(20,0)", Some(TargetType::Int64), ends.into(), whole);
}

#[test]
fn texts_and_bytes() {
    let text = |text: String| (text.clone().into_bytes(), text);
    let raw = |bytes: Vec<u8>| (bytes.clone(), format!("{bytes:?}"));
    let ends =
        [String::new(), " ".into(), "\u{1}".into(), "é😀\u{10ffff}".into(), "x".repeat(70_000)];
    for pg in ["text", "varchar", "bpchar", "name", "citext", "mood", "json"] {
        check(pg, None, shown(&ends[..4], text), any::<String>().prop_map(text));
    }
    through_parquet(&column("text", None), &[Some(text(ends[4].clone()))]);
    let bytes = prop::collection::vec(any::<u8>(), 0..40);
    let ends = [vec![], vec![0], vec![0xff; 3]];
    check("bytea", None, shown(&ends, raw), bytes.clone().prop_map(raw));
    check("text", Some(TargetType::Bytes), shown(&ends, raw), bytes.prop_map(raw));
    let char = |byte: u8| match byte {
        0 => (vec![0], String::new()),
        byte => (vec![byte], char::from(byte).to_string()),
    };
    check("char", None, shown(&[0, 1, 127], char), (0_u8..128).prop_map(char));
    let bytes = |byte: u8| match byte {
        0 => (vec![0], "[]".to_owned()),
        byte => (vec![byte], format!("[{byte}]")),
    };
    check("char", Some(TargetType::Bytes), shown(&[0, 255], bytes), any::<u8>().prop_map(bytes));
    let jsonb = |text: String| ([&[1], text.as_bytes()].concat(), text);
    let ends = ["null", "{}", r#"{"a": 1.10, "n": 12345678901234567890123}"#].map(str::to_owned);
    for wanted in [None, Some(TargetType::String)] {
        check("jsonb", wanted, shown(&ends, jsonb), any::<String>().prop_map(jsonb));
    }
}

#[test]
fn money_counts_the_currencys_smallest_unit() {
    for (pg, scale) in [("money(19,0)", 0), ("money", 2), ("money(19,3)", 3)] {
        let money = |units: i64| {
            let digits = format!("{:0>width$}", units.unsigned_abs(), width = scale + 1);
            let (whole, cents) = digits.split_at(digits.len() - scale);
            let sign = if units < 0 { "-" } else { "" };
            let point = if scale == 0 { "" } else { "." };
            (units.to_be_bytes().into(), format!("{sign}{whole}{point}{cents}"))
        };
        let ends = [i64::MIN, -100, -1, 0, 7, i64::MAX];
        for wanted in [None, Some(TargetType::Bignumeric)] {
            check(pg, wanted, shown(&ends, money), any::<i64>().prop_map(money));
        }
    }
}

#[test]
fn points_keep_their_doubles() {
    let point = |(longitude, latitude): (f64, f64), spelled: fn(f64, f64) -> String| {
        let wire = [
            &[1][..],
            &0x2000_0001_u32.to_le_bytes(),
            &4326_u32.to_le_bytes(),
            &longitude.to_le_bytes(),
            &latitude.to_le_bytes(),
        ];
        (wire.concat(), spelled(longitude, latitude))
    };
    let ends = [(0.0, 0.0), (-180.0, 90.0), (1.0 / 3.0, -1e-12), (f64::MIN_POSITIVE, 89.999)];
    let any = || (-180.0..=180.0, -90.0..=90.0);
    let json = |x, y| format!(r#"{{"type":"Point","coordinates":[{x},{y}]}}"#);
    let show = |at| point(at, json);
    check("geometry", None, shown(&ends, show), any().prop_map(show));
    let show = |at| point(at, |x, y| format!("POINT({x} {y})"));
    check("geography", None, shown(&ends, show), any().prop_map(show));
}

#[test]
fn booleans_and_uuids() {
    let bool = |value: bool| (vec![u8::from(value)], value.to_string());
    check("bool", None, shown(&[false, true], bool), any::<bool>().prop_map(bool));
    let uuid = |n: u128| {
        let hex = format!("{n:032x}");
        let parts = [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]];
        (n.to_be_bytes().to_vec(), parts.join("-"))
    };
    check("uuid", None, shown(&[0, u128::MAX], uuid), any::<u128>().prop_map(uuid));
    let bytes = |n: u128| (n.to_be_bytes().to_vec(), format!("{:?}", n.to_be_bytes()));
    assert_eq!(uuid(1).1, Uuid::from_u128(1).to_string());
    let wanted = Some(TargetType::Bytes);
    check("uuid", wanted, shown(&[0, u128::MAX], bytes), any::<u128>().prop_map(bytes));
}

fn ends() -> (NaiveDateTime, NaiveDateTime) {
    let day = |year, month, day| NaiveDate::from_ymd_opt(year, month, day).unwrap();
    let first = day(1, 1, 1).and_time(NaiveTime::MIN);
    let last = day(9999, 12, 31).and_hms_micro_opt(23, 59, 59, 999_999).unwrap();
    (first, last)
}

fn moments() -> impl Strategy<Value = NaiveDateTime> {
    let (first, last) = ends();
    let range = first.and_utc().timestamp_micros()..=last.and_utc().timestamp_micros();
    range.prop_map(|micros| DateTime::from_timestamp_micros(micros).unwrap().naive_utc())
}

#[test]
fn days_and_moments() {
    let known = |text: &str| text.parse::<NaiveDateTime>().unwrap();
    let (first, last) = ends();
    let moments_at = [
        first,
        last,
        known("1999-12-31T23:59:59.999999"),
        known("2000-01-01T00:00:00"),
        known("1970-01-01T00:00:00"),
        known("2024-02-29T12:34:56.123456"),
    ];
    for (pg, zone) in [("timestamp", ""), ("timestamptz", "UTC")] {
        let show = |moment: NaiveDateTime| (timestamp(moment), format!("{moment}{zone}"));
        check(pg, None, shown(&moments_at, show), moments().prop_map(show));
    }
    let day = |moment: NaiveDateTime| (date(moment.date()), moment.date().to_string());
    check("date", None, shown(&moments_at, day), moments().prop_map(day));
    let time = |micros: i64| {
        let time = NaiveTime::MIN + TimeDelta::microseconds(micros);
        (micros.to_be_bytes().into(), time.to_string())
    };
    check("time", None, shown(&[0, 86_399_999_999], time), (0..86_400_000_000_i64).prop_map(time));
}
