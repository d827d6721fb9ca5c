//! From a job to a manifest.

use std::collections::BTreeSet;
use std::sync::Arc;

use chrono::Utc;
use sluice_contracts::documents::{
    Engine, LeastTls, Manifest, NativeRows, Refused, RunId, SnapshotPlan, Table, TableWrite, Unit,
};
use sluice_contracts::job::{
    Consistency, Excluded, Job, Limits, Resolved, Selection, TableJob, WriteDisposition,
};
use sluice_contracts::{Error, Result};
use sluice_sources::{Description, NativeSource, Protection, Source, Survey};
use sluice_targets::Visibility;

use crate::cutting::Cutting;
use crate::engine;
use crate::kind;
use crate::new_files::keep_new;
use crate::pack::pack;
use crate::target_check::TargetCheck;
use crate::time_limit::{LIMIT, Progress, TABLE_LIMIT, limited, takes_too_long};

/// The strategy of a table whose rows its target takes by itself: it has no units.
const NATIVE: &str = "bigquery_native";
/// The strategy of files none of which is new.
const NO_UNITS: &str = "file";

/// Plans a run of `job`: looks at the source, cuts every table into units, asks the targets whether
/// they take them, and packs the units onto tasks. Nothing is written and nothing is started.
///
/// # Errors
/// `Invalid`, before the first row is read, if the job asks for what cannot be done.
pub async fn plan(
    job: &Job,
    source: Arc<dyn Source>,
    targets: TargetCheck<'_>,
    progress: &Progress,
) -> Result<Manifest> {
    let run = RunId::generate();
    let planning = Box::pin(survey_and_cut(run, job, source, targets, progress));
    let mut manifest = limited(run, &job.name, progress, planning).await?;
    kind::without_deployment(&mut manifest);
    Ok(manifest)
}

/// Plans a run that already has its id, like [`plan`], however long it takes.
pub(crate) async fn survey_and_cut(
    run: RunId,
    job: &Job,
    source: Arc<dyn Source>,
    targets: TargetCheck<'_>,
    progress: &Progress,
) -> Result<Manifest> {
    let doing = |error: Error| error.during(format!("plan job `{}`", job.name));
    progress.comes_to("connect to the source".to_owned());
    let application = format!("sluice {run} plan");
    let mut survey = source.survey(&application).await?;
    let protection = survey.protection().await.map_err(doing)?;
    progress.comes_to("list the tables".to_owned());
    let mut selected = select(job, survey.as_mut()).await.map_err(doing)?;
    let mut tables = Vec::with_capacity(selected.tables.len());
    let mut units = Vec::new();
    let mut refused = Vec::new();
    let limit = if selected.tables.len() > 1 { TABLE_LIMIT } else { LIMIT };
    for table in &selected.tables {
        let (at, index) = (tables.len() + refused.len(), tables.len());
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let of = selected.tables.len();
        progress.comes_to(format!("table `{}` ({} of {of})", table.relation, at + 1));
        let planning = plan_table(survey.as_mut(), index, table, job, targets);
        let planned = match tokio::time::timeout(limit, planning).await {
            Ok(planned) => planned,
            // The connection waits for the answer still.
            Err(_) => {
                survey = source.survey(&application).await.map_err(doing)?;
                Err(takes_too_long(table))
            }
        };
        match planned {
            Ok((planned, own)) => {
                log_table(run, &planned);
                tables.push(planned);
                units.extend(own);
            }
            Err(error) if job.fails_as_a_whole() => return Err(doing(error)),
            // A locked table does not stop the others. A lost connection does; it is found below.
            Err(error) => {
                let name = table.relation.to_string();
                refused.push(Refused::because(name, table.target.clone(), &error));
            }
        }
    }
    progress.comes_to("check the targets".to_owned());
    let (visibility, in_turn) =
        targets.visibility(job.all_or_nothing, &tables).await.map_err(doing)?;
    let whole = job.fails_as_a_whole();
    let checked = targets.carry_out(run, whole, visibility, &mut tables, &mut units);
    refused.extend(checked.await.map_err(doing)?);
    selected.warnings.extend(targets.of_bucket(&job.bucket, &tables).await.map_err(doing)?);
    progress.comes_to("count the connections that are left".to_owned());
    let free = survey.connections().await.map_err(doing)?.unwrap_or(u32::MAX);
    let of_connection = survey.warnings().await.map_err(doing)?;
    if tables.is_empty() {
        return Err(no_table_is_left(job, &refused));
    }
    let limits = Limits { max_connections: job.limits.max_connections.min(free), ..job.limits };
    let several =
        |unit: &&Unit| unit.index > 0 || unit.leaf.as_ref().is_some_and(|leaf| leaf.count() > 1);
    let divided: BTreeSet<u32> = units.iter().filter(several).map(|unit| unit.table).collect();
    let packing = pack(&tables, units, &limits);
    let is_short =
        free < job.limits.max_connections && packing.tasks.len() as u64 == u64::from(free);
    let short = is_short.then(|| too_few_connections(free));
    let snapshot = match job.consistency {
        Consistency::Snapshot => survey.snapshot().await.map_err(doing)?,
        Consistency::None => SnapshotPlan::Independent,
    };
    if snapshot == SnapshotPlan::Independent {
        warn_of_moments(tables.iter_mut().filter(|table| divided.contains(&table.index)));
    }
    Ok(Manifest {
        version: Manifest::VERSION,
        run,
        job: job.name.clone(),
        planned: Utc::now(),
        source: job.source.clone(),
        connection: protection
            .filter(|&protection| protection != Protection::Local)
            .map(|protection| protection.to_string()),
        least_tls: LeastTls::default(),
        bucket: job.bucket.clone(),
        snapshot,
        all_or_nothing: job.all_or_nothing,
        at_once: visibility == Visibility::AtOnce,
        stages: true,
        task_kind: job.task_kind.clone(),
        max_executions: job.limits.max_executions,
        tables,
        refused,
        excluded: selected.excluded,
        warnings: selected
            .warnings
            .into_iter()
            .chain(in_turn)
            .chain(packing.warning)
            .chain(short)
            .chain(protection.and_then(Protection::warning))
            .chain(of_connection)
            .collect(),
        units_folder: None,
        tasks: packing.tasks,
        estimate: packing.estimate,
    })
}

