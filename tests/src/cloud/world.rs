//! The whole of it: the three programs, and everything that they call.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_contracts::documents::{RunEvent, RunId};
use sluice_contracts::store::{Bucket, RunStore};
use sluice_runtime::storage::open_bucket;
use tempfile::TempDir;

use super::bigquery::Warehouse;
use super::events::Events;
use super::gateway::Gateway;
use super::program::Program;
use super::run::{CloudRun, Job};
use super::storage::{BUCKET, CloudStorage};
use super::tasks::CloudTasks;
use crate::needs::{skip, variable};
use crate::sluice::merge;

/// Where in the bucket everything lies.
const PREFIX: &str = "etl";
/// As whom Cloud Tasks and Pub/Sub call.
pub const INVOKER: &str = "invoker@demo.iam.gserviceaccount.com";
/// How long a run may take until a test gives it up.
const PATIENCE: Duration = Duration::from_mins(4);

/// What a world is made with.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Value of `SOURCE_URL`.
    pub source: String,
    /// Tasks that Cloud Run runs at once, as far as the programs know.
    pub parallelism: usize,
    /// Tasks that this machine runs at once.
    pub at_once: usize,
    /// How often Cloud Run starts a task that fails again.
    pub max_retries: u32,
    /// How long Cloud Run lets an attempt of a task take.
    pub timeout: Duration,
    /// Where Pub/Sub answers, and the topic that hears of ends.
    pub pubsub: Option<(String, String)>,
}

impl Setting {
    /// The usual one.
    pub fn reading(source: impl Into<String>) -> Self {
        let timeout = Duration::from_mins(10);
        let source = source.into();
        Self { source, parallelism: 8, at_once: 8, max_retries: 3, timeout, pubsub: None }
    }
}

/// Planner and loader as processes, the extractor's tasks as Cloud Run starts them, and what they
/// call: Cloud Storage and BigQuery behind gateways, Cloud Tasks, the audit log.
#[derive(Debug)]
pub struct World {
    /// Where documents and parts lie.
    pub storage: CloudStorage,
    /// Where tables become visible.
    pub warehouse: Warehouse,
    /// Where tasks run.
    pub run: CloudRun,
    /// The gateway before it: what it was asked, and what goes wrong.
    pub to_run: Gateway,
    /// Who calls planner and loader when it is time.
    pub tasks: CloudTasks,
    /// Who tells the loader of executions that have ended.
    pub events: Events,
    /// The planner.
    pub planner: Program,
    /// The loader.
    pub loader: Program,
    client: reqwest::Client,
    _logs: TempDir,
}

