//! The snapshot that all units of a run are read at, by the way in which the source has one.

mod held;
mod pinned;

pub use held::BEGINS_AGAIN;

use chrono::Utc;
use sluice_contracts::documents::{Manifest, Snapshot, SnapshotPlan};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Result};
use sluice_sources::{Join, Reader, Source};

use crate::launch::Share;
use crate::pending_receipts::PendingReceipts;
use crate::task_state::CostlyTables;

/// A reader at the run's snapshot, and the generation of that snapshot.
pub(crate) struct JoinedSnapshot {
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) generation: u32,
    /// Receipts of what was read at it.
    pub(crate) receipts: PendingReceipts,
}

/// How joining ended.
pub(crate) enum Joined {
    /// At a snapshot.
    At(Box<JoinedSnapshot>),
    /// No task holds the snapshot of this generation any more. Perhaps no task needs it: others may
    /// have read the last unit and ended while this task was joining.
    Lost(u32),
}

impl Joined {
    fn at(snapshot: JoinedSnapshot) -> Self {
        Self::At(Box::new(snapshot))
    }

    /// The snapshot; if it is lost, `lost` becomes its generation.
    pub(crate) fn or(self, lost: &mut Option<u32>) -> Option<JoinedSnapshot> {
        match self {
            Self::At(snapshot) => Some(*snapshot),
            Self::Lost(generation) => {
                *lost = Some(generation);
                None
            }
        }
    }
}

/// A task that joins.
pub(crate) struct Joiner<'a> {
    pub(crate) source: &'a dyn Source,
    pub(crate) store: &'a RunStore,
    pub(crate) manifest: &'a Manifest,
    pub(crate) share: &'a Share,
    pub(crate) task: u32,
    pub(crate) attempt: u32,
    /// Name of this process in the run's documents.
    pub(crate) writer_id: &'a str,
    /// The generation that no task held at the last check, and of which units are missing.
    pub(crate) lost: Option<u32>,
    /// The tables that cost the connection.
    pub(crate) costly: &'a CostlyTables,
}

impl Joiner<'_> {
    /// Joins the run's snapshot.
    pub(crate) async fn join(&self) -> Result<Joined> {
        match &self.manifest.snapshot {
            SnapshotPlan::Held => self.join_held().await,
            SnapshotPlan::Pinned { value } => self.join_pinned(Join::Pinned(value)).await,
            SnapshotPlan::Independent => self.join_pinned(Join::Independent).await,
            SnapshotPlan::Together => Err(Error::invalid(format!(
                "read run `{}`: its readers have to meet at one moment, which this build cannot do",
                self.store.run()
            ))
            .hint("a newer Sluice planned it; run that version")),
        }
    }

    /// Makes a reader that met an error fit for another unit, while its snapshot lives; joins again
    /// otherwise.
    pub(crate) async fn rejoin(&self, broken: JoinedSnapshot) -> Result<Joined> {
        match &self.manifest.snapshot {
            SnapshotPlan::Held => self.rejoin_held(broken).await,
            _ => {
                let JoinedSnapshot { reader, receipts, .. } = broken;
                drop(reader);
                Ok(match self.join().await? {
                    // A receipt that could not be created is created later: the unit was read.
                    Joined::At(snapshot) => Joined::at(JoinedSnapshot { receipts, ..*snapshot }),
                    lost @ Joined::Lost(_) => lost,
                })
            }
        }
    }

    async fn reader(&self, join: Join<'_>) -> Result<Box<dyn Reader>> {
        let reader = self.source.reader(&self.application(), join).await?;
        reader.ok_or_else(|| Error::bug("join a snapshot that nobody has to hold"))
    }

    fn joined(&self, reader: Box<dyn Reader>, generation: u32) -> JoinedSnapshot {
        let receipts = PendingReceipts::new(
            self.store,
            &self.manifest.snapshot,
            self.share,
            generation,
            self.task,
        );
        JoinedSnapshot { reader, generation, receipts }
    }

    /// The name that the source's operator sees.
    fn application(&self) -> String {
        format!("sluice {} {}", self.store.run(), self.task)
    }

    fn document(&self, generation: u32, token: String) -> Snapshot {
        Snapshot {
            version: Snapshot::VERSION,
            generation,
            token,
            task: self.task,
            attempt: self.attempt,
            at: Utc::now(),
        }
    }
}
