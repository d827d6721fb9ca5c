//! What is written is read again, by the reader of the `parquet` crate.

use std::sync::Arc;

use arrow_array::builder::{ListBuilder, StringBuilder};
use arrow_array::types::ArrowPrimitiveType;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float64Array, Int64Array, PrimitiveArray, RecordBatch, StringArray,
    StructArray, Time64MicrosecondArray, TimestampMicrosecondArray,
};
use arrow_buffer::i256;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, Encoding};
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::properties::{EnabledStatistics, WriterPropertiesBuilder};
use parquet::file::statistics::Statistics;
use proptest::prelude::*;

use super::*;

/// What stands in a row: NULL, or what the value of each column is made of.
type Seed = Option<i64>;

fn properties() -> WriterPropertiesBuilder {
    WriterProperties::builder()
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
}

/// A row group that is written and read again: the batch, and what the file says of its columns.
fn again(
    batches: &[RecordBatch],
    properties: WriterPropertiesBuilder,
    page_bytes: usize,
) -> (RecordBatch, Vec<ColumnChunkMetaData>) {
    let mut encoder = FileEncoder::new(batches[0].schema(), properties.build()).unwrap();
    encoder.page_bytes = page_bytes;
    for batch in batches {
        encoder.write(batch).unwrap();
    }
    encoder.finish().unwrap();
    let mut file = Vec::new();
    while let Some(piece) = encoder.outbox().take() {
        file.extend_from_slice(&piece);
    }
    let rows: usize = batches.iter().map(RecordBatch::num_rows).sum();
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
    assert_eq!(reader.metadata().file_metadata().num_rows(), i64::try_from(rows).unwrap());
    let columns = reader.metadata().row_groups().iter().flat_map(|group| group.columns().to_vec());
    let columns: Vec<_> = columns.collect();
    let mut read = reader.with_batch_size(rows.max(1)).build().unwrap();
    let batch = read.next().unwrap().unwrap();
    assert!(read.next().is_none());
    (batch, columns)
}

fn numbers<T: ArrowPrimitiveType>(
    seeds: &[Seed],
    of: impl Fn(i64) -> T::Native,
) -> PrimitiveArray<T> {
    seeds.iter().map(|seed| seed.map(&of)).collect()
}

/// One column of each type that a table can have.
fn every_type(seeds: &[Seed]) -> RecordBatch {
    let text =
        |seed: i64| "é".repeat(usize::try_from(seed.rem_euclid(40)).unwrap()) + &seed.to_string();
    let texts = || seeds.iter().map(|seed| seed.map(text));
    let decimal = |digits: u8, scale: i8| {
        let limit = 10_i128.pow(digits.into());
        let factor = if digits > 18 { 1 << 60 } else { 1 };
        let array: Decimal128Array = numbers(seeds, |seed| i128::from(seed) * factor % limit);
        Arc::new(array.with_precision_and_scale(digits, scale).unwrap()) as ArrayRef
    };
    let wide: Decimal256Array = numbers(seeds, |seed| {
        i256::from_i128(i128::from(seed) << 60).wrapping_mul(i256::from_i128(7 << 90))
    });
    let mut lists = ListBuilder::new(StringBuilder::new());
    for seed in seeds {
        let elements = seed.map_or(0, |seed| seed.rem_euclid(4));
        for element in 0..elements {
            lists.values().append_option((element != 1).then(|| element.to_string()));
        }
        lists.append(seed.is_some());
    }
    let of_struct = |name: &str, array: ArrayRef| {
        (Arc::new(arrow_schema::Field::new(name, array.data_type().clone(), true)), array)
    };
    let structs = StructArray::from(vec![
        of_struct("number", Arc::new(numbers::<arrow_array::types::Int64Type>(seeds, |seed| seed))),
        of_struct("text", Arc::new(texts().collect::<StringArray>())),
    ]);
    let sixteen = seeds.iter().map(|seed| seed.map(|seed| i128::from(seed).to_be_bytes()));
    let fixed = FixedSizeBinaryArray::try_from_sparse_iter_with_size(sixteen, 16).unwrap();
    let columns: Vec<(&str, ArrayRef)> = vec![
        (
            "bool",
            Arc::new(
                seeds.iter().map(|seed| seed.map(|seed| seed % 3 == 0)).collect::<BooleanArray>(),
            ),
        ),
        ("list", Arc::new(lists.finish())),
        (
            "date",
            Arc::new(numbers::<arrow_array::types::Date32Type>(seeds, |seed| {
                i32::try_from(seed % (1 << 31)).unwrap()
            }) as Date32Array),
        ),
        (
            "int32",
            Arc::new(numbers::<arrow_array::types::Int32Type>(seeds, |seed| {
                i32::try_from(seed % (1 << 31)).unwrap()
            })),
        ),
        ("int64", Arc::new(seeds.iter().copied().collect::<Int64Array>())),
        (
            "float64",
            Arc::new(
                seeds
                    .iter()
                    .map(|seed| seed.map(|seed| f64::from_bits(seed.cast_unsigned() << 12)))
                    .collect::<Float64Array>(),
            ),
        ),
        ("time", Arc::new(seeds.iter().copied().collect::<Time64MicrosecondArray>())),
        ("struct", Arc::new(structs)),
        ("datetime", Arc::new(seeds.iter().copied().collect::<TimestampMicrosecondArray>())),
        (
            "timestamp",
            Arc::new(
                seeds.iter().copied().collect::<TimestampMicrosecondArray>().with_timezone("UTC"),
            ),
        ),
        ("decimal9", decimal(9, 2)),
        ("decimal18", decimal(18, 4)),
        ("decimal29", decimal(29, 0)),
        ("decimal38", decimal(38, 9)),
        ("decimal76", Arc::new(wide.with_precision_and_scale(76, 38).unwrap())),
        ("text", Arc::new(texts().collect::<StringArray>())),
        (
            "bytes",
            Arc::new(texts().map(|text| text.map(String::into_bytes)).collect::<BinaryArray>()),
        ),
        ("fixed", Arc::new(fixed)),
    ];
    RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap()
}

