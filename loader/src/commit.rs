//! From receipts to visible tables.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use chrono::Utc;
use sluice_contracts::manifest::{Manifest, Table, UnitRef};
use sluice_contracts::receipt::{Commit, Part, Receipt};
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Result};

use crate::census::census;
use crate::sink::{Load, Sink};

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

impl Outcome {
    /// The first table's error, if any has one.
    pub fn error(&self) -> Option<&Error> {
        self.tables.iter().find_map(|table| table.result.as_ref().err())
    }

    /// The same, for good.
    pub fn into_error(self) -> Option<Error> {
        self.tables.into_iter().find_map(|table| table.result.err())
    }
}

/// What became of one table.
#[derive(Debug)]
pub struct TableOutcome {
    /// Index of the table in the manifest.
    pub table: u32,
    /// Its commit, or why nothing of it is visible.
    pub result: Result<Commit>,
}

/// Makes every table of a run visible, and deletes the run's parts when all are.
///
/// The second commit of a run changes nothing. A table that cannot be committed keeps none of the
/// others back: its error is in the outcome.
///
/// # Errors
/// `Transient` where units have no receipt yet; `Data` where the receipts contradict each other.
/// Nothing is visible then.
pub async fn commit(store: &RunStore, sinks: &Sinks<'_>) -> Result<Outcome> {
    let manifest = store.manifest().await?;
    let census = census(store, &manifest).await?;
    census.require_complete(&manifest)?;
    check_targets(&manifest)?;
    let mut tables = Vec::with_capacity(manifest.tables.len());
    for table in &manifest.tables {
        let result = match sinks(&table.target) {
            Ok(sink) => {
                let receipts = &census.receipts;
                commit_table(store, &manifest, table, census.generation, receipts, &*sink).await
            }
            Err(error) => Err(error),
        };
        tables.push(TableOutcome { table: table.index, result });
    }
    let outcome = Outcome { generation: census.generation, tables };
    if outcome.error().is_none() {
        // The tables are visible: parts that stay behind cost space and nothing else.
        if let Err(error) = store.delete_parts().await {
            tracing::warn!(run = %store.run(), "parts are left in the bucket: {}", error.chain());
        }
    }
    Ok(outcome)
}

/// Makes one table of a run visible: all its receipts, and nothing else.
///
/// An existing commit of the table is returned as it is.
pub async fn commit_table(
    store: &RunStore,
    manifest: &Manifest,
    table: &Table,
    generation: u32,
    receipts: &BTreeMap<UnitRef, Receipt>,
    sink: &dyn Sink,
) -> Result<Commit> {
    if let Some(commit) = store.commit(table.index).await? {
        return Ok(commit);
    }
    let doing = || format!("load run `{}` into `{}`", manifest.run, table.target);
    let (parts, rows) =
        collect_parts(store, table, generation, receipts).map_err(|error| error.during(doing()))?;
    let load = Load {
        run: manifest.run,
        table: table.index,
        snapshot: generation,
        target: table.target.clone(),
        disposition: table.write_disposition,
        columns: table.columns.clone(),
        bucket: store.bucket().clone(),
        parts,
        rows,
    };
    let loaded = sink.load(&load).await?;
    let commit = Commit {
        version: Commit::VERSION,
        table: table.index,
        snapshot: loaded.snapshot,
        rows: loaded.rows,
        at: Utc::now(),
    };
    match store.create_commit(&commit).await? {
        Created::First => Ok(commit),
        Created::Lost => store
            .commit(table.index)
            .await?
            .ok_or_else(|| Error::bug(format!("read the commit of table `{}`", table.name))),
    }
}

/// The parts of a table in the order of its units, once every count agrees.
fn collect_parts(
    store: &RunStore,
    table: &Table,
    generation: u32,
    receipts: &BTreeMap<UnitRef, Receipt>,
) -> Result<(Vec<Part>, u64)> {
    let hint = "nothing was made visible; start the run again, and report the run's receipts";
    let ours = store.layout().parts();
    let mut seen = HashSet::new();
    let mut parts = Vec::new();
    let mut rows = 0u64;
    for unit in &table.units {
        let name = UnitRef { table: table.index, unit: unit.index };
        let wrong =
            |what: String| Err(Error::data(format!("unit {}: {what}", unit.index)).hint(hint));
        let Some(receipt) = receipts.get(&name) else {
            return wrong("it has no receipt".to_owned());
        };
        if receipt.snapshot != generation {
            return wrong(format!(
                "its receipt is of snapshot {}, and the run's is {generation}",
                receipt.snapshot
            ));
        }
        let counted = receipt.parts.iter().try_fold(0u64, |sum, part| sum.checked_add(part.rows));
        if counted != Some(receipt.rows) {
            return wrong(format!(
                "its receipt says {} rows, and its parts {}",
                receipt.rows,
                counted.map_or_else(|| "more than can be counted".to_owned(), |n| n.to_string())
            ));
        }
        for part in &receipt.parts {
            let path = object_store::path::Path::from(part.path.as_str());
            if !path.prefix_matches(&ours) || !seen.insert(path) {
                return wrong(format!("its part `{}` is not its own", part.path));
            }
        }
        let Some(sum) = rows.checked_add(receipt.rows) else {
            return wrong("the table's rows are more than can be counted".to_owned());
        };
        rows = sum;
        parts.extend(receipt.parts.iter().cloned());
    }
    Ok((parts, rows))
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
