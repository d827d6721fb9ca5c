//! The columns of a run against those of a table, before a row is read.

use serde_json::{Value, json};
use sluice_contracts::Kind;
use sluice_contracts::documents::{Column, Decimal, SchemaChanges, Table, TargetType};
use sluice_contracts::job::WriteDisposition::{self, Append, Empty, Truncate};

use super::check::{ID, answering, check, dataset, existing, refused, table};
use super::columns;
use crate::bigquery::BigQueryTarget;

/// A run of these columns.
fn run_of(
    disposition: WriteDisposition,
    schema_changes: SchemaChanges,
    columns: Vec<Column>,
) -> Table {
    let mut table = table(disposition, &[]);
    table.write.schema_changes = schema_changes;
    table.columns = columns;
    table
}

fn one(name: &str, target_type: TargetType) -> Column {
    columns(&[(name, target_type)]).remove(0)
}

fn decimal(precision: u8, scale: u8) -> Column {
    let decimal = Some(Decimal { precision, scale });
    Column { decimal, ..one("amount", TargetType::Numeric) }
}

async fn with(fields: Value) -> BigQueryTarget {
    answering(&[existing(fields, json!({}))]).await
}

#[tokio::test]
async fn all_that_stands_against_a_table_is_said_at_once_with_each_way_out() {
    let target = with(json!([
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
        {"name": "amount", "type": "NUMERIC", "precision": "10", "scale": "2"},
        {"name": "name", "type": "STRING", "maxLength": "10"},
        {"name": "kind", "type": "INTEGER"},
        {"name": "tags", "type": "STRING"},
        {"name": "length", "type": "STRING"},
        {"name": "days", "type": "RANGE", "rangeElementType": {"type": "DATE"}},
        {"name": "slot", "type": "RANGE", "rangeElementType": {"type": "DATE"}},
        {"name": "gone", "type": "DATE"},
    ]))
    .await;
    let id = Column { nullable: Some(true), ..one("id", TargetType::Int64) };
    let name = Column { max_length: Some(20), ..one("name", TargetType::String) };
    let kind = Column { source_name: "Kind".into(), ..one("kind", TargetType::String) };
    let (tags, at) = (one("tags", TargetType::String), one("at", TargetType::Timestamp));
    let length = one("length", TargetType::Interval);
    let [days, slot] = [one("days", TargetType::RangeDate), one("slot", TargetType::RangeDatetime)];
    let wanted =
        vec![id, one("amount", TargetType::Numeric), name, kind, tags, length, days, slot, at];
    for disposition in [Truncate, Append, Empty] {
        let wanted = run_of(disposition, SchemaChanges::Refuse, wanted.clone());
        let (refusal, said) = refused(&target, &wanted).await;
        assert_eq!(refusal, Kind::Data);
        for expected in [
            "load into `bigquery://shop/sales/orders`: the table's columns differ\n",
            "`id` is REQUIRED in the table, and the source allows NULL in `id`",
            "ALTER TABLE `shop.sales.orders` ALTER COLUMN `id` DROP NOT NULL",
            "`amount` NUMERIC(10, 2) holds 8 digits before the point and 2 after it, and the job's \
             column may have 29 and 9",
            "widen it: ALTER TABLE `shop.sales.orders` ALTER COLUMN `amount` SET DATA TYPE NUMERIC",
            "`name` STRING(10) holds 10 characters, and the job's column has up to 20",
            "ALTER COLUMN `name` SET DATA TYPE STRING",
            "it has `kind` NULLABLE INT64 where the job has `kind` NULLABLE STRING",
            "`columns.Kind.type: INT64` asks for the table's type",
            "it has `tags` NULLABLE STRING where the job has `tags` REPEATED STRING",
            "it has `length` NULLABLE STRING where the job has `length` NULLABLE INTERVAL",
            "`columns.length.type: STRING` asks for the table's type",
            "it has `slot` NULLABLE RANGE<DATE> where the job has `slot` NULLABLE RANGE<DATETIME>",
            "`columns.slot.type: RANGE<DATE>` asks for the table's type",
            "it lacks `at` NULLABLE TIMESTAMP",
            "write `schema_changes: add` below `target`",
            "column `gone` NULLABLE DATE exists in the table and not in the job",
            "ALTER TABLE `shop.sales.orders` DROP COLUMN `gone`",
        ] {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
        assert!(!said.contains("`days`"), "{said}");
        let replaces = said.contains("`schema_changes: replace` below `target` replaces all");
        assert_eq!(replaces, disposition == Truncate, "{said}");
    }
}

#[tokio::test]
async fn digits_and_lengths_fit_or_are_refused_since_bigquery_rounds() {
    let field = |limits: Value| {
        let mut field = json!({"name": "amount", "type": "NUMERIC"});
        for (key, value) in limits.as_object().unwrap() {
            field[key] = value.clone();
        }
        json!([field])
    };
    let limits = |precision: &str, scale: &str| json!({"precision": precision, "scale": scale});
    for (held, column, fits) in [
        (limits("10", "2"), decimal(10, 2), true),
        (limits("12", "3"), decimal(10, 2), true),
        (limits("10", "2"), decimal(10, 3), false),
        (limits("10", "3"), decimal(10, 2), false),
        (json!({"precision": "10"}), decimal(10, 0), true),
        (json!({"precision": "10"}), decimal(10, 2), false),
        (json!({}), decimal(38, 9), true),
        (json!({}), one("amount", TargetType::Numeric), true),
    ] {
        let target = with(field(held.clone())).await;
        for changes in [SchemaChanges::Refuse, SchemaChanges::Add] {
            let wanted = run_of(Truncate, changes, vec![column.clone()]);
            assert_eq!(check(&target, &wanted).await.is_ok(), fits, "{held} {column:?}");
        }
    }
    let text = |longest| Column { max_length: longest, ..one("t", TargetType::String) };
    let target = with(json!([{"name": "t", "type": "STRING", "maxLength": 10}])).await;
    for (longest, fits) in [(Some(10), true), (Some(11), false), (None, false)] {
        let wanted = run_of(Append, SchemaChanges::Refuse, vec![text(longest)]);
        assert_eq!(check(&target, &wanted).await.is_ok(), fits, "{longest:?}");
    }
}

#[tokio::test]
async fn new_columns_are_added_if_the_job_says_so_and_nothing_else_is() {
    let target = with(json!([{"name": "id", "type": "INTEGER"}])).await;
    let wider = columns(&[ID, ("at", TargetType::Date), ("by", TargetType::String)]);
    for disposition in [Truncate, Append, Empty] {
        let wanted = run_of(disposition, SchemaChanges::Add, wider.clone());
        let warnings = check(&target, &wanted).await.unwrap();
        let expected =
            "the table is given `at`, `by`: readers find NULL there until the load is done";
        assert_eq!(warnings, [expected]);
        let (_, said) =
            refused(&target, &run_of(disposition, SchemaChanges::Refuse, wider.clone())).await;
        assert!(said.contains("it lacks `at` NULLABLE DATE\n"), "{said}");
        assert_eq!(said.matches("schema_changes: add").count(), 1, "{said}");
    }
    for other in [
        columns(&[("at", TargetType::Date)]),
        columns(&[("id", TargetType::String), ("at", TargetType::Date)]),
    ] {
        let (_, said) =
            refused(&target, &run_of(Truncate, SchemaChanges::Add, other.clone())).await;
        assert!(!said.contains("it lacks"), "{said}");
        let replaced = run_of(Truncate, SchemaChanges::Replace, other.clone());
        let warnings = check(&target, &replaced).await.unwrap();
        assert!(warnings[0].contains("they are replaced too"), "{warnings:?}");
        // Plans of older versions said nothing, and their appends replaced nothing.
        refused(&target, &run_of(Append, SchemaChanges::Replace, other)).await;
    }
}

#[tokio::test]
async fn case_and_order_are_no_difference_and_an_unknown_null_is_told() {
    let target = with(json!([
        {"name": "at", "type": "DATE"},
        {"name": "ID", "type": "INTEGER", "mode": "REQUIRED"},
    ]))
    .await;
    let at = one("at", TargetType::Date);
    let id = |nullable| Column { nullable, ..one("id", TargetType::Int64) };
    let columns = vec![id(Some(false)), at.clone()];
    let warnings = check(&target, &run_of(Append, SchemaChanges::Refuse, columns)).await.unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].starts_with("column `id` is `ID` in the table"), "{warnings:?}");
    let columns = vec![id(None), at];
    let warnings = check(&target, &run_of(Append, SchemaChanges::Refuse, columns)).await.unwrap();
    assert!(warnings[1].contains("a NULL fails the load"), "{warnings:?}");
}

