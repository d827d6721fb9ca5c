//! Attempts at one step, each a job under a name of its own.
//!
//! BigQuery accepts a job's name only once, ever: the job `sluice_<run>_<table>_<n>`, or
//! `sluice_<run>_all_<n>` for a transaction over all tables, is started by one loader, and adopted by
//! every other. A job that failed uses its name up. The next name is tried only when the job before
//! has ended with an error, so that at most one of them ever changes the table. So the names that are
//! used up are the first ones, and the newest is found by a search that doubles its steps: an hour of
//! trouble costs a check four or five requests, not twenty.
//!
//! While BigQuery is in trouble, or a quota is used up, the pauses between attempts grow to five
//! minutes, and the attempts go on until [`Load::give_up`]. A refusal that would only be repeated is
//! final, unless it is older than [`Load::begun`]: then a person has asked for the load again.
//!
//! The name does not contain the generation of the receipts, which is in a label: if two loaders
//! see two complete generations, the second has to find the job of the first.
//!
//! <https://cloud.google.com/bigquery/docs/running-jobs#generate-jobid>

use std::task::Poll;

use chrono::{Duration, Utc};
use serde_json::Value;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};

use super::claim::{self, Claim, Claimed, FENCE};
use super::owner::Owner;
use super::{failure, row_counts};
use crate::target::{Load, Loaded, NotLoaded, Shown};
use sluice_runtime::google::bigquery::{BigQueryClient, JobLabels, JobName, JobReport, TableId};

/// The pause after the first attempt; it doubles with each.
const FIRST_PAUSE: Duration = Duration::seconds(5);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::minutes(5);

/// Label with the generation of the snapshot that is loaded.
const GENERATION: &str = "sluice_generation";

/// The attempts at one step.
#[derive(Debug)]
pub(super) struct Attempts<'a> {
    client: &'a BigQueryClient,
    project: &'a str,
    location: &'a str,
    owner: Owner<'a>,
    /// The names without their number.
    stem: String,
    /// The table that the step is about.
    writes: Writes<'a>,
}

/// The table that a step writes to.
#[derive(Debug)]
enum Writes<'a> {
    /// The one that readers see.
    Visible(&'a TableId),
    /// A staging table.
    Staging(TableId),
    /// All that the owner loads.
    All,
}

/// The state of the attempts.
#[derive(Debug)]
pub(super) enum AttemptState<Done> {
    /// The next attempt may start, under the name of this number.
    Free(u32),
    /// One is running, or the pause after one that failed is not over.
    Running,
    /// One is done.
    Done(Done),
}

/// A job that ended as it should.
#[derive(Debug)]
pub(super) struct DoneJob {
    name: JobName,
    pub(super) report: JobReport,
}

impl<'a> Attempts<'a> {
    /// Attempts at the step that readers see.
    pub(super) fn visible(
        client: &'a BigQueryClient,
        id: &'a TableId,
        location: &'a str,
        owner: Owner<'a>,
    ) -> Self {
        let stem = owner.stem();
        Self { client, project: &id.project, location, owner, stem, writes: Writes::Visible(id) }
    }

    /// Attempts at the step that makes all loads of the owner visible at once.
    pub(super) fn at_once(
        client: &'a BigQueryClient,
        id: &'a TableId,
        location: &'a str,
        owner: Owner<'a>,
    ) -> Self {
        Self { writes: Writes::All, ..Self::visible(client, id, location, owner) }
    }

    /// Attempts at filling a staging table of the owner's generation: the first, or another.
    pub(super) fn staging(
        client: &'a BigQueryClient,
        id: &'a TableId,
        location: &'a str,
        owner: Owner<'a>,
        (at, staging): (usize, TableId),
    ) -> Self {
        let stem = format!("sluice_{}_{}_staging_{}", owner.run, owner.table, owner.generation);
        let stem = if at == 0 { stem } else { format!("{stem}_part_{at}") };
        let writes = Writes::Staging(staging);
        Self { client, project: &id.project, location, owner, stem, writes }
    }

    /// Attempts at a query of this `kind` over the staging tables of the owner's generation. What it
    /// found is gone with `staging`.
    pub(super) fn query(
        client: &'a BigQueryClient,
        id: &'a TableId,
        location: &'a str,
        owner: Owner<'a>,
        (kind, staging): (&str, TableId),
    ) -> Self {
        let stem = format!("sluice_{}_{}_{kind}_{}", owner.run, owner.table, owner.generation);
        let writes = Writes::Staging(staging);
        Self { client, project: &id.project, location, owner, stem, writes }
    }

    /// Checks the jobs that exist.
    ///
    /// # Errors
    /// Why the newest failed, if another would fail the same way or the time for more is over.
    pub(super) async fn look(&self) -> Result<AttemptState<Loaded>> {
        Ok(match self.look_for_job().await.map_err(|failed| failed.error)? {
            AttemptState::Done(job) => AttemptState::Done(self.is_done(&job).await?),
            AttemptState::Free(free) => AttemptState::Free(free),
            AttemptState::Running => AttemptState::Running,
        })
    }

