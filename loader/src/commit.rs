//! From receipts to visible tables.

mod new_files;
mod together;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures::{FutureExt as _, StreamExt as _, stream};
use sluice_contracts::documents::{
    Commit, ErrorReport, Manifest, NativeRows, RunId, Table, Verdict,
};
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Result};
use sluice_runtime::storage::find_bucket;
use sluice_targets::{Load, Loaded, PartListing, Prepared, Targets, Visibility};

use self::new_files::Turn;
use crate::coverage::Coverage;
use crate::outcome::{Outcome, TableCommit};
use crate::parts::collect_parts;
use crate::view::RunView;

/// Tables that are committed at once: a target answers many requests at a time.
const TABLES_AT_ONCE: usize = 16;

/// The time in which a load is tried.
#[derive(Debug, Clone, Copy)]
pub struct Tries {
    /// When it was begun. What was refused before is tried again.
    pub begun: DateTime<Utc>,
    /// Until when a step is tried again that a target could not carry out for the time being.
    pub give_up: DateTime<Utc>,
}

impl Tries {
    /// Tries from a moment on, for a time.
    pub fn since(begun: DateTime<Utc>, patience: Duration) -> Self {
        let patience = TimeDelta::from_std(patience).unwrap_or(TimeDelta::MAX);
        Self {
            begun,
            give_up: begun.checked_add_signed(patience).unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }
}

/// Makes every table of a run visible.
///
/// `Pending` while a target is still at work: the same call, repeated later, goes on from there. A
/// second commit of a run changes nothing. A table that was given up, or that its target refuses,
/// does not stop the others, unless the run is `all_or_nothing`: its error is in the outcome.
///
/// If the run has a verdict, the commit follows it; otherwise it follows what the receipts say now.
///
/// # Errors
/// `Transient` if units that were not given up have no receipt yet; the run's failure if its
/// verdict is to fail. Nothing is visible then.
pub async fn commit(view: &RunView, targets: &Targets, tries: Tries) -> Result<Poll<Outcome>> {
    let (store, manifest) = (view.store(), view.manifest().await?);
    check_targets(&manifest)?;
    let (coverage, given_up) = match view.verdict().await? {
        Some(verdict) => decided(view, &verdict).await?,
        None => {
            let coverage = view.coverage().await?;
            let given_up = coverage.given_up(store, &manifest).await?;
            (coverage, given_up)
        }
    };
    view.begin_commit();
    let committed = store.committed_tables().await?;
    let run = Run {
        view,
        store,
        manifest: &manifest,
        coverage: &coverage,
        targets,
        tries,
        committed,
        listing: PartListing::default(),
    };
    let results = match run.visibility() {
        Visibility::AtOnce => run.commit_at_once().await,
        Visibility::InTurn => run.commit_together().await,
        Visibility::Each => run.commit_each(given_up).await,
    };
    let Poll::Ready(mut results) = results else { return Ok(Poll::Pending) };
    let mut tables = Vec::with_capacity(manifest.tables.len());
    for table in &manifest.tables {
        let Some(mut result) = results.remove(&table.index) else { continue };
        if result.is_err()
            && let Some(commit) = store.commit(table.index).await?
        {
            // Another loader was first, and has already deleted something that this one needed.
            result = Ok(commit);
        }
        let invalid = coverage.invalid(table.index);
        let bad_rows = coverage.bad_rows(table.index);
        tables.push(TableCommit { table: table.index, invalid, bad_rows, result });
    }
    Ok(Poll::Ready(Outcome { generation: coverage.generation, tables }))
}

/// Deletes the parts of a run, which no loader needs any more, but those of the tables that can be
/// loaded again. Parts that stay behind cost space and nothing else.
pub async fn delete_parts(store: &RunStore, but_of: &BTreeSet<u32>) {
    if let Err(error) = store.delete_parts(but_of).await {
        tracing::warn!(run = %store.run(), "parts are left in the bucket: {}", error.chain());
    }
}

/// The receipts that a verdict says to load, and the tables that may be skipped.
async fn decided(
    view: &RunView,
    verdict: &Verdict,
) -> Result<(Arc<Coverage>, BTreeMap<u32, Error>)> {
    let Some(generation) = verdict.snapshot else {
        let failure = verdict.failure.clone().map(ErrorReport::into_error);
        return Err(failure.unwrap_or_else(|| {
            Error::data(format!("load run `{}`: it was given up", view.store().run()))
        }));
    };
    let coverage = view.coverage_of(generation).await?;
    let given_up = verdict
        .given_up
        .iter()
        // A table that could be read after all is loaded with the others.
        .filter(|(table, _)| coverage.missing.iter().any(|unit| unit.table == **table))
        .map(|(table, report)| (*table, report.clone().into_error()))
        .collect();
    Ok((coverage, given_up))
}

/// Commits of a run's tables, by their index.
type Results = BTreeMap<u32, Result<Commit>>;

struct Run<'a> {
    view: &'a RunView,
    store: &'a RunStore,
    manifest: &'a Manifest,
    coverage: &'a Coverage,
    targets: &'a Targets,
    tries: Tries,
    /// The tables that had a commit when this one began.
    committed: BTreeSet<u32>,
    listing: PartListing,
}

