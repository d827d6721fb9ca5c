//! The service behind its addresses, with ports that remember what they were asked and fail when a
//! test says so.

mod access;
mod bodies;
mod deliveries;
mod failures;
mod faults;
mod ports;
mod states;
mod task_kinds;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt as _};
use serde_json::{Value, json};
use sluice_contracts::documents::{Claim, RunId};
use sluice_contracts::store::{Bucket, RunStore};
use sluice_targets::{Target, Targets};
use tempfile::TempDir;
use tower::ServiceExt as _;

use self::faults::{Faults, Faulty};
use self::ports::{Checked, Listener, Platform, Queue};
use crate::http::api;
use crate::rules::JobRules;
use crate::service::{Planner, Ports};

/// A database of two small tables, the same for every test.
static DATABASE: LazyLock<(TempDir, String)> = LazyLock::new(|| {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let database = rusqlite::Connection::open(&file).unwrap();
    let tables = "CREATE TABLE items (id INTEGER PRIMARY KEY, name TEXT);
                  CREATE TABLE orders (id INTEGER PRIMARY KEY, amount INTEGER);
                  INSERT INTO orders VALUES (1, 10), (2, 20), (3, 30);";
    database.execute_batch(tables).unwrap();
    (folder, format!("sqlite://{}", file.display()))
});

/// A planner, and its ports.
struct World {
    /// The bucket, without faults.
    bucket: Bucket,
    jobs: Bucket,
    platform: Arc<Platform>,
    queue: Arc<Queue>,
    listener: Arc<Listener>,
    target: Arc<Checked>,
    faults: Arc<Faults>,
    api: Router,
}

/// An answer; its body as JSON where it is JSON.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    body: Value,
}

/// What jobs of the tests may name.
fn rules() -> JobRules {
    JobRules {
        sluice_job_variables: vec!["SOURCE_URL".to_owned()],
        sluice_inline_callers: vec!["anybody".to_owned()],
        ..JobRules::default()
    }
}

impl World {
    fn new() -> Self {
        Self::with(rules(), None)
    }

    /// A world whose operator allows this many tasks at once.
    fn with_most_tasks(most_tasks: Option<u32>) -> Self {
        Self::with(rules(), most_tasks)
    }

    fn with(rules: JobRules, most_tasks: Option<u32>) -> Self {
        let faults = Arc::new(Faults::default());
        let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        let bucket = |prefix: &str, store: &Arc<dyn ObjectStore>| Bucket {
            store: Arc::clone(store),
            prefix: prefix.into(),
            url: format!("gs://lake/{prefix}"),
        };
        let spoilt: Arc<dyn ObjectStore> =
            Arc::new(Faulty { store: Arc::clone(&store), faults: Arc::clone(&faults) });
        let platform = Arc::new(Platform::new(Arc::clone(&faults)));
        let queue = Arc::new(Queue::new(Arc::clone(&faults)));
        let listener = Arc::new(Listener::new(Arc::clone(&faults)));
        let target = Arc::new(Checked::new(Arc::clone(&faults)));
        let service = Planner::new(Ports {
            bucket: bucket("sluice", &spoilt),
            jobs: bucket("sluice/jobs", &spoilt),
            executions: platform.clone(),
            most_tasks,
            checks: queue.clone(),
            announcer: Some(listener.clone()),
            targets: Targets::new(vec![("bigquery", Arc::clone(&target) as Arc<dyn Target>)]),
            variable: |name| (name == "SOURCE_URL").then(|| DATABASE.1.clone()),
            login: None,
            rules,
            planning_deadline: Duration::from_hours(1),
            planner_url: "https://planner.example".to_owned(),
            loader_url: "https://loader.example".to_owned(),
        });
        Self {
            bucket: bucket("sluice", &store),
            jobs: bucket("sluice/jobs", &store),
            platform,
            queue,
            listener,
            target,
            faults,
            api: api(Arc::new(service)),
        }
    }

    /// Sends a request. `None` if the planner was killed before it had answered.
    async fn send(&self, request: Request<Body>) -> Option<Answer> {
        let response = tokio::select! {
            biased;
            response = self.api.clone().oneshot(request) => response.unwrap(),
            () = self.faults.killed() => return None,
        };
        let status = response.status();
        let bytes = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Some(Answer { status, body })
    }

    async fn call(&self, body: &Value) -> Option<Answer> {
        self.send(post("/runs", body.to_string())).await
    }

    async fn push(&self, message: &str, data: &Value) -> Option<Answer> {
        self.send(post("/pubsub", envelope(message, data).to_string())).await
    }

    /// Delivers the planning of a run as Cloud Tasks does.
    async fn plan(&self, run: RunId) -> Option<Answer> {
        self.send(post(&format!("/runs/{run}/plan"), "{}".to_owned())).await
    }

    async fn status(&self, run: RunId) -> Answer {
        let mut request = post(&format!("/runs/{run}"), String::new());
        *request.method_mut() = Method::GET;
        self.send(request).await.unwrap()
    }

    async fn put_job(&self, name: &str, text: &str) {
        let path = sluice_contracts::layout::Layout::job_file(&self.jobs.prefix, name);
        self.jobs.store.put(&path, text.to_owned().into()).await.unwrap();
    }

    /// The runs that have left documents.
    async fn runs(&self) -> Vec<RunId> {
        let below = sluice_contracts::layout::Layout::runs(&self.bucket.prefix);
        let listed = self.bucket.store.list_with_delimiter(Some(&below)).await.unwrap();
        let names = listed.common_prefixes.iter();
        names.map(|path| path.filename().unwrap().parse().unwrap()).collect()
    }

    fn store(&self, run: RunId) -> RunStore {
        RunStore::new(self.bucket.clone(), run)
    }

    /// The claim of a run that was launched once, checked against everything else that happened.
    async fn assert_launched(&self, run: RunId) -> Claim {
        let store = self.store(run);
        let manifest = store.manifest().await.unwrap();
        assert_eq!(store.newest_launch().await.unwrap(), Some(0));
        let order = store.order(0).await.unwrap().unwrap();
        assert_eq!(order.tasks.len(), manifest.tasks.len());
        assert_eq!(store.verdict().await.unwrap(), None);
        let claim = store.claim(0).await.unwrap().unwrap();
        let started = self.platform.started(&store.manifest_url());
        assert!(started.contains(&claim.execution), "{claim:?} {started:?}");
        assert!(!self.platform.cancelled().contains(&claim.execution));
        let checks = self.queue.checks(run);
        assert!(!checks.is_empty());
        assert!(checks.iter().all(|name| name == "sweep-0"), "{checks:?}");
        claim
    }
}

fn post(path: &str, body: String) -> Request<Body> {
    Request::builder().method(Method::POST).uri(path).body(Body::from(body)).unwrap()
}

fn envelope(message: &str, data: &Value) -> Value {
    json!({
        "message": {"data": BASE64_STANDARD.encode(data.to_string()), "messageId": message},
        "subscription": "projects/shop/subscriptions/requests",
    })
}

/// A job that moves both tables.
fn job() -> Value {
    json!({
        "name": "shop",
        "source": {"url": "${SOURCE_URL}"},
        "tables": [{"table": "*"}],
        "target": {"dataset": "bigquery://lake/shop"},
    })
}

fn run_of(answer: &Answer) -> RunId {
    assert_eq!(answer.status, StatusCode::ACCEPTED, "{answer:?}");
    answer.body["run"].as_str().unwrap().parse().unwrap()
}
