//! What is refused before a row is read, by answers that BigQuery gives.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use serde_json::{Value, json};
use sluice_contracts::documents::{Relation, RunId, SchemaChanges, Table, TableWrite, TargetType};
use sluice_contracts::job::{RowSecurity, WriteDisposition};
use sluice_contracts::{Kind, Result};
use sluice_runtime::google::Endpoints;
use tokio::net::TcpListener;

use super::super::BigQueryTarget;
use super::columns;
use super::recorder::Recorder;
use crate::target::{Target as _, Visibility};

const DATASET: &str = "/bigquery/v2/projects/shop/datasets/sales";
pub(super) const TABLE: &str = "/bigquery/v2/projects/shop/datasets/sales/tables/orders";

/// A BigQuery that answers GET with these documents and nothing else.
pub(super) async fn answering(documents: &[(&str, Value)]) -> BigQueryTarget {
    let known: HashMap<String, Value> =
        documents.iter().map(|(path, document)| ((*path).to_owned(), document.clone())).collect();
    let known = Arc::new(known);
    let router = Router::new().fallback(move |method: Method, uri: Uri| {
        let known = Arc::clone(&known);
        async move {
            assert_eq!(method, Method::GET);
            match known.get(uri.path()) {
                Some(document) => (StatusCode::OK, document.to_string()),
                None => (StatusCode::NOT_FOUND, refusal(404, "notFound").to_string()),
            }
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    let endpoints: Endpoints =
        serde_json::from_value(json!({"sluice_bigquery_endpoint": address.to_string()})).unwrap();
    BigQueryTarget::new(&endpoints.bigquery()).await.unwrap()
}

fn refusal(code: u16, reason: &str) -> Value {
    json!({"error": {"code": code, "message": "no", "errors": [{"reason": reason}]}})
}

pub(super) fn dataset() -> (&'static str, Value) {
    let reference = json!({"projectId": "shop", "datasetId": "sales"});
    (DATASET, json!({"datasetReference": reference, "location": "europe-west3"}))
}

/// The target with these fields and these other properties.
#[expect(clippy::needless_pass_by_value, reason = "tests give what they make")]
pub(super) fn existing(fields: Value, more: Value) -> (&'static str, Value) {
    let mut table = json!({"type": "TABLE", "numRows": "0", "schema": {"fields": fields}});
    for (key, value) in more.as_object().into_iter().flatten() {
        table[key] = value.clone();
    }
    (TABLE, table)
}

pub(super) fn table(disposition: WriteDisposition, wanted: &[(&str, TargetType)]) -> Table {
    Table {
        index: 0,
        name: "orders".into(),
        relation: Relation::Query(String::new()),
        filter: None,
        target: "bigquery://shop/sales/orders".into(),
        row_security: RowSecurity::default(),
        answer_within: None,
        write: TableWrite::of(disposition),
        strategy: "full".into(),
        reason: String::new(),
        engine: None,
        dataflow: None,
        statement: None,
        native: None,
        way: None,
        partitioned_by: None,
        columns: columns(wanted),
        shape: String::new(),
        rows: 0,
        bytes: 0,
        warnings: vec![],
        units: 1,
    }
}

/// The warnings on a table for a run that has loaded nothing yet.
pub(super) async fn check(target: &BigQueryTarget, table: &Table) -> Result<Vec<String>> {
    let admitted = target.check(RunId::generate(), table, Visibility::Each).await?;
    Ok(admitted.warnings)
}

pub(super) async fn refused(target: &BigQueryTarget, table: &Table) -> (Kind, String) {
    let error = check(target, table).await.expect_err("the table should be refused");
    (error.kind(), format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default()))
}

pub(super) const ID: (&str, TargetType) = ("id", TargetType::Int64);

#[tokio::test]
async fn a_dataset_that_is_missing_is_to_be_made() {
    let target = answering(&[]).await;
    let (kind, said) = refused(&target, &table(WriteDisposition::Truncate, &[ID])).await;
    assert_eq!(kind, Kind::NotFound);
    assert!(said.contains("find dataset `shop:sales`"), "{said}");
    assert!(said.ends_with("make it: `bq --location=LOCATION mk shop:sales`"), "{said}");
}

#[tokio::test]
async fn a_table_that_is_still_to_be_made_is_fine() {
    let target = answering(&[dataset()]).await;
    for disposition in
        [WriteDisposition::Truncate, WriteDisposition::Append, WriteDisposition::Empty]
    {
        check(&target, &table(disposition, &[ID])).await.unwrap();
    }
}

#[tokio::test]
async fn a_table_without_columns_is_refused() {
    let target = answering(&[dataset()]).await;
    let (kind, said) = refused(&target, &table(WriteDisposition::Truncate, &[])).await;
    assert_eq!(kind, Kind::Invalid);
    assert!(said.contains("the table has no columns"), "{said}");
}

#[tokio::test]
async fn empty_wants_no_rows_and_append_the_same_columns() {
    let fields = json!([
        {"name": "ID", "type": "INTEGER", "mode": "REQUIRED"},
        {"name": "tags", "type": "STRING", "mode": "REPEATED"},
    ]);
    let target = answering(&[existing(fields, json!({"numRows": "1204"}))]).await;
    let tags = ("tags", TargetType::String);
    check(&target, &table(WriteDisposition::Append, &[tags, ID])).await.unwrap();
    let (kind, said) = refused(&target, &table(WriteDisposition::Empty, &[ID, tags])).await;
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("table has 1,204 rows but write disposition is `empty`"), "{said}");
    for (columns, expected) in [
        (vec![("id", TargetType::String), tags], "it has `ID` REQUIRED INT64 where the job has"),
        (vec![ID], "column `tags` REPEATED STRING exists in the table and not in the job"),
        (vec![ID, tags, ("at", TargetType::Date)], "it lacks `at` NULLABLE DATE"),
    ] {
        let (kind, said) = refused(&target, &table(WriteDisposition::Append, &columns)).await;
        assert_eq!(kind, Kind::Data);
        assert!(said.contains(expected), "{expected}\nis not in\n{said}");
    }
}

#[tokio::test]
async fn types_that_only_bigquery_has_are_no_hindrance_to_reading_a_table() {
    let fields = json!([{"name": "id", "type": "FOREIGN"}]);
    let target = answering(&[existing(fields, json!({}))]).await;
    let (kind, said) = refused(&target, &table(WriteDisposition::Append, &[ID])).await;
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("it has `id` NULLABLE FOREIGN where the job has"), "{said}");
}

