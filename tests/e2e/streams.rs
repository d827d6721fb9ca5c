//! Tables of BigQuery that tasks read: the streams of the Storage Read API.

use std::fs;
use std::path::Path;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{Array as _, RecordBatch};
use arrow_buffer::i256;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::json;
use sluice_tests::sluice::merge;

use crate::native::World;

/// A table whose values are formulas of `id`. (The server computes a BIGNUMERIC by way of a FLOAT64, so it
/// is a whole number here.)
const WIDE: &str = "\
    CREATE TABLE sales.wide AS SELECT i AS id, CAST(i / 8 AS NUMERIC) AS amount, \
    CAST(i AS BIGNUMERIC) AS big, i / 4 AS ratio, IF(MOD(i, 5) = 0, NULL, MOD(i, 2) = 0) AS even, \
    CONCAT('größe ', i) AS note, TIMESTAMP_MICROS(i) AS at, \
    DATETIME_ADD(DATETIME '1970-01-01 00:00:00', INTERVAL i SECOND) AS local, \
    DATE_FROM_UNIX_DATE(MOD(i, 400)) AS day, TIME '23:59:59.999999' AS clock, \
    CAST(CONCAT('b', i) AS BYTES) AS raw, JSON '{\"a\": [1, null]}' AS doc, \
    IF(MOD(i, 3) = 0, [], [i, i + 1]) AS tags, STRUCT(i AS n, ['x', 'y'] AS words) AS of \
    FROM UNNEST(GENERATE_ARRAY(1, 250000)) AS i";

fn batches(folder: &Path) -> impl Iterator<Item = RecordBatch> {
    let files =
        fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "parquet"));
    files.flat_map(|path| {
        let file = fs::File::open(path).expect("a file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("it is of Parquet");
        reader.build().expect("it can be read").map(|batch| batch.expect("it is whole"))
    })
}

fn whole(id: i64) -> f64 {
    f64::from(i32::try_from(id).expect("a small number"))
}

/// Whether every value of a row of [`WIDE`] is what its formula says.
fn is_right(batch: &RecordBatch, row: usize) -> bool {
    let column = |name| batch.column_by_name(name).expect("a column");
    let id = column("id").as_primitive::<Int64Type>().value(row);
    let eighths = i128::from(id) * 125_000_000;
    let tags = column("tags").as_list::<i32>().value(row);
    let tags = tags.as_primitive::<Int64Type>().values();
    let of = column("of").as_struct();
    let words = of.column(1).as_list::<i32>().value(row);
    let even = column("even").as_boolean();
    column("amount").as_primitive::<Decimal128Type>().value(row) == eighths
        && column("big").as_primitive::<Decimal256Type>().value(row)
            == i256::from_i128(id.into()).wrapping_mul(i256::from_i128(10).wrapping_pow(38))
        && (column("ratio").as_primitive::<Float64Type>().value(row) * 4.0).to_bits()
            == whole(id).to_bits()
        && (id % 5 == 0) == even.is_null(row)
        && (even.is_null(row) || even.value(row) == (id % 2 == 0))
        && column("note").as_string::<i32>().value(row) == format!("größe {id}")
        && column("at").as_primitive::<TimestampMicrosecondType>().value(row) == id
        && column("local").as_primitive::<TimestampMicrosecondType>().value(row) == id * 1_000_000
        && i64::from(column("day").as_primitive::<Date32Type>().value(row)) == id % 400
        && column("clock").as_primitive::<Time64MicrosecondType>().value(row) == 86_399_999_999
        && column("raw").as_binary::<i32>().value(row) == format!("b{id}").as_bytes()
        && column("doc").as_string::<i32>().value(row) == r#"{"a":[1,null]}"#
        && (if id % 3 == 0 { tags.is_empty() } else { tags[..] == [id, id + 1] })
        && of.column(0).as_primitive::<Int64Type>().value(row) == id
        && words.as_string::<i32>().iter().flatten().eq(["x", "y"])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_filled_by_streams_and_by_queries() {
    let Some(world) = World::start().await else { return };
    world.warehouse.query(WIDE).await;
    world
        .warehouse
        .query("CREATE VIEW sales.seen AS SELECT * FROM sales.wide WHERE id <= 10000")
        .await;
    let folder = world.site.path().join("warehouse").join("wide");
    let mut job = json!({
        "name": "lake",
        "source": {"url": "bigquery://shop/sales/wide"},
        "target": {"table": format!("file://{}", folder.display())},
    });
    let cut =
        json!({"partitioning": {"strategy": "bigquery_native"}, "limits": {"finish_within": "1s"}});
    for (source, more, rows, units) in [
        (json!({"url": "bigquery://shop/sales/wide"}), cut.clone(), 250_000, 3),
        (json!({"url": "bigquery://shop/sales/wide", "where": "id > 240000"}), cut, 10_000, 1),
        (json!({"url": "bigquery://shop/sales/seen"}), json!({}), 10_000, 1),
        (
            json!({"url": "bigquery://shop/sales", "query": "SELECT * FROM sales.wide WHERE id > 249000"}),
            json!({}),
            1_000,
            1,
        ),
    ] {
        let mut job = job.clone();
        job["source"] = source;
        merge(&mut job, &more);
        let ran = world.run("run", &job).await;
        let report = ran.answer();
        assert_eq!((&report["rows"], &report["units"]), (&rows.into(), &units.into()), "{ran}");
        let (mut read, mut wrong) = (0, 0);
        for batch in batches(&folder) {
            read += batch.num_rows();
            wrong += (0..batch.num_rows()).filter(|row| !is_right(&batch, *row)).count();
        }
        assert_eq!((read, wrong), (rows, 0));
    }
    // Values that become other types are computed by BigQuery.
    job["columns"] = json!({"amount": {"type": "STRING"}});
    job["source"]["columns"] = json!(["id", "amount"]);
    world.run("run", &job).await.succeeded();
    let text = |batch: &RecordBatch| batch.column(1).as_string::<i32>().value(0).to_owned();
    let first = batches(&folder).next().expect("rows");
    let id = first.column(0).as_primitive::<Int64Type>().value(0);
    let eighths = text(&first).parse::<f64>().expect("a number") * 8.0;
    assert_eq!(eighths.to_bits(), whole(id).to_bits());
}
