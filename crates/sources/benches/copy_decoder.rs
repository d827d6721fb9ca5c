//! What decoding a stream of PostgreSQL's binary `COPY` takes, column by column.
//!
//! `cargo bench -p sluice-sources` prints a table: the best of several passes over one stream in
//! memory. Compare two builds alternately on one machine: its speed changes over time.
#![expect(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a benchmark prints its table, and stops where it cannot go on"
)]

use std::time::{Duration, Instant};

use sluice_contracts::documents::{Column, Decimal, OnInvalid, TargetType};
use sluice_sources::CopyDecoder;

const ROWS: u32 = 200_000;
const PASSES: u32 = 7;
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
];

/// An amount with two digits after the point.
/// <https://github.com/postgres/postgres/blob/REL_17_STABLE/src/backend/utils/adt/numeric.c>, `numeric_send`
fn numeric(row: u32) -> Vec<u8> {
    let whole = i16::try_from(row % 10_000).unwrap_or_default();
    let cents = i16::try_from(row % 100 * 100).unwrap_or_default();
    [2_i16, 0, 0, 2, whole, cents].iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn main() {
    println!("| column | target | ns a row | MB/s |");
    println!("| --- | --- | --- | --- |");
    for case in CASES {
        let stream = stream(case.value);
        let best = (0..PASSES).map(|_| pass(case, &stream)).min().unwrap_or(Duration::MAX);
        let nanoseconds = best.as_secs_f64() * 1e9 / f64::from(ROWS);
        let bytes = f64::from(u32::try_from(stream.len()).expect("the stream is small"));
        let megabytes = bytes / 1e6 / best.as_secs_f64();
        println!(
            "| {} | {} | {nanoseconds:.1} | {megabytes:.0} |",
            case.encoding, case.target_type
        );
    }
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

/// Decodes the stream once, and checks that no row is lost.
fn pass(case: &Case, stream: &[u8]) -> Duration {
    let column = Column {
        name: "c".into(),
        source_name: "c".into(),
        source_type: case.encoding.into(),
        encoding: case.encoding.into(),
        target_type: case.target_type,
        repeated: false,
        decimal: (case.target_type == TargetType::Numeric).then_some(Decimal::NUMERIC),
        fields: Vec::new(),
        nullable: None,
        max_length: None,
        description: None,
        on_invalid: OnInvalid::Fail,
        invalid: None,
    };
    let mut decoder = CopyDecoder::new(&[column]).expect("the encoding is known");
    let mut rows = 0;
    let began = Instant::now();
    decoder.feed(&mut &HEADER[..]).expect("the header is right");
    let mut rest = stream;
    while !rest.is_empty() {
        if let Some(batch) = decoder.feed_messages(&mut rest).expect("the stream is right") {
            rows += batch.num_rows();
        }
    }
    decoder.feed(&mut &TRAILER[..]).expect("the trailer is right");
    let last = decoder.finish().expect("the stream is whole");
    let took = began.elapsed();
    rows += last.map_or(0, |batch| batch.num_rows());
    assert_eq!(rows, ROWS as usize);
    took
}
