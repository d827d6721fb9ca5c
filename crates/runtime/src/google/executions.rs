//! Cloud Run: executions of the extractor's job.

use std::collections::BTreeMap;
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
use google_cloud_run_v2::model::{EnvVar, Execution, Job};
use google_cloud_wkt::Timestamp;
use sluice_contracts::documents::TaskKind;
use sluice_contracts::error::Doing as _;
use sluice_contracts::ports::{ExecutionState, Executions, TaskTerms};
use sluice_contracts::{Error, Kind, Result};

use super::Endpoints;
use super::refusal::{ATTEMPT, PATIENCE, Remedy, check_name, kind_of, repeated, unhindered};

/// The variable that names the job.
const JOB: &str = "SLUICE_EXTRACTOR_JOB";
/// The longest that a task of a delayed execution may take.
/// <https://cloud.google.com/run/docs/delayed-jobs>
const DELAYED_TIMEOUT: Duration = Duration::from_hours(12);

const START: Remedy = Remedy {
    denied: "grant this service's identity `roles/run.jobsExecutorWithOverrides` on the job",
    missing: "look at `SLUICE_EXTRACTOR_JOB`, which is `projects/P/locations/L/jobs/J`, and at \
              `SLUICE_EXTRACTOR_JOBS` if the job asks for other tasks",
};

const LOOK: Remedy = Remedy {
    denied: "grant this service's identity `roles/run.viewer` on the job",
    missing: START.missing,
};

/// Executions of the Cloud Run jobs of a deployment, one for each kind of tasks.
#[derive(Debug, Clone)]
pub struct CloudRun {
    task_jobs: TaskJobs,
    task_timeout: Duration,
    jobs: client::Jobs,
    executions: client::Executions,
}

impl CloudRun {
    /// The executions of these jobs. An attempt of a task may take `task_timeout`, whatever the job
    /// itself says: its usual timeout of ten minutes ends all tasks of a large table at once, again
    /// and again.
    pub async fn new(
        endpoints: &Endpoints,
        task_jobs: TaskJobs,
        task_timeout: Duration,
    ) -> Result<Self> {
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
        Ok(Self { task_jobs, task_timeout, jobs, executions })
    }

