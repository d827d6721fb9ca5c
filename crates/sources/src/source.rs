//! The port to a source: planning side and reading side.

use std::fmt;
use std::sync::Arc;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use sluice_contracts::documents::{Column, Cut, KeyType, Table, Unit};
use sluice_contracts::job::{TableJob, TableName};
use sluice_contracts::{Error, Result};

use crate::documentation::TypeRow;

/// A kind of source, chosen by its URL's scheme.
pub trait SourceKind: Sync {
    /// Schemes of its URLs.
    fn schemes(&self) -> &'static [&'static str];

    /// What the documentation says of its types.
    fn types(&self) -> Vec<TypeRow>;

    /// A source of this kind. Checks the URL, connects to nothing.
    fn open(&self, url: &str) -> Result<Arc<dyn Source>>;
}

/// A database, or anything else that holds tables.
///
/// Implementations retry nothing: an error of kind `Transient` says that the caller may.
/// All methods may be called concurrently.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// The source for messages: no password, no query string.
    fn label(&self) -> &str;

    /// Connects for planning. `application` names the connection to the source's operator.
    async fn survey(&self, application: &str) -> Result<Box<dyn Survey>>;

    /// Connects for reading, in one read-only transaction that lasts as long as the reader.
    ///
    /// With [`Join::Token`], `None` says that nobody holds that snapshot any more.
    ///
    /// # Errors
    /// `Transient` because of [`NoConnectionLeft`] where the source has as many connections as it
    /// allows.
    async fn reader(&self, application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>>;
}

/// Why a source refuses a connection that it would give another time: it has as many as it allows,
/// or the user has. What it said itself.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoConnectionLeft(pub String);

impl NoConnectionLeft {
    /// Whether it is at the root of an error.
    pub fn caused(error: &Error) -> bool {
        let mut next = std::error::Error::source(error);
        while let Some(cause) = next {
            if cause.is::<Self>() {
                return true;
            }
            next = cause.source();
        }
        false
    }
}

/// Which moment a reader sees.
#[derive(Debug, Clone, Copy)]
pub enum Join<'a> {
    /// A moment of its own, now.
    New,
    /// The moment that another reader exported as this token.
    Token(&'a str),
    /// Whatever each unit's own transaction sees.
    Independent,
}

/// A connection for planning. Reads catalogs, statistics and single index entries, never a whole
/// table.
#[async_trait]
pub trait Survey: Send {
    /// The base tables that a pattern can mean, and those that it cannot, with the reason.
    async fn tables(&mut self) -> Result<Listing>;

    /// Connections that readers can open at once, as far as the source limits them. More tasks than
    /// that would wait for each other.
    async fn connections(&mut self) -> Result<Option<u32>> {
        Ok(None)
    }

    /// What the table looks like, and what its columns become.
    ///
    /// # Errors
    /// `NotFound` for an absent table or column; `Invalid` for a column that no target type holds,
    /// with the way out as hint.
    async fn describe(&mut self, table: &TableJob) -> Result<Description>;

    /// Where the keys of one piece lie. An approximation: cuts made from it are right whatever it
    /// says, only their sizes are not.
    ///
    /// `None` where finding out would read too much of the table, or where it has no keys.
    async fn distribution(
        &mut self,
        _table: &TableJob,
        _piece: &Piece,
        _key: &Key,
    ) -> Result<Option<Distribution>> {
        Ok(None)
    }

    /// A cut as a predicate of the source's language; empty for all rows.
    ///
    /// # Errors
    /// `Invalid` for a cut that the source does not know.
    fn predicate(&self, cut: &Cut) -> Result<String>;
}

/// The tables of a source.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Those that a pattern can mean, in the order of their names.
    pub tables: Vec<TableName>,
    /// Those that look like tables and are not moved as such, with the reason.
    pub excluded: Vec<(TableName, String)>,
}

