//! What a planner answers, as a document or as our error.

use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use sluice_contracts::{Error, Kind, Result};

use super::Document;

/// The hint for a refused call of which nothing better is known.
const INVOKER: &str = "the caller needs `roles/run.invoker` on the planner's service; \
                       `SLUICE_TOKEN` may hold an identity token of a caller that has it";
const ANOTHER: &str = "look at the planner's URL: something else answers there";

/// An error as the planner answers it (RFC 9457).
#[derive(Debug, Deserialize)]
struct Problem {
    detail: String,
    kind: Option<Kind>,
    hint: Option<String>,
}

/// The answer to a job: what the planner refuses or does not find there is an error in the job.
pub(super) async fn to_submission(response: Response) -> Result<Document> {
    let status = response.status();
    read(response).await.map_err(|error| match status {
        StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY => invalid(&error),
        _ => error,
    })
}

/// The answer to a question about a run.
pub(super) async fn to_question(response: Response) -> Result<Document> {
    read(response).await
}

/// No answer at all.
pub(super) fn none(error: reqwest::Error) -> Error {
    let unreachable = error.is_connect();
    // The message would repeat the URL.
    let error = Error::transient("get an answer").because(error.without_url());
    if unreachable {
        return error.hint("look at the planner's URL, and whether this machine can reach it");
    }
    error
}

async fn read(response: Response) -> Result<Document> {
    let status = response.status();
    let body = response.bytes().await.map_err(none)?;
    if status.is_success() {
        return match serde_json::from_slice(&body) {
            Ok(Value::Object(document)) => Ok(document),
            _ => Err(Error::data("the answer is not one JSON object").hint(ANOTHER)),
        };
    }
    Err(match serde_json::from_slice(&body) {
        Ok(problem) => error_of(status, problem),
        Err(_) => untold(status),
    })
}

/// An error in the planner's own words.
fn error_of(status: StatusCode, problem: Problem) -> Error {
    let error = Error::new(problem.kind.unwrap_or_else(|| kind(status)), problem.detail);
    match problem.hint {
        Some(hint) => error.hint(hint),
        None if error.kind() == Kind::Denied => error.hint(INVOKER),
        None => error,
    }
}

/// An error from a server in front of the planner, or from something that is not a planner.
fn untold(status: StatusCode) -> Error {
    let error = Error::new(kind(status), format!("the answer is {status}"));
    match error.kind() {
        Kind::Denied => error.hint(INVOKER),
        Kind::Transient => error,
        _ => error.hint(ANOTHER),
    }
}

fn kind(status: StatusCode) -> Kind {
    match status.as_u16() {
        401 | 403 => Kind::Denied,
        404 => Kind::NotFound,
        409 => Kind::Conflict,
        408 | 429 | 500..=599 => Kind::Transient,
        422 => Kind::Invalid,
        _ => Kind::Data,
    }
}

fn invalid(error: &Error) -> Error {
    let invalid = Error::invalid(error.chain());
    match error.remedy() {
        Some(hint) => invalid.hint(hint.to_owned()),
        None => invalid,
    }
}
