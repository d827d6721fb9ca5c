//! The other side of the wire, for tests: what the server sends.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef};
use arrow_schema::DataType;
use chrono::{DateTime, Days, NaiveDate, NaiveDateTime, TimeDelta};
use sluice_contracts::Result;
use sluice_contracts::documents::{Column, OnInvalid, TargetType};
use sluice_contracts::job::ColumnFile;

use crate::postgres::copy::CopyDecoder;
use crate::postgres::type_table::{Arrays, PgType, resolve};

/// A column `c` of a type, or of an array of it, as the planner describes it.
pub(super) fn column(pg: &str, wanted: Option<TargetType>) -> Column {
    let (element, array) = match pg.strip_suffix("[]") {
        Some(element) => (element, true),
        None => (pg, false),
    };
    let (base, typmod) = match element.split_once('(') {
        None => (element, -1),
        Some((base, digits)) => {
            let (p, s) = digits.trim_end_matches(')').split_once(',').unwrap();
            (base, ((p.parse::<i32>().unwrap() << 16) | s.parse::<i32>().unwrap()) + 4)
        }
    };
    let (extension, typtype) = match base {
        "mood" => ("", 'e'),
        "pair" => ("", 'c'),
        "citext" | "hstore" | "vector" => (base, 'b'),
        "geometry" | "geography" => ("postgis", 'b'),
        _ => ("", 'b'),
    };
    let arrays = if array { Arrays::One } else { Arrays::None };
    let wanted = ColumnFile { target_type: wanted, ..ColumnFile::default() };
    let (inexact, has_arrays) = (None, false);
    let pg_type =
        PgType { display: pg, base, extension, typtype, typmod, arrays, inexact, has_arrays };
    let found = resolve("c", &pg_type, Some(&wanted)).unwrap();
    Column {
        name: "c".into(),
        source_name: "c".into(),
        source_type: pg.into(),
        encoding: found.encoding,
        target_type: found.target_type,
        repeated: found.repeated,
        decimal: found.decimal,
        fields: Vec::new(),
        nullable: None,
        max_length: None,
        description: None,
        on_invalid: OnInvalid::Fail,
        invalid: found.invalid,
    }
}

/// A whole stream of rows.
pub(super) fn stream(rows: &[Vec<Option<Vec<u8>>>]) -> Vec<u8> {
    let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
    for row in rows {
        bytes.extend(i16::try_from(row.len()).unwrap().to_be_bytes());
        for value in row {
            field(value.as_deref(), &mut bytes);
        }
    }
    bytes.extend((-1_i16).to_be_bytes());
    bytes
}

/// A stream of one column.
pub(super) fn stream_of(values: &[Option<Vec<u8>>]) -> Vec<u8> {
    stream(&values.iter().map(|value| vec![value.clone()]).collect::<Vec<_>>())
}

fn field(value: Option<&[u8]>, bytes: &mut Vec<u8>) {
    let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
    bytes.extend(length.to_be_bytes());
    bytes.extend(value.unwrap_or_default());
}

/// An array of one dimension, or of no dimension if it is empty, as the server makes it.
pub(super) fn array(elements: &[Option<Vec<u8>>]) -> Vec<u8> {
    let nulls = i32::from(elements.iter().any(Option::is_none));
    let mut bytes = i32::from(!elements.is_empty()).to_be_bytes().to_vec();
    bytes.extend(nulls.to_be_bytes());
    bytes.extend(25_u32.to_be_bytes());
    if !elements.is_empty() {
        bytes.extend(i32::try_from(elements.len()).unwrap().to_be_bytes());
        bytes.extend(1_i32.to_be_bytes());
    }
    for element in elements {
        field(element.as_deref(), &mut bytes);
    }
    bytes
}

/// A `numeric`, from decimal text.
pub(super) fn numeric(text: &str) -> Vec<u8> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => (0x4000_u16, text),
        None => (0, text),
    };
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let groups = whole.len().div_ceil(4);
    let padded = format!("{whole:0>width$}{fraction}", width = groups * 4);
    let padded = format!("{padded:0<width$}", width = padded.len().div_ceil(4) * 4);
    let mut digits: Vec<u16> =
        padded.as_bytes().chunks(4).map(|d| str::from_utf8(d).unwrap().parse().unwrap()).collect();
    let mut weight = i16::try_from(groups).unwrap() - 1;
    while digits.first() == Some(&0) {
        digits.remove(0);
        weight -= 1;
    }
    while digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() {
        weight = 0;
    }
    let sign = if digits.is_empty() { 0 } else { sign };
    let mut bytes = u16::try_from(digits.len()).unwrap().to_be_bytes().to_vec();
    bytes.extend(weight.to_be_bytes());
    bytes.extend(sign.to_be_bytes());
    bytes.extend(u16::try_from(fraction.len()).unwrap().to_be_bytes());
    bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
    bytes
}

