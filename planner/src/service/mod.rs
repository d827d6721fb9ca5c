//! The planner as a service: requests become runs, and runs are planned and launched.

mod ending;
mod price;
mod status;

use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use serde_json::Value;
use sluice_contracts::documents::{Manifest, Request, Reservation, RunId};
use sluice_contracts::job::Job;
use sluice_contracts::ports::{Announcer, Checks, DatabaseLogin, Executions, TaskTerms};
use sluice_contracts::store::{Bucket, Created, RunStore, Stage};
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::http::Caller;
use sluice_sources::Source;
use sluice_targets::Targets;
use tokio::sync::Semaphore;

pub use status::{Links, Status, TableStatus};

use crate::launch::cloud_run;
use crate::plan::survey_and_cut;
use crate::request::{RunRequest, Wanted};
use crate::rules::JobRules;
use crate::time_limit::limited;
use crate::{Progress, TargetCheck, name_dropped, remember, strategy_names};

/// Plannings at once: each holds a connection to its source, and its catalogue in memory.
const PLANNINGS: usize = 5;
/// Longest wait for one of these places.
const LONGEST_WAIT: Duration = Duration::from_mins(1);
/// Tasks that run at once where neither the platform nor the operator says how many: with a CPU
/// each, no more than the usual quota of a small region.
const USUAL_PARALLELISM: u32 = 100;

/// What the service works with.
#[derive(Debug, Clone)]
pub struct Ports {
    /// All runs.
    pub bucket: Bucket,
    /// The folder with job files.
    pub jobs: Bucket,
    /// Where tasks run.
    pub executions: Arc<dyn Executions>,
    /// Most tasks of a plan, if the operator allows fewer than the platform runs at once.
    pub most_tasks: Option<u32>,
    /// The queue that calls the planner again, and the loader.
    pub checks: Arc<dyn Checks>,
    /// Where the end of a run is announced, if anywhere.
    pub announcer: Option<Arc<dyn Announcer>>,
    /// The targets that runs are loaded into.
    pub targets: Targets,
    /// Looks up an environment variable that a source's URL names.
    pub variable: fn(&str) -> Option<String>,
    /// Who the planner is to a database that takes an account of Google Cloud for a user.
    pub login: Option<Arc<dyn DatabaseLogin>>,
    /// What jobs may name.
    pub rules: JobRules,
    /// How long after its request a run may be planned and launched: until then, failures that may
    /// pass are tried again.
    pub planning_deadline: Duration,
    /// The planner's own URL, without a slash at the end.
    pub planner_url: String,
    /// The loader's URL, likewise.
    pub loader_url: String,
}

/// The planner as a service. Every method may be called any number of times at once, and killed at
/// any point: called again, it goes on from the documents that exist.
#[derive(Debug)]
pub struct Planner {
    ports: Ports,
    plannings: Semaphore,
}

/// What became of earlier copies of a request.
enum Before {
    /// No run was kept; a run of this number may be reserved.
    Nothing {
        /// The retry; 0 for the request itself.
        retry: u32,
    },
    /// The newest of the request and its retries led to this run.
    Run {
        /// The retry; 0 for the request itself.
        retry: u32,
        /// Its run.
        run: RunId,
        /// How far the run has come.
        stage: Stage,
    },
}

/// Why a request led to no run.
#[derive(Debug)]
pub(crate) enum Turned {
    /// The request is wrong, or asks for more than the operator allows, and would if it were sent
    /// again.
    Wrong(Error),
    /// Something else failed, so the request may succeed if it is sent again.
    Away(Error),
}

impl Turned {
    /// The error of reading something that the request itself names.
    pub(crate) fn of_request(error: Error) -> Self {
        match error.kind() {
            Kind::Invalid | Kind::NotFound | Kind::Data => Self::Wrong(error),
            Kind::Denied | Kind::Conflict | Kind::Transient | Kind::Bug => Self::Away(error),
        }
    }
}

impl Planner {
    /// A service that works with `ports`.
    pub fn new(ports: Ports) -> Self {
        Self { ports, plannings: Semaphore::new(PLANNINGS) }
    }

