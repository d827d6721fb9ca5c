//! The load of one table of a run.

use std::task::Poll;

use async_trait::async_trait;
use serde_json::Value;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;

use super::address::TableId;
use super::attempts::{AttemptState, Attempts, Owner};
use super::client::Client;
use super::existing::{ExistingTable, Wanted, new_schema};
use super::job::{self, Write};
use super::layout;
use super::parts;
use super::path::LoadPath;
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
    /// The path of the next attempt at the visible step; `None` where one exists already.
    path: Option<LoadPath>,
}

#[async_trait]
impl Prepared for TableLoad {
    async fn publish(self: Box<Self>) -> Result<Poll<Loaded>> {
        self.make_visible().await.map_err(|error| during(&self.load, error))
    }
}

impl TableLoad {
    /// Everything but the last step.
    pub(super) async fn prepare(client: &Client, load: &Load) -> Result<Poll<Box<dyn Prepared>>> {
        let id = TableId::parse(&load.target)?;
        let location = client.location(&id).await?;
        let mut this =
            Self { client: client.clone(), load: load.clone(), id, location, path: None };
        if let AttemptState::Free(_) = this.visible().look().await? {
            let existing = this.admit().await?;
            let path = LoadPath::of(load, existing.as_ref());
            if path != LoadPath::Direct && this.stage(path, existing.as_ref()).await?.is_pending() {
                return Ok(Poll::Pending);
            }
            this.path = Some(path);
        }
        Ok(Poll::Ready(Box::new(this)))
    }

    /// The attempts at the step that readers see.
    fn visible(&self) -> Attempts<'_> {
        Attempts::visible(&self.client, &self.id, &self.location, Owner::of(&self.load))
    }

    /// The last step, by one job.
    async fn make_visible(&self) -> Result<Poll<Loaded>> {
        let attempts = self.visible();
        let free = match attempts.look().await? {
            AttemptState::Free(free) => free,
            AttemptState::Running => return Ok(Poll::Pending),
            AttemptState::Done(loaded) => return self.finish(loaded).await,
        };
        // The attempt that was there before has failed: the next call prepares another.
        let Some(path) = self.path else { return Ok(Poll::Pending) };
        let mut existing = self.admit().await?;
        if path == LoadPath::Direct && LoadPath::of(&self.load, existing.as_ref()) != path {
            // The table came about meanwhile: the next call stages the rows.
            return Ok(Poll::Pending);
        }
        if path == LoadPath::Direct && self.load.parts.is_empty() && existing.is_none() {
            // Only a load job takes all that a table may be made with. Without rows the table is
            // complete as soon as it is there.
            self.client.create_table(&self.id, &self.new_table()).await?;
            existing = self.admit().await?;
        }
        if self.load.parts.is_empty()
            && existing.is_some()
            && self.load.disposition != WriteDisposition::Truncate
        {
            // Neither its rows nor its columns change.
            let snapshot = self.load.snapshot;
            return self.finish(Loaded { snapshot, rows: 0, overtaken_by: None }).await;
        }
        let existing = existing.as_ref();
        let (kind, configuration) = match path {
            LoadPath::Direct => {
                parts::require_whole(&self.load).await?;
                let write = self.make_room(existing).await?;
                job::direct(&self.load, &self.id, existing, write)?
            }
            LoadPath::Copy => {
                if self.load.disposition != WriteDisposition::Truncate {
                    self.make_room(existing).await?;
                }
                self.keep_staging().await?;
                let staging = self.staging_tables()?;
                ("copy", job::copy(&self.load, &self.id, existing, &staging))
            }
            LoadPath::Statement => {
                let write = self.make_room(existing).await?;
                let staging = self.staging_tables()?;
                ("query", job::statement(&self.load, &self.id, existing, write, &staging)?)
            }
        };
        match attempts.start(free, kind, &configuration).await? {
            Poll::Ready(loaded) => self.finish(loaded).await,
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// The target as a table without rows.
    fn new_table(&self) -> Value {
        let mut table = layout::properties_of_new(&self.load.new_table);
        table.extend(layout::of_new(&self.load));
        table.insert("tableReference".to_owned(), serde_json::json!(self.id.reference()));
        table.insert("schema".to_owned(), new_schema(&self.load.columns));
        table.into()
    }

    /// The table is visible: its rows are compared, and nothing is left of the way there.
    async fn finish(&self, loaded: Loaded) -> Result<Poll<Loaded>> {
        let loaded = self.require_rows(loaded, self.load.rows, VISIBLE)?;
        // A table that did not exist may have been loaded without staging, and others not.
        let replaces =
            matches!(self.load.disposition, WriteDisposition::Truncate | WriteDisposition::Empty);
        let direct = LoadPath::of(&self.load, None) == LoadPath::Direct
            && (replaces || self.load.parts.is_empty());
        if !direct && let Err(error) = self.clean_up().await {
            if error.is_transient() {
                // The next call finds the table visible, and cleans up.
                tracing::info!(run = %self.load.run, "{}", error.chain());
                return Ok(Poll::Pending);
            }
            tracing::warn!(run = %self.load.run, "a staging table is left: {}", error.chain());
        }
        Ok(Poll::Ready(loaded))
    }

    /// The target as it is now, if this load may change it.
    async fn admit(&self) -> Result<Option<ExistingTable>> {
        ExistingTable::admitting(&self.client, &self.id, &Wanted::from(&self.load)).await
    }

    /// Decides how the rows are written to the table as it is now, and adds the columns that it
    /// lacks. Readers find NULL in them until the load is done.
    async fn make_room(&self, existing: Option<&ExistingTable>) -> Result<Write> {
        let columns = &self.load.columns;
        let matched = existing.map(|existing| (existing, existing.compare(columns)));
        if let Some((existing, SchemaMatch::Wider(new))) = &matched {
            let change = serde_json::json!({"schema": existing.wider_schema(columns, new)});
            self.client.change_table(&self.id, &change).await?;
        }
        Ok(match (self.load.disposition, matched) {
            (WriteDisposition::Append, _) => Write::Append,
            (WriteDisposition::Empty, _)
            | (WriteDisposition::Merge | WriteDisposition::ReplacePartitions, None) => Write::Empty,
            // The rows that are replaced are the statement's matter.
            (WriteDisposition::Merge | WriteDisposition::ReplacePartitions, Some(_)) => {
                Write::Append
            }
            (WriteDisposition::Truncate, None | Some((_, SchemaMatch::Different(_)))) => {
                Write::Replace
            }
            (WriteDisposition::Truncate, Some(_)) => Write::ReplaceRows,
        })
    }

    /// Compares BigQuery's count of the rows with the receipts'. Rows of another generation are
    /// compared by the loader that loaded them.
    pub(super) fn require_rows(
        &self,
        loaded: Loaded,
        rows: u64,
        hint: &'static str,
    ) -> Result<Loaded> {
        if loaded.snapshot == self.load.snapshot && loaded.rows != rows {
            return Err(Error::bug(format!(
                "check run `{}`: loaded {} rows, receipts say {}",
                self.load.run,
                thousands(loaded.rows),
                thousands(rows)
            ))
            .hint(hint));
        }
        Ok(loaded)
    }
}

const VISIBLE: &str = "this is our bug, and the rows are visible: `FOR SYSTEM_TIME AS OF` shows the \
                       table as it was. Please report it with the run's manifest";
