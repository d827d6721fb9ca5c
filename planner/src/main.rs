//! The planner service's container.

use std::process::ExitCode;
use std::sync::Arc;

use sluice_contracts::Result;
use sluice_contracts::ports::Announcer;
use sluice_planner::service::{Ports, Service};
use sluice_planner::{Config, http, variable};
use sluice_runtime::google::Endpoints;
use sluice_runtime::google::announcer::PubSub;
use sluice_runtime::google::checks::{CloudTasks, QueueConfig};
use sluice_runtime::google::executions::CloudRun;
use sluice_runtime::http::{Callers, Traces, serve};
use sluice_runtime::report;
use sluice_runtime::storage::open_bucket;
use sluice_runtime::telemetry::{self, Audience};
use sluice_targets::{BigQuery, Targets};

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::init(Audience::Machine);
    match Box::pin(answer_requests()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error, Audience::Machine),
    }
}

async fn answer_requests() -> Result<()> {
    let config = Config::from_env()?;
    let callers = Callers::from_env(config.planner_url())?;
    let endpoints = Endpoints::from_env()?;
    let announcer: Option<Arc<dyn Announcer>> = match &config.sluice_topic {
        Some(topic) => Some(Arc::new(PubSub::new(&endpoints, topic).await?)),
        None => None,
    };
    let service = Service::new(Ports {
        bucket: open_bucket(&config.sluice_bucket)?,
        jobs: open_bucket(&config.jobs_url())?,
        executions: Arc::new(CloudRun::new(&endpoints, &config.sluice_extractor_job).await?),
        parallelism: config.sluice_parallelism,
        checks: Arc::new(CloudTasks::new(&endpoints, &QueueConfig::from_env()?).await?),
        announcer,
        targets: Targets::open(&[&BigQuery]).await?,
        variable,
        planner_url: config.planner_url().to_owned(),
        loader_url: config.loader_url().to_owned(),
    });
    serve(http::router(Arc::new(service), callers, Traces::from_env()?), config.port).await
}
