//! Rows that BigQuery takes by itself, so that nothing is extracted: a copy or a query of tables of its
//! own, or a load job of the files that are the source, fills the staging table.
//!
//! A copy is free, and it has everything of its source. So it is taken where the rows are those of
//! whole tables, and where the target keeps or takes over how the source is laid out. A query reads
//! what it names, and is charged for it.
//!
//! <https://cloud.google.com/bigquery/docs/managing-tables#copy-table>

use std::task::Poll;

use chrono::{Duration, Utc};
use serde_json::{Map, Value, json};
use sluice_contracts::documents::{
    Column, EngineEstimate, Native, NativeFiles, NativeQuery, NewTable, PartitionBy, Table,
};
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;
use sluice_runtime::google::bigquery::{BigQueryClient, TableId, price};

use super::BigQueryTarget;
use super::address;
use super::attempts::{AttemptState, DoneJob};
use super::existing::ExistingTable;
use super::job;
use super::layout;
use super::load::TableLoad;
use super::path::{LoadPath, Shape};
use super::source_files;
use super::statement;
use crate::target::{Load, NativeAnswer, Visibility};

/// Label of a staging table that is a copy of its source, with everything that this has.
pub(super) const COPIED: &str = "sluice_copied";

/// Seconds that a job of BigQuery takes besides its rows, and the bytes that a query reads in one
/// second. Assumed: BigQuery promises neither.
pub(super) const JOB_SECONDS: f64 = 5.0;
const BYTES_PER_SECOND: f64 = 1e9;

/// By what a staging table is filled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Taking {
    /// A copy of whole tables.
    Copy,
    /// The query.
    Query,
    /// A load job of the source's files.
    Load,
}

impl Taking {
    /// How rows that BigQuery takes by itself come into a staging table, by what the target is now.
    pub(super) async fn of(
        client: &BigQueryClient,
        native: &Native,
        path: LoadPath,
        existing: Option<&ExistingTable>,
        new_table: &NewTable,
    ) -> Result<Self> {
        let Native::Query(query) = native else { return Ok(Self::Load) };
        let Some(first) = query.copied.first() else { return Ok(Self::Query) };
        let copied = match (path, existing) {
            // A statement reads the staging table, wherever its rows lie.
            (LoadPath::Statement, _) => true,
            (_, None) => new_table.partition_by.is_none() && new_table.cluster_by.is_empty(),
            (_, Some(existing)) => {
                let source = ExistingTable::find(client, &table_id(first)?).await?;
                source.is_some_and(|source| existing.is_like(&source))
            }
        };
        Ok(if copied { Self::Copy } else { Self::Query })
    }

    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Copy => "a copy",
            Self::Query => "a query",
            Self::Load => "a load job",
        }
    }
}

/// Whether a load has no rows, as far as that is known.
pub(super) fn is_empty(load: &Load) -> bool {
    load.native.is_none() && load.parts.is_empty()
}

/// Whether BigQuery takes the rows of a planned table, and what that takes.
pub(super) async fn answer(target: &BigQueryTarget, table: &Table) -> Result<NativeAnswer> {
    let client = &target.client;
    let Some(native) = &table.native else { return Ok(NativeAnswer::Misses) };
    let id = address::parse(&table.target)?;
    let location = client.location(&id).await?;
    let existing = ExistingTable::find(client, &id).await?;
    let reordered = existing.as_ref().and_then(|existing| existing.reordered(&table.columns));
    if let Some(column) = reordered.filter(|_| native.query().is_some()) {
        return Ok(NativeAnswer::Refuses(format!(
            "the table has the fields of `{}` in another order, and a statement matches them by their \
             places",
            column.name
        )));
    }
    let shape = Shape::planned(table, Visibility::Each);
    let path = guarded(client, &id, &shape, existing.as_ref(), &table.columns).await?;
    let new_table = &table.write.new_table;
    let taking = Taking::of(client, native, path, existing.as_ref(), new_table).await?;
    let far = match native {
        Native::Query(query) if taking == Taking::Query && location != query.location => {
            Some(format!(
                "a query of BigQuery reads and writes one location: the source lies in \
                 `{}`, and the target in `{location}`",
                query.location
            ))
        }
        Native::Query(_) => None,
        Native::Files(files) => match source_files::refusal(files, table) {
            Some(refusal) => Some(refusal),
            None => target.too_far_to_load(&files.bucket, &id, &location).await?,
        },
    };
    Ok(match far {
        Some(why) => NativeAnswer::Refuses(why),
        None => NativeAnswer::Takes { how: taking.name(), estimate: estimate(native, taking) },
    })
}

