//! The programs as `terraform/` deploys them: each with exactly the environment that the module gives
//! it, on services that have the names that the module gives them.
//!
//! What stands beside that environment is where the emulators are, what Cloud Run sets, and the values
//! of the secrets.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use object_store::ObjectStoreExt as _;
use serde_json::Value;
use sluice_contracts::documents::{RunEvent, RunId};
use sluice_contracts::store::{Bucket, RunStore};
use tempfile::TempDir;

use super::bigquery::Warehouse;
use super::delivery::{Addresses, bearer};
use super::events::Events;
use super::metadata::Metadata;
use super::program::Program;
use super::pubsub::{PubSub, Push};
use super::run::{CloudRun, Job};
use super::storage::CloudStorage;
use super::tasks::CloudTasks;
use super::world::program;
use crate::ports::free_port;
use crate::terraform::Deployment;

/// How long a test waits for the end of a run.
const PATIENCE: Duration = Duration::from_mins(4);
/// How long a token of an account is valid.
const VALID_FOR: u32 = 3600;

/// A deployment that runs.
#[derive(Debug)]
pub struct Deployed {
    /// What Terraform made.
    pub deployment: Deployment,
    /// Holds documents, part files and job files.
    pub storage: CloudStorage,
    /// Holds the target tables.
    pub warehouse: Warehouse,
    /// Runs the tasks.
    pub run: CloudRun,
    /// Carries requests and events.
    pub pubsub: PubSub,
    /// The planner.
    pub planner: Program,
    /// The loader.
    pub loader: Program,
    addresses: Addresses,
    client: reqwest::Client,
    _running: (CloudTasks, Events, Push, [Metadata; 2], TempDir),
}

/// The token that an account logs in to a database with.
pub fn token_of(email: &str) -> String {
    format!("ya29.{}", email.split('@').next().unwrap_or_default())
}

impl Deployed {
    /// Starts a deployment whose secrets have these values, by their variables. Reports a skip and
    /// returns `None` if a part is missing.
    pub async fn start(deployment: Deployment, secrets: &[(&str, String)]) -> Option<Self> {
        let [planner, loader, extractor] =
            ["TEST_PLANNER", "TEST_LOADER", "TEST_EXTRACTOR"].map(program);
        let (planner, loader, extractor) = (planner?, loader?, extractor?);
        let pubsub = PubSub::start().await?;
        let storage = CloudStorage::start().await?;
        let project = text(&deployment.one("google_cloud_run_v2_service", "planner")["project"]);
        let warehouse = Warehouse::of_project(storage.root(), &project).await?;
        for bucket in deployment.all("google_storage_bucket") {
            storage.make_bucket(&text(&bucket.values["name"])).await;
        }
        for file in deployment.all("google_storage_bucket_object") {
            let bucket = storage.bucket_at(&format!("gs://{}", text(&file.values["bucket"])));
            let (path, content) =
                (text(&file.values["name"]).into(), text(&file.values["content"]));
            bucket.store.put(&path, content.into()).await.expect("a job file is written");
        }
        for topic in deployment.all("google_pubsub_topic") {
            pubsub.topic(&text(&topic.values["name"])).await;
        }

        let logs = TempDir::with_prefix("sluice-deployed-").expect("a temporary folder");
        let service =
            |program: PathBuf, log: &str| Program::new(program, free_port(), logs.path().join(log));
        let (mut planner, mut loader) = (service(planner, "planner"), service(loader, "loader"));
        let url = |name: &str| text(deployment.output(name));
        let addresses = Addresses::default()
            .with(&url("planner_url"), &planner.url())
            .with(&url("loader_url"), &loader.url());
        let queue = text(&deployment.one("google_cloud_tasks_queue", "runs")["name"]);
        let tasks = CloudTasks::calling(&queue, addresses.clone()).await;

        let accounts = ["planner", "extractor"].map(|program| {
            let email = text(&deployment.output("accounts")[program]);
            let token = token_of(&email);
            async move { Metadata::of(&email, &token, VALID_FOR).await }
        });
        let [of_planner, of_extractor] = accounts;
        let accounts = [of_planner.await, of_extractor.await];
        let emulators = [
            ("STORAGE_EMULATOR_HOST", storage.url()),
            ("PUBSUB_EMULATOR_HOST", pubsub.host()),
            ("SLUICE_BIGQUERY_ENDPOINT", warehouse.url()),
            ("SLUICE_BIGQUERY_STORAGE_ENDPOINT", warehouse.storage_url()),
            ("SLUICE_TASKS_ENDPOINT", tasks.url()),
        ];
        let environment = |container: &Value, own: &[(&str, String)]| {
            let mut environment = environment(container, secrets);
            environment.extend(owned(&emulators));
            environment.extend(owned(own));
            environment
        };
        let of_tasks = [("GCE_METADATA_HOST", accounts[1].host())];
        let jobs = deployment.all("google_cloud_run_v2_job").into_iter().map(|made| {
            let task = &made.values["template"][0]["template"][0];
            let environment = environment(&task["containers"][0], &of_tasks);
            job(&text(&made.values["name"]), task, &extractor, environment)
        });
        let run = CloudRun::with(jobs.collect()).await;
        for (name, program, account) in
            [("planner", &mut planner, Some(&accounts[0])), ("loader", &mut loader, None)]
        {
            let made = deployment.one("google_cloud_run_v2_service", name);
            let mut own =
                vec![("SLUICE_RUN_ENDPOINT", run.url()), ("K_SERVICE", text(&made["name"]))];
            own.extend(account.map(|account| ("GCE_METADATA_HOST", account.host())));
            program.set_environment(environment(deployment.container(name), &own));
            program.start().await;
        }

        let push = |name: &str| {
            let push = deployment.keyed("google_pubsub_subscription", name);
            let push = &push["push_config"][0];
            let endpoint = addresses.of(&text(&push["push_endpoint"]));
            (endpoint, authorization(&push["oidc_token"][0]))
        };
        let (endpoint, token) = push("executions");
        let events = Events::pushing(&run, endpoint, token);
        let requests = text(&deployment.one("google_pubsub_topic", "requests")["id"]);
        let (endpoint, token) = push("requests");
        let push = pubsub.push_with_token("requests", &requests, endpoint, token).await;
        Some(Self {
            deployment,
            storage,
            warehouse,
            run,
            pubsub,
            planner,
            loader,
            addresses,
            client: reqwest::Client::new(),
            _running: (tasks, events, push, accounts, logs),
        })
    }

