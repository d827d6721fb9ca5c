//! Staged loads: the rows lie in BigQuery, counted, before any table of the run changes.

use std::task::Poll;

use chrono::{Duration, Utc};
use serde_json::{Map, Value, json};
use sluice_contracts::Result;
use sluice_contracts::job::WriteDisposition;

use super::address::TableId;
use super::attempts::{AttemptState, Attempts, Owner};
use super::client::Copy;
use super::existing::{ExistingTable, new_schema};
use super::job::{self, Write};
use super::load::{TableLoad, VISIBLE};
use super::parts;
use super::schema::SchemaMatch;
use crate::target::Loaded;

/// How long a staging table exists if no loader comes back to it.
const KEPT: Duration = Duration::days(1);

const HIDDEN: &str = "this is our bug; nothing of the table was made visible. Please report it \
                      with the run's manifest";

impl TableLoad {
    /// Brings the rows into the staging table, unless the table itself has them already.
    pub(super) async fn stage(&self) -> Result<Poll<()>> {
        match self.visible().look().await? {
            AttemptState::Free(_) => {}
            AttemptState::Running | AttemptState::Done(_) => return Ok(Poll::Ready(())),
        }
        let existing = self.admit().await?;
        let staging = self.staging();
        let owner = Owner::of(&self.load);
        let attempts = Attempts::staging(&self.client, &self.id, &self.location, owner);
        let free = match attempts.look().await? {
            AttemptState::Free(free) => free,
            AttemptState::Running => return Ok(Poll::Pending),
            AttemptState::Done(loaded) => {
                return self.require_rows(loaded, HIDDEN).map(|_| Poll::Ready(()));
            }
        };
        parts::require_whole(&self.load).await?;
        self.client.create_table(&staging, &self.described(existing.as_ref())).await?;
        if self.load.parts.is_empty() {
            return Ok(Poll::Ready(()));
        }
        // A failed attempt leaves nothing, and if it did, this would replace it.
        let (kind, configuration) =
            job::configuration(&self.load, &staging, existing.as_ref(), Write::ReplaceRows)?;
        match attempts.start(free, kind, &configuration).await? {
            Poll::Ready(loaded) => self.require_rows(loaded, HIDDEN).map(|_| Poll::Ready(())),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Copies the staging table over the table, and deletes it.
    pub(super) async fn publish_staged(&self) -> Result<Poll<Loaded>> {
        let attempts = self.visible();
        let progress = match attempts.look().await? {
            AttemptState::Running => Poll::Pending,
            AttemptState::Done(loaded) => Poll::Ready(loaded),
            // Another job took the claim over.
            AttemptState::Free(free) if self.claimed != Some(free) => Poll::Pending,
            AttemptState::Free(free) => {
                let write = match self.load.disposition {
                    WriteDisposition::Truncate => Write::Replace,
                    WriteDisposition::Append => Write::Append,
                    WriteDisposition::Empty => Write::Empty,
                };
                let copy = Copy {
                    from: self.staging(),
                    to: self.id.clone(),
                    write_disposition: write.disposition(),
                };
                attempts.label_source(&copy.from, free).await?;
                attempts.start_copy(free, &copy).await?
            }
        };
        let Poll::Ready(loaded) = progress else { return Ok(Poll::Pending) };
        let loaded = self.require_rows(loaded, VISIBLE)?;
        // The table is visible; a staging table that is left behind expires in a day.
        if let Err(error) = self.clean_up().await {
            tracing::warn!(run = %self.load.run, "{}", error.chain());
        }
        Ok(Poll::Ready(loaded))
    }

    /// One table for each run and generation, so that two loaders that see two generations do not
    /// mix their rows.
    fn staging(&self) -> TableId {
        let (run, table) = (self.load.run, self.load.table);
        self.id.beside(format!("sluice_{run}_{table}_{}", self.load.snapshot))
    }

    /// The staging table, with everything that the target would otherwise lose when it is copied
    /// over.
    fn described(&self, existing: Option<&ExistingTable>) -> Value {
        let columns = &self.load.columns;
        let expiration = (Utc::now() + KEPT).timestamp_millis().to_string();
        let mut table = Map::from_iter([
            ("tableReference".to_owned(), json!(self.staging().reference())),
            ("expirationTime".to_owned(), expiration.into()),
            ("labels".to_owned(), json!({"sluice_run": self.load.run.to_string()})),
        ]);
        let Some(existing) = existing else {
            table.insert("schema".to_owned(), new_schema(columns));
            return table.into();
        };
        let new = match existing.compare(columns) {
            SchemaMatch::Same => Some(vec![]),
            SchemaMatch::Wider(new) => Some(new),
            SchemaMatch::Different(_) => None,
        };
        let schema = match new {
            Some(new) => {
                table.extend(existing.constraints());
                existing.wider_schema(columns, &new)
            }
            None => existing.schema(columns),
        };
        table.insert("schema".to_owned(), schema);
        table.extend(existing.layout());
        if let Some(key) = existing.encryption() {
            table.insert("encryptionConfiguration".to_owned(), key.clone());
        }
        table.into()
    }

    async fn clean_up(&self) -> Result<()> {
        let staging = self.staging();
        let Some(found) = ExistingTable::find(&self.client, &staging).await? else { return Ok(()) };
        // The copy must not take over the staging table's expiration.
        if let Some(expiration) = found.expiration()
            && let Some(copied) = ExistingTable::find(&self.client, &self.id).await?
            && copied.expiration() == Some(expiration)
        {
            let for_good = json!({"expirationTime": null});
            self.client.change_table(&self.id, &for_good).await?;
        }
        self.client.delete_table(&staging).await
    }
}
