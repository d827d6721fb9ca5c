//! Loads that replace some rows: their statements, and what is refused before.

use serde_json::{Value, json};
use sluice_contracts::documents::{
    Granularity, NewTable, OnInvalid, PartitionBy, SchemaChanges, TargetType, bigquery_schema,
};
use sluice_contracts::job::WriteDisposition::{self, Merge, ReplacePartitions};

use super::endings::failed;
use super::recorder::Recorder;
use super::requests::{DAY, EMAIL, assert_asked};
use super::{ID, TAGS, advance, columns, load, loaded};
use crate::target::Load;

const AT: (&str, TargetType) = ("at", TargetType::Timestamp);

/// A table that is partitioned as this says.
fn partitioned(by: &Value) -> Value {
    let mut table = json!({
        "type": "TABLE",
        "numRows": "5",
        "numBytes": (3_u64 << 30).to_string(),
        "schema": {"fields": [
            {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
            {"name": "day", "type": "DATE"},
            {"name": "at", "type": "TIMESTAMP"},
        ]},
    });
    for (key, value) in by.as_object().into_iter().flatten() {
        table[key] = value.clone();
    }
    table
}

fn by_range() -> Value {
    let range = json!({"start": "0", "end": "100", "interval": "10"});
    json!({"rangePartitioning": {"field": "id", "range": range}})
}

fn by_day() -> Value {
    json!({"timePartitioning": {"type": "DAY", "field": "day"}})
}

async fn keyed(disposition: WriteDisposition, key: &[&str], order_by: Option<&str>) -> Load {
    let mut load = load(disposition, columns(&[ID, DAY, AT])).await;
    load.key = key.iter().map(|name| (*name).to_owned()).collect();
    load.order_by = order_by.map(Into::into);
    load
}

#[tokio::test]
async fn a_merge_is_one_statement_over_the_staged_rows() {
    for (name, key, order_by, existing) in [
        ("merge_first", &["id"][..], None, None),
        ("merge_newest", &["id"][..], Some("at"), Some(partitioned(&by_day()))),
        ("merge_pruned", &["id", "day"][..], Some("at"), Some(partitioned(&by_day()))),
        (
            "merge_pruned_by_month",
            &["id", "at"][..],
            None,
            Some(partitioned(&json!({"timePartitioning": {"type": "MONTH", "field": "at"}}))),
        ),
        ("merge_pruned_by_range", &["id"][..], Some("at"), Some(partitioned(&by_range()))),
        ("merge_of_keys_alone", &["id", "day", "at"][..], None, Some(partitioned(&json!({})))),
    ] {
        let recorder = Recorder::default();
        if let Some(existing) = existing {
            recorder.stands(existing);
        }
        let mut load = keyed(Merge, key, order_by).await;
        load.columns[0].nullable = Some(false);
        assert_eq!(loaded(&recorder, &load).await.rows, 3);
        assert_asked!(name, recorder);
    }
}

#[tokio::test]
async fn partitions_are_replaced_in_one_transaction() {
    let ranges = json!({"rangePartitioning": {
        "field": "id", "range": {"start": "0", "end": "100", "interval": "10"},
    }});
    for (name, existing) in [
        ("replace_partitions_first", None),
        ("replace_partitions_of_days", Some(partitioned(&by_day()))),
        ("replace_partitions_of_ranges", Some(partitioned(&ranges))),
    ] {
        let recorder = Recorder::default();
        let mut load = keyed(ReplacePartitions, &[], None).await;
        let by = PartitionBy::Time {
            column: Some("day".to_owned()),
            granularity: Granularity::Day,
            expiration: None,
            require_filter: false,
        };
        match existing {
            Some(existing) => recorder.stands(existing),
            None => load.new_table = NewTable { partition_by: Some(by), ..NewTable::default() },
        }
        assert_eq!(loaded(&recorder, &load).await.rows, 3);
        assert_asked!(name, recorder);
    }
}

/// The target came about between the two steps of a load.
#[tokio::test]
async fn a_table_that_comes_about_meanwhile_is_not_written_to_unstaged() {
    let recorder = Recorder::default();
    let mut load = keyed(ReplacePartitions, &[], None).await;
    let by = PartitionBy::Range { column: "id".to_owned(), start: 0, end: 100, interval: 10 };
    load.new_table = NewTable { partition_by: Some(by), ..NewTable::default() };
    let target = recorder.serve().await;
    let std::task::Poll::Ready(prepared) =
        crate::target::Target::prepare(&target, &load).await.unwrap()
    else {
        panic!("nothing has to be staged");
    };
    recorder.stands(partitioned(&json!({"rangePartitioning": {
        "field": "id", "range": {"start": "0", "end": "100", "interval": "10"},
    }})));
    assert!(prepared.publish().await.unwrap().is_pending());
    assert_eq!(recorder.asked(), json!([]));
    assert!(advance(&target, &load).await.unwrap().is_ready());
    assert!(recorder.asked().to_string().contains("BEGIN TRANSACTION; DELETE FROM"));
}

#[tokio::test]
async fn what_no_statement_can_replace_is_refused_before() {
    let filtered = || {
        let mut table = partitioned(&by_day());
        table["requirePartitionFilter"] = true.into();
        Some(table)
    };
    let of_loading = || Some(partitioned(&json!({"timePartitioning": {"type": "DAY"}})));
    for (disposition, key, order_by, existing, said) in [
        (Merge, vec!["idd"], None, None, "`key` names `idd`, which the table has no column for"),
        (Merge, vec!["ratio"], None, None, "`key` names `ratio`, which is FLOAT64"),
        (Merge, vec!["length"], None, None, "`key` names `length`, which is INTERVAL"),
        (Merge, vec!["days"], None, None, "`key` names `days`, which is RANGE<DATE>"),
        (Merge, vec!["tags"], None, None, "`key` names `tags`, which is an array of STRING"),
        (Merge, vec!["id"], Some("doc"), None, "`order_by` names `doc`, which is JSON"),
        (Merge, vec!["id"], Some("length"), None, "`order_by` names `length`, which is INTERVAL"),
        (Merge, vec!["id"], Some("days"), None, "`order_by` names `days`, which is RANGE<DATE>"),
        (Merge, vec!["id"], Some("ratio"), None, "`order_by` names `ratio`, which is FLOAT64"),
        (Merge, vec!["id"], Some("no"), None, "`order_by` names `no`, which the table has no"),
        (Merge, vec!["id"], None, filtered(), "the key does not say in which of them a row lies"),
        (ReplacePartitions, vec![], None, None, "the job does not say `partition_by`"),
        (ReplacePartitions, vec![], None, Some(partitioned(&json!({}))), "is not partitioned"),
        (ReplacePartitions, vec![], None, of_loading(), "partitioned by the time of loading"),
    ] {
        let recorder = Recorder::default();
        let mut load = keyed(disposition, &key, order_by).await;
        match existing {
            Some(existing) => recorder.stands(existing),
            None => {
                let (ratio, doc) = (("ratio", TargetType::Float64), ("doc", TargetType::Json));
                let length = ("length", TargetType::Interval);
                let days = ("days", TargetType::RangeDate);
                load.columns.extend(columns(&[ratio, doc, length, days, EMAIL, TAGS]));
            }
        }
        let error = advance(&recorder.serve().await, &load).await.unwrap_err();
        assert!(error.chain().contains(said), "{}", error.chain());
        assert!(error.remedy().is_some(), "{}", error.chain());
        assert_eq!(recorder.asked(), json!([]), "{said}");
    }
    // Ranges are no filter for a transaction, and a table that is made has to be fit for the next run.
    let mut ranges = partitioned(&by_range());
    ranges["requirePartitionFilter"] = true.into();
    let recorder = Recorder::default();
    recorder.stands(ranges);
    let load = keyed(ReplacePartitions, &[], None).await;
    let error = advance(&recorder.serve().await, &load).await.unwrap_err();
    assert!(error.chain().contains("without a filter by its ranges"), "{}", error.chain());
    let mut load = keyed(Merge, &["id"], None).await;
    load.new_table.partition_by = Some(PartitionBy::Time {
        column: Some("day".to_owned()),
        granularity: Granularity::Day,
        expiration: None,
        require_filter: true,
    });
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    let error = advance(&target, &load).await.unwrap_err();
    assert!(error.chain().contains("no later merge could read"), "{}", error.chain());
    load.key.push("DAY".to_owned());
    assert!(advance(&target, &load).await.is_ok());
    // A column that the table is given has no values to find rows by.
    let recorder = Recorder::default();
    recorder.stands(json!({"schema": {"fields": [{"name": "id", "type": "INTEGER"}]}}));
    let mut load = keyed(Merge, &["id", "day"], None).await;
    load.schema_changes = SchemaChanges::Add;
    let error = advance(&recorder.serve().await, &load).await.unwrap_err();
    assert!(error.chain().contains("`day` is in the key"), "{}", error.chain());
    assert_eq!(recorder.asked(), json!([]));
    // A key that says where a row lies is a filter.
    let recorder = Recorder::default();
    recorder.stands(filtered().unwrap());
    loaded(&recorder, &keyed(Merge, &["id", "day"], None).await).await;
}

#[tokio::test]
async fn a_text_that_bigquery_does_not_hold_is_named_and_not_shown() {
    let [doc, length] = [("doc", TargetType::Json), ("length", TargetType::Interval)];
    let days = ("days", TargetType::RangeDate);
    for ((name, kind), message, said) in [
        (
            doc,
            "Invalid input to PARSE_JSON: number cannot be stored without loss of precision: 7",
            "a document has a number that BigQuery would round, in `doc`",
        ),
        (
            doc,
            "Invalid input to PARSE_JSON: syntax error while parsing value: 7",
            "BigQuery cannot read a document, in `doc`",
        ),
        (length, "Invalid INTERVAL value '7'", "BigQuery cannot read an interval, in `length`"),
        (
            length,
            "Interval field months '120007' is out of range -120000 to 120000",
            "BigQuery cannot read an interval, in `length`",
        ),
        (
            days,
            "Failed to parse range: range must be formatted exactly as [START, END) (found 7)",
            "BigQuery cannot read a range, in `days`",
        ),
    ] {
        let recorder = Recorder::default();
        let columns = columns(&[(name, kind)]);
        recorder.stands(json!({"schema": {"fields": bigquery_schema(&columns)}}));
        let load = load(WriteDisposition::Truncate, columns).await;
        recorder.ends(super::endings::done(3));
        recorder.ends(failed("invalidQuery", message));
        let error = advance(&recorder.serve().await, &load).await.unwrap_err();
        assert!(error.chain().contains(said), "{}", error.chain());
        assert!(!error.chain().contains(message), "{}", error.chain());
        let way_out = format!("`columns.{name}.type: STRING`");
        assert!(error.remedy().unwrap().contains(&way_out), "{error:?}");
    }
}

/// A column that the source forbids NULL in may have values that become NULL.
#[tokio::test]
async fn keys_are_looked_at_unless_they_cannot_be_null() {
    for (on_invalid, looked_at) in [(OnInvalid::Fail, false), (OnInvalid::Null, true)] {
        let recorder = Recorder::default();
        recorder.stands(partitioned(&by_day()));
        let mut load = keyed(Merge, &["id"], None).await;
        (load.columns[0].nullable, load.columns[0].on_invalid) = (Some(false), on_invalid);
        loaded(&recorder, &load).await;
        assert_eq!(recorder.asked().to_string().contains("`id` IS NULL"), looked_at);
    }
}

/// Another statement wrote to the table at the same time: BigQuery gives it the reason of a statement
/// that is wrong.
#[tokio::test]
async fn a_statement_that_another_one_was_in_the_way_of_is_tried_again() {
    let recorder = Recorder::default();
    recorder.stands(partitioned(&by_day()));
    recorder.ends(super::endings::done(3));
    recorder.ends(failed("invalidQuery", "Could not serialize access due to concurrent update"));
    let (target, load) = (recorder.serve().await, keyed(Merge, &["id"], None).await);
    assert!(advance(&target, &load).await.unwrap().is_pending());
}

#[tokio::test]
async fn a_key_that_is_missing_or_there_twice_is_said_in_words_of_the_job() {
    for (message, said, hint) in [
        ("a row has NULL in a column of its key at [1:2]", "a row has NULL", "`source.where`"),
        ("two rows have the same key", "two rows have the same key (`id`)", "`order_by`"),
    ] {
        let recorder = Recorder::default();
        recorder.stands(partitioned(&by_day()));
        let load = keyed(Merge, &["id"], None).await;
        recorder.ends(super::endings::done(3));
        for _ in 0..5 {
            recorder.ends(failed("invalidQuery", message));
        }
        let target = recorder.serve().await;
        let mut ended = advance(&target, &load).await;
        for _ in 0..10 {
            if ended.is_err() {
                break;
            }
            ended = advance(&target, &load).await;
        }
        let error = ended.unwrap_err();
        assert!(error.chain().contains(said), "{}", error.chain());
        assert!(error.remedy().unwrap().contains(hint), "{error:?}");
    }
}