    /// The same, with the job that is done.
    pub(super) async fn look_for_job(&self) -> Result<AttemptState<DoneJob>, NotLoaded> {
        let Some((number, report)) = self.newest().await? else {
            return Ok(AttemptState::Free(0));
        };
        if !report.ended {
            return Ok(AttemptState::Running);
        }
        let next = AttemptState::Free(number + 1);
        if report.labels.contains_key(FENCE) {
            return Ok(next);
        }
        let name = self.name(number);
        let Some(failure) = &report.failure else {
            if self.is_of_earlier_try(&report) && self.has_expired().await? {
                return Ok(next);
            }
            return Ok(AttemptState::Done(DoneJob { name, report }));
        };
        // A fault in the parts of another generation says nothing about these parts.
        if !self.is_of_generation(&report) || self.is_of_earlier_try(&report) {
            return Ok(next);
        }
        if !failure.is_passing() {
            return Err(failure::not_loaded(self.owner.loads, &name, failure));
        }
        let now = Utc::now();
        if self.owner.loads.first().is_some_and(|load| now >= load.give_up) {
            return Err(failure::given_up(self.owner.run, &name, failure, number + 1).into());
        }
        let due = report.finished.map(|finished| finished + pause_after(number));
        Ok(if due.is_some_and(|due| now < due) { AttemptState::Running } else { next })
    }

    /// Whether a job has made the step's rows visible, or may do so.
    pub(super) async fn shown(&self) -> Result<Shown> {
        Ok(match self.newest().await? {
            Some((_, report)) if !report.ended => Shown::Coming,
            Some((_, report)) if !self.is_used_up(&report) => Shown::Yes,
            _ => Shown::No,
        })
    }

    /// Whether the rows of a staging table that an earlier try has filled are gone.
    async fn has_expired(&self) -> Result<bool> {
        match &self.writes {
            Writes::Visible(_) | Writes::All => Ok(false),
            Writes::Staging(staging) => Ok(self.client.table(staging).await?.is_none()),
        }
    }

    /// Whether the next name may be in use too: the job has changed nothing, or what it has made
    /// may be gone.
    fn is_used_up(&self, report: &JobReport) -> bool {
        report.failure.is_some()
            || report.labels.contains_key(FENCE)
            || matches!(self.writes, Writes::Staging(_)) && self.is_of_earlier_try(report)
    }

    /// The newest job, with its number. No job before it makes the step done.
    async fn newest(&self) -> Result<Option<(u32, JobReport)>> {
        let mut found: Option<(u32, JobReport)> = None;
        // The lowest number that is known to be unused.
        let mut unused: Option<u32> = None;
        loop {
            let below = found.as_ref().map(|(number, _)| *number);
            let next = match (below, unused) {
                (None, Some(0)) => return Ok(None),
                (Some(below), Some(unused)) if unused == below + 1 => return Ok(found),
                (Some(below), Some(unused)) => below + (unused - below) / 2,
                (Some(below), None) => below * 2 + 1,
                (None, _) => 0,
            };
            match self.client.job(&self.name(next)).await? {
                Some(report) => {
                    let is_used_up = self.is_used_up(&report);
                    found = Some((next, report));
                    if !is_used_up {
                        return Ok(found);
                    }
                }
                None => unused = Some(next),
            }
        }
    }

    /// Claims the table for the job of a number, which [`Attempts::look`] found free. Before
    /// anything of the table is changed, and before the job is started.
    pub(super) async fn claim(&self, number: u32) -> Result<Claimed> {
        let (Writes::Visible(id), [load]) = (&self.writes, self.owner.loads) else {
            return Ok(Claimed::Ours);
        };
        let name = self.name(number);
        let claim = self.claim_of(id, &name);
        let replaces = match load.disposition {
            // What is only added replaces nothing.
            WriteDisposition::Append => false,
            // With an order, no row is replaced by an older one.
            WriteDisposition::Merge => load.order_by.is_none(),
            WriteDisposition::Truncate
            | WriteDisposition::Empty
            | WriteDisposition::ReplacePartitions => true,
        };
        claim.take(replaces).await
    }

    /// Makes the table without rows, claimed for the job of a number. Whether it did not exist.
    pub(super) async fn make_table(&self, number: u32, table: Value) -> Result<bool> {
        let Writes::Visible(id) = &self.writes else { return Ok(false) };
        self.claim_of(id, &self.name(number)).make_table(table).await
    }

    /// Keeps a table that was made for the job of a number, which there is nothing to do for.
    pub(super) async fn keep(&self, number: u32) -> Result<()> {
        let Writes::Visible(id) = &self.writes else { return Ok(()) };
        self.claim_of(id, &self.name(number)).keep(None).await
    }

