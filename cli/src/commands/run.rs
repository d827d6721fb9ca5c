//! `sluice run`: a job, carried out.

use sluice_contracts::Result;

use super::job::{read_job, tell_of_schedule};
use crate::answer::Answer;
use crate::arguments::Run;
use crate::execution::{Again, Finished, Planned};
use crate::render::run::render;

pub(crate) async fn run(options: &Run) -> Result<Answer> {
    let mut job = read_job(&options.job, options.bucket.as_deref())?;
    tell_of_schedule(job.schedule.is_some());
    job.limits.max_tasks = options.max_tasks.unwrap_or(job.limits.max_tasks);
    let run = Planned::run(&job, options.resume).await?;
    let again = Again::Run { job: &options.job, bucket: options.bucket.as_deref() };
    answer(run.carry_out(again).await?)
}

/// The answer for a run that has ended.
pub(super) fn answer(finished: Finished) -> Result<Answer> {
    // A run that failed in part still has something to show.
    let shown = finished.report.tables.iter().any(|table| table.state.is_settled());
    let text = if shown { render(&finished.report) } else { String::new() };
    Ok(Answer::new(&finished.report, text)?.because(finished.error))
}