/// The path of a load whose rows BigQuery takes. A copy over a table would take its row access policies
/// away: such a table, and one of which they are not known, is written to by a statement. So is one whose
/// columns a load by places would mix.
/// <https://cloud.google.com/bigquery/docs/using-row-level-security-with-features>
pub(super) async fn guarded(
    client: &BigQueryClient,
    id: &TableId,
    shape: &Shape,
    existing: Option<&ExistingTable>,
    columns: &[Column],
) -> Result<LoadPath> {
    let path = LoadPath::of(shape, existing.is_some());
    let Some(existing) = existing.filter(|_| path == LoadPath::Copy) else { return Ok(path) };
    if shape.mixes_columns(existing, columns)
        || shape.replaces_all() && client.has_row_policies(id).await? != Some(false)
    {
        return Ok(LoadPath::Statement);
    }
    Ok(path)
}

fn estimate(native: &Native, taking: Taking) -> EngineEstimate {
    let job = EngineEstimate { seconds: JOB_SECONDS, dollars: 0.0 };
    match (native, taking) {
        (Native::Files(files), _) => job + source_files::estimate(files),
        (Native::Query(query), Taking::Query) => job + estimate_of_query(query.bytes),
        (Native::Query(_), Taking::Copy | Taking::Load) => job + job,
    }
}

/// What a query takes that reads so many bytes.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub(super) fn estimate_of_query(bytes: u64) -> EngineEstimate {
    EngineEstimate {
        seconds: JOB_SECONDS + bytes as f64 / BYTES_PER_SECOND,
        dollars: price::query_dollars(&[bytes]),
    }
}

/// The table of a name in a plan.
fn table_id(name: &str) -> Result<TableId> {
    let mut parts = name.rsplitn(3, '.');
    let (table, dataset, project) = (parts.next(), parts.next(), parts.next());
    let wrong = || Error::data(format!("read the plan: `{name}` is not a table of BigQuery"));
    let (Some(table), Some(dataset), Some(project)) = (table, dataset, project) else {
        return Err(wrong());
    };
    TableId::new(project, dataset, table).map_err(|_| wrong())
}

impl TableLoad {
    /// How the load becomes visible.
    pub(super) async fn path(&self, existing: Option<&ExistingTable>) -> Result<LoadPath> {
        let shape = Shape::from(&self.load);
        let Load { native, dedup, dataflow, new_table, .. } = &self.load;
        if native.is_none() && dedup.is_none() && dataflow.is_none() {
            return Ok(LoadPath::of(&shape, existing.is_some()));
        }
        let columns = &self.load.columns;
        let path = guarded(&self.client, &self.id, &shape, existing, columns).await?;
        // A staging table that is laid out like the target would lose rows before they are counted.
        let expires = match existing {
            Some(existing) => existing.partitions_expire(),
            None => matches!(
                new_table.partition_by,
                Some(PartitionBy::Time { expiration: Some(_), .. })
            ),
        };
        Ok(if path == LoadPath::Copy && expires { LoadPath::Statement } else { path })
    }

