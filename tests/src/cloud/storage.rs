//! A server that speaks Cloud Storage's JSON API, over a folder.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use sluice_contracts::store::Bucket;
use sluice_runtime::google::Endpoints;
use sluice_runtime::storage::open_cloud_storage_at;
use tempfile::TempDir;

use super::gateway::Gateway;
use crate::needs::{skip, variable};
use crate::ports::free_port;

/// Name of the bucket that every server has.
pub const BUCKET: &str = "lake";

/// A server with one empty bucket, behind a gateway. Dropping the value stops and deletes the
/// server.
///
/// The server is fake-gcs-server. It ignores preconditions on uploads in pieces and on deletions.
/// It does not report the size of an object that is read, so the adapter asks for it, and a read
/// takes two requests.
#[derive(Debug)]
pub struct CloudStorage {
    gateway: Gateway,
    server: Child,
    folder: TempDir,
}

impl CloudStorage {
    /// Starts a server. Reports a skip and returns `None` if the program is missing.
    pub async fn start() -> Option<Self> {
        let Some(program) = variable("TEST_FAKE_GCS") else {
            skip("fake-gcs-server (TEST_FAKE_GCS)");
            return None;
        };
        let folder = TempDir::with_prefix("sluice-gcs-").expect("a temporary folder");
        let port = free_port();
        let server = Command::new(program)
            .args(["-scheme", "http", "-host", "127.0.0.1", "-port", &port.to_string()])
            .args(["-backend", "filesystem", "-log-level", "error", "-filesystem-root"])
            .arg(folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("fake-gcs-server starts");
        let upstream = format!("http://127.0.0.1:{port}");
        let this = Self { gateway: Gateway::start(&upstream).await, server, folder };
        make_bucket(&upstream, BUCKET).await;
        Some(this)
    }

    /// The gateway, which counts the requests to the server and makes some of them fail.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The value of `STORAGE_EMULATOR_HOST` for a program.
    pub fn url(&self) -> String {
        self.gateway.url()
    }

    /// Makes another bucket.
    pub async fn make_bucket(&self, name: &str) {
        make_bucket(&self.url(), name).await;
    }

    /// A bucket as the programs open it; `below` is a prefix in it, or empty.
    pub fn bucket(&self, below: &str) -> Bucket {
        self.bucket_at(&format!("gs://{BUCKET}/{below}"))
    }

    /// The bucket of a URL as the programs open it.
    pub fn bucket_at(&self, url: &str) -> Bucket {
        let endpoints: Endpoints =
            serde_json::from_value(json!({"storage_emulator_host": self.url()}))
                .expect("endpoints of an environment");
        open_cloud_storage_at(url, &endpoints).expect("a bucket opens without any request yet")
    }

    /// The folder in which the server keeps each bucket as a folder.
    pub fn root(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// The folder in which the server keeps the bucket's objects as files.
    pub fn folder(&self) -> PathBuf {
        self.folder.path().join(BUCKET)
    }
}

impl Drop for CloudStorage {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

/// Makes a bucket as soon as the server answers.
async fn make_bucket(server: &str, name: &str) {
    let client = reqwest::Client::new();
    for _ in 0..300 {
        let make = client.post(format!("{server}/storage/v1/b?project=test"));
        if let Ok(answer) = make.json(&json!({"name": name})).send().await {
            assert!(answer.status().is_success(), "a bucket is made: {}", answer.status());
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("fake-gcs-server did not answer within half a minute");
}
