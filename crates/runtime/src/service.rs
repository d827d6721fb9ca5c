//! What the planner and the loader share as Cloud Run services: the settings that both have, the
//! adapters of Google's services, and the service's start and end.

use std::ops::RangeInclusive;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use serde::Deserialize;
use sluice_contracts::error::Doing as _;
use sluice_contracts::ports::{Announcer, Checks, Executions};
use sluice_contracts::{Error, Kind, Result};

use crate::google::Endpoints;
use crate::google::announcer::PubSub;
use crate::google::checks::{CloudTasks, QueueConfig};
use crate::google::executions::{CloudRun, TaskJobs};
use crate::http::serve;
use crate::telemetry::{self, Audience};
use crate::{list, report};

/// The settings that every service has.
#[derive(Debug, Deserialize)]
struct ServiceConfig {
    /// `PORT`: the port for requests, set by Cloud Run.
    #[serde(default = "usual_port")]
    port: u16,
    /// `SLUICE_BUCKET`: URL of the bucket, with its prefix, that holds all runs.
    sluice_bucket: String,
    /// `SLUICE_EXTRACTOR_JOB`: the Cloud Run Job whose executions carry runs out,
    /// `projects/<project>/locations/<location>/jobs/<job>`.
    sluice_extractor_job: String,
    /// `SLUICE_EXTRACTOR_JOBS`: Cloud Run Jobs of the same region for other kinds of tasks, each as
    /// `KIND=JOB`: `large=sluice-extractor-large,delayed=sluice-extractor-delayed`.
    #[serde(default, deserialize_with = "list::deserialize")]
    sluice_extractor_jobs: Vec<String>,
    /// `SLUICE_TOPIC`: the Pub/Sub topic that each run's end is announced to.
    sluice_topic: Option<String>,
    /// `SLUICE_TASK_TIMEOUT`: how long an attempt of a task may take, as `90m`.
    #[serde(default = "usual_task_timeout")]
    sluice_task_timeout: String,
}

/// Cloud Run's limits of a task's timeout.
/// <https://cloud.google.com/run/docs/configuring/task-timeout>
const TASK_TIMEOUTS: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_hours(7 * 24);

impl ServiceConfig {
    fn task_timeout(&self) -> Result<Duration> {
        let typed = &self.sluice_task_timeout;
        let timeout = read_duration("SLUICE_TASK_TIMEOUT", typed)?;
        if !TASK_TIMEOUTS.contains(&timeout) || timeout.subsec_nanos() != 0 {
            let what =
                format!("read `SLUICE_TASK_TIMEOUT`: `{typed}` is not a timeout of Cloud Run");
            return Err(Error::invalid(what).hint(
                "a task's timeout is 1 second to 7 days, in whole seconds; the default is `24h`",
            ));
        }
        Ok(timeout)
    }
}

/// As the loader's deadline for a run: a task never outlives what its run may take.
fn usual_task_timeout() -> String {
    "24h".to_owned()
}

fn usual_port() -> u16 {
    8080
}

fn invalid(source: envy::Error) -> Error {
    Error::invalid("read the service's environment")
        .because(source)
        .hint("`SLUICE_BUCKET` and `SLUICE_EXTRACTOR_JOB` have to be set; see docs/services.md")
}

/// What a service uses, as its environment names it.
#[derive(Debug)]
pub struct Service {
    /// URL of the bucket that holds all runs.
    pub bucket_url: String,
    /// Where tasks run.
    pub executions: Arc<dyn Executions>,
    /// The queue that calls the planner and the loader.
    pub checks: Arc<dyn Checks>,
    /// URL of the loader.
    pub loader_url: String,
    /// Announces each run's end, if a topic is set.
    pub announcer: Option<Arc<dyn Announcer>>,
    /// The port that it listens on.
    pub port: u16,
}

impl Service {
    /// Reads the environment, and makes a client of each of Google's services.
    ///
    /// # Errors
    /// `Invalid` if a variable is missing or not valid.
    pub async fn from_env() -> Result<Self> {
        let config: ServiceConfig = envy::from_env().map_err(invalid)?;
        let (endpoints, queue) = (Endpoints::from_env()?, QueueConfig::from_env()?);
        let announcer: Option<Arc<dyn Announcer>> = match &config.sluice_topic {
            Some(topic) => Some(Arc::new(PubSub::new(&endpoints, topic).await?)),
            None => None,
        };
        let jobs = TaskJobs::new(&config.sluice_extractor_job, &config.sluice_extractor_jobs)?;
        let executions = CloudRun::new(&endpoints, jobs, config.task_timeout()?).await?;
        Ok(Self {
            bucket_url: config.sluice_bucket,
            executions: Arc::new(executions),
            checks: Arc::new(CloudTasks::new(&endpoints, &queue).await?),
            loader_url: queue.sluice_loader_url,
            announcer,
            port: config.port,
        })
    }
}

/// Reads the value of a variable that is a duration, such as `90m`.
///
/// # Errors
/// `Invalid` if it is not.
pub fn read_duration(variable: &str, typed: &str) -> Result<Duration> {
    humantime::parse_duration(typed)
        .doing(Kind::Invalid, || format!("read `{variable}`: `{typed}`"))
        .map_err(|error| error.hint("write a duration such as `24h` or `90m`"))
}

/// Runs a service to its end. Its logs are for machines, and a failure decides the exit code.
pub async fn run(router: impl Future<Output = Result<(Router, u16)>>) -> ExitCode {
    telemetry::init(Audience::Machine);
    let served = async {
        let (router, port) = router.await?;
        serve(router, port).await
    };
    match Box::pin(served).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error, Audience::Machine),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<ServiceConfig> {
        let all = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        envy::from_iter(all).map_err(invalid)
    }

    #[test]
    fn a_task_timeout_is_one_that_cloud_run_takes() {
        let needed = [("SLUICE_BUCKET", "gs://lake"), ("SLUICE_EXTRACTOR_JOB", "j")];
        let of = |typed| {
            let [bucket, job] = needed;
            read(&[bucket, job, ("SLUICE_TASK_TIMEOUT", typed)]).unwrap().task_timeout()
        };
        assert_eq!(read(&needed).unwrap().task_timeout().unwrap(), Duration::from_hours(24));
        assert_eq!(of("90m").unwrap(), Duration::from_mins(90));
        assert_eq!(of("7days").unwrap(), Duration::from_hours(168));
        for wrong in ["soon", "", "600", "0s", "1500ms", "169h"] {
            let error = of(wrong).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{wrong}");
            assert!(error.chain().contains("`SLUICE_TASK_TIMEOUT`"), "{}", error.chain());
            assert!(error.remedy().is_some(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_set_has_a_default_or_is_named() {
        let config = read(&[("SLUICE_BUCKET", "gs://lake"), ("SLUICE_EXTRACTOR_JOB", "j")]);
        let config = config.unwrap();
        assert_eq!((config.port, config.sluice_topic.as_deref()), (8080, None));
        let error = read(&[("SLUICE_EXTRACTOR_JOB", "j")]).unwrap_err();
        assert!(error.chain().contains("sluice_bucket"), "{}", error.chain());
        assert!(error.remedy().is_some_and(|hint| hint.contains("docs/services.md")));
    }
}
