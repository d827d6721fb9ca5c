//! The load of one table of a run.

use std::task::Poll;

use async_trait::async_trait;
use sluice_contracts::documents::RunId;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;

use super::address::TableId;
use super::attempts::{AttemptState, Attempts, Owner};
use super::claim::Claimed;
use super::client::Client;
use super::existing::ExistingTable;
use super::job::{self, Write};
use super::parts;
use super::schema::SchemaMatch;
use crate::target::{Load, Loaded, Prepared};

/// Names the load in an error.
pub(super) fn during(load: &Load, error: Error) -> Error {
    error.during(format!("load run `{}` into `{}`", load.run, load.target))
}

/// The load of one table.
#[derive(Debug)]
pub(super) struct TableLoad {
    pub(super) client: Client,
    pub(super) load: Load,
    pub(super) id: TableId,
    pub(super) location: String,
    /// The number of the job that the table is claimed for.
    pub(super) claimed: Option<u32>,
    /// What a job of this load has made visible.
    done: Option<Loaded>,
    /// The later run that the table shows.
    overtaken_by: Option<RunId>,
}

#[async_trait]
impl Prepared for TableLoad {
    fn overtaken_by(&self) -> Option<RunId> {
        self.overtaken_by
    }

    async fn publish(self: Box<Self>) -> Result<Poll<Loaded>> {
        if let Some(newer) = self.overtaken_by {
            return Ok(Poll::Ready(self.nothing_loaded(Some(newer))));
        }
        let published =
            if self.load.staged { self.publish_staged().await } else { self.load().await };
        if let Err(error) = &published {
            self.give_back_after(error).await;
        }
        published.map_err(|error| during(&self.load, error))
    }
}

impl TableLoad {
    /// Everything but the last step.
    pub(super) async fn prepare(client: &Client, load: &Load) -> Result<Poll<Box<dyn Prepared>>> {
        let id = TableId::parse(&load.target)?;
        let location = client.location(&id).await?;
        let (client, load) = (client.clone(), load.clone());
        let (claimed, done, overtaken_by) = (None, None, None);
        let mut this = Self { client, load, id, location, claimed, done, overtaken_by };
        // Before anything is done in vain, and before anything of the table is changed.
        if this.claim().await?.is_pending() {
            return Ok(Poll::Pending);
        }
        if this.load.staged && this.claimed.is_some() {
            // Staging takes time: another run may have taken the claim over.
            let staged = this.stage().await;
            if let Err(error) = &staged {
                this.give_back_after(error).await;
            }
            if staged?.is_pending() || this.claim().await?.is_pending() {
                return Ok(Poll::Pending);
            }
        }
        Ok(Poll::Ready(Box::new(this)))
    }

    /// Claims the table, unless a job of this load has started already.
    async fn claim(&mut self) -> Result<Poll<()>> {
        let attempts = self.visible();
        let free = match attempts.look().await? {
            AttemptState::Free(free) => free,
            AttemptState::Done(loaded) => {
                self.done = Some(loaded);
                return Ok(Poll::Ready(()));
            }
            // The other tables of the run may be published meanwhile.
            AttemptState::Running if self.load.staged => return Ok(Poll::Ready(())),
            AttemptState::Running => return Ok(Poll::Pending),
        };
        let claimed = attempts.claim(free).await?;
        match claimed {
            Claimed::Waiting => return Ok(Poll::Pending),
            Claimed::Ours => self.claimed = Some(free),
            Claimed::Overtaken(newer) => self.overtaken_by = Some(newer),
        }
        Ok(Poll::Ready(()))
    }

    /// Gives the claim back after an error that ends the load.
    async fn give_back_after(&self, error: &Error) {
        let Some(claimed) = self.claimed.filter(|_| !error.is_transient()) else { return };
        if let Err(error) = self.visible().give_back(claimed).await {
            tracing::warn!(run = %self.load.run, "{}", error.chain());
        }
    }

    fn nothing_loaded(&self, overtaken_by: Option<RunId>) -> Loaded {
        Loaded { snapshot: self.load.snapshot, rows: 0, overtaken_by }
    }

    /// The attempts at the step that readers see.
    pub(super) fn visible(&self) -> Attempts<'_> {
        Attempts::visible(&self.client, &self.id, &self.location, Owner::of(&self.load))
    }

    /// Loads the parts into the table itself.
    async fn load(&self) -> Result<Poll<Loaded>> {
        let attempts = self.visible();
        // If another loader has used the number up since, BigQuery does not take its name again.
        if let Some(loaded) = self.done {
            return self.require_rows(loaded, VISIBLE).map(Poll::Ready);
        }
        let Some(free) = self.claimed else { return Ok(Poll::Pending) };
        let existing = self.admit().await?;
        if self.load.parts.is_empty()
            && existing.is_some()
            && self.load.disposition != WriteDisposition::Truncate
        {
            // Neither its rows nor its columns change.
            attempts.give_back(free).await?;
            return Ok(Poll::Ready(self.nothing_loaded(None)));
        }
        parts::require_whole(&self.load).await?;
        let write = self.make_room(existing.as_ref()).await?;
        let (kind, configuration) =
            job::configuration(&self.load, &self.id, existing.as_ref(), write)?;
        match attempts.start(free, kind, &configuration).await? {
            Poll::Ready(loaded) => self.require_rows(loaded, VISIBLE).map(Poll::Ready),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// The target as it is now, if this load may change it.
    pub(super) async fn admit(&self) -> Result<Option<ExistingTable>> {
        let Load { disposition, columns, .. } = &self.load;
        ExistingTable::admitting(&self.client, &self.id, *disposition, columns).await
    }

    /// Decides how the rows are written to the table as it is now, and adds the columns that it
    /// lacks. Readers find NULL in them until the load is done.
    async fn make_room(&self, existing: Option<&ExistingTable>) -> Result<Write> {
        let columns = &self.load.columns;
        match (self.load.disposition, existing) {
            (WriteDisposition::Append, _) => Ok(Write::Append),
            (WriteDisposition::Empty, _) => Ok(Write::Empty),
            (WriteDisposition::Truncate, None) => Ok(Write::Replace),
            (WriteDisposition::Truncate, Some(existing)) => match existing.compare(columns) {
                SchemaMatch::Same => Ok(Write::ReplaceRows),
                SchemaMatch::Wider(new) => {
                    let schema = existing.wider_schema(columns, &new);
                    let change = serde_json::json!({"schema": schema});
                    self.client.change_table(&self.id, &change).await?;
                    Ok(Write::ReplaceRows)
                }
                SchemaMatch::Different(_) => Ok(Write::Replace),
            },
        }
    }

    /// Compares BigQuery's count of the rows with the receipts'. Rows of another generation are
    /// compared by the loader that loaded them.
    pub(super) fn require_rows(&self, loaded: Loaded, hint: &'static str) -> Result<Loaded> {
        if loaded.snapshot == self.load.snapshot && loaded.rows != self.load.rows {
            return Err(Error::bug(format!(
                "check run `{}`: loaded {} rows, receipts say {}",
                self.load.run,
                thousands(loaded.rows),
                thousands(self.load.rows)
            ))
            .hint(hint));
        }
        Ok(loaded)
    }
}

pub(super) const VISIBLE: &str = "this is our bug, and the rows are visible: `FOR SYSTEM_TIME AS OF` shows the \
                       table as it was. Please report it with the run's manifest";
