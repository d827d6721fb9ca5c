//! What decoding a stream of PostgreSQL's binary `COPY` takes, column by column.
//!
//! `cargo bench -p sluice-sources` prints the time of a stream of 200,000 rows, and the rows and bytes of a second.
//! Compare two builds alternately on one machine: its speed changes over time.
#![expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]

use std::fmt;

use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use sluice_contracts::documents::{Column, Decimal, TargetType};
use sluice_sources::CopyDecoder;

const ROWS: u32 = 200_000;
/// What a stream begins and ends with.
const HEADER: &[u8; 19] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
const TRAILER: &[u8; 2] = b"\xff\xff";

/// A column's encoding, its target, and its value in a row.
struct Case {
    encoding: &'static str,
    target_type: TargetType,
    value: fn(u32) -> Vec<u8>,
}

const CASES: &[Case] = &[
    Case {
        encoding: "bool",
        target_type: TargetType::Bool,
        value: |row| vec![u8::from(row % 7 == 0)],
    },
    Case {
        encoding: "int8",
        target_type: TargetType::Int64,
        value: |row| i64::from(row).to_be_bytes().to_vec(),
    },
    Case {
        encoding: "float8",
        target_type: TargetType::Float64,
        value: |row| f64::from(row).to_be_bytes().to_vec(),
    },
    Case {
        encoding: "text",
        target_type: TargetType::String,
        value: |row| format!("customer {row} of the shop").into_bytes(),
    },
    Case {
        encoding: "timestamptz",
        target_type: TargetType::Timestamp,
        value: |row| (700_000_000_000_000 + i64::from(row)).to_be_bytes().to_vec(),
    },
    Case { encoding: "numeric", target_type: TargetType::Numeric, value: numeric },
    Case {
        encoding: "jsonb",
        target_type: TargetType::Json,
        value: |row| format!("\u{1}{{\"id\": {row}}}").into_bytes(),
    },
    Case { encoding: "uuid", target_type: TargetType::Bytes, value: uuid },
    Case { encoding: "uuid", target_type: TargetType::String, value: uuid },
];

/// An amount with two digits after the point.
/// <https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/adt/numeric.c>, `numeric_send`
fn numeric(row: u32) -> Vec<u8> {
    let whole = i16::try_from(row % 10_000).unwrap_or_default();
    let cents = i16::try_from(row % 100 * 100).unwrap_or_default();
    [2_i16, 0, 0, 2, whole, cents].iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn uuid(row: u32) -> Vec<u8> {
    u128::from(row).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835).to_be_bytes().to_vec()
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.encoding, self.target_type)
    }
}

fn main() {
    divan::main();
}

/// Decodes a stream, and checks that no row is lost.
#[divan::bench(args = CASES)]
fn decode(bencher: Bencher<'_, '_>, case: &Case) {
    let stream = stream(case.value);
    let columns = [column(case)];
    let bencher = bencher.counter(ItemsCount::new(ROWS)).counter(BytesCount::of_slice(&stream));
    bencher.bench(|| {
        let mut decoder = CopyDecoder::new(&columns).expect("the encoding is known");
        decoder.feed(&mut &HEADER[..]).expect("the header is right");
        let (mut rows, mut rest) = (0, &stream[..]);
        while !rest.is_empty() {
            if let Some(batch) = decoder.feed_messages(&mut rest).expect("the stream is right") {
                rows += batch.num_rows();
            }
        }
        decoder.feed(&mut &TRAILER[..]).expect("the trailer is right");
        let last = decoder.finish().expect("the stream is whole");
        rows += last.map_or(0, |batch| batch.num_rows());
        assert_eq!(rows, ROWS as usize);
    });
}

/// The messages of rows with one column.
fn stream(value: fn(u32) -> Vec<u8>) -> Vec<u8> {
    let mut stream = Vec::new();
    for row in 0..ROWS {
        let value = value(row);
        let length = i32::try_from(value.len()).expect("a value is short");
        stream.push(b'd');
        stream.extend((length + 10).to_be_bytes());
        stream.extend(1_i16.to_be_bytes());
        stream.extend(length.to_be_bytes());
        stream.extend(value);
    }
    stream
}

fn column(case: &Case) -> Column {
    let decimal =
        (case.target_type == TargetType::Numeric).then_some(Decimal { precision: 15, scale: 2 });
    Column { decimal, ..Column::plain("c", case.encoding, case.target_type) }
}
