//! Requests for runs: what is asked for, and the key that identifies a request.

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::{Map, Value};
use sluice_contracts::job::{JobProblem, JobProblems, nearest_hint};
use sluice_contracts::{Error, Result};

/// Keys of a request's body.
const KEYS: [&str; 3] = ["job", "run_key", "retry"];
/// Longest name of a job.
const LONGEST_NAME: usize = 100;
/// Longest key of a request, in bytes.
const LONGEST_KEY: usize = 1_000;

/// A request for a run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunRequest {
    /// The job.
    pub(crate) job: Wanted,
    /// The key that identifies the request; a request without one is always new.
    pub(crate) key: Option<Key>,
    /// Whether another run is wanted if the one of this key has failed.
    pub(crate) retry: bool,
}

/// The job that a request names or brings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Wanted {
    /// The job file of this name. The name contains no path.
    Named(String),
    /// The job itself.
    Inline(Value),
}

/// The key that identifies a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// The caller's own key, among all requests for one job.
    Caller(String),
    /// The message, delivered at least once.
    Message {
        /// Subscription that delivers it.
        subscription: String,
        /// Its id.
        id: String,
    },
    /// The time in Cloud Scheduler's schedule, whenever it called.
    Scheduled {
        /// Cloud Scheduler's job, not Sluice's.
        job: String,
        /// The time.
        time: String,
    },
}

impl RunRequest {
    /// Reads the body of a direct call.
    pub(crate) fn from_call(headers: &HeaderMap, body: &[u8]) -> Result<Self> {
        let Body { job, run_key, retry } = read_body(body)?;
        let key = run_key.map(Key::Caller).or_else(|| scheduled(headers));
        // Only the caller knows that a request is meant to replace an earlier one. Cloud Scheduler
        // repeats calls whatever became of the run.
        if retry && !matches!(key, Some(Key::Caller(_))) {
            return Err(Error::invalid("read the request: `retry` without `run_key`").hint(
                "send the `run_key` of the run that failed; a request without one is always new",
            ));
        }
        Ok(Self { job, key, retry })
    }

    /// Reads the envelope that a push subscription wraps around a message.
    /// <https://cloud.google.com/pubsub/docs/push#receive_push>
    pub(crate) fn from_push(envelope: &[u8]) -> Result<Self> {
        // The parser's error would show values of the message.
        let parsed = serde_json::from_slice(envelope).map_err(|_| {
            Error::invalid("read the message: it is not in the envelope of a push subscription")
                .hint("this address is for Pub/Sub; send a request itself to `POST /runs`")
        });
        let Envelope { message, subscription } = parsed?;
        let data = BASE64_STANDARD
            .decode(message.data)
            .map_err(|_| Error::invalid("read the message: its data is not Base64"))?;
        let Body { job, run_key, retry } = read_body(&data)?;
        if retry {
            return Err(Error::invalid("read the request: `retry` in a message").hint(
                "`retry` is for `POST /runs`; a message may be delivered again after the run has \
                 failed",
            ));
        }
        let said = run_key.or_else(|| {
            let key = message.attributes.get("run_key")?.as_str()?;
            (!key.is_empty()).then(|| key.to_owned())
        });
        let key = said.map_or_else(|| Key::Message { subscription, id: message.id }, Key::Caller);
        Ok(Self { job, key: Some(key), retry })
    }

    /// The key under which a run is reserved. Requests for two jobs may have the same key, such as
    /// a date.
    pub(crate) fn reservation_key(&self) -> Option<String> {
        let job = match &self.job {
            Wanted::Named(name) => name.as_str(),
            Wanted::Inline(job) => job.get("name").and_then(Value::as_str).unwrap_or_default(),
        };
        let parts: [&str; 4] = match self.key.as_ref()? {
            Key::Caller(key) => ["run_key", job, key, ""],
            Key::Message { subscription, id } => ["message", job, subscription, id],
            Key::Scheduled { job: scheduler, time } => ["scheduled", job, scheduler, time],
        };
        Some(Value::from(parts.to_vec()).to_string())
    }

    /// The key as the caller knows it.
    pub(crate) fn run_key(&self) -> Option<String> {
        Some(match self.key.as_ref()? {
            Key::Caller(key) => key.clone(),
            Key::Message { id, .. } => id.clone(),
            Key::Scheduled { job, time } => format!("{job} {time}"),
        })
    }
}

/// Cloud Scheduler repeats a call that failed with the same time.
/// <https://cloud.google.com/scheduler/docs/reference/rest/v1/projects.locations.jobs#HttpTarget>
fn scheduled(headers: &HeaderMap) -> Option<Key> {
    let text = |name| headers.get(name)?.to_str().ok().map(str::to_owned);
    let job = text("x-cloudscheduler-jobname")?;
    Some(Key::Scheduled { job, time: text("x-cloudscheduler-scheduletime")? })
}

