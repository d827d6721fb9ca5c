//! Launching a run on Cloud Run.

use std::time::Duration;

use chrono::Utc;
use sluice_contracts::Result;
use sluice_contracts::documents::{Manifest, Order};
use sluice_contracts::ports::{Check, Checks, Executions};
use sluice_contracts::store::RunStore;

/// Time from a launch to the first check of its run. Its tasks report when they are done; this
/// check is for the case that none of them can.
const FIRST_CHECK: Duration = Duration::from_mins(2);

/// Starts the first execution of a run, with all tasks, and asks for the first check of it. A run
/// without tasks, whose targets take the rows by themselves, is checked at once. Called again, it
/// starts nothing that was started already.
pub(crate) async fn launch(
    store: &RunStore,
    manifest: &Manifest,
    executions: &dyn Executions,
    checks: &dyn Checks,
) -> Result<()> {
    let run = store.run();
    if manifest.tasks.is_empty() {
        return checks.ask(&Check { run, name: "sweep-0".to_owned(), after: Duration::ZERO }).await;
    }
    let order = Order {
        version: Order::VERSION,
        launch: 0,
        tasks: manifest.tasks.iter().map(|task| task.index).collect(),
        reason: "the run begins".to_owned(),
        at: Utc::now(),
    };
    sluice_runtime::launch::carry_out(store, executions, &manifest.task_kind, order).await?;
    checks.ask(&Check { run, name: "sweep-0".to_owned(), after: FIRST_CHECK }).await
}
