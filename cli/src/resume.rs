//! Finding a run that ended early, for the job that asks to finish it.

use sluice_contracts::documents::{Manifest, RunId, Table};
use sluice_contracts::job::{Job, Selection, TableJob, TableName};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Result};
use sluice_runtime::storage::find_bucket;

/// Finds a run of the job.
///
/// # Errors
/// `Invalid` if the run was planned for another source, table, condition, target, write disposition,
/// key or order than the job asks for now, or for other columns than it names: the run is finished
/// as it was planned, so differences would be ignored. Settings of single columns are not compared.
pub(crate) async fn find(job: &Job, run: RunId) -> Result<(RunStore, Manifest)> {
    let store = RunStore::new(find_bucket(&job.bucket)?, run);
    let manifest = store.manifest().await?;
    if manifest.job != job.name {
        return Err(Error::invalid(format!(
            "resume run `{run}`: it is a run of job `{}`, not of `{}`",
            manifest.job, job.name
        )));
    }
    if let Some(what) = difference(job, &manifest) {
        return Err(Error::invalid(format!(
            "resume run `{run}`: it was planned for another {what}"
        ))
        .hint("ask for what it was planned for, or start a new run"));
    }
    Ok((store, manifest))
}

/// What the job asks for and the run was not planned for.
fn difference(job: &Job, manifest: &Manifest) -> Option<&'static str> {
    if manifest.source != job.source {
        return Some("source");
    }
    let asked = match &job.selection {
        Selection::One(only) => vec![TableJob::clone(only)],
        Selection::Many { .. } => {
            let Ok(asked) = job.selection.resolve(&names(manifest)) else {
                return Some("table");
            };
            asked.tables
        }
    };
    let planned = |asked: &TableJob| {
        manifest.tables.iter().any(|table| table.relation.is_planned_of(&asked.relation))
            || manifest.refused.iter().any(|table| table.table == asked.relation.to_string())
            || manifest.excluded.iter().any(|table| table.table == asked.relation.to_string())
    };
    if !asked.iter().all(planned) {
        return Some("table");
    }
    manifest.tables.iter().find_map(|table| {
        let asked = asked.iter().find(|asked| table.relation.is_planned_of(&asked.relation));
        asked.map_or(Some("table"), |asked| difference_of(asked, table))
    })
}

fn difference_of(asked: &TableJob, planned: &Table) -> Option<&'static str> {
    let columns = || planned.columns.iter().map(|column| column.source_name.as_str());
    // SQLite finds a column whatever the case of its name.
    let same = |(asked, planned): (&String, &str)| asked.eq_ignore_ascii_case(planned);
    let same_columns = asked.select.as_ref().is_none_or(|asked| {
        asked.len() == planned.columns.len() && asked.iter().zip(columns()).all(same)
    });
    // So does BigQuery.
    let (key, planned_key) = (&asked.write.key, &planned.write.key);
    let same_key = key.len() == planned_key.len()
        && key.iter().zip(planned_key).all(|(one, other)| one.eq_ignore_ascii_case(other));
    let spelled = |asked: &TableJob| {
        asked.write.dedup.as_ref().map(|dedup| dedup.spelled_as(&planned.columns))
    };
    match () {
        () if asked.target != planned.target => Some("target"),
        () if asked.filter != planned.filter => Some("condition"),
        () if asked.write.disposition != planned.write.disposition => Some("write disposition"),
        () if !asked.write.key.is_empty() && !same_key => Some("key"),
        () if asked.write.order_by != planned.write.order_by => Some("`order_by`"),
        () if spelled(asked) != planned.write.dedup => Some("`dedup`"),
        () if !same_columns => Some("choice of columns"),
        () => None,
    }
}

/// The tables that the source had, as far as the job selects them.
fn names(manifest: &Manifest) -> Vec<TableName> {
    let moved = manifest.tables.iter().filter_map(|table| TableName::of(&table.relation));
    let refused = manifest.refused.iter().map(|table| &table.table);
    let excluded = manifest.excluded.iter().map(|table| &table.table);
    let others = refused.chain(excluded).filter_map(|name| TableName::parse(name).ok());
    moved.chain(others).collect()
}
