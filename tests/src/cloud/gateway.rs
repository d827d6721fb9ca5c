//! A gateway in front of an HTTP service that records requests, counts them and makes some fail.
//!
//! ```no_run
//! # use sluice_tests::cloud::gateway::{Fault, Gateway, Trouble};
//! # async fn example() {
//! let gateway = Gateway::start("http://127.0.0.1:4443").await;
//! // The second and the third creation of an object are answered with 503.
//! gateway.fault(Fault {
//!     method: "POST",
//!     path: "/upload/",
//!     skip: 1,
//!     times: 2,
//!     trouble: Trouble::Answer(503),
//! });
//! // ... something calls `gateway.url()` ...
//! assert_eq!(gateway.count("POST", "/upload/"), 4);
//! # }
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::header::{
    CONNECTION, CONTENT_LENGTH, CONTENT_TYPE, HOST, LOCATION, TRANSFER_ENCODING,
};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use bytes::Bytes;
use futures::stream;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use reqwest::{Client, Url};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::{JoinHandle, JoinSet};

use super::sessions::{Answered, Sessions};

/// Forwards a port of this machine to an HTTP service. Dropping it cuts every connection.
#[derive(Debug)]
pub struct Gateway {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

/// A request that arrived. Requests are kept in the order of arrival.
#[derive(Debug, Clone)]
pub struct Seen {
    /// `GET`, `PUT` and so on.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The status of the answer; `None` if the connection was cut instead.
    pub status: Option<u16>,
    /// Whether a [`Fault`] spoilt it.
    pub spoilt: bool,
}

/// What goes wrong, and with which requests.
#[derive(Debug, Clone)]
pub struct Fault {
    /// The method of the requests; empty for any.
    pub method: &'static str,
    /// A text that the path and query of the requests hold.
    pub path: &'static str,
    /// How many of these requests pass first.
    pub skip: usize,
    /// How many of these requests are spoilt after that.
    pub times: usize,
    /// What goes wrong.
    pub trouble: Trouble,
}

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy)]
pub enum Trouble {
    /// The gateway answers with this status; the request never reaches the service.
    Answer(u16),
    /// The connection is cut; the request never reaches the service.
    CutBefore,
    /// The request reaches the service, and the connection is cut instead of an answer.
    CutAfter,
    /// The connection is cut in the middle of the answer's body.
    CutWithin,
    /// The request is forwarded after this delay.
    Delay(Duration),
}

#[derive(Debug)]
struct State {
    client: Client,
    upstream: Url,
    here: Url,
    seen: Mutex<Vec<Seen>>,
    faults: Mutex<Vec<Fault>>,
    uploads: Sessions,
    /// A part of the paths whose changes reach the service one after another.
    queued: Mutex<Option<&'static str>>,
    /// A part of the paths of things that are answered with an etag.
    tagged: Mutex<Option<&'static str>>,
    turn: tokio::sync::Mutex<()>,
}

impl Gateway {
    /// A gateway to the service at `upstream`, a URL without a path.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let client = Client::builder().redirect(reqwest::redirect::Policy::none());
        let state = Arc::new(State {
            client: client.build().expect("an HTTP client"),
            upstream: upstream.parse().expect("a URL of the service"),
            here: format!("http://{address}").parse().expect("a URL of the gateway"),
            seen: Mutex::default(),
            faults: Mutex::default(),
            uploads: Sessions::default(),
            queued: Mutex::default(),
            tagged: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
        });
        let serving = Arc::clone(&state);
        let accepting = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let Ok((stream, _)) = listener.accept().await else {
                    // After a client leaves before it is accepted, others can still connect.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                let state = Arc::clone(&serving);
                let service = service_fn(move |request| Arc::clone(&state).pass(request));
                let connection =
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                // A connection ends in an error if a fault or its client cut it.
                connections.spawn(async move { drop(connection.await) });
            }
        });
        Self { address, state, accepting }
    }

    /// The gateway's URL, without a slash at the end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request that arrived.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.state.seen).clone()
    }

    /// How many requests of a method (empty for any) have `path` in their path and query.
    pub fn count(&self, method: &str, path: &str) -> usize {
        lock(&self.state.seen).iter().filter(|seen| seen.is(method, path)).count()
    }

    /// How many requests were spoilt.
    pub fn spoilt(&self) -> usize {
        lock(&self.state.seen).iter().filter(|seen| seen.spoilt).count()
    }

    /// Applies a fault to requests that arrive from now on. If several faults match a request, only
    /// the oldest one counts it and spoils it.
    pub fn fault(&self, fault: Fault) {
        lock(&self.state.faults).push(fault);
    }

    /// Forwards changes whose path holds `path` one after another, for a service that confuses two
    /// of them if they arrive in the same instant.
    pub fn queue(&self, path: &'static str) {
        *lock(&self.state.queued) = Some(path);
    }

    /// Changes nothing of a thing whose path holds `path` if it is answered without an etag, for a
    /// service that gives a thing its etag at the first change only.
    pub fn tag(&self, path: &'static str) {
        *lock(&self.state.tagged) = Some(path);
    }

    /// Removes all faults.
    pub fn calm(&self) {
        lock(&self.state.faults).clear();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Seen {
    fn is(&self, method: &str, path: &str) -> bool {
        (method.is_empty() || self.method == method) && self.path.contains(path)
    }
}

/// Cuts the connection: the server closes a connection if its service returns an error.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("cut")
    }
}

impl std::error::Error for Cut {}

type Answer = Response<BoxBody<Bytes, Cut>>;

