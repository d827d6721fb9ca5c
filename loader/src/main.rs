//! The Cloud Run service that is called when a run may be complete.

use std::process::ExitCode;
use std::sync::Arc;

use sluice_loader::{Loader, LoaderConfig};
use sluice_runtime::http::{Callers, Traces};
use sluice_runtime::service;
use sluice_runtime::storage::find_bucket;
use sluice_targets::{BigQuery, Targets};

#[tokio::main]
async fn main() -> ExitCode {
    service::run(async {
        let config = LoaderConfig::from_env()?;
        let shared = service::Service::from_env().await?;
        let callers = Callers::from_env(&shared.loader_url)?;
        let (traces, port) = (Traces::from_env()?, shared.port);
        let loader = Loader {
            executions: shared.executions,
            checks: shared.checks,
            announcer: shared.announcer,
            bucket: find_bucket(&shared.bucket_url)?,
            targets: Targets::open(&[&BigQuery]).await?,
            deadline: config.deadline()?,
            patience: config.patience()?,
        };
        let router = sluice_loader::router(Arc::new(loader));
        let router = traces.follow(callers.guard(router)).merge(sluice_loader::health());
        Ok((router, port))
    })
    .await
}
