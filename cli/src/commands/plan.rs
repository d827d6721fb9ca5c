//! `sluice plan`: what a run would do.

use sluice_contracts::Result;

use super::job::{open_sink, open_source, read_job};
use crate::answer::Answer;
use crate::arguments::Plan;
use crate::render::plan::{PlanReport, render};

pub(crate) async fn plan(options: &Plan) -> Result<Answer> {
    let mut job = read_job(&options.job)?;
    job.limits.max_tasks = options.max_tasks.unwrap_or(job.limits.max_tasks);
    sluice_runtime::storage::check_bucket(&job.bucket)?;
    open_sink(job.selection.target())?;
    let mut manifest = sluice_planner::plan(&job, open_source(&job.source)?).await?;
    // Before the first run there is no bucket to look into.
    if let Ok(bucket) = sluice_runtime::storage::find_bucket(&job.bucket) {
        sluice_planner::name_dropped(&bucket, &job, &mut manifest).await?;
    }
    let run = manifest.run;
    for table in &mut manifest.tables {
        if let Err(error) = open_sink(&table.target)?.check(run, table).await {
            table.warnings.push(format!("a run would be refused now: {}", error.chain()));
        }
    }
    Answer::new(&PlanReport::of(&manifest), render(&manifest))
}
