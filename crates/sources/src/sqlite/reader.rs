//! Reading: rows become batches on the connection's thread.

use arrow_array::RecordBatch;
use async_trait::async_trait;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use sluice_contracts::documents::{Column, OnInvalid, Table, Unit};
use sluice_contracts::{Error, Result};
use tokio::sync::mpsc;

use super::catalog::CatalogEntry;
use super::connection::{Handle, Running, failed};
use super::dialect::SqliteDialect;
use super::invalid_values::Rows;
use super::location::Location;
use super::snapshot;
use super::type_table::Encoding;
use super::value::Conversion;
use crate::builder::{BatchBuilder, Invalid};
use crate::datetime::TextFormat;
use crate::source::{Batches, Join, Reader};
use crate::sql::predicate;

/// Batches that wait for their reader. More would cost memory and save no time.
const WAITING: usize = 2;

/// A connection in one transaction.
#[derive(Debug)]
pub(super) struct SqliteReader {
    handle: Handle,
    /// The state of the database that it sees; `None` if each unit sees its own.
    state: Option<String>,
}

impl SqliteReader {
    /// Connects and joins the snapshot.
    pub(super) async fn open(location: Location, join: Join<'_>) -> Result<Self> {
        let handle = Handle::open(location).await?;
        let location = handle.location().clone();
        let wanted = match join {
            // No lock keeps writers out of a file that is read as one that does not change, so a
            // change has to be found.
            Join::Independent if location.immutable => None,
            Join::Independent => return Ok(Self { handle, state: None }),
            Join::New => None,
            Join::Pinned(state) | Join::Token(state) => Some(state.to_owned()),
        };
        let join = move |connection: &mut Connection| {
            snapshot::join(connection, &location, wanted.as_deref())
        };
        let state = Some(handle.call(join).await?);
        Ok(Self { handle, state })
    }
}

#[async_trait]
impl Reader for SqliteReader {
    /// For the runs that a manifest of version 2 plans: their tasks hand the state on.
    async fn export(&mut self) -> Result<String> {
        Ok(self.state.clone().unwrap_or_default())
    }

    async fn check(&mut self, table: &Table) -> Result<()> {
        let (relation, name, planned) =
            (table.relation.clone(), table.name.clone(), table.shape.clone());
        self.handle
            .call(move |connection| {
                let found = CatalogEntry::look_up(connection, &relation)
                    .map_err(|error| refuse_absent(error, &name))?;
                refuse_altered(&name, &planned, &found.shape())
            })
            .await
    }

    async fn read<'a>(
        &'a mut self,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Box<dyn Batches + 'a>> {
        let relation = table.relation.clone();
        let found = self.handle.call(move |c| CatalogEntry::look_up(c, &relation)).await?;
        let work = Work::new(table, unit, &found)?;
        let (batches, received) = mpsc::channel(WAITING);
        let running = self.handle.start(move |connection| {
            let message = match work.run(connection, &batches) {
                Ok(last) => Message::End(last),
                Err(error) => Message::Failed(error),
            };
            // An error means that the unit was given up.
            let _ = batches.blocking_send(message);
        })?;
        let progress = Progress { bytes: 0, invalid: vec![0; table.columns.len()] };
        Ok(Box::new(SqliteBatches { received, progress, ended: false, _running: running }))
    }

    async fn confirm(&mut self) -> Result<()> {
        let Some(state) = self.state.clone() else { return Ok(()) };
        let location = self.handle.location().clone();
        self.handle.call(move |_| snapshot::confirm(&location, &state)).await
    }

    async fn recover(&mut self) -> Result<()> {
        let (lives_on, label) = (self.state.is_some(), self.handle.location().label.clone());
        // A statement whose result is not wanted ends by itself. SQLite ends some transactions with
        // it.
        self.handle
            .call(move |connection| {
                if lives_on && connection.is_autocommit() {
                    return Err(Error::transient(format!("read `{label}`: its transaction ended")));
                }
                Ok(())
            })
            .await
    }
}

fn refuse_absent(error: Error, name: &str) -> Error {
    match error.kind() {
        sluice_contracts::Kind::NotFound => {
            Error::data(format!("check `{name}`: it is gone since the run was planned"))
                .hint("plan the run again")
        }
        _ => error,
    }
}

/// Names and declared types, as a shape has them.
type Columns = Vec<(String, String)>;

/// Names what differs between two shapes.
fn refuse_altered(name: &str, planned: &str, current: &str) -> Result<()> {
    if planned == current {
        return Ok(());
    }
    let columns = |shape| serde_json::from_str::<Columns>(shape).unwrap_or_default();
    let (before, after) = (columns(planned), columns(current));
    let type_of = |columns: &Columns, wanted: &str| {
        columns.iter().find(|(name, _)| name == wanted).map(|(_, declared)| declared.clone())
    };
    let gone = before.iter().filter_map(|(column, old)| match type_of(&after, column) {
        None => Some(format!("column `{column}` is gone")),
        Some(new) if new != *old => Some(format!("column `{column}` was `{old}`, is `{new}`")),
        Some(_) => None,
    });
    let new = after
        .iter()
        .filter(|(column, _)| type_of(&before, column).is_none())
        .map(|(column, _)| format!("column `{column}` is new"));
    let mut changes: Vec<String> = gone.chain(new).collect();
    if changes.is_empty() {
        changes.push("its columns have another order".to_owned());
    }
    Err(Error::data(format!(
        "check `{name}`: it was altered since the run was planned: {}",
        changes.join(", ")
    ))
    .hint("plan the run again"))
}

