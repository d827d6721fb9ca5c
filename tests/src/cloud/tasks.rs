//! A stand-in for Cloud Tasks: a queue whose tasks are calls over HTTP, made when they are due and
//! repeated until they are answered with success.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::delivery::{Addresses, Weather, bearer, pause};
use super::execution::stamp;
use super::{LOCATION, PROJECT, Server, Trouble, Troubles, problem};

/// A stand-in for Cloud Tasks with one queue.
#[derive(Debug)]
pub struct CloudTasks {
    inner: Arc<Inner>,
    server: Server,
}

#[derive(Debug)]
struct Inner {
    queue: String,
    /// Tasks by their full names. A name stays taken after its task is done.
    tasks: Mutex<HashMap<String, Delivered>>,
    troubles: Troubles,
    weather: Weather,
    work: Mutex<JoinSet<()>>,
    addresses: Addresses,
    client: reqwest::Client,
}

/// What has happened to a task so far.
#[derive(Debug, Clone, Default)]
pub struct Delivered {
    /// The task as the API shows it.
    pub task: Value,
    /// The status of each answer, oldest first; 0 for a call without an answer.
    pub answers: Vec<u16>,
}

impl CloudTasks {
    /// Starts a stand-in with the queue `name`.
    pub async fn start(name: &str) -> Self {
        Self::calling(name, Addresses::default()).await
    }

    /// The same, with calls that arrive at these addresses.
    pub async fn calling(name: &str, addresses: Addresses) -> Self {
        let inner = Arc::new(Inner {
            queue: format!("projects/{PROJECT}/locations/{LOCATION}/queues/{name}"),
            tasks: Mutex::default(),
            troubles: Troubles::default(),
            weather: Weather::default(),
            work: Mutex::default(),
            addresses,
            client: reqwest::Client::new(),
        });
        let path = "/v2/projects/{project}/locations/{location}/queues/{queue}/tasks";
        let router = Router::new().route(path, post(create)).with_state(Arc::clone(&inner));
        Self { inner, server: Server::start(router).await }
    }

    /// The stand-in's URL, for `SLUICE_TASKS_ENDPOINT`.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// The queue's full name, for `SLUICE_QUEUE`.
    pub fn queue(&self) -> &str {
        &self.inner.queue
    }

    /// Makes the next calls to the API go wrong.
    pub fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.inner.troubles.add(troubles);
    }

    /// What happens to deliveries. Each has the name of its task.
    pub fn weather(&self) -> &Weather {
        &self.inner.weather
    }

    /// Every task whose name holds `part`, by its name in the queue.
    pub fn tasks(&self, part: &str) -> HashMap<String, Delivered> {
        let tasks = self.inner.tasks.lock().expect("no thread panicked");
        let short = |name: &str| name.rsplit('/').next().unwrap_or_default().to_owned();
        let all = tasks.iter().map(|(name, task)| (short(name), task.clone()));
        all.filter(|(name, _)| name.contains(part)).collect()
    }
}

/// The body of `tasks.create`.
#[derive(Debug, Deserialize)]
struct Create {
    task: Value,
}

async fn create(
    State(inner): State<Arc<Inner>>,
    Path((project, location, queue)): Path<(String, String, String)>,
    axum::Json(Create { task }): axum::Json<Create>,
) -> Response {
    let parent = format!("projects/{project}/locations/{location}/queues/{queue}");
    inner.troubles.answer(|| {
        if parent != inner.queue {
            return problem(404, "NOT_FOUND", "Queue does not exist.");
        }
        match admit(&inner, task) {
            Ok(task) => axum::Json(task).into_response(),
            Err((code, status, message)) => problem(code, status, &message),
        }
    })
}

