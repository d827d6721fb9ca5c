//! The Cloud Run Job's container.

use std::process::ExitCode;

use sluice_extractor::Config;

#[tokio::main]
async fn main() -> ExitCode {
    sluice_runtime::telemetry::start_service();
    sluice_runtime::report::finish_service(extract().await)
}

async fn extract() -> sluice_contracts::Result<()> {
    let config = Config::from_env()?;
    let bucket = sluice_runtime::storage::open_bucket(&config.bucket_url()?)?;
    sluice_extractor::run(config, bucket).await
}
