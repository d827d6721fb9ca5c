//! Jobs: work that BigQuery does by itself, under a name that the loader gives it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sluice_contracts::Result;

use super::refusal::{CONCURRENT, is_passing};
use super::{BigQueryClient, TableId};

/// The key of a job. BigQuery accepts each name once: if two callers start a job of one name, only
/// one of them starts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobName {
    /// The project that is billed.
    pub project: String,
    /// The location of the dataset that the job works on.
    pub location: String,
    /// Letters, digits, `-` and `_`.
    pub id: String,
}

/// The state of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobReport {
    /// Whether it has ended.
    pub ended: bool,
    /// Why it failed, if it did.
    pub failure: Option<JobFailure>,
    /// Rows that a load has written.
    pub rows: Option<u64>,
    /// Rows that a copy or a statement has written.
    pub written: Option<u64>,
    /// The table that a query writes its rows to.
    pub writes: Option<TableId>,
    /// The labels that it was started with.
    pub labels: BTreeMap<String, String>,
    /// When it was started, by BigQuery's clock.
    pub created: Option<DateTime<Utc>>,
    /// When it ended.
    pub finished: Option<DateTime<Utc>>,
}

/// Why a job failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFailure {
    /// The reason, from the list in the documentation.
    /// <https://cloud.google.com/bigquery/docs/error-messages>
    pub reason: String,
    /// BigQuery's own message. It may contain a cell's value.
    pub message: String,
    /// The part of the job that was wrong, such as a file.
    pub place: Option<String>,
}

impl JobFailure {
    /// Whether the same job under another name may succeed.
    pub fn is_passing(&self) -> bool {
        is_passing(&self.reason) || self.message.contains(CONCURRENT)
    }
}

/// Labels of a job.
pub type JobLabels = BTreeMap<String, String>;

impl BigQueryClient {
    /// A job by its name; `None` if no job of that name was started.
    pub async fn job(&self, name: &JobName) -> Result<Option<JobReport>> {
        let path = format!("projects/{}/jobs/{}?location={}", name.project, name.id, name.location);
        match self.call(reqwest::Method::GET, &path, None, None).await? {
            Ok(job) => Ok(Some(report(&job))),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(refusal.during(format!("look for job `{}`", name.id))),
        }
    }

    /// Starts a load, a query or a copy, as `kind` says. `None` if a job of that name was started before.
    pub async fn start(
        &self,
        name: &JobName,
        labels: &JobLabels,
        kind: &str,
        configuration: &Value,
    ) -> Result<Option<JobReport>> {
        let body = json!({
            "jobReference": {
                "projectId": name.project,
                "jobId": name.id,
                "location": name.location,
            },
            "configuration": {kind: configuration, "labels": labels},
        });
        let path = format!("projects/{}/jobs", name.project);
        match self.call(reqwest::Method::POST, &path, Some(&body), None).await? {
            Ok(job) => Ok(Some(report(&job))),
            Err(refusal) if refusal.is_taken() => Ok(None),
            Err(refusal) => Err(refusal.during(format!("start job `{}`", name.id))),
        }
    }
}

/// The parts of a job that a report has. The client crate's type of a job lacks what a copy says of its
/// rows, and cannot read one whose rows have a type that the crate does not know, such as RANGE.
/// <https://cloud.google.com/bigquery/docs/reference/rest/v2/Job>
fn report(job: &Value) -> JobReport {
    let (status, statistics) = (&job["status"], &job["statistics"]);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    // The API writes numbers of 64 bits as text.
    let rows = |value: &Value| value.as_str()?.parse().ok();
    let at = |value: &Value| DateTime::from_timestamp_millis(value.as_str()?.parse().ok()?);
    let failure = status["errorResult"].as_object().map(|error| JobFailure {
        reason: error.get("reason").and_then(text).unwrap_or_default(),
        message: error.get("message").and_then(text).unwrap_or_default(),
        place: error.get("location").and_then(text),
    });
    let labels = job["configuration"]["labels"].as_object();
    JobReport {
        ended: status["state"] == "DONE",
        failure,
        rows: rows(&statistics["load"]["outputRows"]),
        written: rows(&statistics["copy"]["copiedRows"])
            .or_else(|| rows(&statistics["query"]["numDmlAffectedRows"])),
        writes: destination(&job["configuration"]["query"]["destinationTable"]),
        labels: labels
            .into_iter()
            .flatten()
            .filter_map(|(key, value)| Some((key.clone(), text(value)?)))
            .collect(),
        created: at(&statistics["creationTime"]),
        finished: at(&statistics["endTime"]),
    }
}

fn destination(table: &Value) -> Option<TableId> {
    let name = |key: &str| table[key].as_str();
    TableId::new(name("projectId")?, name("datasetId")?, name("tableId")?).ok()
}
