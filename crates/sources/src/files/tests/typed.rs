//! Parquet and Avro.

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, ListArray, StringArray, TimestampNanosecondArray,
};
use arrow_avro::writer::AvroWriter;
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use super::ranges::ranges;
use super::*;
use crate::files::format::Format;
use crate::files::listing::list;
use crate::files::typed::look_at;

/// A file of row groups of so many rows.
pub(super) fn parquet_of(batch: &RecordBatch, group: usize) -> Vec<u8> {
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
    writer.write(batch).unwrap();
    writer.into_inner().unwrap()
}

/// A file of blocks of so many records.
fn avro_of(batch: &RecordBatch, block: usize) -> Vec<u8> {
    let mut writer = AvroWriter::new(Vec::new(), batch.schema().as_ref().clone()).unwrap();
    for from in (0..batch.num_rows()).step_by(block) {
        writer.write(&batch.slice(from, block.min(batch.num_rows() - from))).unwrap();
    }
    writer.finish().unwrap();
    writer.into_inner()
}

/// A column of one name.
fn one(name: &str, array: ArrayRef) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable([(name, array, true)]).unwrap()
}

pub(super) fn ints(name: &str, values: Vec<i32>) -> RecordBatch {
    one(name, Arc::new(Int32Array::from(values)))
}

pub(super) fn days_of(days: Vec<i32>) -> RecordBatch {
    one("v", Arc::new(Date32Array::from(days)))
}

fn numbers(count: i32) -> RecordBatch {
    let notes: StringArray = (0..count).map(|id| Some(format!("note {id}"))).collect();
    let ids: ArrayRef = Arc::new(Int32Array::from_iter_values(0..count));
    RecordBatch::try_from_iter([("id", ids), ("note", Arc::new(notes))]).unwrap()
}

pub(super) fn conforming(pattern: &str, rows: i64) -> Vec<u8> {
    let rows = conformance::batch((1..=rows).collect()).unwrap();
    if pattern.ends_with("avro") { avro_of(&rows, 50) } else { parquet_of(&rows, 50) }
}

pub(super) fn altered(pattern: &str) -> Vec<u8> {
    let ids = one("id", Arc::new(Int64Array::from(vec![1])));
    if pattern.ends_with("avro") { avro_of(&ids, 1) } else { parquet_of(&ids, 1) }
}

#[tokio::test]
async fn parquet_and_avro_do_what_every_source_has_to() {
    for name in ["rows.parquet", "rows.avro"] {
        let folder = Folder::of(name, conforming(name, ROWS));
        conformance::all(&Fixture(folder)).await.unwrap();
    }
}

#[tokio::test]
async fn ranges_have_each_row_group_and_each_block_once() {
    let rows = numbers(3_000);
    for (name, bytes) in [("a.parquet", parquet_of(&rows, 70)), ("a.avro", avro_of(&rows, 7))] {
        let folder = Folder::of(name, bytes);
        let whole = folder.rows().await.unwrap();
        assert_eq!(whole.len(), 3_000);
        for count in [2, 7, 16, 1_000] {
            let (table, units) = ranges(&folder, count).await;
            assert!(units.len() > 1, "{name}: {} ranges", units.len());
            let mut read = Vec::new();
            for unit in &units {
                read.extend(folder.read(&table, unit).await.unwrap().0);
            }
            assert_eq!(read, whole, "{name} in {count} ranges");
        }
    }
}

#[tokio::test]
async fn a_range_that_begins_or_ends_within_a_block_is_refused() {
    let folder = Folder::of("a.avro", avro_of(&numbers(300), 30));
    let (table, units) = ranges(&folder, 2).await;
    let [first, second] = units.as_slice() else { panic!("two ranges") };
    let Cut::Bytes { hi: Some(end), .. } = first.cut else { panic!("a bounded range") };
    for place in (end - 40..end + 40).filter(|place| *place != end) {
        let unit = |leaf: &Unit, lo, hi| unit(leaf.leaf.clone(), Cut::Bytes { lo, hi });
        let before = folder.read(&table, &unit(first, 0, Some(place))).await;
        let behind = folder.read(&table, &unit(second, place, None)).await;
        for refused in [before, behind] {
            let error = said(&refused.expect_err("no block begins there"));
            assert!(error.contains("a.avro") && error.contains("block"), "{error}");
        }
    }
}

#[tokio::test]
async fn a_file_that_is_cut_off_is_refused() {
    let rows = numbers(100);
    for (name, bytes) in [("a.parquet", parquet_of(&rows, 30)), ("a.avro", avro_of(&rows, 30))] {
        for length in 1..bytes.len() {
            let folder = Folder::of(name, &bytes[..length]);
            match folder.rows().await {
                Err(error) => assert!(said(&error).contains(name), "{error:?}"),
                // An Avro file may end with any of its blocks.
                Ok(read) => assert!(name == "a.avro" && read.len() % 30 == 0, "{length} bytes"),
            }
        }
    }
}

