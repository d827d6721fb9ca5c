//! What queries say, and what is refused, by tables as BigQuery describes them.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Int64Type};
use arrow_array::{
    Array as _, ArrayRef, Decimal128Array, Decimal256Array, Int64Array, ListArray, RecordBatch,
    StringArray, StructArray, TimestampMicrosecondArray,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, Field, Schema};
use chrono::DateTime;
use serde_json::{Value, json};
use sluice_contracts::documents::{
    Column, Decimal, Relation as Named, TableWrite, TargetType, arrow_schema,
};
use sluice_contracts::job::{ColumnFile, Partitioning, RowSecurity, TableJob, WriteDisposition};
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::TableId;

use TargetType::{Float64, Int64, Interval, Numeric, RangeDate, String as Text, Struct};

use super::columns::{Relation, resolve};
use super::conversion::Conversion;
use super::dialect;
use super::reading::{is_plain, unreadable};

fn job(columns: Value, select: Option<&[&str]>) -> TableJob {
    let columns: BTreeMap<String, ColumnFile> = serde_json::from_value(columns).expect("settings");
    TableJob {
        relation: Named::table(Some("sales"), "orders"),
        select: select.map(|names| names.iter().map(|&name| name.to_owned()).collect()),
        filter: None,
        partitioning: Partitioning::default(),
        row_security: RowSecurity::default(),
        columns,
        incremental: None,
        target: String::new(),
        write: TableWrite::of(WriteDisposition::Truncate),
    }
}

fn fields() -> Vec<Value> {
    let fields = json!([
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED", "description": "the number"},
        {"name": "amount", "type": "NUMERIC", "precision": "10", "scale": "2"},
        {"name": "note", "type": "STRING", "maxLength": "20"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
        {"name": "during", "type": "RANGE", "rangeElementType": {"type": "DATE"}},
        {"name": "spans", "type": "INTERVAL", "mode": "REPEATED"},
        {"name": "größe", "type": "FLOAT"},
        {"name": "of", "type": "RECORD", "fields": [
            {"name": "n", "type": "INTEGER"},
            {"name": "lines", "type": "RECORD", "mode": "REPEATED", "fields": [
                {"name": "sku", "type": "STRING"},
            ]},
        ]},
    ]);
    fields.as_array().cloned().expect("a list")
}

fn resolved(columns: Value, select: Option<&[&str]>) -> Result<Vec<Column>> {
    let fields = fields();
    let found = Relation { title: "table `orders`", fields: &fields, says_nullable: true };
    resolve(&job(columns, select), found)
}

fn refused(columns: Value, select: Option<&[&str]>) -> String {
    let error: Error = resolved(columns, select).expect_err("a refusal");
    format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default())
}

#[test]
fn each_column_becomes_itself() {
    let columns = resolved(json!({}), None).unwrap();
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["id", "amount", "note", "tags", "during", "spans", "gr__e", "of"]);
    let types: Vec<TargetType> = columns.iter().map(|column| column.target_type).collect();
    assert_eq!(types, [Int64, Numeric, Text, Text, RangeDate, Interval, Float64, Struct]);
    let nullable: Vec<Option<bool>> = columns.iter().map(|column| column.nullable).collect();
    let (may, never) = (Some(true), Some(false));
    assert_eq!(nullable, [never, may, may, never, may, never, may, may]);
    assert_eq!(columns[1].decimal, Some(Decimal { precision: 10, scale: 2 }));
    assert_eq!(
        (columns[2].max_length, columns[0].description.as_deref()),
        (Some(20), Some("the number"))
    );
    assert_eq!(columns[3].source_type, "ARRAY<STRING>");
    assert!(columns[7].fields[1].repeated && columns[7].fields[1].fields[0].name == "sku");
}

#[test]
fn what_does_not_hold_every_value_is_refused() {
    for (columns, words) in [
        (
            json!({"id": {"type": "BOOL"}}),
            "column `id` of type `INT64` cannot become `BOOL` and keep every value",
        ),
        (json!({"id": {"type": "FLOAT64"}}), "one of `INT64`, `NUMERIC`, `BIGNUMERIC`, `STRING`"),
        (
            json!({"tags": {"type": "JSON"}}),
            "column `tags` of type `ARRAY<STRING>` cannot become `JSON`",
        ),
        (json!({"of": {"type": "JSON"}}), "column `of` of type `STRUCT` cannot become `JSON`"),
        (json!({"id": {"on_invalid": "null"}}), "nothing to replace by NULL"),
        (json!({"absent": {"name": "a"}}), "it has no column `absent`"),
    ] {
        let said = refused(columns, None);
        assert!(said.contains(words), "{said}");
    }
    assert!(refused(json!({}), Some(&["id", "nr"])).contains("its columns are id, amount, note"));
    assert!(resolved(json!({"ID": {"type": "STRING"}}), Some(&["id"])).is_ok());
}

