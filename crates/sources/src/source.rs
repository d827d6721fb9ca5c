//! The port to a source: planning side and reading side.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use sluice_contracts::documents::{BadRow, Cut, SnapshotPlan, Table, Unit};
use sluice_contracts::job::TableJob;
use sluice_contracts::ports::DatabaseLogin;
use sluice_contracts::{Error, Result};

use crate::description::{Description, Distribution, Key, Listing, Piece};
use crate::documentation::TypeRow;
use crate::place::{Place, Protection};
use crate::url::SourceUrl;

/// A kind of source, chosen by its URL's scheme.
pub trait SourceKind: Sync {
    /// Schemes of its URLs.
    fn schemes(&self) -> &'static [&'static str];

    /// Whether its URLs have a parameter of this name. The name is no secret.
    fn is_parameter(&self, name: &str) -> bool;

    /// Whether that parameter holds the path of a certificate or a key, which is no secret either.
    fn names_file(&self, _parameter: &str) -> bool {
        false
    }

    /// What the documentation says of its types.
    fn types(&self) -> Vec<TypeRow>;

    /// A source of this kind. Checks the URL, connects to nothing. The caller removes the values
    /// of variables from its error. `login` is for a URL that asks for a login by it.
    fn open(
        &self,
        url: &SourceUrl,
        login: Option<&Arc<dyn DatabaseLogin>>,
    ) -> Result<Arc<dyn Source>>;
}

/// A database, or anything else that holds tables.
///
/// Implementations retry nothing: an error of kind `Transient` says that the caller may retry. All
/// methods may be called concurrently.
#[async_trait]
pub trait Source: fmt::Debug + Send + Sync {
    /// The source for messages: no value of a variable, no password, no query string.
    fn label(&self) -> &str;

    /// The servers and files that it reads: what an operator may allow or refuse.
    fn places(&self) -> Vec<Place>;

    /// How well its connections are protected at least, as its URL demands it. A source that never
    /// leaves the machine says `Local`.
    fn protection(&self) -> Protection;

    /// Whether it sends its servers a token of the account that the program runs as.
    fn logs_in_by_account(&self) -> bool {
        false
    }

    /// Connects for planning. `application` names the connection to the source's operator.
    async fn survey(&self, application: &str) -> Result<Box<dyn Survey>>;

