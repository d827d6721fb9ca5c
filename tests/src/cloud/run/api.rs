//! How the stand-in for Cloud Run answers calls.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{Method, Uri};
use axum::response::{IntoResponse as _, Response};
use bytes::Bytes;
use serde_json::{Value, json};

use super::Inner;
use crate::cloud::execution::{Execution, stamp};
use crate::cloud::{LOCATION, PROJECT, problem};

/// Answers every call. Paths contain `name:verb`, which the router cannot split.
pub(super) async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let jobs = format!("projects/{PROJECT}/locations/{LOCATION}/jobs/");
    let path = uri.path().trim_start_matches('/');
    let first = path.strip_prefix(&format!("apis/run.googleapis.com/v1/namespaces/{PROJECT}/"));
    inner.troubles.answer(|| match (first, path.strip_prefix("v2/")) {
        (Some(below), _) => answer_v1(&inner, &method, below, &body),
        (None, Some(name)) => match name.strip_prefix(&jobs) {
            Some(below) => answer_v2(&inner, &method, below, &body),
            None => missing(name),
        },
        _ => missing(path),
    })
}

/// Answers a call of version 2. `path` is the part of the path after the collection of jobs.
fn answer_v2(inner: &Arc<Inner>, method: &Method, path: &str, body: &Value) -> Response {
    let (name, below) = path.split_at(path.find(['/', ':']).unwrap_or(path.len()));
    let Some(job) = inner.job(name) else { return missing(name) };
    if (method, below) == (&Method::POST, ":run") {
        return match inner.start(job, body) {
            Ok(execution) => operation(&execution.v2()),
            Err(message) => problem(400, "INVALID_ARGUMENT", &message),
        };
    }
    if (method, below) == (&Method::GET, "") {
        return axum::Json(job.v2()).into_response();
    }
    let name = below.strip_prefix("/executions/").unwrap_or_default();
    let (name, verb) = name.split_once(':').unwrap_or((name, ""));
    let own = inner.find(name).filter(|execution| execution.job.name == job.name);
    let Some(execution) = own else { return missing(name) };
    match (method.as_str(), verb) {
        ("GET", "") => axum::Json(execution.v2()).into_response(),
        ("POST", "cancel") => {
            cancel(inner, &execution).unwrap_or_else(|| operation(&execution.v2()))
        }
        _ => missing(below),
    }
}

/// Answers a call of version 1. `below` is the part of the path after the project.
fn answer_v1(inner: &Arc<Inner>, method: &Method, below: &str, body: &Value) -> Response {
    let (collection, name) = below.split_once('/').unwrap_or((below, ""));
    let (name, verb) = name.split_once(':').unwrap_or((name, ""));
    let shown = match (method.as_str(), collection, verb) {
        (_, "jobs", verb) => {
            let Some(job) = inner.job(name) else { return missing(name) };
            match (method.as_str(), verb) {
                ("GET", "") => job.v1(),
                ("POST", "run") => match inner.start(job, body) {
                    Ok(execution) => execution.v1(),
                    Err(message) => return problem(400, "INVALID_ARGUMENT", &message),
                },
                _ => return missing(below),
            }
        }
        ("GET", "executions", "") if name.is_empty() => {
            let entries = inner.entries();
            let all = entries.iter().map(|entry| entry.execution.v1());
            let kind = "ExecutionList";
            json!({"apiVersion": "run.googleapis.com/v1", "kind": kind, "metadata": {},
                "items": all.collect::<Vec<_>>()})
        }
        (_, "executions", verb) => {
            let Some(execution) = inner.find(name) else { return missing(name) };
            match (method.as_str(), verb) {
                ("GET", "") => execution.v1(),
                ("POST", "cancel") => match cancel(inner, &execution) {
                    None => execution.v1(),
                    Some(refused) => return refused,
                },
                _ => return missing(below),
            }
        }
        _ => return missing(below),
    };
    axum::Json(shown).into_response()
}

/// Cancels an execution. Returns an error answer if it cannot be cancelled.
fn cancel(inner: &Inner, execution: &Execution) -> Option<Response> {
    if let Some(at) = execution.completed {
        let message = format!("{} has completed at {}", execution.name, stamp(at));
        return Some(problem(400, "FAILED_PRECONDITION", &message));
    }
    for entry in inner.entries().iter() {
        if entry.execution.name == execution.name {
            entry.cancelled.send_replace(true);
        }
    }
    None
}

/// A long-running operation whose metadata is the execution.
fn operation(execution: &Value) -> Response {
    let mut metadata = execution.clone();
    metadata["@type"] = "type.googleapis.com/google.cloud.run.v2.Execution".into();
    let id = execution["uid"].as_str().unwrap_or_default();
    let name = format!("projects/{PROJECT}/locations/{LOCATION}/operations/{id}");
    axum::Json(json!({"name": name, "done": false, "metadata": metadata})).into_response()
}

fn missing(name: &str) -> Response {
    problem(404, "NOT_FOUND", &format!("Resource '{name}' of region '{LOCATION}' does not exist."))
}