/// The code, status and message of a refusal.
type Refusal = (u16, &'static str, String);

/// Adds a task to the queue, and returns it as it is then.
fn admit(inner: &Arc<Inner>, mut task: Value) -> Result<Value, Refusal> {
    let invalid = |why: String| (400, "INVALID_ARGUMENT", why);
    let call = Call::read(&task).map_err(invalid)?;
    let mut tasks = inner.tasks.lock().expect("no thread panicked");
    let below = format!("{}/tasks/", inner.queue);
    let name = match task["name"].as_str() {
        None | Some("") => format!("{below}{:020}", tasks.len()),
        Some(name) => name.to_owned(),
    };
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    match name.strip_prefix(&below) {
        Some(id) if (1..=500).contains(&id.len()) && id.bytes().all(known) => {}
        _ => return Err(invalid("Task name must be formatted: \".../tasks/<TASK_ID>\"".into())),
    }
    if tasks.contains_key(&name) {
        return Err((409, "ALREADY_EXISTS", "Requested entity already exists".into()));
    }
    task["name"] = name.as_str().into();
    task["createTime"] = stamp(Utc::now()).into();
    task["scheduleTime"] = stamp(call.due).into();
    task["view"] = "BASIC".into();
    tasks.insert(name.clone(), Delivered { task: task.clone(), answers: Vec::new() });
    let work = Arc::clone(inner).deliver(name, call);
    inner.work.lock().expect("no thread panicked").spawn(work);
    Ok(task)
}

/// A call to make.
#[derive(Debug)]
struct Call {
    url: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
    authorization: Option<String>,
    due: DateTime<Utc>,
    deadline: Duration,
}

impl Call {
    fn read(task: &Value) -> Result<Self, String> {
        let request = &task["httpRequest"];
        let url = request["url"].as_str().ok_or("httpRequest.url is missing")?.to_owned();
        // The method may be the enumeration's name or its number.
        if !matches!(&request["httpMethod"], Value::Null)
            && request["httpMethod"] != "POST"
            && request["httpMethod"] != 1
        {
            return Err("this stand-in calls with POST alone".into());
        }
        let body = STANDARD.decode(request["body"].as_str().unwrap_or_default());
        let token = &request["oidcToken"];
        let audience = token["audience"].as_str().unwrap_or(&url);
        let due = match task["scheduleTime"].as_str() {
            None => Utc::now(),
            Some(text) => DateTime::parse_from_rfc3339(text)
                .map_err(|error| format!("scheduleTime: {error}"))?
                .to_utc(),
        };
        let seconds = match task["dispatchDeadline"].as_str() {
            None => 600,
            Some(text) => text
                .strip_suffix('s')
                .and_then(|text| text.parse().ok())
                .filter(|seconds| (15..=1800).contains(seconds))
                .ok_or("dispatchDeadline must be in [15s, 1800s]")?,
        };
        Ok(Self {
            headers: serde_json::from_value(request["headers"].clone()).unwrap_or_default(),
            body: body.map_err(|error| format!("httpRequest.body: {error}"))?,
            authorization: token["serviceAccountEmail"]
                .as_str()
                .map(|email| bearer(email, audience)),
            url,
            due,
            deadline: Duration::from_secs(seconds),
        })
    }
}

impl Inner {
    async fn deliver(self: Arc<Self>, name: String, call: Call) {
        let wait = (call.due - Utc::now()).to_std().unwrap_or_default();
        tokio::time::sleep(wait).await;
        let copies = self.weather.copies(&name).await;
        let copies = (0..copies).map(|_| self.call_until_answered(&name, &call));
        futures::future::join_all(copies).await;
    }

    async fn call_until_answered(&self, name: &str, call: &Call) {
        let (mut retries, mut executions) = (0, 0);
        let mut previous: Option<String> = None;
        loop {
            let headers = json!({
                "X-CloudTasks-QueueName": self.queue.rsplit('/').next(),
                "X-CloudTasks-TaskName": name.rsplit('/').next(),
                "X-CloudTasks-TaskRetryCount": retries.to_string(),
                "X-CloudTasks-TaskExecutionCount": executions.to_string(),
                "X-CloudTasks-TaskETA": format!("{}", call.due.timestamp()),
            });
            let headers = headers.as_object().into_iter().flatten();
            let mut request = self.client.post(self.addresses.of(&call.url)).timeout(call.deadline);
            request = request.header("User-Agent", "Google-Cloud-Tasks").body(call.body.clone());
            for (name, value) in &call.headers {
                request = request.header(name, value);
            }
            for (name, value) in headers {
                request = request.header(name, value.as_str().unwrap_or_default());
            }
            if let Some(status) = &previous {
                request = request.header("X-CloudTasks-TaskPreviousResponse", status);
            }
            if let Some(bearer) = &call.authorization {
                request = request.header("Authorization", bearer);
            }
            let status = request.send().await.map_or(0, |response| response.status().as_u16());
            if let Some(task) = self.tasks.lock().expect("no thread panicked").get_mut(name) {
                task.answers.push(status);
            }
            match status {
                200..=299 => return,
                0 => {}
                _ => {
                    executions += 1;
                    previous = Some(status.to_string());
                }
            }
            retries += 1;
            tokio::time::sleep(pause(retries)).await;
        }
    }
}
