//! One row of each key, word for word.

use std::task::Poll;

use serde_json::json;
use sluice_contracts::documents::{Column, Dedup, Dropped, RunId, TargetType};
use sluice_contracts::job::WriteDisposition::{self, Append, Merge, ReplacePartitions, Truncate};

use super::check::table as planned;
use super::endings::failed;
use super::native::{natively, source};
use super::recorder::Recorder;
use super::requests::assert_asked;
use super::{ID, RUN, advance, columns, load, loaded, visibility};
use crate::target::{Load, Target as _, Visibility};

const AT: (&str, TargetType) = ("at", TargetType::Timestamp);

pub(super) fn newest() -> Dedup {
    Dedup { keys: vec!["id".to_owned()], order: "at".to_owned() }
}

/// A load of three rows, of which one is newer than another.
pub(super) async fn of_newest(disposition: WriteDisposition) -> Load {
    let load = load(disposition, columns(&[ID, AT])).await;
    let key = if disposition == Merge { vec!["id".to_owned()] } else { Vec::new() };
    Load { dedup: Some(newest()), key, ..load }
}

/// The table as it stands, partitioned by its id.
pub(super) fn table() -> serde_json::Value {
    json!({
        "numRows": "0",
        "rangePartitioning":
            {"field": "id", "range": {"start": "0", "end": "100", "interval": "10"}},
        "schema": {"fields": [
            {"name": "id", "type": "INTEGER"}, {"name": "at", "type": "TIMESTAMP"},
        ]},
    })
}

/// A recorder whose query keeps two rows of three.
pub(super) fn recorder() -> Recorder {
    let recorder = Recorder::default();
    recorder.keeps_rows(2);
    recorder
}

#[tokio::test]
async fn the_newest_row_of_each_key_becomes_visible() {
    for (name, disposition, stands, in_turn) in [
        ("dedup_new", Truncate, false, false),
        ("dedup_replace", Truncate, true, false),
        ("dedup_append", Append, true, false),
        ("dedup_merge", Merge, true, false),
        ("dedup_partitions", ReplacePartitions, true, true),
    ] {
        let recorder = recorder();
        if stands {
            recorder.stands(table());
        }
        let load = Load { visibility: visibility(in_turn), ..of_newest(disposition).await };
        let shown = loaded(&recorder, &load).await;
        let dropped = Some(Dropped { rows: 1, ties: 1 });
        assert_eq!((shown.rows, shown.dropped), (2, dropped), "{name}");
        assert_asked!(name, recorder);
        // Another loader adopts the job, with its counts.
        assert_eq!(loaded(&recorder, &load).await, shown, "{name}");
        assert_eq!(recorder.tables(), ["orders"], "{name}");
    }
}

/// The whole source is copied, and one row of each key is taken from the copy.
#[tokio::test]
async fn rows_that_bigquery_takes_are_chosen_from_too() {
    let recorder = recorder();
    recorder.knows("source", source());
    let load = Load {
        dedup: Some(Dedup { order: "id".to_owned(), ..newest() }),
        ..natively(Truncate).await
    };
    recorder.counts_of("_all", 3);
    let shown = loaded(&recorder, &load).await;
    assert_eq!((shown.rows, shown.dropped), (2, Some(Dropped { rows: 1, ties: 1 })));
    assert_asked!("dedup_native", recorder);
    assert_eq!(loaded(&recorder, &load).await, shown);
    assert_eq!(recorder.tables(), ["orders", "source"]);
}

