//! Cloud Run: executions of the extractor's job.

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use google_cloud_gax::error::Error as Refused;
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_gax::retry_policy::{Aip194Strict, RetryPolicyExt as _};
use google_cloud_run_v2::client;
use google_cloud_run_v2::model::condition::State;
use google_cloud_run_v2::model::run_job_request::Overrides;
use google_cloud_run_v2::model::run_job_request::overrides::ContainerOverride;
use google_cloud_run_v2::model::{EnvVar, Execution};
use google_cloud_wkt::Timestamp;
use sluice_contracts::error::Doing as _;
use sluice_contracts::ports::{ExecutionState, Executions};
use sluice_contracts::{Error, Kind, Result};

use super::Endpoints;
use super::refusal::{ATTEMPT, PATIENCE, Remedy, check_name, kind_of, repeated, unhindered};

/// The variable that names the job.
const JOB: &str = "SLUICE_EXTRACTOR_JOB";

const START: Remedy = Remedy {
    denied: "grant this service's identity `roles/run.jobsExecutorWithOverrides` on the job",
    missing: "look at `SLUICE_EXTRACTOR_JOB`: it is `projects/P/locations/L/jobs/J`",
};

const LOOK: Remedy = Remedy {
    denied: "grant this service's identity `roles/run.viewer` on the job",
    missing: START.missing,
};

/// Executions of one Cloud Run job.
#[derive(Debug, Clone)]
pub struct CloudRun {
    job: String,
    task_timeout: Duration,
    jobs: client::Jobs,
    executions: client::Executions,
}

impl CloudRun {
    /// The executions of `job`, a name like `projects/P/locations/L/jobs/J`. An attempt of a task
    /// may take `task_timeout`, whatever the job itself says: its usual timeout of ten minutes
    /// ends all tasks of a large table at once, again and again.
    pub async fn new(endpoints: &Endpoints, job: &str, task_timeout: Duration) -> Result<Self> {
        check_name(job, &["locations", "jobs"], JOB)?;
        let endpoint = endpoints.run();
        let what = || "make a client of Cloud Run";
        let jobs = client::Jobs::builder()
            .with_endpoint(endpoint.url())
            .with_credentials(endpoint.credentials()?)
            .with_retry_throttler(unhindered())
            .build()
            .await
            .doing(Kind::Denied, what)?;
        let executions = client::Executions::builder()
            .with_endpoint(endpoint.url())
            .with_credentials(endpoint.credentials()?)
            .with_retry_throttler(unhindered())
            .build()
            .await
            .doing(Kind::Denied, what)?;
        Ok(Self { job: job.to_owned(), task_timeout, jobs, executions })
    }

    /// The full name of an execution that tasks know by its last part.
    fn full_name(&self, execution: &str) -> String {
        format!("{}/executions/{execution}", self.job)
    }

    async fn get(&self, execution: &str) -> Result<Execution, Refused> {
        self.executions
            .get_execution()
            .set_name(self.full_name(execution))
            .with_attempt_timeout(ATTEMPT)
            .with_retry_policy(repeated())
            .send()
            .await
    }
}

#[async_trait]
impl Executions for CloudRun {
    async fn start(&self, manifest_url: &str, launch: u32, task_count: u32) -> Result<String> {
        let what = || format!("start {task_count} tasks of `{}`", self.job);
        let count = i32::try_from(task_count).doing(Kind::Bug, what)?;
        let container = ContainerOverride::new().set_env([
            EnvVar::new().set_name("SLUICE_MANIFEST").set_value(manifest_url),
            EnvVar::new().set_name("SLUICE_LAUNCH").set_value(launch.to_string()),
        ]);
        let timeout = google_cloud_wkt::Duration::try_from(self.task_timeout);
        let overrides = Overrides::new()
            .set_task_count(count)
            .set_timeout(timeout.doing(Kind::Invalid, what)?)
            .set_container_overrides([container]);
        // Repeated only if no execution can have been started: there was no connection or no token,
        // or the call was one of too many.
        let refused = Aip194Strict.continue_on_too_many_requests().with_time_limit(PATIENCE);
        let operation = self
            .jobs
            .run_job()
            .set_name(&self.job)
            .set_overrides(overrides)
            .with_idempotency(false)
            .with_retry_policy(refused)
            .send()
            .await
            .map_err(|refused| START.error(what(), refused))?;
        let named = operation.metadata.and_then(|any| any.to_msg::<Execution>().ok());
        match named.as_ref().and_then(|execution| execution.name.rsplit('/').next()) {
            Some(name) if !name.is_empty() => Ok(name.to_owned()),
            _ => Err(Error::transient(format!("{}: the answer names no execution", what()))),
        }
    }

    async fn state(&self, execution: &str) -> Result<Option<ExecutionState>> {
        match self.get(execution).await {
            Ok(found) => Ok(Some(state_of(found))),
            Err(refused) if kind_of(&refused) == Kind::NotFound => Ok(None),
            Err(refused) => Err(LOOK.error(format!("look at execution `{execution}`"), refused)),
        }
    }

    async fn parallelism(&self) -> Result<Option<u32>> {
        let job = self
            .jobs
            .get_job()
            .set_name(&self.job)
            .with_attempt_timeout(ATTEMPT)
            .with_retry_policy(repeated())
            .send()
            .await
            .map_err(|refused| LOOK.error(format!("read job `{}`", self.job), refused))?;
        // Its own task count does not matter: each execution is started with another.
        let parallelism = job.template.map_or(0, |template| template.parallelism);
        Ok(u32::try_from(parallelism).ok().filter(|parallelism| *parallelism > 0))
    }

    async fn cancel(&self, execution: &str) -> Result<()> {
        let cancelled = self
            .executions
            .cancel_execution()
            .set_name(self.full_name(execution))
            .with_idempotency(true)
            .with_attempt_timeout(ATTEMPT)
            .with_retry_policy(repeated())
            .send()
            .await;
        let Err(refused) = cancelled else { return Ok(()) };
        // The error for cancelling an execution that has ended is not documented, so read its
        // state.
        match self.get(execution).await {
            Ok(found) if found.completion_time.is_some() => Ok(()),
            Err(missing) if kind_of(&missing) == Kind::NotFound => Ok(()),
            _ => Err(START.error(format!("cancel execution `{execution}`"), refused)),
        }
    }
}

fn state_of(execution: Execution) -> ExecutionState {
    let message = execution
        .conditions
        .iter()
        .find(|condition| {
            condition.r#type == "Completed" && condition.state == State::ConditionFailed
        })
        .map(|condition| condition.message.clone());
    let time = |time: Option<Timestamp>| time.as_ref().and_then(date_time);
    let count = |count: i32| u32::try_from(count).unwrap_or(0);
    ExecutionState {
        // Before the platform has accepted it, it has no creation time: use the current time.
        created: time(execution.create_time).unwrap_or_else(Utc::now),
        started: time(execution.start_time),
        ended: time(execution.completion_time),
        succeeded: count(execution.succeeded_count),
        failed: count(execution.failed_count),
        cancelled: count(execution.cancelled_count),
        message: message.filter(|message| !message.is_empty()),
        log_url: Some(execution.log_uri).filter(|url| !url.is_empty()),
    }
}

fn date_time(time: &Timestamp) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(time.seconds(), u32::try_from(time.nanos()).ok()?)
}
