//! Google's services: real parts and emulators where they exist, small stand-ins where they do not
//! (Cloud Run's jobs, Dataflow, Cloud Tasks, the audit log), and what can go wrong on the way to
//! them. A stand-in does only what Sluice and `gcloud` ask of it.

pub mod bigquery;
pub mod clients;
pub mod conformance;
pub mod dataflow;
pub mod delivery;
pub mod deployed;
pub mod django;
pub mod events;
mod execution;
pub mod gateway;
pub mod metadata;
pub mod orders;
pub mod program;
pub mod pubsub;
pub mod run;
pub mod service;
mod sessions;
pub mod storage;
mod task;
pub mod tasks;
pub mod world;

use std::collections::VecDeque;
use std::sync::Mutex;

use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// The project of all resources, as in `tests/terraform/everything.tfvars`.
pub const PROJECT: &str = "shop-prod";

/// The region of all resources, as there.
pub const LOCATION: &str = "europe-west3";

/// What goes wrong with a call to a stand-in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// The stand-in does nothing, and answers 429.
    TooMany,
    /// The stand-in does nothing, and answers 503.
    Unavailable,
    /// The stand-in does nothing, and answers 403.
    Denied,
    /// The stand-in carries the call out, but answers 503.
    AnswerLost,
}

/// The troubles of the next calls, one for each call.
#[derive(Debug, Default)]
pub(crate) struct Troubles(Mutex<VecDeque<Trouble>>);

impl Troubles {
    pub(crate) fn add(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.0.lock().expect("no thread panicked").extend(troubles);
    }

    /// Answers a call: `answer` carries it out, unless a trouble is due.
    pub(crate) fn answer(&self, answer: impl FnOnce() -> Response) -> Response {
        let trouble = self.0.lock().expect("no thread panicked").pop_front();
        match trouble {
            None => answer(),
            Some(Trouble::TooMany) => problem(429, "RESOURCE_EXHAUSTED", "too many requests"),
            Some(Trouble::Unavailable) => problem(503, "UNAVAILABLE", "try again"),
            Some(Trouble::Denied) => problem(403, "PERMISSION_DENIED", "permission denied"),
            Some(Trouble::AnswerLost) => {
                drop(answer());
                problem(503, "UNAVAILABLE", "the answer was lost")
            }
        }
    }
}

/// An error as Google's services answer it.
pub(crate) fn problem(code: u16, status: &str, message: &str) -> Response {
    let body = json!({"error": {"code": code, "message": message, "status": status}});
    let code = StatusCode::from_u16(code).expect("a status is a number of three digits");
    (code, axum::Json(body)).into_response()
}

/// A server that stops when this value is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    port: u16,
    serving: JoinHandle<()>,
}

impl Server {
    /// Serves `router` on its own port.
    pub(crate) async fn start(router: Router) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("requests are served");
        });
        Self { port, serving }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