/// What the thread has to do for one unit.
struct Work {
    sql: String,
    columns: Vec<Column>,
    conversions: Vec<Conversion>,
    /// For messages.
    table: String,
    unit: u32,
    rows: Rows,
}

impl Work {
    fn new(table: &Table, unit: &Unit, found: &CatalogEntry) -> Result<Self> {
        let encodings = table
            .columns
            .iter()
            .map(|c| Encoding::parse(&c.encoding))
            .collect::<Result<Vec<_>>>()?;
        let spelling = |key: &str| {
            let place = table.columns.iter().position(|c| c.source_name.eq_ignore_ascii_case(key));
            place.map_or(TextFormat::default(), |place| encodings[place].spelling())
        };
        let all: Vec<&str> = table.columns.iter().map(|c| c.source_name.as_str()).collect();
        let name = |column: &str| found.sql(column);
        let condition =
            predicate(&SqliteDialect { name: &name, format: &spelling, all: &all }, &unit.cut)?;
        let names: Vec<String> = all.iter().map(|name| found.sql(name)).collect();
        let expressions = if names.is_empty() { "NULL".to_owned() } else { names.join(", ") };
        let filter = table.filter.as_deref().unwrap_or_default();
        Ok(Self {
            sql: found.select(&expressions, &[filter, &condition]),
            conversions: table.columns.iter().map(Conversion::of).collect::<Result<_>>()?,
            columns: table.columns.clone(),
            table: table.name.clone(),
            unit: unit.index,
            rows: Rows::of(table, unit, found),
        })
    }

    /// Sends all batches but the last, and returns the last.
    fn run(&self, connection: &Connection, batches: &mpsc::Sender<Message>) -> Result<Batch> {
        let doing = || format!("read unit {} of `{}`", self.unit, self.table);
        let mut statement =
            connection.prepare(&self.sql).map_err(|error| failed(error, doing()))?;
        let mut rows = statement.query([]).map_err(|error| failed(error, doing()))?;
        let mut builder = BatchBuilder::new(&self.columns);
        let mut progress = Progress { bytes: 0, invalid: vec![0; self.columns.len()] };
        let mut number = 0_u64;
        while let Some(row) = rows.next().map_err(|error| failed(error, doing()))? {
            number += 1;
            let mut bytes = 0;
            for (place, conversion) in self.conversions.iter().enumerate() {
                let value = row.get_ref(place).map_err(|error| failed(error, doing()))?;
                bytes += bytes_of(value);
                let column = &mut builder.columns[place];
                if let Err(reason) = conversion.append(column, value) {
                    let refusal = |reason| self.refusal(place, number, value, reason);
                    if self.columns[place].on_invalid == OnInvalid::Fail {
                        return Err(refusal(reason));
                    }
                    column.append_null().map_err(refusal)?;
                    progress.invalid[place] += 1;
                }
            }
            progress.bytes += bytes as u64;
            if builder.end_row(bytes) {
                let batch = Batch { rows: builder.finish()?, progress: progress.clone() };
                if batches.blocking_send(Message::Rows(batch)).is_err() {
                    break;
                }
            }
        }
        Ok(Batch { rows: builder.finish()?, progress })
    }

    fn refusal(&self, place: usize, row: u64, value: ValueRef<'_>, reason: Invalid) -> Error {
        let column = &self.columns[place];
        let Column { source_name, target_type, .. } = column;
        Error::data(format!(
            "read unit {} of `{}`: column `{source_name}`, row {row} of the unit: {target_type} \
             cannot hold {}",
            self.unit, self.table, reason.0
        ))
        .hint(self.rows.hint(column, row, value, reason))
    }
}

fn bytes_of(value: ValueRef<'_>) -> usize {
    match value {
        ValueRef::Null => 1,
        ValueRef::Integer(_) | ValueRef::Real(_) => 8,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len(),
    }
}

/// A message of the thread. The end is a message, too: a thread that died sends none.
enum Message {
    Rows(Batch),
    End(Batch),
    Failed(Error),
}

struct Batch {
    rows: Option<RecordBatch>,
    progress: Progress,
}

/// Counted from the unit's beginning.
#[derive(Debug, Clone)]
struct Progress {
    bytes: u64,
    invalid: Vec<u64>,
}

/// The rows of one unit, as they come from the thread.
struct SqliteBatches {
    received: mpsc::Receiver<Message>,
    progress: Progress,
    ended: bool,
    _running: Running,
}

#[async_trait]
impl Batches for SqliteBatches {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        if self.ended {
            return Ok(None);
        }
        let batch = match self.received.recv().await {
            Some(Message::Rows(batch)) => batch,
            Some(Message::End(batch)) => {
                self.ended = true;
                batch
            }
            Some(Message::Failed(error)) => {
                self.ended = true;
                return Err(error);
            }
            None => return Err(Error::bug("read a unit: the thread ended before the rows did")),
        };
        self.progress = batch.progress;
        Ok(batch.rows)
    }

    fn bytes(&self) -> u64 {
        self.progress.bytes
    }

    fn invalid(&self) -> &[u64] {
        &self.progress.invalid
    }
}