    /// Lets a table expire that was made for a job of this run which will not come.
    pub(super) async fn unmake_table(&self) -> Result<()> {
        let Writes::Visible(id) = &self.writes else { return Ok(()) };
        self.claim_of(id, &self.name(0)).unmake_table().await
    }

    fn claim_of<'c>(&'c self, id: &'c TableId, name: &'c JobName) -> Claim<'c> {
        Claim { client: self.client, id, name, run: self.owner.run }
    }

    /// The labels of a table that the job of a number has made visible.
    pub(super) fn labels_of(&self, number: u32) -> Value {
        claim::labels(&self.name(number), self.owner.run)
    }

    /// Gives the claim of a number back.
    pub(super) async fn give_back(&self, number: u32) -> Result<()> {
        let Writes::Visible(id) = &self.writes else { return Ok(()) };
        self.claim_of(id, &self.name(number)).give_back().await
    }

    /// What a finished job loaded. The table's claim names the job from then on.
    pub(super) async fn is_done(&self, job: &DoneJob) -> Result<Loaded> {
        if let (Writes::Visible(id), [_]) = (&self.writes, self.owner.loads) {
            self.claim_of(id, &job.name).keep(job.report.created).await?;
        }
        self.loaded(&job.report)
    }

    /// Starts the job of a number, or adopts the one that another loader has started under its
    /// name.
    pub(super) async fn start(
        &self,
        number: u32,
        kind: &str,
        configuration: &Value,
    ) -> Result<Poll<Loaded>> {
        let started = self.start_job(number, kind, configuration).await;
        match started.map_err(|failed| failed.error)? {
            Poll::Ready(job) => self.is_done(&job).await.map(Poll::Ready),
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// The same, with the job that is done.
    pub(super) async fn start_job(
        &self,
        number: u32,
        kind: &str,
        configuration: &Value,
    ) -> Result<Poll<DoneJob>, NotLoaded> {
        let name = self.name(number);
        match self.client.start(&name, &self.labels(), kind, configuration).await? {
            Some(report) if report.ended => match &report.failure {
                None => Ok(Poll::Ready(DoneJob { name, report })),
                // A later call starts the next job, after a pause for the fault to pass.
                Some(failure) if failure.is_passing() => Ok(Poll::Pending),
                Some(failure) => Err(failure::not_loaded(self.owner.loads, &name, failure)),
            },
            // Another loader's job may be of another kind, or done: the next check finds out.
            Some(_) | None => Ok(Poll::Pending),
        }
    }

    fn loaded(&self, report: &JobReport) -> Result<Loaded> {
        let label = |key: &str| report.labels.get(key)?.parse::<u64>().ok();
        let snapshot = label(GENERATION).and_then(|generation| u32::try_from(generation).ok());
        let rows = report.rows.or_else(|| row_counts::of(&report.labels, self.owner.table));
        let dropped = row_counts::dropped_of(&report.labels, self.owner.table);
        match (snapshot, rows) {
            (Some(snapshot), Some(rows)) => {
                Ok(Loaded { snapshot, rows, dropped, overtaken_by: None })
            }
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

    /// Whether a job failed before the load was begun: its cause may be corrected by now.
    fn is_of_earlier_try(&self, report: &JobReport) -> bool {
        let begun = self.owner.loads.first().map(|load| load.begun);
        report.created.zip(begun).is_some_and(|(created, begun)| created < begun)
    }

    fn name(&self, number: u32) -> JobName {
        JobName {
            project: self.project.to_owned(),
            location: self.location.to_owned(),
            id: format!("{}_{number}", self.stem),
        }
    }

    fn labels(&self) -> JobLabels {
        let mut labels = JobLabels::from([
            ("sluice_run".to_owned(), self.owner.run.to_string()),
            (GENERATION.to_owned(), self.owner.generation.to_string()),
        ]);
        if let Some(load) = self.owner.loads.first() {
            labels.insert("sluice_job".to_owned(), label_value(&load.job));
        }
        // What fills a staging table by a query does not know the rows beforehand.
        let is_query = |load: &Load| load.native.is_some() || load.dedup.is_some();
        let by_query = self.owner.loads.iter().any(is_query);
        if !(by_query && matches!(self.writes, Writes::Staging(_))) {
            labels.extend(row_counts::labels(self.owner.loads));
        }
        labels
    }
}

/// How long the attempt of this number is in the past before the next begins.
fn pause_after(number: u32) -> Duration {
    let doubled = 1i32.checked_shl(number).filter(|_| number < 16).unwrap_or(i32::MAX);
    FIRST_PAUSE.checked_mul(doubled).map_or(LONGEST_PAUSE, |pause| pause.min(LONGEST_PAUSE))
}

/// A job's name as a label accepts it: at most 63 characters, in lower case.
/// <https://cloud.google.com/bigquery/docs/labels-intro#requirements>
fn label_value(name: &str) -> String {
    name.to_lowercase().chars().take(63).collect()
}
