//! One row of each key, word for word.

use serde_json::json;
use sluice_contracts::documents::{Dedup, Dropped, RunId, TargetType};
use sluice_contracts::job::WriteDisposition::{self, Append, Merge, ReplacePartitions, Truncate};

use super::check::table as planned;
use super::native::{natively, source};
use super::recorder::Recorder;
use super::requests::assert_asked;
use super::{ID, advance, columns, load, loaded, visibility};
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
