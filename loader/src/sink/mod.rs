//! The port to a warehouse.

#[cfg(feature = "google")]
pub mod bigquery;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::manifest::{RunId, Table};
use sluice_contracts::receipt::Part;
use sluice_contracts::schema::Column;
use sluice_contracts::store::Bucket;
use sluice_runtime::features::unknown_scheme;

/// A warehouse that part files are loaded into.
///
/// What every sink promises:
/// - **Atomic.** A reader of the target sees the table as it was before a load or as it is after,
///   at every moment, whatever happens to the process that loads. A load that returns an error
///   has changed nothing that a reader can see.
/// - **Once per run.** The second load of the same table of the same run changes nothing and
///   returns what the first made visible, also when both go on at once in two processes.
/// - **Verified.** The rows of the parts are counted, and the parts compared with their
///   checksums, before anything becomes visible. A difference is an error of kind `Data`.
/// - **No waiting.** A warehouse that works by itself is asked to, and then asked how far it is:
///   [`Progress::Pending`] says that the same call, repeated in a while, goes on from there, in
///   another process too.
/// - **No retries.** An error of kind `Transient` says that the caller may. Any other error is
///   final: the same load answers it again.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// Refuses, before any row is read, what a load would refuse after.
    ///
    /// `Ok` promises nothing: the target may change while the run reads.
    async fn check(&self, run: RunId, table: &Table) -> Result<()>;

    /// What a load would do to the target, as it stands now, that nobody may want, and what of the
    /// table will not be as in the source.
    async fn warnings(&self, _table: &Table) -> Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// Does everything but the last step, as far as [`Load::staged`] asks for it: brings the parts
    /// over, verifies them, and holds the target against other loads where it can, until the
    /// result is published or dropped.
    async fn prepare(&self, load: &Load) -> Result<Progress<Box<dyn Prepared>>>;
}

/// The warehouses that a process can load into: the scheme of their tables' URLs, and the sink.
#[derive(Debug, Clone, Default)]
pub struct Warehouses(Vec<(&'static str, Arc<dyn Sink>)>);

impl Warehouses {
    /// These and no others.
    pub fn new(known: Vec<(&'static str, Arc<dyn Sink>)>) -> Self {
        Self(known)
    }

    /// The sink that a target's URL names.
    ///
    /// # Errors
    /// `Invalid` where there is none, with those that there are.
    pub fn open(&self, target: &str) -> Result<Arc<dyn Sink>> {
        let scheme = target.split_once("://").map_or("", |(scheme, _)| scheme);
        let found = self.0.iter().find(|(known, _)| *known == scheme);
        found.map(|(_, sink)| sink.clone()).ok_or_else(|| {
            let known: Vec<&str> = self.0.iter().map(|(known, _)| *known).collect();
            unknown_scheme("target", scheme, "writes", &known, "bigquery")
        })
    }
}

/// A load that lacks only its last step. Dropped, it leaves nothing behind that a reader sees.
#[async_trait]
pub trait Prepared: fmt::Debug + Send {
    /// The last step. Of a load that is [staged](Load::staged) it is quick and seldom fails.
    async fn publish(self: Box<Self>) -> Result<Progress<Loaded>>;
}

/// How far something is that a warehouse does by itself.
#[derive(Debug)]
pub enum Progress<T> {
    /// It is done.
    Done(T),
    /// It is on its way: ask again in a while.
    Pending,
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
    /// What becomes of the rows that the target has.
    pub disposition: WriteDisposition,
    /// The table's columns, in the order of the part files.
    pub columns: Vec<Column>,
    /// Where the parts lie.
    pub bucket: Bucket,
    /// The part files of all units, in the order of the units. None for a table without rows.
    pub parts: Vec<Part>,
    /// Rows of all parts.
    pub rows: u64,
    /// Whether the last step has to be one that seldom fails, because other tables become visible
    /// only together with this one. It may cost a second copy of the rows.
    pub staged: bool,
}

/// What a load made visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Generation of the snapshot that is visible.
    pub snapshot: u32,
    /// Rows made visible.
    pub rows: u64,
}
