//! Loads of more partitions than one job changes.

use serde_json::{Value, json};
use sluice_contracts::Kind;
use sluice_contracts::documents::{
    Granularity, PartitionBy, PartitionWidth, SchemaChanges, Table, TargetType,
};
use sluice_contracts::job::WriteDisposition::{
    self, Append, Empty, Merge, ReplacePartitions, Truncate,
};

use super::attempts::refused;
use super::check::{TABLE, answering, dataset, table};
use super::endings::{done, failed};
use super::recorder::Recorder;
use super::requests::DAY;
use super::{ID, advance, columns, load, loaded};
use crate::target::{Load, Target as _, Visibility};

fn by_day() -> Value {
    json!({"numRows": "0", "timePartitioning": {"type": "DAY", "field": "day"}, "schema": {"fields": [
        {"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"},
    ]}})
}

/// A load of two parts that have these days together.
async fn of_days(disposition: WriteDisposition, days: i64) -> Load {
    let mut load = load(disposition, columns(&[ID, DAY])).await;
    load.partitioned_by = Some(PartitionWidth { column: "day".to_owned(), width: 1 });
    load.new_table.partition_by = Some(PartitionBy::Time {
        column: Some("day".to_owned()),
        granularity: Granularity::Day,
        expiration: None,
        require_filter: false,
    });
    load.parts[0].span = Some((-10, 100));
    load.parts[1].span = Some((50, days - 11));
    load
}

/// The last statement that BigQuery was asked for.
fn statement(recorder: &Recorder) -> Option<String> {
    let asked = recorder.asked();
    let query = |asked: &Value| {
        Some(asked.get("POST /jobs")?["configuration"]["query"]["query"].as_str()?.to_owned())
    };
    asked.as_array().unwrap().iter().filter_map(query).next_back()
}

#[tokio::test]
async fn rows_of_too_many_partitions_are_written_by_several_statements_in_one_step() {
    for (disposition, stands, before) in [
        (Truncate, true, "TRUNCATE TABLE `shop`.`sales`.`orders`; "),
        (Truncate, false, "TRUNCATE TABLE `shop`.`sales`.`orders`; "),
        (Append, true, ""),
        (
            Empty,
            false,
            "SELECT IF(EXISTS (SELECT 1 FROM `shop`.`sales`.`orders`), ERROR('the table has rows \
             (sales.orders)'), NULL); ",
        ),
    ] {
        let recorder = Recorder::default();
        if stands {
            recorder.stands(by_day());
        }
        let load = of_days(disposition, 3_999).await;
        assert_eq!(loaded(&recorder, &load).await.rows, 3);
        let staging = format!("`shop`.`sales`.`sluice_{}_7_0`", load.run);
        let insert = |batch: u32| {
            format!(
                "INSERT INTO `shop`.`sales`.`orders` (`id`, `day`) SELECT `id`, `day` FROM {staging} \
                 WHERE ABS(IFNULL(MOD(UNIX_DATE(`day`) + DIV(UNIX_DATE(`day`), 24), 3), 0)) = {batch}; "
            )
        };
        assert_eq!(
            statement(&recorder).unwrap(),
            format!(
                "BEGIN TRANSACTION; {before}{}{}{}COMMIT TRANSACTION;",
                insert(0),
                insert(1),
                insert(2)
            )
        );
        assert_eq!(recorder.tables(), ["orders"], "nothing is left behind");
    }
}

#[tokio::test]
async fn rows_of_as_many_partitions_as_one_job_changes_are_loaded_by_one() {
    // With the rows without a day, and one to spare.
    let load = of_days(Truncate, 3_998).await;
    let recorder = Recorder::default();
    recorder.stands(by_day());
    loaded(&recorder, &load).await;
    assert_eq!(statement(&recorder), None);
    // Receipts that tell nothing.
    let mut load = of_days(Truncate, 5_000).await;
    for part in &mut load.parts {
        part.span = None;
    }
    let recorder = Recorder::default();
    recorder.stands(by_day());
    loaded(&recorder, &load).await;
    assert_eq!(statement(&recorder), None);
}

