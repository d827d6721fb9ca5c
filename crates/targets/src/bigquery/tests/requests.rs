//! The requests, word for word.

use std::task::Poll;

use serde_json::{Value, json};
use sluice_contracts::documents::{SchemaChanges, TargetType};
use sluice_contracts::job::WriteDisposition::{Append, Empty, Truncate};

use super::recorder::{Recorder, done};
use super::{ID, TAGS, columns, load, load_of_nothing, loaded};
use crate::target::Target;

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
        insta::with_settings!({filters => [tomorrow], sort_maps => true}, {
            insta::assert_json_snapshot!($name, $recorder.asked());
        });
    };
}

pub(super) use assert_asked;

#[tokio::test]
async fn a_first_load_brings_every_type() {
    let recorder = Recorder::default();
    let types = TargetType::ALL.iter().filter(|kind| **kind != TargetType::Json);
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
        load.staged = true;
        assert_eq!(loaded(&recorder, &load).await.rows, 3);
        assert_asked!(name, recorder);
    }
}

#[tokio::test]
async fn a_copy_that_took_over_the_end_of_its_staging_table_is_kept_for_good() {
    let recorder = Recorder::default();
    let mut load = load(Truncate, columns(&[ID])).await;
    load.staged = true;
    recorder.ends(done(3));
    let target = recorder.serve().await;
    let Poll::Ready(prepared) = Target::prepare(&target, &load).await.unwrap() else {
        panic!("it is staged");
    };
    let asked = recorder.asked();
    let staging = asked[0].as_object().and_then(|asked| asked.values().next()).unwrap();
    recorder.stands(json!({"expirationTime": staging["expirationTime"]}));
    assert!(prepared.publish().await.unwrap().is_ready());
    let asked = recorder.asked();
    let change = json!({"PATCH /datasets/sales/tables/orders": {"expirationTime": null}});
    assert!(asked.as_array().unwrap().contains(&change), "{asked:#}");
}
