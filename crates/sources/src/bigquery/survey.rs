//! Planning: what a relation looks like, and the query that reads it.

use async_trait::async_trait;
use chrono::{DateTime, SecondsFormat, Utc};
use sluice_contracts::documents::{Column, Cut, Native, Relation, SnapshotPlan};
use sluice_contracts::job::{RowSecurity, TableJob};
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::BigQueryClient;

use super::address::Address;
use super::catalog::CatalogTable;
use super::columns::{self, resolve};
use super::dialect;
use super::listing::list;
use super::tables::{Tables, sql_type};
use crate::naming::description_of_table;
use crate::source::{Description, Listing, NativeQuery, Piece, Survey};
use crate::sql::refuse_foreign;

/// BigQuery's own clock, in milliseconds since 1970: a table is copied as it was at a millisecond.
const NOW: &str = "SELECT UNIX_MILLIS(CURRENT_TIMESTAMP())";
/// The column that a query of a wildcard has besides those of the tables.
const SUFFIX: &str = "_table_suffix";

/// A client for planning, and the moment that the plan pins.
#[derive(Debug)]
pub(super) struct BigQuerySurvey {
    client: BigQueryClient,
    address: Address,
    at: DateTime<Utc>,
}

impl BigQuerySurvey {
    /// Asks BigQuery what time it is.
    pub(super) async fn open(client: BigQueryClient, address: Address) -> Result<Self> {
        let now = client.single_value(&address.billing, None, NOW).await?;
        let at = now.parse().ok().and_then(DateTime::from_timestamp_millis);
        let at = at.ok_or_else(|| Error::bug("ask BigQuery what time it is: it is no number"))?;
        Ok(Self { client, address, at })
    }

    async fn describe_tables(&self, job: &TableJob) -> Result<Description> {
        let tables = Tables::look_up(&self.client, &self.address, &job.relation).await?;
        let Some(newest) = tables.newest() else {
            return Err(Error::bug(format!("describe `{}`: no table was found", job.relation)));
        };
        let title = format!("table `{}`", job.relation);
        let is_table = tables.found.iter().all(CatalogTable::is_table);
        let found = columns::Relation {
            title: &title,
            fields: newest.fields(),
            says_nullable: is_table && tables.wildcard.is_none(),
        };
        let columns = resolve(job, found)?;
        let filtered = self.row_policies(job, &tables).await?;
        let is_filtered = filtered.is_some() && job.row_security == RowSecurity::Filter;
        let warnings = filtered.into_iter().chain(warnings_of(&tables)).collect();

        // BigQuery keeps what tables were, and nothing of what views were.
        let names_suffix = job.filter.as_deref().is_some_and(|filter| {
            tables.wildcard.is_some() && filter.to_lowercase().contains(SUFFIX)
        });
        let at = (is_table && !names_suffix).then_some(self.at);
        let from = match &tables.wildcard {
            None => dialect::relation(&newest.id, at),
            Some(name) if names_suffix => newest.id.beside(name.as_str()).quoted(),
            Some(_) => union(&tables, at),
        };
        let every = newest.every_partition();
        let conditions: Vec<&str> =
            [job.filter.as_deref(), every.as_deref()].into_iter().flatten().collect();
        let statement = dialect::select(&columns, &from, &conditions);
        let location = newest.location();
        let dry = self.client.dry_run(&self.address.billing, Some(location), &statement).await;
        let bytes = dry.map_err(|error| error.during(format!("describe {title}")))?.bytes;
        let unfiltered = if job.filter.is_some() && newest.is_laid_out() {
            let all: Vec<&str> = every.iter().map(String::as_str).collect();
            let all = dialect::select(&columns, &from, &all);
            Some(self.client.dry_run(&self.address.billing, Some(location), &all).await?.bytes)
        } else {
            None
        };

        let is_whole = job.filter.is_none()
            && is_unchanged(&columns, newest)
            && tables.are_alike()
            && !is_filtered;
        let streamed = tables.found.iter().any(CatalogTable::is_streamed_to);
        let copied: Vec<String> = match at {
            Some(_) if is_whole && !streamed => {
                tables.found.iter().map(|table| table.id.to_string()).collect()
            }
            _ => Vec::new(),
        };
        let rows = match copied.as_slice() {
            // Counting reads nothing, unless the table wants to be told which partitions.
            [_, ..] if every.is_none() => Some(self.count(&from, location).await?),
            _ => None,
        };
        let all_rows: u64 = tables.found.iter().filter_map(CatalogTable::rows).sum();
        let all_bytes: u64 = tables.found.iter().map(CatalogTable::bytes).sum();
        let native = Native { at, location: location.to_owned(), copied, rows, bytes, unfiltered };
        Ok(Description {
            shape: shape(newest),
            columns,
            identity: newest.primary_key(),
            pieces: vec![Piece {
                rows: rows.unwrap_or_else(|| kept(all_rows, bytes, unfiltered)),
                bytes: if bytes > 0 { bytes } else { all_bytes },
                ..Piece::default()
            }],
            native: Some(NativeQuery { statement, native }),
            comment: description_of_table(newest.comment()),
            warnings,
            ..Description::default()
        })
    }