#[test]
fn a_query_names_columns_casts_them_and_says_when() {
    let asked = json!({"amount": {"type": "STRING", "name": "price"}, "id": {"type": "NUMERIC"}});
    let columns = resolved(asked, Some(&["amount", "id", "tags", "spans", "during"])).unwrap();
    let id = TableId::new("shop", "sales", "orders").unwrap();
    let at = DateTime::from_timestamp_millis(1_790_000_000_123);
    let from = dialect::relation(&id, at);
    let sql = dialect::select(&columns, dialect::expression, &from, &["id > 3 -- few".to_owned()]);
    assert_eq!(
        sql,
        "SELECT CAST(`amount` AS STRING) AS `price`, CAST(`id` AS NUMERIC) AS `id`, `tags`, `spans`, \
         `during` FROM `shop`.`sales`.`orders` FOR SYSTEM_TIME AS OF TIMESTAMP_MILLIS(1790000000123) \
         WHERE (id > 3 -- few\n)"
    );
    let text = dialect::select(&columns[3..], dialect::text_expression, "t", &[]);
    assert_eq!(
        text,
        "SELECT ARRAY(SELECT CAST(element AS STRING) FROM UNNEST(`spans`) AS element WITH OFFSET AS place \
         ORDER BY place) AS `spans`, CAST(`during` AS STRING) AS `during` FROM t"
    );
    assert!(is_plain(&columns[2..3]) && !is_plain(&columns[..1]) && !is_plain(&columns[3..4]));
}

#[test]
fn older_tables_are_given_the_columns_that_they_lack() {
    let newest = fields();
    let sql = dialect::aligned(&newest[..1], &[], "old", Some("day IS NOT NULL"));
    assert_eq!(sql, "SELECT CAST(NULL AS INT64) AS `id` FROM old WHERE day IS NOT NULL");
    let nested = dialect::aligned(&newest[6..], &newest[6..7], "old", None);
    assert_eq!(
        nested,
        "SELECT `größe`, CAST(NULL AS STRUCT<`n` INT64, `lines` ARRAY<STRUCT<`sku` STRING>>>) AS `of` \
         FROM old"
    );
}

#[test]
fn a_structure_of_what_part_files_have_as_text_is_not_read_by_tasks() {
    let of = |inside: TargetType| Column {
        fields: vec![Column::plain("x", "", inside)],
        ..Column::plain("of", "struct", TargetType::Struct)
    };
    assert!(unreadable(&[of(TargetType::RangeDate)]).is_some());
    assert!(
        unreadable(&[of(TargetType::Int64), Column::plain("i", "", TargetType::Interval)])
            .is_none()
    );
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let field =
        |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), true);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect())
        .expect("columns of one length")
}

/// As BigQuery sends a NUMERIC.
fn numeric(values: &[i128]) -> ArrayRef {
    let values = Decimal128Array::from(values.to_vec());
    Arc::new(values.with_precision_and_scale(38, 9).expect("digits"))
}

#[test]
fn what_is_sent_has_the_types_of_part_files_afterwards() {
    let decimal = |kind, precision, scale| Column {
        decimal: Some(Decimal { precision, scale }),
        ..Column::plain("amount", "", kind)
    };
    let of = Column {
        fields: vec![Column { repeated: true, ..Column::plain("n", "", TargetType::Int64) }],
        ..Column::plain("of", "", TargetType::Struct)
    };
    let wanted = [
        decimal(TargetType::Numeric, 10, 2),
        Column { name: "big".to_owned(), ..decimal(TargetType::Bignumeric, 40, 10) },
        Column::plain("at", "", TargetType::Timestamp),
        of,
    ];
    let item = Arc::new(Field::new("item", DataType::Int64, true));
    let list = ListArray::from_iter_primitive::<Int64Type, _, _>([
        Some(vec![Some(1), None]),
        Some(vec![]),
    ]);
    let (_, offsets, values, nulls) = list.into_parts();
    let list: ArrayRef = Arc::new(ListArray::new(item, offsets, values, nulls));
    let structure =
        StructArray::from(vec![(Arc::new(Field::new("n", list.data_type().clone(), true)), list)]);
    let big = Decimal256Array::from(vec![
        i256::from_i128(25).wrapping_mul(i256::from_i128(10).wrapping_pow(37)),
        i256::ZERO,
    ]);
    let sent = batch(vec![
        ("OF", Arc::new(structure)),
        ("at", Arc::new(TimestampMicrosecondArray::from(vec![1, 2]).with_timezone("+00:00"))),
        ("amount", numeric(&[1_250_000_000, -10_000_000])),
        ("big", Arc::new(big.with_precision_and_scale(76, 38).unwrap())),
    ]);
    let names = ["amount", "big", "at", "of"].map(str::to_owned).to_vec();
    let made = Conversion::new(arrow_schema(&wanted), names).convert(&sent).unwrap();
    assert_eq!(made.schema(), arrow_schema(&wanted));
    assert_eq!(made.column(0).as_primitive::<Decimal128Type>().values()[..], [125, -1]);
    assert_eq!(made.column(3).as_struct().column(0).as_list::<i32>().value(0).len(), 2);
}

#[test]
fn what_does_not_fit_the_plan_is_an_error_without_a_value() {
    let finer = Column {
        decimal: Some(Decimal { precision: 10, scale: 2 }),
        ..Column::plain("a", "", TargetType::Numeric)
    };
    let whole = Column::plain("a", "", TargetType::Int64);
    for (column, array) in [
        (finer, numeric(&[1_234_567_890])),
        (whole.clone(), Arc::new(StringArray::from(vec!["77"])) as ArrayRef),
    ] {
        let conversion = Conversion::new(arrow_schema(&[column]), vec!["a".to_owned()]);
        let error = conversion.convert(&batch(vec![("a", array)])).unwrap_err();
        let said = error.chain();
        assert!(said.starts_with("read column `a`: BigQuery sent it as"), "{said}");
        assert!(!said.contains("1234567890") && !said.contains("77"), "{said}");
    }
    let conversion = Conversion::new(arrow_schema(&[whole]), vec!["a".to_owned()]);
    let error =
        conversion.convert(&batch(vec![("b", Arc::new(Int64Array::from(vec![1])))])).unwrap_err();
    assert!(error.to_string().ends_with("BigQuery did not send it"));
}