    /// Makes the call of a job of Cloud Scheduler, as it does at the time of the schedule, and returns
    /// the run that the planner answers with.
    pub async fn schedule(&self, name: &str) -> RunId {
        let job = self.deployment.keyed("google_cloud_scheduler_job", name);
        let call = &job["http_target"][0];
        let method = text(&call["http_method"]).parse().expect("a method of HTTP");
        let body = BASE64_STANDARD.decode(text(&call["body"])).expect("Terraform encodes it");
        let mut request = self.client.request(method, self.addresses.of(&text(&call["uri"])));
        for (name, value) in call["headers"].as_object().into_iter().flatten() {
            request = request.header(name, text(value));
        }
        let request = request.header("Authorization", authorization(&call["oidc_token"][0]));
        let answer = request.body(body).send().await.expect("the planner answers");
        let status = answer.status();
        let answer: Value = answer.json().await.expect("it answers in JSON");
        assert!(status.is_success(), "{status}: {answer:#}\n{}", self.said());
        answer["run"].as_str().and_then(|run| run.parse().ok()).expect("the answer names the run")
    }

    /// The bucket of all runs.
    pub fn bucket(&self) -> Bucket {
        self.storage.bucket_at(&text(self.deployment.output("bucket")))
    }

    /// Waits until the end of a run is announced, and returns it.
    pub async fn ended(&self, run: RunId) -> RunEvent {
        let store = RunStore::new(self.bucket(), run);
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            if let Ok(Some(event)) = store.announced().await {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        panic!("run `{run}` did not end.\n{}", self.said());
    }

    /// The output of all programs, for the message of a failing test.
    pub fn said(&self) -> String {
        let (planner, loader, tasks) = (self.planner.said(), self.loader.said(), self.run.log());
        format!("planner:\n{planner}\nloader:\n{loader}\ntasks:\n{tasks}")
    }
}

/// A Cloud Run job with the size and the limits of its tasks.
fn job(name: &str, task: &Value, program: &Path, environment: Vec<(String, String)>) -> Job {
    let limits = &task["containers"][0]["resources"][0]["limits"];
    let seconds = text(&task["timeout"]).trim_end_matches('s').parse();
    let retries = task["max_retries"].as_u64().and_then(|count| u32::try_from(count).ok());
    Job {
        environment,
        timeout: Duration::from_secs(seconds.expect("a number of seconds")),
        max_retries: retries.expect("a number of retries"),
        size: (text(&limits["cpu"]), text(&limits["memory"])),
        ..Job::new(name, program)
    }
}

/// The environment that the module gives a container.
fn environment(container: &Value, secrets: &[(&str, String)]) -> Vec<(String, String)> {
    let variables = container["env"].as_array().cloned().unwrap_or_default();
    let value = |variable: &Value| {
        let name = text(&variable["name"]);
        let secret = secrets.iter().find(|(known, _)| *known == name);
        let value = match secret {
            Some((_, value)) => value.clone(),
            None => text(&variable["value"]),
        };
        assert!(!value.is_empty(), "`{name}` has no value");
        (name, value)
    };
    variables.iter().map(value).collect()
}

/// The header that a call of Google's has for a token of these settings.
fn authorization(token: &Value) -> String {
    bearer(&text(&token["service_account_email"]), &text(&token["audience"]))
}

fn owned(variables: &[(&str, String)]) -> Vec<(String, String)> {
    variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
