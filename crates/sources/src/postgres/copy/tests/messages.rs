//! The stream in the messages that the server sends it in.

use arrow_array::RecordBatch;
use proptest::prelude::*;
use sluice_contracts::Result;
use sluice_contracts::documents::{Column, OnInvalid, TargetType};

use super::encode::{column, decode, numeric, stream};
use crate::postgres::copy::{CopyDecoder, HEADER};

/// A message with bytes of a COPY.
pub(in crate::postgres) fn message(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len() + 4).unwrap();
    [&b"d"[..], &length.to_be_bytes(), bytes].concat()
}

/// The messages of a stream: one for each row. The header comes with the first, and what is no row of so
/// many columns is one message.
pub(in crate::postgres) fn messages(stream: &[u8], columns: usize) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    let (mut first, mut at) = (0, HEADER);
    while let Some(end) = row_end(stream, at, columns) {
        messages.push(message(&stream[first..end]));
        (first, at) = (end, end);
    }
    messages.push(message(&stream[first..]));
    messages
}

fn row_end(stream: &[u8], mut at: usize, columns: usize) -> Option<usize> {
    let count = i16::from_be_bytes(*stream.get(at..)?.first_chunk()?);
    if usize::try_from(count) != Ok(columns) {
        return None;
    }
    at += 2;
    for _ in 0..columns {
        let length = i32::from_be_bytes(*stream.get(at..)?.first_chunk()?);
        at += 4 + usize::try_from(length.max(0)).unwrap();
    }
    (at <= stream.len()).then_some(at)
}

/// Decodes a stream in its messages.
pub(super) fn decode_messages(
    columns: &[Column],
    stream: &[u8],
) -> Result<(Vec<RecordBatch>, Vec<u64>)> {
    let messages = messages(stream, columns.len());
    let mut rest = &messages.concat()[..];
    let mut decoder = CopyDecoder::new(columns)?;
    let mut batches = Vec::new();
    while !rest.is_empty() {
        let before = rest.len();
        let batch = decoder.feed_messages(&mut rest)?;
        if rest.len() < before || batch.is_some() {
            batches.extend(batch);
            continue;
        }
        let length = 1 + u32::from_be_bytes(*rest[1..].first_chunk().unwrap()) as usize;
        let (mut bytes, behind) = rest[5..].split_at(length - 5);
        while !bytes.is_empty() {
            batches.extend(decoder.feed(&mut bytes)?);
        }
        rest = behind;
    }
    batches.extend(decoder.finish()?);
    Ok((batches, decoder.invalid().to_vec()))
}

/// A column of each type that has a loop of its own, and of two that have none.
fn columns(on_invalid: OnInvalid) -> Vec<Column> {
    let types = [
        ("int8", None),
        ("int4", None),
        ("int2", None),
        ("float8", None),
        ("date", None),
        ("timestamptz", None),
        ("numeric(12,2)", None),
        ("numeric", None),
        ("text", None),
        ("jsonb", None),
        ("uuid", None),
        ("int4[]", None),
        ("bool", None),
        ("uuid", Some(TargetType::Bytes)),
        ("text", None),
    ];
    let of_type = |(at, (pg, target)): (usize, &(&str, _))| Column {
        name: format!("c{at}"),
        on_invalid,
        ..column(pg, *target)
    };
    types.iter().enumerate().map(of_type).collect()
}

/// A value of each of these columns. Some seeds make values that a column cannot hold.
fn row(seed: i64) -> Vec<Option<Vec<u8>>> {
    let low = i32::try_from(seed % 1_000_000_007).unwrap();
    let is_odd = seed % 7 == 3;
    let decimal = format!("{}.{:02}", seed / 100 % 10_000_000, (seed % 100).abs());
    // The lengths around which a value is copied in another way.
    let lengths = [0, 1, 15, 16, 17, 63, 64, 65, 200];
    let length = lengths[usize::try_from(seed.rem_euclid(9)).unwrap()];
    let text: &[u8] = if is_odd { b"\xff" } else { &[b'x'; 200][..length] };
    [
        (1, seed.to_be_bytes().to_vec()),
        (2, low.to_be_bytes().to_vec()),
        (3, i16::try_from(low % 30_000).unwrap().to_be_bytes().to_vec()),
        (4, f64::from(low).to_be_bytes().to_vec()),
        (5, if is_odd { i32::MAX } else { low % 100_000 }.to_be_bytes().to_vec()),
        (6, if is_odd { i64::MIN } else { seed % 1_000_000 }.to_be_bytes().to_vec()),
        (7, numeric(&decimal)),
        (8, if is_odd { b"\0\0\0\0\xc0\0\0\0".to_vec() } else { numeric(&decimal) }),
        (9, text.to_vec()),
        (10, [b"\x01", text].concat()),
        (11, [seed.to_be_bytes(), seed.to_le_bytes()].concat()),
        (12, super::encode::array(&[Some(low.to_be_bytes().to_vec()), None])),
        (13, vec![u8::from(low % 2 == 0)]),
        (14, [seed.to_le_bytes(), seed.to_be_bytes()].concat()),
        (15, text.to_vec()),
    ]
    .map(|(at, value)| (seed.rem_euclid(at + 5) != at).then_some(value))
    .to_vec()
}

