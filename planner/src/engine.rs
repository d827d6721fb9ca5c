//! Which engine moves a table, and what is known of the others.

use sluice_contracts::documents::{
    Engine, EngineChoice, EngineEstimate, EngineOption, Estimate, Table,
};
use sluice_contracts::job::Limits;
use sluice_contracts::{Error, Result};
use sluice_targets::NativeAnswer;

use crate::pack::wanted_tasks;
use crate::price;
use crate::target_check::TargetCheck;

/// What is lost where the target takes the rows by itself.
const WITHOUT_PARTS: &str = "no part files: the run is not loaded again from them, and their checksums \
                             are missing";
/// What is lost where tasks read the rows.
const WITH_TASKS: &str = "every row leaves the source and comes back by way of the bucket";
/// Why no table is handed to Dataflow.
const NO_DATAFLOW: &str = "this build hands no table to Dataflow";

/// Chooses the engine of a planned table, or holds the job's own choice against what can be done.
/// The table has its native query, if the source has one.
///
/// # Errors
/// `Invalid` if the engine that the job asks for cannot move the table.
pub(crate) async fn choose(
    wanted: Option<Engine>,
    table: &Table,
    limits: &Limits,
    targets: TargetCheck<'_>,
) -> Result<EngineChoice> {
    let native = match &table.native {
        Some(_) => targets.native(table).await?,
        None => NativeAnswer::Refuses("the target cannot read this source by itself".to_owned()),
    };
    let by_tasks = by_tasks(table, limits);
    let (engine, reason) = match (wanted, &native) {
        (None, NativeAnswer::Takes { how, .. }) => {
            (Engine::Native, format!("the target takes the rows by {how}: nothing is extracted"))
        }
        (None, NativeAnswer::Refuses(why)) => {
            (Engine::CloudRun, format!("tasks read the rows, because {why}"))
        }
        (Some(Engine::Native), NativeAnswer::Refuses(why)) => {
            return Err(refused(table, Engine::Native, why));
        }
        (Some(Engine::Dataflow), _) => return Err(refused(table, Engine::Dataflow, NO_DATAFLOW)),
        (Some(engine), _) => (engine, format!("the job asks for `engine: {}`", engine.name())),
    };
    let native = match native {
        NativeAnswer::Takes { estimate, .. } => {
            option(Engine::Native, Some(estimate), WITHOUT_PARTS)
        }
        NativeAnswer::Refuses(why) => option(Engine::Native, None, &why),
    };
    let options = vec![
        native,
        option(Engine::CloudRun, Some(by_tasks), WITH_TASKS),
        option(Engine::Dataflow, None, NO_DATAFLOW),
    ];
    Ok(EngineChoice { engine, reason, options })
}

fn option(engine: Engine, estimate: Option<EngineEstimate>, remark: &str) -> EngineOption {
    EngineOption { engine, estimate, remark: remark.to_owned() }
}

fn refused(table: &Table, engine: Engine, why: &str) -> Error {
    let engine = engine.name();
    Error::invalid(format!("plan table `{}`: `engine: {engine}` cannot move it: {why}", table.name))
        .hint("leave `engine` out: the plan then chooses one, and says what each would take")
}

/// What tasks take, as many as the work wants.
fn by_tasks(table: &Table, limits: &Limits) -> EngineEstimate {
    let work = price::seconds_of_rows(table.rows, table.bytes);
    let tasks = wanted_tasks(work, limits);
    let seconds = work / f64::from(tasks);
    let each = (0..tasks).map(|_| seconds);
    EngineEstimate { seconds, dollars: Estimate::bill(each, Estimate::USUAL_PRICE) }
}
