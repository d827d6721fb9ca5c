//! The run store: a run's documents, created and never overwritten.

mod bad_rows;
mod dataflow;
mod document;
mod file_loads;
mod latest;
mod launches;
mod object_version;
mod outcomes;
mod plan;
mod requests;
mod stage;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::documents::{Commit, Failure, Manifest, Receipt, RunId, Snapshot, UnitRef};
use crate::error::{Doing, Error, Kind, Result};
use crate::layout::{Layout, committed_table, holding_task, table_of_part};

pub use document::{parse_document, storage_error};
pub use file_loads::FileLoadState;
pub use object_version::version_of;
pub use plan::parse_manifest;
pub use stage::Stage;

/// Most documents that are read at once.
const READ_AT_ONCE: usize = 32;

/// Attempts at creating a document that the bucket reports as existing and then does not find.
const CREATIONS: u32 = 3;

/// Whether a create-only write was the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The document is ours.
    First,
    /// Another document existed already; ours was dropped.
    Lost,
}

/// A bucket, and the prefix in it that all our objects lie below.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// The port itself. Puts are atomic: a reader sees the whole object or no object.
    pub store: Arc<dyn ObjectStore>,
    /// Empty for the bucket's root.
    pub prefix: Path,
    /// URL that [`Bucket::store`] and [`Bucket::prefix`] came from.
    pub url: String,
}

impl Bucket {
    async fn create<T: Serialize>(&self, path: &Path, document: &T) -> Result<Created> {
        let text = serde_json::to_vec_pretty(document);
        self.create_text(path, text.doing(Kind::Bug, || format!("write `{path}` as JSON"))?).await
    }

    async fn create_text(&self, path: &Path, text: Vec<u8>) -> Result<Created> {
        for _ in 0..CREATIONS {
            let options = PutOptions { mode: PutMode::Create, ..Default::default() };
            match self.store.put_opts(path, PutPayload::from(text.clone()), options).await {
                Ok(_) => return Ok(Created::First),
                Err(object_store::Error::AlreadyExists { .. }) => {}
                Err(source) => return Err(storage_error(format!("create `{path}`"), source)),
            }
            // The existing document may be our own: a store's client repeats a request whose answer
            // was lost, and finds what it created. And a program that trusted in a document that
            // does not exist would wait for it forever.
            match self.bytes(path).await? {
                Some(found) if found == text => return Ok(Created::First),
                Some(_) => return Ok(Created::Lost),
                None => {}
            }
        }
        Err(Error::transient(format!(
            "create `{path}`: the bucket reports that it exists, and does not find it"
        ))
        .hint("try again, and check that no person or lifecycle rule deletes from the bucket"))
    }

    async fn exists(&self, path: &Path) -> Result<bool> {
        match self.store.head(path).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(source) => Err(storage_error(format!("look for `{path}`"), source)),
        }
    }

    async fn bytes(&self, path: &Path) -> Result<Option<Bytes>> {
        let bytes = match self.store.get(path).await {
            Ok(found) => found.bytes().await,
            Err(source) => Err(source),
        };
        match bytes {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(storage_error(format!("read `{path}`"), source)),
        }
    }

    async fn read<T: DeserializeOwned>(&self, path: &Path, known: u32) -> Result<Option<T>> {
        match self.bytes(path).await? {
            Some(bytes) => parse_document(path, &bytes, known).map(Some),
            None => Ok(None),
        }
    }

    async fn list(&self, below: &Path) -> Result<Vec<Path>> {
        self.store
            .list(Some(below))
            .map_ok(|object| object.location)
            .try_collect()
            .await
            .map_err(|source| storage_error(format!("list `{below}`"), source))
    }
}

/// The documents of one run.
///
/// Every `create_*` is atomic and create-only: of any number of concurrent callers exactly one
/// gets [`Created::First`]. Nothing is retried here; the store's own client does that.
#[derive(Debug, Clone)]
pub struct RunStore {
    bucket: Bucket,
    run: RunId,
    layout: Layout,
}

