//! From receipts to visible tables.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::Utc;
use sluice_contracts::manifest::{Manifest, Table};
use sluice_contracts::receipt::Commit;
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Kind, Result};

use crate::census::{Census, census};
use crate::parts::collect_parts;
use crate::sink::{Load, Loaded, Prepared, Progress, Sink};

/// Opens the sink that a target's URL names.
pub type Sinks<'a> = dyn Fn(&str) -> Result<Arc<dyn Sink>> + Send + Sync + 'a;

/// What a commit came to.
#[derive(Debug)]
pub struct Outcome {
    /// Generation of the snapshot that was committed.
    pub generation: u32,
    /// Every table of the run, in the manifest's order.
    pub tables: Vec<TableOutcome>,
}

/// What became of one table.
#[derive(Debug)]
pub struct TableOutcome {
    /// Index of the table in the manifest.
    pub table: u32,
    /// Its commit, or why nothing of it is visible.
    pub result: Result<Commit>,
}

impl Outcome {
    /// Whether every table is visible.
    pub fn is_whole(&self) -> bool {
        self.tables.iter().all(|table| table.result.is_ok())
    }
}

/// Makes every table of a run visible, and deletes the run's parts when all are.
///
/// `Pending` where a warehouse is still at work: the same call, repeated in a while, goes on from
/// there. The second commit of a run changes nothing. A table that was given up, or that its target
/// refuses, keeps none of the others back, unless the run is `all_or_nothing`: its error is in
/// the outcome.
///
/// # Errors
/// `Transient` where units that were not given up have no receipt yet. Nothing is visible then.
pub async fn commit(store: &RunStore, sinks: &Sinks<'_>) -> Result<Progress<Outcome>> {
    let manifest = store.manifest().await?;
    check_targets(&manifest)?;
    let census = census(store, &manifest).await?;
    let given_up = census.given_up(store, &manifest).await?;
    let run = Run { store, manifest: &manifest, census: &census, sinks };
    let results = if manifest.all_or_nothing {
        run.commit_together().await
    } else {
        run.commit_each(given_up).await
    };
    let Progress::Done(mut results) = results else { return Ok(Progress::Pending) };
    let tables = manifest
        .tables
        .iter()
        .filter_map(|table| {
            let result = results.remove(&table.index)?;
            Some(TableOutcome { table: table.index, result })
        })
        .collect();
    let outcome = Outcome { generation: census.generation, tables };
    if outcome.is_whole() {
        // The tables are visible: parts that stay behind cost space and nothing else.
        if let Err(error) = store.delete_parts().await {
            tracing::warn!(run = %store.run(), "parts are left in the bucket: {}", error.chain());
        }
    }
    Ok(Progress::Done(outcome))
}

/// Commits of a run's tables, by their index.
type Results = BTreeMap<u32, Result<Commit>>;

struct Run<'a> {
    store: &'a RunStore,
    manifest: &'a Manifest,
    census: &'a Census,
    sinks: &'a Sinks<'a>,
}

