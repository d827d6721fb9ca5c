//! The results of a run, from its documents.

use std::collections::BTreeMap;
use std::ops::Add;

use serde::Serialize;
use sluice_contracts::documents::{
    Commit, Dropped, Manifest, NewFiles, Receipt, Refused, Stages, Table,
};
use sluice_contracts::job::Excluded;
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Result};
use sluice_loader::{Coverage, Outcome, coverage};

/// A run. All figures are from its receipts, and for what a target took by itself from its commits.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct RunReport {
    pub(crate) run: String,
    pub(crate) job: String,
    /// Rows read, or taken by the targets.
    pub(crate) rows: u64,
    /// Bytes received from the source.
    pub(crate) bytes: u64,
    /// Bytes of the part files.
    pub(crate) stored_bytes: u64,
    pub(crate) units: u64,
    pub(crate) tasks: u64,
    pub(crate) parts: u64,
    /// From the command's start to its end.
    pub(crate) seconds: f64,
    /// What the tasks spent their time on, all together.
    pub(crate) stages: Stages,
    /// The tables of the run, then those that its plan refused.
    pub(crate) tables: Vec<TableReport>,
    /// Tables that the job leaves out.
    pub(crate) excluded: Vec<Excluded>,
}

/// One table of a run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct TableReport {
    pub(crate) table: String,
    pub(crate) target: String,
    pub(crate) write_disposition: Option<&'static str>,
    pub(crate) strategy: Option<String>,
    /// Rows read, or taken by the target.
    pub(crate) rows: u64,
    /// Whether the target takes the rows by itself.
    #[serde(skip)]
    pub(crate) is_native: bool,
    /// Units, done or not.
    pub(crate) units: u64,
    pub(crate) units_done: u64,
    pub(crate) state: State,
    /// The later run that the target shows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) overtaken_by: Option<String>,
    /// Why it is not visible.
    pub(crate) error: Option<String>,
    /// The remedy, if one is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
    /// Values replaced by NULL, by column.
    pub(crate) invalid: BTreeMap<String, u64>,
    /// The rows of files that are set aside.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) bad_rows: Option<BadRowsReport>,
    /// The rows that are left out, once the table is visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) dropped: Option<Dropped>,
    /// The files of a run that loads no file twice.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) files: Option<FilesReport>,
}

/// The files of a run that loads no file twice.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct FilesReport {
    /// Those of the run.
    pub(crate) new: u64,
    /// Those that are left out, because earlier runs have loaded them.
    pub(crate) left_out: u64,
    /// Those that have changed since they were loaded.
    pub(crate) changed: u64,
    /// Paths of the first of these.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) changed_paths: Vec<String>,
}

impl FilesReport {
    fn of(files: &NewFiles) -> Self {
        Self {
            new: files.files.len() as u64,
            left_out: files.left_out,
            changed: files.changed,
            changed_paths: files.changed_paths.clone(),
        }
    }
}

/// Rows that are set aside.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct BadRowsReport {
    /// How many.
    pub(crate) rows: u64,
    /// The folder of the documents that say where they are.
    pub(crate) url: String,
}

/// How far a table has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// No unit has a receipt.
    Planned,
    /// Some units have a receipt.
    Extracting,
    /// All units have a receipt.
    Extracted,
    /// It is visible.
    Committed,
    /// The target shows a later run, which this one does not replace.
    Overtaken,
    /// Nothing of it is visible, and no task works on it.
    Failed,
    /// The plan refused it.
    Refused,
}

