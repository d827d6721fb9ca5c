//! What a table is made with, and what of it a table that exists has.

use serde_json::json;
use sluice_contracts::Kind;
use sluice_contracts::documents::{Column, Granularity, NewTable, PartitionBy, Table, TargetType};
use sluice_contracts::job::WriteDisposition::{Append, Truncate};

use super::check::{answering, check, dataset, existing, refused, table};
use super::recorder::Recorder;
use super::requests::{DAY, assert_asked};
use super::{ID, TAGS, columns, load, load_of_nothing, loaded};
use crate::target::Load;

fn by_day(column: Option<&str>) -> PartitionBy {
    PartitionBy::Time {
        column: column.map(str::to_owned),
        granularity: Granularity::Day,
        expiration: None,
        require_filter: false,
    }
}

fn by_ranges(end: i64) -> PartitionBy {
    PartitionBy::Range { column: "ID".into(), start: -5, end, interval: 10 }
}

/// All that a job can ask for.
fn everything() -> NewTable {
    NewTable {
        partition_by: Some(PartitionBy::Time {
            column: Some("Day".into()),
            granularity: Granularity::Month,
            expiration: Some(90 * 86_400),
            require_filter: true,
        }),
        cluster_by: vec!["id".into()],
        labels: [("team".to_owned(), "sales".to_owned())].into(),
        description: Some("one row for each order".into()),
    }
}

fn described() -> Vec<Column> {
    let mut columns = columns(&[ID, DAY]);
    columns[0].description = Some("the number".into());
    columns
}

fn making(load: Load, new_table: NewTable) -> Load {
    Load { new_table, ..load }
}

#[tokio::test]
async fn a_table_is_made_as_the_job_says() {
    let recorder = Recorder::default();
    let first = load(Truncate, described()).await;
    loaded(&recorder, &making(first.clone(), everything())).await;
    assert_asked!("made", recorder);

    let recorder = Recorder::default();
    let ranges = NewTable { partition_by: Some(by_ranges(100)), ..NewTable::default() };
    loaded(&recorder, &making(load(Append, described()).await, ranges)).await;
    assert_asked!("made_of_ranges", recorder);

    let recorder = Recorder::default();
    let nothing = load_of_nothing(Append).await;
    let nothing = Load { columns: described(), ..nothing };
    assert_eq!(loaded(&recorder, &making(nothing, everything())).await.rows, 0);
    assert_asked!("made_without_rows", recorder);
}

#[tokio::test]
async fn a_table_that_exists_keeps_what_it_is_made_with() {
    let recorder = Recorder::default();
    recorder.stands(json!({
        "type": "TABLE",
        "description": "mine",
        "timePartitioning": {"type": "MONTH", "field": "day", "expirationMs": "86400000"},
        "schema": {"fields": [
            {"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"},
        ]},
    }));
    loaded(&recorder, &making(load(Truncate, described()).await, everything())).await;
    let asked = recorder.asked();
    let job = &asked[0]["POST /jobs"]["configuration"]["load"];
    assert_eq!(job["timePartitioning"]["expirationMs"], "86400000");
    assert_eq!(
        job["schema"]["fields"][0],
        json!({"name": "id", "type": "INT64", "mode": "NULLABLE"})
    );
    for key in ["clustering", "destinationTableProperties"] {
        assert!(job.get(key).is_none(), "{job:#}");
    }
}

fn asking(columns: &[(&str, TargetType)], new_table: NewTable) -> Table {
    let mut table = table(Truncate, columns);
    table.write.new_table = new_table;
    table
}

