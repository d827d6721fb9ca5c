//! Planning: what a relation looks like, and the query that reads it.

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use sluice_contracts::documents::{Column, Cut, NativeQuery, NativeRows, Relation, SnapshotPlan};
use sluice_contracts::job::{RowSecurity, TableJob};
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::google::bigquery::{BigQueryClient, DryRun, ReadClient, ReadRequest, price};

use super::address::Address;
use super::catalog::CatalogTable;
use super::columns::{self, resolve};
use super::dialect;
use super::listing::{in_words, list};
use super::reading::{Reading, is_plain, unreadable};
use super::tables::Tables;
use crate::description::{Description, Listing, NativeSource, Piece};
use crate::naming::description_of_table;
use crate::source::Survey;
use crate::sql::refuse_foreign;

/// BigQuery's own clock, in milliseconds since 1970: a table is copied as it was at a millisecond.
const NOW: &str = "SELECT UNIX_MILLIS(CURRENT_TIMESTAMP())";
/// How the warning begins of what is not read as it was when the run was planned.
const EARLIER: &str = "BigQuery keeps no earlier state";
/// Tables that BigQuery is asked about at once.
const AT_ONCE: usize = 16;
/// Streams of a session at most. BigQuery gives as many as it thinks good.
const MOST_STREAMS: u32 = 1_000;

/// A client for planning, and the moment that the plan pins.
#[derive(Debug)]
pub(super) struct BigQuerySurvey {
    client: BigQueryClient,
    reads: ReadClient,
    address: Address,
    at: DateTime<Utc>,
}

impl BigQuerySurvey {
    /// Asks BigQuery what time it is.
    pub(super) async fn open(
        client: BigQueryClient,
        reads: ReadClient,
        address: Address,
    ) -> Result<Self> {
        // Where the dataset lies: an organisation may forbid queries elsewhere.
        let location = match &address.dataset {
            Some(dataset) => Some(client.location_of(&address.project, dataset).await?),
            None => None,
        };
        let now = client.single_value(&address.billing, location.as_deref(), NOW).await?;
        let at = now.parse().ok().and_then(DateTime::from_timestamp_millis);
        let at = at.ok_or_else(|| Error::bug("ask BigQuery what time it is: it is no number"))?;
        Ok(Self { client, reads, address, at })
    }

    async fn describe_tables(&self, job: &TableJob) -> Result<Description> {
        let (client, address) = (&self.client, &self.address);
        let filter = job.filter.as_deref();
        let reading = Reading::of(client, address, &job.relation, filter, Some(self.at)).await?;
        let Some((tables, newest)) =
            reading.tables.as_ref().and_then(|tables| Some((tables, tables.newest()?)))
        else {
            return Err(Error::bug(format!("describe `{}`: no table was found", job.relation)));
        };
        let title = format!("table `{}`", job.relation);
        let found = columns::Relation {
            title: &title,
            fields: newest.fields(),
            says_nullable: tables.are_tables() && tables.wildcard.is_none(),
        };
        let columns = resolve(job, found)?;
        let policies = self.row_policies(job, tables).await?;
        let is_filtered = policies == Policies::Filter;
        let mut warnings: Vec<String> =
            policies.warning(&job.relation).into_iter().chain(warnings_of(tables)).collect();
        // BigQuery shows no earlier state of a table that has row access policies.
        let now = if is_filtered {
            Some(Reading::of(client, address, &job.relation, filter, None).await?)
        } else {
            None
        };
        let reading = now.as_ref().unwrap_or(&reading);
        if reading.at.is_none() && !warnings.iter().any(|warning| warning.contains(EARLIER)) {
            warnings.push(own_moment(&title));
        }
        let native = self.native(job, reading, &columns, is_filtered).await;
        let native = native.map_err(|error| error.during(format!("describe {title}")))?;
        let (statement, query) = native;
        let all_rows: u64 = tables.found.iter().filter_map(CatalogTable::rows).sum();
        let all_bytes: u64 = tables.found.iter().map(CatalogTable::bytes).sum();
        let bytes = if query.bytes > 0 { query.bytes } else { all_bytes };
        let is_stored = reading.stored().is_some() && is_plain(&columns) && !is_filtered;
        let query_dollars = if is_stored { 0.0 } else { price::query_dollars(&[bytes]) };
        let rows = query.rows.unwrap_or_else(|| kept(all_rows, query.bytes, query.unfiltered));
        Ok(Description {
            shape: tables.shape(),
            identity: newest.primary_key(),
            pieces: vec![Piece { rows, bytes, ..Piece::default() }],
            has_streams: is_stored,
            query: (!is_stored).then(|| reading.as_text(&columns)),
            dollars: price::read_dollars(bytes) + query_dollars,
            unreadable: unreadable(&columns).map(of_struct),
            columns,
            comment: description_of_table(newest.comment()),
            native: NativeSource::Exact(NativeRows::Query { statement, query }),
            warnings,
            ..Description::default()
        })
    }

