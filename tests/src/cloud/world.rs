//! The whole system: the three programs, and all services that they call.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_contracts::documents::{RunEvent, RunId};
use sluice_contracts::store::{Bucket, RunStore};
use sluice_runtime::storage::open_bucket;
use tempfile::TempDir;

use super::bigquery::Warehouse;
use super::dataflow::{Dataflow, Pipeline};
use super::events::Events;
use super::gateway::Gateway;
use super::program::Program;
use super::run::{CloudRun, Job};
use super::storage::{BUCKET, CloudStorage};
use super::tasks::CloudTasks;
use super::{LOCATION, PROJECT};
use crate::needs::{skip, variable};
use crate::ports::free_port;
use crate::sluice::merge;

/// The prefix of all runs in the bucket.
const PREFIX: &str = "etl";
/// The service account that Cloud Tasks and Pub/Sub call as.
pub const INVOKER: &str = "invoker@shop-prod.iam.gserviceaccount.com";
/// The job's own timeout, in place of Cloud Run's usual ten minutes: so short that a task ends by it
/// unless the execution was started with another.
const JOBS_OWN_TIMEOUT: Duration = Duration::from_secs(1);
/// How long a test waits for the end of a run.
const PATIENCE: Duration = Duration::from_mins(4);

/// The settings of a world.
#[derive(Debug, Clone)]
pub struct Setting {
    /// The value of `SOURCE_URL`.
    pub source: String,
    /// How many tasks the job allows at once.
    pub parallelism: usize,
    /// How many tasks really run at once: the quota of the region.
    pub at_once: usize,
    /// How often Cloud Run starts a failed task again.
    pub max_retries: u32,
    /// How long an attempt of a task may take, as the programs are configured. The job itself has
    /// [`JOBS_OWN_TIMEOUT`].
    pub timeout: Duration,
    /// The address of Pub/Sub, and the topic to which the ends of runs are published.
    pub pubsub: Option<(String, String)>,
    /// Whether there is a Dataflow, with the real pipeline.
    pub dataflow: bool,
}

impl Setting {
    /// The usual setting.
    pub fn reading(source: impl Into<String>) -> Self {
        let timeout = Duration::from_mins(10);
        let source = source.into();
        Self {
            source,
            parallelism: 8,
            at_once: 8,
            max_retries: 3,
            timeout,
            pubsub: None,
            dataflow: false,
        }
    }
}

/// The planner and the loader as processes, the extractor's tasks as Cloud Run starts them, and the
/// services that they call: Cloud Storage and BigQuery behind gateways, Cloud Tasks, the audit log.
#[derive(Debug)]
pub struct World {
    /// Holds documents and part files.
    pub storage: CloudStorage,
    /// Holds the target tables.
    pub warehouse: Warehouse,
    /// Runs the tasks.
    pub run: CloudRun,
    /// The gateway in front of Cloud Run.
    pub to_run: Gateway,
    /// Runs the pipeline, if the setting asks for it.
    pub dataflow: Option<Dataflow>,
    /// Calls the planner and the loader when a task is due.
    pub tasks: CloudTasks,
    /// Reports to the loader that executions have ended.
    pub events: Events,
    /// The planner.
    pub planner: Program,
    /// The loader.
    pub loader: Program,
    client: reqwest::Client,
    _logs: TempDir,
}