    /// Accepts a request: keeps it as a run, and has the run planned soon. The same request, sent
    /// again, leads to the same run, even if its job file has changed. One that asks for another
    /// try leads to a new run if the one before has failed.
    pub(crate) async fn accept(
        &self,
        request: &RunRequest,
        caller: &Caller,
    ) -> Result<(RunId, Stage), Turned> {
        if let Wanted::Inline(_) = request.job {
            self.ports.rules.check_inline(caller.email()).map_err(Turned::Wrong)?;
        }
        let key = request.reservation_key();
        let before = self.accepted_before(key.as_deref()).await.map_err(Turned::Away)?;
        let retry = match before {
            Before::Nothing { retry } => retry,
            Before::Run { retry, stage: Stage::Failed, .. } if request.retry => retry + 1,
            Before::Run { run, stage, .. } => {
                // The planner that kept it may have died before it asked.
                self.ports.checks.ask_for_plan(run).await.map_err(Turned::Away)?;
                tracing::info!(run = %run, "a request came again");
                return Ok((run, stage));
            }
        };
        let (job, document) = self.read_job(&request.job).await.map_err(Turned::of_request)?;
        self.open(&job.source).map_err(Turned::Wrong)?;
        self.ports.executions.check(&job.task_kind).map_err(Turned::Wrong)?;
        let key = key.as_deref().map(|key| (key, retry));
        let run = self.keep(request, key, document).await.map_err(Turned::Away)?;
        // The run may be further by now. It is not read: if that failed, a caller without a key
        // would send the request again.
        Ok((run, Stage::Planning))
    }

    /// What earlier copies of the request led to.
    async fn accepted_before(&self, key: Option<&str>) -> Result<Before> {
        let Some(key) = key else { return Ok(Before::Nothing { retry: 0 }) };
        let Some((retry, found)) = self.ports.bucket.newest_reservation(key).await? else {
            return Ok(Before::Nothing { retry: 0 });
        };
        if self.store(found.run).request().await?.is_none() {
            return Ok(Before::Nothing { retry });
        }
        Ok(Before::Run { retry, run: found.run, stage: self.stage(found.run).await? })
    }

    /// The job of a request, and its complete and valid document.
    async fn read_job(&self, wanted: &Wanted) -> Result<(Job, Value)> {
        let (name, mut document) = match wanted {
            Wanted::Inline(job) => ("request".to_owned(), job.clone()),
            Wanted::Named(name) => {
                let folder = self.ports.jobs.url.trim_end_matches('/');
                let url = format!("{folder}/{name}.yaml");
                let text = self.ports.jobs.job_file(name).await?.ok_or_else(|| {
                    Error::not_found(format!("find job `{name}`: there is no such job file"))
                        .hint(format!("put it at `{url}`, or send the job itself"))
                })?;
                let document = Job::parse(&url, &text)?;
                (url, document)
            }
        };
        if let Some(file) = document.as_object_mut() {
            file.entry("bucket").or_insert_with(|| Value::from(self.ports.bucket.url.as_str()));
        }
        let job = Job::from_value(&name, document.clone(), &strategy_names())?;
        let own = self.ports.bucket.url.trim_end_matches('/');
        if job.bucket.trim_end_matches('/') != own {
            return Err(Error::invalid(format!(
                "read job `{name}`: `bucket`: `{}` is not the planner's",
                job.bucket
            ))
            .hint(format!("leave `bucket` out, or write `{own}`")));
        }
        self.ports.targets.find(job.selection.target())?;
        Ok((job, document))
    }

    /// Keeps a request as a run. `key` is its key and the number of the retry.
    async fn keep(
        &self,
        request: &RunRequest,
        key: Option<(&str, u32)>,
        job: Value,
    ) -> Result<RunId> {
        let at = Utc::now();
        let own = Reservation { version: Reservation::VERSION, run: RunId::generate(), at };
        let run = match key {
            Some((key, retry)) => self.ports.bucket.reserve(key, retry, &own).await?.run,
            None => own.run,
        };
        let run_key = request.run_key();
        let document = Request { version: Request::VERSION, run, job, run_key, at };
        self.store(run).create_request(&document).await?;
        self.ports.checks.ask_for_plan(run).await?;
        tracing::info!(run = %run, run_key = document.run_key, "accepted a request");
        Ok(run)
    }