#[tokio::test]
async fn what_a_table_cannot_be_partitioned_or_clustered_by_is_refused_together() {
    let target = answering(&[dataset()]).await;
    let new = NewTable {
        cluster_by: ["idd", "tags", "share", "length"].map(Into::into).into(),
        ..everything()
    };
    let (share, length) = (("share", TargetType::Float64), ("length", TargetType::Interval));
    let wrong = asking(&[ID, ("day", TargetType::String), TAGS, share, length], new);
    let (kind, said) = refused(&target, &wrong).await;
    assert_eq!(kind, Kind::Invalid);
    for expected in [
        "`partition_by` names `Day`, which is STRING",
        "BigQuery takes a DATE, TIMESTAMP or DATETIME column",
        "`cluster_by` names `idd`, which the table has no column for",
        "did you mean `id`?",
        "`cluster_by` names `tags`, which is an array of STRING",
        "`cluster_by` names `share`, which is FLOAT64",
        "`cluster_by` names `length`, which is INTERVAL",
    ] {
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
    let hourly = PartitionBy::Time {
        column: Some("day".into()),
        granularity: Granularity::Hour,
        expiration: None,
        require_filter: false,
    };
    for (by, expected) in [
        (hourly, "BigQuery takes a TIMESTAMP or DATETIME column for partitions of an hour"),
        (
            PartitionBy::Range { column: "day".into(), start: 0, end: 9, interval: 1 },
            "BigQuery takes an INT64 column",
        ),
    ] {
        let new = NewTable { partition_by: Some(by), ..NewTable::default() };
        let (_, said) = refused(&target, &asking(&[ID, DAY], new)).await;
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
    for by in [by_day(None), by_day(Some("DAY")), by_ranges(100)] {
        let new = NewTable { partition_by: Some(by), ..NewTable::default() };
        assert!(check(&target, &asking(&[ID, DAY], new)).await.unwrap().is_empty());
    }
    let warnings = check(&target, &asking(&[ID, DAY], everything())).await.unwrap();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("older than 90 days"), "{warnings:?}");
}

#[tokio::test]
async fn a_table_of_other_partitioning_is_refused_and_other_settings_are_told() {
    let fields = json!([{"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"}]);
    let daily = json!({"timePartitioning": {"type": "DAY", "field": "day"}});
    let ranges = json!({"rangePartitioning": {
        "field": "id", "range": {"start": "-5", "end": "100", "interval": "10"}
    }});
    let loading = json!({"timePartitioning": {"type": "DAY"}});
    let kinds = [
        (json!({}), None, "the table is not partitioned"),
        (daily, Some(by_day(Some("DAY"))), "the table is partitioned by the DAY of `day`"),
        (loading, Some(by_day(None)), "the table is partitioned by the DAY of loading"),
        (ranges, Some(by_ranges(100)), "the table is partitioned by `id` from -5 to 100 in steps"),
    ];
    for (at, (is, same, said)) in kinds.iter().enumerate() {
        let target = answering(&[existing(fields.clone(), is.clone())]).await;
        // A job that says nothing takes every table.
        check(&target, &asking(&[ID, DAY], NewTable::default())).await.unwrap();
        let asked = kinds.iter().filter_map(|(_, asked, _)| asked.clone());
        for asked in asked.chain([by_ranges(200)]) {
            let fits = Some(&asked) == same.as_ref();
            let new = NewTable { partition_by: Some(asked), ..NewTable::default() };
            let wanted = asking(&[ID, DAY], new);
            if fits {
                check(&target, &wanted).await.unwrap();
                continue;
            }
            let (kind, refusal) = refused(&target, &wanted).await;
            assert_eq!(kind, Kind::Data, "{at}");
            assert!(refusal.contains(said), "{said}\nis not in\n{refusal}");
            assert!(refusal.contains("bq rm -t shop:sales.orders"), "{refusal}");
        }
    }
    let monthly = json!({
        "timePartitioning": {"type": "MONTH", "field": "day", "expirationMs": "86400000"},
        "clustering": {"fields": ["day"]},
    });
    let target = answering(&[existing(fields.clone(), monthly)]).await;
    let warnings = check(&target, &asking(&[ID, DAY], everything())).await.unwrap();
    for (warning, expected) in warnings.iter().zip([
        "keeps the rows of a partition for 1 days, and not as the job says: ALTER TABLE \
         `shop.sales.orders` SET OPTIONS (partition_expiration_days = 90)",
        "SET OPTIONS (require_partition_filter = true)",
        "the table is clustered by day, and stays so, though the job says `cluster_by`: id",
    ]) {
        assert!(warning.contains(expected), "{expected}\nis not in\n{warning}");
    }
    assert_eq!(warnings.len(), 3, "{warnings:#?}");
    let same = json!({
        "timePartitioning": {"type": "MONTH", "field": "day", "expirationMs": "7776000000"},
        "requirePartitionFilter": true,
        "clustering": {"fields": ["ID"]},
    });
    let target = answering(&[existing(fields, same)]).await;
    assert!(check(&target, &asking(&[ID, DAY], everything())).await.unwrap().is_empty());
}
