//! The audit log, which reports to the loader, through a sink of the log and a push subscription of
//! Pub/Sub, that an execution has ended.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde_json::{Value, json};
use tokio::sync::broadcast::error::RecvError;
use tokio::task::{JoinHandle, JoinSet};

use super::delivery::{Weather, bearer, pause};
use super::execution::{Execution, stamp};
use super::run::CloudRun;
use super::{LOCATION, PROJECT};

/// A subscription that pushes the audit log's entries about a job's executions.
#[derive(Debug)]
pub struct Events {
    weather: Weather,
    pushing: JoinHandle<()>,
}

impl Events {
    /// Pushes to `<service>/executions`, as `invoker`, how `run`'s executions end.
    pub fn start(run: &CloudRun, service: &str, invoker: &str) -> Self {
        let url = format!("{}/executions", service.trim_end_matches('/'));
        Self::pushing(run, url, bearer(invoker, service))
    }

    /// Pushes to `url`, with a token, how `run`'s executions end.
    pub fn pushing(run: &CloudRun, url: String, bearer: String) -> Self {
        let weather = Weather::default();
        let mut endings = run.endings();
        let seen = weather.clone();
        let pushing = tokio::spawn(async move {
            // Dropping this task aborts all pushes.
            let mut pushes = JoinSet::new();
            loop {
                match endings.recv().await {
                    Ok(ended) => {
                        let (url, bearer) = (url.clone(), bearer.clone());
                        pushes.spawn(push(seen.clone(), url, bearer, ended));
                    }
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => break,
                }
            }
            while pushes.join_next().await.is_some() {}
        });
        Self { weather, pushing }
    }

    /// What happens to deliveries. Each has the name of its execution.
    pub fn weather(&self) -> &Weather {
        &self.weather
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        self.pushing.abort();
    }
}

async fn push(weather: Weather, url: String, bearer: String, ended: Execution) {
    let client = reqwest::Client::new();
    let body = envelope(&entry(&ended));
    for _ in 0..weather.copies(&ended.name).await {
        let mut retries = 0;
        loop {
            let call = client.post(&url).header("Authorization", &bearer).json(&body).send();
            if call.await.is_ok_and(|answer| answer.status().is_success()) {
                break;
            }
            retries += 1;
            tokio::time::sleep(pause(retries)).await;
        }
    }
}

/// The entry that Cloud Run writes into `cloudaudit.googleapis.com/system_event`.
fn entry(execution: &Execution) -> Value {
    let mut response = execution.v1();
    response["@type"] = "type.googleapis.com/google.cloud.run.v1.Execution".into();
    let mut status = json!({"message": execution.message()});
    let mut severity = "INFO";
    if !execution.has_succeeded() {
        status["code"] = if execution.cancelled > 0 { 2 } else { 10 }.into();
        severity = "ERROR";
    }
    let now = stamp(Utc::now());
    json!({
        "protoPayload": {
            "@type": "type.googleapis.com/google.cloud.audit.AuditLog",
            "status": status,
            "serviceName": "run.googleapis.com",
            "methodName": "/Jobs.RunJob",
            "resourceName": format!("namespaces/{PROJECT}/executions/{}", execution.name),
            "response": response,
        },
        "insertId": execution.name,
        "resource": {
            "type": "cloud_run_job",
            "labels": {"job_name": execution.job.name, "location": LOCATION, "project_id": PROJECT},
        },
        "timestamp": now,
        "severity": severity,
        "logName": format!("projects/{PROJECT}/logs/cloudaudit.googleapis.com%2Fsystem_event"),
        "receiveTimestamp": now,
    })
}

/// The body of a push.
fn envelope(entry: &Value) -> Value {
    let id = entry["insertId"].clone();
    let now = stamp(Utc::now());
    json!({
        "message": {
            "data": STANDARD.encode(entry.to_string()),
            "attributes": {"logging.googleapis.com/timestamp": entry["timestamp"]},
            "messageId": id,
            "message_id": id,
            "publishTime": now,
            "publish_time": now,
        },
        "subscription": format!("projects/{PROJECT}/subscriptions/executions"),
    })
}
