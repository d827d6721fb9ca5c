//! The result of a commit.

use std::collections::BTreeMap;

use sluice_contracts::documents::{Commit, ErrorReport, Manifest, Refused, RunId, TableOutcome};
use sluice_contracts::{Error, Kind, Result};

/// The result of a commit.
#[derive(Debug)]
pub struct Outcome {
    /// Generation of the snapshot that was committed.
    pub generation: u32,
    /// Every table of the run, in the manifest's order.
    pub tables: Vec<TableCommit>,
}

/// The result of one table.
#[derive(Debug)]
pub struct TableCommit {
    /// Index of the table in the manifest.
    pub table: u32,
    /// Values that became NULL in the units that were read, by target column.
    pub invalid: BTreeMap<String, u64>,
    /// Its commit, or why nothing of it is visible.
    pub result: Result<Commit>,
}

impl Outcome {
    /// Whether every table is visible, or was overtaken.
    pub fn is_whole(&self) -> bool {
        self.tables.iter().all(|table| table.result.is_ok())
    }
}

/// The outcome of every table that the job asks for: those of the plan, then those it refused.
pub fn table_outcomes(manifest: &Manifest, outcome: &Outcome) -> Vec<TableOutcome> {
    let planned = outcome.tables.iter().filter_map(|ended| {
        let table = manifest.tables.get(ended.table as usize)?;
        let (rows, overtaken_by, failure) = match &ended.result {
            Ok(commit) => (commit.rows, commit.overtaken_by, None),
            Err(error) => (0, None, Some(ErrorReport::from(error))),
        };
        Some(TableOutcome {
            table: table.name.clone(),
            target: table.target.clone(),
            rows,
            overtaken_by,
            invalid: if rows > 0 { ended.invalid.clone() } else { BTreeMap::new() },
            failure,
        })
    });
    planned.chain(manifest.refused.iter().map(refused_outcome)).collect()
}

pub(crate) fn refused_outcome(refused: &Refused) -> TableOutcome {
    TableOutcome {
        table: refused.table.clone(),
        target: refused.target.clone(),
        rows: 0,
        overtaken_by: None,
        invalid: BTreeMap::new(),
        // The other tables moved, so this is a failure of the run, not a job that cannot be done.
        failure: Some(ErrorReport { kind: Kind::Data, ..refused.report() }),
    }
}

/// Why not every table that the job asks for is visible.
pub fn error_of(run: RunId, tables: &[TableOutcome]) -> Option<Error> {
    let failed = || tables.iter().filter(|table| table.failure.is_some());
    let first = failed().find_map(|table| table.failure.clone())?.into_error();
    let names: Vec<String> = failed().map(|table| format!("`{}`", table.table)).collect();
    if tables.len() == 1 {
        return Some(first);
    }
    Some(first.during(format!(
        "run `{run}`: {} of {} tables not visible: {}",
        names.len(),
        tables.len(),
        names.join(", ")
    )))
}
