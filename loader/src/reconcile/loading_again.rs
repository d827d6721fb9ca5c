//! Loading a run again, after a person has removed the cause of its failure.

use chrono::{DateTime, Utc};
use sluice_contracts::documents::{Decision, LoadOrder, RunId};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Kind, Result};

use super::ending::loadable_again;
use super::{Loader, RunState};
use crate::view::RunView;

impl Loader {
    /// Loads the tables of a run again that were read and could not be loaded. A run that has not
    /// ended is checked, and one of which every table is visible stays as it is.
    ///
    /// The order is a document, so any number of such calls at once lead to one load, and a loader
    /// that dies after it leaves the rest to the next check.
    ///
    /// # Errors
    /// `Conflict` if there is nothing that could be loaded: the run failed before.
    pub async fn load_again(&self, run: RunId, now: DateTime<Utc>) -> Result<RunState> {
        let view = RunView::new(RunStore::new(self.bucket.clone(), run));
        let store = view.store();
        let newest = store.newest_load().await?.map_or(0, |order| order.load);
        if store.announced_of(newest).await?.is_none() {
            return self.check(run, now).await;
        }
        let verdict = view.verdict().await?;
        if let Some(verdict) = &verdict
            && verdict.decision == Decision::Fail
        {
            return Err(not_read(run));
        }
        let Some(committed) = store.committed_of(newest).await? else {
            return Err(Error::transient(format!("read what became of run `{run}`: it is gone")));
        };
        if committed.is_whole() {
            return Ok(RunState::Ended);
        }
        let manifest = view.manifest().await?;
        if loadable_again(&manifest, verdict.as_deref(), &committed).is_empty() {
            return Err(not_read(run));
        }
        let order = LoadOrder { version: LoadOrder::VERSION, load: newest + 1, at: now };
        store.create_load_order(&order).await?;
        tracing::info!(%run, load = order.load, "loading a run again");
        self.check(run, now).await
    }
}

fn not_read(run: RunId) -> Error {
    Error::new(
        Kind::Conflict,
        format!("load run `{run}` again: it failed before its tables could be loaded"),
    )
    .hint("when its cause is fixed, ask for the job again, with `retry` if it has a run key")
}
