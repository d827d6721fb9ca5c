//! `sluice plan`: what a run would do.

use sluice_contracts::Result;
use sluice_planner::TargetCheck;

use super::job::{read_job, tell_of_schedule};
use super::target::{check_places, open_targets};
use crate::answer::Answer;
use crate::arguments::Plan;
use crate::execution::plan_shown;
use crate::render::plan::{PlanReport, render};

pub(crate) async fn plan(options: &Plan) -> Result<Answer> {
    let mut job = read_job(&options.job, options.bucket.as_deref())?;
    tell_of_schedule(job.schedule.is_some());
    job.limits.max_tasks = options.max_tasks.unwrap_or(job.limits.max_tasks);
    check_places(&job)?;
    let targets = open_targets(job.selection.target()).await;
    let mut manifest = plan_shown(&job, TargetCheck::ToShow(&targets)).await?;
    // Before the first run there is no bucket to look into, and a plan can be made without one.
    if let Ok(bucket) = sluice_runtime::storage::find_bucket(&job.bucket)
        && let Err(error) = sluice_planner::name_dropped(&bucket, &job, &mut manifest).await
    {
        tracing::warn!("could not read the last run: {}", error.chain());
    }
    Answer::new(&PlanReport::of(&manifest), render(&manifest))
}
