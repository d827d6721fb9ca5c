//! What is said of transactions before a row is read.

use serde_json::json;
use sluice_contracts::documents::{SchemaChanges, Table, TargetType};
use sluice_contracts::job::WriteDisposition::Truncate;

use super::check::{answering, dataset, table};
use super::recorder::Recorder;
use crate::target::Target as _;

#[tokio::test]
async fn what_no_transaction_can_do_is_said_before() {
    let known = [dataset()];
    let target = answering(&known).await;
    let of = |target: &str| {
        let mut table = table(Truncate, &[("id", TargetType::Int64)]);
        target.clone_into(&mut table.target);
        table
    };
    let many: Vec<Table> = (0..101).map(|at| of(&format!("bigquery://shop/sales/t{at}"))).collect();
    let against = async |tables: &[Table]| target.against_at_once(tables).await.unwrap();
    assert_eq!(against(&many[..100]).await, None);
    assert_eq!(against(&many).await.unwrap(), "BigQuery changes at most 100 tables in one step");
    let two = [of("bigquery://shop/sales/a"), of("bigquery://other/sales/a")];
    assert_eq!(against(&two).await.unwrap(), "they belong to several projects");
    let names: Vec<String> = (0..2000).map(|at| format!("{at:0>200}")).collect();
    let wanted: Vec<_> = names.iter().map(|name| (name.as_str(), TargetType::Int64)).collect();
    let wide = vec![table(Truncate, &wanted); 2];
    assert!(against(&wide).await.unwrap().contains("would be too long"));
}

#[tokio::test]
async fn columns_that_are_replaced_are_beyond_a_transaction() {
    let recorder = Recorder::default();
    recorder.stands(json!({"schema": {"fields": [{"name": "old", "type": "STRING"}]}}));
    let target = recorder.serve().await;
    let mut table = table(Truncate, &[("id", TargetType::Int64)]);
    table.target = "bigquery://shop/sales/orders".to_owned();
    table.write.schema_changes = SchemaChanges::Replace;
    let against = target.against_at_once(&[table.clone(), table.clone()]).await.unwrap();
    assert_eq!(against.unwrap(), format!("the columns of `{}` are replaced, too", table.name));
}
