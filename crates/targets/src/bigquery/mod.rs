//! Tables of BigQuery: `bigquery://project/dataset/table`.
//!
//! ```text
//! parts in the bucket --load job--> the table
//! parts in the bucket --load jobs--> staging tables --copy job--> the table
//! parts in the bucket --load jobs--> staging tables --statement--> the table
//! parts in the bucket --job of Dataflow--> a staging table --copy job or statement--> the table
//! parts of all tables --load jobs--> staging tables --transaction--> all tables of a run
//! ```
//!
//! Which of these paths a load takes: see [`path`].
//!
//! To readers, a job's creation, truncation and appending is one step. Jobs have names that are
//! made of the run and the table, and BigQuery accepts a name only once: see [`attempts`]. A label of
//! the table says which job may write to it, so that no run replaces a later one: see [`claim`].

mod address;
mod attempts;
mod claim;
mod copied;
mod cost;
mod dataflow;
mod dedup;
mod existing;
mod failure;
mod job;
mod layout;
mod load;
mod location;
mod merge;
mod native;
mod owner;
mod partitions;
mod parts;
mod path;
mod row_counts;
mod schema;
mod source_files;
mod staging;
mod statement;
#[cfg(test)]
mod tests;
mod transaction;

use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use sluice_contracts::documents::{Column, DataflowWorkers, Native, RunId, Table};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::google::{Endpoint, Endpoints};

use super::target::{
    Admitted, DataflowAnswer, Load, Loaded, NativeAnswer, NotLoaded, Prepared, Shown, Target,
    TargetKind, Visibility,
};
use attempts::{AttemptState, Attempts};
use existing::{ExistingTable, Wanted};
use load::TableLoad;
use location::Buckets;
use native::Taking;
use owner::Owner;
use partitions::Partitions;
use path::Shape;
use sluice_runtime::google::bigquery::{BigQueryClient, TableId};
use sluice_runtime::google::dataflow::{Dataflow, DataflowSettings};

/// Most load jobs of a table a day. <https://cloud.google.com/bigquery/quotas#load_jobs>
const MOST_LOADS: u32 = 1500;
/// Loads a day from which a plan warns.
const MANY: u32 = MOST_LOADS / 5 * 4;

/// BigQuery.
#[derive(Debug)]
pub struct BigQuery;

#[async_trait]
impl TargetKind for BigQuery {
    fn scheme(&self) -> &'static str {
        address::SCHEME
    }

    fn check_url(&self, table: &str, bucket: &str) -> Result<()> {
        address::parse(table)?;
        if bucket.starts_with("gs://") {
            return Ok(());
        }
        Err(Error::invalid(format!("load `{table}` from bucket `{bucket}`"))
            .hint("BigQuery loads from Cloud Storage alone: write `bucket: gs://...`"))
    }

    async fn open(&self) -> Result<Arc<dyn Target>> {
        let endpoints = Endpoints::from_env()?;
        let target = BigQueryTarget::new(&endpoints.bigquery()).await?;
        let target = target.with_storage(&endpoints.storage())?;
        Ok(Arc::new(match DataflowSettings::from_env()? {
            Some(settings) => target.with_dataflow(&endpoints.dataflow(), settings)?,
            None => target,
        }))
    }
}

/// The tables of BigQuery at one address.
#[derive(Debug, Clone)]
pub struct BigQueryTarget {
    client: BigQueryClient,
    /// Where the locations of buckets are asked for.
    buckets: Option<Buckets>,
    /// Where jobs of Dataflow run, if this deployment has any.
    dataflow: Option<Dataflow>,
}

impl BigQueryTarget {
    /// BigQuery at `endpoint`. Makes no call yet.
    pub async fn new(endpoint: &Endpoint) -> Result<Self> {
        Ok(Self { client: BigQueryClient::new(endpoint).await?, buckets: None, dataflow: None })
    }

    /// The same, which hands tables over to jobs of Dataflow, at `endpoint`.
    pub fn with_dataflow(self, endpoint: &Endpoint, settings: DataflowSettings) -> Result<Self> {
        Ok(Self { dataflow: Some(Dataflow::new(endpoint, settings)?), ..self })
    }