    /// The query that gives the rows of a relation, with what it reads.
    async fn native(
        &self,
        job: &TableJob,
        reading: &Reading,
        columns: &[Column],
        is_filtered: bool,
    ) -> Result<(String, NativeQuery)> {
        let billing = &self.address.billing;
        let statement = reading.statement(columns);
        let newest = reading.tables.as_ref().and_then(Tables::newest);
        let location = newest.map(CatalogTable::location);
        let dry = self.client.dry_run(billing, location, &statement).await?;
        let DryRun { bytes, location, .. } = dry.require_select()?;
        let unfiltered = if job.filter.is_some() && newest.is_some_and(CatalogTable::is_laid_out) {
            let all = reading.unfiltered(columns);
            Some(self.client.dry_run(billing, Some(&location), &all).await?.bytes)
        } else {
            None
        };
        let copied: Vec<String> = match (&reading.tables, reading.at) {
            (Some(tables), Some(_)) if !is_filtered && is_whole(job, columns, tables) => {
                tables.found.iter().map(|table| table.id.to_string()).collect()
            }
            _ => Vec::new(),
        };
        let is_told = newest.is_some_and(|newest| newest.every_partition().is_some());
        let rows = if copied.is_empty() || is_told {
            None
        } else {
            // Counting reads nothing, unless the table wants to be told which partitions.
            let count =
                self.client.single_value(billing, Some(&location), &reading.count()).await?;
            let count = count.parse();
            Some(count.map_err(|_| Error::bug("count the rows of a table: it is no number"))?)
        };
        let query = NativeQuery { at: reading.at, location, copied, rows, bytes, unfiltered };
        Ok((statement, query))
    }

    async fn describe_query(&self, job: &TableJob, sql: &str) -> Result<Description> {
        let during = |error: Error| error.during("describe the query");
        let (client, address) = (&self.client, &self.address);
        let own =
            client.dry_run(&address.billing, None, sql).await.and_then(DryRun::require_select);
        let own = own.map_err(during)?;
        let relation =
            columns::Relation { title: "the query", fields: &own.fields, says_nullable: false };
        let columns = resolve(job, relation)?;
        let filter = job.filter.as_deref();
        let reading = Reading::of(client, address, &job.relation, filter, None).await?;
        let native = self.native(job, &reading, &columns, false).await.map_err(during)?;
        let (statement, query) = native;
        let bytes = query.bytes;
        Ok(Description {
            unreadable: unreadable(&columns).map(of_struct),
            query: Some(reading.as_text(&columns)),
            columns,
            pieces: vec![Piece { bytes, ..Piece::default() }],
            dollars: price::query_dollars(&[bytes]) + price::read_dollars(bytes),
            native: NativeSource::Exact(NativeRows::Query { statement, query }),
            warnings: vec![own_moment("the query")],
            ..Description::default()
        })
    }

    /// Refuses tables whose policies hide rows from some readers, unless the job wants the rows that they
    /// show.
    ///
    /// Where this account may not list them, BigQuery refuses the copy of a table of which it does not see
    /// every row, and nothing tells whether a query sees all.
    async fn row_policies(&self, job: &TableJob, tables: &Tables) -> Result<Policies> {
        let stored: Vec<_> = tables.found.iter().filter(|table| table.is_table()).collect();
        let asked: Vec<_> =
            stored.iter().map(|table| self.client.has_row_policies(&table.id)).collect();
        let asked: Vec<_> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
        let with = stored.iter().zip(&asked).find(|(_, has)| **has == Some(true));
        match (with, job.row_security) {
            (Some(_), RowSecurity::Filter) => Ok(Policies::Filter),
            (Some((table, _)), RowSecurity::Refuse) => Err(Error::invalid(format!(
                "describe table `{}`: its row access policies may hide rows",
                table.id
            ))
            .hint(
                "`row_security: filter` moves the rows that the policies show to the account that \
                 runs the query",
            )),
            (None, _) if asked.contains(&None) => Ok(Policies::Unknown),
            (None, _) => Ok(Policies::None),
        }
    }
}

/// What is known of the row access policies of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Policies {
    None,
    /// This account may not list them.
    Unknown,
    /// They decide which rows are moved.
    Filter,
}

impl Policies {
    fn warning(self, relation: &Relation) -> Option<String> {
        match self {
            Self::None => None,
            Self::Unknown => Some(format!(
                "whether row access policies of `{relation}` hide rows is not known: grant \
                 `bigquery.rowAccessPolicies.list` to the account that plans"
            )),
            Self::Filter => Some(format!(
                "row access policies of `{relation}` decide which rows this account sees: only those \
                 are moved"
            )),
        }
    }
}

#[async_trait]
impl Survey for BigQuerySurvey {
    async fn tables(&mut self) -> Result<Listing> {
        list(&self.client, &self.address).await
    }

    async fn describe(&mut self, table: &TableJob) -> Result<Description> {
        match &table.relation {
            Relation::Query(sql) => self.describe_query(table, sql).await,
            relation => {
                refuse_foreign(relation)?;
                self.describe_tables(table).await
            }
        }
    }

