//! `sluice status`: how far a run has come, from its documents or from its planner.

use sluice_contracts::documents::RunId;
use sluice_contracts::{Error, Result};
use sluice_runtime::storage::find_bucket;

use super::job::read_job;
use crate::answer::Answer;
use crate::arguments::Status;
use crate::planner::Planner;
use crate::watch::{DocumentsWindow, PlannerWindow, Window, follow};

pub(crate) async fn status(options: &Status) -> Result<Answer> {
    let mut window = window(options)?;
    if options.watch {
        return follow(window.as_mut()).await;
    }
    // To show a failed run is not a failure.
    Ok(window.observe().await?.answer)
}

fn window(options: &Status) -> Result<Box<dyn Window>> {
    let run = options.run;
    let bucket = match (&options.job, &options.bucket, &options.planner) {
        (Some(job), _, _) => read_job(job, None)?.bucket,
        (None, Some(url), _) => url.clone(),
        (None, None, Some(url)) => {
            return Ok(Box::new(PlannerWindow::new(Planner::at(url)?, run)));
        }
        (None, None, None) => return Err(nowhere(run)),
    };
    Ok(Box::new(DocumentsWindow::new(find_bucket(&bucket)?, run)))
}

fn nowhere(run: RunId) -> Error {
    Error::invalid(format!("find run `{run}`: nothing says where to look"))
        .hint("add `--bucket URL`, `--job JOB` or `--planner URL`, or set `SLUICE_BUCKET` or `SLUICE_PLANNER`")
}