impl State {
    /// Whether the load of the table is done.
    pub(crate) fn is_settled(self) -> bool {
        matches!(self, Self::Committed | Self::Overtaken)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Extracting => "extracting",
            Self::Extracted => "extracted",
            Self::Committed => "committed",
            Self::Overtaken => "overtaken",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

impl RunReport {
    /// Reads what the run's documents say, after it has ended with `result`.
    pub(crate) async fn gather(
        store: &RunStore,
        manifest: &Manifest,
        result: &Result<Outcome>,
        seconds: f64,
    ) -> Result<Self> {
        let mut report = Self::of_documents(store, manifest, seconds).await?;
        for (planned, table) in manifest.tables.iter().zip(&mut report.tables) {
            let error: Option<&Error> = match result {
                Ok(outcome) => outcome
                    .tables
                    .iter()
                    .find(|outcome| outcome.table == planned.index)
                    .and_then(|outcome| outcome.result.as_ref().err()),
                Err(error) => Some(error),
            };
            if let Some(error) = error
                && !table.state.is_settled()
            {
                table.state = State::Failed;
                table.error = Some(error.chain());
                table.hint = error.remedy().map(str::to_owned);
            }
        }
        Ok(report)
    }

    /// Reads what the run's documents say now.
    pub(crate) async fn of_documents(
        store: &RunStore,
        manifest: &Manifest,
        seconds: f64,
    ) -> Result<Self> {
        let coverage = coverage(store, manifest).await?;
        let mut tables = Vec::with_capacity(manifest.tables.len());
        for table in &manifest.tables {
            let commit = store.commit(table.index).await?;
            let mut report = TableReport::of(table, &coverage, commit.as_ref());
            let rows = coverage.bad_rows(table.index);
            let url = || manifest.bad_rows_url();
            report.bad_rows = (rows > 0).then(|| BadRowsReport { rows, url: url() });
            tables.push(report);
        }
        tables.extend(manifest.refused.iter().map(TableReport::refused));
        let receipts = coverage.receipts.values();
        Ok(Self {
            run: manifest.run.to_string(),
            job: manifest.job.clone(),
            rows: tables.iter().map(|table| table.rows).sum(),
            bytes: receipts.clone().map(|receipt| receipt.bytes).sum(),
            stored_bytes: receipts.clone().flat_map(|r| &r.parts).map(|part| part.bytes).sum(),
            units: manifest.unit_count(),
            tasks: manifest.tasks.len() as u64,
            parts: receipts.clone().map(|receipt| receipt.parts.len() as u64).sum(),
            seconds,
            stages: receipts.map(|receipt| receipt.stages).fold(Stages::default(), Add::add),
            tables,
            excluded: manifest.excluded.clone(),
        })
    }
}

impl TableReport {
    fn refused(refused: &Refused) -> Self {
        Self {
            table: refused.table.clone(),
            target: refused.target.clone(),
            write_disposition: None,
            strategy: None,
            rows: 0,
            is_native: false,
            units: 0,
            units_done: 0,
            state: State::Refused,
            overtaken_by: None,
            error: Some(refused.message.clone()),
            hint: refused.hint.clone(),
            invalid: BTreeMap::new(),
            bad_rows: None,
            dropped: None,
            files: None,
        }
    }

    fn of(table: &Table, coverage: &Coverage, commit: Option<&Commit>) -> Self {
        let receipts: Vec<&Receipt> = coverage
            .receipts
            .iter()
            .filter(|(unit, _)| unit.table == table.index)
            .map(|(_, receipt)| receipt)
            .collect();
        let overtaken_by = commit.and_then(|commit| commit.overtaken_by);
        let is_native = table.native.is_some();
        let state = match receipts.len() {
            _ if overtaken_by.is_some() => State::Overtaken,
            _ if commit.is_some() => State::Committed,
            _ if is_native => State::Planned,
            done if done == table.units as usize => State::Extracted,
            0 => State::Planned,
            _ => State::Extracting,
        };
        Self {
            table: table.name.clone(),
            target: table.target.clone(),
            write_disposition: Some(table.write.disposition.name()),
            strategy: Some(table.strategy.clone()),
            rows: match commit {
                Some(commit) if is_native || commit.dropped.is_some() => commit.rows,
                _ => receipts.iter().map(|receipt| receipt.rows).sum(),
            },
            is_native,
            units: u64::from(table.units),
            units_done: receipts.len() as u64,
            state,
            overtaken_by: overtaken_by.map(|run| run.to_string()),
            error: None,
            hint: None,
            invalid: coverage.invalid(table.index),
            bad_rows: None,
            dropped: commit.and_then(|commit| commit.dropped),
            files: table.write.new_files.as_ref().map(FilesReport::of),
        }
    }
}