    /// Fills the staging table with the rows that BigQuery takes by itself, and counts them. It changes
    /// nothing that readers see.
    pub(super) async fn take(
        &mut self,
        path: LoadPath,
        existing: Option<&ExistingTable>,
    ) -> Result<Poll<()>> {
        let Some(native) = self.load.native.clone() else {
            return Err(Error::bug("take rows from the source: the load does not say what"));
        };
        let (statement, native) = native.into_plan();
        if native.query().is_some()
            && let Some(column) = existing.and_then(|table| table.reordered(&self.load.columns))
        {
            return Err(Error::data(format!(
                "take the rows by a query: the table has the fields of `{}` in another order",
                column.name
            ))
            .hint("`engine: cloud_run` loads them by their names"));
        }
        let new_table = &self.load.new_table;
        let taking = Taking::of(&self.client, &native, path, existing, new_table).await?;
        if let Some(query) = native.query().filter(|query| query.location != self.location)
            && taking == Taking::Query
        {
            return Err(Error::data(format!(
                "take the rows by a query: they lie in `{}`, and the target in `{}`",
                query.location, self.location
            ))
            .hint("start the run again: it is planned for the table as it is now"));
        }
        let statement = statement.as_deref();
        let filled = self.fill_by(taking, (statement, &native), path, existing).await?;
        let Poll::Ready(written) = filled else { return Ok(Poll::Pending) };
        let brought = self.brought(0);
        if let Native::Files(files) = &native {
            self.require_planned_files(files).await?;
        }
        let staging = ExistingTable::find(&self.client, &brought).await?;
        let every = staging.as_ref().and_then(ExistingTable::every_partition);
        let rows = self.count_rows(&brought, every.as_deref()).await?;
        let written = written.unwrap_or(rows);
        let known = match &native {
            Native::Query(query) => query.rows.filter(|_| taking == Taking::Copy),
            Native::Files(files) => files.rows,
        };
        let expected = known.unwrap_or(written);
        if rows != written || rows != expected {
            return Err(Error::data(format!(
                "check run `{}`: {} has {} rows, and BigQuery says that it wrote {} of {}",
                self.load.run,
                taking.name(),
                thousands(rows),
                thousands(written),
                thousands(expected)
            ))
            .hint("nothing of the table was made visible; start the run again"));
        }
        if taking == Taking::Copy {
            self.dress(existing, path, staging.as_ref()).await?;
        }
        self.load.rows = rows;
        Ok(Poll::Ready(()))
    }

    /// Compares the files with the plan once their rows are staged. If they differ, nobody is to find the
    /// staged rows.
    async fn require_planned_files(&self, files: &NativeFiles) -> Result<()> {
        let planned = source_files::require_planned(&self.load, files).await;
        if planned.as_ref().is_err_and(|error| !error.is_transient()) {
            self.client.delete_table(&self.brought(0)).await?;
        }
        planned
    }

    /// Fills the staging table once, and returns the rows that BigQuery says it has written.
    async fn fill_by(
        &self,
        taking: Taking,
        (statement, native): (Option<&str>, &Native),
        path: LoadPath,
        existing: Option<&ExistingTable>,
    ) -> Result<Poll<Option<u64>>> {
        let written = |job: DoneJob| job.report.written.or(job.report.rows);
        let attempts = self.filling(0);
        let free = match attempts.look_for_job().await.map_err(|failed| failed.error)? {
            AttemptState::Free(free) => free,
            AttemptState::Running => return Ok(Poll::Pending),
            AttemptState::Done(job) => return Ok(Poll::Ready(written(job))),
        };
        let staging = self.brought(0);
        let (kind, configuration) = match (native, statement) {
            (Native::Query(query), _) if taking == Taking::Copy => {
                ("copy", copy(query, &staging, existing, self.kept())?)
            }
            (Native::Query(_), Some(statement)) => {
                let table = self.described(path, &staging, existing);
                self.client.create_table(&staging, &table).await?;
                let insert = statement::insert_rows(&staging, &self.load.columns, statement);
                ("query", json!({"query": insert, "useLegacySql": false}))
            }
            (Native::Query(_), None) => {
                return Err(Error::bug("take rows by a query: the load has no query"));
            }
            (Native::Files(files), _) => {
                // A job that finds another file may fail for a reason that nobody understands.
                source_files::require_planned(&self.load, files).await?;
                let table = self.described(path, &staging, existing);
                self.client.create_table(&staging, &table).await?;
                let reads = source_files::read_by_load(files);
                ("load", job::fill(&self.load, reads, &staging, path, existing))
            }
        };
        let started = attempts.start_job(free, kind, &configuration).await;
        Ok(started.map_err(|failed| failed.error)?.map(written))
    }

