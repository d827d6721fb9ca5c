//! The planner service's container.

use std::process::ExitCode;
use std::sync::Arc;

use sluice_planner::service::{Planner, Ports};
use sluice_planner::{JobRules, PlannerConfig, http, variable};
use sluice_runtime::http::{Callers, Traces};
use sluice_runtime::service;
use sluice_runtime::storage::open_bucket;
use sluice_targets::{BigQuery, Targets};

#[tokio::main]
async fn main() -> ExitCode {
    service::run(async {
        let config = PlannerConfig::from_env()?;
        let shared = service::Service::from_env().await?;
        let callers = Callers::from_env(config.planner_url())?;
        let port = shared.port;
        let planner = Planner::new(Ports {
            jobs: open_bucket(&config.jobs_url(&shared.bucket_url))?,
            bucket: open_bucket(&shared.bucket_url)?,
            executions: shared.executions,
            most_tasks: config.sluice_parallelism,
            checks: shared.checks,
            announcer: shared.announcer,
            targets: Targets::open(&[&BigQuery]).await?,
            variable,
            login: sluice_runtime::login::own_account(),
            rules: JobRules::from_env()?,
            planning_deadline: config.planning_deadline()?,
            planner_url: config.planner_url().to_owned(),
            loader_url: shared.loader_url.trim_end_matches('/').to_owned(),
        });
        Ok((http::router(Arc::new(planner), callers, Traces::from_env()?), port))
    })
    .await
}
