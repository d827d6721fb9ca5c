//! The Cloud Run Job's container.

use std::process::ExitCode;

use sluice_extractor::Config;
use sluice_runtime::report;
use sluice_runtime::telemetry::{self, Audience};

#[tokio::main]
async fn main() -> ExitCode {
    telemetry::init(Audience::Machine);
    match extract().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error, Audience::Machine),
    }
}

async fn extract() -> sluice_contracts::Result<()> {
    let config = Config::from_env()?;
    let bucket = sluice_runtime::storage::find_bucket(&config.bucket_url()?)?;
    sluice_extractor::run(config, bucket, None).await
}