    /// The full name of an execution that tasks know by its last part.
    fn full_name(&self, execution: &str) -> String {
        format!("{}/executions/{execution}", self.task_jobs.job_of(execution))
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
    async fn start(
        &self,
        kind: &TaskKind,
        manifest_url: &str,
        launch: u32,
        task_count: u32,
    ) -> Result<String> {
        let job = self.task_jobs.of(kind)?;
        let what = || format!("start {task_count} tasks of `{job}`");
        let count = i32::try_from(task_count).doing(Kind::Bug, what)?;
        let container = ContainerOverride::new().set_env([
            EnvVar::new().set_name("SLUICE_MANIFEST").set_value(manifest_url),
            EnvVar::new().set_name("SLUICE_LAUNCH").set_value(launch.to_string()),
        ]);
        let longest = if kind.delay_execution { DELAYED_TIMEOUT } else { Duration::MAX };
        let timeout = google_cloud_wkt::Duration::try_from(self.task_timeout.min(longest));
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
            .set_name(job)
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

    fn check(&self, kind: &TaskKind) -> Result<()> {
        self.task_jobs.of(kind).map(drop)
    }

    async fn state(&self, execution: &str) -> Result<Option<ExecutionState>> {
        match self.get(execution).await {
            Ok(found) => Ok(Some(state_of(found))),
            Err(refused) if kind_of(&refused) == Kind::NotFound => Ok(None),
            Err(refused) => Err(LOOK.error(format!("look at execution `{execution}`"), refused)),
        }
    }

    async fn tasks(&self, kind: &TaskKind) -> Result<TaskTerms> {
        let name = self.task_jobs.of(kind)?;
        let job = self
            .jobs
            .get_job()
            .set_name(name)
            .with_attempt_timeout(ATTEMPT)
            .with_retry_policy(repeated())
            .send()
            .await
            .map_err(|refused| LOOK.error(format!("read job `{name}`"), refused))?;
        // Its own task count does not matter: each execution is started with another.
        let parallelism = job.template.as_ref().map_or(0, |template| template.parallelism);
        let parallelism = u32::try_from(parallelism).ok().filter(|parallelism| *parallelism > 0);
        Ok(TaskTerms { parallelism, size: size_of(&job) })
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

/// The Cloud Run jobs of a deployment, all of one project and region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskJobs {
    /// The job of the usual kind, `projects/P/locations/L/jobs/J`.
    usual: String,
    /// The others, by the names of their kinds.
    others: BTreeMap<String, String>,
}

impl TaskJobs {
    /// The job `usual`, `projects/P/locations/L/jobs/J`, and others beside it, each as `KIND=J`.
    ///
    /// # Errors
    /// `Invalid` if one of them has another form.
    pub fn new(usual: &str, others: &[String]) -> Result<Self> {
        check_name(usual, &["locations", "jobs"], JOB)?;
        let (place, _) = usual.rsplit_once('/').unwrap_or_default();
        let mut jobs = BTreeMap::new();
        for entry in others {
            let pair = entry.split_once('=').map(|(kind, job)| (kind.trim(), job.trim()));
            let known = pair.filter(|(kind, job)| {
                let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
                TaskKind::is_name(kind) && !job.is_empty() && job.chars().all(part)
            });
            let added = known.and_then(|(kind, job)| {
                let full = format!("{place}/{job}");
                jobs.insert(kind.to_owned(), full).is_none().then_some(())
            });
            added.ok_or_else(|| {
                Error::invalid(format!("read `SLUICE_EXTRACTOR_JOBS`: `{entry}`")).hint(
                    "write `KIND=JOB` once for each kind, such as `large=sluice-extractor-large`; a \
                     kind is a size, `delayed`, or a size with `-delayed`",
                )
            })?;
        }
        Ok(Self { usual: usual.to_owned(), others: jobs })
    }

    /// The job of a kind.
    fn of(&self, kind: &TaskKind) -> Result<&str> {
        if kind.is_default() {
            return Ok(&self.usual);
        }
        let name = kind.to_string();
        self.others.get(&name).map(String::as_str).ok_or_else(|| {
            let known: Vec<String> = self.others.keys().map(|kind| format!("`{kind}`")).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::invalid(format!(
                "the deployment has no tasks of the kind `{name}`, which the job's `cloud_run` asks for"
            ))
            .hint(format!(
                "ask for one of these: {known}; or have the operator add it (`job_task_sizes` and \
                 `delayed_tasks` of `terraform/`)"
            ))
        })
    }

    /// The job that an execution belongs to: its name begins with the job's.
    fn job_of(&self, execution: &str) -> &str {
        let jobs = self.others.values().chain([&self.usual]);
        let own = jobs.filter(|job| {
            let rest = execution.strip_prefix(job.rsplit('/').next().unwrap_or_default());
            rest.is_some_and(|rest| rest.starts_with('-'))
        });
        own.max_by_key(|job| job.len()).unwrap_or(&self.usual)
    }
}

/// CPUs and GiB of a job's tasks.
fn size_of(job: &Job) -> Option<(f64, f64)> {
    let task = job.template.as_ref()?.template.as_ref()?;
    let limits = &task.containers.first()?.resources.as_ref()?.limits;
    Some((quantity(limits.get("cpu")?)?, quantity(limits.get("memory")?)? / quantity("1Gi")?))
}

/// A quantity as Kubernetes writes it: `2`, `500m`, `512Mi`.
/// <https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/>
fn quantity(text: &str) -> Option<f64> {
    const UNITS: [(&str, f64); 8] = [
        ("Ki", 1024.0),
        ("Mi", 1_048_576.0),
        ("Gi", 1_073_741_824.0),
        ("k", 1e3),
        ("M", 1e6),
        ("G", 1e9),
        ("m", 1e-3),
        ("", 1.0),
    ];
    let (number, unit) =
        UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
    Some(number.parse::<f64>().ok()? * unit)
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

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(size: Option<&str>, delay_execution: bool) -> TaskKind {
        TaskKind { task_size: size.map(str::to_owned), delay_execution }
    }

    fn jobs(others: &[&str]) -> Result<TaskJobs> {
        let others: Vec<String> = others.iter().map(|&other| other.to_owned()).collect();
        TaskJobs::new("projects/p/locations/l/jobs/etl", &others)
    }

    #[test]
    fn a_kind_has_its_job_and_an_execution_belongs_to_one() {
        let known = ["small=etl", "large=etl-large", "delayed=etl-delayed", "large-delayed=x"];
        let jobs = jobs(&known).unwrap();
        for (kind, job) in [
            (kind(None, false), "etl"),
            (kind(Some("small"), false), "etl"),
            (kind(Some("large"), false), "etl-large"),
            (kind(None, true), "etl-delayed"),
            (kind(Some("large"), true), "x"),
        ] {
            assert_eq!(jobs.of(&kind).unwrap(), format!("projects/p/locations/l/jobs/{job}"));
        }
        for (execution, job) in [
            ("etl-7xk2p", "etl"),
            ("etl-large-7xk2p", "etl-large"),
            ("etl-delayed-7xk2p", "etl-delayed"),
            // The end that Cloud Run chose.
            ("etl-large", "etl"),
            ("x-7xk2p", "x"),
            ("another-7xk2p", "etl"),
        ] {
            let full = format!("projects/p/locations/l/jobs/{job}");
            assert_eq!(jobs.job_of(execution), full, "{execution}");
        }
        let error = jobs.of(&kind(Some("huge"), true)).unwrap_err();
        assert!(error.to_string().contains("`huge-delayed`"), "{error}");
        assert!(error.remedy().unwrap().contains("`large-delayed`, `small`"), "{error:?}");
    }

    #[test]
    fn a_list_of_jobs_that_says_something_else_is_refused() {
        for wrong in [
            &["large"][..],
            &["=etl"],
            &["large="],
            &["Large=etl-large"],
            &["large=projects/p/locations/l/jobs/j"],
            &["large=etl-large;delayed=etl-delayed"],
            &["large=etl-large", "large=etl-huge"],
        ] {
            let error = jobs(wrong).unwrap_err();
            assert!(error.chain().contains("SLUICE_EXTRACTOR_JOBS"), "{}", error.chain());
        }
        assert!(TaskJobs::new("etl", &[]).is_err());
    }

    #[test]
    fn quantities_are_those_of_kubernetes() {
        for (text, number) in [("2", 2.0), ("1000m", 1.0), ("512Mi", 512.0 * 1_048_576.0)] {
            assert!((quantity(text).unwrap() - number).abs() < 1e-9, "{text}");
        }
        assert_eq!((quantity("many"), quantity("")), (None, None));
    }
}
