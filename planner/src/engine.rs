//! Which engine moves a table, and what is known of the others.

use sluice_contracts::documents::{
    DataflowWorkers, Engine, EngineChoice, EngineEstimate, EngineOption, Estimate, Table,
};
use sluice_contracts::job::{DataflowSize, Job};
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;
use sluice_sources::{Description, NativeSource};
use sluice_targets::{DataflowTerms, NativeAnswer};

use crate::pack::wanted_tasks;
use crate::price;
use crate::target_check::TargetCheck;

/// What is lost where the target takes the rows by itself.
const WITHOUT_PARTS: &str = "no part files: the run is not loaded again from them, and their checksums \
                             are missing";
/// What is lost where tasks read the rows.
const WITH_TASKS: &str = "every row leaves the source and comes back by way of the bucket";
/// Seconds until the first task of an execution reads, and those of a load: assumed, because Cloud Run
/// and BigQuery promise neither.
const START_AND_LOAD: f64 = 30.0;
/// What is lost where Dataflow brings the rows of the parts.
const WITH_DATAFLOW: &str = "what BigQuery does by itself in less time, and for less: it is for a `dedup` whose \
                             query would not end within 6 hours";

/// Chooses the engine of a planned table, or holds the job's own choice against what can be done.
/// The table has its native query, if the source has one.
///
/// # Errors
/// `Invalid` if the engine that the job asks for cannot move the table, or none can.
pub(crate) async fn choose(
    job: &Job,
    table: &Table,
    description: &Description,
    targets: TargetCheck<'_>,
) -> Result<EngineChoice> {
    let native = native(table, &description.native, targets).await?;
    let loss = match &description.native {
        NativeSource::Inexact { loss, .. } => Some(loss.as_str()),
        _ => None,
    };
    let answer = targets.dataflow(table, &workers(job, table.rows)).await?;
    let unreadable = description.unreadable.as_deref();
    let dataflow = match unreadable {
        None => answer.dataflow,
        Some(unreadable) => Err(unreadable.to_owned()),
    };
    let too_large = dataflow.as_ref().ok().and_then(|terms| too_large(job, table, terms));
    let (engine, reason) = match (job.engine, &native, unreadable) {
        (None, ..) if let Some(too_large) = too_large => (Engine::Dataflow, too_large),
        (None, Ok(_), None) if loss.is_some() => (
            Engine::CloudRun,
            "tasks read every value exactly, which the target does not".to_owned(),
        ),
        (None, Ok((how, _)), _) => {
            (Engine::Native, format!("the target takes the rows by {how}: nothing is extracted"))
        }
        (None, Err(why), None) => (Engine::CloudRun, format!("tasks read the rows, because {why}")),
        (None, Err(why), Some(unreadable)) => {
            return Err(Error::invalid(format!(
                "plan table `{}`: no engine can move it: {why}, and {unreadable}",
                table.name
            ))
            .hint("leave the column out with `source.columns`, or read it by a `source.query`"));
        }
        (Some(Engine::Native), Err(why), _) => {
            return Err(refused(table, Engine::Native, why));
        }
        (Some(Engine::CloudRun), _, Some(unreadable)) => {
            return Err(refused(table, Engine::CloudRun, unreadable));
        }
        (Some(Engine::Dataflow), ..) if let Err(why) = &dataflow => {
            return Err(refused(table, Engine::Dataflow, why));
        }
        (Some(engine), ..) => (engine, format!("the job asks for `engine: {}`", engine.name())),
    };
    let native = match native {
        Ok((_, estimate)) => {
            let remark = loss.map_or_else(
                || WITHOUT_PARTS.to_owned(),
                |loss| format!("{loss}; there are {WITHOUT_PARTS}"),
            );
            option(Engine::Native, Some(estimate + answer.by_query), &remark)
        }
        Err(why) => option(Engine::Native, None, &why),
    };
    let by_tasks = by_tasks(job, description);
    let cloud_run = match unreadable {
        None => option(Engine::CloudRun, Some(by_tasks + answer.by_query), WITH_TASKS),
        Some(unreadable) => option(Engine::CloudRun, None, unreadable),
    };
    let dataflow = match dataflow {
        Ok(terms) => option(Engine::Dataflow, Some(by_tasks + terms.estimate), WITH_DATAFLOW),
        Err(why) => option(Engine::Dataflow, None, &why),
    };
    Ok(EngineChoice { engine, reason, options: vec![native, cloud_run, dataflow] })
}

/// By what the target takes the rows of a planned table itself, with what that takes, or why it does not.
async fn native(
    table: &Table,
    source: &NativeSource,
    targets: TargetCheck<'_>,
) -> Result<Result<(&'static str, EngineEstimate), String>> {
    let unknown = "the target cannot read this source by itself";
    let missing = match source {
        NativeSource::Absent => return Ok(Err(unknown.to_owned())),
        NativeSource::Refused(why) => why,
        NativeSource::Exact(_) | NativeSource::Inexact { .. } => unknown,
    };
    // A target that takes nothing by itself has another reason than the source.
    Ok(match targets.native(table).await? {
        NativeAnswer::Takes { how, estimate } => Ok((how, estimate)),
        NativeAnswer::Misses => Err(missing.to_owned()),
        NativeAnswer::Refuses(why) => Err(why),
    })
}

/// The workers of Dataflow for a table of so many rows.
pub(crate) fn workers(job: &Job, rows: u64) -> DataflowWorkers {
    let size = job.dataflow.size.unwrap_or_else(|| DataflowSize::for_rows(rows));
    size.workers(job.dataflow.flexrs)
}

/// Why a table that keeps one row of each key is too large for a query, if it is.
fn too_large(job: &Job, table: &Table, terms: &DataflowTerms) -> Option<String> {
    table.write.dedup.as_ref()?;
    let above_rows = job.dataflow.above_rows.or(terms.above_rows);
    let above_bytes = job.dataflow.above_bytes.unwrap_or(terms.above_bytes);
    let (has, setting, most) = match above_rows {
        Some(most) if table.rows > most => {
            (format!("{} rows", thousands(table.rows)), "above_rows", thousands(most))
        }
        _ if table.bytes > above_bytes => {
            (format!("{} bytes", thousands(table.bytes)), "above_bytes", thousands(above_bytes))
        }
        _ => return None,
    };
    Some(format!(
        "Dataflow keeps one row of each key: the table has {has}, and `dataflow.{setting}` is {most}"
    ))
}

fn option(engine: Engine, estimate: Option<EngineEstimate>, remark: &str) -> EngineOption {
    EngineOption { engine, estimate, remark: remark.to_owned() }
}

fn refused(table: &Table, engine: Engine, why: &str) -> Error {
    let engine = engine.name();
    Error::invalid(format!("plan table `{}`: `engine: {engine}` cannot move it: {why}", table.name))
        .hint("leave `engine` out: the plan then chooses one, and says what each would take")
}

/// What tasks take, as many as the work wants, with what the source charges.
fn by_tasks(job: &Job, description: &Description) -> EngineEstimate {
    let work = price::seconds_of_rows(description.rows(), description.bytes());
    let tasks = wanted_tasks(work, &job.limits);
    let seconds = work / f64::from(tasks);
    let bill = Estimate::bill((0..tasks).map(|_| seconds), Estimate::USUAL_PRICE);
    EngineEstimate { seconds: START_AND_LOAD + seconds, dollars: bill + description.dollars }
}
