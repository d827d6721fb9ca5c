//! From receipts to visible tables.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::Utc;
use sluice_contracts::ending::{Verdict, Word};
use sluice_contracts::manifest::{Manifest, Table};
use sluice_contracts::receipt::Commit;
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Kind, Result};

use crate::census::{Census, census, census_of};
use crate::outcome::{Outcome, TableOutcome};
use crate::parts::collect_parts;
use crate::sink::{Load, Loaded, Prepared, Progress, Sink};

/// Opens the sink that a target's URL names.
pub type Sinks<'a> = dyn Fn(&str) -> Result<Arc<dyn Sink>> + Send + Sync + 'a;

/// Makes every table of a run visible.
///
/// `Pending` where a warehouse is still at work: the same call, repeated in a while, goes on from
/// there. The second commit of a run changes nothing. A table that was given up, or that its target
/// refuses, keeps none of the others back, unless the run is `all_or_nothing`: its error is in
/// the outcome.
///
/// Where the run has a verdict it is followed; where it has none, what its receipts say now is.
///
/// # Errors
/// `Transient` where units that were not given up have no receipt yet, and the failure of a run
/// that was decided against. Nothing is visible then.
pub async fn commit(store: &RunStore, sinks: &Sinks<'_>) -> Result<Progress<Outcome>> {
    let manifest = store.manifest().await?;
    check_targets(&manifest)?;
    let (census, given_up) = match store.verdict().await? {
        Some(verdict) => decided(store, &manifest, verdict).await?,
        None => {
            let census = census(store, &manifest).await?;
            let given_up = census.given_up(store, &manifest).await?;
            (census, given_up)
        }
    };
    let run = Run { store, manifest: &manifest, census: &census, sinks };
    let results = if manifest.all_or_nothing {
        run.commit_together().await
    } else {
        run.commit_each(given_up).await
    };
    let Progress::Done(mut results) = results else { return Ok(Progress::Pending) };
    let mut tables = Vec::with_capacity(manifest.tables.len());
    for table in &manifest.tables {
        let Some(mut result) = results.remove(&table.index) else { continue };
        if result.is_err()
            && let Some(commit) = store.commit(table.index).await?
        {
            // Another loader was first, and what it had no more use for was missed here.
            result = Ok(commit);
        }
        tables.push(TableOutcome { table: table.index, result });
    }
    Ok(Progress::Done(Outcome { generation: census.generation, tables }))
}

/// Deletes the parts of a run that nobody loads any more. Those that stay behind cost space and
/// nothing else.
pub async fn delete_parts(store: &RunStore) {
    if let Err(error) = store.delete_parts().await {
        tracing::warn!(run = %store.run(), "parts are left in the bucket: {}", error.chain());
    }
}

/// What a verdict says is loaded, and which tables may be passed over.
async fn decided(
    store: &RunStore,
    manifest: &Manifest,
    verdict: Verdict,
) -> Result<(Census, BTreeMap<u32, Error>)> {
    let Some(generation) = verdict.snapshot else {
        let failure = verdict.failure.map(Word::into_error);
        return Err(failure.unwrap_or_else(|| {
            Error::data(format!("load run `{}`: it was given up", manifest.run))
        }));
    };
    let census = census_of(store, manifest, generation).await?;
    let given_up = verdict
        .given_up
        .into_iter()
        // One that can be read after all is loaded with the others.
        .filter(|(table, _)| census.missing.iter().any(|unit| unit.table == *table))
        .map(|(table, word)| (table, word.into_error()))
        .collect();
    Ok((census, given_up))
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
pub(crate) fn check_targets(manifest: &Manifest) -> Result<()> {
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
