//! A service that only records the calls it gets.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde_json::Value;

use super::Server;

/// The service. It answers every call with success, unless [`answer`](Self::answer) set a status.
#[derive(Debug)]
pub struct Service {
    inner: Arc<Inner>,
    server: Server,
}

#[derive(Debug, Default)]
struct Inner {
    calls: Mutex<Vec<Call>>,
    answers: Mutex<VecDeque<u16>>,
}

/// A call to the service.
#[derive(Debug, Clone)]
pub struct Call {
    /// `POST /path`.
    pub line: String,
    /// The call's headers.
    pub headers: HeaderMap,
    /// The call's body; null if it is not JSON.
    pub body: Value,
    /// When the call arrived.
    pub at: DateTime<Utc>,
}

impl Service {
    /// Starts the service on its own port.
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        Self { inner, server: Server::start(router).await }
    }

    /// The service's URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Sets the statuses of the next answers.
    pub fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.inner.answers.lock().expect("no thread panicked").extend(statuses);
    }

    /// Every call so far.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().expect("no thread panicked").clone()
    }

    /// Waits until there are `count` calls, and returns all calls so far.
    pub async fn wait_for(&self, count: usize) -> Vec<Call> {
        for _ in 0..3000 {
            let calls = self.calls();
            if calls.len() >= count {
                return calls;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("there were no {count} calls within half a minute: {:?}", self.calls());
    }
}

impl Call {
    /// A header's text; empty if the header is missing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }
}

async fn answer(
    State(inner): State<Arc<Inner>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> StatusCode {
    let call = Call {
        line: format!("{method} {}", uri.path()),
        headers,
        body: serde_json::from_slice(&body).unwrap_or_default(),
        at: Utc::now(),
    };
    inner.calls.lock().expect("no thread panicked").push(call);
    let status = inner.answers.lock().expect("no thread panicked").pop_front().unwrap_or(204);
    StatusCode::from_u16(status).expect("a status is a number of three digits")
}
