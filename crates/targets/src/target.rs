//! The port to a target.

use std::fmt;
use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sluice_contracts::documents::{
    Column, DataflowWorkers, Dedup, Dropped, EngineEstimate, NativeRows, NewTable, Part,
    PartitionWidth, RunId, SchemaChanges, Table,
};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::store::Bucket;
use sluice_contracts::{Error, Result};

use crate::listing::PartListing;

/// A kind of target, chosen by the scheme of its tables' URLs.
#[async_trait]
pub trait TargetKind: Sync {
    /// Scheme of its tables' URLs.
    fn scheme(&self) -> &'static str;

    /// Checks, without connecting, that `table` is the URL of a table of this kind, and that it
    /// can be loaded from the bucket at the URL `bucket`.
    fn check_url(&self, table: &str, bucket: &str) -> Result<()>;

    /// Refuses what no table of this kind allows to be done with the rows that it has.
    fn check_disposition(&self, _disposition: WriteDisposition) -> Result<()> {
        Ok(())
    }

    /// A target of this kind. Connects to nothing.
    async fn open(&self) -> Result<Arc<dyn Target>>;
}

/// What part files are loaded into: the tables of one kind of target.
///
/// What every target promises:
/// - **Atomic.** A reader of the target sees the table as it was before a load or as it is after,
///   at every moment, whatever happens to the process that loads. A load that returns an error
///   has changed nothing that a reader can see.
/// - **Once per run.** The second load of the same table of the same run changes nothing and
///   returns what the first made visible, also when both run at once in two processes.
/// - **Verified.** The rows of the parts are counted, and the parts compared with their
///   checksums, before anything becomes visible. A difference is an error of kind `Data`.
/// - **No waiting.** A target that works by itself is started, and then polled: [`Poll::Pending`]
///   says that the same call, repeated later, continues from there, in another process too.
/// - **No retries.** An error of kind `Transient` says that the caller may retry. Any other error
///   is final: the same load would fail with it again.
#[async_trait]
pub trait Target: fmt::Debug + Send + Sync {
    /// Refuses, before any row is read, what a load would refuse afterwards. `visibility` says how the
    /// tables of the run become visible.
    ///
    /// `Ok` promises nothing: the table may change while the run reads. A table that the run has
    /// loaded already is never refused.
    async fn check(&self, run: RunId, table: &Table, visibility: Visibility) -> Result<Admitted>;

    /// Whether there is a table at this URL.
    async fn exists(&self, table: &str) -> Result<bool>;

    /// Whether the rows of a load are visible, whatever became of the calls that made them so.
    async fn shown(&self, load: &Load) -> Result<Shown>;

    /// Whether the target takes the rows of a planned table by itself, and what that takes.
    async fn native(&self, _table: &Table) -> Result<NativeAnswer> {
        Ok(NativeAnswer::Refuses("the target takes part files alone".to_owned()))
    }

    /// Whether Dataflow brings the rows of a planned table into the target, by these workers, from the
    /// part files of tasks.
    async fn dataflow(&self, _table: &Table, _workers: &DataflowWorkers) -> Result<DataflowAnswer> {
        let dataflow = Err("the target is not a table of BigQuery".to_owned());
        Ok(DataflowAnswer { by_query: EngineEstimate::default(), dataflow })
    }

    /// Why these tables cannot become visible [at once](Visibility::AtOnce); `None` if they can.
    async fn against_at_once(&self, _tables: &[Table]) -> Result<Option<String>> {
        Ok(Some("the target has no step that changes several tables".to_owned()))
    }

    /// Refuses, before any row is read, a bucket that the table at this URL, and any other of its
    /// dataset, cannot be loaded from. Returns warnings where that cannot be known.
    async fn check_bucket(&self, _table: &str, _bucket: &str) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Does everything but the last step, as far as [`Load::visibility`] asks for it: copies the
    /// parts, verifies them, and locks the table against other loads where the target can, until the
    /// result is published or dropped.
    async fn prepare(&self, load: &Load) -> Result<Poll<Box<dyn Prepared>>>;

    /// Gives a load up for good that was not prepared, because another table of the run failed: what
    /// still works for it elsewhere, and is paid for, is asked to end.
    async fn abandon(&self, _load: &Load) -> Result<()> {
        Ok(())
    }

    /// Loads all tables of a run in one step: to readers all of them change at one moment, or none
    /// does. What is loaded is returned in the order of the loads. If one table shows a later run,
    /// none is loaded, and none if one is refused.
    ///
    /// For loads whose visibility is [at once](Visibility::AtOnce), and tables that
    /// [`Target::against_at_once`] found nothing against.
    async fn load_at_once(&self, _loads: &[Load]) -> Result<Poll<Vec<Loaded>>, NotLoaded> {
        let what = "load several tables at once: the target has no such step";
        Err(NotLoaded { table: None, error: Error::bug(what) })
    }
}

/// Whether the rows of a load are visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// They are not, and nothing is under way that makes them visible.
    No,
    /// The visible step is under way.
    Coming,
    /// They are.
    Yes,
}

/// Whether a target takes rows by itself.
#[derive(Debug, Clone, PartialEq)]
pub enum NativeAnswer {
    /// It does.
    Takes {
        /// By what, such as `a copy`.
        how: &'static str,
        /// What that takes.
        estimate: EngineEstimate,
    },
    /// It would, and the source has nothing for it.
    Misses,
    /// It does not, and why.
    Refuses(String),
}

