//! Jobs of Dataflow: a Flex Template is launched, looked at, and cancelled.
//!
//! What is promised to callers:
//! - **One at a time.** At most one job of a name is at work. A launch of a name that is at work starts
//!   nothing, and says so. A name whose job has ended can be launched again, so callers decide by a
//!   document who launches.
//! - **No waiting.** A job works by itself: it is launched, and then looked at.
//! - **No retries.** An error of kind `Transient` says that the caller may repeat the call. After one,
//!   a launch may have started a job all the same: [`Dataflow::find`] finds it.
//!
//! <https://cloud.google.com/dataflow/docs/reference/rest>

mod settings;
#[cfg(test)]
mod tests;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_contracts::documents::DataflowWorkers;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

use super::Endpoint;
use super::bigquery::AccessTokens;

pub use settings::{DataflowSettings, DataflowThreshold};

/// How long one call may take.
const CALL: Duration = Duration::from_mins(1);
/// Most messages of a job that are shown.
const MESSAGES: usize = 3;

const LAUNCH: &str = "grant this identity `roles/dataflow.developer` on the project, and \
                      `roles/iam.serviceAccountUser` on the account of the workers; the API \
                      `dataflow.googleapis.com` has to be enabled";
const MISSING: &str = "look at `SLUICE_DATAFLOW_TEMPLATE`, the `gs://` URL of the Flex Template, and at \
                       `SLUICE_DATAFLOW_LOCATION`, which is `projects/P/locations/R`";

/// The jobs of one project and region, all of one template.
#[derive(Debug, Clone)]
pub struct Dataflow {
    http: reqwest::Client,
    tokens: AccessTokens,
    url: String,
    settings: DataflowSettings,
}

/// What a job is launched with.
#[derive(Debug, Clone, Copy)]
pub struct DataflowJobRequest<'a> {
    /// Its name: lowercase letters, digits and `-`.
    pub name: &'a str,
    /// URL of the document that says what it is to do.
    pub order: &'a str,
    /// URL of the folder for what it keeps while it works.
    pub temp: &'a str,
    /// Its workers.
    pub workers: &'a DataflowWorkers,
    /// The run that it belongs to, for its label.
    pub run: &'a str,
}

/// What became of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Launched {
    /// A job was started.
    Started,
    /// A job of that name is at work already.
    IsAtWork,
}

/// A job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataflowJob {
    /// Its id.
    pub id: String,
    /// How far it is.
    pub state: DataflowState,
    /// Where a person looks at it.
    pub page: String,
}

/// How far a job is.
/// <https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.jobs#jobstate>
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DataflowState {
    /// It has not ended.
    AtWork,
    /// It has done what it was asked for.
    Done,
    /// It failed.
    Failed,
    /// A person, or Sluice, has cancelled it.
    Cancelled,
    /// A person has drained it, so that rows may be missing.
    Drained,
    /// A person has replaced it by another job.
    Updated,
}

impl DataflowState {
    fn of(state: &str) -> Self {
        match state {
            "JOB_STATE_DONE" => Self::Done,
            "JOB_STATE_FAILED" => Self::Failed,
            "JOB_STATE_CANCELLED" => Self::Cancelled,
            "JOB_STATE_DRAINED" => Self::Drained,
            "JOB_STATE_UPDATED" => Self::Updated,
            // A state that is not known is not taken for an end.
            _ => Self::AtWork,
        }
    }

    /// What happened to a job that did not do what it was asked for.
    pub fn in_words(self) -> &'static str {
        match self {
            Self::AtWork => "is at work",
            Self::Done => "is done",
            Self::Failed => "failed",
            Self::Cancelled => "was cancelled",
            Self::Drained => "was drained, so that rows may be missing",
            Self::Updated => "was replaced by another job",
        }
    }
}

/// A job as the API describes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JobAnswer {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    current_state: String,
    create_time: Option<DateTime<Utc>>,
}

/// A call that was refused.
struct Refusal {
    code: u16,
    message: String,
}

impl Dataflow {
    /// The jobs that the settings name, by Dataflow at `endpoint`. Makes no call yet.
    pub fn new(endpoint: &Endpoint, settings: DataflowSettings) -> Result<Self> {
        let what = || "make a client of Dataflow";
        Ok(Self {
            http: reqwest::Client::builder().timeout(CALL).build().doing(Kind::Denied, what)?,
            tokens: AccessTokens(endpoint.credentials()?),
            url: format!("{}/v1b3/{}", endpoint.url(), settings.place()),
            settings,
        })
    }

    /// The settings.
    pub fn settings(&self) -> &DataflowSettings {
        &self.settings
    }

    /// Launches a job.
    ///
    /// # Errors
    /// `Transient` if it may have been launched; any other if it was not, and never will be like this.
    pub async fn launch(&self, job: &DataflowJobRequest<'_>) -> Result<Launched> {
        let body = launch_body(&self.settings, job);
        match self.call(reqwest::Method::POST, "/flexTemplates:launch", Some(&body)).await? {
            Ok(_) => Ok(Launched::Started),
            Err(Refusal { code: 409, .. }) => Ok(Launched::IsAtWork),
            Err(refusal) => Err(refusal.during(format!("launch Dataflow job `{}`", job.name))),
        }
    }

