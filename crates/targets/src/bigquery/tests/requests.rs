//! The requests, word for word.

use serde_json::{Value, json};
use sluice_contracts::documents::{SchemaChanges, TargetType};
use sluice_contracts::job::WriteDisposition::{Append, Empty, Truncate};

use super::recorder::Recorder;
use super::{ID, TAGS, advance, columns, load, load_of_nothing, loaded, many_parts, visibility};
use crate::target::Visibility;

/// A table with descriptions, keys and policies.
fn cared_for() -> Value {
    json!({
        "type": "TABLE",
        "numRows": "0",
        "description": "one row for each order",
        "timePartitioning": {"type": "DAY", "field": "day"},
        "clustering": {"fields": ["id"]},
        "tableConstraints": {"primaryKey": {"columns": ["id"]}},
        "schema": {"fields": [
            {"name": "id", "type": "INTEGER", "mode": "REQUIRED", "description": "the number"},
            {"name": "day", "type": "DATE", "defaultValueExpression": "CURRENT_DATE()"},
            {"name": "email", "type": "STRING", "policyTags": {"names": ["personal"]}},
        ]},
    })
}

pub(super) const DAY: (&str, TargetType) = ("day", TargetType::Date);
pub(super) const EMAIL: (&str, TargetType) = ("email", TargetType::String);