impl Run<'_> {
    /// One table after another; a warehouse works on several at once. Those that are given up are
    /// passed over.
    async fn commit_each(&self, mut given_up: BTreeMap<u32, Error>) -> Progress<Results> {
        let mut results = Results::new();
        let mut pending = false;
        for table in &self.manifest.tables {
            let result = match given_up.remove(&table.index) {
                Some(error) => Err(error),
                None => self.commit_table(table).await,
            };
            match result {
                Ok(Progress::Done(commit)) => _ = results.insert(table.index, Ok(commit)),
                Ok(Progress::Pending) => pending = true,
                Err(error) => _ = results.insert(table.index, Err(error)),
            }
        }
        if pending { Progress::Pending } else { Progress::Done(results) }
    }

    async fn commit_table(&self, table: &Table) -> Result<Progress<Commit>> {
        match self.prepare(table).await? {
            Progress::Done(Step::Committed(commit)) => Ok(Progress::Done(commit)),
            Progress::Done(Step::Prepared(prepared)) => self.publish(table, prepared).await,
            Progress::Pending => Ok(Progress::Pending),
        }
    }

    async fn publish(
        &self,
        table: &Table,
        prepared: Box<dyn Prepared>,
    ) -> Result<Progress<Commit>> {
        match prepared.publish().await? {
            Progress::Done(loaded) => self.record(table, loaded).await.map(Progress::Done),
            Progress::Pending => Ok(Progress::Pending),
        }
    }

    /// Every table up to its last step, and only then the last steps.
    async fn commit_together(&self) -> Progress<Results> {
        let mut tables: Vec<&Table> = self.manifest.tables.iter().collect();
        // Two runs that wait for each other's targets would wait for ever.
        tables.sort_by_key(|table| &table.target);
        let mut steps = Vec::with_capacity(tables.len());
        let mut pending = false;
        for table in &tables {
            match self.prepare(table).await {
                Ok(Progress::Done(step)) => steps.push((*table, step)),
                Ok(Progress::Pending) => pending = true,
                Err(error) => return Progress::Done(self.none_but(&tables, table, error)),
            }
        }
        if pending {
            return Progress::Pending;
        }
        let mut results = Results::new();
        for (table, step) in steps {
            let result = match step {
                Step::Committed(commit) => Ok(Progress::Done(commit)),
                Step::Prepared(prepared) => self.publish(table, prepared).await,
            };
            match result {
                Ok(Progress::Done(commit)) => _ = results.insert(table.index, Ok(commit)),
                Ok(Progress::Pending) => pending = true,
                Err(error) => _ = results.insert(table.index, Err(error)),
            }
        }
        if pending { Progress::Pending } else { Progress::Done(results) }
    }

    /// Why no table is visible: one of them failed.
    fn none_but(&self, tables: &[&Table], failed: &Table, error: Error) -> Results {
        let why = |table: &&Table| {
            let what = format!(
                "load run `{}` into `{}`: the run is all or nothing, and `{}` failed",
                self.manifest.run, table.target, failed.name
            );
            (table.index, Err(Error::new(Kind::Conflict, what)))
        };
        let mut results: Results = tables.iter().map(why).collect();
        results.insert(failed.index, Err(error));
        results
    }

    /// Everything but the last step, for all receipts of a table and nothing else.
    async fn prepare(&self, table: &Table) -> Result<Progress<Step>> {
        if let Some(commit) = self.store.commit(table.index).await? {
            return Ok(Progress::Done(Step::Committed(commit)));
        }
        let run = self.manifest.run;
        let (generation, receipts) = (self.census.generation, &self.census.receipts);
        let (parts, rows) = collect_parts(self.store, table, generation, receipts)
            .map_err(|error| error.during(format!("load run `{run}` into `{}`", table.target)))?;
        let load = Load {
            run,
            job: self.manifest.job.clone(),
            table: table.index,
            snapshot: generation,
            target: table.target.clone(),
            disposition: table.write_disposition,
            columns: table.columns.clone(),
            bucket: self.store.bucket().clone(),
            parts,
            rows,
            staged: self.manifest.all_or_nothing && self.manifest.tables.len() > 1,
        };
        Ok(match (self.sinks)(&table.target)?.prepare(&load).await? {
            Progress::Done(prepared) => Progress::Done(Step::Prepared(prepared)),
            Progress::Pending => Progress::Pending,
        })
    }

    /// Says that a table is visible. Of two that say so the first is believed.
    async fn record(&self, table: &Table, loaded: Loaded) -> Result<Commit> {
        let commit = Commit {
            version: Commit::VERSION,
            table: table.index,
            snapshot: loaded.snapshot,
            rows: loaded.rows,
            at: Utc::now(),
        };
        match self.store.create_commit(&commit).await? {
            Created::First => Ok(commit),
            Created::Lost => self
                .store
                .commit(table.index)
                .await?
                .ok_or_else(|| Error::bug(format!("read the commit of table `{}`", table.name))),
        }
    }
}

/// How far a table is.
enum Step {
    /// It is visible, since an earlier commit of the run.
    Committed(Commit),
    /// It lacks the last step.
    Prepared(Box<dyn Prepared>),
}

/// Two tables of a run that replace each other would be a silent loss.
fn check_targets(manifest: &Manifest) -> Result<()> {
    let mut seen = HashSet::new();
    for table in &manifest.tables {
        if !seen.insert(table.target.trim_end_matches('/')) {
            return Err(Error::invalid(format!(
                "load run `{}`: two of its tables have the target `{}`",
                manifest.run, table.target
            ))
            .hint("give each table a target of its own"));
        }
    }
    if manifest.tables.is_empty() {
        return Err(Error::data(format!(
            "load run `{}`: its manifest has no tables",
            manifest.run
        )));
    }
    Ok(())
}
