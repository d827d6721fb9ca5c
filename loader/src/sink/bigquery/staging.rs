//! Staged loads: the rows lie in BigQuery, counted, before any table of the run changes.

use chrono::{Duration, Utc};
use serde_json::{Map, Value, json};
use sluice_contracts::Result;
use sluice_contracts::job::WriteDisposition;
use sluice_runtime::google::bigquery::{Copy, Fit, Standing, TableId, new_schema};

use super::attempts::{Attempts, Found, Owner};
use super::load::{self, Write};
use super::{Step, parts};
use crate::sink::{Loaded, Progress};

/// How long a staging table outlives a loader that never comes back to it.
const KEPT: Duration = Duration::days(1);

const HIDDEN: &str =
    "this is our bug; nothing was made visible. Please report it with the run's manifest";

impl Step {
    /// Brings the rows into the staging table, unless the table itself has them already.
    pub(super) async fn stage(&self) -> Result<Progress<()>> {
        match self.visible().look().await? {
            Found::Free(_) => {}
            Found::Running | Found::Done(_) => return Ok(Progress::Done(())),
        }
        let standing = self.admit().await?;
        let staging = self.staging();
        let owner = Owner::of(&self.load);
        let attempts = Attempts::staging(&self.bigquery, &self.id, &self.location, owner);
        let free = match attempts.look().await? {
            Found::Free(free) => free,
            Found::Running => return Ok(Progress::Pending),
            Found::Done(loaded) => {
                return self.require_rows(loaded, HIDDEN).map(|_| Progress::Done(()));
            }
        };
        parts::require_whole(&self.load).await?;
        self.bigquery.create_table(&staging, &self.described(standing.as_ref())).await?;
        if self.load.parts.is_empty() {
            return Ok(Progress::Done(()));
        }
        // An attempt that failed half way has left nothing, and if it had, this replaces it.
        let (kind, configuration) =
            load::configuration(&self.load, &staging, standing.as_ref(), Write::ReplaceRows)?;
        match attempts.start(free, kind, &configuration).await? {
            Progress::Done(loaded) => self.require_rows(loaded, HIDDEN).map(|_| Progress::Done(())),
            Progress::Pending => Ok(Progress::Pending),
        }
    }

    /// Copies the staging table over the table, and deletes it.
    pub(super) async fn publish_staged(&self) -> Result<Progress<Loaded>> {
        let attempts = self.visible();
        let progress = match attempts.look().await? {
            Found::Running => Progress::Pending,
            Found::Done(loaded) => Progress::Done(loaded),
            Found::Free(free) => {
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
                attempts.start_copy(free, &copy).await?
            }
        };
        let Progress::Done(loaded) = progress else { return Ok(Progress::Pending) };
        let loaded = self.require_rows(loaded, super::VISIBLE)?;
        // The table is visible: what is left behind is deleted by itself in a day.
        if let Err(error) = self.clean_up().await {
            tracing::warn!(run = %self.load.run, "{}", error.chain());
        }
        Ok(Progress::Done(loaded))
    }

    /// A table of the run's own for each generation, so that two loaders which see two of them
    /// do not mix their rows.
    fn staging(&self) -> TableId {
        let (run, table) = (self.load.run, self.load.table);
        self.id.beside(format!("sluice_{run}_{table}_{}", self.load.snapshot))
    }

    /// The staging table: all that copying it over the target would otherwise take away from it.
    fn described(&self, standing: Option<&Standing>) -> Value {
        let columns = &self.load.columns;
        let expiration = (Utc::now() + KEPT).timestamp_millis().to_string();
        let mut table = Map::from_iter([
            ("tableReference".to_owned(), json!(self.staging().reference())),
            ("expirationTime".to_owned(), expiration.into()),
            ("labels".to_owned(), json!({"sluice_run": self.load.run.to_string()})),
        ]);
        let Some(standing) = standing else {
            table.insert("schema".to_owned(), new_schema(columns));
            return table.into();
        };
        let new = match standing.fit(columns) {
            Fit::Same => Some(vec![]),
            Fit::Wider(new) => Some(new),
            Fit::Other(_) => None,
        };
        let schema = match new {
            Some(new) => {
                table.extend(standing.constraints());
                standing.wider_schema(columns, &new)
            }
            None => standing.schema(columns),
        };
        table.insert("schema".to_owned(), schema);
        table.extend(standing.layout());
        if let Some(key) = standing.encryption() {
            table.insert("encryptionConfiguration".to_owned(), key.clone());
        }
        table.into()
    }

    async fn clean_up(&self) -> Result<()> {
        let staging = self.staging();
        let Some(found) = self.bigquery.standing(&staging).await? else { return Ok(()) };
        // A copy must not take over that the staging table is deleted tomorrow.
        if let Some(expiration) = found.expiration()
            && let Some(copied) = self.bigquery.standing(&self.id).await?
            && copied.expiration() == Some(expiration)
        {
            let for_good = json!({"expirationTime": null});
            self.bigquery.change_table(&self.id, &for_good).await?;
        }
        self.bigquery.delete_table(&staging).await
    }
}
