//! The Cloud Run service that is called when a run may be complete.

use std::process::ExitCode;
use std::sync::Arc;

use sluice_contracts::Result;
use sluice_contracts::ports::Announcer;
use sluice_loader::{Config, Service};
use sluice_runtime::google::Endpoints;
use sluice_runtime::google::announcer::PubSub;
use sluice_runtime::google::checks::{CloudTasks, QueueConfig};
use sluice_runtime::google::executions::CloudRun;
use sluice_runtime::http::{Callers, Traces, serve};
use sluice_runtime::report;
use sluice_runtime::storage::find_bucket;
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
    let endpoints = Endpoints::from_env()?;
    let queue = QueueConfig::from_env()?;
    let callers = Callers::from_env(&queue.sluice_loader_url)?;
    let traces = Traces::from_env()?;
    let announcer: Option<Arc<dyn Announcer>> = match &config.sluice_topic {
        Some(topic) => Some(Arc::new(PubSub::new(&endpoints, topic).await?)),
        None => None,
    };
    let service = Service {
        executions: Arc::new(CloudRun::new(&endpoints, &config.sluice_extractor_job).await?),
        checks: Arc::new(CloudTasks::new(&endpoints, &queue).await?),
        announcer,
        bucket: find_bucket(&config.sluice_bucket)?,
        targets: Targets::open(&[&BigQuery]).await?,
        deadline: config.deadline()?,
    };
    let router = sluice_loader::router(Arc::new(service));
    let router = traces.follow(callers.guard(router)).merge(sluice_loader::health());
    serve(router, config.port).await
}