    /// The job of a name: the one at work, or else the newest. `None` if no job has had that name.
    pub async fn find(&self, name: &str) -> Result<Option<DataflowJob>> {
        let what = || format!("look for Dataflow job `{name}`");
        let mut found: Vec<JobAnswer> = Vec::new();
        let mut page = String::new();
        loop {
            let path = format!("/jobs?name={name}{page}");
            let answer = self.call(reqwest::Method::GET, &path, None).await?;
            let answer = answer.map_err(|refusal| refusal.during(what()))?;
            let jobs = answer.get("jobs").cloned().unwrap_or_else(|| json!([]));
            let jobs: Vec<JobAnswer> = serde_json::from_value(jobs).doing(Kind::Transient, what)?;
            found.extend(jobs.into_iter().filter(|job| job.name == name));
            match answer["nextPageToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => {
                    let token: String =
                        url::form_urlencoded::byte_serialize(token.as_bytes()).collect();
                    page = format!("&pageToken={token}");
                }
                None => break,
            }
        }
        let job = found.into_iter().max_by_key(|job| {
            (DataflowState::of(&job.current_state) == DataflowState::AtWork, job.create_time)
        });
        Ok(job.map(|job| DataflowJob {
            state: DataflowState::of(&job.current_state),
            page: self.settings.page_of(&job.id),
            id: job.id,
        }))
    }

    /// The first messages of the errors of a job, the earliest first.
    pub async fn errors(&self, job: &DataflowJob) -> Result<Vec<String>> {
        let path = format!("/jobs/{}/messages?minimumImportance=JOB_MESSAGE_ERROR", job.id);
        let answer = self.call(reqwest::Method::GET, &path, None).await?;
        let answer = answer.map_err(|refusal| {
            refusal.during(format!("read the messages of Dataflow job `{}`", job.id))
        })?;
        let messages = answer["jobMessages"].as_array();
        let text = |message: &Value| message["messageText"].as_str().map(str::to_owned);
        Ok(messages.into_iter().flatten().filter_map(text).take(MESSAGES).collect())
    }

    /// Asks for the end of a job. It goes on for some seconds or minutes. Does nothing to a job that has
    /// ended.
    pub async fn cancel(&self, job: &DataflowJob) -> Result<()> {
        let body = json!({"requestedState": "JOB_STATE_CANCELLED"});
        let path = format!("/jobs/{}", job.id);
        match self.call(reqwest::Method::PUT, &path, Some(&body)).await? {
            // A job that has ended meanwhile, or is not ready yet to be cancelled, is refused with 400: the
            // next look tells.
            Ok(_) | Err(Refusal { code: 400, .. }) => Ok(()),
            Err(refusal) => Err(refusal.during(format!("cancel Dataflow job `{}`", job.id))),
        }
    }

    /// # Errors
    /// The outer error if there is no access token or no answer.
    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Result<Value, Refusal>> {
        let what = || "call Dataflow";
        let token = self.tokens.token().await?;
        let mut request =
            self.http.request(method, format!("{}{path}", self.url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let sent = request.send().await.map_err(reqwest::Error::without_url);
        let response = sent.doing(Kind::Transient, what)?;
        let status = response.status();
        let answer = response.json::<Value>().await.map_err(reqwest::Error::without_url);
        if status.is_success() {
            return Ok(Ok(answer.doing(Kind::Transient, what)?));
        }
        // A proxy in front of Dataflow answers in HTML.
        let message =
            answer.ok().and_then(|answer| answer["error"]["message"].as_str().map(str::to_owned));
        let message =
            message.unwrap_or_else(|| status.canonical_reason().unwrap_or_default().to_owned());
        Ok(Err(Refusal { code: status.as_u16(), message }))
    }
}

impl Refusal {
    fn during(self, what: String) -> Error {
        let (kind, hint) = match self.code {
            401 | 403 => (Kind::Denied, Some(LAUNCH)),
            404 => (Kind::NotFound, Some(MISSING)),
            408 | 429 | 500.. => (Kind::Transient, None),
            _ => (Kind::Invalid, Some(MISSING)),
        };
        let Self { code, message } = self;
        let error = Error::new(kind, what).because(format!("Dataflow answered {code}: {message}"));
        match hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

/// What a template is launched with.
/// <https://cloud.google.com/dataflow/docs/reference/rest/v1b3/projects.locations.flexTemplates/launch>
fn launch_body(settings: &DataflowSettings, job: &DataflowJobRequest<'_>) -> Value {
    let mut environment = json!({
        "tempLocation": job.temp,
        "stagingLocation": job.temp,
        "machineType": job.workers.machine_type,
        "numWorkers": job.workers.workers,
        "maxWorkers": job.workers.max_workers,
        "additionalUserLabels": {"sluice_run": job.run},
    });
    if let Some(account) = &settings.account {
        environment["serviceAccountEmail"] = account.as_str().into();
    }
    if let Some(subnetwork) = &settings.subnetwork {
        environment["subnetwork"] = subnetwork.as_str().into();
        environment["ipConfiguration"] = "WORKER_IP_PRIVATE".into();
    }
    if job.workers.flexrs {
        environment["flexrsGoal"] = "FLEXRS_COST_OPTIMIZED".into();
    }
    json!({"launchParameter": {
        "jobName": job.name,
        "containerSpecGcsPath": settings.template,
        "parameters": {"order": job.order},
        "environment": environment,
    }})
}
