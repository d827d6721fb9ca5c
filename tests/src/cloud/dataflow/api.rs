//! How the stand-in for Dataflow answers calls.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Query, State as Shared};
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::discovery::Call;
use super::{Entry, Inner, Job, State};
use crate::cloud::{LOCATION, PROJECT, problem};

/// What the Flex Template says of its parameters. In the cloud, it lies in the file that a launch
/// names.
const METADATA: &str = include_str!("../../../../dataflow/metadata.json");

/// Why a call is refused: the status as a number and as a name, and a message.
type Refusal = (u16, &'static str, String);

type Parameters = BTreeMap<String, String>;

/// Answers every call. Paths contain `name:verb`, which the router cannot split.
pub(super) async fn answer(
    Shared(inner): Shared<Arc<Inner>>,
    method: Method,
    uri: Uri,
    Query(query): Query<Parameters>,
    body: Bytes,
) -> Response {
    inner.troubles.answer(|| match carry_out(&inner, &method, uri.path(), &query, &body) {
        Ok(answer) => axum::Json(answer).into_response(),
        Err((code, status, message)) => problem(code, status, &message),
    })
}

fn carry_out(
    inner: &Arc<Inner>,
    method: &Method,
    path: &str,
    query: &Parameters,
    body: &[u8],
) -> Result<Value, Refusal> {
    let call = Call::find(method, path).ok_or_else(|| missing(path))?;
    if call.parameter("projectId") != PROJECT {
        return Err((403, "PERMISSION_DENIED", format!("`{path}` is another project's")));
    }
    if ![LOCATION, ""].contains(&call.parameter("location")) {
        return Err(missing(path));
    }
    let body = if body.is_empty() { json!({}) } else { json(body)? };
    let unknown = call.unknown(query, &body);
    if !unknown.is_empty() {
        return Err(invalid(format!("Invalid JSON payload received. {}", unknown.join(", "))));
    }
    let id = call.parameter("jobId");
    let job = || inner.find(id).ok_or_else(|| missing(id));
    let answer = match call.name {
        "locations.flexTemplates.launch" => launch(inner, &body)?,
        "locations.jobs.get" => job()?.shown(),
        "locations.jobs.update" => update(inner, &job()?, &body)?,
        "locations.jobs.messages.list" => {
            let least = query.get("minimumImportance").map_or("", String::as_str);
            let only_errors = ["JOB_MESSAGE_WARNING", "JOB_MESSAGE_ERROR"].contains(&least);
            page("jobMessages", job()?.messages(only_errors), query)
        }
        _ => page("jobs", list(inner, query), query),
    };
    call.require_known(&answer);
    Ok(answer)
}

fn launch(inner: &Arc<Inner>, body: &Value) -> Result<Value, Refusal> {
    let launch = &body["launchParameter"];
    let name = launch["jobName"].as_str().unwrap_or_default();
    if !is_name(name) {
        let rules = "it must consist of the characters [-a-z0-9], start with a letter, and end \
                     with a letter or a number";
        return Err(invalid(format!("The job name `{name}` is invalid: {rules}")));
    }
    let template = launch["containerSpecGcsPath"].as_str().unwrap_or_default();
    if !template.starts_with("gs://") {
        return Err(invalid(format!("`{template}` is not the URL of a template")));
    }
    require_parameters(&launch["parameters"])?;
    if body["validateOnly"] == true {
        return Ok(json!({}));
    }
    let mut entries = inner.entries();
    if entries.iter().any(|entry| entry.job.name == name && !entry.job.state.has_ended()) {
        let message = format!(
            "There is already an active job named {name}. If you want to submit a second job, try \
             again by setting a different name."
        );
        return Err((409, "ALREADY_EXISTS", message));
    }
    let job = Job::new(name.to_owned(), body.clone(), entries.len());
    let answer = json!({"job": job.as_launched()});
    let demanded = watch::Sender::new(None);
    let work =
        Arc::clone(inner).carry_out(job.id.clone(), job.order().to_owned(), demanded.subscribe());
    entries.push(Entry { job, demanded, work: tokio::spawn(work) });
    Ok(answer)
}

fn is_name(name: &str) -> bool {
    let is_usual = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    let begins_well = name.starts_with(|first: char| first.is_ascii_lowercase());
    is_usual && begins_well && !name.ends_with('-') && name.len() <= 1_024
}

/// Requires the parameters of the Flex Template, and no others.
fn require_parameters(typed: &Value) -> Result<(), Refusal> {
    let metadata: Value = serde_json::from_str(METADATA).expect("the file is JSON");
    let known = metadata["parameters"].as_array().expect("the template has parameters");
    for parameter in known {
        let name = parameter["name"].as_str().unwrap_or_default();
        if parameter["isOptional"] == false && typed[name].is_null() {
            let message = "The template parameters are invalid.";
            return Err(invalid(format!("{message} {name}: Missing required parameter")));
        }
    }
    for name in typed.as_object().into_iter().flat_map(serde_json::Map::keys) {
        if known.iter().all(|parameter| parameter["name"] != *name) {
            let message = "The template parameters are invalid.";
            return Err(invalid(format!("{message} {name}: Unrecognized parameter")));
        }
    }
    Ok(())
}

/// Cancels a job; that is the only change that a batch job knows.
fn update(inner: &Inner, job: &Job, body: &Value) -> Result<Value, Refusal> {
    let requested = &body["requestedState"];
    if job.state.has_ended() {
        let message = format!("Job has terminated in state {}.", job.state.name());
        return Err((400, "FAILED_PRECONDITION", message));
    }
    if *requested != State::Cancelled.name() {
        return Err(invalid(format!("a batch job cannot be brought to state {requested}")));
    }
    inner.change(&job.id, |job| {
        if !job.state.has_ended() {
            job.enter(State::Cancelling);
        }
    });
    inner.demand(&job.id, State::Cancelled);
    let mut answer = inner.find(&job.id).map_or(Value::Null, |job| job.shown());
    answer["requestedState"] = requested.clone();
    Ok(answer)
}

/// The jobs that the query asks for: those that are active first, and the newest of both first.
fn list(inner: &Inner, query: &Parameters) -> Vec<Value> {
    let filter = query.get("filter").map_or("ALL", String::as_str);
    let mut jobs: Vec<Job> = inner
        .entries()
        .iter()
        .map(|entry| &entry.job)
        .filter(|job| query.get("name").is_none_or(|name| job.name == *name))
        .filter(|job| filter != if job.state.has_ended() { "ACTIVE" } else { "TERMINATED" })
        .cloned()
        .collect();
    jobs.sort_by_key(|job| {
        let has_ended = job.state.has_ended();
        (has_ended, Reverse(if has_ended { job.changed } else { job.created }))
    });
    jobs.iter().map(Job::shown).collect()
}

/// One page of a list. An empty list is left out of the answer.
fn page(name: &str, mut items: Vec<Value>, query: &Parameters) -> Value {
    let number = |key: &str| query.get(key).and_then(|text| text.parse::<usize>().ok());
    let mut rest = items.split_off(number("pageToken").unwrap_or_default().min(items.len()));
    let left = rest.split_off(number("pageSize").unwrap_or(rest.len()).min(rest.len()));
    let mut answer = json!({});
    if !left.is_empty() {
        answer["nextPageToken"] = (items.len() + rest.len()).to_string().into();
    }
    if !rest.is_empty() {
        answer[name] = rest.into();
    }
    answer
}

fn json(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| invalid(format!("the body is not JSON: {error}")))
}

fn invalid(message: String) -> Refusal {
    (400, "INVALID_ARGUMENT", message)
}

fn missing(name: &str) -> Refusal {
    let message = format!("Information about `{name}` could not be found in our system.");
    (404, "NOT_FOUND", message)
}