#[tokio::test]
async fn a_table_that_was_made_for_a_load_that_is_refused_goes_with_it() {
    let recorder = Recorder::default();
    recorder.ends(done(3));
    recorder.ends(failed("invalidQuery", "Too many partitions produced by query, allowed 4000"));
    let load = of_days(Truncate, 5_000).await;
    let target = recorder.serve().await;
    for _ in 0..2 {
        let (kind, said) = refused(advance(&target, &load).await);
        assert_eq!(kind, Kind::Data);
        assert!(said.contains("more than 4,000 partitions"), "{said}");
        assert!(!recorder.tables().contains(&"orders".to_owned()), "{:?}", recorder.tables());
    }
}

#[tokio::test]
async fn a_statement_that_no_batches_replace_is_refused() {
    for disposition in [Merge, ReplacePartitions] {
        let recorder = Recorder::default();
        recorder.stands(by_day());
        let mut load = of_days(disposition, 5_000).await;
        if disposition == Merge {
            load.key = vec!["id".to_owned()];
        }
        let target = recorder.serve().await;
        let (kind, said) = refused(advance(&target, &load).await);
        assert_eq!(kind, Kind::Data);
        assert!(said.contains("`source.where`"), "{said}");
        assert_eq!(statement(&recorder), None);
    }
}

/// A statement that replaces the columns, too, is one for all rows.
#[tokio::test]
async fn columns_are_not_replaced_with_rows_of_too_many_partitions() {
    let recorder = Recorder::default();
    let mut other = by_day();
    other["schema"]["fields"][0]["type"] = "STRING".into();
    recorder.stands(other);
    let mut load = of_days(Truncate, 5_000).await;
    load.schema_changes = SchemaChanges::Replace;
    let target = recorder.serve().await;
    let (kind, said) = refused(advance(&target, &load).await);
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("delete the table"), "{said}");
    assert_eq!(statement(&recorder), None);
}

#[tokio::test]
async fn a_table_that_requires_a_filter_is_asked_for_rows_with_one() {
    let recorder = Recorder::default();
    let mut table = by_day();
    table["requirePartitionFilter"] = true.into();
    recorder.stands(table);
    loaded(&recorder, &of_days(Empty, 5_000).await).await;
    let expected = "SELECT IF(EXISTS (SELECT 1 FROM `shop`.`sales`.`orders` WHERE `day` IS NULL OR \
                    `day` >= DATE '0001-01-01'), ERROR(";
    let said = statement(&recorder).unwrap();
    assert!(said.contains(expected), "{said}");
}

#[tokio::test]
async fn the_plan_asks_for_the_values_of_the_column_where_there_may_be_many_partitions() {
    let micros = |seconds: u64| seconds * 1_000_000;
    for (kind, by, width) in [
        ("DATE", json!({"timePartitioning": {"type": "DAY", "field": "at"}}), Some(1)),
        ("DATE", json!({"timePartitioning": {"type": "MONTH", "field": "at"}}), None),
        (
            "TIMESTAMP",
            json!({"timePartitioning": {"type": "HOUR", "field": "at"}}),
            Some(micros(3_600)),
        ),
        (
            "DATETIME",
            json!({"timePartitioning": {"type": "DAY", "field": "at"}}),
            Some(micros(86_400)),
        ),
        ("TIMESTAMP", json!({"timePartitioning": {"type": "DAY"}}), None),
        (
            "INTEGER",
            json!({"rangePartitioning": {"field": "at", "range":
                {"start": "0", "end": "50000", "interval": "5"}}}),
            Some(5),
        ),
    ] {
        let mut existing = json!({"schema": {"fields": [{"name": "at", "type": kind}]}});
        for (key, value) in by.as_object().unwrap() {
            existing[key] = value.clone();
        }
        let wanted = match kind {
            "INTEGER" => TargetType::Int64,
            "DATE" => TargetType::Date,
            "DATETIME" => TargetType::Datetime,
            _ => TargetType::Timestamp,
        };
        let target = answering(&[(TABLE, existing), dataset()]).await;
        let table: Table = table(Truncate, &[("at", wanted)]);
        let admitted = target.check(load(Truncate, vec![]).await.run, &table, Visibility::Each);
        let asked = admitted.await.unwrap().partitioned_by;
        let expected = width.map(|width| PartitionWidth { column: "at".to_owned(), width });
        assert_eq!(asked, expected, "{kind} {by}");
    }
}