impl Run<'_> {
    /// Commits several tables at once. Tables that were given up are skipped.
    async fn commit_each(&self, mut given_up: BTreeMap<u32, Error>) -> Poll<Results> {
        let mut results = Results::new();
        let mut pending = false;
        let mut tables = Vec::with_capacity(self.manifest.tables.len());
        for table in &self.manifest.tables {
            match given_up.remove(&table.index) {
                Some(error) => {
                    self.view.settle_table();
                    results.insert(table.index, Err(error));
                }
                None => tables.push(self.commit_table(table).map(|end| (table.index, end)).boxed()),
            }
        }
        let mut tables = stream::iter(tables).buffer_unordered(TABLES_AT_ONCE);
        while let Some((table, result)) = tables.next().await {
            let result = match result {
                Ok(Poll::Pending) => {
                    pending = true;
                    continue;
                }
                Ok(Poll::Ready(commit)) => Ok(commit),
                Err(error) => Err(error),
            };
            self.view.settle_table();
            results.insert(table, result);
        }
        if pending { Poll::Pending } else { Poll::Ready(results) }
    }

    async fn commit_table(&self, table: &Table) -> Result<Poll<Commit>> {
        let committed = self.prepare_and_publish(table).await;
        if let Err(error) = &committed
            && !error.is_transient()
        {
            self.end_failed_files(table).await;
        }
        committed
    }

    async fn prepare_and_publish(&self, table: &Table) -> Result<Poll<Commit>> {
        match self.prepare(table).await? {
            Poll::Ready(Step::Committed(commit)) => Ok(Poll::Ready(commit)),
            Poll::Ready(Step::Prepared(prepared)) => self.publish(table, prepared).await,
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    async fn publish(&self, table: &Table, prepared: Box<dyn Prepared>) -> Result<Poll<Commit>> {
        match prepared.publish().await? {
            Poll::Ready(loaded) => {
                // After the commit nobody looks at the table again.
                self.end_files(table, loaded.overtaken_by.is_none()).await?;
                self.record(table, loaded).await.map(Poll::Ready)
            }
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// Does everything but the last step, for all receipts of a table and nothing else.
    async fn prepare(&self, table: &Table) -> Result<Poll<Step>> {
        if let Some(commit) = self.commit_of(table).await? {
            self.end_files(table, commit.overtaken_by.is_none()).await?;
            return Ok(Poll::Ready(Step::Committed(commit)));
        }
        self.require_few_bad_rows(table)?;
        if let Some(new) = &table.write.new_files {
            match self.begin_files(table, new).await? {
                Poll::Ready(Turn::Ours) => {}
                Poll::Ready(Turn::Overtaken(by)) => {
                    return self.overtaken(table, by).await.map(Step::Committed).map(Poll::Ready);
                }
                Poll::Pending => return Ok(Poll::Pending),
            }
        }
        let load = self.load(table)?;
        Ok(match self.targets.find(&table.target)?.prepare(&load).await? {
            Poll::Ready(prepared) => Poll::Ready(Step::Prepared(prepared)),
            Poll::Pending => Poll::Pending,
        })
    }

    /// What an earlier commit of the run has recorded of a table. Where another loader commits it
    /// meanwhile, the target knows what it has loaded.
    async fn commit_of(&self, table: &Table) -> Result<Option<Commit>> {
        if !self.committed.contains(&table.index) {
            return Ok(None);
        }
        self.store.commit(table.index).await
    }

    /// How the tables become visible.
    fn visibility(&self) -> Visibility {
        match self.manifest {
            Manifest { all_or_nothing: true, tables, .. } if tables.len() < 2 => Visibility::Each,
            Manifest { all_or_nothing: true, at_once: true, .. } => Visibility::AtOnce,
            Manifest { all_or_nothing: true, .. } => Visibility::InTurn,
            _ => Visibility::Each,
        }
    }

    /// Refuses a table of which more rows were set aside than the job allows.
    fn require_few_bad_rows(&self, table: &Table) -> Result<()> {
        let (bad, allowed) =
            (self.coverage.bad_rows(table.index), table.relation.allowed_bad_rows());
        if bad <= allowed {
            return Ok(());
        }
        let run = self.manifest.run;
        Err(Error::data(format!(
            "load run `{run}` into `{}`: {bad} rows are bad, and the job allows {allowed}",
            table.target
        ))
        .hint(format!(
            "the documents in `{}` say where they are; correct the files, or allow more in `bad_rows.allow`",
            self.manifest.bad_rows_url()
        )))
    }

    /// The load of all receipts of a table and nothing else.
    fn load(&self, table: &Table) -> Result<Load> {
        let run = self.manifest.run;
        let (generation, receipts) = (self.coverage.generation, &self.coverage.receipts);
        let native = table.native_rows();
        let files = native.as_ref().and_then(NativeRows::files);
        let source_bucket = files.map(|files| find_bucket(&files.bucket)).transpose()?;
        let (parts, rows) = match native {
            Some(_) => (Vec::new(), 0),
            None if has_no_new_file(table) => (Vec::new(), 0),
            None => collect_parts(self.store, table, generation, receipts).map_err(|error| {
                error.during(format!("load run `{run}` into `{}`", table.target))
            })?,
        };
        Ok(Load {
            run,
            job: self.manifest.job.clone(),
            table: table.index,
            snapshot: generation,
            target: table.target.clone(),
            disposition: table.write.disposition,
            key: table.write.key.clone(),
            order_by: table.write.order_by.clone(),
            dedup: table.write.dedup.clone(),
            schema_changes: table.write.schema_changes,
            new_table: table.write.new_table.clone(),
            partitioned_by: table.partitioned_by.clone(),
            columns: table.columns.clone(),
            native,
            source_bucket,
            dataflow: table.dataflow.clone(),
            bucket: self.store.bucket().clone(),
            parts,
            rows,
            dropped: None,
            listing: self.listing.clone(),
            begun: self.tries.begun,
            give_up: self.tries.give_up,
            visibility: self.visibility(),
        })
    }

    /// Records that a table is visible, or overtaken. Of two records the first counts.
    async fn record(&self, table: &Table, loaded: Loaded) -> Result<Commit> {
        let commit = Commit {
            version: Commit::VERSION,
            table: table.index,
            snapshot: loaded.snapshot,
            rows: loaded.rows,
            dropped: loaded.dropped,
            overtaken_by: loaded.overtaken_by,
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

/// Whether a table has no rows to load, because earlier runs have loaded all its files.
fn has_no_new_file(table: &Table) -> bool {
    table.write.new_files.as_ref().is_some_and(|new| new.files.is_empty())
}

/// How far a table is.
enum Step {
    /// It is visible, since an earlier commit of the run.
    Committed(Commit),
    /// It lacks the last step.
    Prepared(Box<dyn Prepared>),
}

impl Step {
    fn may_be_refused(&self) -> bool {
        matches!(self, Self::Prepared(prepared) if prepared.may_be_refused())
    }

    fn overtaken_by(&self) -> Option<RunId> {
        match self {
            Self::Committed(commit) => commit.overtaken_by,
            Self::Prepared(prepared) => prepared.overtaken_by(),
        }
    }
}

/// Refuses what this build would load wrongly: two tables that have one target, where one would
/// silently replace the other, and a plan that asks for more than to load rows.
pub(crate) fn check_targets(manifest: &Manifest) -> Result<()> {
    let mut seen = HashSet::new();
    for table in &manifest.tables {
        let write = &table.write;
        let unknown = match () {
            () if table.native.is_some() != table.native_rows().is_some() => {
                Some("a table that its target takes by itself")
            }
            () if table.units == 0 && table.native.is_none() && table.statement.is_some() => {
                Some("a table that a statement moves")
            }
            () if write.watermark.is_some() => Some("rows up to a watermark"),
            () => None,
        };
        if let Some(unknown) = unknown {
            return Err(Error::invalid(format!(
                "load run `{}`: `{}` asks for {unknown}, which this build cannot load",
                manifest.run, table.name
            ))
            .hint("a newer Sluice planned it; run that version"));
        }
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
