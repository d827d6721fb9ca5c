//! Rows that BigQuery takes from tables of its own, word for word.

use axum::http::StatusCode;
use serde_json::{Value, json};
use sluice_contracts::documents::{
    Column, Native, NativeQuery, NativeRows, NewTable, RunId, Table, TargetType,
};
use sluice_contracts::job::WriteDisposition::{self, Append, Empty, Merge, Truncate};

use super::check::table as planned;
use super::recorder::Recorder;
use super::requests::assert_asked;
use super::{ID, advance, columns, load, loaded, visibility};
use crate::target::{Load, NativeAnswer, Target as _, Visibility};

/// The table that is copied.
pub(super) fn source() -> Value {
    json!({
        "type": "TABLE",
        "numRows": "3",
        "timePartitioning": {"type": "DAY"},
        "labels": {"team": "lake", "sluice_writer": "sluice_another_0_0"},
        "schema": {"fields": [
            {"name": "id", "type": "INTEGER", "description": "theirs", "policyTags": {"names": ["p"]}},
        ]},
    })
}

fn query() -> NativeQuery {
    NativeQuery {
        at: chrono::DateTime::from_timestamp_millis(1_790_000_000_123),
        location: "EU".to_owned(),
        copied: vec!["shop.sales.source".to_owned()],
        rows: Some(3),
        bytes: 7 << 30,
        unfiltered: None,
    }
}

const STATEMENT: &str = "SELECT `id` FROM `shop`.`sales`.`source`";

/// A load of the rows of that table.
pub(super) async fn natively(disposition: WriteDisposition) -> Load {
    let load = load(disposition, columns(&[ID])).await;
    let load = Load { parts: Vec::new(), rows: 0, ..load };
    taking(load, query())
}

fn taking(load: Load, query: NativeQuery) -> Load {
    let statement = STATEMENT.to_owned();
    Load { native: Some(NativeRows::Query { statement, query }), ..load }
}

/// A recorder that knows the source.
fn recorder() -> Recorder {
    let recorder = Recorder::default();
    recorder.knows("source", source());
    recorder
}

#[tokio::test]
async fn a_table_that_does_not_exist_is_a_copy_of_the_source() {
    let recorder = recorder();
    let mut load = natively(Truncate).await;
    load.columns[0].description = Some("ours".to_owned());
    load.new_table.description = Some("all orders".to_owned());
    assert_eq!(loaded(&recorder, &load).await.rows, 3);
    assert_asked!("native_copy", recorder);
}

#[tokio::test]
async fn a_table_that_lies_as_its_source_does_keeps_all_but_its_rows() {
    let recorder = recorder();
    let mut table = source();
    table["schema"]["fields"][0]["description"] = "ours".into();
    table["description"] = "kept".into();
    table["expirationTime"] = "1890000000000".into();
    recorder.stands(table);
    loaded(&recorder, &natively(Truncate).await).await;
    assert_asked!("native_copy_over", recorder);
}

#[tokio::test]
async fn a_table_that_lies_otherwise_is_filled_by_a_query() {
    for (what, more) in [
        ("layout", json!({"timePartitioning": {"type": "HOUR"}})),
        (
            "columns",
            json!({"schema": {"fields": [{"name": "id", "type": "INTEGER", "mode": "REQUIRED"}]}}),
        ),
    ] {
        let recorder = recorder();
        let mut table = source();
        for (key, value) in more.as_object().unwrap() {
            table[key] = value.clone();
        }
        recorder.stands(table);
        let mut load = natively(Truncate).await;
        load.columns[0].nullable = Some(false);
        loaded(&recorder, &load).await;
        assert_asked!(format!("native_query_for_other_{what}"), recorder);
    }
}

#[tokio::test]
async fn what_the_job_makes_otherwise_is_filled_by_a_query() {
    let recorder = recorder();
    let mut load = natively(Empty).await;
    load.new_table.cluster_by = vec!["id".to_owned()];
    loaded(&recorder, &load).await;
    assert_asked!("native_query_for_a_new_table", recorder);
}

