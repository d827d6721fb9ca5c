//! The Cloud Run Job's container.

use std::process::ExitCode;
use std::sync::Arc;

use sluice_contracts::ports::Checks;
use sluice_extractor::TaskConfig;
use sluice_runtime::google::Endpoints;
use sluice_runtime::google::checks::{CloudTasks, QueueConfig};
use sluice_runtime::telemetry::{self, Audience};
use sluice_runtime::{login, report};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    telemetry::init(Audience::Machine);
    match extract().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error, Audience::Machine),
    }
}

async fn extract() -> sluice_contracts::Result<()> {
    let config = TaskConfig::from_env()?;
    let bucket = sluice_runtime::storage::find_bucket(&config.bucket_url()?)?;
    sluice_extractor::run(config, bucket, checks().await?, login::own_account()).await
}

/// Where the loader is asked to check the run; nowhere if no queue is set.
async fn checks() -> sluice_contracts::Result<Option<Arc<dyn Checks>>> {
    let Some(queue) = QueueConfig::if_set()? else { return Ok(None) };
    Ok(Some(Arc::new(CloudTasks::new(&Endpoints::from_env()?, &queue).await?)))
}