impl World {
    /// Starts everything. Reports a skip and returns `None` if a part is missing.
    pub async fn start(setting: Setting) -> Option<Self> {
        let [planner, loader, extractor] =
            ["TEST_PLANNER", "TEST_LOADER", "TEST_EXTRACTOR"].map(program);
        let (planner, loader, extractor) = (planner?, loader?, extractor?);
        let storage = CloudStorage::start().await?;
        let warehouse = Warehouse::over(storage.root()).await?;
        let tasks = CloudTasks::start("sluice").await;

        let logs = TempDir::with_prefix("sluice-cloud-").expect("a temporary folder");
        let service =
            |program: PathBuf, log: &str| Program::new(program, free_port(), logs.path().join(log));
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
            ("SLUICE_TASK_TIMEOUT", format!("{}s", setting.timeout.as_secs())),
            ("SOURCE_URL", setting.source),
            ("SLUICE_JOB_VARIABLES", "SOURCE_URL".to_owned()),
            ("SLUICE_JOB_DATASETS", "shop.sales".to_owned()),
            ("SLUICE_BIGQUERY_STORAGE_ENDPOINT", warehouse.storage_url()),
            ("SLUICE_INLINE_CALLERS", "anybody".to_owned()),
            ("RUST_LOG", "info".to_owned()),
            // As on Cloud Run, the platform has already checked the caller.
            ("K_SERVICE", "sluice".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        if let Some((host, topic)) = setting.pubsub {
            environment.push(("PUBSUB_EMULATOR_HOST".to_owned(), host));
            environment.push(("SLUICE_TOPIC".to_owned(), topic));
        }
        let dataflow = if setting.dataflow {
            Some(Dataflow::start(pipeline(&storage, &warehouse)?).await)
        } else {
            None
        };
        if let Some(dataflow) = &dataflow {
            let location = format!("projects/{PROJECT}/locations/{LOCATION}");
            environment.extend([
                ("SLUICE_DATAFLOW_ENDPOINT".to_owned(), dataflow.url()),
                (
                    "SLUICE_DATAFLOW_TEMPLATE".to_owned(),
                    "gs://lake/templates/sluice.json".to_owned(),
                ),
                ("SLUICE_DATAFLOW_LOCATION".to_owned(), location),
            ]);
        }
        let job = Job {
            parallelism: setting.parallelism,
            at_once: setting.at_once,
            max_retries: setting.max_retries,
            timeout: JOBS_OWN_TIMEOUT,
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
            dataflow,
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

    /// Asks the planner for a run until it accepts the request, and returns the run.
    pub async fn ask(&self, request: &Value) -> RunId {
        for _ in 0..300 {
            if let Some(run) = self.try_to_ask(request).await {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("the planner takes no run:\n{}", self.planner.said());
    }

    /// Asks the planner once; `None` if it does not answer, or not with success.
    pub async fn try_to_ask(&self, request: &Value) -> Option<RunId> {
        let call = self.client.post(format!("{}/runs", self.planner.url())).json(request);
        let answer = call.send().await.ok()?;
        let status = answer.status();
        let body: Value = answer.json().await.ok()?;
        assert!(status.is_success() || status.is_server_error(), "{status}: {body:#}");
        body["run"].as_str()?.parse().ok()
    }

    /// The planner's answer about a run.
    pub async fn status(&self, run: RunId) -> Value {
        let call = self.client.get(format!("{}/runs/{run}", self.planner.url()));
        call.send().await.expect("the planner answers").json().await.expect("it answers in JSON")
    }

    /// Makes the loader check a run, as one of its signals does.
    pub async fn look(&self, run: RunId) {
        let call = self.client.post(format!("{}/runs/{run}/check", self.loader.url()));
        call.send().await.expect("the loader answers");
    }

    /// Waits until a run's folder has this document.
    pub async fn appears(&self, run: RunId, document: &str) {
        self.appears_within(run, document, Duration::from_mins(1)).await;
    }

    /// Waits at most `patience` until a run's folder has this document.
    pub async fn appears_within(&self, run: RunId, document: &str, patience: Duration) {
        let path = self.run_folder(run).join(document);
        let begun = Instant::now();
        while !path.exists() {
            assert!(begun.elapsed() < patience, "`{document}` never came:\n{}", self.said());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The folder of a run's objects, as files.
    pub fn run_folder(&self, run: RunId) -> PathBuf {
        self.storage.folder().join(PREFIX).join("runs").join(run.to_string())
    }

    /// The bucket, without the gateway and its faults: the server keeps objects as files.
    pub fn bucket(&self) -> Bucket {
        let folder = self.storage.folder().join(PREFIX);
        open_bucket(&format!("file://{}", folder.display())).expect("a folder can be opened")
    }

    /// A run's documents.
    pub fn store(&self, run: RunId) -> RunStore {
        RunStore::new(self.bucket(), run)
    }

    /// Waits until the end of a run is announced, with or without a topic, and returns it.
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

    /// The output of all programs, for the message of a failing test.
    pub fn said(&self) -> String {
        format!(
            "planner:\n{}\nloader:\n{}\ntasks:\n{}",
            self.planner.said(),
            self.loader.said(),
            self.run.log()
        )
    }
}

/// The real pipeline, on the objects and the tables of these servers. Reports a skip if its packages are
/// missing.
fn pipeline(storage: &CloudStorage, warehouse: &Warehouse) -> Option<Pipeline> {
    let python = program("TEST_DATAFLOW_PYTHON")?;
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../dataflow");
    let of_test = |name| variable(name).unwrap_or_default().to_string_lossy().into_owned();
    let environment = [
        ("STORAGE_EMULATOR_HOST", storage.url()),
        ("SLUICE_BIGQUERY_ENDPOINT", warehouse.url()),
        ("PATH", of_test("PATH")),
        ("HOME", of_test("HOME")),
        ("PYTHONDONTWRITEBYTECODE", "1".to_owned()),
    ];
    Some(Pipeline {
        arguments: ["-m", "sluice_dataflow"].map(str::to_owned).into(),
        environment: environment.map(|(name, value)| (name.to_owned(), value)).into(),
        folder: Some(folder.into()),
        ..Pipeline::new(python)
    })
}

/// The URL of the bucket of all runs.
pub fn bucket_url() -> String {
    format!("gs://{BUCKET}/{PREFIX}")
}

/// One of the programs, by the variable that has its path. Reports a skip if it is missing.
pub(super) fn program(name: &str) -> Option<PathBuf> {
    let found = variable(name).map(PathBuf::from);
    if found.is_none() {
        skip(&format!("one of the programs ({name})"));
    }
    found
}
