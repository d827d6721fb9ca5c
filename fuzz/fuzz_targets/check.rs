//! What has to hold for every input: no stream makes the COPY decoder panic, the result does not
//! depend on where the pieces of a stream end, and the rows are those that a simple reader of the
//! format finds in the stream.
//!
//! An input consists of the number of columns; a byte for each column (its type, plus 64 for an
//! array, plus 128 for the policy `fail`); the size of the pieces; the stream.

use TargetType::{
    Bignumeric, Bool, Bytes, Date, Datetime, Float64, Geography, Int64, Interval, Json, Numeric,
    RangeDate, RangeDatetime, RangeTimestamp, String as Text, Time, Timestamp,
};
use arrow_array::RecordBatch;
use sluice_contracts::documents::{Column, Decimal, OnInvalid, TargetType};
use sluice_sources::CopyDecoder;

use crate::plain;

/// Encoding, target type, and precision and scale or zeros. Only append to this list, up to 64
/// entries: the corpus refers to entries by number.
const SCALARS: &[(&str, TargetType, (u8, u8))] = &[
    ("int2", Int64, (0, 0)),
    ("int4", Int64, (0, 0)),
    ("int8", Int64, (0, 0)),
    ("int8", Float64, (0, 0)),
    ("int8", Numeric, (19, 0)),
    ("int8", Bignumeric, (76, 38)),
    ("oid", Int64, (0, 0)),
    ("float4", Float64, (0, 0)),
    ("float8", Float64, (0, 0)),
    ("numeric", Numeric, (12, 2)),
    ("numeric", Numeric, (38, 9)),
    ("numeric", Bignumeric, (76, 38)),
    ("numeric", Int64, (0, 0)),
    ("bool", Bool, (0, 0)),
    ("text", Text, (0, 0)),
    ("text", Bytes, (0, 0)),
    ("char", Text, (0, 0)),
    ("bytea", Bytes, (0, 0)),
    ("date", Date, (0, 0)),
    ("time", Time, (0, 0)),
    ("timestamp", Datetime, (0, 0)),
    ("timestamptz", Timestamp, (0, 0)),
    ("uuid", Text, (0, 0)),
    ("uuid", Bytes, (0, 0)),
    ("json", Json, (0, 0)),
    ("jsonb", Json, (0, 0)),
    ("money", Numeric, (19, 2)),
    ("money", Bignumeric, (22, 3)),
    ("interval", Interval, (0, 0)),
    ("char", Bytes, (0, 0)),
    ("composite", Json, (0, 0)),
    ("array_json", Json, (0, 0)),
    ("geometry", Geography, (0, 0)),
    ("geography", Geography, (0, 0)),
    ("geometry", Bytes, (0, 0)),
    ("vector", Float64, (0, 0)),
    ("jsonb", Text, (0, 0)),
    ("numeric", Bignumeric, (58, 20)),
    ("inet", Text, (0, 0)),
    ("enum", Text, (0, 0)),
    ("daterange", RangeDate, (0, 0)),
    ("tsrange", RangeDatetime, (0, 0)),
    ("tstzrange", RangeTimestamp, (0, 0)),
];

/// Panics if any of this does not hold.
pub(crate) fn check(input: &[u8]) {
    let Some((columns, input)) = columns(input) else { return };
    let Some((piece, stream)) = input.split_first() else { return };
    let whole = decode(&columns, stream, stream.len().max(1));
    let pieced = decode(&columns, stream, usize::from(*piece).max(1));
    assert_eq!(whole, pieced);
    // Which value of some rows is refused first may differ.
    assert_eq!(whole.as_ref().ok(), decode_messages(&columns, stream).as_ref().ok());
    if let Ok((batches, invalid)) = whole {
        plain::check(&columns, stream, &batches, &invalid);
    }
}

fn columns(input: &[u8]) -> Option<(Vec<Column>, &[u8])> {
    let (count, rest) = input.split_first()?;
    let (choices, rest) = rest.split_at_checked(usize::from(count % 9))?;
    let columns = choices.iter().enumerate().map(|(index, choice)| {
        let choice = usize::from(*choice);
        let (encoding, target_type, (precision, scale)) = SCALARS[choice % 64 % SCALARS.len()];
        Column {
            name: format!("c{index}"),
            source_name: format!("c{index}"),
            source_type: encoding.to_owned(),
            encoding: encoding.to_owned(),
            target_type,
            repeated: choice & 64 != 0 || encoding == "vector",
            decimal: (precision > 0).then_some(Decimal { precision, scale }),
            fields: Vec::new(),
            nullable: None,
            max_length: None,
            description: None,
            on_invalid: if choice & 128 == 0 { OnInvalid::Null } else { OnInvalid::Fail },
            invalid: None,
        }
    });
    Some((columns.collect(), rest))
}

/// The same of the messages that the server sends the stream in: one for each row.
fn decode_messages(
    columns: &[Column],
    stream: &[u8],
) -> Result<(Vec<RecordBatch>, Vec<u64>), String> {
    let mut decoder = CopyDecoder::new(columns).map_err(|error| error.chain())?;
    let mut batches = Vec::new();
    let messages = plain::messages(stream, columns.len());
    let mut rest = &messages[..];
    while let Some(([_, length @ ..], body)) = rest.split_first_chunk::<5>() {
        let before = rest.len();
        let batch = decoder.feed_messages(&mut rest).map_err(|error| error.chain())?;
        if rest.len() < before || batch.is_some() {
            batches.extend(batch);
            continue;
        }
        let (mut bytes, behind) = body.split_at(u32::from_be_bytes(*length) as usize - 4);
        while !bytes.is_empty() {
            batches.extend(decoder.feed(&mut bytes).map_err(|error| error.chain())?);
        }
        rest = behind;
    }
    batches.extend(decoder.finish().map_err(|error| error.chain())?);
    assert_eq!(decoder.bytes(), stream.len() as u64);
    Ok((batches, decoder.invalid().to_vec()))
}

fn decode(
    columns: &[Column],
    stream: &[u8],
    piece: usize,
) -> Result<(Vec<RecordBatch>, Vec<u64>), String> {
    let mut decoder = CopyDecoder::new(columns).map_err(|error| error.chain())?;
    let mut batches = Vec::new();
    for mut chunk in stream.chunks(piece) {
        while !chunk.is_empty() {
            batches.extend(decoder.feed(&mut chunk).map_err(|error| error.chain())?);
        }
    }
    batches.extend(decoder.finish().map_err(|error| error.chain())?);
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    assert_eq!(decoder.rows(), rows as u64);
    assert_eq!(decoder.bytes(), stream.len() as u64);
    Ok((batches, decoder.invalid().to_vec()))
}