proptest! {
    #[test]
    fn whole_rows_are_decoded_as_a_stream_of_bytes_is(
        seeds in proptest::collection::vec(any::<i64>(), 0..300),
        lenient: bool,
    ) {
        let columns = columns(if lenient { OnInvalid::Null } else { OnInvalid::Fail });
        let rows: Vec<_> = seeds.iter().map(|seed| row(*seed)).collect();
        let stream = stream(&rows);
        match (decode_messages(&columns, &stream), decode(&columns, &stream, &[])) {
            (Ok(messages), Ok(bytes)) => prop_assert_eq!(messages, bytes),
            (messages, bytes) => {
                // The first value that is refused is one of the same rows, perhaps in another column.
                prop_assert_eq!(messages.is_err(), bytes.is_err());
                prop_assert!(!lenient);
            }
        }
    }
}

#[test]
fn malformed_values_of_whole_rows_are_refused() {
    for (pg, target, value) in [
        ("bool", None, &[2][..]),
        ("bool", None, &[0, 1]),
        ("uuid", Some(TargetType::Bytes), &[7; 15]),
        ("uuid", Some(TargetType::Bytes), &[7; 17]),
        ("int4", None, &[7; 8]),
        ("int8", None, &[7; 4]),
        ("jsonb", None, b""),
        ("jsonb", None, b"\x02{}"),
    ] {
        let column = Column { on_invalid: OnInvalid::Null, ..column(pg, target) };
        // The first row comes with the header, and is no whole message.
        let stream = stream(&[vec![None], vec![Some(value.to_vec())]]);
        let error = decode_messages(&[column], &stream).unwrap_err().to_string();
        assert!(error.contains("row 2 of the unit is malformed"), "{pg}: {error}");
    }
}

#[test]
fn a_message_that_is_no_whole_row_is_left() {
    let columns = [column("int8", None), column("text", None)];
    let mut decoder = CopyDecoder::new(&columns).unwrap();
    let header = stream(&[]);
    decoder.feed(&mut &header[..HEADER]).unwrap();
    let whole = b"\0\x02\0\0\0\x08\0\0\0\0\0\0\0\x07\xff\xff\xff\xff";
    let mut others =
        vec![message(&whole[..whole.len() - 1]), message(&[whole, &b"\0"[..]].concat())];
    others.push(message(b"\0\x01\xff\xff\xff\xff"));
    others.push(message(b"\0\x02\xff\xff\xff\xfe\xff\xff\xff\xff"));
    others.push(message(b"\xff\xff"));
    others.push(b"c\0\0\0\x04".to_vec());
    others.push(message(whole)[..12].to_vec());
    for other in others {
        let before = decoder.rows();
        let input = [message(whole), other.clone()].concat();
        let mut rest = &input[..];
        assert!(decoder.feed_messages(&mut rest).unwrap().is_none());
        assert_eq!((rest, decoder.rows()), (&other[..], before + 1));
    }
    let batch = {
        decoder.feed(&mut &b"\xff\xff"[..]).unwrap();
        decoder.finish().unwrap().unwrap()
    };
    assert_eq!(batch.num_rows(), 7);
}

#[test]
fn a_batch_ends_in_the_same_row() {
    let columns = [column("text", None)];
    for length in [0, 900, 70_000] {
        let rows = vec![vec![Some(vec![b'x'; length])]; 9_000_000 / (length + 400)];
        let stream = stream(&rows);
        let sizes = |batches: Vec<RecordBatch>| {
            batches.iter().map(RecordBatch::num_rows).collect::<Vec<_>>()
        };
        let bytes = sizes(decode(&columns, &stream, &[]).unwrap().0);
        let messages = sizes(decode_messages(&columns, &stream).unwrap().0);
        assert!(bytes.len() > 1);
        assert_eq!(messages, bytes, "{length}");
    }
}