/// Whether Dataflow brings rows into a target, and what the target's own queries take in its place.
#[derive(Debug, Clone, PartialEq)]
pub struct DataflowAnswer {
    /// What queries take that keep one row of each key; nothing, if the job does not ask for that.
    pub by_query: EngineEstimate,
    /// What Dataflow takes, or why it does not bring the rows.
    pub dataflow: Result<DataflowTerms, String>,
}

/// What Dataflow takes, and from which size on it is used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DataflowTerms {
    /// What it takes, once the part files are there.
    pub estimate: EngineEstimate,
    /// Rows above which a table that keeps one row of each key is handed to it; no number, if absent.
    pub above_rows: Option<u64>,
    /// Bytes above which it is.
    pub above_bytes: u64,
}

/// Why none of several tables was loaded.
#[derive(Debug)]
pub struct NotLoaded {
    /// Index of the table that failed; `None` if it is not known which did.
    pub table: Option<u32>,
    /// Why.
    pub error: Error,
}

impl From<Error> for NotLoaded {
    fn from(error: Error) -> Self {
        Self { table: None, error }
    }
}

/// How the tables of a run become visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visibility {
    /// Each as soon as it can.
    Each,
    /// One after another, as soon as all are prepared. The last step of each has to be one that
    /// seldom fails, and may cost a second copy of the rows.
    InTurn,
    /// All at one moment.
    AtOnce,
}

/// A load that lacks only its last step. Dropped, it leaves nothing behind that a reader sees.
#[async_trait]
pub trait Prepared: fmt::Debug + Send {
    /// The later run that the target shows already, and that this load does not replace.
    fn overtaken_by(&self) -> Option<RunId> {
        None
    }

    /// Whether the last step may be refused for what the rows hold.
    fn may_be_refused(&self) -> bool {
        false
    }

    /// The last step. For a load that is visible [in turn](Visibility::InTurn) it is quick and seldom
    /// fails.
    async fn publish(self: Box<Self>) -> Result<Poll<Loaded>>;

    /// Gives the last step up for good, because another table of the run was overtaken. What would
    /// otherwise be kept for another attempt is removed.
    async fn discard(self: Box<Self>) -> Result<()> {
        Ok(())
    }
}

/// One visible step: the parts of one table of a run, and what to do with them.
#[derive(Debug, Clone)]
pub struct Load {
    /// The run.
    pub run: RunId,
    /// Name of its job.
    pub job: String,
    /// Index of the table in the run's manifest.
    pub table: u32,
    /// Generation of the snapshot that the parts were read in.
    pub snapshot: u32,
    /// URL of the target.
    pub target: String,
    /// What happens to the rows that the target already has.
    pub disposition: WriteDisposition,
    /// Target columns that identify a row; empty unless the rows are merged.
    pub key: Vec<String>,
    /// Target column that decides which of several rows with one key is the newest.
    pub order_by: Option<String>,
    /// Which rows of the parts are left out; none, if absent.
    pub dedup: Option<Dedup>,
    /// What happens where the target's columns are not those of the run.
    pub schema_changes: SchemaChanges,
    /// What the target is made with, if the load makes it.
    pub new_table: NewTable,
    /// How the target is partitioned, where the parts tell which values their rows have.
    pub partitioned_by: Option<PartitionWidth>,
    /// The table's columns, in the order of the part files.
    pub columns: Vec<Column>,
    /// What gives the rows where no task has read them. There are no parts then, and
    /// [`rows`](Self::rows) are not known before the target has counted them.
    pub native: Option<NativeRows>,
    /// The bucket of the files that the target loads by itself; absent where it loads none.
    pub source_bucket: Option<Bucket>,
    /// The workers of Dataflow that bring the rows into the target; absent where the target loads the
    /// parts itself.
    pub dataflow: Option<DataflowWorkers>,
    /// Where the parts lie.
    pub bucket: Bucket,
    /// The part files of all units, in the order of the units. Empty for a table without rows.
    pub parts: Vec<Part>,
    /// Rows of all parts, until a target has left some out: then those that are kept.
    pub rows: u64,
    /// What was left out, once that is known.
    pub dropped: Option<Dropped>,
    /// The parts of the whole run, shared by the loads of its tables.
    pub listing: PartListing,
    /// When this load was begun. What was refused before may be corrected by now, and is tried again.
    pub begun: DateTime<Utc>,
    /// Until when a step is tried again that fails for a reason that passes by itself.
    pub give_up: DateTime<Utc>,
    /// How the tables of the run become visible.
    pub visibility: Visibility,
}

/// What a target says of a table that it takes, for the reader of a plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admitted {
    /// What the load does until the rows are visible, and what that costs; `None` where it is always
    /// the same and free.
    pub way: Option<String>,
    /// What a load would do to the table as it is now that the user may not want, and rows that will
    /// differ from the source.
    pub warnings: Vec<String>,
    /// How the target is partitioned, if the load has to know which values the rows have.
    pub partitioned_by: Option<PartitionWidth>,
}

impl From<Vec<String>> for Admitted {
    fn from(warnings: Vec<String>) -> Self {
        Self { warnings, ..Self::default() }
    }
}

/// What a load made visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Generation of the snapshot that is visible.
    pub snapshot: u32,
    /// Rows made visible.
    pub rows: u64,
    /// What was left out, if the load keeps one row of each key.
    pub dropped: Option<Dropped>,
    /// The later run whose rows the target keeps: nothing of this run is visible.
    pub overtaken_by: Option<RunId>,
}
