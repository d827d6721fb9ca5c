//! A simple reader of the COPY format, to compare the decoder with.

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, Int32Type, Int64Type};
use arrow_array::{Array, ArrayRef, RecordBatch};
use sluice_contracts::documents::{Column, TargetType};

/// The signature, flags, and the length of an extension.
const HEADER: usize = 19;

/// The fields of each row, with `None` for NULL. Returns `None` if the stream is not in the format.
///
/// <https://www.postgresql.org/docs/current/sql-copy.html>, "Binary Format".
fn rows(stream: &[u8], columns: usize) -> Option<Vec<Vec<Option<&[u8]>>>> {
    let mut rest = stream.strip_prefix(b"PGCOPY\n\xff\r\n\0")?.get(4..)?;
    let extension = usize::try_from(take_i32(&mut rest)?).ok()?;
    rest = rest.get(extension..)?;
    let mut rows = Vec::new();
    loop {
        let count = i16::from_be_bytes(*rest.first_chunk()?);
        rest = &rest[2..];
        if count == -1 {
            return rest.is_empty().then_some(rows);
        }
        if usize::try_from(count).ok()? != columns {
            return None;
        }
        let mut row = Vec::with_capacity(columns);
        for _ in 0..columns {
            let length = take_i32(&mut rest)?;
            if length == -1 {
                row.push(None);
                continue;
            }
            let (field, after) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            row.push(Some(field));
            rest = after;
        }
        rows.push(row);
    }
}

/// The stream in messages: one for each row, of which the first has the header too, and one for what is not
/// a row.
pub(crate) fn messages(stream: &[u8], columns: usize) -> Vec<u8> {
    let mut messages = Vec::new();
    let mut first = stream;
    let mut rest = stream.get(HEADER..).unwrap_or_default();
    while skip_row(&mut rest, columns).is_some() {
        message(&first[..first.len() - rest.len()], &mut messages);
        first = rest;
    }
    message(first, &mut messages);
    messages
}

fn message(bytes: &[u8], into: &mut Vec<u8>) {
    let length = u32::try_from(bytes.len() + 4).expect("an input is short");
    into.push(b'd');
    into.extend(length.to_be_bytes());
    into.extend_from_slice(bytes);
}

/// Takes a row off the front, if one is there.
fn skip_row(rest: &mut &[u8], columns: usize) -> Option<()> {
    let mut row = *rest;
    let count = i16::from_be_bytes(*row.first_chunk()?);
    row = &row[2..];
    if usize::try_from(count).ok()? != columns {
        return None;
    }
    for _ in 0..columns {
        let length = take_i32(&mut row)?;
        row = row.get(usize::try_from(length.max(0)).ok()?..)?;
    }
    *rest = row;
    Some(())
}

fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    let (bytes, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(i32::from_be_bytes(*bytes))
}

/// Panics unless the batches hold what the stream holds.
pub(crate) fn check(columns: &[Column], stream: &[u8], batches: &[RecordBatch], invalid: &[u64]) {
    let rows = rows(stream, columns.len()).expect("what was decoded is a stream of the format");
    assert_eq!(rows.len(), batches.iter().map(RecordBatch::num_rows).sum::<usize>());
    for (index, column) in columns.iter().enumerate() {
        let mut replaced = 0;
        let mut fields = rows.iter().map(|row| row[index]);
        for batch in batches {
            let array = batch.column(index);
            for row in 0..array.len() {
                match (fields.next().expect("as many as rows"), array.is_valid(row)) {
                    (None, valid) => assert!(!valid, "{}: NULL became a value", column.encoding),
                    (Some(_), false) => replaced += 1,
                    (Some(field), true) => same(column, array, row, field),
                }
            }
        }
        assert_eq!(replaced, invalid[index], "{}: NULL without being counted", column.encoding);
    }
}

/// Compares the values that are a copy of the field's bytes.
fn same(column: &Column, array: &ArrayRef, row: usize, field: &[u8]) {
    if column.repeated {
        return;
    }
    match (column.encoding.as_str(), column.target_type) {
        ("int2" | "int4" | "int8", TargetType::Int64) => {
            let sign = if field[0] & 0x80 == 0 { 0 } else { 0xff };
            let mut wide = [sign; 8];
            wide[8 - field.len()..].copy_from_slice(field);
            let found = match array.as_primitive_opt::<Int32Type>() {
                Some(array) => array.value(row).into(),
                None => array.as_primitive::<Int64Type>().value(row),
            };
            assert_eq!(found, i64::from_be_bytes(wide));
        }
        ("float8", _) => {
            let bits = u64::from_be_bytes(field.try_into().expect("eight bytes"));
            assert_eq!(array.as_primitive::<Float64Type>().value(row).to_bits(), bits);
        }
        ("bool", _) => assert_eq!(array.as_boolean().value(row), field == [1]),
        ("text" | "json" | "inet" | "enum" | "composite" | "array_json", _)
            if column.target_type != TargetType::Bytes =>
        {
            assert_eq!(array.as_string::<i32>().value(row).as_bytes(), field);
        }
        ("jsonb", _) => assert_eq!(array.as_string::<i32>().value(row).as_bytes(), &field[1..]),
        ("uuid", TargetType::Bytes) => {
            assert_eq!(array.as_fixed_size_binary().value(row), field);
        }
        ("text" | "bytea", TargetType::Bytes) => {
            assert_eq!(array.as_binary::<i32>().value(row), field);
        }
        ("uuid", _) => {
            let text = array.as_string::<i32>().value(row).replace('-', "");
            let number = u128::from_be_bytes(field.try_into().expect("sixteen bytes"));
            assert_eq!(u128::from_str_radix(&text, 16), Ok(number));
        }
        _ => {}
    }
}