/// A message as a push subscription delivers it. Pub/Sub may add keys.
#[derive(Deserialize)]
struct Envelope {
    message: Message,
    #[serde(default)]
    subscription: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message {
    /// Absent from a message that has attributes only.
    #[serde(default)]
    data: String,
    #[serde(default)]
    attributes: Map<String, Value>,
    #[serde(rename = "messageId")]
    id: String,
}

/// The body of a request.
struct Body {
    job: Wanted,
    run_key: Option<String>,
    retry: bool,
}

/// Reads a body and finds everything wrong with it, as with a job file.
fn read_body(bytes: &[u8]) -> Result<Body> {
    let example = "send `{\"job\": \"name\"}`, or a job in place of the name";
    let value: Value = serde_json::from_slice(bytes).map_err(|source| {
        // The parser names the place and what it expected, never the value there.
        Error::invalid("read the request: not well-formed JSON").because(source).hint(example)
    })?;
    let Value::Object(mut body) = value else {
        return Err(Error::invalid("read the request: it is not a mapping").hint(example));
    };
    let mut problems = Vec::new();
    let job = match body.remove("job") {
        None => {
            problems.push(JobProblem::new("job", "missing").hint(example));
            None
        }
        Some(job) => read_job(job).map_err(|problem| problems.push(problem)).ok(),
    };
    let run_key = match body.remove("run_key") {
        None | Some(Value::Null) => None,
        Some(Value::String(key)) if (1..=LONGEST_KEY).contains(&key.len()) => Some(key),
        Some(_) => {
            let what = format!("must be a text of 1 to {LONGEST_KEY} bytes");
            problems.push(JobProblem::new("run_key", what));
            None
        }
    };
    let retry = match body.remove("retry") {
        None | Some(Value::Null) => false,
        Some(Value::Bool(retry)) => retry,
        Some(_) => {
            problems.push(JobProblem::new("retry", "must be `true` or `false`"));
            false
        }
    };
    let known = KEYS.map(str::to_owned);
    for key in body.keys() {
        problems.push(JobProblem::new(key, "unknown key").hint(nearest_hint(key, &known)));
    }
    match (job, problems.as_slice()) {
        (Some(job), []) => Ok(Body { job, run_key, retry }),
        (_, [JobProblem { hint: Some(hint), .. }]) => {
            let hint = hint.clone();
            Err(Error::invalid("read the request").because(JobProblems(problems)).hint(hint))
        }
        _ => Err(Error::invalid("read the request").because(JobProblems(problems))),
    }
}

fn read_job(job: Value) -> Result<Wanted, JobProblem> {
    match job {
        Value::String(name) if is_plain(&name) => Ok(Wanted::Named(name)),
        Value::String(_) => Err(JobProblem::new("job", "is not a job's name").hint(format!(
            "a name has 1 to {LONGEST_NAME} letters, digits, `-` and `_`, and no ending"
        ))),
        Value::Object(_) => Ok(Wanted::Inline(job)),
        _ => Err(JobProblem::new("job", "must be a job's name, or a job")),
    }
}

fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=LONGEST_NAME).contains(&name.len()) && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(body: &Value) -> RunRequest {
        RunRequest::from_call(&HeaderMap::new(), body.to_string().as_bytes()).unwrap()
    }

    fn push(data: &Value, attributes: &Value) -> RunRequest {
        let envelope = json!({
            "message": {
                "data": BASE64_STANDARD.encode(data.to_string()),
                "attributes": attributes,
                "messageId": "7",
                "message_id": "7",
                "publishTime": "2026-01-01T00:00:00Z",
            },
            "subscription": "projects/p/subscriptions/s",
            "deliveryAttempt": 2,
        });
        RunRequest::from_push(envelope.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn the_callers_key_comes_first_then_the_platforms() {
        let job = json!({"job": "orders"});
        let keyed = json!({"job": "orders", "run_key": "monday"});
        let said = Some(Key::Caller("monday".to_owned()));
        assert_eq!(call(&job).key, None);
        assert_eq!(call(&keyed).key, said);
        assert_eq!(push(&keyed, &json!({"run_key": "tuesday"})).key, said);
        assert_eq!(push(&job, &json!({"run_key": "monday"})).key, said);
        let id = "7".to_owned();
        let subscription = "projects/p/subscriptions/s".to_owned();
        assert_eq!(push(&job, &json!({})).key, Some(Key::Message { subscription, id }));

        let mut headers = HeaderMap::new();
        headers.insert("X-CloudScheduler-JobName", "nightly".parse().unwrap());
        assert_eq!(RunRequest::from_call(&headers, job.to_string().as_bytes()).unwrap().key, None);
        headers.insert("X-CloudScheduler-ScheduleTime", "2026-01-01T03:00:00Z".parse().unwrap());
        let key = RunRequest::from_call(&headers, job.to_string().as_bytes()).unwrap().key;
        let time = "2026-01-01T03:00:00Z".to_owned();
        assert_eq!(key, Some(Key::Scheduled { job: "nightly".to_owned(), time }));
    }

    #[test]
    fn requests_of_different_jobs_are_different_ones() {
        let of = |body: Value| call(&body).reservation_key();
        let named = of(json!({"job": "a", "run_key": "monday"}));
        assert_eq!(of(json!({"job": {"name": "a"}, "run_key": "monday"})), named);
        assert_ne!(of(json!({"job": "b", "run_key": "monday"})), named);
        assert_ne!(of(json!({"job": "a", "run_key": "tuesday"})), named);
        assert_eq!(of(json!({"job": "a"})), None);
        // Quotes and commas in a key cannot make it another's.
        let one = of(json!({"job": {"name": "a\",\"b"}, "run_key": "c"}));
        assert_ne!(one, of(json!({"job": {"name": "a"}, "run_key": "b\",\"c"})));
    }

    #[test]
    fn a_name_has_no_path_in_it() {
        let longest = "x".repeat(LONGEST_NAME);
        for name in ["orders", "a-B_9", longest.as_str()] {
            assert!(is_plain(name), "{name}");
        }
        let longer = "x".repeat(LONGEST_NAME + 1);
        for name in ["", "..", "a/b", "../a", "a.yaml", "a b", "a%2Fb", "ä", "a\0", &longer] {
            assert!(!is_plain(name), "{name}");
        }
    }
}