/// The warning where a run has fewer tasks than its job allows.
fn too_few_connections(free: u32) -> String {
    format!("the server takes {free} more connections of this user, so there are no more tasks")
}

/// Warns of what several moments of one table mean.
fn warn_of_moments<'t>(tables: impl Iterator<Item = &'t mut Table>) {
    for table in tables {
        table.warnings.push(
            "`consistency: none`: a row that moves between two units or partitions while they are \
             read is loaded twice or not at all"
                .to_owned(),
        );
    }
}

/// Why no table of a job is moved.
fn no_table_is_left(job: &Job, refused: &[Refused]) -> Error {
    let what = format!("plan job `{}`: no table can be moved", job.name);
    if refused.is_empty() {
        return Error::invalid(what).hint("every table is excluded");
    }
    Error::several(what, refused.iter().map(|table| table.report().into_error()).collect())
}

fn log_table(run: RunId, table: &Table) {
    let units = u64::from(table.units);
    tracing::info!(
        run = %run,
        table = table.name,
        strategy = table.strategy,
        units,
        rows = table.rows,
        rows_per_unit = table.rows / units.max(1),
        "cut a table"
    );
}

/// The tables that the job selects, and those that it leaves out.
async fn select(job: &Job, survey: &mut dyn Survey) -> Result<Resolved> {
    if let Selection::One(_) = job.selection {
        return job.selection.resolve(&[]);
    }
    let listing = survey.tables().await?;
    let mut resolved = job.selection.resolve(&listing.tables)?;
    for (name, reason) in listing.excluded {
        let named = resolved.tables.iter().any(|table| table.relation == name.relation());
        if job.selection.means(&name) && !named {
            resolved.excluded.push(Excluded { table: name.to_string(), reason });
        }
    }
    Ok(resolved)
}