fn cut(batch: &RecordBatch, at: &[usize]) -> Vec<RecordBatch> {
    let mut bounds: Vec<usize> = at.iter().map(|at| at % (batch.num_rows() + 1)).collect();
    bounds.extend([0, batch.num_rows()]);
    bounds.sort_unstable();
    bounds.windows(2).map(|pair| batch.slice(pair[0], pair[1] - pair[0])).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn every_row_is_read_again(
        seeds in prop_oneof![
            proptest::collection::vec(any::<Seed>(), 1..300),
            proptest::collection::vec(proptest::option::weighted(0.9, -3_i64..40), 1..900),
            proptest::collection::vec(any::<i64>().prop_map(Some), 1..300),
            proptest::collection::vec(Just(None), 1..20),
        ],
        at in proptest::collection::vec(any::<usize>(), 0..6),
        page_bytes in prop_oneof![Just(1_usize), 1_usize..2_000, Just(1 << 20)],
        dictionary: bool,
        largest in prop_oneof![Just(1 << 20), 1_usize..400],
    ) {
        let batch = every_type(&seeds);
        let properties = properties()
            .set_dictionary_enabled(dictionary)
            .set_dictionary_page_size_limit(largest);
        let (read, columns) = again(&cut(&batch, &at), properties, page_bytes);
        prop_assert_eq!(&read, &batch);
        for column in &columns {
            assert_spans(column, &seeds)?;
        }
    }
}

/// Checks the least and the greatest value, where the file says them.
fn assert_spans(column: &ColumnChunkMetaData, seeds: &[Seed]) -> Result<(), TestCaseError> {
    let path = column.column_path().string();
    let found = match column.statistics() {
        Some(Statistics::Int64(values)) => (values.min_opt().copied(), values.max_opt().copied()),
        Some(Statistics::Int32(values)) => {
            (values.min_opt().copied().map(i64::from), values.max_opt().copied().map(i64::from))
        }
        _ => return Ok(()),
    };
    let of = |seed: i64| match path.as_str() {
        "date" | "int32" => seed % (1 << 31),
        "decimal9" => seed % 10_i64.pow(9),
        "decimal18" => seed % 10_i64.pow(18),
        _ => seed,
    };
    if path.contains('.') {
        return Ok(());
    }
    let present = || seeds.iter().flatten().map(|seed| of(*seed));
    prop_assert_eq!(found, (present().min(), present().max()), "{}", path);
    let nulls = seeds.iter().filter(|seed| seed.is_none()).count() as u64;
    prop_assert_eq!(column.statistics().and_then(Statistics::null_count_opt), Some(nulls));
    Ok(())
}