impl RunStore {
    /// The documents of `run` in `bucket`.
    pub fn new(bucket: Bucket, run: RunId) -> Self {
        let layout = Layout::new(&bucket.prefix, run);
        Self { bucket, run, layout }
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The bucket.
    pub fn bucket(&self) -> &Bucket {
        &self.bucket
    }

    /// The run's paths.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// URL of the manifest: what a task is started with.
    pub fn manifest_url(&self) -> String {
        self.url_of(&self.layout.manifest())
    }

    /// URL of an object of the run.
    fn url_of(&self, path: &Path) -> String {
        let below =
            path.as_ref().strip_prefix(self.bucket.prefix.as_ref()).unwrap_or(path.as_ref());
        format!("{}/{}", self.bucket.url.trim_end_matches('/'), below.trim_start_matches('/'))
    }

    /// Begins a generation.
    pub async fn create_founder(&self, snapshot: &Snapshot) -> Result<Created> {
        self.create(&self.layout.founder(snapshot.generation), snapshot).await
    }

    /// Publishes that a task holds a generation's snapshot.
    pub async fn create_holder(&self, snapshot: &Snapshot, writer: &str) -> Result<Created> {
        self.create(&self.layout.holder(snapshot.generation, writer), snapshot).await
    }

    /// The newest generation, if any was begun. Generations are founded one after another, so their
    /// documents are looked up by name: listing a bucket costs more and takes longer.
    pub async fn generation(&self) -> Result<Option<u32>> {
        let mut newest = None;
        for generation in 0.. {
            if !self.exists(&self.layout.founder(generation)).await? {
                break;
            }
            newest = Some(generation);
        }
        Ok(newest)
    }

    /// Whether a generation was begun.
    pub async fn is_founded(&self, generation: u32) -> Result<bool> {
        self.exists(&self.layout.founder(generation)).await
    }

    /// The document that began a generation.
    pub async fn founder(&self, generation: u32) -> Result<Option<Snapshot>> {
        self.read(&self.layout.founder(generation), Snapshot::VERSION).await
    }

    /// The founder and all tasks that joined, the newest first.
    pub async fn holders(&self, generation: u32) -> Result<Vec<Snapshot>> {
        let paths = self.list(&self.layout.holders(generation)).await?;
        let mut holders: Vec<Snapshot> = self.read_all(paths, Snapshot::VERSION).await?;
        holders.extend(self.founder(generation).await?);
        holders.sort_by_key(|holder| std::cmp::Reverse(holder.at));
        Ok(holders)
    }

    /// Tasks that hold or held a generation's snapshot, without reading their documents.
    pub async fn joined(&self, generation: u32) -> Result<BTreeSet<u32>> {
        let holders = self.list(&self.layout.holders(generation)).await?;
        let mut joined: BTreeSet<u32> = holders.iter().filter_map(holding_task).collect();
        joined.extend(self.founder(generation).await?.map(|founder| founder.task));
        Ok(joined)
    }

    /// Records that a unit is done.
    pub async fn create_receipt(&self, receipt: &Receipt) -> Result<Created> {
        let unit = UnitRef { table: receipt.table, unit: receipt.unit };
        self.create(&self.layout.receipt(receipt.snapshot, unit), receipt).await
    }

    /// One unit's receipt.
    pub async fn receipt(&self, generation: u32, unit: UnitRef) -> Result<Option<Receipt>> {
        let receipt: Option<Receipt> =
            self.read(&self.layout.receipt(generation, unit), Receipt::VERSION).await?;
        match receipt {
            Some(receipt)
                if (receipt.table, receipt.unit, receipt.snapshot)
                    != (unit.table, unit.unit, generation) =>
            {
                Err(Error::data(format!(
                    "read `{}`: it is the receipt of another unit",
                    self.layout.receipt(generation, unit)
                ))
                .hint("someone copied a document by hand; start the run again"))
            }
            receipt => Ok(receipt),
        }
    }

    /// The units of a generation that have a receipt, without reading the receipts.
    pub async fn receipted(
        &self,
        manifest: &Manifest,
        generation: u32,
    ) -> Result<HashSet<UnitRef>> {
        let listed: HashSet<Path> =
            self.list(&self.layout.receipts(generation)).await?.into_iter().collect();
        if listed.is_empty() {
            return Ok(HashSet::new());
        }
        let has = |unit: &UnitRef| listed.contains(&self.layout.receipt(generation, *unit));
        Ok(manifest.units().filter(has).collect())
    }

    /// All receipts of a generation.
    pub async fn receipts(
        &self,
        manifest: &Manifest,
        generation: u32,
    ) -> Result<BTreeMap<UnitRef, Receipt>> {
        let units = self.receipted(manifest, generation).await?;
        stream::iter(units)
            .map(|unit| async move {
                let receipt = self.receipt(generation, unit).await?;
                Ok(receipt.map(|receipt| (unit, receipt)))
            })
            .buffer_unordered(READ_AT_ONCE)
            .try_filter_map(|found: Option<(UnitRef, Receipt)>| async move { Ok(found) })
            .try_collect()
            .await
    }

    /// Records what ended an attempt.
    pub async fn create_failure(&self, failure: &Failure, writer: &str) -> Result<Created> {
        self.create(&self.layout.failure(writer), failure).await
    }

    /// What ended attempts so far, the oldest first.
    pub async fn failures(&self) -> Result<Vec<Failure>> {
        self.failures_beyond(&mut HashSet::new()).await
    }

    /// The failures that are not in `known`, to which they are added.
    pub async fn failures_beyond(&self, known: &mut HashSet<Path>) -> Result<Vec<Failure>> {
        let mut unknown = self.list(&self.layout.failures()).await?;
        unknown.retain(|path| !known.contains(path));
        let mut failures: Vec<Failure> = self.read_all(unknown.clone(), Failure::VERSION).await?;
        known.extend(unknown);
        failures.sort_by_key(|failure| failure.at);
        Ok(failures)
    }

    /// Records that a table is visible.
    pub async fn create_commit(&self, commit: &Commit) -> Result<Created> {
        self.create(&self.layout.commit(commit.table), commit).await
    }

    /// The record that a table is visible.
    pub async fn commit(&self, table: u32) -> Result<Option<Commit>> {
        self.read(&self.layout.commit(table), Commit::VERSION).await
    }

    /// The tables that have a record that they are visible, by one listing.
    pub async fn committed_tables(&self) -> Result<BTreeSet<u32>> {
        let paths = self.list(&self.layout.commits()).await?;
        Ok(paths.iter().filter_map(committed_table).collect())
    }

    /// The record of some table that is visible, if any is.
    pub async fn any_commit(&self) -> Result<Option<Commit>> {
        match self.list(&self.layout.commits()).await?.first() {
            Some(path) => self.read(path, Commit::VERSION).await,
            None => Ok(None),
        }
    }

    /// Deletes the run's parts, but those of the tables that are still to be loaded.
    pub async fn delete_parts(&self, but_of: &BTreeSet<u32>) -> Result<()> {
        let mut parts = self.list(&self.layout.parts()).await?;
        parts.retain(|part| table_of_part(part).is_none_or(|table| !but_of.contains(&table)));
        self.delete_all(parts).await
    }

    async fn delete_all(&self, paths: Vec<Path>) -> Result<()> {
        let delete = |path: Path| async move {
            match self.bucket.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
                Err(source) => Err(storage_error(format!("delete `{path}`"), source)),
            }
        };
        stream::iter(paths).map(delete).buffer_unordered(READ_AT_ONCE).try_collect().await
    }

    async fn create<T: Serialize>(&self, path: &Path, document: &T) -> Result<Created> {
        self.bucket.create(path, document).await
    }

    async fn read<T: DeserializeOwned>(&self, path: &Path, known: u32) -> Result<Option<T>> {
        self.bucket.read(path, known).await
    }

    /// Reads many documents of one kind, in any order. A document that is gone is skipped.
    async fn read_all<T: DeserializeOwned>(&self, paths: Vec<Path>, known: u32) -> Result<Vec<T>> {
        stream::iter(paths)
            .map(|path| async move { self.read(&path, known).await })
            .buffer_unordered(READ_AT_ONCE)
            .try_filter_map(|found: Option<T>| async move { Ok(found) })
            .try_collect()
            .await
    }

    async fn exists(&self, path: &Path) -> Result<bool> {
        self.bucket.exists(path).await
    }

    async fn list(&self, below: &Path) -> Result<Vec<Path>> {
        self.bucket.list(below).await
    }
}