#[tokio::test]
async fn rows_are_appended_merged_and_moved_with_other_tables() {
    for (name, disposition, seen) in [
        ("native_append", Append, visibility(false)),
        ("native_merge", Merge, visibility(false)),
        ("native_in_turn", Truncate, visibility(true)),
    ] {
        let recorder = recorder();
        recorder.stands(source());
        let mut load = natively(disposition).await;
        load.visibility = seen;
        if disposition == Merge {
            load.key = vec!["id".to_owned()];
        }
        loaded(&recorder, &load).await;
        assert_asked!(name, recorder);
    }
}

/// A document lies in the staging table as a document: nothing is parsed.
#[tokio::test]
async fn no_staged_value_is_converted() {
    let recorder = recorder();
    recorder.stands(json!({"schema": {"fields": [
        {"name": "id", "type": "INTEGER"}, {"name": "doc", "type": "JSON"},
    ]}}));
    let mut load = natively(Merge).await;
    load.columns = columns(&[ID, ("doc", TargetType::Json)]);
    load.key = vec!["id".to_owned()];
    loaded(&recorder, &load).await;
    let asked = recorder.asked().to_string();
    assert!(asked.contains("MERGE") && !asked.contains("PARSE_JSON"), "{asked}");
}

#[tokio::test]
async fn counts_that_differ_leave_the_table_as_it_is() {
    for (counted, planned, written) in [(2, None, 3), (3, Some(4), 3), (3, Some(3), 2)] {
        let recorder = recorder();
        recorder.counts(counted);
        let rows = json!({"copiedRows": written.to_string()});
        recorder.ends(json!({"status": {"state": "DONE"}, "statistics": {"copy": rows}}));
        let target = recorder.serve().await;
        let load = natively(Truncate).await;
        let load = taking(load, NativeQuery { rows: planned, ..query() });
        let error = advance(&target, &load).await.unwrap_err();
        let said = error.chain();
        assert!(said.contains(&format!("a copy has {counted} rows")), "{said}");
        // What the table's claim starts has no effect.
        let asked = recorder.asked().to_string();
        assert!(!asked.contains(r#""tableId":"orders""#), "{asked}");
    }
}

#[tokio::test]
async fn a_source_that_the_copy_does_not_fit_any_more_is_said() {
    let recorder = recorder();
    recorder.stands(json!({"schema": {"fields": [{"name": "id", "type": "INTEGER"}]}}));
    let target = recorder.serve().await;
    let load = natively(Truncate).await;
    let load = taking(load, NativeQuery { location: "US".to_owned(), ..query() });
    let error = advance(&target, &load).await.unwrap_err();
    assert!(error.chain().contains("they lie in `US`, and the target in `EU`"), "{error:?}");
    let asked = recorder.asked();
    assert_eq!(asked, json!([]));
}

/// A planned table.
fn table(disposition: WriteDisposition) -> Table {
    Table {
        statement: Some(STATEMENT.to_owned()),
        native: Some(Native::Query(query())),
        units: 0,
        bytes: 7 << 30,
        ..planned(disposition, &[ID])
    }
}

pub(super) async fn said(recorder: &Recorder, table: &Table, visibility: Visibility) -> String {
    let target = recorder.serve().await;
    let answer = match target.native(table).await.unwrap() {
        NativeAnswer::Takes { how, estimate } => {
            format!("{how}, {:.0} s, ${:.4}", estimate.seconds, estimate.dollars)
        }
        NativeAnswer::Refuses(why) => return why,
        NativeAnswer::Misses => return "nothing is there".to_owned(),
    };
    let admitted = target.check(RunId::generate(), table, visibility).await.unwrap();
    assert_eq!(admitted.warnings, Vec::<String>::new());
    format!("{answer}: {}", admitted.way.unwrap())
}

#[tokio::test]
async fn a_plan_says_how_bigquery_takes_the_rows_and_what_that_costs() {
    let of_new = |cluster_by: &[&str]| NewTable {
        cluster_by: cluster_by.iter().map(|&name| name.to_owned()).collect(),
        ..NewTable::default()
    };
    let recorder = recorder();
    let mut whole = table(Truncate);
    let free = "a copy, 10 s, $0.0000: a copy into a staging table, free of charge, and a copy of \
                that, free of charge";
    assert_eq!(said(&recorder, &whole, Visibility::Each).await, free);
    let in_us = NativeQuery { location: "US".to_owned(), ..query() };
    whole.native = Some(Native::Query(in_us));
    let far = said(&recorder, &whole, Visibility::Each).await;
    assert!(far.contains("a copy across regions") && far.contains("2,000 a day, 100"), "{far}");
    whole.write.new_table = of_new(&["id"]);
    assert_eq!(
        said(&recorder, &whole, Visibility::Each).await,
        "a query of BigQuery reads and writes one location: the source lies in `US`, and the target \
         in `EU`"
    );
    let filtered = NativeQuery { unfiltered: Some(70 << 30), ..query() };
    whole.native = Some(Native::Query(filtered));
    assert_eq!(
        said(&recorder, &whole, Visibility::Each).await,
        "a query, 18 s, $0.0427: a query into a staging table: about 7,168 MiB ($0.0427 on demand), of \
         71,680 MiB without the filter, and a copy of that, free of charge"
    );
    recorder.stands(source());
    let mut merged = table(Merge);
    merged.write.key = vec!["id".to_owned()];
    let merge = said(&recorder, &merged, Visibility::Each).await;
    assert!(
        merge.starts_with("a copy, 10 s") && merge.contains("and a MERGE that reads"),
        "{merge}"
    );
}

/// A copy over the table would take its policies away.
#[tokio::test]
async fn a_table_with_policies_on_its_rows_is_written_to_by_a_statement() {
    let denied =
        json!({"error": {"code": 403, "message": "no", "errors": [{"reason": "accessDenied"}]}});
    for (status, answer, stays) in [
        (StatusCode::OK, json!({"rowAccessPolicies": [{}]}), true),
        (StatusCode::FORBIDDEN, denied, true),
        (StatusCode::OK, json!({}), false),
    ] {
        let recorder = recorder();
        recorder.stands(source());
        recorder.has_policies(status, answer);
        let way = said(&recorder, &table(Truncate), Visibility::Each).await;
        assert_eq!(way.contains("row access policies"), stays, "{way}");
        loaded(&recorder, &natively(Truncate).await).await;
        let asked = recorder.asked().to_string();
        assert_eq!(asked.contains("TRUNCATE TABLE `shop`.`sales`.`orders`"), stays, "{asked}");
    }
}

/// A statement matches the fields of a STRUCT by their places.
#[tokio::test]
async fn fields_of_a_structure_in_another_order_are_not_taken() {
    let field = |name: &str| json!({"name": name, "type": "STRING"});
    let of = |first: &str, second: &str| json!({"name": "of", "type": "RECORD", "fields": [field(first), field(second)]});
    let fields = ["a", "b"].map(|name| Column::plain(name, "string", TargetType::String)).to_vec();
    let column = Column { fields, ..Column::plain("of", "struct", TargetType::Struct) };
    for (theirs, taken) in [(of("a", "b"), true), (of("b", "a"), false)] {
        let recorder = recorder();
        recorder.stands(json!({"schema": {"fields": [theirs]}}));
        let planned = Table { columns: vec![column.clone()], ..table(Append) };
        let answer = recorder.serve().await.native(&planned).await.unwrap();
        assert_eq!(matches!(answer, NativeAnswer::Takes { .. }), taken, "{answer:?}");
        let mut load = natively(Append).await;
        load.columns = vec![column.clone()];
        let target = recorder.serve().await;
        assert_eq!(advance(&target, &load).await.is_ok(), taken);
    }
}

/// Where a query has to name partitions, the rows are counted all the same, and a statement reads them.
#[tokio::test]
async fn a_staging_table_that_requires_a_filter_is_counted_and_read() {
    let recorder = recorder();
    let mut required = source();
    required["timePartitioning"]["requirePartitionFilter"] = true.into();
    required["requirePartitionFilter"] = true.into();
    recorder.knows("source", required);
    recorder.stands(source());
    let mut load = natively(Merge).await;
    load.key = vec!["id".to_owned()];
    loaded(&recorder, &load).await;
    let asked = recorder.asked().to_string();
    assert!(asked.contains(r#""requirePartitionFilter":false"#), "{asked}");
}
