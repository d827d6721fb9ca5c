//! The port to a warehouse.

use std::fmt;

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::manifest::{RunId, Table};
use sluice_contracts::receipt::Part;
use sluice_contracts::schema::Column;
use sluice_contracts::store::Bucket;

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
/// - **No retries.** An error of kind `Transient` says that the caller may.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// Refuses, before any row is read, what [`Sink::load`] would refuse after.
    ///
    /// `Ok` promises nothing: the target may change while the run reads.
    async fn check(&self, run: RunId, table: &Table) -> Result<()>;

    /// Does everything but the last step: brings the parts over, verifies them, and holds the
    /// target against other loads until the result is published or dropped.
    async fn prepare(&self, load: &Load) -> Result<Box<dyn Prepared>>;

    /// Makes the rows of one table of a run visible.
    async fn load(&self, load: &Load) -> Result<Loaded> {
        self.prepare(load).await?.publish().await
    }
}

/// A load that lacks only its last step. Dropped, it leaves nothing behind.
#[async_trait]
pub trait Prepared: fmt::Debug + Send {
    /// The last step, which is quick and seldom fails.
    async fn publish(self: Box<Self>) -> Result<Loaded>;
}

/// One visible step: the parts of one table of a run, and what to do with them.
#[derive(Debug, Clone)]
pub struct Load {
    /// The run.
    pub run: RunId,
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
}

/// What a load made visible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Loaded {
    /// Generation of the snapshot that is visible.
    pub snapshot: u32,
    /// Rows made visible.
    pub rows: u64,
}
