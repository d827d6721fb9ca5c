//! Cloud Tasks: calls of the planner and the loader, now or later.

use std::fmt::Write as _;

use async_trait::async_trait;
use chrono::{TimeDelta, Utc};
use google_cloud_gax::options::RequestOptionsBuilder as _;
use google_cloud_tasks_v2::client;
use google_cloud_tasks_v2::model::{HttpMethod, HttpRequest, OidcToken, Task};
use google_cloud_wkt::{Duration, Timestamp};
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use sluice_contracts::documents::RunId;
use sluice_contracts::error::Doing as _;
use sluice_contracts::ports::{Check, Checks};
use sluice_contracts::{Error, Kind, Result};

use super::Endpoints;
use super::refusal::{ATTEMPT, Remedy, check_name, kind_of, repeated, unhindered};

const REMEDY: Remedy = Remedy {
    denied: "grant this program's identity `roles/cloudtasks.enqueuer` on the queue, and \
             `roles/iam.serviceAccountUser` on the service account of `SLUICE_INVOKER`",
    missing: "look at `SLUICE_QUEUE`: it is `projects/P/locations/L/queues/Q`",
};

/// Seconds that a service may take to answer: the most that Cloud Tasks waits for.
const DEADLINE: i64 = 30 * 60;

/// The queue that calls wait in, and the services that they call.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct QueueConfig {
    /// `SLUICE_QUEUE`: its name, like `projects/P/locations/L/queues/Q`.
    pub sluice_queue: String,
    /// `SLUICE_LOADER_URL`: the loader's URL.
    pub sluice_loader_url: String,
    /// `SLUICE_PLANNER_URL`: the planner's URL; not needed by a program that never asks for a plan.
    pub sluice_planner_url: Option<String>,
    /// `SLUICE_INVOKER`: email of the service account that the calls are made as.
    pub sluice_invoker: String,
}

impl QueueConfig {
    /// Reads the environment.
    pub fn from_env() -> Result<Self> {
        Self::if_set()?.ok_or_else(|| {
            Error::invalid("read the queue's settings: they are not set").hint(
                "set `SLUICE_QUEUE`, `SLUICE_LOADER_URL`, `SLUICE_INVOKER` and, for a service, \
                 `SLUICE_PLANNER_URL`",
            )
        })
    }

    /// Reads the environment; `None` if it names no queue.
    ///
    /// # Errors
    /// `Invalid` if it sets only some of the variables.
    pub fn if_set() -> Result<Option<Self>> {
        let what = || "read the queue's settings";
        let typed: Typed = envy::prefixed(PREFIX).from_env().doing(Kind::Invalid, what)?;
        typed.meaning()
    }
}

/// Prefix of our variables' names.
const PREFIX: &str = "SLUICE_";

/// The same settings, unchecked.
#[derive(Debug, Default, Deserialize)]
struct Typed {
    queue: Option<String>,
    loader_url: Option<String>,
    planner_url: Option<String>,
    invoker: Option<String>,
}

impl Typed {
    fn meaning(self) -> Result<Option<QueueConfig>> {
        let set = |typed: Option<String>| typed.filter(|typed| !typed.is_empty());
        let planner = set(self.planner_url);
        let parts = (set(self.queue), set(self.loader_url), set(self.invoker));
        match parts {
            (Some(queue), Some(loader), Some(invoker)) => Ok(Some(QueueConfig {
                sluice_queue: queue,
                sluice_loader_url: loader,
                sluice_planner_url: planner,
                sluice_invoker: invoker,
            })),
            (None, None, None) => Ok(None),
            _ => Err(Error::invalid("read the queue's settings: some are not set")
                .hint("`SLUICE_QUEUE`, `SLUICE_LOADER_URL` and `SLUICE_INVOKER` belong together")),
        }
    }
}

/// A queue of Cloud Tasks.
///
/// A check is a `POST` of `{"name": ".."}` to `/runs/<run>/check` of the loader, a request for a
/// plan one to `/runs/<run>/plan` of the planner. Each carries a token of the invoker for the
/// service's URL.
#[derive(Debug, Clone)]
pub struct CloudTasks {
    queue: QueueConfig,
    tasks: client::CloudTasks,
}

impl CloudTasks {
    /// The queue of these settings.
    pub async fn new(endpoints: &Endpoints, queue: &QueueConfig) -> Result<Self> {
        check_name(&queue.sluice_queue, &["locations", "queues"], "SLUICE_QUEUE")?;
        let endpoint = endpoints.tasks();
        let tasks = client::CloudTasks::builder()
            .with_endpoint(endpoint.url())
            .with_credentials(endpoint.credentials()?)
            .with_retry_throttler(unhindered())
            .build()
            .await
            .doing(Kind::Denied, || "make a client of Cloud Tasks")?;
        Ok(Self { queue: queue.clone(), tasks })
    }