    async fn describe_query(&self, job: &TableJob, sql: &str) -> Result<Description> {
        let what = || "describe the query".to_owned();
        let billing = &self.address.billing;
        let own = self.client.dry_run(billing, None, sql).await;
        let own = own.map_err(|error| error.during(what()))?;
        let relation =
            columns::Relation { title: "the query", fields: &own.fields, says_nullable: false };
        let columns = resolve(job, relation)?;
        let conditions: Vec<&str> = job.filter.as_deref().into_iter().collect();
        let statement = dialect::select(&columns, &format!("({sql}\n)"), &conditions);
        let dry = self.client.dry_run(billing, Some(&own.location), &statement).await;
        let bytes = dry.map_err(|error| error.during(what()))?.bytes;
        let native = Native {
            at: None,
            location: own.location,
            copied: Vec::new(),
            rows: None,
            bytes,
            unfiltered: None,
        };
        Ok(Description {
            columns,
            pieces: vec![Piece { bytes, ..Piece::default() }],
            native: Some(NativeQuery { statement, native }),
            warnings: vec![own_moment("the query")],
            ..Description::default()
        })
    }

    async fn count(&self, from: &str, location: &str) -> Result<u64> {
        let sql = format!("SELECT CAST(COUNT(*) AS STRING) FROM {from}");
        let count = self.client.single_value(&self.address.billing, Some(location), &sql).await?;
        count.parse().map_err(|_| Error::bug("count the rows of a table: it is no number"))
    }

    /// Refuses tables whose policies hide rows from some readers, or warns of them.
    /// Where this account may not list them, BigQuery refuses the copy of a table of which it does
    /// not see every row, and nothing tells whether a query sees all.
    async fn row_policies(&self, job: &TableJob, tables: &Tables) -> Result<Option<String>> {
        let mut unknown = None;
        for table in tables.found.iter().filter(|table| table.is_table()) {
            match (self.client.has_row_policies(&table.id).await?, job.row_security) {
                (Some(false), _) => {}
                (None, _) => {
                    unknown = Some(format!(
                        "whether row access policies of `{}` hide rows is not known: grant \
                         `bigquery.rowAccessPolicies.list` to the account that plans",
                        table.id
                    ));
                }
                (Some(true), RowSecurity::Filter) => {
                    return Ok(Some(format!(
                        "row access policies of `{}` decide which rows this account sees: only \
                         those are moved",
                        table.id
                    )));
                }
                (Some(true), RowSecurity::Refuse) => {
                    return Err(Error::invalid(format!(
                        "describe table `{}`: its row access policies may hide rows",
                        table.id
                    ))
                    .hint(
                        "`row_security: filter` moves the rows that the policies show to the \
                         account that runs the query",
                    ));
                }
            }
        }
        Ok(unknown)
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

    async fn snapshot(&mut self) -> Result<SnapshotPlan> {
        let value = self.at.to_rfc3339_opts(SecondsFormat::Millis, true);
        Ok(SnapshotPlan::Pinned { value })
    }

    fn predicate(&self, cut: &Cut) -> Result<String> {
        match cut {
            Cut::Full => Ok(String::new()),
            cut => Err(Error::invalid(format!("cut by {}: BigQuery is not cut so", cut.kind()))
                .hint("leave `partitioning` out")),
        }
    }
}

/// The rows of all tables, with the columns of the newest.
fn union(tables: &Tables, at: Option<DateTime<Utc>>) -> String {
    let fields = tables.newest().map(CatalogTable::fields).unwrap_or_default();
    let selects: Vec<String> = tables
        .found
        .iter()
        .map(|table| dialect::aligned(fields, table.fields(), &dialect::relation(&table.id, at)))
        .collect();
    format!("({})", selects.join(" UNION ALL "))
}

/// Whether the columns are all of a table, in its order, under their names and of their types.
fn is_unchanged(columns: &[Column], table: &CatalogTable) -> bool {
    let same = |(column, field): (&Column, &serde_json::Value)| {
        column.name == columns::name_of(field)
            && (column.repeated || column.encoding.eq_ignore_ascii_case(column.target_type.name()))
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
    if !newest.is_table() {
        let kind = newest.kind().to_lowercase().replace('_', " ");
        warnings.push(own_moment(&format!("the {kind}")));
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
        "BigQuery keeps no earlier state of {what}: its rows are those of the moment at which the \
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

/// Names and types of the columns.
fn shape(table: &CatalogTable) -> String {
    let columns: Vec<String> = table
        .fields()
        .iter()
        .map(|field| format!("{} {}", columns::name_of(field), sql_type(field)))
        .collect();
    columns.join(", ")
}
