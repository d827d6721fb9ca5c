//! A service that only writes down how it is called.

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

/// The service. It answers every call with success, unless told otherwise.
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

/// A call of it.
#[derive(Debug, Clone)]
pub struct Call {
    /// `POST /path`.
    pub line: String,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body; null where it is no JSON.
    pub body: Value,
    /// When it came.
    pub at: DateTime<Utc>,
}

impl Service {
    /// Starts it on a port of its own.
    pub async fn start() -> Self {
        let inner = Arc::new(Inner::default());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&inner));
        Self { inner, server: Server::start(router).await }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Statuses of the next answers.
    pub fn answer(&self, statuses: impl IntoIterator<Item = u16>) {
        self.inner.answers.lock().expect("nobody panics here").extend(statuses);
    }

    /// Every call there was.
    pub fn calls(&self) -> Vec<Call> {
        self.inner.calls.lock().expect("nobody panics here").clone()
    }

    /// Waits until there were `count` calls, and answers all there were.
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
    /// A header's text; empty where there is none.
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
    inner.calls.lock().expect("nobody panics here").push(call);
    let status = inner.answers.lock().expect("nobody panics here").pop_front().unwrap_or(204);
    StatusCode::from_u16(status).expect("a status is a number of three digits")
}
