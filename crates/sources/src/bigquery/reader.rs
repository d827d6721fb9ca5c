//! Reading: streams of the Storage Read API, at the moment that the plan pins.
//!
//! A table is read as it lies. A view, a query, a wildcard, and columns that become another type are
//! computed by a query first, whose result BigQuery keeps for a day, and the result is read.
//!
//! <https://cloud.google.com/bigquery/docs/cached-results>

use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_contracts::documents::{Cut, Table, Unit, arrow_schema};
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::google::bigquery::{BigQueryClient, ReadClient, ReadRequest, TableId};

use super::address::Address;
use super::batches::StreamBatches;
use super::conversion::Conversion;
use super::reading::Reading;
use super::tables::Tables;
use crate::source::{Batches, Join, Reader};

/// Streams of a unit that is a whole table: a task reads one after another.
const STREAMS: u32 = 1;
/// How long a query may run, unless the job says otherwise.
const LONGEST: Duration = Duration::from_mins(30);
/// Time between two looks at a query that runs.
const LOOK: Duration = Duration::from_secs(1);

/// A reader at a moment.
#[derive(Debug)]
pub(super) struct BigQueryReader {
    client: BigQueryClient,
    reads: ReadClient,
    address: Address,
    /// The moment; `None` if each unit is read as it is when it is read.
    at: Option<DateTime<Utc>>,
}

impl BigQueryReader {
    /// A reader at the moment that the plan pins.
    pub(super) fn new(
        client: BigQueryClient,
        reads: ReadClient,
        address: Address,
        join: Join<'_>,
    ) -> Result<Self> {
        let at = match join {
            Join::New => Some(Utc::now()),
            Join::Independent => None,
            Join::Pinned(value) | Join::Token(value) => {
                let at = DateTime::parse_from_rfc3339(value).map_err(|error| {
                    Error::data(format!("read the moment that the plan pins, `{value}`"))
                        .because(error)
                        .hint("the manifest was changed; start the run again")
                })?;
                Some(at.to_utc())
            }
        };
        Ok(Self { client, reads, address, at })
    }

    /// The streams of a query's result.
    async fn computed(&self, table: &Table, sql: &str) -> Result<StreamBatches> {
        let billing = &self.address.billing;
        let dry = self.client.dry_run(billing, None, sql).await?.require_select()?;
        let query = self.client.start_query(billing, &dry.location, sql).await?;
        let longest = table.answer_within.map_or(LONGEST, Duration::from_secs);
        let begun = Instant::now();
        let result = loop {
            match self.client.query_result(&query).await? {
                Some(result) => break result,
                None if begun.elapsed() > longest => {
                    return Err(Error::data(format!(
                        "read the result of query `{}`: it runs for longer than {} s",
                        query.id,
                        longest.as_secs()
                    ))
                    .hint("raise `limits.answer_within`"));
                }
                None => tokio::time::sleep(LOOK).await,
            }
        };
        let names = table.columns.iter().map(|column| column.name.clone()).collect();
        self.whole(&result, None, &[], None, names, table).await
    }

    /// The streams of a table that BigQuery stores, with its filter.
    async fn stored(&self, table: &Table, names: Vec<String>) -> Result<StreamBatches> {
        let (relation, filter) = (&table.relation, table.filter.as_deref());
        let reading = Reading::of(&self.client, &self.address, relation, filter, self.at).await?;
        let Some(id) = reading.stored() else {
            return Err(Error::data(format!("read `{}`: it is not a table any more", table.name))
                .hint("plan the run again"));
        };
        let restriction = reading.restriction();
        let read =
            self.whole(id, self.at, &names, restriction.as_deref(), names.clone(), table).await;
        match read {
            // A condition that a query takes, and a session does not.
            Err(error) if error.kind() == Kind::Invalid && restriction.is_some() => {
                self.computed(table, &reading.as_text(&table.columns)).await
            }
            read => read,
        }
    }

    /// The streams of a whole table.
    async fn whole(
        &self,
        id: &TableId,
        at: Option<DateTime<Utc>>,
        columns: &[String],
        filter: Option<&str>,
        names: Vec<String>,
        table: &Table,
    ) -> Result<StreamBatches> {
        let request = ReadRequest {
            project: &self.address.billing,
            table: id,
            at,
            columns,
            filter,
            streams: STREAMS,
        };
        let session = self.reads.session(&request).await?;
        Ok(self.batches(session.streams, names, table))
    }

    fn batches(&self, streams: Vec<String>, names: Vec<String>, table: &Table) -> StreamBatches {
        let conversion = Conversion::new(arrow_schema(&table.columns), names);
        StreamBatches::new(&self.reads, streams, conversion, table.columns.len())
    }
}

#[async_trait]
impl Reader for BigQueryReader {
    async fn check(&mut self, table: &Table) -> Result<()> {
        // A query says what it reads, and fails if that is gone.
        if table.shape.is_empty() || table.statement.is_some() {
            return Ok(());
        }
        let tables = Tables::look_up(&self.client, &self.address, &table.relation, self.at).await;
        let tables = tables.map_err(|error| match error.kind() {
            Kind::NotFound => {
                Error::data(format!("check `{}`: it is gone since the run was planned", table.name))
                    .hint("plan the run again")
            }
            _ => error,
        })?;
        if tables.shape() == table.shape {
            return Ok(());
        }
        Err(Error::data(format!(
            "check `{}`: its columns were `{}` when the run was planned, and are `{}`",
            table.name,
            table.shape,
            tables.shape()
        ))
        .hint("plan the run again"))
    }

    async fn read<'a>(
        &'a mut self,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Box<dyn Batches + 'a>> {
        let names = || table.columns.iter().map(|column| column.source_name.clone()).collect();
        let batches = match &unit.cut {
            Cut::Stream { name } => self.batches(vec![name.clone()], names(), table),
            Cut::Full => match &table.statement {
                Some(sql) => self.computed(table, sql).await?,
                None => self.stored(table, names()).await?,
            },
            cut => {
                return Err(Error::invalid(format!(
                    "cut by {}: BigQuery is not cut so",
                    cut.kind()
                ))
                .hint("the manifest was changed; start the run again"));
            }
        };
        Ok(Box::new(batches))
    }
}