    /// Connects for reading, in one read-only transaction that lasts as long as the reader.
    ///
    /// With [`Join::Token`], `None` says that no reader holds that snapshot any more.
    ///
    /// # Errors
    /// `Data` if the source is not at the value of [`Join::Pinned`] any more.
    ///
    /// `Transient` because of [`NoConnectionLeft`] if the source has as many connections as it
    /// allows.
    async fn reader(&self, application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>>;
}

/// Why a source refuses a connection that it would accept at another time: it, or the user, has as
/// many as are allowed. Contains the source's own message.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoConnectionLeft(pub String);

impl NoConnectionLeft {
    /// Whether it is the root cause of an error.
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

/// Which snapshot a reader sees.
#[derive(Debug, Clone, Copy)]
pub enum Join<'a> {
    /// A new snapshot, taken now.
    New,
    /// The snapshot that another reader exported as this token.
    Token(&'a str),
    /// The snapshot that the plan pinned as this value.
    Pinned(&'a str),
    /// Whatever each unit's own transaction sees.
    Independent,
}

/// A connection for planning. Reads catalogs, statistics and single index entries, never a whole
/// table.
#[async_trait]
pub trait Survey: Send {
    /// The base tables that a pattern can match, and those that it cannot, with the reason.
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
    /// with the remedy as hint.
    async fn describe(&mut self, table: &TableJob) -> Result<Description>;

    /// Where the keys of one piece lie. An approximation: if it is wrong, cuts made from it are
    /// still correct, but their sizes differ.
    ///
    /// `None` if finding out would read too much of the table, or if it has no keys.
    async fn distribution(
        &mut self,
        _table: &TableJob,
        _piece: &Piece,
        _key: &Key,
    ) -> Result<Option<Distribution>> {
        Ok(None)
    }

    /// The streams that the source serves the rows of a table as: about `count` of them, disjoint and
    /// with all rows. `None` if it serves none.
    async fn streams(&mut self, _table: &TableJob, _count: u32) -> Result<Option<Vec<String>>> {
        Ok(None)
    }

    /// Bytes of a file at which records begin, which cut it into about `count` ranges: in order, without its
    /// first and its last. `None` if a look at the file does not tell them.
    ///
    /// They may be wrong: a reader of a range finds out whether it ends where a record does.
    async fn record_starts(&mut self, _piece: &Piece, _count: u32) -> Result<Option<Vec<u64>>> {
        Ok(None)
    }

    /// How this connection is protected, if that is known.
    async fn protection(&mut self) -> Result<Option<Protection>> {
        Ok(None)
    }

    /// Warnings about the way to the source, for the reader of the plan. May open a connection for a
    /// moment, so it is called after [`connections`](Survey::connections).
    async fn warnings(&mut self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// How the units of a run come to see one state of the source. Called after all tables are
    /// described: a value that it pins is the source's state from then on.
    ///
    /// A source that cannot give two readers one state answers `Independent`; it says in the
    /// warnings of each description what that can cost.
    async fn snapshot(&mut self) -> Result<SnapshotPlan>;

    /// A cut as a predicate of the source's language; empty for all rows.
    ///
    /// # Errors
    /// `Invalid` for a cut that the source does not know.
    fn predicate(&self, cut: &Cut) -> Result<String>;
}

/// A connection for reading. It sees the snapshot that it joined.
///
/// For each unit, call [`check`](Reader::check), [`read`](Reader::read) to the end, and
/// [`confirm`](Reader::confirm). After an error, call [`recover`](Reader::recover) before the next
/// unit. An error of a unit ends neither the reader's snapshot nor its [export](Reader::export), so
/// that other readers can still join it: only a lost connection or dropping the reader ends them.
///
/// Only a source whose snapshots are held exports them; the others leave that method out. (SQLite
/// has it for the runs of older plans, whose tasks hand its state on.)
#[async_trait]
pub trait Reader: Send {
    /// A token with which other readers can join this one's snapshot, valid while this reader
    /// lives. Called only in runs whose manifest says [`SnapshotPlan::Held`].
    async fn export(&mut self) -> Result<String> {
        Err(Error::bug("export a snapshot: this source's snapshots are not held"))
    }

    /// Refuses a table that no longer has the shape it was planned with, and, if the source can do
    /// so, keeps its shape from changing until another table is checked or the reader
    /// [rests](Reader::rest).
    ///
    /// # Errors
    /// `Data` if the table was altered, naming what changed.
    async fn check(&mut self, table: &Table) -> Result<()>;

    /// Asks for the turn to read a table while no other reader of the run has it. `false` if one has:
    /// then ask again later. The turn ends when another table is checked, when the reader
    /// [rests](Reader::rest), or with the connection. Called after [`Reader::check`].
    ///
    /// Grants it by default, for sources whose readers cannot cost each other the connection.
    ///
    /// # Errors
    /// If the connection or its snapshot is lost.
    async fn take_turn(&mut self, _run: &str) -> Result<bool> {
        Ok(true)
    }

    /// The rows of one unit.
    async fn read<'a>(
        &'a mut self,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Box<dyn Batches + 'a>>;

    /// Called after a unit's last batch and before its receipt: fails if the rows may not be of the
    /// snapshot that this reader joined. Does nothing by default, for sources whose snapshot cannot
    /// be lost without a read error.
    async fn confirm(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called when this reader has no unit to read for a while: it keeps its snapshot and its export,
    /// and ends the locks that keep shapes from changing, so that nobody waits for them. Does
    /// nothing by default, for sources without such locks.
    ///
    /// # Errors
    /// If the connection or its snapshot is lost.
    async fn rest(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the reader ready for another unit after an error, with the same connection, snapshot
    /// and export.
    ///
    /// The rest of a unit that was left before its end may have to be skipped, which takes as long
    /// as reading it. This call distinguishes an error of the unit itself, such as a lock that was
    /// not granted, from the loss of the connection: only after the former it succeeds.
    ///
    /// # Errors
    /// If the connection or its snapshot is lost; then drop the reader. Does nothing by default,
    /// for readers that hold no connection between units.
    async fn recover(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The rows of one unit, in batches of bounded size.
#[async_trait]
pub trait Batches: Send {
    /// The next rows; `None` after the last. Must not be called again after an error.
    async fn next(&mut self) -> Result<Option<RecordBatch>>;

    /// Bytes received from the source so far.
    fn bytes(&self) -> u64;

    /// How long [`next`](Batches::next) has waited for the source so far, and taken its bytes. The rest of its
    /// time made columns of them. Nothing by default, for sources that are read in memory.
    fn waited(&self) -> Duration {
        Duration::ZERO
    }

    /// Values replaced by NULL so far, by column in the order of the table's columns.
    fn invalid(&self) -> &[u64];

    /// The rows that were set aside since the last call. None by default: only files have such rows.
    fn take_bad_rows(&mut self) -> Vec<BadRow> {
        Vec::new()
    }
}
