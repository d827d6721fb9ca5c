//! Staged loads: the rows lie in BigQuery, counted, before the table changes.
//!
//! A staging table expires, in case that no loader comes back to it. A copy would take its
//! expiration over, so it ends before the copy begins; from then on the table is deleted by the load
//! that made it.

use std::task::Poll;

use chrono::{Duration, Utc};
use futures::future::try_join_all;
use serde_json::{Map, Value, json};
use sluice_contracts::documents::Part;
use sluice_contracts::{Kind, Result};

use super::attempts::{AttemptState, Attempts};
use super::existing::{ExistingTable, new_schema};
use super::job;
use super::layout;
use super::load::TableLoad;
use super::native::COPIED;
use super::owner::Owner;
use super::parts;
use super::path::{LoadPath, staged_columns, stages};
use super::schema::SchemaMatch;
use sluice_runtime::google::bigquery::TableId;

/// How long a staging table exists at least if no loader comes back to it.
const KEPT: Duration = Duration::days(1);

/// Label of the staging tables of a load that makes its target.
pub(super) const FIRST: &str = "sluice_first";

const HIDDEN: &str = "this is our bug; nothing of the table was made visible. Please report it \
                      with the run's manifest";

impl TableLoad {
    /// Brings the rows into the staging tables that the visible step reads: all of them, or one of
    /// each key, by jobs of BigQuery or of Dataflow.
    pub(super) async fn bring(
        &mut self,
        path: LoadPath,
        existing: Option<&ExistingTable>,
    ) -> Result<Poll<()>> {
        if let Some(workers) = self.load.dataflow.clone() {
            return self.hand_over(&workers, path, existing).await;
        }
        match self.load.dedup.clone() {
            Some(dedup) => self.bring_newest(&dedup, path, existing).await,
            None => self.bring_all(path, existing).await,
        }
    }

    /// Brings all rows into staging tables, from the parts or or as BigQuery takes them by itself.
    pub(super) async fn bring_all(
        &mut self,
        path: LoadPath,
        existing: Option<&ExistingTable>,
    ) -> Result<Poll<()>> {
        match self.load.native {
            Some(_) => self.take(path, existing).await,
            None => self.stage(path, existing).await,
        }
    }

    /// Brings the rows into the staging tables, all of them at once. It changes nothing that readers
    /// see.
    async fn stage(&self, path: LoadPath, existing: Option<&ExistingTable>) -> Result<Poll<()>> {
        let stages = stages(&self.load.parts)?;
        let filling = (0..)
            .zip(&stages)
            .map(|(at, parts)| self.fill(path, at, &self.load.parts[parts.clone()], existing));
        let filled = try_join_all(filling).await?;
        Ok(if filled.iter().all(Poll::is_ready) { Poll::Ready(()) } else { Poll::Pending })
    }

