//! All tables of a run at once: one transaction over the staging tables of all.
//!
//! The job of the transaction is claimed by every table that it changes (see [`claim`](super::claim)),
//! so no other job writes to one of them meanwhile. A transaction makes no tables: one that does not
//! exist is made just before, without rows, and expires if the transaction will not come.
//!
//! <https://cloud.google.com/bigquery/docs/transactions>

use std::collections::BTreeSet;
use std::task::Poll;

use futures::FutureExt as _;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sluice_contracts::documents::{RunId, SchemaChanges, Table};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};

use super::BigQueryTarget;
use super::address;
use super::attempts::{AttemptState, Attempts, DoneJob};
use super::claim::Claimed;
use super::existing::{ExistingTable, Wanted};
use super::job::{self, Write};
use super::load::{self, TableLoad};
use super::owner::Owner;
use super::path::{self, LoadPath, Shape};
use super::row_counts;
use super::schema::SchemaMatch;
use super::statement::Changes;
use crate::target::{Load, Loaded, NotLoaded, Visibility};
use sluice_runtime::google::bigquery::{BigQueryClient, TableId};

/// Tables that one transaction changes.
/// <https://cloud.google.com/bigquery/docs/transactions#limitations>
const MOST_TABLES: usize = 100;
/// Characters of a script; BigQuery takes 1 MB.
/// <https://cloud.google.com/bigquery/quotas#query_jobs>
const MOST_TEXT: u64 = 900_000;
/// Labels of a job that count rows; a job has 64, and others say whose it is.
/// <https://cloud.google.com/bigquery/docs/labels-intro#requirements>
const MOST_LABELS: usize = 60;
/// Tables that are worked on at once.
const TABLES_AT_ONCE: usize = 16;

/// Why one transaction cannot change all of these tables, if it cannot.
pub(super) async fn against(client: &BigQueryClient, tables: &[Table]) -> Result<Option<String>> {
    if tables.len() > MOST_TABLES {
        return Ok(Some(format!("BigQuery changes at most {MOST_TABLES} tables in one step")));
    }
    let deduplicated = tables.iter().filter(|table| table.write.dedup.is_some()).count();
    if row_counts::label_count(tables.len(), deduplicated) > MOST_LABELS {
        return Ok(Some("its job has no labels for what is left out of so many tables".to_owned()));
    }
    let ids = tables.iter().map(|table| address::parse(&table.target));
    let ids: Vec<TableId> = ids.collect::<Result<_>>()?;
    let projects: BTreeSet<&str> = ids.iter().map(|id| id.project.as_str()).collect();
    if projects.len() > 1 {
        return Ok(Some("they belong to several projects".to_owned()));
    }
    let mut locations = BTreeSet::new();
    for id in &ids {
        locations.insert(client.location(id).await?);
    }
    if locations.len() > 1 {
        return Ok(Some("their datasets lie in several locations".to_owned()));
    }
    if tables.iter().map(text).sum::<u64>() > MOST_TEXT {
        return Ok(Some("the statement for so many columns would be too long".to_owned()));
    }
    for (id, table) in ids.iter().zip(tables) {
        if replaces_columns(client, id, table).await? {
            return Ok(Some(format!("the columns of `{}` are replaced, too", table.name)));
        }
        let existing = ExistingTable::find(client, id).await?;
        if existing.is_some_and(|existing| existing.reordered(&table.columns).is_some()) {
            return Ok(Some(format!(
                "`{}` has the fields of a STRUCT in another order",
                table.name
            )));
        }
    }
    Ok(None)
}

/// An upper limit of the characters that a table needs in the script.
fn text(table: &Table) -> u64 {
    let names = table.columns.iter().map(|column| column.name.len() as u64 + 40);
    let stages = path::planned_stages(&Shape::planned(table, Visibility::AtOnce));
    let batches = if table.partitioned_by.is_some() { 3 } else { 1 };
    (names.sum::<u64>() + 500) * (stages * batches + 7)
}

/// Whether the columns of the table are replaced with its rows.
async fn replaces_columns(client: &BigQueryClient, id: &TableId, table: &Table) -> Result<bool> {
    let write = &table.write;
    if write.disposition != WriteDisposition::Truncate
        || write.schema_changes != SchemaChanges::Replace
    {
        return Ok(false);
    }
    let existing = ExistingTable::find(client, id).await?;
    let different = |existing: ExistingTable| {
        matches!(existing.compare(Wanted::from(table).columns), SchemaMatch::Different(_))
    };
    Ok(existing.is_some_and(different))
}

