//! The requests that the service answers.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde_json::json;
use sluice_contracts::documents::RunId;
use sluice_contracts::{Error, Kind};
use sluice_runtime::http::Problem;

use crate::reconcile::{Loader, RunState};
use crate::signals::run_of_message;

/// Most bytes of a body. A message of Pub/Sub has ten million at most, and grows by a third in
/// base64: one that is refused for its size would be delivered again forever.
const BODY: usize = 16 << 20;

/// Answers what Cloud Tasks and Pub/Sub send. Callers are checked before.
///
/// Both deliver again whatever is not answered with success. So only an error that may not occur
/// the next time is answered with 503, and everything else with 200, an error as a problem in the
/// body.
pub fn router(service: Arc<Loader>) -> Router {
    Router::new()
        .route("/runs/{run}/check", post(check))
        .route("/runs/{run}/load", post(load))
        .route("/executions", post(execution))
        .layer(DefaultBodyLimit::max(BODY))
        .with_state(service)
}

/// Says that the service is up, without a check of the caller.
pub fn health() -> Router {
    Router::new().route("/healthz", get(async || "ok\n"))
}

async fn check(State(service): State<Arc<Loader>>, Path(run): Path<String>) -> Response {
    match run.parse() {
        Ok(run) => answer(&service, run).await,
        Err(error) => acknowledge(error),
    }
}

/// A person calls it, so that an error is answered as one: nobody delivers it again.
async fn load(State(service): State<Arc<Loader>>, Path(run): Path<String>) -> Response {
    let loaded = async {
        let run: RunId = run.parse()?;
        match service.load_again(run, Utc::now()).await? {
            RunState::Unknown => Err(unknown(run)),
            state => Ok(Json(json!({"run": run, "state": state.name()})).into_response()),
        }
    };
    loaded.await.unwrap_or_else(|error: Error| Problem(error).into_response())
}

async fn execution(State(service): State<Arc<Loader>>, body: Bytes) -> Response {
    match run_of_message(&body, &service.bucket) {
        Ok(Some(run)) => answer(&service, run).await,
        Ok(None) => Json(json!({"ignored": "not about a run of this bucket"})).into_response(),
        Err(error) => acknowledge(error),
    }
}

async fn answer(service: &Loader, run: RunId) -> Response {
    match service.check(run, Utc::now()).await {
        Ok(RunState::Unknown) => acknowledge(unknown(run)),
        Ok(state) => Json(json!({"run": run, "state": state.name()})).into_response(),
        Err(error) if error.is_transient() => Problem(error).into_response(),
        Err(error) => acknowledge(error),
    }
}

fn unknown(run: RunId) -> Error {
    Error::not_found(format!("find run `{run}`")).hint("look at the run id and the bucket")
}

/// Accepts a message that would be delivered again in vain.
fn acknowledge(error: Error) -> Response {
    let text = error.chain();
    match error.kind() {
        Kind::Invalid | Kind::NotFound => tracing::warn!(error = text, "ignored a message"),
        _ => tracing::error!(error = text, hint = error.remedy(), "could not check a run"),
    }
    Problem(error).under(StatusCode::OK)
}
