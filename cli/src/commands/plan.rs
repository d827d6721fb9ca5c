//! `sluice plan`: what a run would do.

use sluice_contracts::documents::{RunId, Table};
use sluice_contracts::{Error, Result};
use sluice_targets::Targets;

use super::job::{read_job, tell_of_schedule};
use super::target::{check_places, open_targets};
use crate::answer::Answer;
use crate::arguments::Plan;
use crate::execution::plan_shown;
use crate::render::plan::{PlanReport, render};

pub(crate) async fn plan(options: &Plan) -> Result<Answer> {
    let mut job = read_job(&options.job)?;
    tell_of_schedule(job.schedule.is_some());
    job.limits.max_tasks = options.max_tasks.unwrap_or(job.limits.max_tasks);
    check_places(&job)?;
    let mut manifest = plan_shown(&job).await?;
    // Before the first run there is no bucket to look into, and a plan can be made without one.
    if let Ok(bucket) = sluice_runtime::storage::find_bucket(&job.bucket)
        && let Err(error) = sluice_planner::name_dropped(&bucket, &job, &mut manifest).await
    {
        tracing::warn!("could not read the last run: {}", error.chain());
    }
    let targets = open_targets(&manifest).await;
    let run = manifest.run;
    let refused = |why: String| format!("a run would be refused now: {why}");
    if let Ok(targets) = &targets {
        let checked = targets.check_bucket(&manifest).await;
        let warnings = checked.unwrap_or_else(|error| vec![refused(with_hint(&error))]);
        manifest.warnings.extend(warnings);
    }
    for table in &mut manifest.tables {
        match check_target(&targets, run, table).await {
            Ok(warnings) => table.warnings.extend(warnings),
            Err(why) => table.warnings.push(refused(why)),
        }
    }
    Answer::new(&PlanReport::of(&manifest), render(&manifest))
}

fn with_hint(error: &Error) -> String {
    match error.remedy() {
        Some(hint) => format!("{}; {hint}", error.chain()),
        None => error.chain(),
    }
}

/// Warnings about what a load would do to a table's target, or why it would be refused.
async fn check_target(
    targets: &Result<Targets>,
    run: RunId,
    table: &Table,
) -> Result<Vec<String>, String> {
    let targets = targets.as_ref().map_err(with_hint)?;
    let checked = match targets.find(&table.target) {
        Ok(target) => target.check(run, table).await,
        Err(error) => Err(error),
    };
    checked.map_err(|error| with_hint(&error))
}