#[tokio::test]
async fn views_and_other_partitioning_are_no_targets() {
    let fields = json!([{"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"}]);
    let view = answering(&[existing(fields.clone(), json!({"type": "MATERIALIZED_VIEW"}))]).await;
    let (_, said) = refused(&view, &table(WriteDisposition::Truncate, &[ID])).await;
    assert!(said.contains("it is a materialized view and not a table"), "{said}");

    let by_day = json!({"timePartitioning": {"type": "DAY", "field": "day"}});
    let target = answering(&[existing(fields, by_day)]).await;
    let day = ("day", TargetType::Date);
    let replacing = |columns: &[(&str, TargetType)]| {
        let mut table = table(WriteDisposition::Truncate, columns);
        table.write.schema_changes = SchemaChanges::Replace;
        table
    };
    check(&target, &replacing(&[day])).await.unwrap();
    for columns in [vec![ID], vec![ID, ("day", TargetType::Timestamp)]] {
        let (kind, said) = refused(&target, &replacing(&columns)).await;
        assert_eq!(kind, Kind::Data);
        assert!(said.contains("the table is partitioned or clustered by `day`"), "{said}");
        assert!(said.contains("bq rm -t shop:sales.orders"), "{said}");
    }
}

#[tokio::test]
async fn a_plan_is_told_what_will_be_lost() {
    let fields = json!([{"name": "id", "type": "STRING"}]);
    let target = answering(&[existing(fields, json!({}))]).await;
    let mut truncate = table(WriteDisposition::Truncate, &[ID, ("tags", TargetType::String)]);
    truncate.write.schema_changes = SchemaChanges::Replace;
    let warnings = check(&target, &truncate).await.unwrap();
    assert_eq!(warnings.len(), 2, "{warnings:#?}");
    assert!(warnings[0].starts_with("column `tags`: BigQuery has no NULL arrays"), "{warnings:?}");
    assert!(warnings[1].contains("it has `id` NULLABLE STRING where the job has"), "{warnings:?}");
    let same = answering(&[existing(json!([]), json!({}))]).await;
    let wider = table(WriteDisposition::Truncate, &[ID]);
    assert!(check(&same, &wider).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_documents_of_json_lose_is_said_before() {
    let target = answering(&[dataset()]).await;
    let table = table(WriteDisposition::Truncate, &[ID, ("doc", TargetType::Json)]);
    let warnings = check(&target, &table).await.unwrap();
    let said = warnings.join("\n");
    for words in ["JSON in `doc`", "white space", "equal keys", "`columns.doc.type: STRING`"] {
        assert!(said.contains(words), "{said}");
    }
}

#[tokio::test]
async fn a_bucket_that_bigquery_does_not_load_from_is_refused_before_a_row_is_read() {
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    let check = async || target.check_bucket("bigquery://shop/sales/orders", "gs://lake/etl").await;
    // Nobody may ask where the bucket lies.
    let said = check().await.unwrap();
    assert!(said[0].contains("`storage.buckets.get`"), "{said:?}");
    let place = |location: &str| json!({"location": location, "locationType": "region"});
    recorder.has_bucket("lake", place("US-EAST1"));
    let error = check().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    let said = format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default());
    let expected = "load into dataset `shop:sales` in `EU` from bucket `lake` in `us-east1`";
    assert!(said.contains(expected) && said.contains("--location=eu"), "{said}");
    recorder.has_bucket("lake", place("EUROPE-WEST4"));
    assert_eq!(check().await.unwrap(), [""; 0]);
}
