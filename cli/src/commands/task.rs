//! `sluice task`: what Cloud Run starts, with this program as its image.

use std::process::ExitCode;

use rustix::process::{Signal, set_parent_process_death_signal};
use sluice_contracts::Result;
use sluice_extractor::Config;
use sluice_runtime::report;
use sluice_runtime::telemetry::{self, Audience};

/// Runs one task, and speaks as the extractor does.
pub(crate) async fn task() -> ExitCode {
    telemetry::init(Audience::Machine);
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error, Audience::Machine),
    }
}

async fn run() -> Result<()> {
    // A run that is killed takes its tasks with it; they end as if they had been asked to.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        tracing::debug!("the task will outlive its run: {error}");
    }
    let config = Config::from_env()?;
    let bucket = sluice_runtime::storage::find_bucket(&config.bucket_url()?)?;
    sluice_extractor::run(config, bucket).await
}