    /// Plans a run and launches it, or ends it if that cannot be done. When the deadline for
    /// planning has passed, a failure that may pass counts as permanent, unless tasks read already.
    /// `false` for a run without a request.
    ///
    /// # Errors
    /// If it has to be tried again.
    pub(crate) async fn plan(&self, run: RunId) -> Result<bool> {
        let store = self.store(run);
        let Some(request) = store.request().await? else { return Ok(false) };
        if let Some(verdict) = store.verdict().await? {
            self.conclude(&store, &request, &verdict).await?;
            return Ok(true);
        }
        let Err(error) = Box::pin(self.carry_on(&store, &request)).await else { return Ok(true) };
        let may_pass = matches!(error.kind(), Kind::Transient | Kind::Conflict);
        let deadline = self.ports.planning_deadline;
        let in_time = (Utc::now() - request.at).to_std().unwrap_or_default() < deadline;
        if may_pass && (in_time || store.claim(0).await?.is_some()) {
            return Err(error);
        }
        let error = if may_pass {
            let minutes = deadline.as_secs().div_ceil(60);
            error.during(format!("give up planning run `{run}` after {minutes} minutes"))
        } else {
            error
        };
        self.give_up(&store, &request, &error).await?;
        Ok(true)
    }

    async fn carry_on(&self, store: &RunStore, request: &Request) -> Result<()> {
        let manifest = match store.manifest().await {
            Ok(manifest) => manifest,
            Err(error) if error.kind() == Kind::NotFound => {
                Box::pin(self.write_manifest(store, request)).await?
            }
            Err(error) => return Err(error),
        };
        // After the plan: a run without one says nothing to those that come after it.
        remember(&self.ports.bucket, &manifest).await;
        cloud_run::launch(store, &manifest, &*self.ports.executions, &*self.ports.checks).await
    }

    /// Plans a run and writes its manifest, or reads the one that another planner wrote first.
    async fn write_manifest(&self, store: &RunStore, request: &Request) -> Result<Manifest> {
        let begun = std::time::Instant::now();
        let place = tokio::time::timeout(LONGEST_WAIT, self.plannings.acquire()).await;
        // The semaphore is closed only with the service.
        let _place = place.map_err(|_| {
            Error::transient(format!(
                "plan run `{}`: {PLANNINGS} other runs are being planned",
                request.run
            ))
            .hint("let the planner have more instances, so that more runs are planned at once")
        })?;
        let job = Job::from_value("request", request.job.clone(), &strategy_names())?;
        let (name, progress) = (job.name.clone(), Progress::default());
        let planning = Box::pin(self.plan_job(request.run, job, &progress));
        let planning = async {
            let manifest = planning.await?;
            progress.comes_to("write the manifest".to_owned());
            match store.create_manifest(&manifest).await? {
                Created::First => Ok((manifest, true)),
                Created::Lost => Ok((store.manifest().await?, false)),
            }
        };
        let (manifest, own) = limited(request.run, &name, &progress, planning).await?;
        if !own {
            return Ok(manifest);
        }
        tracing::info!(
            run = %request.run,
            job = manifest.job,
            tables = manifest.tables.len(),
            units = manifest.unit_count(),
            tasks = manifest.tasks.len(),
            rows = manifest.estimate.rows,
            seconds = begun.elapsed().as_secs_f64(),
            "planned a run"
        );
        Ok(manifest)
    }

    /// The plan of a run, as its targets and the platform allow it.
    async fn plan_job(&self, run: RunId, mut job: Job, progress: &Progress) -> Result<Manifest> {
        progress.comes_to("ask how many tasks run at once".to_owned());
        let terms = self.ports.executions.tasks(&job.task_kind).await?;
        job.limits.max_tasks = job.limits.max_tasks.min(self.most_tasks(terms));
        let source = self.open(&job.source)?;
        let targets = TargetCheck::ToRun(&self.ports.targets);
        let mut manifest = survey_and_cut(run, &job, source, targets, progress).await?;
        price::of_deployment(&mut manifest, terms);
        manifest.least_tls = self.ports.rules.sluice_source_tls;
        progress.comes_to("look at the job's last run".to_owned());
        name_dropped(&self.ports.bucket, &job, &mut manifest).await?;
        Ok(manifest)
    }

    /// Opens a job's source, if the job may name it. Connects to nothing.
    fn open(&self, source: &str) -> Result<Arc<dyn Source>> {
        let Ports { rules, variable, login, .. } = &self.ports;
        rules.open(source, variable, login.as_ref())
    }

    /// Most tasks of a plan: a task that starts only when another one ends would miss the run's
    /// snapshot, and the others would wait for it in vain.
    fn most_tasks(&self, terms: TaskTerms) -> u32 {
        let limits = [terms.parallelism, self.ports.most_tasks];
        limits.into_iter().flatten().min().unwrap_or(USUAL_PARALLELISM)
    }

    fn store(&self, run: RunId) -> RunStore {
        RunStore::new(self.ports.bucket.clone(), run)
    }
}
