//! Attempts at one step, each a job under a name of its own.
//!
//! BigQuery accepts a job's name only once, ever: the job `sluice_<run>_<table>_<n>` is started by
//! one loader, and adopted by every other. A job that failed uses its name up. The next name is
//! tried only when the jobs of all names before it have ended with an error, so that at most one of
//! them ever changes the table.
//!
//! The name does not contain the generation of the receipts, which is in a label: if two loaders
//! see two complete generations, the second has to find the job of the first.
//!
//! <https://cloud.google.com/bigquery/docs/running-jobs#generate-jobid>

use std::task::Poll;

use serde_json::Value;
use sluice_contracts::documents::RunId;
use sluice_contracts::{Error, Kind, Result};

use super::address::TableId;
use super::client::{Client, JobName, JobReport, Labels};
use super::failure;
use crate::target::{Load, Loaded};

/// Names that are tried before a step is given up.
const NAMES: u32 = 5;

/// Label with the generation of the snapshot that is loaded.
const GENERATION: &str = "sluice_generation";
/// Label with the rows that the receipts count. BigQuery does not count the rows of a copy.
const ROWS: &str = "sluice_rows";

/// The run, table and generation that a step belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owner<'a> {
    pub(super) run: RunId,
    pub(super) table: u32,
    pub(super) generation: u32,
    /// What a job is started with; `None` for a caller that only checks.
    pub(super) load: Option<&'a Load>,
}

impl<'a> Owner<'a> {
    pub(super) fn of(load: &'a Load) -> Self {
        Self { run: load.run, table: load.table, generation: load.snapshot, load: Some(load) }
    }
}

/// The attempts at one step.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    client: &'a Client,
    project: &'a str,
    location: &'a str,
    owner: Owner<'a>,
    /// The names without their number.
    stem: String,
}

/// The state of the attempts.
#[derive(Debug)]
pub(super) enum AttemptState {
    /// The next attempt may start, under the name of this number.
    Free(u32),
    /// One is running.
    Running,
    /// One is done.
    Done(Loaded),
}

impl<'a> Attempts<'a> {
    /// Attempts at the step that readers see.
    pub(super) fn visible(
        client: &'a Client,
        id: &'a TableId,
        location: &'a str,
        owner: Owner<'a>,
    ) -> Self {
        let stem = format!("sluice_{}_{}", owner.run, owner.table);
        Self { client, project: &id.project, location, owner, stem }
    }

    /// Attempts at filling a staging table of the owner's generation: the first, or another.
    pub(super) fn staging(
        client: &'a Client,
        id: &'a TableId,
        location: &'a str,
        owner: Owner<'a>,
        at: usize,
    ) -> Self {
        let stem = format!("sluice_{}_{}_staging_{}", owner.run, owner.table, owner.generation);
        let stem = if at == 0 { stem } else { format!("{stem}_part_{at}") };
        Self { client, project: &id.project, location, owner, stem }
    }

    /// Checks the jobs that exist.
    ///
    /// # Errors
    /// Why the newest failed, if another would fail the same way or all names are used up.
    pub(super) async fn look(&self) -> Result<AttemptState> {
        let mut last = String::new();
        for number in 0..NAMES {
            let name = self.name(number);
            let Some(report) = self.client.job(&name).await? else {
                return Ok(AttemptState::Free(number));
            };
            if !report.ended {
                return Ok(AttemptState::Running);
            }
            let Some(failure) = &report.failure else {
                return self.done(&report).map(AttemptState::Done);
            };
            // A fault in the parts of another generation says nothing about these parts.
            if !failure.is_passing() && self.is_of_generation(&report) {
                return Err(failure::error(self.owner.load, &name, failure));
            }
            last.clone_from(&failure.reason);
        }
        Err(Error::new(
            Kind::Denied,
            format!("BigQuery failed {NAMES} times, the last time for the reason `{last}`"),
        )
        .hint("<https://status.cloud.google.com> shows what is out of order; start the run again"))
    }

    /// Starts the job of a number, or adopts the one that another loader has started under its
    /// name.
    pub(super) async fn start(
        &self,
        number: u32,
        kind: &str,
        configuration: &Value,
    ) -> Result<Poll<Loaded>> {
        let name = self.name(number);
        let report = self.client.start(&name, &self.labels(), kind, configuration).await?;
        self.started(&name, report)
    }

    fn started(&self, name: &JobName, report: Option<JobReport>) -> Result<Poll<Loaded>> {
        match report {
            Some(report) if report.ended => match &report.failure {
                None => self.done(&report).map(Poll::Ready),
                // The next call starts the next job. The pause until then is short, and long enough
                // for a brief fault of BigQuery to pass.
                Some(failure) if failure.is_passing() => Ok(Poll::Pending),
                Some(failure) => Err(failure::error(self.owner.load, name, failure)),
            },
            // Another loader's job may be of another kind, or done: the next check finds out.
            Some(_) | None => Ok(Poll::Pending),
        }
    }

    /// What a finished job loaded.
    fn done(&self, report: &JobReport) -> Result<Loaded> {
        let label = |key: &str| report.labels.get(key)?.parse::<u64>().ok();
        let snapshot = label(GENERATION).and_then(|generation| u32::try_from(generation).ok());
        let rows = report.rows.or_else(|| label(ROWS));
        match (snapshot, rows) {
            (Some(snapshot), Some(rows)) => Ok(Loaded { snapshot, rows, overtaken_by: None }),
            _ => Err(Error::bug(format!(
                "read job `{}`: BigQuery says neither its rows nor its labels",
                self.stem
            ))),
        }
    }

    fn is_of_generation(&self, report: &JobReport) -> bool {
        let generation = report.labels.get(GENERATION);
        generation.is_none_or(|generation| *generation == self.owner.generation.to_string())
    }

    fn name(&self, number: u32) -> JobName {
        JobName {
            project: self.project.to_owned(),
            location: self.location.to_owned(),
            id: format!("{}_{number}", self.stem),
        }
    }

    fn labels(&self) -> Labels {
        let mut labels = Labels::from([
            ("sluice_run".to_owned(), self.owner.run.to_string()),
            (GENERATION.to_owned(), self.owner.generation.to_string()),
        ]);
        if let Some(load) = self.owner.load {
            labels.insert("sluice_job".to_owned(), label_value(&load.job));
            labels.insert(ROWS.to_owned(), load.rows.to_string());
        }
        labels
    }
}

/// A job's name as a label accepts it: at most 63 characters, in lower case.
/// <https://cloud.google.com/bigquery/docs/labels-intro#requirements>
fn label_value(name: &str) -> String {
    name.to_lowercase().chars().take(63).collect()
}
