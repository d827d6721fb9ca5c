//! The stream around the values: pieces, ends, and everything that can be wrong with it.

use arrow_array::RecordBatch;
use proptest::prelude::*;
use sluice_contracts::Kind;
use sluice_contracts::documents::{Column, OnInvalid, Table, TargetType, Unit};

use super::encode::{array, cell, column, decode, interval, numeric, stream, stream_of};
use super::messages::decode_messages;
use crate::postgres::copy::{CopyDecoder, HEADER};

/// Checks what one value becomes, given as bytes.
pub(super) fn check(pg: &str, wanted: Option<TargetType>, wire: &[u8], expected: &str) {
    let (columns, stream) = ([column(pg, wanted)], stream_of(&[Some(wire.to_vec())]));
    let said = |error: sluice_contracts::Error| format!("{:?}: {error}", error.kind());
    let in_bytes = decode(&columns, &stream, &[]).map_err(said);
    assert_eq!(decode_messages(&columns, &stream).map_err(said), in_bytes, "{pg} of {wire:02x?}");
    let cell_of = |(batches, _): (Vec<RecordBatch>, _)| cell(batches[0].column(0), 0).unwrap();
    let found = in_bytes.map_or_else(|said| said, cell_of);
    assert_eq!(found, expected, "{pg} of {wire:02x?}");
}