/// What a table looks like to the planner.
#[derive(Debug, Clone)]
pub struct Description {
    /// The columns to be read, with what they become.
    pub columns: Vec<Column>,
    /// Names and types of the columns, and the leaves, in one string that changes when they do.
    pub shape: String,
    /// Columns that the table can be cut by, in the table's order.
    pub keys: Vec<Key>,
    /// Columns that tell rows apart, for hashing; empty if there are none.
    pub identity: Vec<String>,
    /// What is read one after another: the table itself, or its leaves. Never empty.
    pub pieces: Vec<Piece>,
    /// What the reader of the plan should know.
    pub warnings: Vec<String>,
}

impl Description {
    /// Expected rows of all pieces.
    pub fn rows(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.rows).sum()
    }

    /// Expected bytes of all pieces.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(|piece| piece.bytes).sum()
    }
}

/// A column that a table can be cut by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key {
    /// Name in the source.
    pub column: String,
    /// What its values count.
    pub key_type: KeyType,
    /// Whether an index begins with it, so that a range is found without reading the rest.
    pub indexed: bool,
    /// Whether it is the only column of the primary key.
    pub primary: bool,
    /// Whether it may hold NULL.
    pub nullable: bool,
}

/// A table, or one of the leaves that it consists of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The leaf as the source spells it; `None` for the table itself.
    pub leaf: Option<String>,
    /// Expected rows.
    pub rows: u64,
    /// Expected bytes.
    pub bytes: u64,
    /// Pages, where rows can be found by page.
    pub pages: Option<u32>,
}

/// Where the keys of a piece lie.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Distribution {
    /// Ascending and disjoint. Keys outside of every span may exist too.
    pub spans: Vec<Span>,
    /// Expected rows whose key is NULL.
    pub nulls: f64,
}

/// Keys `lo..=hi`, and how many rows have one, evenly spread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Span {
    /// Lowest key.
    pub lo: i64,
    /// Highest key.
    pub hi: i64,
    /// Expected rows.
    pub rows: f64,
}

/// A connection for reading. What it reads it sees at the moment it joined.
///
/// A unit is [`check`](Reader::check), [`read`](Reader::read) to the end, and
/// [`confirm`](Reader::confirm). After an error the reader reads nothing more until it was told to
/// [`recover`](Reader::recover). Until it is dropped, an error of a unit ends neither its moment nor
/// what it [exported](Reader::export), so that another reader can be joined to it instead. Only a
/// lost connection does.
#[async_trait]
pub trait Reader: Send {
    /// A token that other readers can join this one's moment with, valid while this reader lives.
    /// Empty where it is [`Join::Independent`] and has none.
    async fn export(&mut self) -> Result<String>;

    /// Refuses a table that no longer has the shape it was planned with, and keeps its shape from
    /// changing while this reader lives where the source can do so.
    ///
    /// # Errors
    /// `Data` where the table was altered, naming what changed.
    async fn check(&mut self, table: &Table) -> Result<()>;

    /// The rows of one unit.
    async fn read<'a>(
        &'a mut self,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Box<dyn Batches + 'a>>;

    /// Called after a unit's last batch and before its receipt: fails where what was read may not
    /// have been the moment that this reader joined. Nothing to do where a moment cannot be lost
    /// without an error of the reading itself.
    async fn confirm(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the reader fit for another unit after an error, on the connection that it has and at
    /// the moment that it sees. Its export stays what it was.
    ///
    /// A unit that was left before its end may have to be passed over, which takes as long as
    /// reading it and keeps nothing of it. An error of the unit itself, such as a lock that was not
    /// given, is told from the loss of the connection by this: after the first it succeeds.
    ///
    /// # Errors
    /// Where the connection or its moment is lost. Then the reader is to be dropped. Nothing to do
    /// where a reader holds no connection between units.
    async fn recover(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The rows of one unit, in batches of bounded size.
#[async_trait]
pub trait Batches: Send {
    /// The next rows; `None` after the last. Not to be called again after an error.
    async fn next(&mut self) -> Result<Option<RecordBatch>>;

    /// Bytes received from the source so far.
    fn bytes(&self) -> u64;

    /// Values replaced by NULL so far, by column in the order of the table's columns.
    fn invalid(&self) -> &[u64];
}