/// Compares what a recorder was asked for with the snapshot of this name.
macro_rules! assert_asked {
    ($name:expr, $recorder:expr) => {
        let tomorrow = (r#""expirationTime": "\d{13}""#, r#""expirationTime": "[tomorrow]""#);
        let time = (r#""destinationExpirationTime": "[^"]*""#, r#""destinationExpirationTime": "[time]""#);
        insta::with_settings!({filters => [tomorrow, time], sort_maps => true}, {
            insta::assert_json_snapshot!($name, $recorder.asked());
        });
    };
}

pub(super) use assert_asked;

#[tokio::test]
async fn a_first_load_brings_every_type() {
    let recorder = Recorder::default();
    let types = TargetType::ALL.iter().filter(|kind| {
        // A load from Parquet fills no column of these.
        !matches!(kind, TargetType::Json | TargetType::Interval) && kind.range_element().is_none()
    });
    let wanted: Vec<(String, TargetType)> =
        types.map(|kind| (kind.name().to_lowercase(), *kind)).collect();
    let mut wanted: Vec<(&str, TargetType)> =
        wanted.iter().map(|(name, kind)| (name.as_str(), *kind)).collect();
    wanted.push(TAGS);
    loaded(&recorder, &load(Truncate, columns(&wanted)).await).await;
    assert_asked!("first_load", recorder);
}

#[tokio::test]
async fn a_table_with_the_same_columns_keeps_all_but_its_rows() {
    let recorder = Recorder::default();
    recorder.stands(cared_for());
    loaded(&recorder, &load(Truncate, columns(&[ID, DAY, EMAIL])).await).await;
    assert_asked!("same_columns", recorder);
}

#[tokio::test]
async fn a_table_that_lacks_a_column_is_given_it() {
    let recorder = Recorder::default();
    recorder.stands(cared_for());
    let mut wider = load(Truncate, columns(&[ID, DAY, EMAIL, TAGS])).await;
    wider.schema_changes = SchemaChanges::Add;
    loaded(&recorder, &wider).await;
    assert_asked!("more_columns", recorder);

    let recorder = Recorder::default();
    recorder.stands(cared_for());
    wider.disposition = Append;
    loaded(&recorder, &wider).await;
    assert_asked!("more_columns_appended", recorder);
}

#[tokio::test]
async fn a_table_with_other_columns_keeps_its_partitioning() {
    let recorder = Recorder::default();
    recorder.stands(cared_for());
    let other = columns(&[ID, DAY, ("email", TargetType::Bytes)]);
    let mut other = load(Truncate, other).await;
    other.schema_changes = SchemaChanges::Replace;
    loaded(&recorder, &other).await;
    assert_asked!("other_columns", recorder);
}

#[tokio::test]
async fn append_and_empty_are_left_to_bigquery() {
    let recorder = Recorder::default();
    recorder.stands(cared_for());
    let wanted = columns(&[ID, DAY, EMAIL]);
    loaded(&recorder, &load(Append, wanted.clone()).await).await;
    assert_asked!("append", recorder);
    let recorder = Recorder::default();
    recorder.stands(cared_for());
    loaded(&recorder, &load(Empty, wanted).await).await;
    assert_asked!("empty", recorder);
}

#[tokio::test]
async fn a_table_without_rows_needs_no_file() {
    let recorder = Recorder::default();
    loaded(&recorder, &load_of_nothing(Append).await).await;
    assert_asked!("nothing_into_nothing", recorder);

    let standing = json!({"schema": {"fields": [
        {"name": "id", "type": "INTEGER"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
    ]}});
    let recorder = Recorder::default();
    recorder.stands(standing.clone());
    loaded(&recorder, &load_of_nothing(Truncate).await).await;
    assert_asked!("nothing_over_rows", recorder);

    for disposition in [Append, Empty] {
        let recorder = Recorder::default();
        recorder.stands(standing.clone());
        assert_eq!(loaded(&recorder, &load_of_nothing(disposition).await).await.rows, 0);
        assert_eq!(recorder.asked(), json!([]));
    }
}

#[tokio::test]
async fn a_staged_load_is_copied_over_the_table_that_it_looks_like() {
    for (name, standing, wanted) in [
        ("staged_first", None, columns(&[ID, TAGS])),
        ("staged_same", Some(cared_for()), columns(&[ID, DAY, EMAIL])),
    ] {
        let recorder = Recorder::default();
        if let Some(standing) = standing {
            recorder.stands(standing);
        }
        let mut load = load(Truncate, wanted).await;
        load.visibility = Visibility::InTurn;
        assert_eq!(loaded(&recorder, &load).await.rows, 3);
        assert_asked!(name, recorder);
    }
}

/// A copy gives its destination the expiration of its source. So the load removes the source's
/// expiration first, and passes that of the table.
#[tokio::test]
async fn staging_never_makes_the_table_expire() {
    for (disposition, staged) in [(Append, false), (Truncate, true)] {
        for own in [None, Some("4102444800000")] {
            let recorder = Recorder::default();
            let mut table = cared_for();
            table["encryptionConfiguration"] = json!({"kmsKeyName": "ours"});
            if let Some(own) = own {
                table["expirationTime"] = own.into();
            }
            recorder.stands(table);
            let mut load = load(disposition, columns(&[ID, DAY, EMAIL])).await;
            load.visibility = visibility(staged);
            loaded(&recorder, &load).await;
            let asked = recorder.asked();
            let asked = asked.as_array().unwrap();
            let is_end = |asked: &Value| asked.to_string().contains(r#""expirationTime":null"#);
            let is_copy = |asked: &Value| asked.to_string().contains(r#""copy":"#);
            let end = asked.iter().position(is_end).expect("the staging table keeps its end");
            let copy = asked.iter().position(is_copy).expect("nothing is copied");
            assert!(end < copy, "{asked:#?}");
            let copy = &asked[copy]["POST /jobs"]["configuration"]["copy"];
            let time = own.map(|_| "2100-01-01T00:00:00.000Z");
            assert_eq!(copy["destinationExpirationTime"].as_str(), time);
            // Without it the copy has the key of the project.
            assert_eq!(copy["destinationEncryptionConfiguration"]["kmsKeyName"], "ours");
        }
    }
}

#[tokio::test]
async fn a_staging_table_that_could_not_be_deleted_is_deleted_by_the_next_call() {
    let recorder = Recorder::default();
    recorder.stands(cared_for());
    let load = load(Append, columns(&[ID, DAY, EMAIL])).await;
    recorder.keeps_tables(1);
    let target = recorder.serve().await;
    assert!(advance(&target, &load).await.unwrap().is_pending());
    assert_eq!(loaded(&recorder, &load).await.rows, 3);
    let asked = recorder.asked().to_string();
    assert_eq!(asked.matches("DELETE").count(), 2, "{asked}");
    assert_eq!(recorder.jobs().len(), 2, "{asked}");
}

#[tokio::test]
async fn more_files_than_one_job_takes_are_staged_and_copied_at_once() {
    let recorder = Recorder::default();
    let mut load = load(Truncate, columns(&[ID])).await;
    load.parts = many_parts(&load, 12_000).await;
    load.rows = 12_000;
    assert_eq!(loaded(&recorder, &load).await.rows, 12_000);
    let asked = recorder.asked();
    let asked = asked.as_array().unwrap();
    let jobs = asked.iter().filter_map(|asked| asked.get("POST /jobs"));
    let mut kinds: Vec<(String, usize)> = jobs
        .map(|job| {
            let configuration = &job["configuration"];
            let count = |what: &Value| what.as_array().map_or(0, Vec::len);
            match configuration.get("load") {
                Some(load) => ("load".to_owned(), count(&load["sourceUris"])),
                None => ("copy".to_owned(), count(&configuration["copy"]["sourceTables"])),
            }
        })
        .collect();
    assert_eq!(kinds.last().map(|(kind, _)| kind.as_str()), Some("copy"));
    kinds.sort();
    let expected = [("copy", 2), ("load", 2_000), ("load", 10_000)];
    assert_eq!(kinds, expected.map(|(kind, count)| (kind.to_owned(), count)));
    // Two tables are made, kept and deleted, and three jobs are started.
    assert_eq!(asked.len(), 9);
}

#[tokio::test]
async fn documents_of_json_are_parsed_without_rounding() {
    let doc = ("doc", TargetType::Json);
    let fields = json!({"schema": {"fields": [
        {"name": "id", "type": "INTEGER", "mode": "REQUIRED"},
        {"name": "doc", "type": "JSON"},
    ]}});
    for (name, disposition, existing) in [
        ("json_first", Truncate, None),
        ("json_truncate", Truncate, Some(&fields)),
        ("json_append", Append, Some(&fields)),
        ("json_empty", Empty, Some(&fields)),
    ] {
        let recorder = Recorder::default();
        if let Some(existing) = existing {
            recorder.stands(existing.clone());
        }
        loaded(&recorder, &load(disposition, columns(&[ID, doc])).await).await;
        assert_asked!(name, recorder);
    }
}

#[tokio::test]
async fn intervals_and_ranges_are_staged_as_text() {
    let wanted = [
        ID,
        ("length", TargetType::Interval),
        ("days", TargetType::RangeDate),
        ("slot", TargetType::RangeDatetime),
        // An array.
        ("tags", TargetType::RangeTimestamp),
    ];
    let range = |name: &str, mode: &str, of: &str| json!({"name": name, "mode": mode, "type": "RANGE", "rangeElementType": {"type": of}});
    let fields = json!({"schema": {"fields": [
        {"name": "id", "type": "INTEGER"},
        {"name": "length", "type": "INTERVAL"},
        range("days", "NULLABLE", "DATE"),
        range("slot", "NULLABLE", "DATETIME"),
        range("tags", "REPEATED", "TIMESTAMP"),
    ]}});
    for (name, disposition, existing) in
        [("texts_first", Truncate, None), ("texts_append", Append, Some(&fields))]
    {
        let recorder = Recorder::default();
        if let Some(existing) = existing {
            recorder.stands(existing.clone());
        }
        let mut wanted = columns(&wanted);
        // What the source says of a column is written to a table that is made.
        wanted[1].description = Some("how long it took".into());
        loaded(&recorder, &load(disposition, wanted).await).await;
        assert_asked!(name, recorder);
    }
}