/// A `date`.
pub(super) fn date(day: NaiveDate) -> Vec<u8> {
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap();
    i32::try_from((day - epoch).num_days()).unwrap().to_be_bytes().into()
}

/// A `timestamp`, with or without time zone.
pub(super) fn timestamp(moment: NaiveDateTime) -> Vec<u8> {
    let epoch = NaiveDate::from_ymd_opt(2000, 1, 1).unwrap().and_hms_opt(0, 0, 0).unwrap();
    let since = moment - epoch;
    since.num_microseconds().unwrap().to_be_bytes().into()
}

/// An `interval`.
pub(super) fn interval(months: i32, days: i32, micros: i64) -> Vec<u8> {
    [&micros.to_be_bytes()[..], &days.to_be_bytes(), &months.to_be_bytes()].concat()
}

/// A range, of the flags of its first byte and the bounds that it has.
pub(super) fn range(flags: u8, bounds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = vec![flags];
    for bound in bounds {
        field(Some(bound), &mut bytes);
    }
    bytes
}

/// Decodes a stream that arrives in pieces of these sizes, over and over, and then all the rest.
pub(super) fn decode(
    columns: &[Column],
    mut stream: &[u8],
    pieces: &[usize],
) -> Result<(Vec<RecordBatch>, Vec<u64>)> {
    let mut decoder = CopyDecoder::new(columns)?;
    let mut batches = Vec::new();
    let total = stream.len() as u64;
    for size in pieces.iter().copied().chain([usize::MAX]) {
        let (mut chunk, rest) = stream.split_at(size.min(stream.len()));
        while !chunk.is_empty() {
            batches.extend(decoder.feed(&mut chunk)?);
        }
        stream = rest;
    }
    batches.extend(decoder.finish()?);
    assert_eq!(decoder.bytes(), total);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(decoder.rows(), rows as u64);
    Ok((batches, decoder.invalid().to_vec()))
}

/// A cell as text, in the form of this project's documentation.
pub(super) fn cell(array: &ArrayRef, row: usize) -> Option<String> {
    if array.is_null(row) {
        return None;
    }
    let micros = |micros| {
        DateTime::UNIX_EPOCH.naive_utc().checked_add_signed(TimeDelta::microseconds(micros))
    };
    let epoch = DateTime::UNIX_EPOCH.date_naive();
    Some(match array.data_type() {
        DataType::Int32 => array.as_primitive::<Int32Type>().value(row).to_string(),
        DataType::Int64 => array.as_primitive::<Int64Type>().value(row).to_string(),
        DataType::Float64 => {
            format!("{:016x}", array.as_primitive::<Float64Type>().value(row).to_bits())
        }
        DataType::Decimal128(..) => array.as_primitive::<Decimal128Type>().value_as_string(row),
        DataType::Decimal256(..) => array.as_primitive::<Decimal256Type>().value_as_string(row),
        DataType::Boolean => array.as_boolean().value(row).to_string(),
        DataType::Utf8 => array.as_string::<i32>().value(row).to_owned(),
        DataType::Binary => format!("{:?}", array.as_binary::<i32>().value(row)),
        DataType::FixedSizeBinary(_) => {
            format!("{:?}", array.as_fixed_size_binary().value(row))
        }
        DataType::Date32 => {
            let days = i64::from(array.as_primitive::<Date32Type>().value(row));
            let step = Days::new(days.unsigned_abs());
            let day = if days < 0 { epoch - step } else { epoch + step };
            day.to_string()
        }
        DataType::Time64(_) => {
            let value = array.as_primitive::<Time64MicrosecondType>().value(row);
            micros(value).unwrap().time().to_string()
        }
        DataType::Timestamp(_, zone) => {
            let value = array.as_primitive::<TimestampMicrosecondType>().value(row);
            let zone = zone.as_deref().unwrap_or_default();
            format!("{}{zone}", micros(value).unwrap())
        }
        DataType::List(_) => {
            let elements = array.as_list::<i32>().value(row);
            let texts = (0..elements.len()).map(|index| cell(&elements, index));
            format!("{:?}", texts.collect::<Vec<_>>())
        }
        other => panic!("{other}"),
    })
}