    async fn fill(
        &self,
        path: LoadPath,
        at: usize,
        parts: &[Part],
        existing: Option<&ExistingTable>,
    ) -> Result<Poll<()>> {
        let rows = parts.iter().map(|part| part.rows).sum();
        let attempts = self.filling(at);
        let free = match attempts.look().await? {
            AttemptState::Free(free) => free,
            AttemptState::Running => return Ok(Poll::Pending),
            AttemptState::Done(loaded) => {
                return self.require_rows(loaded, rows, HIDDEN).map(|_| Poll::Ready(()));
            }
        };
        if at == 0 {
            parts::require_whole(&self.load).await?;
        }
        let staging = self.brought(at);
        let table = self.described(path, &staging, existing);
        self.client.create_table(&staging, &table).await?;
        if parts.is_empty() {
            return Ok(Poll::Ready(()));
        }
        let reads = job::of_parts(&self.load, parts)?;
        let configuration = job::fill(&self.load, reads, &staging, path, existing);
        match attempts.start(free, "load", &configuration).await? {
            Poll::Ready(loaded) => self.require_rows(loaded, rows, HIDDEN).map(|_| Poll::Ready(())),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// The attempts at filling a staging table.
    pub(super) fn filling(&self, at: usize) -> Attempts<'_> {
        let (owner, staging) = (Owner::of(&self.load), (at, self.brought(at)));
        Attempts::staging(&self.client, &self.id, &self.location, owner, staging)
    }

    /// The staging tables that the visible step reads.
    pub(super) fn staging_tables(&self) -> Result<Vec<TableId>> {
        if self.chooses() || self.load.dataflow.is_some() {
            return Ok(vec![self.staging(0)]);
        }
        self.brought_tables()
    }

    /// Whether a query keeps one row of each key.
    fn chooses(&self) -> bool {
        self.load.dedup.is_some() && self.load.dataflow.is_none()
    }

    /// The staging tables that all rows are brought into.
    pub(super) fn brought_tables(&self) -> Result<Vec<TableId>> {
        Ok((0..stages(&self.load.parts)?.len()).map(|at| self.brought(at)).collect())
    }

    /// The table that rows are brought into. Where one row of each key is kept, another one takes
    /// those from it.
    pub(super) fn brought(&self, at: usize) -> TableId {
        let staging = self.staging(at);
        if self.chooses() {
            return staging.beside(format!("{}_all", staging.table));
        }
        staging
    }

    /// Tables for each run and generation, so that two loaders that see two generations do not mix
    /// their rows.
    pub(super) fn staging(&self, at: usize) -> TableId {
        let (run, table, snapshot) = (self.load.run, self.load.table, self.load.snapshot);
        self.id.beside(match at {
            0 => format!("sluice_{run}_{table}_{snapshot}"),
            at => format!("sluice_{run}_{table}_{snapshot}_{at}"),
        })
    }

    /// A staging table, with everything that the target would otherwise lose when it is copied
    /// over.
    pub(super) fn described(
        &self,
        path: LoadPath,
        staging: &TableId,
        existing: Option<&ExistingTable>,
    ) -> Value {
        let columns = &self.load.columns;
        let mut table = Map::new();
        let schema = match existing {
            Some(existing) if path == LoadPath::Copy => {
                table.extend(existing.layout());
                match existing.compare(columns) {
                    SchemaMatch::Same => {
                        table.extend(existing.constraints());
                        existing.wider_schema(columns, &[])
                    }
                    SchemaMatch::Wider(new) => {
                        table.extend(existing.constraints());
                        existing.wider_schema(columns, &new)
                    }
                    SchemaMatch::Different(_) => existing.schema(columns),
                }
            }
            _ if self.load.native.is_some() => new_schema(columns),
            _ => new_schema(&staged_columns(columns)),
        };
        let mut described = self.staging_table(staging, &schema, existing);
        if existing.is_none() {
            described["labels"][FIRST] = "true".into();
            if path == LoadPath::Copy {
                table.extend(layout::of_new(&self.load.new_table, &self.load.columns));
            }
        }
        for (key, value) in table {
            described[key] = value;
        }
        described
    }

    /// A staging table with this schema, and the key of the target. It expires.
    pub(super) fn staging_table(
        &self,
        staging: &TableId,
        schema: &Value,
        existing: Option<&ExistingTable>,
    ) -> Value {
        let expiration = (Utc::now() + self.kept()).timestamp_millis().to_string();
        let mut table = json!({
            "tableReference": staging.reference(),
            "expirationTime": expiration,
            "labels": {"sluice_run": self.load.run.to_string()},
            "schema": schema,
        });
        if let Some(key) = existing.and_then(ExistingTable::encryption) {
            table["encryptionConfiguration"] = key.clone();
        }
        table
    }

    /// How long a staging table exists if no loader comes back to it. Where jobs of Dataflow may take
    /// long, the tables of a run wait for each other.
    pub(super) fn kept(&self) -> Duration {
        let deadline = self.dataflow.as_ref().map(|dataflow| dataflow.settings().deadline);
        let longest = deadline.and_then(|deadline| Duration::from_std(deadline).ok());
        KEPT + longest.unwrap_or_default()
    }

    /// Prepares the staging tables for a copy by the job of a number. The copy takes the expiration
    /// over, so it ends. Whose labels the copy has is not documented, so the staging tables have the
    /// table's.
    pub(super) async fn keep_staging(&self, number: u32) -> Result<()> {
        let mut kept = self.visible().labels_of(number);
        kept["expirationTime"] = Value::Null;
        for staging in self.staging_tables()? {
            match self.client.change_table(&staging, &kept).await {
                // Another loader has copied and deleted it: the name of the job is taken.
                Err(error) if error.kind() == Kind::NotFound => {}
                changed => changed?,
            }
        }
        Ok(())
    }

    /// Deletes the staging tables of a load that will not become visible, once no job fills them
    /// any more.
    pub(super) async fn discard_staging(&self) -> Result<Poll<()>> {
        if !self.may_be_staged() {
            return Ok(Poll::Ready(()));
        }
        if self.load.dataflow.is_some() {
            if self.cancel_dataflow().await?.is_pending() {
                return Ok(Poll::Pending);
            }
            return self.client.delete_table(&self.staging(0)).await.map(Poll::Ready);
        }
        if self.chooses() {
            if is_at_work(&self.choosing()).await? {
                return Ok(Poll::Pending);
            }
            self.client.delete_table(&self.staging(0)).await?;
            if is_at_work(&self.counting()).await? {
                return Ok(Poll::Pending);
            }
            self.client.delete_table(&self.ties()).await?;
        }
        for (at, staging) in self.brought_tables()?.iter().enumerate() {
            if is_at_work(&self.filling(at)).await? {
                return Ok(Poll::Pending);
            }
            self.client.delete_table(staging).await?;
        }
        Ok(Poll::Ready(()))
    }

    /// Deletes the staging tables, if there are any. A table that came about from them is given
    /// before what neither a copy nor a statement gives it.
    pub(super) async fn clean_up(&self) -> Result<()> {
        let mut missing = layout::missing_after_staging(&self.load);
        if !missing.is_empty()
            && let Some(staging) = ExistingTable::find(&self.client, &self.staging(0)).await?
            && staging.has_label(FIRST)
        {
            if staging.has_label(COPIED) {
                // It has the columns of its source, with their policies.
                missing.remove("schema");
            }
            self.client.change_table(&self.id, &missing.into()).await?;
        }
        let mut staging = self.staging_tables()?;
        if self.chooses() {
            staging.extend(self.brought_tables()?);
            staging.push(self.ties());
        }
        if self.load.dataflow.is_some() {
            self.run_store().delete_dataflow_files(self.load.table).await?;
        }
        for staging in staging {
            self.client.delete_table(&staging).await?;
        }
        Ok(())
    }
}

/// Whether a job still fills a staging table. Whether and why it failed does not matter any more.
async fn is_at_work(attempts: &Attempts<'_>) -> Result<bool> {
    match attempts.look_for_job().await.map_err(|failed| failed.error) {
        Ok(AttemptState::Running) => Ok(true),
        Err(error) if error.is_transient() => Err(error),
        Ok(_) | Err(_) => Ok(false),
    }
}