    /// The same, which compares where buckets and datasets lie, by Cloud Storage at `endpoint`.
    pub fn with_storage(self, endpoint: &Endpoint) -> Result<Self> {
        Ok(Self { buckets: Some(Buckets::new(endpoint)?), ..self })
    }

    /// Whether a table of a run is loaded already.
    async fn is_loaded(
        &self,
        run: RunId,
        (target, index): (&str, u32),
        visibility: Visibility,
    ) -> Result<bool> {
        let id = address::parse(target)?;
        let location = self.client.location(&id).await?;
        let owner = Owner { run, table: index, generation: 0, visibility, loads: &[] };
        let attempts = Attempts::visible(&self.client, &id, &location, owner);
        Ok(matches!(attempts.look().await?, AttemptState::Done(_)))
    }

    /// The way of a planned table, with its price.
    async fn way(
        &self,
        table: &Table,
        existing: Option<&ExistingTable>,
        visibility: Visibility,
    ) -> Result<String> {
        let Some(native) = &table.native else {
            return Ok(cost::way(table, existing, visibility, None));
        };
        let (client, id) = (&self.client, address::parse(&table.target)?);
        let shape = Shape::planned(table, visibility);
        let path = native::guarded(client, &id, &shape, existing, &table.columns).await?;
        let new_table = &table.write.new_table;
        let taking = Taking::of(client, native, path, existing, new_table).await?;
        let location = client.location(&id).await?;
        let is_far = native.query().is_some_and(|query| query.location != location);
        let taken = cost::Taken { native, taking, path, is_far };
        Ok(cost::way(table, existing, visibility, Some(&taken)))
    }

    /// Why a dataset is not loaded from a bucket, as far as their locations are known.
    async fn too_far_to_load(
        &self,
        bucket: &str,
        table: &TableId,
        location: &str,
    ) -> Result<Option<String>> {
        let name = bucket.strip_prefix("gs://").unwrap_or(bucket);
        let Some(buckets) = &self.buckets else { return Ok(None) };
        match buckets.check(name, &table.dataset_name(), location).await {
            Err(error) if error.kind() == Kind::Invalid => Ok(Some(error.to_string())),
            Err(error) => Err(error),
            // If BigQuery does not load from there, the job says so.
            Ok(_) => Ok(None),
        }
    }

    async fn admit(&self, table: &Table) -> Result<Option<ExistingTable>> {
        let id = address::parse(&table.target)?;
        ExistingTable::admitting(&self.client, &id, &Wanted::from(table)).await
    }
}

#[async_trait]
impl Target for BigQueryTarget {
    async fn check(&self, run: RunId, table: &Table, visibility: Visibility) -> Result<Admitted> {
        match self.admit(table).await {
            Ok(existing) => Ok(Admitted {
                way: Some(self.way(table, existing.as_ref(), visibility).await?),
                warnings: warnings(table, existing.as_ref()),
                partitioned_by: existing
                    .as_ref()
                    .map_or_else(
                        || Partitions::of_new(&table.write.new_table, &table.columns),
                        ExistingTable::partitions,
                    )
                    .and_then(|partitions| partitions.width()),
            }),
            // The refusal may be due to what the run itself has loaded, such as rows in a table
            // that had to be empty.
            Err(_)
                if matches!(
                    self.is_loaded(run, (&table.target, table.index), visibility).await,
                    Ok(true)
                ) =>
            {
                Ok(Admitted::default())
            }
            Err(error) => Err(error.during(format!("load into `{}`", table.target))),
        }
    }

    async fn exists(&self, table: &str) -> Result<bool> {
        let existing = ExistingTable::find(&self.client, &address::parse(table)?).await;
        existing
            .map(|existing| existing.is_some())
            .map_err(|error| error.during(format!("load into `{table}`")))
    }

    async fn shown(&self, load: &Load) -> Result<Shown> {
        let id = address::parse(&load.target)?;
        let location = self.client.location(&id).await?;
        Attempts::visible(&self.client, &id, &location, Owner::of(load)).shown().await
    }

    async fn check_bucket(&self, table: &str, bucket: &str) -> Result<Vec<String>> {
        let id = address::parse(table)?;
        let name = bucket.strip_prefix("gs://").and_then(|rest| rest.split('/').next());
        let (Some(buckets), Some(name)) = (&self.buckets, name) else { return Ok(Vec::new()) };
        let location = self.client.location(&id).await?;
        let warning = buckets.check(name, &id.dataset_name(), &location).await?;
        Ok(warning.into_iter().collect())
    }

