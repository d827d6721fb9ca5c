//! One run as its documents describe it: the manifest, the verdict, and the receipts once all of
//! them exist, each read once.
//!
//! Documents never change, so what a check has read of a run holds until its end. A document that
//! did not exist is read again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use sluice_contracts::Result;
use sluice_contracts::documents::{Manifest, Verdict};
use sluice_contracts::store::RunStore;

use crate::coverage::{Coverage, coverage_of, generation};

/// A run, for one check of the loader or one commit of the command.
#[derive(Debug)]
pub struct RunView {
    store: RunStore,
    manifest: Kept<Manifest>,
    verdict: Kept<Verdict>,
    coverage: Kept<Coverage>,
    /// Tables that the last commit has come to an end with.
    settled: AtomicUsize,
}

impl RunView {
    /// A run of which nothing is read yet.
    pub fn new(store: RunStore) -> Self {
        Self {
            store,
            manifest: Kept::default(),
            verdict: Kept::default(),
            coverage: Kept::default(),
            settled: AtomicUsize::new(0),
        }
    }

    /// The documents themselves.
    pub fn store(&self) -> &RunStore {
        &self.store
    }

    /// How many tables the commit that is at work has come to an end with.
    pub fn settled(&self) -> usize {
        self.settled.load(Ordering::Relaxed)
    }

    /// Begins to count the tables of a commit.
    pub(crate) fn begin_commit(&self) {
        self.settled.store(0, Ordering::Relaxed);
    }

    /// Counts a table that is visible, overtaken, refused or given up, or that lacks only its last
    /// step, which a run that is all or nothing takes for all tables at the end.
    pub(crate) fn settle_table(&self) {
        self.settled.fetch_add(1, Ordering::Relaxed);
    }

    /// The plan.
    pub(crate) async fn manifest(&self) -> Result<Arc<Manifest>> {
        match self.manifest.get() {
            Some(manifest) => Ok(manifest),
            None => Ok(self.manifest.keep(self.store.manifest().await?)),
        }
    }

    /// The plan; `None` if it does not exist, or this build cannot read it.
    pub(crate) async fn readable_manifest(&self) -> Result<Option<Arc<Manifest>>> {
        match self.manifest().await {
            Ok(manifest) => Ok(Some(manifest)),
            Err(error) if error.is_transient() => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// The verdict, if there is one.
    pub(crate) async fn verdict(&self) -> Result<Option<Arc<Verdict>>> {
        match self.verdict.get() {
            Some(verdict) => Ok(Some(verdict)),
            None => Ok(self.store.verdict().await?.map(|verdict| self.verdict.keep(verdict))),
        }
    }

    /// Keeps the verdict that this loader has written, or found written.
    pub(crate) fn keep_verdict(&self, verdict: Verdict) -> Arc<Verdict> {
        self.verdict.keep(verdict)
    }

    /// The receipts of the generation that can be committed, or else of the one that has come
    /// furthest.
    pub(crate) async fn coverage(&self) -> Result<Arc<Coverage>> {
        let (manifest, verdict) = (self.manifest().await?, self.verdict().await?);
        let generation = generation(&self.store, &manifest, verdict.as_deref()).await?;
        self.coverage_of(generation).await
    }

    /// The receipts of one generation. They are read once they are complete: as long as units are
    /// missing, a receipt may have been created since.
    pub(crate) async fn coverage_of(&self, generation: u32) -> Result<Arc<Coverage>> {
        match self.coverage.get() {
            Some(coverage) if coverage.generation == generation && coverage.is_complete() => {
                Ok(coverage)
            }
            _ => {
                let manifest = self.manifest().await?;
                Ok(self.coverage.keep(coverage_of(&self.store, &manifest, generation).await?))
            }
        }
    }
}

/// A document that was read, once it was.
#[derive(Debug)]
struct Kept<T>(Mutex<Option<Arc<T>>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Kept<T> {
    fn get(&self) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn keep(&self, document: T) -> Arc<T> {
        let document = Arc::new(document);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&document));
        document
    }
}
