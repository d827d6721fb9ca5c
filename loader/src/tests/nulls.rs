//! Values that became NULL are told of at the end of the run.

use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::json;
use sluice_contracts::documents::{SnapshotPlan, UnitRef};

use super::cloud::Cloud;
use crate::RunState;

/// What was logged.
#[derive(Debug, Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn values_that_became_null_are_in_event_log_and_outcomes() {
    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber =
        tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    let _logging = tracing::subscriber::set_default(subscriber);

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

    let said = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let about =
        |words: &[&str]| said.lines().any(|line| words.iter().all(|word| line.contains(word)));
    assert!(about(&["values became NULL", "t0", "amount", "values=7"]), "{said}");
    assert!(about(&["values became NULL", "t0", "at", "values=1"]), "{said}");
    assert!(about(&["run failed", "nulls=8"]), "{said}");
    assert_eq!(said.matches("values became NULL").count(), 2, "{said}");
}
