//! Jobs: work that BigQuery does by itself, under a name that the loader gives it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use gcp_bigquery_client::model::job::Job;
use serde_json::{Value, json};
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Kind, Result};

use super::BigQueryClient;
use super::refusal::{CONCURRENT, Refusal, is_passing};

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

/// JobLabels of a job.
pub type JobLabels = BTreeMap<String, String>;

impl BigQueryClient {
    /// A job by its name; `None` if no job of that name was started.
    pub async fn job(&self, name: &JobName) -> Result<Option<JobReport>> {
        self.tokens.token().await?;
        let found = self.typed.job().get_job(&name.project, &name.id, Some(&name.location)).await;
        match found.map_err(Refusal::from) {
            Ok(job) => Ok(Some(report(job))),
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
            Ok(job) => {
                let job: Job = serde_json::from_value(job).doing(Kind::Transient, || {
                    format!("read BigQuery's answer to job `{}`", name.id)
                })?;
                Ok(Some(report(job)))
            }
            Err(refusal) => not_started(name, refusal),
        }
    }
}

fn not_started(name: &JobName, refusal: Refusal) -> Result<Option<JobReport>> {
    if refusal.is_taken() {
        return Ok(None);
    }
    Err(refusal.during(format!("start job `{}`", name.id)))
}

fn report(job: Job) -> JobReport {
    let status = job.status.unwrap_or_default();
    let statistics = job.statistics.unwrap_or_default();
    let at =
        |milliseconds: Option<String>| DateTime::from_timestamp_millis(milliseconds?.parse().ok()?);
    let load = statistics.load;
    let labels = job.configuration.and_then(|configuration| configuration.labels);
    JobReport {
        ended: status.state.as_deref() == Some("DONE"),
        failure: status.error_result.map(|error| JobFailure {
            reason: error.reason.unwrap_or_default(),
            message: error.message.unwrap_or_default(),
            place: error.location,
        }),
        rows: load.and_then(|load| load.output_rows?.parse().ok()),
        labels: labels.into_iter().flatten().collect(),
        created: at(statistics.creation_time),
        finished: at(statistics.end_time),
    }
}
