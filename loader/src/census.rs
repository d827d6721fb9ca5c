//! Which units of a run are done.

use std::collections::BTreeMap;

use sluice_contracts::manifest::{Manifest, UnitRef};
use sluice_contracts::receipt::Receipt;
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Kind, Result};

/// Missing units that a message names before it only counts.
const NAMED: usize = 10;

/// The receipts of one generation: the one that can be committed, or else the one that has come
/// furthest.
#[derive(Debug, Clone)]
pub struct Census {
    /// The generation.
    pub generation: u32,
    /// Its receipts.
    pub receipts: BTreeMap<UnitRef, Receipt>,
    /// Units without one.
    pub missing: Vec<UnitRef>,
}

impl Census {
    /// Whether every unit has a receipt.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// The tables with missing units that the newest execution gave up, and why. A run of one
    /// table, or one that is all or nothing, gives up none.
    ///
    /// # Errors
    /// `Transient` where units of other tables are missing, naming them.
    pub async fn given_up(
        &self,
        store: &RunStore,
        manifest: &Manifest,
    ) -> Result<BTreeMap<u32, Error>> {
        let mut given_up = BTreeMap::new();
        if self.is_complete() {
            return Ok(given_up);
        }
        if manifest.tables.len() > 1 && !manifest.all_or_nothing {
            let failures = store.failures().await?;
            let newest = failures.last().map(|failure| failure.execution.clone());
            for failure in failures {
                let permanent = failure.kind != Kind::Transient;
                if let Some((table, _)) = failure.unit
                    && permanent
                    && Some(&failure.execution) == newest.as_ref()
                    && self.missing.iter().any(|unit| unit.table == table)
                {
                    given_up.entry(table).or_insert_with(|| failure.into_error());
                }
            }
        }
        if self.missing.iter().all(|unit| given_up.contains_key(&unit.table)) {
            return Ok(given_up);
        }
        Err(self.incomplete(manifest))
    }

    /// Names the units that are missing.
    fn incomplete(&self, manifest: &Manifest) -> Error {
        let many_tables = manifest.tables.len() > 1;
        let mut named: Vec<String> = self
            .missing
            .iter()
            .take(NAMED)
            .map(|unit| match manifest.tables.get(unit.table as usize) {
                Some(table) if many_tables => format!("{} of `{}`", unit.unit, table.name),
                _ => unit.unit.to_string(),
            })
            .collect();
        if self.missing.len() > NAMED {
            named.push(format!("and {} more", self.missing.len() - NAMED));
        }
        Error::transient(format!(
            "load run `{}`: {} of {} work units have a receipt; missing: {}",
            manifest.run,
            self.receipts.len(),
            manifest.units().count(),
            named.join(", ")
        ))
        .hint(format!(
            "`sluice status {} --bucket {}` shows each unit's last error; running the tasks again fills the gap",
            manifest.run, manifest.bucket
        ))
    }
}

/// Takes stock of a run.
///
/// A generation that some table was committed from is the only one that the others may be
/// committed from. Otherwise the newest with all receipts counts.
pub async fn census(store: &RunStore, manifest: &Manifest) -> Result<Census> {
    for table in &manifest.tables {
        if let Some(commit) = store.commit(table.index).await? {
            return of_generation(store, manifest, commit.snapshot).await;
        }
    }
    let newest = store.generation().await?.unwrap_or(0);
    let mut furthest: Option<Census> = None;
    for generation in (0..=newest).rev() {
        let census = of_generation(store, manifest, generation).await?;
        if census.is_complete() {
            return Ok(census);
        }
        if furthest.as_ref().is_none_or(|best| best.receipts.len() < census.receipts.len()) {
            furthest = Some(census);
        }
    }
    furthest.ok_or_else(|| Error::bug("take stock of a run without generations"))
}

async fn of_generation(store: &RunStore, manifest: &Manifest, generation: u32) -> Result<Census> {
    let receipts = store.receipts(manifest, generation).await?;
    let missing = manifest.units().filter(|unit| !receipts.contains_key(unit)).collect();
    Ok(Census { generation, receipts, missing })
}