    async fn streams(&mut self, table: &TableJob, count: u32) -> Result<Option<Vec<String>>> {
        let filter = table.filter.as_deref();
        let (client, address, at) = (&self.client, &self.address, Some(self.at));
        let reading = Reading::of(client, address, &table.relation, filter, at).await?;
        let Some(id) = reading.stored() else { return Ok(None) };
        let fields = reading.tables.as_ref().and_then(Tables::newest).map(CatalogTable::fields);
        let named = |name: &String| {
            let field = fields.into_iter().flatten().find(|field| columns::is_named(field, name));
            field.map_or_else(|| name.clone(), |field| columns::name_of(field).to_owned())
        };
        let columns: Vec<String> = table.select.iter().flatten().map(named).collect();
        let restriction = reading.restriction();
        let request = ReadRequest {
            project: &address.billing,
            table: id,
            at: reading.at,
            columns: &columns,
            filter: restriction.as_deref(),
            streams: count.min(MOST_STREAMS),
        };
        match self.reads.session(&request).await {
            Ok(session) if session.streams.is_empty() => Ok(None),
            Ok(session) => Ok(Some(session.streams)),
            // A condition that a query takes, and a session does not.
            Err(error) if error.kind() == Kind::Invalid && filter.is_some() => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn snapshot(&mut self) -> Result<SnapshotPlan> {
        let value = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Ok(SnapshotPlan::Pinned { value })
    }

    fn predicate(&self, cut: &Cut) -> Result<String> {
        match cut {
            Cut::Full => Ok(String::new()),
            Cut::Stream { name } => {
                let number = name.rsplit('/').next().unwrap_or_default();
                Ok(format!("stream {number}"))
            }
            cut => Err(Error::invalid(format!("cut by {}: BigQuery is not cut so", cut.kind()))
                .hint("leave `partitioning` out")),
        }
    }
}

/// Whether a job asks for all rows and all columns of tables that a copy has all of.
fn is_whole(job: &TableJob, columns: &[Column], tables: &Tables) -> bool {
    let streamed = tables.found.iter().any(CatalogTable::is_streamed_to);
    job.filter.is_none()
        && !streamed
        && tables.are_alike()
        && tables.newest().is_some_and(|newest| is_unchanged(columns, newest))
}

/// Why tasks cannot read a column.
fn of_struct(column: &Column) -> String {
    format!(
        "`{}` holds intervals or ranges inside of a STRUCT, which part files have as texts",
        column.source_name
    )
}

/// Whether the columns are all of a table, in its order, under their names and of their types.
fn is_unchanged(columns: &[Column], table: &CatalogTable) -> bool {
    let same = |(column, field): (&Column, &serde_json::Value)| {
        column.name == columns::name_of(field) && !dialect::is_cast(column)
    };
    columns.len() == table.fields().len() && columns.iter().zip(table.fields()).all(same)
}

/// What a reader of the plan should know of the tables.
fn warnings_of(tables: &Tables) -> Vec<String> {
    let mut warnings = Vec::new();
    for (column, table) in tables.left_out() {
        warnings.push(format!(
            "column `{column}` of `{table}` is not in the newest table of `{}`, and is left out",
            tables.wildcard.as_deref().unwrap_or_default()
        ));
    }
    let Some(newest) = tables.newest() else { return warnings };
    // A snapshot never changes.
    if !newest.is_table() && newest.kind() != "SNAPSHOT" {
        warnings.push(own_moment(&format!("the {}", in_words(newest.kind()))));
    }
    if let [first, rest @ ..] = tables.passed_over.as_slice() {
        let more =
            if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        warnings.push(format!(
            "`{first}`{more} of `{}` is not a table, and is left out",
            tables.wildcard.as_deref().unwrap_or_default()
        ));
    }
    if let Some(table) = tables.found.iter().find(|table| table.is_streamed_to()) {
        warnings.push(format!(
            "rows are being streamed into `{}`, which a copy would miss: a query reads it instead",
            table.id
        ));
    }
    let tagged = newest.tagged_columns();
    if !tagged.is_empty() {
        warnings.push(format!(
            "policies protect {}: where they mask values for the account that runs the query, the \
             masked values are moved",
            tagged.iter().map(|name| dialect::quoted(name)).collect::<Vec<_>>().join(", ")
        ));
    }
    warnings
}

/// The warning of what is not read as it was when the run was planned.
fn own_moment(what: &str) -> String {
    format!(
        "{EARLIER} of {what}: its rows are those of the moment at which the \
         query runs, and not of the plan"
    )
}

/// The rows that a filter is expected to keep, by the bytes that it spares.
fn kept(rows: u64, bytes: u64, unfiltered: Option<u64>) -> u64 {
    match unfiltered {
        Some(all) if all > bytes => {
            let kept = u128::from(rows) * u128::from(bytes) / u128::from(all);
            u64::try_from(kept).unwrap_or(rows)
        }
        _ => rows,
    }
}
