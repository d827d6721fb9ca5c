//! Planning: what a relation looks like, and where its keys lie.

use std::collections::HashMap;

use async_trait::async_trait;
use rusqlite::Connection;
use sluice_contracts::Result;
use sluice_contracts::documents::{Cut, Relation, SnapshotPlan};
use sluice_contracts::job::TableJob;

use super::catalog::CatalogEntry;
use super::columns::resolve;
use super::connection::{Handle, failed};
use super::dialect::{SqliteDialect, quote};
use super::distribution::distribution;
use super::estimate::estimate;
use super::listing::list;
use super::location::Location;
use super::snapshot;
use super::type_table::Encoding;
use crate::datetime::TextFormat;
use crate::description::{Description, Distribution, Key, Listing, NativeSource, Piece};
use crate::source::Survey;
use crate::sql::predicate;

/// All columns, for people.
const ALL: &str = "*";

/// A connection for planning.
#[derive(Debug)]
pub(super) struct SqliteSurvey {
    handle: Handle,
    /// How the columns of the table described last spell their days. Predicates for people need
    /// it; readers find it in the plan.
    spellings: HashMap<String, TextFormat>,
}

impl SqliteSurvey {
    /// Connects.
    pub(super) async fn open(location: Location) -> Result<Self> {
        let handle = Handle::open(location).await?;
        Ok(Self { handle, spellings: HashMap::new() })
    }
}

/// Refuses a query or a filter that is not one statement or one condition by itself: with the
/// parentheses and conditions around it, it would mean something else.
fn refuse_pieces(connection: &Connection, found: &CatalogEntry, job: &TableJob) -> Result<()> {
    let mut statements = Vec::new();
    if let Relation::Query(sql) = &job.relation {
        statements.push(sql.trim().trim_end_matches(';').to_owned());
    }
    if let Some(filter) = &job.filter {
        statements.push(format!("SELECT 1 FROM {} WHERE {filter}\n", found.from));
    }
    for sql in statements {
        let doing = format!("read the SQL of {}", found.title);
        connection.prepare(&sql).map(drop).map_err(|error| failed(error, doing))?;
    }
    Ok(())
}

#[async_trait]
impl Survey for SqliteSurvey {
    async fn tables(&mut self) -> Result<Listing> {
        self.handle.call(|connection| list(connection)).await
    }

    async fn describe(&mut self, table: &TableJob) -> Result<Description> {
        let job = table.clone();
        let description = self
            .handle
            .call(move |connection| {
                let found = CatalogEntry::look_up(connection, &job.relation)?;
                refuse_pieces(connection, &found, &job)?;
                let mut columns = resolve(&job, &found)?;
                let sizes = estimate(connection, &found, &columns, job.filter.as_deref())?;
                for (column, spelling) in columns.iter_mut().zip(sizes.spellings) {
                    if let Some(spelling) = spelling {
                        let encoding = Encoding::parse(&column.encoding)?.spelled(spelling);
                        encoding.name().clone_into(&mut column.encoding);
                    }
                }
                Ok(Description {
                    columns,
                    shape: found.shape(),
                    relation: None,
                    keys: found.keys(),
                    identity: found.identity(),
                    pieces: vec![Piece {
                        rows: sizes.rows,
                        bytes: sizes.bytes,
                        ..Piece::default()
                    }],
                    native: NativeSource::Absent,
                    store: None,
                    query: None,
                    has_streams: false,
                    dollars: 0.0,
                    unreadable: None,
                    comment: None,
                    warnings: sizes.warnings,
                })
            })
            .await?;
        self.spellings.clear();
        for column in &description.columns {
            let spelling = Encoding::parse(&column.encoding)?.spelling();
            self.spellings.insert(column.source_name.to_lowercase(), spelling);
        }
        Ok(description)
    }

    async fn distribution(
        &mut self,
        table: &TableJob,
        piece: &Piece,
        key: &Key,
    ) -> Result<Option<Distribution>> {
        if matches!(table.relation, Relation::Query(_)) {
            return Ok(None);
        }
        let (job, piece, key) = (table.clone(), piece.clone(), key.clone());
        let spelling = self.spelling(&key.column);
        self.handle
            .call(move |connection| {
                let found = CatalogEntry::look_up(connection, &job.relation)?;
                distribution(connection, &found, job.filter.as_deref(), &piece, &key, spelling)
            })
            .await
    }

    async fn snapshot(&mut self) -> Result<SnapshotPlan> {
        let location = self.handle.location().clone();
        let pin = move |connection: &mut Connection| snapshot::pin(connection, &location);
        Ok(SnapshotPlan::Pinned { value: self.handle.call(pin).await? })
    }

    fn predicate(&self, cut: &Cut) -> Result<String> {
        let name = |column: &str| if column == ALL { ALL.to_owned() } else { quote(column) };
        let format = |column: &str| self.spelling(column);
        predicate(&SqliteDialect { name: &name, format: &format, all: &[ALL] }, cut)
    }
}

impl SqliteSurvey {
    fn spelling(&self, column: &str) -> TextFormat {
        self.spellings.get(&column.to_lowercase()).copied().unwrap_or_default()
    }
}