#[test]
fn columns_that_are_never_null_and_pages_of_null_alone_are_read_again() {
    let texts: StringArray = (0..2_000).map(|n| Some(n.to_string())).collect();
    let columns: [(&str, ArrayRef); 2] = [
        ("n", Arc::new((0..2_000).map(|n| Some(n % 9)).collect::<Int64Array>())),
        ("text", Arc::new(texts)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, false)),
    )
    .unwrap();
    assert_eq!(again(&cut(&batch, &[700, 701]), properties(), 100).0, batch);

    // The dictionary has values when the page without any comes.
    let middle = (0..3_000).map(|n| (!(1_000..2_000).contains(&n)).then_some(n % 5));
    let column: ArrayRef = Arc::new(middle.collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter_with_nullable([("n", column, true)]).unwrap();
    let (read, columns) = again(&cut(&batch, &[1_000, 2_000]), properties(), 1);
    assert_eq!(read, batch);
    assert!(columns[0].dictionary_page_offset().is_some());
}

#[test]
fn a_column_has_the_encoding_and_the_codec_that_suit_it() {
    let rows = || 0..40_000_i64;
    let noise = |n: i64| {
        n.cast_unsigned()
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29)
            .wrapping_mul(0xbf58_476d_1ce4_e5b9)
    };
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("few", Arc::new(rows().map(|n| Some(n % 7)).collect::<Int64Array>())),
        ("given_up", Arc::new(rows().map(Some).collect::<Int64Array>())),
        ("none", Arc::new(Int64Array::new_null(40_000))),
        ("noise", Arc::new(rows().map(|n| Some(noise(n).cast_signed())).collect::<Int64Array>())),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns.into_iter().map(|(name, array)| (name, array, true)),
    )
    .unwrap();
    let properties = properties()
        .set_dictionary_page_size_limit(100_000)
        .set_column_dictionary_enabled("noise".into(), false);
    let batches: Vec<_> = (0..4).map(|at| batch.slice(at * 10_000, 10_000)).collect();
    let (read, columns) = again(&batches, properties, 60_000);
    assert_eq!(read, batch);
    let found: Vec<_> = columns
        .iter()
        .map(|column| {
            let dictionary = column.dictionary_page_offset().is_some();
            let mut encodings: Vec<_> = column.encodings().collect();
            encodings.sort_unstable();
            (dictionary, encodings, column.compression() != Compression::UNCOMPRESSED)
        })
        .collect();
    let both = vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY];
    let plain = vec![Encoding::PLAIN, Encoding::RLE];
    assert_eq!(
        found,
        [
            (true, both.clone(), true),
            (true, both, true),
            (false, plain.clone(), true),
            (false, plain, false),
        ]
    );
}

#[test]
fn row_groups_are_closed_by_rows_and_by_bytes() {
    let numbers: Int64Array = (0..600_000).map(Some).collect();
    let batch = RecordBatch::try_from_iter([("n", Arc::new(numbers) as ArrayRef)]).unwrap();
    let mut encoder = FileEncoder::new(batch.schema(), properties().build()).unwrap();
    for _ in 0..3 {
        encoder.write(&batch).unwrap();
    }
    let groups = |file: &ParquetMetaData| {
        file.row_groups().iter().map(RowGroupMetaData::num_rows).collect::<Vec<_>>()
    };
    assert_eq!(groups(&encoder.finish().unwrap()), [1_200_000, 600_000]);

    // Bytes that zstd makes no smaller.
    let long: Vec<u8> = (0_u64..1 << 19)
        .flat_map(|n| {
            n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(31)
                .wrapping_mul(0xbf58_476d_1ce4_e5b9)
                .to_le_bytes()
        })
        .collect();
    let rows: BinaryArray = (0..3).map(|_| Some(long.as_slice())).collect();
    let batch = RecordBatch::try_from_iter([("bytes", Arc::new(rows) as ArrayRef)]).unwrap();
    let properties = properties().set_dictionary_enabled(false).build();
    let mut encoder = FileEncoder::new(batch.schema(), properties).unwrap();
    encoder.write(&batch).unwrap();
    assert!(encoder.bytes() > 12 << 20);
    encoder.write(&batch).unwrap();
    encoder.write(&batch).unwrap();
    assert_eq!(groups(&encoder.finish().unwrap()), [6, 3]);
}

#[test]
fn a_file_of_many_columns_keeps_its_pages_small() {
    let column: ArrayRef = Arc::new((0..1_000).map(Some).collect::<Int64Array>());
    let columns = (0..1_600).map(|n| (format!("c{n}"), Arc::clone(&column)));
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let properties = properties().set_dictionary_enabled(false).build();
    let mut encoder = FileEncoder::new(batch.schema(), properties).unwrap();
    for _ in 0..20 {
        encoder.write(&batch).unwrap();
        let held = encoder.group.as_ref().map_or(0, |group| group.sizes().1);
        assert!(held <= 64 << 20, "{held}");
    }
    assert_eq!(encoder.finish().unwrap().file_metadata().num_rows(), 20_000);
}
