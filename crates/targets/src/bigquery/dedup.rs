//! One row of each key: a query over the staging tables keeps the newest, and another counts the keys
//! whose newest row is not known.
//!
//! ```text
//! parts, or rows of BigQuery --> staging tables with all rows --query--> a staging table --> the table
//! ```
//!
//! What is visible later is read from the second staging table, so partitions that hold nothing but rows
//! that are left out stay as they are. Both queries are jobs with names of their own, so a loader that
//! dies leaves them to the next one.
//!
//! <https://cloud.google.com/bigquery/docs/reference/standard-sql/query-syntax#qualify_clause>

use std::task::Poll;

use serde_json::{Value, json};
use sluice_contracts::documents::{Column, Dedup, Dropped, EngineEstimate, Table};
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;

use super::attempts::{AttemptState, Attempts, DoneJob};
use super::existing::{ExistingTable, Wanted};
use super::load::TableLoad;
use super::merge::{quoted, refused_key, refused_order};
use super::native;
use super::owner::Owner;
use super::path::LoadPath;
use super::statement;
use sluice_runtime::google::bigquery::TableId;

impl TableLoad {
    /// Brings all rows into staging tables, and the newest of each key from there into another one. It
    /// changes nothing that readers see.
    pub(super) async fn bring_newest(
        &mut self,
        dedup: &Dedup,
        path: LoadPath,
        existing: Option<&ExistingTable>,
    ) -> Result<Poll<()>> {
        // A statement reads these tables, so they need nothing of the target but its key.
        if self.bring_all(LoadPath::Statement, existing).await?.is_pending() {
            return Ok(Poll::Pending);
        }
        let (all, kept, ties) = (self.brought_tables()?, self.staging(0), self.ties());
        let newest = choose(dedup, &self.load.columns, &all);
        let newest = statement::insert_rows(&kept, &self.load.columns, &newest);
        let counted = count_ties(dedup, &all, &ties);
        // Both are at work at the same time.
        let described = || self.described(path, &kept, existing);
        let chosen = self.carry_out(&self.choosing(), &kept, newest, described).await?;
        let empty = || self.table_of_ties();
        let counted = self.carry_out(&self.counting(), &ties, counted, empty).await?;
        let (Poll::Ready(chosen), Poll::Ready(_)) = (chosen, counted) else {
            return Ok(Poll::Pending);
        };
        let filled = ExistingTable::find(&self.client, &kept).await?;
        let every = filled.as_ref().and_then(ExistingTable::every_partition);
        let rows = self.count_rows(&kept, every.as_deref()).await?;
        let read = self.load.rows;
        if chosen.report.written.is_some_and(|written| written != rows) || rows > read {
            return Err(Error::data(format!(
                "check run `{}`: of {} rows BigQuery kept {}, and says that it wrote {}",
                self.load.run,
                thousands(read),
                thousands(rows),
                chosen.report.written.map_or_else(|| "none".to_owned(), thousands),
            ))
            .hint("nothing of the table was made visible; start the run again"));
        }
        let counted = format!("SELECT CAST(MAX(`ties`) AS STRING) FROM {}", ties.quoted());
        let (project, location) = (&self.id.project, Some(self.location.as_str()));
        let ties = self.client.single_value(project, location, &counted).await?;
        let ties =
            ties.parse().map_err(|_| Error::bug("count the keys with a tie: it is no number"))?;
        self.load.dropped = Some(Dropped { rows: read - rows, ties });
        self.load.rows = rows;
        Ok(Poll::Ready(()))
    }