/// Loads all tables of a run, as far as it goes without waiting.
pub(super) async fn load(
    target: &BigQueryTarget,
    loads: &[Load],
) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
    let opened: Vec<_> = loads.iter().map(|load| TableLoad::open(target, load).boxed()).collect();
    let tables = stream::iter(opened).buffered(TABLES_AT_ONCE).try_collect().await?;
    Transaction { client: &target.client, loads: loads.to_vec(), tables }.carry_out().await
}

/// The loads of all tables of a run.
struct Transaction<'a> {
    client: &'a BigQueryClient,
    /// The loads of the tables, with the rows that are counted when they are staged.
    loads: Vec<Load>,
    tables: Vec<TableLoad>,
}

impl Transaction<'_> {
    async fn carry_out(mut self) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
        let Some(attempts) = self.attempts() else { return Ok(Poll::Ready(Vec::new())) };
        let number = match attempts.look_for_job().await {
            Ok(AttemptState::Done(job)) => return self.finish(&job).await,
            Ok(AttemptState::Running) => return Ok(Poll::Pending),
            Ok(AttemptState::Free(number)) => number,
            Err(failed) => {
                if !failed.error.is_transient() {
                    self.unmake_tables().await;
                }
                return Err(failed);
            }
        };
        let made = self.make_visible(number).await;
        if let Err(failed) = &made
            && !failed.error.is_transient()
        {
            self.give_back(number).await;
            for table in self.tables.iter().filter(|table| table.load.dataflow.is_some()) {
                log(&table.load, table.cancel_dataflow().await.map(|_| ()));
            }
        }
        made
    }

    /// The attempts at the transaction.
    fn attempts(&self) -> Option<Attempts<'_>> {
        let first = self.tables.first()?;
        let owner = Owner { loads: &self.loads, ..Owner::of(&first.load) };
        Some(Attempts::at_once(self.client, &first.id, &first.location, owner))
    }

    /// Everything up to the transaction of a number.
    async fn make_visible(&mut self, number: u32) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
        // Nothing is staged for a run that may not write to the tables. Staging takes time: another run
        // may have taken a claim over, so the claims are checked again afterwards.
        for is_staged in [false, true] {
            match self.claim(number).await? {
                Claimed::Ours => {}
                Claimed::Waiting => return Ok(Poll::Pending),
                Claimed::Overtaken(newer) => return self.yield_to(newer, number).await,
            }
            if !is_staged && self.stage().await?.is_pending() {
                return Ok(Poll::Pending);
            }
        }
        let Poll::Ready(changes) = self.changes(number).await? else { return Ok(Poll::Pending) };
        if changes.statements.is_empty() {
            for table in &self.tables {
                table.visible().keep(number).await.map_err(|error| of(table, error))?;
            }
            self.give_back(number).await;
            return Ok(Poll::Ready(self.nothing_loaded(None)));
        }
        let Some(attempts) = self.attempts() else { return Ok(Poll::Pending) };
        match attempts.start_job(number, "query", &job::script(&changes)).await {
            Ok(Poll::Ready(job)) => self.finish(&job).await,
            Ok(Poll::Pending) => Ok(Poll::Pending),
            Err(failed) => Err(failed),
        }
    }

    /// Claims all tables for the job of a number, in the order that all runs have: two that each
    /// claimed what the other needs would wait for each other.
    async fn claim(&self, number: u32) -> Result<Claimed, NotLoaded> {
        let mut tables: Vec<&TableLoad> = self.tables.iter().collect();
        tables.sort_by_key(|table| &table.load.target);
        for table in tables {
            match table.visible().claim(number).await.map_err(|error| of(table, error))? {
                Claimed::Ours => {}
                claimed => return Ok(claimed),
            }
        }
        Ok(Claimed::Ours)
    }

    /// Brings the rows of all tables into staging tables.
    async fn stage(&mut self) -> Result<Poll<()>, NotLoaded> {
        let staged: Vec<_> = self.tables.iter_mut().map(|table| stage(table).boxed()).collect();
        let staged: Vec<Poll<()>> =
            stream::iter(staged).buffered(TABLES_AT_ONCE).try_collect().await?;
        for (load, table) in self.loads.iter_mut().zip(&self.tables) {
            (load.rows, load.dropped) = (table.load.rows, table.load.dropped);
        }
        Ok(if staged.iter().all(Poll::is_ready) { Poll::Ready(()) } else { Poll::Pending })
    }

    /// What the transaction does. The tables exist from then on.
    async fn changes(&self, number: u32) -> Result<Poll<Changes>, NotLoaded> {
        // Tables that are made stay without rows for a moment, so all are made at the same time.
        let changes: Vec<_> =
            self.tables.iter().map(|table| changes_of(table, number).boxed()).collect();
        let changes: Vec<Poll<Changes>> =
            stream::iter(changes).buffered(TABLES_AT_ONCE).try_collect().await?;
        let mut all = Changes::default();
        for changes in changes {
            match changes {
                Poll::Ready(changes) => all.extend(changes),
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        Ok(Poll::Ready(all))
    }

    /// The tables are visible: nothing is left of the way there.
    async fn finish(&self, job: &DoneJob) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
        let finished: Vec<_> = self.tables.iter().map(|table| finish(table, job).boxed()).collect();
        let finished: Vec<Poll<Loaded>> =
            stream::iter(finished).buffered(TABLES_AT_ONCE).try_collect().await?;
        let ready = |loaded: Poll<Loaded>| match loaded {
            Poll::Ready(loaded) => Some(loaded),
            Poll::Pending => None,
        };
        let all: Option<Vec<Loaded>> = finished.into_iter().map(ready).collect();
        Ok(all.map_or(Poll::Pending, Poll::Ready))
    }

    /// Leaves the tables as they are: one of them shows this later run.
    async fn yield_to(&self, newer: RunId, number: u32) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
        for table in &self.tables {
            let discarded = table.discard_staging().await.map_err(|error| of(table, error))?;
            if discarded.is_pending() {
                return Ok(Poll::Pending);
            }
        }
        self.give_back(number).await;
        Ok(Poll::Ready(self.nothing_loaded(Some(newer))))
    }

    fn nothing_loaded(&self, overtaken_by: Option<RunId>) -> Vec<Loaded> {
        self.tables.iter().map(|table| table.nothing_loaded(overtaken_by)).collect()
    }

    /// Gives the claims back: the job of a number will not come.
    async fn give_back(&self, number: u32) {
        for table in &self.tables {
            let given_back = table.visible().give_back(number).await;
            log(&table.load, given_back);
        }
        self.unmake_tables().await;
    }

    /// Lets the tables expire that were made for a job that will not come.
    async fn unmake_tables(&self) {
        for table in &self.tables {
            log(&table.load, table.visible().unmake_table().await);
        }
    }
}