async fn plan_table(
    survey: &mut dyn Survey,
    index: u32,
    table: &TableJob,
    job: &Job,
    targets: TargetCheck<'_>,
) -> Result<(Table, Vec<Unit>)> {
    let mut description = survey.describe(table).await?;
    if job.consistency == Consistency::None {
        description.pieces.iter_mut().for_each(|piece| piece.outside = false);
    }
    let new_files = keep_new(job, table, &mut description, targets).await?;
    // BigQuery forgets streams before a delayed task may start.
    description.has_streams &= !job.task_kind.delay_execution;
    let (statement, native) = description.native.rows().cloned().map(NativeRows::into_plan).unzip();
    let mut planned = Table {
        index,
        name: table.relation.to_string(),
        relation: description.relation.take().unwrap_or_else(|| table.relation.clone()),
        filter: table.filter.clone(),
        row_security: table.row_security,
        answer_within: job.limits.answer_within.map(|longest| longest.as_secs()),
        target: table.target.clone(),
        write: write(table, &description)?,
        strategy: NATIVE.to_owned(),
        reason: String::new(),
        engine: None,
        dataflow: None,
        statement: statement.flatten(),
        native,
        way: None,
        partitioned_by: None,
        rows: description.rows(),
        bytes: description.bytes(),
        columns: description.columns.clone(),
        shape: description.shape.clone(),
        warnings: description.warnings.clone(),
        units: 0,
    };
    let note = new_files.map(|(files, note)| {
        planned.write.new_files = Some(files);
        note
    });
    if description.pieces.is_empty() {
        (planned.strategy, planned.native) = (NO_UNITS.to_owned(), None);
        planned.reason.push_str("no file is new");
        return Ok((planned, Vec::new()));
    }
    let choice = engine::choose(job, &planned, &description, targets).await?;
    planned.reason.clone_from(&choice.reason);
    let engine = choice.engine;
    planned.engine = Some(choice);
    if engine == Engine::Native {
        if let NativeSource::Inexact { .. } = description.native {
            // What tasks would refuse of a text says nothing of the target, which has rules of its own.
            planned.columns.iter_mut().for_each(|column| column.invalid = None);
        }
        planned.reason.extend(note.map(|note| format!("; {note}")));
        return Ok((planned, Vec::new()));
    }
    planned.dataflow = (engine == Engine::Dataflow).then(|| engine::workers(job, planned.rows));
    (planned.statement, planned.native) = (description.query.take(), None);
    let warnings = &mut planned.warnings;
    let cutting = Cutting::of(survey, table, &job.limits, &description, warnings).await?;
    (planned.strategy, planned.reason) = (cutting.strategy.to_owned(), cutting.reason);
    let units: Vec<Unit> = (0_u32..)
        .zip(cutting.units)
        .map(|(at, planned)| {
            Ok(Unit {
                table: index,
                index: at,
                leaf: planned.leaf,
                predicate: survey.predicate(&planned.cut)?,
                rows: whole(planned.rows),
                bytes: whole(planned.bytes),
                cut: planned.cut,
            })
        })
        .collect::<Result<_>>()?;
    planned.reason.extend(note.map(|note| format!("; {note}")));
    planned.units = u32::try_from(units.len()).unwrap_or(u32::MAX);
    Ok((planned, units))
}

/// What the load does to the target, with what the job leaves to the source.
fn write(table: &TableJob, description: &Description) -> Result<TableWrite> {
    let mut write = table.write.clone();
    write.new_table.description =
        write.new_table.description.or_else(|| description.comment.clone());
    write.dedup = write.dedup.map(|dedup| dedup.spelled_as(&description.columns));
    if write.disposition == WriteDisposition::Merge && write.key.is_empty() {
        write.key = primary_key(table, description)?;
    }
    Ok(write)
}

/// The source's primary key, by its names in the target.
fn primary_key(table: &TableJob, description: &Description) -> Result<Vec<String>> {
    let refused = |why: String| {
        Err(Error::invalid(format!("merge the rows of `{}`: {why}", table.relation))
            .hint("`key` below `target` names the columns that identify a row"))
    };
    if description.identity.is_empty() {
        return refused("the source has no primary key there".to_owned());
    }
    let mut key = Vec::with_capacity(description.identity.len());
    for name in &description.identity {
        match description.columns.iter().find(|column| column.source_name == *name) {
            Some(column) => key.push(column.name.clone()),
            None => return refused(format!("`{name}` of its primary key is not read")),
        }
    }
    Ok(key)
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
fn whole(count: f64) -> u64 {
    count.round().max(0.0) as u64
}