impl State {
    async fn pass(self: Arc<Self>, request: Request<Incoming>) -> Result<Answer, Cut> {
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let method = request.method().to_string();
        let mut seen = Seen { method, path, status: None, spoilt: false };
        let trouble = self.trouble(&seen);
        seen.spoilt = trouble.is_some();
        let place = {
            let mut list = lock(&self.seen);
            list.push(seen.clone());
            list.len() - 1
        };
        let result = self.answer(request, &seen.path, trouble).await;
        if let (Ok(answer), Some(seen)) = (&result, lock(&self.seen).get_mut(place)) {
            seen.status = Some(answer.status().as_u16());
        }
        result
    }

    /// What goes wrong with a request, if anything.
    fn trouble(&self, seen: &Seen) -> Option<Trouble> {
        let mut faults = lock(&self.faults);
        let fault = faults.iter_mut().find(|f| f.times > 0 && seen.is(f.method, f.path))?;
        if fault.skip > 0 {
            fault.skip -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.trouble)
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        path: &str,
        trouble: Option<Trouble>,
    ) -> Result<Answer, Cut> {
        // The request is read to its end, so that a cut affects only the answer.
        let (head, body) = request.into_parts();
        let body = body.collect().await.map_err(|_| Cut)?.to_bytes();
        match trouble {
            Some(Trouble::CutBefore) => return Err(Cut),
            Some(Trouble::Answer(status)) => {
                let status = StatusCode::from_u16(status).expect("a status");
                let text =
                    format!(r#"{{"error":{{"code":{0},"message":"told to"}}}}"#, status.as_u16());
                let mut answer = Response::new(whole(text.into()));
                *answer.status_mut() = status;
                return Ok(answer);
            }
            Some(Trouble::Delay(time)) => tokio::time::sleep(time).await,
            Some(Trouble::CutAfter | Trouble::CutWithin) | None => {}
        }
        let holds = |part: &Mutex<Option<&str>>| lock(part).is_some_and(|part| path.contains(part));
        let is_queued = head.method != Method::GET && holds(&self.queued);
        let turn = if is_queued { Some(self.turn.lock().await) } else { None };
        let (status, headers, body) = match self.uploads.tell(&head.method, path, &head.headers) {
            Some(told) => told,
            None if head.method == Method::GET && holds(&self.tagged) => {
                self.forward_tagged(head, path).await?
            }
            None => self.forward(head, path, body).await?,
        };
        drop(turn);
        let mut answer = match trouble {
            Some(Trouble::CutAfter) => return Err(Cut),
            Some(Trouble::CutWithin) => {
                let mut answer = Response::new(half(&body));
                answer.headers_mut().insert(CONTENT_LENGTH, body.len().into());
                answer
            }
            _ => Response::new(whole(body)),
        };
        *answer.status_mut() = status;
        answer.headers_mut().extend(headers);
        Ok(answer)
    }

    async fn forward_tagged(&self, head: Parts, path: &str) -> Result<Answered, Cut> {
        let answered = self.forward(head.clone(), path, Bytes::new()).await?;
        let document: Value = serde_json::from_slice(&answered.2).unwrap_or_default();
        if answered.0 != StatusCode::OK || document.get("etag").is_some_and(Value::is_string) {
            return Ok(answered);
        }
        let _turn = self.turn.lock().await;
        let mut change = head.clone();
        change.method = Method::PATCH;
        change.headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        self.forward(change, path, "{}".into()).await?;
        self.forward(head, path, Bytes::new()).await
    }

    async fn forward(&self, head: Parts, path: &str, body: Bytes) -> Result<Answered, Cut> {
        let url = self.upstream.join(path).expect("a path of the service");
        let headers = end_to_end(head.headers);
        let forwarded = self.client.request(head.method.clone(), url).headers(headers).body(body);
        let response = forwarded.send().await.map_err(|_| Cut)?;
        let (status, headers) = (response.status(), self.here_again(response.headers().clone()));
        let body = response.bytes().await.map_err(|_| Cut)?;
        let answered = (status, headers, body);
        self.uploads.note(&head.method, path, &answered);
        Ok(answered)
    }

    /// The headers of an answer, with this gateway's address in place of the service's, so that a
    /// client that follows a redirect comes back to the gateway.
    fn here_again(&self, headers: HeaderMap) -> HeaderMap {
        let mut headers = end_to_end(headers);
        let location = headers.get(LOCATION).and_then(|location| location.to_str().ok());
        let Some(mut location) = location.and_then(|location| location.parse::<Url>().ok()) else {
            return headers;
        };
        if location.host() == self.upstream.host() {
            location.set_host(self.here.host_str()).expect("the gateway has a host");
            location.set_port(self.here.port()).expect("the gateway has a port");
            location.set_scheme("http").expect("a scheme like the service's");
            let location = HeaderValue::from_str(location.as_str()).expect("a URL is ASCII");
            headers.insert(LOCATION, location);
        }
        headers
    }
}

/// Removes the headers that concern only one connection.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    for one_hop in [CONNECTION, TRANSFER_ENCODING, CONTENT_LENGTH, HOST] {
        headers.remove(one_hop);
    }
    headers
}

fn whole(body: Bytes) -> BoxBody<Bytes, Cut> {
    Full::new(body).map_err(|never| match never {}).boxed()
}

fn half(body: &Bytes) -> BoxBody<Bytes, Cut> {
    let half = body.slice(..body.len() / 2);
    let frames = [Ok(Frame::data(half)), Err(Cut)];
    StreamBody::new(stream::iter(frames)).boxed()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
