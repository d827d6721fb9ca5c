//! The requests that the service answers.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Router};
use serde::Serialize;
use sluice_contracts::documents::RunId;
use sluice_contracts::store::Stage;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::http::{Caller, Callers, Problem, Traces};

use crate::request::RunRequest;
use crate::service::{Links, Planner, Turned};

/// Largest body of a request.
const LARGEST_BODY: usize = 1 << 20;

/// The service's addresses: callers are checked at all of them but `/healthz`.
pub fn router(service: Arc<Planner>, callers: Callers, traces: Traces) -> Router {
    let health = Router::new().route("/healthz", get(async || "ok\n"));
    traces.follow(callers.guard(api(service))).merge(health)
}

/// The addresses, without a check of callers.
pub(crate) fn api(service: Arc<Planner>) -> Router {
    Router::new()
        .route("/runs", post(call))
        .route("/pubsub", post(push))
        .route("/runs/{run}", get(status))
        .route("/runs/{run}/plan", post(plan))
        .fallback(nothing_here)
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(service)
}

type Body = Result<Bytes, BytesRejection>;

/// The answer to an accepted request.
#[derive(Serialize)]
struct Accepted {
    run: RunId,
    state: Stage,
    links: Links,
}

/// `POST /runs`: a run, asked for by a person, a program or Cloud Scheduler.
async fn call(
    State(service): State<Arc<Planner>>,
    caller: Option<Extension<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let request = whole(body).and_then(|body| RunRequest::from_call(&headers, &body));
    match accept(&service, request, caller).await {
        Ok(response) => response,
        Err(Turned::Wrong(error) | Turned::Away(error)) => Problem(error).into_response(),
    }
}

/// `POST /pubsub`: a run, asked for by a message. A wrong message is answered with success;
/// otherwise it would be delivered again and again.
async fn push(
    State(service): State<Arc<Planner>>,
    caller: Option<Extension<Caller>>,
    body: Body,
) -> Response {
    let request = whole(body).and_then(|body| RunRequest::from_push(&body));
    match accept(&service, request, caller).await {
        Ok(response) => response,
        Err(Turned::Wrong(error)) => drop_message(error),
        Err(Turned::Away(error)) => Problem(error).into_response(),
    }
}

async fn accept(
    service: &Planner,
    request: Result<RunRequest>,
    caller: Option<Extension<Caller>>,
) -> Result<Response, Turned> {
    let request = request.map_err(Turned::of_request)?;
    let caller = caller.map(|Extension(caller)| caller).unwrap_or_default();
    let (run, state) = service.accept(&request, &caller).await?;
    let accepted = Accepted { run, state, links: service.links(run) };
    Ok(json(StatusCode::ACCEPTED, &accepted))
}

/// `POST /runs/{run}/plan`: Cloud Tasks calls until it is answered with success.
async fn plan(State(service): State<Arc<Planner>>, Path(run): Path<String>) -> Response {
    let run = match run.parse::<RunId>() {
        Ok(run) => run,
        Err(error) => return drop_message(error),
    };
    match service.plan(run).await {
        Ok(true) => StatusCode::NO_CONTENT.into_response(),
        Ok(false) => {
            drop_message(Error::not_found(format!("find run `{run}`: no request asked for it")))
        }
        Err(error) => {
            let (error, problem) = (error.chain(), Problem(error));
            tracing::warn!(run = %run, error, "planning has to be tried again");
            problem.under(StatusCode::SERVICE_UNAVAILABLE)
        }
    }
}

/// `GET /runs/{run}`: the state of a run.
async fn status(
    State(service): State<Arc<Planner>>,
    Path(run): Path<String>,
) -> Result<Response, Problem> {
    let status = service.status(run.parse()?).await?;
    Ok(json(StatusCode::OK, &status))
}

async fn nothing_here(method: Method, uri: Uri) -> Problem {
    let error = Error::not_found(format!("find `{method} {}`", uri.path()));
    Problem(error.hint(
        "this service answers `POST /runs`, `POST /pubsub`, `GET /runs/<run>` and \
         `POST /runs/<run>/plan`",
    ))
}

fn whole(body: Body) -> Result<Bytes> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            Error::invalid("read the request: it is larger than 1 MiB")
                .hint("put the job file into the planner's folder, and send its name")
        }
        _ => Error::transient("read the request").because(rejection),
    })
}

/// Answers a problem with success, so that what led to it is not delivered again.
fn drop_message(error: Error) -> Response {
    let (why, hint) = (error.chain(), error.remedy());
    // Only the operator can allow more, and nobody else hears of it.
    if error.kind() == Kind::Denied {
        tracing::error!(error = why, hint, "dropped a message");
    } else {
        tracing::warn!(error = why, hint, "dropped a message");
    }
    Problem(error).under(StatusCode::OK)
}

fn json(status: StatusCode, document: &impl Serialize) -> Response {
    match serde_json::to_string_pretty(document) {
        Ok(text) => {
            (status, [(header::CONTENT_TYPE, "application/json")], text + "\n").into_response()
        }
        Err(source) => {
            Problem(Error::new(Kind::Bug, "write the answer").because(source)).into_response()
        }
    }
}