#[tokio::test]
async fn what_a_column_cannot_hold_is_refused_or_counted() {
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_000, 1_001, -999]));
    let days: ArrayRef = Arc::new(Date32Array::from(vec![0, i32::MAX, 2_932_896]));
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>([
        Some(vec![Some(1)]),
        Some(vec![Some(1), None]),
        None,
    ]);
    for (array, why, place, counted) in [
        (nanos, "parts of a microsecond", "row 2", 2),
        (days, "a day outside of the years 1 to 9999", "row 2", 1),
        (Arc::new(lists), "a NULL in an array", "row 2", 1),
    ] {
        let folder = Folder::of("a.parquet", parquet_of(&one("v", array), 10));
        let error = said(&folder.refused().await);
        assert!(error.contains(why) && error.contains(place) && error.contains("`v`"), "{error}");
        let mut job = folder.job();
        let lenient = serde_json::json!({"on_invalid": "null"});
        job.columns.insert("v".into(), serde_json::from_value(lenient).unwrap());
        let described = folder.describe(&job).await.unwrap();
        let whole = unit(described.pieces[0].leaf.clone(), Cut::Full);
        let table = planned(&job, &described);
        let mut reader = folder.source().reader("test", Join::Independent).await.unwrap().unwrap();
        let mut batches = reader.read(&table, &whole).await.unwrap();
        let batch = batches.next().await.unwrap().unwrap();
        assert_eq!(batches.invalid(), [counted]);
        assert!(batch.column(0).is_null(1) && batch.column(0).is_valid(0), "{batch:?}");
    }
}

#[tokio::test]
async fn columns_that_differ_are_widened_or_refused() {
    let ints = parquet_of(&ints("v", vec![1]), 1);
    let longs = parquet_of(&one("v", Arc::new(Int64Array::from(vec![1_i64 << 40]))), 1);
    let texts = parquet_of(&one("v", Arc::new(StringArray::from(vec!["x"]))), 1);
    let folder = Folder::new("*.parquet").with("a.parquet", &ints).with("b.parquet", &longs);
    assert_eq!(folder.rows().await.unwrap(), ["1", "1099511627776"]);
    let folder = folder.with("c.parquet", &texts);
    let error = said(&folder.refused().await);
    for part in ["a.parquet", "c.parquet", "`v` is int32", "string", "`columns.v.type`"] {
        assert!(error.contains(part), "{error}");
    }
    let mut job = folder.job();
    job.columns.insert("v".into(), of_type("STRING"));
    assert_eq!(folder.rows_of(&job).await.unwrap().0, ["1", "1099511627776", "x"]);
}

#[tokio::test]
async fn columns_that_come_and_go_follow_the_rules_of_the_job() {
    let more = parquet_of(&numbers(2), 2);
    let fewer = parquet_of(&ints("id", vec![7]), 1);
    let folder = Folder::new("*.parquet").with("a.parquet", &more).with("b.parquet", &fewer);
    let error = said(&folder.refused().await);
    assert!(error.contains("b.parquet") && error.contains("no column `note`"), "{error}");
    let folder = folder.option("missing", "null");
    assert_eq!(folder.rows().await.unwrap(), ["0|note 0", "1|note 1", "7|-"]);
    let folder = Folder::new("*.parquet").with("a.parquet", &fewer).with("b.parquet", &more);
    let error = said(&folder.refused().await);
    assert!(error.contains("b.parquet") && error.contains("`note` that the plan"), "{error}");
    let folder = folder.option("unknown", "ignore");
    assert_eq!(folder.rows().await.unwrap(), ["7", "0", "1"]);
}

#[tokio::test]
async fn a_format_is_told_by_the_first_bytes_where_the_name_does_not() {
    let rows = numbers(3);
    for bytes in [parquet_of(&rows, 3), avro_of(&rows, 3)] {
        assert_eq!(Folder::of("part-00000", bytes).rows().await.unwrap().len(), 3);
    }
    let error = said(&Folder::of("a.parquet", "id,note\n1,x\n").refused().await);
    assert!(error.contains("a.parquet") && error.contains("`source.format.type`"), "{error}");
}

#[tokio::test]
async fn what_a_load_job_would_change_is_not_left_to_it() {
    let look = async |folder: &Folder| {
        let described = folder.describe(&folder.job()).await.unwrap();
        let mut format = Format::of(&described.relation.unwrap()).unwrap();
        format.known = None;
        let store = FileStore::open(&Address::parse(&folder.url()).unwrap()).unwrap();
        let store = Arc::new(store);
        let files = list(&store.objects, &[Address::parse(&folder.url()).unwrap()]).await.unwrap();
        let look = look_at(&store, &format, &files, &folder.job()).await.unwrap();
        look.loaded(files.len(), &described.columns)
    };
    let rows = numbers(7);
    let folder = Folder::new("*").with("a.parquet", parquet_of(&rows, 3));
    assert_eq!(look(&folder).await, Ok(Some(7)));
    let folder = folder.with("b.parquet", parquet_of(&rows, 7));
    assert_eq!(look(&folder).await, Ok(Some(14)));
    let longs = parquet_of(&one("v", Arc::new(Int64Array::from(vec![1]))), 1);
    let mixed = Folder::new("*")
        .with("a.parquet", parquet_of(&ints("v", vec![1]), 1))
        .with("b.parquet", longs);
    assert!(look(&mixed).await.unwrap_err().contains("b.parquet` has other columns"));
    let nanos: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![1_000]));
    let fine = Folder::of("a.parquet", parquet_of(&one("v", nanos), 1));
    assert!(look(&fine).await.unwrap_err().contains("`v` is local_timestamp_nanos"));
    assert_eq!(look(&Folder::of("a.avro", avro_of(&rows, 3))).await, Ok(None));
}
