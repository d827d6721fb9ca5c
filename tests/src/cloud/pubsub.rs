//! Google's emulator of Pub/Sub, which comes with `gcloud`.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::needs::{skip, variable};
use crate::ports::free_port;

use super::PROJECT;

/// An emulator for one test. Dropping the value stops it.
#[derive(Debug)]
pub struct PubSub {
    port: u16,
    client: reqwest::Client,
    _process: Child,
}

impl PubSub {
    /// Starts an empty emulator. Reports a skip and returns `None` if the program is missing.
    pub async fn start() -> Option<Self> {
        let Some(archive) = variable("TEST_PUBSUB_EMULATOR").map(PathBuf::from) else {
            skip("the emulator of Pub/Sub (TEST_PUBSUB_EMULATOR)");
            return None;
        };
        let port = free_port();
        let process = Command::new("java")
            .arg("-jar")
            .arg(archive)
            .args(["--host=127.0.0.1", &format!("--port={port}")])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("Java starts");
        let emulator = Self { port, client: reqwest::Client::new(), _process: process };
        for _ in 0..600 {
            if emulator.client.get(emulator.url("topics")).send().await.is_ok() {
                return Some(emulator);
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("the emulator of Pub/Sub did not answer within a minute");
    }

    /// The emulator's address, for `PUBSUB_EMULATOR_HOST`.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The full name of a thing of the project: of one of its `topics` or `subscriptions`.
    pub fn name(kind: &str, name: &str) -> String {
        format!("projects/{PROJECT}/{kind}/{name}")
    }

    /// Makes a topic, and returns its full name.
    pub async fn topic(&self, name: &str) -> String {
        self.make(&format!("topics/{name}"), &json!({})).await
    }

    /// Makes a pull subscription, and returns its full name.
    pub async fn subscription(&self, name: &str, topic: &str) -> String {
        self.make(&format!("subscriptions/{name}"), &json!({"topic": topic})).await
    }

    /// Makes a subscription that pushes to `url`, and tries again after a second if it is refused.
    pub async fn push(&self, name: &str, topic: &str, url: &str) {
        let settings = json!({
            "topic": topic,
            "pushConfig": {"pushEndpoint": url},
            "ackDeadlineSeconds": 10,
            "retryPolicy": {"minimumBackoff": "1s", "maximumBackoff": "2s"},
        });
        self.make(&format!("subscriptions/{name}"), &settings).await;
    }

    /// Publishes a message.
    pub async fn publish(&self, topic: &str, message: &Value) {
        let url = format!("http://127.0.0.1:{}/v1/{topic}:publish", self.port);
        let call = self.client.post(url).json(&json!({"messages": [message]}));
        let answer = call.send().await.expect("the emulator answers");
        assert!(answer.status().is_success(), "{answer:?}");
    }

    /// Brings the messages of a topic to `url` with a token, as a push subscription of Google's does;
    /// the emulator's sends no token. A message that is refused is brought again.
    pub async fn push_with_token(
        &self,
        name: &str,
        topic: &str,
        url: String,
        bearer: String,
    ) -> Push {
        let settings = json!({"topic": topic, "ackDeadlineSeconds": 10});
        let subscription = self.make(&format!("subscriptions/{name}"), &settings).await;
        let client = self.client.clone();
        let here = format!("http://127.0.0.1:{}/v1/{subscription}", self.port);
        Push(tokio::spawn(async move {
            loop {
                let pull = client.post(format!("{here}:pull")).json(&json!({"maxMessages": 10}));
                let pulled = async { pull.send().await.ok()?.json::<Value>().await.ok() };
                let pulled = pulled.await.unwrap_or_default();
                for received in pulled["receivedMessages"].as_array().into_iter().flatten() {
                    let body =
                        json!({"message": received["message"], "subscription": subscription});
                    let call = client.post(&url).header("Authorization", &bearer).json(&body);
                    let taken = call.send().await.is_ok_and(|answer| answer.status().is_success());
                    // What is not acknowledged comes again after ten seconds.
                    if taken {
                        let done = json!({"ackIds": [received["ackId"]]});
                        drop(client.post(format!("{here}:acknowledge")).json(&done).send().await);
                    }
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }))
    }

    /// Waits for the next message of a subscription, and returns its data, which is JSON.
    pub async fn next(&self, subscription: &str) -> Value {
        let here = format!("http://127.0.0.1:{}/v1/{subscription}:pull", self.port);
        for _ in 0..1200 {
            let pull = self.client.post(&here).json(&json!({"maxMessages": 1}));
            let pulled = async { pull.send().await.ok()?.json::<Value>().await.ok() };
            let pulled = pulled.await.unwrap_or_default();
            if let Some(data) = pulled["receivedMessages"][0]["message"]["data"].as_str() {
                let data = BASE64_STANDARD.decode(data).expect("Pub/Sub encodes it");
                return serde_json::from_slice(&data).expect("it is JSON");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("no message came within two minutes");
    }

    async fn make(&self, path: &str, settings: &Value) -> String {
        let call = self.client.put(self.url(path)).json(settings);
        let answer = call.send().await.expect("the emulator answers");
        assert!(answer.status().is_success(), "{answer:?}");
        format!("projects/{PROJECT}/{path}")
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/v1/projects/{PROJECT}/{path}", self.port)
    }
}

/// A subscription that brings messages to a service. Dropping the value ends it.
#[derive(Debug)]
pub struct Push(tokio::task::JoinHandle<()>);

impl Drop for Push {
    fn drop(&mut self) {
        self.0.abort();
    }
}
