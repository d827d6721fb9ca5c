//! From a job file to the job that it describes.

use super::file::{PartitioningFile, TablesFile, TargetFile};
use super::names::TableName;
use super::new_table::EntryTargetFile;
use super::target_name::TargetName;
use super::validate::JobProblem;
use super::{Entry, Job, JobFile, Limits, Partitioning, RowSecurity, Selection, TableJob};
use crate::documents::Relation;

/// The job that the file describes; `None` if a problem found before leaves it without a meaning.
pub(super) fn lower(file: JobFile, problems: &mut Vec<JobProblem>) -> Option<Job> {
    let defaults = Limits::default();
    let duration = |typed: Option<String>| humantime::parse_duration(&typed?).ok();
    let limits = Limits {
        max_connections: file.limits.max_connections.unwrap_or(defaults.max_connections),
        max_tasks: file.limits.max_tasks.unwrap_or(defaults.max_tasks),
        finish_within: duration(file.limits.finish_within),
        answer_within: duration(file.limits.answer_within),
        max_executions: file.limits.max_executions.unwrap_or(defaults.max_executions),
    };
    let row_security = file.row_security;
    let is_files = file.source.is_files();
    let source = if is_files { file.source.url_of_files() } else { file.source.url() }?;
    let selection = if let Some(tables) = file.tables {
        many(tables, file.target, row_security, problems)?
    } else {
        let relation = match (file.source.table.clone(), file.source.query.clone()) {
            _ if is_files => file.source.relation_of_files(file.bad_rows),
            (Some(table), None) => table_name("source.table", &table, problems)?.relation(),
            (None, Some(query)) => Relation::Query(query.trim().trim_end_matches(';').to_owned()),
            _ => return None,
        };
        Selection::One(Box::new(TableJob {
            relation,
            select: file.source.columns,
            filter: file.source.filter,
            partitioning: partitioning(file.partitioning),
            row_security,
            columns: file.columns,
            incremental: file.incremental,
            write: EntryTargetFile::of_entry(&file.target, None, file.dedup),
            target: file.target.table?,
        }))
    };
    let Some(bucket) = file.bucket.or_else(|| bucket_beside(&selection)) else {
        problems.push(JobProblem::new("bucket", "missing").hint(
            "add `bucket: gs://bucket/prefix`; a job file for a planner may leave it out, and the \
             commands take it from `--bucket` then",
        ));
        return None;
    };
    Some(Job {
        name: file.name,
        source,
        selection,
        all_or_nothing: file.all_or_nothing,
        bucket,
        limits,
        task_kind: file.cloud_run,
        engine: file.engine.engine(),
        dataflow: file.dataflow,
        consistency: file.consistency,
        schedule: file.schedule,
    })
}

/// The bucket of a job that names none: a folder beside those of its tables.
fn bucket_beside(selection: &Selection) -> Option<String> {
    let path = selection.target().strip_prefix("file://")?.trim_end_matches('/');
    let dataset = match selection {
        Selection::One(_) => path.rsplit_once('/').map_or("", |(dataset, _)| dataset),
        Selection::Many { .. } => path,
    };
    Some(format!("file://{dataset}/.sluice"))
}

fn many(
    tables: Vec<TablesFile>,
    target: TargetFile,
    row_security: RowSecurity,
    problems: &mut Vec<JobProblem>,
) -> Option<Selection> {
    let mut entries = Vec::with_capacity(tables.len());
    for (at, file) in tables.into_iter().enumerate() {
        let pattern = table_name(&format!("tables.{at}.table"), &file.table, problems);
        let exclude: Vec<_> = file
            .exclude
            .iter()
            .enumerate()
            .map(|(n, typed)| table_name(&format!("tables.{at}.exclude.{n}"), typed, problems))
            .collect();
        let name = file.name.as_deref().map(TargetName::parse).transpose();
        let name = name.unwrap_or_else(|(what, hint)| {
            problems.push(JobProblem::new(format!("tables.{at}.name"), what).hint(hint));
            None
        });
        let (Some(pattern), Some(exclude)) = (pattern, exclude.into_iter().collect()) else {
            continue;
        };
        entries.push(Entry {
            settings: TableJob {
                relation: TableName::relation(&pattern),
                select: file.select,
                filter: file.filter,
                partitioning: partitioning(file.partitioning),
                row_security,
                columns: file.columns,
                incremental: None,
                target: String::new(),
                write: EntryTargetFile::of_entry(&target, file.target, file.dedup),
            },
            pattern,
            exclude,
            name,
        });
    }
    Some(Selection::Many { entries, dataset: target.dataset? })
}

fn partitioning(file: PartitioningFile) -> Partitioning {
    Partitioning {
        strategy: file.strategy.filter(|name| name != "auto"),
        column: file.column,
        target_rows: file.target_rows,
    }
}

fn table_name(path: &str, typed: &str, problems: &mut Vec<JobProblem>) -> Option<TableName> {
    match TableName::parse(typed) {
        Ok(name) => Some(name),
        Err(what) => {
            problems.push(JobProblem::new(path, what).hint(
                "write `schema.table`; quote a part that holds a dot: `\"my.schema\".table`",
            ));
            None
        }
    }
}