impl World {
    /// Starts everything. `None` where a part is missing: the test returns, and has said so.
    pub async fn start(setting: Setting) -> Option<Self> {
        let [planner, loader, extractor] =
            ["TEST_PLANNER", "TEST_LOADER", "TEST_EXTRACTOR"].map(program);
        let (planner, loader, extractor) = (planner?, loader?, extractor?);
        let storage = CloudStorage::start().await?;
        let warehouse = Warehouse::over(storage.root()).await?;
        let tasks = CloudTasks::start("sluice").await;

        let logs = TempDir::with_prefix("sluice-cloud-").expect("a temporary folder");
        let service = |program: PathBuf, log: &str| {
            Program::new(program, Program::free_port(), logs.path().join(log))
        };
        let (mut planner, mut loader) = (service(planner, "planner"), service(loader, "loader"));
        let mut environment: Vec<(String, String)> = [
            ("STORAGE_EMULATOR_HOST", storage.url()),
            ("SLUICE_BIGQUERY_ENDPOINT", warehouse.url()),
            ("SLUICE_TASKS_ENDPOINT", tasks.url()),
            ("SLUICE_BUCKET", bucket_url()),
            ("SLUICE_QUEUE", tasks.queue().to_owned()),
            ("SLUICE_PLANNER_URL", planner.url()),
            ("SLUICE_LOADER_URL", loader.url()),
            ("SLUICE_INVOKER", INVOKER.to_owned()),
            ("SLUICE_PARALLELISM", setting.parallelism.to_string()),
            ("SOURCE_URL", setting.source),
            ("RUST_LOG", "info".to_owned()),
            // The platform that the programs stand behind has checked who calls.
            ("K_SERVICE", "sluice".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some((host, topic)) = setting.pubsub {
            environment.push(("PUBSUB_EMULATOR_HOST".to_owned(), host));
            environment.push(("SLUICE_TOPIC".to_owned(), topic));
        }
        let job = Job {
            parallelism: setting.at_once,
            max_retries: setting.max_retries,
            timeout: setting.timeout,
            environment: environment.clone(),
            ..Job::new("sluice-extractor", extractor)
        };
        environment.push(("SLUICE_EXTRACTOR_JOB".to_owned(), job.full_name()));
        let run = CloudRun::start(job).await;
        let to_run = Gateway::start(&run.url()).await;
        environment.push(("SLUICE_RUN_ENDPOINT".to_owned(), to_run.url()));
        for service in [&mut planner, &mut loader] {
            service.set_environment(environment.clone());
            service.start().await;
        }
        let events = Events::start(&run, &loader.url(), INVOKER);
        let client = reqwest::Client::new();
        Some(Self {
            storage,
            warehouse,
            run,
            to_run,
            tasks,
            events,
            planner,
            loader,
            client,
            _logs: logs,
        })
    }

    /// A job that moves `table` of PostgreSQL into the dataset, under its own name. `more` is
    /// merged over it.
    pub fn job(table: &str, more: &Value) -> Value {
        let mut job = json!({
            "name": table,
            "source": {"url": "${SOURCE_URL}", "table": format!("public.{table}")},
            "target": {"table": Warehouse::target(table)},
        });
        merge(&mut job, more);
        job
    }

    /// Asks the planner for a run, as often as it takes to be taken on, and answers which it is.
    pub async fn ask(&self, request: &Value) -> RunId {
        for _ in 0..300 {
            if let Some(run) = self.try_to_ask(request).await {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the planner takes no run on:\n{}", self.planner.said());
    }

    /// Asks once; nothing where the planner does not answer, or not with success.
    pub async fn try_to_ask(&self, request: &Value) -> Option<RunId> {
        let call = self.client.post(format!("{}/runs", self.planner.url())).json(request);
        let answer = call.send().await.ok()?;
        let status = answer.status();
        let body: Value = answer.json().await.ok()?;
        assert!(status.is_success() || status.is_server_error(), "{status}: {body:#}");
        body["run"].as_str()?.parse().ok()
    }

    /// What the planner says of a run.
    pub async fn status(&self, run: RunId) -> Value {
        let call = self.client.get(format!("{}/runs/{run}", self.planner.url()));
        call.send().await.expect("the planner answers").json().await.expect("it answers in JSON")
    }

    /// Lets the loader look at a run, as one of its signals does.
    pub async fn look(&self, run: RunId) {
        let call = self.client.post(format!("{}/runs/{run}/check", self.loader.url()));
        call.send().await.expect("the loader answers");
    }

    /// Waits until a run has the document of this path below its folder.
    pub async fn appears(&self, run: RunId, document: &str) {
        self.appears_within(run, document, Duration::from_mins(1)).await;
    }

    /// The same with another patience.
    pub async fn appears_within(&self, run: RunId, document: &str, patience: Duration) {
        let path = self.run_folder(run).join(document);
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < patience, "`{document}` never came:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Where a run's objects lie as files.
    pub fn run_folder(&self, run: RunId) -> PathBuf {
        self.storage.folder().join(PREFIX).join("runs").join(run.to_string())
    }

    /// The bucket, reached past the gateway and its faults: the server keeps objects as files.
    pub fn bucket(&self) -> Bucket {
        let folder = self.storage.folder().join(PREFIX);
        open_bucket(&format!("file://{}", folder.display())).expect("a folder can be opened")
    }

    /// A run's documents.
    pub fn store(&self, run: RunId) -> RunStore {
        RunStore::new(self.bucket(), run)
    }

    /// Waits until a run has ended and that was told, or marked as told to nobody; how it ended.
    pub async fn ended(&self, run: RunId) -> RunEvent {
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(event)) = self.store(run).announced().await {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!(
            "run `{run}` did not end.\nplanner:\n{}\nloader:\n{}\ntasks:\n{}",
            self.planner.said(),
            self.loader.said(),
            self.run.log()
        );
    }

    /// Asks for a run, and waits for its end.
    pub async fn carry_out(&self, request: &Value) -> RunEvent {
        let run = self.ask(request).await;
        self.ended(run).await
    }

    /// All that the programs have said, for the message of a test that fails.
    pub fn said(&self) -> String {
        format!(
            "planner:\n{}\nloader:\n{}\ntasks:\n{}",
            self.planner.said(),
            self.loader.said(),
            self.run.log()
        )
    }
}

/// URL of the bucket that all runs lie in.
pub fn bucket_url() -> String {
    format!("gs://{BUCKET}/{PREFIX}")
}

fn program(name: &str) -> Option<PathBuf> {
    let found = variable(name).map(PathBuf::from);
    if found.is_none() {
        skip(&format!("one of the programs ({name})"));
    }
    found
}
