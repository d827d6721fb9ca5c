//! A server that speaks BigQuery's REST API, over DuckDB.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use object_store::local::LocalFileSystem;
use serde_json::{Value, json};
use sluice_contracts::store::Bucket;
use sluice_runtime::google::Endpoints;
use sluice_targets::BigQueryTarget;
use tempfile::TempDir;

use super::gateway::Gateway;
use super::storage::BUCKET;
use crate::needs::{skip, variable};
use crate::ports::free_port;

/// Name of the project that every server has.
pub const PROJECT: &str = "shop";
/// Name of the dataset that every server has.
pub const DATASET: &str = "sales";

/// A server with one empty dataset, behind a gateway. Dropping the value stops and deletes the
/// server.
///
/// The server is local-bigquery. It differs from BigQuery in these ways: replacing rows replaces
/// the columns too; lists are arrays with and without list inference; BIGNUMERIC is read wrongly
/// from Parquet; BYTES are not loaded if a schema is given; every dataset lies in `US`; and it may
/// accept both of two jobs with one name that arrive in the same instant.
#[derive(Debug)]
pub struct Warehouse {
    gateway: Gateway,
    server: Child,
    objects: PathBuf,
    folder: TempDir,
    project: String,
    storage: String,
}

impl Warehouse {
    /// Starts a server that finds objects in its own folder. Reports a skip and returns `None` if
    /// the program is missing.
    pub async fn start() -> Option<Self> {
        let folder = TempDir::with_prefix("sluice-objects-").expect("a temporary folder");
        let objects = folder.path().join("objects");
        fs::create_dir_all(objects.join(BUCKET)).expect("the folder can be written");
        Self::start_in(folder, objects, PROJECT).await
    }

    /// Starts a server that finds the objects of another server, which keeps each bucket as a
    /// folder of `objects`.
    pub async fn over(objects: PathBuf) -> Option<Self> {
        Self::of_project(objects, PROJECT).await
    }

    /// The same with another project than [`PROJECT`].
    pub async fn of_project(objects: PathBuf, project: &str) -> Option<Self> {
        let folder = TempDir::with_prefix("sluice-bigquery-").expect("a temporary folder");
        Self::start_in(folder, objects, project).await
    }

    async fn start_in(folder: TempDir, objects: PathBuf, project: &str) -> Option<Self> {
        let Some(program) = variable("TEST_LOCAL_BIGQUERY") else {
            skip("local-bigquery (TEST_LOCAL_BIGQUERY)");
            return None;
        };
        fs::create_dir_all(folder.path().join("data")).expect("the folder can be written");
        let ports = [(); 2].map(|()| free_port().to_string());
        let log = fs::File::create(folder.path().join("log")).expect("the folder can be written");
        let server = Command::new(program)
            .args(["serve", "--host", "127.0.0.1", "--port", &ports[0], "--grpc-port", &ports[1]])
            .args(["--project", project, "--data-dir"])
            .arg(folder.path().join("data"))
            .env("GCS_LOCAL_ROOT", &objects)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("local-bigquery starts");
        let upstream = format!("http://127.0.0.1:{}", ports[0]);
        let gateway = Gateway::start(&upstream).await;
        let project = project.to_owned();
        let storage = format!("http://127.0.0.1:{}", ports[1]);
        let this = Self { gateway, server, objects, folder, project, storage };
        // The server accepts both of two jobs or tables with one name that arrive in the same
        // instant, or fails, and compares an etag before the change and not with it.
        this.gateway.queue("/bigquery/v2/projects/");
        // A table that a copy or a statement has made has none.
        this.gateway.tag("/tables/");
        this.make_dataset(&upstream).await;
        Some(this)
    }

    /// The gateway, which counts the requests to the server and makes some of them fail.
    pub fn gateway(&self) -> &Gateway {
        &self.gateway
    }

    /// The value of `SLUICE_BIGQUERY_ENDPOINT` for a program.
    pub fn url(&self) -> String {
        self.gateway.url()
    }

    /// The value of `SLUICE_BIGQUERY_STORAGE_ENDPOINT` for a program.
    pub fn storage_url(&self) -> String {
        self.storage.clone()
    }

    /// BigQuery as the programs call it.
    pub async fn client(&self) -> BigQueryTarget {
        BigQueryTarget::new(&self.endpoints().bigquery()).await.expect("a client needs no server")
    }

    /// The addresses of BigQuery.
    pub fn endpoints(&self) -> Endpoints {
        serde_json::from_value(json!({
            "sluice_bigquery_endpoint": self.url(),
            "sluice_bigquery_storage_endpoint": self.storage,
        }))
        .expect("endpoints of an environment")
    }

    /// The folder of the objects that the server finds below `gs://`: each bucket is a folder in
    /// it.
    pub fn objects(&self) -> &Path {
        &self.objects
    }

    /// The bucket, through a client that writes files and needs no server.
    pub fn bucket(&self) -> Bucket {
        let store = LocalFileSystem::new_with_prefix(self.objects.join(BUCKET))
            .expect("the bucket's folder exists");
        Bucket { store: Arc::new(store), prefix: "".into(), url: format!("gs://{BUCKET}") }
    }

    /// The URL that names a table as a job's target.
    pub fn target(table: &str) -> String {
        format!("bigquery://{PROJECT}/{DATASET}/{table}")
    }

    /// The first column of a query's rows, as the API writes values.
    pub async fn query(&self, sql: &str) -> Vec<String> {
        let answer = self.post("queries", &json!({"query": sql, "useLegacySql": false})).await;
        let rows = answer["rows"].as_array().cloned().unwrap_or_default();
        let text = |row: &Value| match &row["f"][0]["v"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        rows.iter().map(text).collect()
    }

    /// Calls the project's REST API, and fails the test unless the call succeeds.
    pub async fn post(&self, path: &str, body: &Value) -> Value {
        let url = format!("{}/bigquery/v2/projects/{}/{path}", self.url(), self.project);
        let request = reqwest::Client::new().post(url).json(body);
        let answer = request.send().await.expect("the server answers");
        let status = answer.status();
        let answer: Value = answer.json().await.expect("the server answers in JSON");
        assert!(status.is_success(), "{path}: {answer:#}");
        answer
    }

    /// Names of the dataset's tables.
    pub async fn tables(&self) -> Vec<String> {
        let names = "table_name FROM `sales`.INFORMATION_SCHEMA.TABLES ORDER BY table_name";
        self.query(&format!("SELECT {names}")).await
    }

    /// Makes the dataset as soon as the server answers.
    async fn make_dataset(&self, server: &str) {
        let client = reqwest::Client::new();
        let reference = json!({"projectId": self.project, "datasetId": DATASET});
        for _ in 0..600 {
            let make =
                client.post(format!("{server}/bigquery/v2/projects/{}/datasets", self.project));
            let make = make.json(&json!({"datasetReference": reference}));
            if let Ok(answer) = make.send().await {
                let status = answer.status();
                let said = answer.text().await.unwrap_or_default();
                assert!(status.is_success(), "a dataset is made: {said}");
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("local-bigquery did not answer within a minute:\n{log}");
    }
}

impl Drop for Warehouse {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}