#[tokio::test]
async fn counts_that_differ_leave_the_table_as_it_is() {
    let recorder = recorder();
    recorder.counts(1);
    let target = recorder.serve().await;
    let error = advance(&target, &of_newest(Truncate).await).await.unwrap_err();
    let said = error.chain();
    assert!(said.contains("of 3 rows BigQuery kept 1, and says that it wrote 2"), "{said}");
    // What the table's claim starts has no effect.
    let asked = recorder.asked().to_string();
    assert!(!asked.contains(r#""tableId":"orders""#), "{asked}");
}

/// Another load begins again where the staging tables are gone, and adopts nothing of the first.
#[tokio::test]
async fn a_load_whose_staging_tables_are_gone_chooses_again() {
    let recorder = recorder();
    recorder.stands(table());
    let target = recorder.serve().await;
    let load = of_newest(Append).await;
    // The copy is refused: the rows stay staged.
    recorder.ends_all_of("copy", failed("accessDenied", "no"));
    let error = advance(&target, &load).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    let staging = format!("sluice_{RUN}_7_0");
    for gone in [staging.clone(), format!("{staging}_all"), format!("{staging}_ties")] {
        recorder.lacks(&gone);
    }
    let again = Load { begun: chrono::Utc::now(), ..load };
    recorder.ends_as_usual();
    let Poll::Ready(shown) = advance(&target, &again).await.unwrap() else { panic!("it is done") };
    assert_eq!((shown.rows, shown.dropped), (2, Some(Dropped { rows: 1, ties: 1 })));
    let jobs = recorder.jobs();
    let newest = jobs.iter().filter(|job| job.contains("_newest_")).count();
    let ties = jobs.iter().filter(|job| job.contains("_ties_")).count();
    assert_eq!((newest, ties), (2, 2), "{jobs:?}");
    assert_eq!(recorder.tables(), ["orders"]);
}

/// A statement gives the fields of a STRUCT by their places, and would exchange their values.
#[tokio::test]
async fn fields_of_a_structure_in_another_order_are_refused() {
    let field = |name: &str| json!({"name": name, "type": "STRING"});
    let mut stands = table();
    stands["schema"]["fields"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "of", "type": "RECORD", "fields": [field("b"), field("a")]}));
    let fields = ["a", "b"].map(|name| Column::plain(name, "string", TargetType::String)).to_vec();
    let of = Column { fields, ..Column::plain("of", "struct", TargetType::Struct) };
    for disposition in [Append, Merge, Truncate] {
        let recorder = recorder();
        recorder.stands(stands.clone());
        let target = recorder.serve().await;
        let mut planned = planned(disposition, &[ID, AT]);
        planned.columns.push(of.clone());
        if disposition == Merge {
            planned.write.key = vec!["id".to_owned()];
        } else {
            planned.write.dedup = Some(newest());
        }
        let checked = target.check(RunId::generate(), &planned, Visibility::Each).await;
        let said = checked.unwrap_err().chain();
        assert!(said.contains("has the fields of `of` in another order"), "{said}");
        let mut load = of_newest(disposition).await;
        load.columns.push(of.clone());
        assert!(advance(&target, &load).await.is_err());
        assert!(!recorder.asked().to_string().contains(r#""tableId":"orders""#));
    }
}

/// Rows of partitions that expire are counted before they are gone.
#[tokio::test]
async fn a_staging_table_has_no_partitions_that_expire() {
    let recorder = recorder();
    let mut stands = table();
    stands.as_object_mut().unwrap().remove("rangePartitioning");
    stands["timePartitioning"] = json!({"type": "DAY", "field": "at", "expirationMs": "1000"});
    recorder.stands(stands);
    loaded(&recorder, &of_newest(Truncate).await).await;
    let asked = recorder.asked().to_string();
    assert!(!asked.contains("expirationMs") && asked.contains("TRUNCATE TABLE"), "{asked}");
}

#[tokio::test]
async fn a_load_without_rows_chooses_none() {
    let recorder = Recorder::default();
    let load = Load { parts: Vec::new(), rows: 0, ..of_newest(Truncate).await };
    assert_eq!(loaded(&recorder, &load).await.rows, 0);
    assert!(!recorder.asked().to_string().contains("QUALIFY"));
}

#[tokio::test]
async fn columns_that_cannot_be_compared_are_refused_before_a_row_is_read() {
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    for (keys, order, said) in [
        (vec!["nr"], "at", "`dedup.keys` names `nr`, which the table has no column for"),
        (vec!["doc"], "at", "`dedup.keys` names `doc`, which is JSON"),
        (vec!["id"], "tags", "`dedup.order` names `tags`, which is an array of STRING"),
        (vec!["id"], "when", "`dedup.order` names `when`, which the table has no column for"),
    ] {
        let mut table = planned(Append, &[ID, AT, ("doc", TargetType::Json), super::TAGS]);
        let keys = keys.into_iter().map(str::to_owned).collect();
        table.write.dedup = Some(Dedup { keys, order: order.to_owned() });
        let checked = target.check(RunId::generate(), &table, Visibility::Each).await;
        let error = checked.unwrap_err();
        assert!(error.chain().contains(said), "{}", error.chain());
        assert!(error.remedy().is_some());
    }
}

#[tokio::test]
async fn a_plan_says_what_the_queries_cost() {
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    let mut table =
        planned(Truncate, &[ID, AT, ("note", TargetType::String), ("n", TargetType::Int64)]);
    (table.write.dedup, table.bytes) = (Some(newest()), 1 << 40);
    let admitted = target.check(RunId::generate(), &table, Visibility::Each).await.unwrap();
    assert_eq!(
        admitted.way.unwrap(),
        "a load job into a staging table, queries that keep the newest row of each key: about \
         1,572,864 MiB ($9.3750 on demand), and a copy, free of charge"
    );
}
