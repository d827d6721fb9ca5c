//! The failures that ended a run's tasks, as the tasks recorded them.

use sluice_contracts::documents::{Failure, Manifest, PermanentFailures, UnitRef};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Result};

/// Missing units whose last error a message repeats.
const QUOTED: usize = 3;

/// The failures of a run, those of its newest execution last.
///
/// Executions are ordered by the launches that they claimed. Only if none claimed one, as in runs
/// of a Sluice without launches, do the clocks of their tasks decide which is the newest.
#[derive(Debug)]
pub(crate) struct Failures {
    /// The newest execution, as far as one is known.
    newest: Option<String>,
    failures: Vec<Failure>,
}

impl Failures {
    pub(crate) async fn read(store: &RunStore) -> Result<Self> {
        let mut failures = store.failures().await?;
        let mut claimed = Vec::new();
        for launch in 0..store.newest_launch().await?.map_or(0, |newest| newest + 1) {
            claimed.extend(store.claim(launch).await?.map(|claim| claim.execution));
        }
        // Tasks' clocks order the attempts of one task, and nothing else.
        failures.sort_by_key(|failure| {
            let place = claimed.iter().position(|execution| *execution == failure.execution);
            (place, failure.attempt)
        });
        let newest = claimed.pop().or_else(|| Some(failures.last()?.execution.clone()));
        Ok(Self { newest, failures })
    }

    /// What the newest execution cannot read.
    pub(crate) fn permanent(&self, manifest: &Manifest) -> PermanentFailures {
        let mut permanent = PermanentFailures::default();
        if let Some(newest) = &self.newest {
            permanent.add(manifest, newest, self.failures.iter().cloned());
        }
        permanent
    }

    /// The last failure of a few of these units, or else of the run.
    pub(crate) fn last_words(&self, units: &[UnitRef]) -> Vec<&Failure> {
        let mut words: Vec<&Failure> = Vec::new();
        for unit in units {
            let of_unit = |failure: &&Failure| failure.unit == Some((unit.table, unit.unit));
            if let Some(last) = self.failures.iter().rfind(of_unit)
                && words.len() < QUOTED
            {
                words.push(last);
            }
        }
        if words.is_empty() {
            words.extend(self.failures.last());
        }
        words
    }

    /// All of them, those of the newest execution last.
    pub(crate) fn all(&self) -> &[Failure] {
        &self.failures
    }
}

/// The error that ends a run whose tasks cannot go on.
pub(crate) fn fatal(manifest: &Manifest, failure: Failure) -> Error {
    let place = place(manifest, &failure);
    let error = failure.into_error().during(format!("run `{}`{place}", manifest.run));
    if error.remedy().is_some() {
        return error;
    }
    error.hint("starting it again would not fix it; when its cause is fixed, ask for the job again")
}

/// Where a task was, to be put after the run's name. Once a task reads, its own message says so.
fn place(manifest: &Manifest, failure: &Failure) -> String {
    let named = failure
        .unit
        .and_then(|(table, unit)| Some((manifest.tables.get(table as usize)?, unit)))
        .filter(|(table, _)| !failure.message.contains(&table.name));
    named.map_or_else(String::new, |(table, unit)| format!(": unit {unit} of `{}`", table.name))
}
