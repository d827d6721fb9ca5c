//! An execution of a Cloud Run job, and the two forms in which the API shows it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::run::{Job, v1_environment};
use super::{LOCATION, PROJECT};

/// An execution.
#[derive(Debug, Clone)]
pub(crate) struct Execution {
    pub name: String,
    /// The job as it was when the execution started.
    pub job: Job,
    pub ask: Ask,
    pub created: DateTime<Utc>,
    pub started: Option<DateTime<Utc>>,
    pub completed: Option<DateTime<Utc>>,
    pub running: u32,
    pub succeeded: u32,
    pub failed: u32,
    pub cancelled: u32,
    pub retried: u32,
    /// Why the first task that failed permanently died.
    pub death: Option<String>,
}

/// What the request for an execution asked for.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub task_count: u32,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
    pub timeout_seconds: u64,
}

impl Ask {
    /// Reads the body of a request for an execution, in either form of the API. The error is a
    /// message for the caller.
    pub(crate) fn read(job: &Job, body: &Value) -> Result<Self, String> {
        let overrides = &body["overrides"];
        let container = &overrides["containerOverrides"][0];
        let mut environment = job.environment.clone();
        for variable in container["env"].as_array().into_iter().flatten() {
            let text = |key: &str| variable[key].as_str().unwrap_or_default().to_owned();
            environment.retain(|(name, _)| *name != text("name"));
            environment.push((text("name"), text("value")));
        }
        let arguments = container["args"].as_array().map_or_else(
            || job.arguments.clone(),
            |typed| typed.iter().filter_map(|text| text.as_str().map(str::to_owned)).collect(),
        );
        Ok(Self {
            task_count: overrides["taskCount"]
                .as_u64()
                .and_then(|count| u32::try_from(count).ok())
                .filter(|count| *count > 0)
                .unwrap_or(1),
            arguments,
            environment,
            timeout_seconds: timeout(overrides)?.unwrap_or(job.timeout.as_secs()),
        })
    }
}

/// The timeout that an execution asks for: `timeout` as `"60s"` in version 2 of the API,
/// `timeoutSeconds` as a number in version 1.
fn timeout(overrides: &Value) -> Result<Option<u64>, String> {
    let typed = match (&overrides["timeout"], &overrides["timeoutSeconds"]) {
        (Value::Null, Value::Null) => return Ok(None),
        (Value::Null, seconds) => seconds.as_str().map_or(seconds.to_string(), str::to_owned),
        (timeout, _) => timeout.as_str().unwrap_or_default().trim_end_matches('s').to_owned(),
    };
    // <https://cloud.google.com/run/docs/configuring/task-timeout>
    let seconds = typed.parse().ok().filter(|seconds| (1..=7 * 24 * 3_600).contains(seconds));
    seconds.map(Some).ok_or_else(|| format!("the timeout of {typed} s is not in 1 s to 604800 s"))
}

impl Execution {
    pub(crate) fn new(name: String, job: Job, ask: Ask, created: DateTime<Utc>) -> Self {
        Self {
            name,
            job,
            ask,
            created,
            started: None,
            completed: None,
            running: 0,
            succeeded: 0,
            failed: 0,
            cancelled: 0,
            retried: 0,
            death: None,
        }
    }

    /// Whether every task succeeded.
    pub(crate) fn has_succeeded(&self) -> bool {
        self.completed.is_some() && self.succeeded == self.ask.task_count
    }

    /// What the API says about the execution once it has ended.
    pub(crate) fn message(&self) -> String {
        let name = &self.name;
        if self.has_succeeded() {
            return format!("Execution {name} has completed successfully.");
        }
        if self.cancelled > 0 {
            return format!("Execution {name} has been cancelled.");
        }
        let (well, all) = (self.succeeded, self.ask.task_count);
        let death = self.death.as_deref().unwrap_or_default();
        format!(
            "Execution {name} has failed to complete, {well}/{all} tasks were a success.{death}"
        )
    }

