//! `sluice task`: what Cloud Run starts, with this program as its image.

use std::process::ExitCode;

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
use sluice_contracts::{Error, Result};
use sluice_extractor::TaskConfig;
use sluice_runtime::telemetry::{self, Audience};
use sluice_runtime::{login, report};

use crate::launch::PARENT;

/// The argument that makes the program a task.
pub(crate) const NAME: &str = "task";

/// Runs one task, and speaks as the extractor does.
pub(crate) async fn task() -> ExitCode {
    telemetry::init(Audience::Machine);
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => report::failed(&error, Audience::Machine),
    }
}

/// Whether the run that started this task has died: another process is its parent then.
#[expect(clippy::disallowed_methods, reason = "a task's settings come from the environment")]
fn is_orphan() -> bool {
    let started_by = std::env::var(PARENT).ok().and_then(|id| id.parse::<i32>().ok());
    let parent = getppid().map(Pid::as_raw_nonzero).map(std::num::NonZeroI32::get);
    started_by.is_some_and(|run| parent != Some(run))
}

async fn run() -> Result<()> {
    // If the run is killed, its tasks get SIGTERM, and end as if they had been asked to.
    if let Err(error) = set_parent_process_death_signal(Some(Signal::TERM)) {
        tracing::debug!("the task will outlive its run: {error}");
    }
    // The signal is for later deaths; the run may have died before this process asked for it.
    if is_orphan() {
        return Err(Error::transient("run a task: its run is gone"));
    }
    let config = TaskConfig::from_env()?;
    let bucket = sluice_runtime::storage::find_bucket(&config.bucket_url()?)?;
    sluice_extractor::run(config, bucket, None, login::own_account()).await
}
