//! What encoding a part file takes, column by column.
//!
//! `cargo bench -p sluice-extractor` prints the time of 1,000,000 rows, and the rows of a second. Compare two builds
//! alternately on one machine: its speed changes over time.
#![expect(clippy::expect_used, reason = "a benchmark stops where it cannot go on")]

use std::fmt;
use std::sync::Arc;

use arrow_array::types::{Date32Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    ArrayRef, ArrowPrimitiveType, Decimal128Array, FixedSizeBinaryArray, PrimitiveArray,
    RecordBatch, StringArray,
};
use divan::Bencher;
use divan::counter::ItemsCount;
use sluice_contracts::documents::{Column, Decimal, TargetType, arrow_schema};

/// Rows of a batch, and batches.
const ROWS: u64 = 4_000;
const BATCHES: u64 = 250;

/// A column: what its values are, and those of the rows from a number on.
struct Case {
    what: &'static str,
    target_type: TargetType,
    array: fn(std::ops::Range<u64>) -> ArrayRef,
}

const CASES: &[Case] = &[
    Case {
        what: "a key that grows",
        target_type: TargetType::Int64,
        array: |rows| numbers::<Int64Type>(rows.map(u64::cast_signed)),
    },
    Case {
        what: "a foreign key",
        target_type: TargetType::Int64,
        array: |rows| numbers::<Int64Type>(rows.map(|row| (random(row) % 200_000).cast_signed())),
    },
    Case {
        what: "a foreign key of 32 bits",
        target_type: TargetType::Int64,
        array: |rows| {
            let key = |row| i32::try_from(random(row) % 200_000).unwrap_or_default();
            numbers::<Int32Type>(rows.map(key))
        },
    },
    Case {
        what: "one of ten numbers",
        target_type: TargetType::Int64,
        array: |rows| numbers::<Int64Type>(rows.map(|row| (random(row) % 10).cast_signed())),
    },
    Case {
        what: "moments",
        target_type: TargetType::Timestamp,
        array: |rows| {
            let micros = rows.map(|row| (random(row) % 31_536_000_000_000).cast_signed());
            let moments = PrimitiveArray::<TimestampMicrosecondType>::from_iter_values(micros);
            Arc::new(moments.with_timezone("UTC"))
        },
    },
    Case {
        what: "days of seven years",
        target_type: TargetType::Date,
        array: |rows| {
            let day = |row| i32::try_from(random(row) % 2_557).unwrap_or_default();
            numbers::<Date32Type>(rows.map(day))
        },
    },
    Case {
        what: "amounts",
        target_type: TargetType::Numeric,
        array: |rows| {
            let amounts = rows.map(|row| i128::from(random(row) % 10_000_000));
            let amounts = Decimal128Array::from_iter_values(amounts);
            Arc::new(amounts.with_precision_and_scale(15, 2).expect("the digits are few"))
        },
    },
    Case {
        what: "sentences",
        target_type: TargetType::String,
        array: |rows| texts(rows.map(|row| format!("order {} came late", random(row) % 1_000_000))),
    },
    Case {
        what: "one of seven words",
        target_type: TargetType::String,
        array: |rows| texts(rows.map(|row| format!("state {}", random(row) % 7))),
    },
    Case {
        what: "uuid",
        target_type: TargetType::Bytes,
        array: |rows| {
            let value = |row| u128::from(random(row)) << 64 | u128::from(random(row + 1));
            let values = rows.map(|row| value(row).to_be_bytes());
            Arc::new(FixedSizeBinaryArray::try_from_iter(values).expect("all have one length"))
        },
    },
];

/// A number that looks like chance, and is the same in each run.
/// <https://prng.di.unimi.it/splitmix64.c>
fn random(row: u64) -> u64 {
    let mixed = row.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}

fn numbers<P: ArrowPrimitiveType>(values: impl Iterator<Item = P::Native>) -> ArrayRef {
    Arc::new(PrimitiveArray::<P>::from_iter_values(values))
}

fn texts(values: impl Iterator<Item = String>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.what)
    }
}

fn main() {
    divan::main();
}

#[divan::bench(args = CASES, sample_count = 20)]
fn encode(bencher: Bencher<'_, '_>, case: &Case) {
    let columns = [column(case)];
    let schema = arrow_schema(&columns);
    let batches: Vec<RecordBatch> = (0..BATCHES)
        .map(|batch| (case.array)(batch * ROWS..(batch + 1) * ROWS))
        .map(|array| RecordBatch::try_new(Arc::clone(&schema), vec![array]))
        .collect::<Result<_, _>>()
        .expect("the arrays are those of the schema");
    let bencher = bencher.counter(ItemsCount::new(ROWS * BATCHES));
    bencher
        .bench(|| sluice_extractor::encode(&columns, batches.clone()).expect("rows are encoded"));
}

fn column(case: &Case) -> Column {
    let encoding = match case.what {
        "a foreign key of 32 bits" => "int4",
        "uuid" => "uuid",
        _ => "",
    };
    let decimal =
        (case.target_type == TargetType::Numeric).then_some(Decimal { precision: 15, scale: 2 });
    Column { decimal, ..Column::plain("c", encoding, case.target_type) }
}