    /// As `google.cloud.run.v2.Execution`.
    pub(crate) fn v2(&self) -> Value {
        let job = &self.job;
        let state = match (self.completed, self.has_succeeded()) {
            (None, _) => "CONDITION_RECONCILING",
            (Some(_), true) => "CONDITION_SUCCEEDED",
            (Some(_), false) => "CONDITION_FAILED",
        };
        let mut shown = json!({
            "name": format!("{}/executions/{}", job.full_name(), self.name),
            "uid": self.name,
            "job": job.name,
            "createTime": stamp(self.created),
            "taskCount": self.ask.task_count,
            "parallelism": job.parallelism,
            "template": job.v2_template(self.ask.timeout_seconds),
            "logUri": self.log_url(),
            "conditions": [{"type": "Completed", "state": state}],
        });
        if self.completed.is_some() {
            shown["conditions"][0]["message"] = self.message().into();
        }
        if self.cancelled > 0 {
            shown["conditions"][0]["executionReason"] = "CANCELLED".into();
        }
        self.add_counts(&mut shown);
        shown
    }

    /// As `google.cloud.run.v1.Execution`, which `gcloud` and the audit log show.
    pub(crate) fn v1(&self) -> Value {
        let job = &self.job;
        let is = |so: bool| if so { "True" } else { "Unknown" };
        let completed = match (self.completed, self.has_succeeded()) {
            (None, _) => "Unknown",
            (Some(_), true) => "True",
            (Some(_), false) => "False",
        };
        let mut last = json!({"type": "Completed", "status": completed});
        if let Some(at) = self.completed {
            last["message"] = self.message().into();
            last["lastTransitionTime"] = stamp(at).into();
            if completed == "False" {
                let reason = if self.cancelled > 0 { "Cancelled" } else { "NonZeroExitCode" };
                last["reason"] = reason.into();
            }
        }
        let started = is(self.started.is_some());
        let mut status = json!({
            "observedGeneration": 1,
            "logUri": self.log_url(),
            "conditions": [
                {"type": "ResourcesAvailable", "status": started},
                {"type": "Started", "status": started},
                {"type": "ContainerReady", "status": "True"},
                last,
            ],
        });
        self.add_counts(&mut status);
        json!({
            "apiVersion": "run.googleapis.com/v1",
            "kind": "Execution",
            "metadata": {
                "name": self.name,
                "namespace": PROJECT,
                "generation": 1,
                "uid": self.name,
                "creationTimestamp": stamp(self.created),
                "annotations": {"run.googleapis.com/creator": "somebody@example.com"},
                "labels": {
                    "run.googleapis.com/job": job.name,
                    "cloud.googleapis.com/location": LOCATION,
                },
            },
            "spec": {
                "taskCount": self.ask.task_count,
                "parallelism": job.parallelism,
                "template": job.v1_template(
                    &v1_environment(&self.ask.environment),
                    self.ask.timeout_seconds,
                ),
            },
            "status": status,
        })
    }

    /// Adds the fields that both forms name alike. Google's APIs leave out a count of zero.
    fn add_counts(&self, shown: &mut Value) {
        for (name, count) in [
            ("runningCount", self.running),
            ("succeededCount", self.succeeded),
            ("failedCount", self.failed),
            ("cancelledCount", self.cancelled),
            ("retriedCount", self.retried),
        ] {
            if count > 0 {
                shown[name] = count.into();
            }
        }
        for (name, time) in [("startTime", self.started), ("completionTime", self.completed)] {
            if let Some(time) = time {
                shown[name] = stamp(time).into();
            }
        }
    }

    fn log_url(&self) -> String {
        format!("https://console.cloud.google.com/logs/viewer?project={PROJECT}&e={}", self.name)
    }
}

/// A time as Google's APIs write it.
pub(crate) fn stamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Micros, true)
}