    async fn native(&self, table: &Table) -> Result<NativeAnswer> {
        let answer = native::answer(self, table).await;
        answer.map_err(|error| error.during(format!("load into `{}`", table.target)))
    }

    async fn dataflow(&self, table: &Table, workers: &DataflowWorkers) -> Result<DataflowAnswer> {
        Ok(dataflow::answer(self.dataflow.as_ref(), table, workers))
    }

    async fn against_at_once(&self, tables: &[Table]) -> Result<Option<String>> {
        transaction::against(&self.client, tables).await
    }

    async fn prepare(&self, load: &Load) -> Result<Poll<Box<dyn Prepared>>> {
        let prepared = TableLoad::prepare(self, load).await;
        let Err(error) = prepared else { return prepared };
        let loads_files = load.source_bucket.is_some();
        let staged = load.dedup.is_some() || load.dataflow.is_some() || loads_files;
        if staged && !error.is_transient() {
            // Another loader may have made the rows visible meanwhile, and deleted what this one needed.
            let visible =
                self.is_loaded(load.run, (&load.target, load.table), load.visibility).await;
            if matches!(visible, Ok(true)) {
                return Ok(Poll::Pending);
            }
            if let Err(error) = self.abandon(load).await {
                tracing::warn!(run = %load.run, "a job of Dataflow goes on: {}", error.chain());
            }
        }
        Err(load::during(load, error))
    }

    async fn abandon(&self, load: &Load) -> Result<()> {
        if load.dataflow.is_none() {
            return Ok(());
        }
        let abandoned = TableLoad::open(self, load).await?.cancel_dataflow().await;
        abandoned.map(|_| ()).map_err(|error| load::during(load, error))
    }

    async fn load_at_once(&self, loads: &[Load]) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
        transaction::load(self, loads).await
    }
}

/// Warnings about rows that will differ from the source, and about losses of the existing table.
fn warnings(table: &Table, existing: Option<&ExistingTable>) -> Vec<String> {
    let mut warnings = Vec::new();
    let may_be_null = |column: &&Column| column.repeated && column.nullable != Some(false);
    for column in table.columns.iter().filter(may_be_null) {
        warnings.push(format!(
            "column `{}`: BigQuery has no NULL arrays and makes them empty",
            column.name
        ));
    }
    // Statements do not count.
    let counts = !matches!(
        table.write.disposition,
        WriteDisposition::Merge | WriteDisposition::ReplacePartitions
    );
    let loads = existing.map(ExistingTable::loads_today).filter(|loads| *loads >= MANY && counts);
    if let Some(loads) = loads {
        warnings.push(format!(
            "the table was loaded {loads} times today, and BigQuery takes {MOST_LOADS} loads of a \
             table a day, those that fail included: load it less often, or several tables in its \
             place"
        ));
    }
    warnings.extend(document_warning(table));
    let copied =
        table.native.as_ref().and_then(Native::query).is_some_and(|query| !query.copied.is_empty());
    if copied && table.write.dedup.is_some() && existing.is_none() {
        warnings.push(
            "`dedup` chooses rows by a query, so the table has neither the partitions and clusters of \
             its source nor its policy tags, which hide columns: make the table with them before, or \
             write `partition_by` and `cluster_by`"
                .to_owned(),
        );
    }
    match existing {
        Some(existing) => warnings.extend(existing.warnings(&Wanted::from(table))),
        None => warnings.extend(layout::warnings_of_new(&table.write.new_table)),
    }
    warnings
}

/// What documents lose that a statement parses.
fn document_warning(table: &Table) -> Option<String> {
    let parsed = table.columns.iter().filter(|column| path::is_converted(column));
    let parsed = parsed.filter(|_| table.native.is_none());
    let names: Vec<String> = parsed.map(|column| format!("`{}`", column.name)).collect();
    let first = names.first()?;
    Some(format!(
        "JSON in {}: BigQuery keeps the value of a document: white space, the order of keys and all \
         but the first of equal keys are lost; `columns.{}.type: STRING` keeps the text, and needs \
         no statement that parses it",
        names.join(", "),
        first.trim_matches('`'),
    ))
}
