//! The result of a commit.

use std::collections::BTreeMap;

use sluice_contracts::documents::{Commit, ErrorReport, Manifest, Refused, TableOutcome};
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
    /// Rows of files that were set aside.
    pub bad_rows: u64,
    /// Its commit, or why nothing of it is visible.
    pub result: Result<Commit>,
}

impl Outcome {
    /// Whether a table failed for a reason that may pass by itself.
    pub fn may_pass(&self) -> bool {
        self.tables.iter().any(|table| table.result.as_ref().is_err_and(Error::is_transient))
    }

    /// Whether every table is visible, or was overtaken.
    pub fn is_whole(&self) -> bool {
        self.tables.iter().all(|table| table.result.is_ok())
    }
}

/// The outcome of every table that the job asks for: those of the plan, then those it refused.
pub fn table_outcomes(manifest: &Manifest, outcome: &Outcome) -> Vec<TableOutcome> {
    let planned = outcome.tables.iter().filter_map(|ended| {
        let table = manifest.tables.get(ended.table as usize)?;
        let (rows, dropped, overtaken_by, failure) = match &ended.result {
            Ok(commit) => (commit.rows, commit.dropped, commit.overtaken_by, None),
            Err(error) => (0, None, None, Some(ErrorReport::from(error))),
        };
        Some(TableOutcome {
            table: table.name.clone(),
            target: table.target.clone(),
            rows,
            dropped,
            overtaken_by,
            invalid: if rows > 0 { ended.invalid.clone() } else { BTreeMap::new() },
            bad_rows: ended.bad_rows,
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
        dropped: None,
        overtaken_by: None,
        invalid: BTreeMap::new(),
        bad_rows: 0,
        failure: Some(refused.report()),
    }
}

/// The error of a table, with its name if its message does not name it.
fn named(table: &str, error: Error) -> Error {
    let name = format!("`{table}`");
    if error.chain().contains(&name) { error } else { error.during(name) }
}

/// Whether some tables of a run are visible and others not, though the run is all or nothing: the
/// last step of one was refused after that of another was done.
pub fn is_half_visible(manifest: &Manifest, tables: &[TableOutcome]) -> bool {
    let shown = |table: &&TableOutcome| table.failure.is_none() && table.overtaken_by.is_none();
    let shown = tables.iter().filter(shown).count();
    manifest.all_or_nothing && shown > 0 && tables.iter().any(|table| table.failure.is_some())
}

/// Why not every table that the job asks for is visible.
pub fn error_of(manifest: &Manifest, tables: &[TableOutcome]) -> Option<Error> {
    let mut failed: Vec<(&str, Error)> = tables
        .iter()
        .filter_map(|table| Some((table.table.as_str(), table.failure.clone()?.into_error())))
        .collect();
    if tables.len() <= 1 {
        return failed.pop().map(|(_, error)| error);
    }
    if failed.is_empty() {
        return None;
    }
    let some_moved = failed.len() < tables.len();
    let half = if is_half_visible(manifest, tables) { " is half visible" } else { "" };
    let what = format!(
        "run `{}`{half}: {} of {} tables not visible",
        manifest.run,
        failed.len(),
        tables.len()
    );
    let name = |(name, error): (&str, Error)| match error.kind() {
        // A job of which some tables moved is not one that cannot be done.
        Kind::Invalid if some_moved => {
            ErrorReport { kind: Kind::Data, ..ErrorReport::from(&named(name, error)) }.into_error()
        }
        _ => named(name, error),
    };
    Some(Error::several(what, failed.into_iter().map(name).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_its_table_once_however_short_the_name_is() {
        let table = |failure: Option<&str>| TableOutcome {
            table: "t".to_owned(),
            target: "file:///w/t".to_owned(),
            rows: 0,
            dropped: None,
            overtaken_by: None,
            invalid: BTreeMap::new(),
            bad_rows: 0,
            failure: failure.map(|message| ErrorReport {
                kind: Kind::Denied,
                message: message.to_owned(),
                hint: None,
            }),
        };
        for (message, expected) in [
            ("read the rows: no right", "visible: `t`: read the rows: no right"),
            ("unit 0 of `t`: no right", "visible: unit 0 of `t`: no right"),
        ] {
            let tables = [table(Some(message)), table(None)];
            let mut manifest: Manifest =
                serde_json::from_str(include_str!("../../tests/fixtures/manifest-v3.json"))
                    .unwrap();
            for (all_or_nothing, half) in [(false, false), (true, true)] {
                manifest.all_or_nothing = all_or_nothing;
                let said = error_of(&manifest, &tables).unwrap().chain();
                assert!(said.ends_with(expected), "{said}");
                assert_eq!(said.contains("` is half visible: 1 of 2 tables"), half, "{said}");
            }
            assert!(!is_half_visible(&manifest, &[table(Some(message)), table(Some(message))]));
        }
    }
}
