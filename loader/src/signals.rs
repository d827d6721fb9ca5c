//! The messages that say that an execution has ended.
//!
//! Cloud Run writes an entry into the audit log when an execution ends, a sink of Cloud Logging
//! publishes it, and Pub/Sub pushes it here. The entry is a hint that something has happened to a
//! run, and nothing else in it is used: such entries come late, twice, and for executions that have
//! not ended.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use sluice_contracts::documents::RunId;
use sluice_contracts::error::Doing as _;
use sluice_contracts::layout::Layout;
use sluice_contracts::store::{Bucket, RunStore};
use sluice_contracts::{Error, Kind, Result};

/// The variable of an execution that names its run.
const MANIFEST: &str = "SLUICE_MANIFEST";

/// What Pub/Sub pushes. <https://cloud.google.com/pubsub/docs/push#receive_push>
#[derive(Debug, Deserialize)]
struct Envelope {
    message: Message,
}

#[derive(Debug, Deserialize)]
struct Message {
    #[serde(default)]
    data: String,
}

/// The run that a pushed audit log entry is about; `None` if it is not about a run of this bucket.
///
/// # Errors
/// `Invalid` if the body is not such a message. Delivering it again would not help.
pub(crate) fn run_of_message(body: &[u8], bucket: &Bucket) -> Result<Option<RunId>> {
    let hint = "the endpoint takes what Pub/Sub pushes: `{\"message\": {\"data\": \"<base64>\"}}`";
    let envelope: Envelope = serde_json::from_slice(body)
        .doing(Kind::Invalid, || "read a message of Pub/Sub")
        .map_err(|error| error.hint(hint))?;
    let data = STANDARD
        .decode(envelope.message.data)
        .doing(Kind::Invalid, || "read the data of a message as base64")?;
    let entry: LogEntry = serde_json::from_slice(&data).map_err(|source| {
        Error::invalid("read the data of a message as an entry of the audit log")
            .because(source)
            .hint("publish to this topic from a sink of Cloud Logging alone")
    })?;
    let Some(payload) = entry.proto_payload else { return Ok(None) };
    let run = payload.manifest().and_then(|url| run_of_manifest(url, bucket));
    let execution = payload.execution().unwrap_or_default();
    match run {
        Some(run) => tracing::info!(%run, execution, "received a signal of an execution"),
        None => tracing::info!(execution, "received a signal of an execution that is not ours"),
    }
    Ok(run)
}

/// The run of a manifest in this bucket.
fn run_of_manifest(url: &str, bucket: &Bucket) -> Option<RunId> {
    let (_, run) = Layout::of_manifest_url(url)?;
    (RunStore::new(bucket.clone(), run).manifest_url() == url).then_some(run)
}

/// What is read of an entry of Cloud Run's audit log: no more than which execution it is about.
/// <https://cloud.google.com/run/docs/audit-logging>
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogEntry {
    proto_payload: Option<Payload>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Payload {
    /// `namespaces/<project>/executions/<execution>`.
    #[serde(default)]
    resource_name: String,
    /// The execution, as version 1 of Cloud Run's API spells it.
    #[serde(default)]
    response: serde_json::Value,
}

impl Payload {
    fn execution(&self) -> Option<&str> {
        let named = self.response.pointer("/metadata/name").and_then(serde_json::Value::as_str);
        named.or_else(|| Some(self.resource_name.rsplit_once("/executions/")?.1))
    }

    /// The manifest in the environment of the execution's container.
    fn manifest(&self) -> Option<&str> {
        // The API's versions nest a template in a template, or do not.
        let places = ["/spec/template/spec/containers", "/template/containers"];
        let containers = places.iter().find_map(|place| self.response.pointer(place))?;
        let variables = containers.as_array()?.iter().filter_map(|one| one.get("env")?.as_array());
        variables
            .flatten()
            .find(|variable| variable.get("name").is_some_and(|name| name == MANIFEST))?
            .get("value")?
            .as_str()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;

    fn bucket() -> Bucket {
        let store = Arc::new(object_store::memory::InMemory::new());
        Bucket { store, prefix: "etl".into(), url: "gs://lake/etl".into() }
    }

    fn message(entry: &Value) -> Vec<u8> {
        let data = STANDARD.encode(entry.to_string());
        json!({
            "message": {"data": data, "attributes": {}, "messageId": "1", "publishTime": "x"},
            "subscription": "projects/p/subscriptions/s"
        })
        .to_string()
        .into_bytes()
    }

    fn entry(manifest: &str) -> Value {
        json!({
            "logName": "projects/p/logs/cloudaudit.googleapis.com%2Fsystem_event",
            "severity": "ERROR",
            "resource": {"type": "cloud_run_job", "labels": {"job_name": "extract"}},
            "protoPayload": {
                "methodName": "/Jobs.RunJob",
                "serviceName": "run.googleapis.com",
                "resourceName": "namespaces/p/executions/extract-7xk2p",
                "status": {"code": 10, "message": "Execution extract-7xk2p has failed"},
                "response": {
                    "metadata": {"name": "extract-7xk2p"},
                    "spec": {"template": {"spec": {"containers": [
                        {"image": "proxy"},
                        {"image": "x", "env": [
                            {"name": "SOURCE_URL", "valueFrom": {"secretKeyRef": {"name": "s"}}},
                            {"name": "SLUICE_MANIFEST", "value": manifest}
                        ]}
                    ]}}}
                }
            }
        })
    }

    #[test]
    fn an_entry_names_its_run() {
        let run = RunId::generate();
        let ours = entry(&format!("gs://lake/etl/runs/{run}/manifest.json"));
        assert_eq!(run_of_message(&message(&ours), &bucket()).unwrap(), Some(run));
    }

    #[test]
    fn what_is_not_ours_is_about_no_run() {
        let run = RunId::generate();
        let others = [
            entry(&format!("gs://other/etl/runs/{run}/manifest.json")),
            entry(&format!("gs://lake/runs/{run}/manifest.json")),
            entry(&format!("gs://lake/etl/runs/{run}/x/manifest.json")),
            entry("gs://lake/etl/runs/1/manifest.json"),
            entry(""),
            json!({}),
            json!({"textPayload": "hello"}),
            json!({"protoPayload": {"response": {"spec": {"template": {"spec": {}}}}}}),
            json!({"protoPayload": {"response": {"spec": {"template": {"spec": {"containers": [{}, 1]}}}}}}),
        ];
        for entry in others {
            assert_eq!(run_of_message(&message(&entry), &bucket()).unwrap(), None, "{entry}");
        }
    }

    #[test]
    fn a_body_that_is_no_message_is_invalid() {
        let bodies = [
            "",
            "{}",
            "[]",
            r#"{"message": 1}"#,
            r#"{"message": {"data": "%"}}"#,
            r#"{"message": {}}"#,
            r#"{"message": {"data": "aGVsbG8="}}"#,
            r#"{"message": {"data": "WzFd"}}"#,
        ];
        for body in bodies {
            let error = run_of_message(body.as_bytes(), &bucket()).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{body}");
        }
        assert!(run_of_message(&[0xff], &bucket()).is_err());
    }
}
