//! Which units of a run are done.

use std::collections::{BTreeMap, HashSet};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sluice_contracts::documents::{Manifest, Receipt, Unit, UnitRef, Verdict};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Result};

use crate::failures::Failures;

/// Documents that are read at once.
const READ_AT_ONCE: usize = 16;
/// Missing units that a message names; it counts the others.
const NAMED: usize = 10;

/// The receipts of one generation: the one that can be committed, or else the one that has come
/// furthest.
#[derive(Debug, Clone)]
pub struct Coverage {
    /// The generation.
    pub generation: u32,
    /// Its receipts.
    pub receipts: BTreeMap<UnitRef, Receipt>,
    /// Units without one.
    pub missing: Vec<UnitRef>,
}

impl Coverage {
    /// Whether every unit has a receipt.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Values of a table that became NULL because the target's type cannot hold them, by column.
    pub fn invalid(&self, table: u32) -> BTreeMap<String, u64> {
        let mut columns = BTreeMap::new();
        let units = UnitRef { table, unit: 0 }..=UnitRef { table, unit: u32::MAX };
        let receipts = self.receipts.range(units).map(|(_, receipt)| receipt);
        for (column, values) in receipts.flat_map(|receipt| &receipt.invalid) {
            *columns.entry(column.clone()).or_insert(0) += values;
        }
        columns
    }

    /// Rows of a table's files that were set aside.
    pub fn bad_rows(&self, table: u32) -> u64 {
        let units = UnitRef { table, unit: 0 }..=UnitRef { table, unit: u32::MAX };
        self.receipts.range(units).map(|(_, receipt)| receipt.bad_rows.rows).sum()
    }

    /// The tables with missing units that the newest execution gave up, and why. A run of one
    /// table, or one that is all or nothing, gives up none.
    ///
    /// # Errors
    /// `Transient` if units of other tables are missing, naming them.
    pub async fn given_up(
        &self,
        store: &RunStore,
        manifest: &Manifest,
    ) -> Result<BTreeMap<u32, Error>> {
        if self.is_complete() {
            return Ok(BTreeMap::new());
        }
        let mut tables = Failures::read(store).await?.permanent(manifest).tables;
        tables.retain(|table, _| self.missing.iter().any(|unit| unit.table == *table));
        if self.missing.iter().all(|unit| tables.contains_key(&unit.table)) {
            let errors = tables.into_iter().map(|(table, failure)| (table, failure.into_error()));
            return Ok(errors.collect());
        }
        let load = format!("load run `{}`", manifest.run);
        Err(Error::transient(format!("{load}: {}", name_missing(manifest, &self.missing))).hint(
            format!(
                "`sluice status {} --bucket {}` shows each unit's last error; running the tasks again fills the gap",
                manifest.run, manifest.bucket
            ),
        ))
    }
}

/// The units without a receipt of a generation, from the names of its receipts alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingUnits {
    pub(crate) generation: u32,
    pub(crate) units: Vec<UnitRef>,
}

/// Names the units that are missing.
pub(crate) fn name_missing(manifest: &Manifest, missing: &[UnitRef]) -> String {
    let many_tables = manifest.tables.len() > 1;
    let mut named: Vec<String> = missing
        .iter()
        .take(NAMED)
        .map(|unit| match manifest.tables.get(unit.table as usize) {
            Some(table) if many_tables => format!("{} of `{}`", unit.unit, table.name),
            _ => unit.unit.to_string(),
        })
        .collect();
    if missing.len() > NAMED {
        named.push(format!("and {} more", missing.len() - NAMED));
    }
    let all = manifest.units().count();
    format!(
        "{} of {all} work units have a receipt; missing: {}",
        all - missing.len().min(all),
        named.join(", ")
    )
}

/// The tasks that have something to do if these units are missing and no task is at work.
pub async fn tasks_to_start(
    store: &RunStore,
    manifest: &Manifest,
    missing: &[UnitRef],
) -> Result<Vec<u32>> {
    // The receipts of a snapshot that is lost are worthless, so every task has work again.
    if manifest.snapshot.is_lost_with_readers() {
        return Ok(manifest.tasks.iter().map(|task| task.index).collect());
    }
    let missing: HashSet<&UnitRef> = missing.iter().collect();
    let units: Vec<_> = manifest.tasks.iter().map(|task| store.units(manifest, task)).collect();
    let units: Vec<Vec<Unit>> = stream::iter(units).buffered(READ_AT_ONCE).try_collect().await?;
    let has_work = |units: &[Unit]| units.iter().any(|unit| missing.contains(&unit.place()));
    let tasks = manifest.tasks.iter().zip(&units).filter(|(_, units)| has_work(units));
    Ok(tasks.map(|(task, _)| task.index).collect())
}

/// The receipts of the generation that can be committed, or else of the one that has come
/// furthest.
pub async fn coverage(store: &RunStore, manifest: &Manifest) -> Result<Coverage> {
    let verdict = store.verdict().await?;
    let generation = generation(store, manifest, verdict.as_ref()).await?;
    coverage_of(store, manifest, generation).await
}

/// The generation that was decided for, or else the best one.
pub(crate) async fn generation(
    store: &RunStore,
    manifest: &Manifest,
    verdict: Option<&Verdict>,
) -> Result<u32> {
    match verdict.and_then(|verdict| verdict.snapshot) {
        Some(generation) => Ok(generation),
        None => Ok(best_generation(store, manifest).await?.generation),
    }
}

/// The receipts of one generation.
pub(crate) async fn coverage_of(
    store: &RunStore,
    manifest: &Manifest,
    generation: u32,
) -> Result<Coverage> {
    let receipts = store.receipts(manifest, generation).await?;
    let missing = manifest.units().filter(|unit| !receipts.contains_key(unit)).collect();
    Ok(Coverage { generation, receipts, missing })
}

/// The generation to commit of a run without a verdict, and the units that it lacks.
///
/// If some table was committed from a generation, the others may be committed from that one only.
/// Otherwise it is the newest with all receipts, or else the one that has come furthest.
pub(crate) async fn best_generation(store: &RunStore, manifest: &Manifest) -> Result<MissingUnits> {
    if let Some(commit) = store.any_commit().await? {
        return missing_units(store, manifest, commit.snapshot).await;
    }
    let newest = store.generation().await?.unwrap_or(0);
    let mut furthest: Option<MissingUnits> = None;
    for generation in (0..=newest).rev() {
        let missing = missing_units(store, manifest, generation).await?;
        if missing.units.is_empty() {
            return Ok(missing);
        }
        if furthest.as_ref().is_none_or(|best| best.units.len() > missing.units.len()) {
            furthest = Some(missing);
        }
    }
    furthest.ok_or_else(|| Error::bug("choose a generation: the run has no generations"))
}

async fn missing_units(
    store: &RunStore,
    manifest: &Manifest,
    generation: u32,
) -> Result<MissingUnits> {
    let receipted = store.receipted(manifest, generation).await?;
    let units = manifest.units().filter(|unit| !receipted.contains(unit)).collect();
    Ok(MissingUnits { generation, units })
}