#[tokio::test]
async fn the_fields_of_a_struct_are_compared_to_the_last() {
    let line = |fields: Value| json!([{"name": "lines", "type": "RECORD", "mode": "REPEATED", "fields": fields}]);
    let fields = vec![one("sku", TargetType::String), decimal(10, 2)];
    let lines =
        Column { name: "lines".into(), repeated: true, fields, ..one("lines", TargetType::Struct) };
    let wanted = || run_of(Truncate, SchemaChanges::Add, vec![lines.clone()]);
    let same = line(json!([
        {"name": "sku", "type": "STRING"},
        {"name": "amount", "type": "NUMERIC"},
    ]));
    check(&with(same).await, &wanted()).await.unwrap();
    let other = line(json!([
        {"name": "amount", "type": "NUMERIC", "precision": "5"},
        {"name": "note", "type": "STRING"},
    ]));
    let (_, said) = refused(&with(other).await, &wanted()).await;
    for expected in [
        "it lacks `sku` NULLABLE STRING",
        "`lines.amount` NUMERIC(5, 0) holds 5 digits before the point and 0 after it",
        "field `lines.note` exists in the table and not in the job",
    ] {
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
}

#[tokio::test]
async fn names_that_bigquery_does_not_take_are_refused_together() {
    let target = answering(&[dataset()]).await;
    let named = |name: &str| Column { source_name: "s".into(), ..one(name, TargetType::Int64) };
    let wanted = vec![named("_table_x"), named("a"), named("A"), named("größe")];
    let (kind, said) = refused(&target, &run_of(Append, SchemaChanges::Add, wanted)).await;
    assert_eq!(kind, Kind::Invalid);
    for expected in [
        "`_table_x` is not a column name in BigQuery: BigQuery reserves",
        "two columns are called `A`: BigQuery ignores case",
        "`größe` is not a column name",
        "`columns.s.name` gives it another name",
    ] {
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
}
