//! Tables of which none becomes visible unless all do.

use std::task::Poll;

use sluice_contracts::documents::{Commit, RunId, Table};
use sluice_contracts::{Error, Kind, Result};
use sluice_targets::{Load, Loaded, NotLoaded, Prepared};

use super::{Results, Run, Step};

impl Run<'_> {
    /// Commits every table in one step of their target.
    pub(super) async fn commit_at_once(&self) -> Poll<Results> {
        let tables: Vec<&Table> = self.manifest.tables.iter().collect();
        let committed = match self.committed_tables(&tables).await {
            Ok(Some(commits)) => return Poll::Ready(commits),
            Ok(None) => self.load_at_once(&tables).await,
            Err(error) => Err(error.into()),
        };
        let loaded = match committed {
            Ok(Poll::Ready(loaded)) => loaded,
            Ok(Poll::Pending) => return Poll::Pending,
            Err(NotLoaded { table, error }) => {
                let failed = tables.iter().find(|failed| Some(failed.index) == table).copied();
                return Poll::Ready(self.none_but(&tables, failed, error));
            }
        };
        let mut results = Results::new();
        for (table, loaded) in tables.into_iter().zip(loaded) {
            self.view.settle_table();
            results.insert(table.index, self.record(table, loaded).await);
        }
        Poll::Ready(results)
    }

    /// What an earlier commit has recorded, if it has recorded all tables.
    async fn committed_tables(&self, tables: &[&Table]) -> Result<Option<Results>> {
        let mut commits = Results::new();
        for table in tables {
            let Some(commit) = self.commit_of(table).await? else { return Ok(None) };
            commits.insert(table.index, Ok(commit));
        }
        Ok(Some(commits))
    }

    async fn load_at_once(&self, tables: &[&Table]) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
        let Some(first) = tables.first() else { return Ok(Poll::Ready(Vec::new())) };
        let load = |table: &&Table| {
            self.load(table).map_err(|error| NotLoaded { table: Some(table.index), error })
        };
        let loads: Vec<Load> = tables.iter().map(load).collect::<Result<_, _>>()?;
        self.targets.find(&first.target)?.load_at_once(&loads).await
    }

    /// Commits every table up to its last step, and only then takes the last steps, one after another.
    pub(super) async fn commit_together(&self) -> Poll<Results> {
        let mut tables: Vec<&Table> = self.manifest.tables.iter().collect();
        // Two runs that wait for each other's targets would wait forever.
        tables.sort_by_key(|table| &table.target);
        let mut steps = Vec::with_capacity(tables.len());
        let mut pending = false;
        for table in &tables {
            match self.prepare(table).await {
                Ok(Poll::Ready(step)) => {
                    self.view.settle_table();
                    steps.push((*table, step));
                }
                Ok(Poll::Pending) => pending = true,
                Err(error) => {
                    if !error.is_transient() {
                        let prepared: Vec<u32> =
                            steps.iter().map(|(table, _)| table.index).collect();
                        for (_, step) in steps {
                            self.discard_step(step).await;
                        }
                        for other in tables.iter().filter(|other| !prepared.contains(&other.index))
                        {
                            self.abandon(other).await;
                        }
                    }
                    return Poll::Ready(self.none_but(&tables, Some(table), error));
                }
            }
        }
        if pending {
            return Poll::Pending;
        }
        let mut results = Results::new();
        // One table of the later run beside others of this one would mix two snapshots.
        let newer = steps.iter().find_map(|(_, step)| step.overtaken_by());
        if let Some(newer) = newer {
            for (table, step) in steps {
                let result = match step {
                    Step::Committed(commit) => Ok(commit),
                    Step::Prepared(prepared) => {
                        self.discard(prepared).await;
                        self.overtaken(table, newer).await
                    }
                };
                results.insert(table.index, result);
            }
            return Poll::Ready(results);
        }
        // What may still be refused comes first, one after another: as long as nothing is visible,
        // nothing has to be.
        steps.sort_by_key(|(_, step)| !step.may_be_refused());
        let mut steps = steps.into_iter();
        while let Some((table, step)) = steps.next() {
            let may_be_refused = step.may_be_refused();
            let result = match step {
                Step::Committed(commit) => Ok(Poll::Ready(commit)),
                Step::Prepared(prepared) => self.publish(table, prepared).await,
            };
            match result {
                Ok(Poll::Ready(commit)) => _ = results.insert(table.index, Ok(commit)),
                Ok(Poll::Pending) if may_be_refused => return Poll::Pending,
                Ok(Poll::Pending) => pending = true,
                Err(error) if may_be_refused && results.is_empty() => {
                    if !error.is_transient() {
                        for step in steps.map(|(_, step)| step) {
                            self.discard_step(step).await;
                        }
                    }
                    return Poll::Ready(self.none_but(&tables, Some(table), error));
                }
                Err(error) => _ = results.insert(table.index, Err(error)),
            }
        }
        if pending { Poll::Pending } else { Poll::Ready(results) }
    }

    async fn discard_step(&self, step: Step) {
        if let Step::Prepared(prepared) = step {
            self.discard(prepared).await;
        }
    }

    /// Gives up a load that was not prepared.
    async fn abandon(&self, table: &Table) {
        let abandoned =
            async { self.targets.find(&table.target)?.abandon(&self.load(table)?).await };
        if let Err(error) = abandoned.await {
            tracing::warn!(run = %self.manifest.run, "a load is left: {}", error.chain());
        }
    }

    /// Gives up a load that was prepared.
    async fn discard(&self, prepared: Box<dyn Prepared>) {
        if let Err(error) = prepared.discard().await {
            tracing::warn!(run = %self.manifest.run, "a load is left: {}", error.chain());
        }
    }

    /// Why no table is visible: one of them failed.
    fn none_but(&self, tables: &[&Table], failed: Option<&Table>, error: Error) -> Results {
        let cause = failed.map_or_else(
            || "the step that they share failed".to_owned(),
            |table| format!("loading `{}` failed", table.name),
        );
        let why = |table: &&Table| {
            let what = format!(
                "load run `{}` into `{}`: no table of the run was changed, because {cause}",
                self.manifest.run, table.target
            );
            (table.index, Err(Error::new(Kind::Conflict, what)))
        };
        let mut results: Results = tables.iter().map(why).collect();
        if let Some(table) = failed.or(tables.first().copied()) {
            results.insert(table.index, Err(error));
        }
        results
    }

    /// Records that a table keeps the rows of a later run.
    pub(super) async fn overtaken(&self, table: &Table, newer: RunId) -> Result<Commit> {
        let snapshot = self.coverage.generation;
        self.record(table, Loaded { snapshot, rows: 0, dropped: None, overtaken_by: Some(newer) })
            .await
    }
}