/// Brings the rows of a table into staging tables.
async fn stage(table: &mut TableLoad) -> Result<Poll<()>, NotLoaded> {
    let existing = table.admit().await.map_err(|error| of(table, error))?;
    if table.adds_nothing() {
        return Ok(Poll::Ready(()));
    }
    let staged = table.bring(LoadPath::Statement, existing.as_ref()).await;
    staged.map_err(|error| of(table, error))
}

/// What the transaction does to a table. The table exists from then on.
async fn changes_of(table: &TableLoad, number: u32) -> Result<Poll<Changes>, NotLoaded> {
    let changes = async {
        let existing = match table.admit().await? {
            Some(existing) => Poll::Ready(existing),
            None => table.make_claimed_table(number).await?,
        };
        let Poll::Ready(existing) = existing else { return Ok(Poll::Pending) };
        if table.adds_nothing() {
            return Ok(Poll::Ready(Changes::default()));
        }
        let write = table.make_room(Some(&existing)).await?;
        if write == Write::Replace {
            let what = "the table has other columns than when the run was planned";
            return Err(Error::data(what).hint("start the run again"));
        }
        let staging = table.staging_tables()?;
        job::changes(&table.load, &table.id, &existing, write, &staging).map(Poll::Ready)
    };
    changes.await.map_err(|error| of(table, error))
}

/// A table is visible: nothing is left of the way there.
async fn finish(table: &TableLoad, job: &DoneJob) -> Result<Poll<Loaded>, NotLoaded> {
    let loaded = table.visible().is_done(job).await.map_err(|error| of(table, error))?;
    table.finish(loaded).await.map_err(|error| of(table, error))
}

/// The failure of one table.
fn of(table: &TableLoad, error: Error) -> NotLoaded {
    NotLoaded { table: Some(table.load.table), error: load::during(&table.load, error) }
}

/// Logs that a clean-up failed: a claim stays until another run settles it, or a table stays without
/// rows.
fn log(load: &Load, result: Result<()>) {
    if let Err(error) = result {
        tracing::warn!(run = %load.run, target = load.target, "{}", error.chain());
    }
}