    /// The attempts at keeping one row of each key.
    pub(super) fn choosing(&self) -> Attempts<'_> {
        self.query("newest", self.staging(0))
    }

    /// The attempts at counting the keys whose newest row is not known.
    pub(super) fn counting(&self) -> Attempts<'_> {
        self.query("ties", self.ties())
    }

    /// The table with their number. BigQuery keeps the result of a query for a day alone, so it has a
    /// table as the rows have.
    pub(super) fn ties(&self) -> TableId {
        let staging = self.staging(0);
        staging.beside(format!("{}_ties", staging.table))
    }

    fn table_of_ties(&self) -> Value {
        let fields = json!({"fields": [{"name": "ties", "type": "INT64", "mode": "NULLABLE"}]});
        self.staging_table(&self.ties(), &fields, None)
    }

    fn query(&self, kind: &str, staging: TableId) -> Attempts<'_> {
        let owner = Owner::of(&self.load);
        Attempts::query(&self.client, &self.id, &self.location, owner, (kind, staging))
    }

    /// Carries a query out once that fills a table. Whether one has filled it is asked before the table
    /// is made: the rows of an earlier one may be gone with their table.
    async fn carry_out(
        &self,
        attempts: &Attempts<'_>,
        into: &TableId,
        query: String,
        table: impl FnOnce() -> Value,
    ) -> Result<Poll<DoneJob>> {
        let free = match attempts.look_for_job().await.map_err(|failed| failed.error)? {
            AttemptState::Free(free) => free,
            AttemptState::Running => return Ok(Poll::Pending),
            AttemptState::Done(job) => return Ok(Poll::Ready(job)),
        };
        self.client.create_table(into, &table()).await?;
        let configuration = json!({"query": query, "useLegacySql": false});
        let started = attempts.start_job(free, "query", &configuration).await;
        started.map_err(|failed| failed.error)
    }
}

/// The newest row of each key.
fn choose(dedup: &Dedup, columns: &[Column], all: &[TableId]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quoted(&column.name)).collect();
    let rows = rows_of(&names.join(", "), all);
    let (key, order) = (key_of(dedup), quoted(&dedup.order));
    format!(
        "SELECT * FROM ({rows}) WHERE TRUE \
         QUALIFY ROW_NUMBER() OVER (PARTITION BY {key} ORDER BY {order} DESC) = 1"
    )
}

/// Counts the keys that have several rows with the greatest value in the order column. It reads the key
/// and that column alone.
fn count_ties(dedup: &Dedup, all: &[TableId], into: &TableId) -> String {
    let (key, order) = (key_of(dedup), quoted(&dedup.order));
    let is_key = dedup.keys.iter().any(|name| name.eq_ignore_ascii_case(&dedup.order));
    let rows = rows_of(&if is_key { key.clone() } else { format!("{key}, {order}") }, all);
    format!(
        "INSERT INTO {} (`ties`) SELECT COUNT(*) FROM (SELECT 1 FROM (SELECT * FROM ({rows}) WHERE TRUE \
         QUALIFY RANK() OVER (PARTITION BY {key} ORDER BY {order} DESC) = 1) \
         GROUP BY {key} HAVING COUNT(*) > 1)",
        into.quoted()
    )
}

fn key_of(dedup: &Dedup) -> String {
    let key: Vec<String> = dedup.keys.iter().map(|name| quoted(name)).collect();
    key.join(", ")
}

fn rows_of(columns: &str, tables: &[TableId]) -> String {
    let selects: Vec<String> =
        tables.iter().map(|table| format!("SELECT {columns} FROM {}", table.quoted())).collect();
    selects.join(" UNION ALL ")
}

/// Bytes that the two queries read of a table with these columns, as far as that is known.
pub(super) fn bytes_read(dedup: &Dedup, columns: &[Column], bytes: u64) -> u64 {
    let compared = dedup.keys.len() as u64 + 1;
    bytes + bytes / (columns.len() as u64).max(1) * compared.min(columns.len() as u64)
}

/// What the two queries take of a planned table.
pub(super) fn estimate(table: &Table) -> EngineEstimate {
    let read = |dedup| bytes_read(dedup, &table.columns, table.bytes);
    let read = table.write.dedup.as_ref().map(read);
    read.map_or_else(EngineEstimate::default, native::estimate_of_query)
}

/// What stands against keeping one row of each key: all of it at once.
pub(super) fn refusals(wanted: &Wanted<'_>, existing: Option<&ExistingTable>) -> Vec<Error> {
    let Some(dedup) = wanted.dedup else { return Vec::new() };
    let keys = dedup.keys.iter().filter_map(|name| refused_key(wanted, "dedup.keys", name));
    let reordered = existing.and_then(|table| table.refused_order_of_fields(wanted.columns));
    keys.chain(refused_order(wanted, "dedup.order", &dedup.order)).chain(reordered).collect()
}