#[test]
fn each_type_from_its_bytes() {
    check("int2", None, b"\xff\xfe", "-2");
    check("int4", None, b"\0\0\x01\0", "256");
    check("oid", None, b"\xff\xff\xff\xff", "4294967295");
    check("int8", None, b"\x80\0\0\0\0\0\0\0", "-9223372036854775808");
    check("int8", Some(TargetType::Numeric), b"\0\0\0\0\0\0\0\x07", "7");
    check("float4", None, b"\x3f\x80\0\0", "3ff0000000000000");
    check("float8", None, b"\x3f\xf0\0\0\0\0\0\0", "3ff0000000000000");
    check("numeric(12,2)", None, b"\0\x02\0\0\x40\0\0\x02\0\x0c\x0d\x48", "-12.34");
    check("bool", None, b"\x01", "true");
    check("text", None, "grüß".as_bytes(), "grüß");
    check("bpchar", None, b"ab   ", "ab   ");
    check("char", None, b"x", "x");
    check("mood", None, b"happy", "happy");
    check("bytea", None, b"\0\xff", "[0, 255]");
    check("date", None, b"\0\0\0\0", "2000-01-01");
    check("date", None, b"\0\0\x22\x79", "2024-02-29");
    check("time", None, b"\0\0\0\0\x00\x0f\x42\x40", "00:00:01");
    check("timestamp", None, b"\xff\xff\xff\xff\xff\xff\xff\xff", "1999-12-31 23:59:59.999999");
    check("timestamptz", None, b"\0\0\0\0\0\0\0\x01", "2000-01-01 00:00:00.000001UTC");
    let uuid = b"\x0c\xf8\x1f\x90\x38\x40\x2e\x85\x91\x0c\xfa\xd1\x7d\x00\x51\xb3";
    check("uuid", None, uuid, "0cf81f90-3840-2e85-910c-fad17d0051b3");
    check("json", None, br#"{"a":1,  "a":2}"#, r#"{"a":1,  "a":2}"#);
    check("jsonb", None, b"\x01{\"a\": 1.10}", r#"{"a": 1.10}"#);
    check("interval", None, &interval(0, 1, 0), "P1D");
    check("interval", Some(TargetType::String), b"infinity", "infinity");
    check("money", None, b"\xff\xff\xff\xff\xff\xff\xff\x85", "-1.23");
    check("pair", None, br#"{"a":1.10}"#, r#"{"a":1.10}"#);
    check("hstore", None, br#"{"a": null}"#, r#"{"a": null}"#);
    check("inet", None, b"10.0.0.1/32", "10.0.0.1/32");
    check(
        "vector",
        None,
        &array(&[Some(b"\x3f\x80\0\0".to_vec())]),
        r#"[Some("3ff0000000000000")]"#,
    );
    let two =
        b"\0\0\0\x01\0\0\0\0\0\0\0\x17\0\0\0\x02\0\0\0\x01\0\0\0\x04\0\0\0\x01\0\0\0\x04\0\0\0\x02";
    check("int4[]", None, two, r#"[Some("1"), Some("2")]"#);
    check("int4[]", None, b"\0\0\0\0\0\0\0\0\0\0\0\x17", "[]");
}

/// A value that the column cannot hold ends the run, or becomes NULL and is counted.
pub(super) fn invalid(pg: &str, wanted: Option<TargetType>, wire: &[u8], reason: &str) {
    let column = column(pg, wanted);
    let scalar = column.target_type;
    let target = if column.repeated { format!("ARRAY<{scalar}>") } else { scalar.to_string() };
    check(
        pg,
        wanted,
        wire,
        &format!("Data: column `c`: row 1 of the unit holds {reason}, which {target} cannot hold"),
    );
    let lenient = Column { on_invalid: OnInvalid::Null, ..column };
    let rows = stream_of(&[Some(wire.to_vec()), None, Some(wire.to_vec())]);
    let (batches, counts) = decode(&[lenient], &rows, &[]).unwrap();
    assert_eq!(batches[0].column(0).null_count(), 3, "{pg}");
    assert_eq!(counts, [2], "{pg}");
    // Deep arrays and arrays of composites are sent as one text.
    if !pg.ends_with("[]") && wanted.is_none() {
        let element = array(&[Some(wire.to_vec())]);
        invalid(&format!("{pg}[]"), None, &element, reason);
    }
}

#[test]
fn values_that_a_target_cannot_hold() {
    let outside = "a year outside 1 to 9999";
    for end in [i64::MIN, i64::MAX] {
        invalid("timestamp", None, &end.to_be_bytes(), "infinity");
        invalid("timestamptz", None, &end.to_be_bytes(), "infinity");
        invalid("timestamptz", None, &(end / 2).to_be_bytes(), outside);
        invalid("int8", Some(TargetType::Float64), &(end | 1).to_be_bytes(), {
            "an integer that would be rounded"
        });
    }
    let (first, last) = (-63_082_281_600_000_000_i64, 252_455_615_999_999_999_i64);
    invalid("timestamp", None, &(first - 1).to_be_bytes(), outside);
    invalid("timestamp", None, &(last + 1).to_be_bytes(), outside);
    check("timestamp", None, &first.to_be_bytes(), "0001-01-01 00:00:00");
    check("timestamp", None, &last.to_be_bytes(), "9999-12-31 23:59:59.999999");
    invalid("date", None, &i32::MAX.to_be_bytes(), "infinity");
    invalid("date", None, &i32::MIN.to_be_bytes(), "infinity");
    invalid("date", None, &(i32::MAX - 1).to_be_bytes(), outside);
    invalid("date", None, &(-730_120_i32).to_be_bytes(), outside);
    check("date", None, &(-730_119_i32).to_be_bytes(), "0001-01-01");
    invalid("time", None, &86_400_000_000_i64.to_be_bytes(), "24:00:00");
    invalid("numeric(12,2)", None, b"\0\0\0\0\xc0\0\0\0", "NaN");
    invalid("numeric", None, b"\0\0\0\0\xd0\0\0\0", "infinity");
    let (large, fine) = ("too many digits before the point", "too many digits after the point");
    invalid("numeric", None, &numeric(&format!("1{}", "0".repeat(38))), large);
    invalid("numeric", None, &numeric(&format!("0.{}1", "0".repeat(38))), fine);
    invalid("numeric", Some(TargetType::Numeric), &numeric("0.0000000001"), fine);
    invalid("numeric", Some(TargetType::Int64), &numeric("9223372036854775808"), large);
    invalid("numeric", Some(TargetType::Int64), &numeric("0.5"), fine);
    invalid("text", None, b"\xe9", "text that is not UTF-8");
    for pg in ["mood", "json", "inet", "varchar", "xml"] {
        invalid(pg, None, b"\"\xe9\"", "text that is not UTF-8");
    }
    invalid("jsonb", None, b"\x01\"\xe9\"", "text that is not UTF-8");
    invalid("geometry", None, b"\x01\x01\0\0\0", "coordinates of another SRID than 4326");
    invalid("char", None, b"\xe9", "text that is not UTF-8");
}

#[test]
fn arrays_that_repeated_cannot_hold() {
    let int = |n: i32| Some(n.to_be_bytes().to_vec());
    invalid("pair[]", None, b"", "an array whose lower bound is not 1");
    let null = array(&[int(1), None, int(3)]);
    invalid("int4[]", None, &null, "an array with a NULL element");
    let deep =
        b"\0\0\0\x02\0\0\0\0\0\0\0\x17\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x01\0\0\0\x04\0\0\0\x09";
    invalid("int4[]", None, deep, "an array of more than one dimension");
    let mut shifted = array(&[int(1)]);
    shifted[19] = 2;
    invalid("int4[]", None, &shifted, "an array whose lower bound is not 1");

    // Elements before the invalid one do not leak into the next row.
    let lenient = Column { on_invalid: OnInvalid::Null, ..column("int4[]", None) };
    let rows = [Some(null), Some(array(&[int(4)]))];
    let (batches, _) = decode(&[lenient], &stream_of(&rows), &[]).unwrap();
    assert_eq!(cell(batches[0].column(0), 0), None);
    assert_eq!(cell(batches[0].column(0), 1).unwrap(), r#"[Some("4")]"#);
}

pub(super) fn malformed(pg: &str, wire: &[u8], reason: &str) {
    let expected = format!("Data: column `c`: row 1 of the unit is malformed: {reason}");
    check(pg, None, wire, &expected);
}

#[test]
fn values_that_are_malformed() {
    for pg in [
        "int2",
        "int4",
        "oid",
        "int8",
        "float4",
        "float8",
        "bool",
        "char",
        "date",
        "time",
        "timestamp",
        "timestamptz",
        "uuid",
        "interval",
    ] {
        malformed(pg, b"", "a value of the wrong length");
        malformed(pg, &[0; 17], "a value of the wrong length");
    }
    malformed("bool", b"\x02", "a boolean that is neither 0 nor 1");
    malformed("jsonb", b"", "a jsonb of an unknown version");
    malformed("jsonb", b"\x02{}", "a jsonb of an unknown version");
    malformed("time", &(-1_i64).to_be_bytes(), "a time outside of the day");
    malformed("numeric", b"\0", "an invalid numeric");
    malformed("int4[]", b"\0\0\0\x01\0", "an array that ends early");
    let whole = array(&[Some(vec![0; 4]), Some(vec![1; 4])]);
    malformed("int4[]", &whole[..whole.len() - 1], "an array whose elements end early");
    malformed("int4[]", &[&whole[..], &[0]].concat(), {
        "an array that is not as long as it says"
    });
    malformed("int4[]", b"\0\0\0\x07\0\0\0\0\0\0\0\x17", "an array of impossible dimensions");
    malformed("int4[]", b"\0\0\0\0\0\0\0\x02\0\0\0\x17", "an array of unknown flags");
}

#[test]
fn an_error_names_the_row_and_the_way_out_and_never_the_value() {
    let mut money = column("numeric(12,2)", None);
    money.name = "amount".into();
    money.source_name = "Amount".into();
    let mut rows = vec![Some(numeric("1.5")); 16];
    rows.push(Some(b"\0\0\0\0\xc0\0\0\0".to_vec()));
    let error = decode(&[money], &stream_of(&rows), &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        "column `amount`: row 17 of the unit holds NaN, which NUMERIC cannot hold"
    );
    assert_eq!(
        error.remedy(),
        Some("set `columns.Amount.on_invalid` to `null`, or `columns.Amount.type` to `STRING`")
    );
    let error = decode(&[column("text", None)], &stream_of(&[Some(vec![255])]), &[]).unwrap_err();
    assert_eq!(
        error.remedy(),
        Some("set `columns.c.on_invalid` to `null`, or `columns.c.type` to `BYTES`")
    );
    let error = decode(&[column("jsonb", None)], &stream_of(&[Some(vec![1, 255])]), &[]);
    assert_eq!(
        error.unwrap_err().remedy(),
        Some("set `columns.c.on_invalid` to `null`, or `columns.c.type` to `BYTES`")
    );
    let error = decode(&[column("pair[]", None)], &stream_of(&[Some(vec![])]), &[]).unwrap_err();
    assert_eq!(
        error.remedy(),
        Some("set `columns.c.on_invalid` to `null`, or `columns.c.type` to `STRING`")
    );
}

#[test]
fn an_error_of_a_unit_says_how_to_find_the_row() {
    let mut table: Table = serde_json::from_value(serde_json::json!({
        "index": 0, "name": "shop.orders", "target": "file:///w/d/orders",
        "relation": {"table": {"schema": "shop", "name": "orders"}},
        "write": {"disposition": "truncate"}, "strategy": "id_range", "reason": "",
        "rows": 1, "bytes": 1, "warnings": [], "shape": "", "columns": [], "units": 1,
        "filter": "paid -- in full",
    }))
    .unwrap();
    let unit: Unit = serde_json::from_value(serde_json::json!({
        "table": 0, "index": 0, "rows": 1, "bytes": 1,
        "cut": {"kind": "range", "column": "Id", "key": "integer", "lo": 1, "hi": null},
    }))
    .unwrap();
    let mut search = |pg: &str, wire: &[u8]| {
        table.columns = vec![column(pg, None)];
        let mut decoder = CopyDecoder::of_unit(&table, &unit).unwrap();
        let bytes = stream_of(&[Some(wire.to_vec())]);
        // Texts are looked at when their batch ends.
        let read = decoder.feed(&mut bytes.as_slice()).and_then(|_| decoder.finish());
        let error = read.unwrap_err();
        let hint = error.remedy().unwrap().to_owned();
        hint.split_once("; find such rows with ").map(|(_, search)| search.to_owned())
    };
    let rows = "select * from \"shop\".\"orders\" as _sluice where (\npaid -- in full\n) \
                and (\"Id\" >= '1'::int8) and ";
    assert_eq!(
        search("numeric(12,2)", b"\0\0\0\0\xc0\0\0\0").unwrap(),
        format!("`{rows}(pg_catalog.abs(\"c\") >= 1e10 or \"c\" <> pg_catalog.round(\"c\", 2))`")
    );
    let null = array(&[None]);
    let found = search("date[]", &null).unwrap();
    assert!(found.contains("_element.of is null or _element.of not between"), "{found}");
    assert_eq!(search("text", b"\xff"), None);
}

#[test]
fn a_stream_is_whole_or_an_error() {
    let columns = [column("int4", None), column("text", None)];
    let row = vec![Some(vec![0, 0, 0, 1]), Some(b"one".to_vec())];
    let whole = stream(&[row.clone(), row.clone()]);
    let (batches, _) = decode(&columns, &whole, &[]).unwrap();
    assert_eq!(batches[0].num_rows(), 2);
    for end in 0..whole.len() {
        let error = decode(&columns, &whole[..end], &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Transient, "{end}");
    }
    let wrong = |at: usize, byte: u8, expected: &str| {
        let mut bytes = whole.clone();
        bytes[at] = byte;
        let error = decode(&columns, &bytes, &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.to_string().contains(expected), "{error}");
    };
    wrong(3, b'X', "it does not begin with the signature");
    wrong(12, 1, "its flags are not known");
    wrong(15, 0x80, "its header has an impossible length");
    wrong(HEADER + 1, 3, "a row of more or fewer fields");
    wrong(HEADER, 0xff, "a row of more or fewer fields");
    wrong(HEADER + 2, 0xff, "a value of impossible length");
    wrong(HEADER + 2, 0x40, "a value of impossible length");
    let longer = [&whole[..], &[0]].concat();
    let error = decode(&columns, &longer, &[]).unwrap_err();
    assert!(error.to_string().contains("bytes after its end"), "{error}");
    let error = decode(&columns, &longer, &[whole.len()]).unwrap_err();
    assert!(error.to_string().contains("bytes after its end"), "{error}");
}

#[test]
fn a_header_may_be_extended_and_flagged() {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\xff\xff\0\0\0\x03abc".to_vec();
    bytes.extend(b"\0\x01\0\0\0\x02\0\x05\xff\xff");
    for pieces in [&[][..], &[1; 40], &[20, 1, 1]] {
        let (batches, _) = decode(&[column("int2", None)], &bytes, pieces).unwrap();
        assert_eq!(cell(batches[0].column(0), 0).unwrap(), "5");
    }
}

#[test]
fn no_rows_and_no_columns() {
    assert!(decode(&[column("int4", None)], &stream(&[]), &[]).unwrap().0.is_empty());
    let (batches, _) = decode(&[], &stream(&vec![vec![]; 5_000]), &[]).unwrap();
    let sizes: Vec<usize> = batches.iter().map(RecordBatch::num_rows).collect();
    assert_eq!(sizes, [4_096, 904]);
}

#[test]
fn a_promised_length_is_not_reserved() {
    let mut decoder = CopyDecoder::new(&[column("text", None)]).unwrap();
    let mut bytes = stream(&[])[..HEADER].to_vec();
    bytes.extend(b"\0\x01\x3f\xff\xff\xff");
    bytes.extend([b'x'; 100]);
    let mut chunk = bytes.as_slice();
    assert!(decoder.feed(&mut chunk).unwrap().is_none());
    assert!(chunk.is_empty());
    assert!(decoder.pending.capacity() < 1024);
}

#[test]
fn a_column_that_no_row_of_the_table_reads_is_refused() {
    let plain = column("int4", None);
    for broken in [
        Column { encoding: "xid8".into(), ..plain.clone() },
        Column { target_type: TargetType::Bytes, ..plain.clone() },
        Column {
            target_type: TargetType::Numeric,
            decimal: Some(sluice_contracts::documents::Decimal { precision: 4, scale: 5 }),
            ..plain
        },
    ] {
        assert_eq!(CopyDecoder::new(&[broken]).unwrap_err().kind(), Kind::Data);
    }
}

/// One column of each kind of builder.
fn columns() -> Vec<Column> {
    let types =
        ["int4", "text", "numeric(12,2)", "numeric", "timestamp", "uuid", "text[]", "jsonb"];
    types
        .iter()
        .enumerate()
        .map(|(index, pg)| Column {
            name: format!("c{index}"),
            on_invalid: if index % 2 == 0 { OnInvalid::Fail } else { OnInvalid::Null },
            ..column(pg, None)
        })
        .collect()
}

fn rows() -> impl Strategy<Value = Vec<Vec<Option<Vec<u8>>>>> {
    let row =
        (any::<i32>(), any::<String>(), any::<i32>(), any::<i64>(), any::<u128>(), any::<bool>())
            .prop_map(|(int, text, cents, wide, uuid, null)| {
                let amount = format!("{}.{:02}", cents / 100, cents.unsigned_abs() % 100);
                vec![
                    Some(int.to_be_bytes().to_vec()).filter(|_| !null),
                    Some(text.clone().into_bytes()),
                    Some(numeric(&amount)),
                    Some(numeric(&wide.to_string())).filter(|_| null),
                    Some((wide >> 10).to_be_bytes().to_vec()),
                    Some(uuid.to_be_bytes().to_vec()),
                    Some(array(&[Some(text.clone().into_bytes()), Some(vec![])])),
                    Some([b"\x01", text.as_bytes()].concat()),
                ]
            });
    prop::collection::vec(row, 0..12)
}

proptest! {
    #[test]
    fn pieces_make_no_difference(rows in rows(), pieces in prop::collection::vec(0_usize..40, 0..200)) {
        let bytes = stream(&rows);
        let whole = decode(&columns(), &bytes, &[]);
        let pieced = decode(&columns(), &bytes, &pieces);
        match (whole, pieced) {
            (Ok(whole), Ok(pieced)) => prop_assert_eq!(whole, pieced),
            (Err(whole), Err(pieced)) => prop_assert_eq!(whole.to_string(), pieced.to_string()),
            (whole, pieced) => prop_assert!(false, "{:?} {:?}", whole, pieced),
        }
    }

    #[test]
    fn garbage_never_panics(
        rows in rows(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        pieces in prop::collection::vec(0_usize..40, 0..40),
        tail in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let mut bytes = stream(&rows);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.extend(tail);
        let _ = decode(&columns(), &bytes, &pieces);
    }
}