    /// Adds a call of `<service>/runs/<run>/<verb>` to the queue.
    async fn call(&self, service: &str, verb: &str, check: &Check) -> Result<()> {
        let Check { run, name, after } = check;
        let what = || format!("ask for `{name}` of run `{run}`");
        let service = service.trim_end_matches('/');
        let token = OidcToken::new()
            .set_service_account_email(&self.queue.sluice_invoker)
            .set_audience(service);
        let request = HttpRequest::new()
            .set_url(format!("{service}/runs/{run}/{verb}"))
            .set_http_method(HttpMethod::Post)
            .set_headers([("Content-Type", "application/json")])
            .set_body(json!({ "name": name }).to_string())
            .set_oidc_token(token);
        let mut task = Task::new()
            .set_name(format!("{}/tasks/{}", self.queue.sluice_queue, task_name(*run, name)))
            .set_dispatch_deadline(Duration::clamp(DEADLINE, 0))
            .set_http_request(request);
        if !after.is_zero() {
            let due = TimeDelta::from_std(*after)
                .ok()
                .and_then(|after| Utc::now().checked_add_signed(after))
                .ok_or_else(|| Error::bug(format!("{}: that is too late", what())))?;
            let nanos = due.timestamp_subsec_nanos().cast_signed();
            task = task.set_schedule_time(Timestamp::clamp(due.timestamp(), nanos));
        }
        let created = self
            .tasks
            .create_task()
            .set_parent(&self.queue.sluice_queue)
            .set_task(task)
            // If a task of this name exists already, it is the one that is asked for.
            .with_idempotency(true)
            .with_attempt_timeout(ATTEMPT)
            .with_retry_policy(repeated())
            .send()
            .await;
        match created {
            Ok(_) => Ok(()),
            Err(refused) if kind_of(&refused) == Kind::Conflict => Ok(()),
            Err(refused) => Err(REMEDY.error(what(), refused)),
        }
    }
}

#[async_trait]
impl Checks for CloudTasks {
    async fn ask(&self, check: &Check) -> Result<()> {
        self.call(&self.queue.sluice_loader_url, "check", check).await
    }

    async fn ask_for_plan(&self, run: RunId) -> Result<()> {
        let Some(planner) = &self.queue.sluice_planner_url else {
            return Err(Error::invalid(format!(
                "ask for the plan of run `{run}`: no planner is set"
            ))
            .hint("set `SLUICE_PLANNER_URL`"));
        };
        let check = Check { run, name: "plan".into(), after: std::time::Duration::ZERO };
        self.call(planner, "plan", &check).await
    }
}

/// A task's name in its queue. A hash comes first: Cloud Tasks keeps names that share a beginning
/// in one place, and is slow with many of them
/// (<https://cloud.google.com/tasks/docs/reference/rest/v2/projects.locations.queues.tasks/create>).
fn task_name(run: RunId, name: &str) -> String {
    let rest = format!("{run}-{name}");
    let hash = Sha256::digest(rest.as_bytes());
    let mut whole = hash.iter().take(4).fold(String::new(), |mut hash, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hash, "{byte:02x}");
        hash
    });
    whole.push('-');
    whole.push_str(&rest);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(pairs: &[(&str, &str)]) -> Result<Option<QueueConfig>> {
        let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        envy::prefixed(PREFIX).from_iter::<_, Typed>(pairs).unwrap().meaning()
    }

    #[test]
    fn a_queue_is_named_wholly_or_not_at_all() {
        let whole = [("SLUICE_QUEUE", "q"), ("SLUICE_LOADER_URL", "l"), ("SLUICE_INVOKER", "i")];
        let config = typed(&whole).unwrap().unwrap();
        assert_eq!((config.sluice_queue.as_str(), config.sluice_planner_url), ("q", None));
        assert_eq!(typed(&[("SLUICE_PLANNER_URL", "p"), ("SLUICE_QUEUE", "")]).unwrap(), None);
        assert_eq!(typed(&whole[..2]).unwrap_err().kind(), Kind::Invalid);
    }

    #[test]
    fn a_tasks_name_begins_with_a_hash_and_stays_the_same() {
        let run = "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90".parse().unwrap();
        let name = task_name(run, "sweep-1");
        assert!(name.ends_with("-0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90-sweep-1"), "{name}");
        assert_eq!(name, task_name(run, "sweep-1"));
        assert_ne!(name[..8], task_name(run, "sweep-2")[..8]);
        assert!(name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
    }
}