    /// The rows of a staging table; `every` is a condition that holds for all of them, where a query
    /// has to have one.
    pub(super) async fn count_rows(&self, staging: &TableId, every: Option<&str>) -> Result<u64> {
        let condition = every.map_or_else(String::new, |every| format!(" WHERE {every}"));
        let staging = staging.quoted();
        let sql = format!("SELECT CAST(COUNT(*) AS STRING) FROM {staging}{condition}");
        let (project, location) = (&self.id.project, Some(self.location.as_str()));
        let count = self.client.single_value(project, location, &sql).await?;
        count.parse().map_err(|_| Error::bug("count the staged rows: it is no number"))
    }

    /// Gives a copy what the target has besides its rows, or the job says of it, and takes from it
    /// what only its source has: the labels, by which runs claim a table.
    async fn dress(
        &self,
        existing: Option<&ExistingTable>,
        path: LoadPath,
        copy: Option<&ExistingTable>,
    ) -> Result<()> {
        let staging = self.brought(0);
        let Some(copy) = copy else {
            return Err(Error::transient(format!("describe the copy `{staging}`: it is gone")));
        };
        let mut labels: Map<String, Value> =
            copy.labels().into_iter().map(|name| (name, Value::Null)).collect();
        labels.insert("sluice_run".to_owned(), self.load.run.to_string().into());
        labels.insert(COPIED.to_owned(), "true".into());
        let mut change = match existing {
            // What a statement reads of it are its rows.
            Some(_) if path == LoadPath::Statement => copy.without_filter(),
            Some(existing) => {
                let mut change = existing.constraints();
                change.insert("schema".to_owned(), existing.schema_over(copy));
                change
            }
            None => {
                labels.insert(super::staging::FIRST.to_owned(), "true".into());
                let mut change = layout::properties_of_new(&self.load.new_table);
                if path == LoadPath::Statement {
                    change.extend(copy.without_filter());
                }
                change.insert("schema".to_owned(), copy.described(&self.load.columns));
                change
            }
        };
        change.insert("labels".to_owned(), labels.into());
        self.client.change_table(&staging, &change.into()).await
    }
}

/// The configuration of the copy of whole tables, as they were at the moment of the plan.
/// <https://cloud.google.com/bigquery/docs/access-historical-data#restore-a-table>
fn copy(
    native: &NativeQuery,
    into: &TableId,
    existing: Option<&ExistingTable>,
    kept: Duration,
) -> Result<Value> {
    let Some(at) = native.at else {
        return Err(Error::data("copy a table: the plan pins no moment"));
    };
    let mut sources = Vec::with_capacity(native.copied.len());
    for name in &native.copied {
        let id = table_id(name)?;
        let table = format!("{}@{}", id.table, at.timestamp_millis());
        sources.push(json!(id.beside(table).reference()));
    }
    let expiration = job::as_copies_have_it(Utc::now() + kept);
    let mut configuration = json!({
        "sourceTables": sources,
        "destinationTable": into.reference(),
        "createDisposition": "CREATE_IF_NEEDED",
        "writeDisposition": "WRITE_TRUNCATE",
        "destinationExpirationTime": expiration,
    });
    job::keep_encryption(&mut configuration, existing);
    Ok(configuration)
}
