//! Values that became NULL are told of at the end of the run.

use serde_json::json;
use sluice_contracts::documents::{SnapshotPlan, UnitRef};

use super::cloud::Cloud;
use super::log::Lines;
use crate::RunState;

#[tokio::test]
async fn values_that_became_null_are_in_event_log_and_outcomes() {
    let (lines, _logging) = Lines::from_now_on();
    let mut cloud = Cloud::at_work(&[2, 1, 1], SnapshotPlan::Held).await;
    cloud.world.target.refuse = Some("t2");
    for (table, unit, columns) in [
        (0, 0, &[("amount", 3), ("at", 1)][..]),
        (0, 1, &[("amount", 4)]),
        (1, 0, &[]),
        (2, 0, &[("amount", 50)]),
    ] {
        let unit = UnitRef { table, unit };
        let mut receipt = cloud.world.receipt(0, unit);
        let columns = columns.iter().map(|(name, values)| ((*name).to_owned(), *values));
        receipt.invalid = columns.collect();
        cloud.world.prove_by(&receipt).await;
    }
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);

    let event = cloud.world.store.announced().await.unwrap().unwrap();
    let told: Vec<_> = event.tables.iter().map(|table| json!(table.invalid)).collect();
    // Nothing of the third table is visible.
    assert_eq!(told, [json!({"amount": 7, "at": 1}), json!({}), json!({})]);
    let committed = cloud.world.store.committed().await.unwrap().unwrap();
    assert_eq!(committed.tables, event.tables);

    let said = lines.text();
    assert!(lines.have(&["values became NULL", "t0", "amount", "values=7"]), "{said}");
    assert!(lines.have(&["values became NULL", "t0", "at", "values=1"]), "{said}");
    assert!(lines.have(&["run failed", "nulls=8"]), "{said}");
    assert_eq!(said.matches("values became NULL").count(), 2, "{said}");
}
