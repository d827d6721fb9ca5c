//! The bytes of one object by their places in it.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use sluice_contracts::documents::ObjectVersion;
use sluice_contracts::{Error, Result};
use tokio::sync::OnceCell;

use super::fetch::{Fetch, NoRanges, has_no_ranges};
use super::store::FileStore;

/// Ranges that have no more bytes between them are one request.
const NEAR: u64 = 256 << 10;
/// The largest file that is read as a whole because its server serves no ranges.
const MOST_WHOLE: u64 = 256 << 20;

/// The bytes of an object by their places in it, for formats that are not read from end to end.
#[derive(Debug)]
pub(super) struct FileBytes {
    store: Arc<FileStore>,
    version: ObjectVersion,
    name: String,
    /// The whole object, of a server that serves no ranges.
    whole: OnceCell<Bytes>,
    received: AtomicU64,
}

impl FileBytes {
    /// The bytes of an object. Asks for nothing yet.
    pub(super) fn new(store: &Arc<FileStore>, version: &ObjectVersion) -> Self {
        Self {
            store: Arc::clone(store),
            version: version.clone(),
            name: store.name_of(&version.path),
            whole: OnceCell::new(),
            received: AtomicU64::new(0),
        }
    }

    /// The name of the object, for messages.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes in all.
    pub(super) fn size(&self) -> u64 {
        self.version.size
    }

    /// Bytes received so far.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// The bytes of several ranges, in their order. Those that lie close together are one request.
    ///
    /// # Errors
    /// `Data` for a range that is not all in the object, and if that is not the planned one any more.
    pub(super) async fn get_all(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        if ranges.iter().any(|range| range.start > range.end || range.end > self.version.size) {
            let name = &self.name;
            return Err(Error::data(format!("read `{name}`: it names bytes behind its end"))
                .hint("write the file again: it is damaged or cut off"));
        }
        object_store::coalesce_ranges(ranges, |range| self.get(range), NEAR).await
    }

    /// Whether the server serves no ranges, as far as it was asked for one.
    pub(super) fn is_whole(&self) -> bool {
        self.whole.initialized()
    }

    /// The bytes of a range that is all in the object; `None` if the server serves no ranges.
    pub(super) async fn get_part(&self, range: Range<u64>) -> Result<Option<Bytes>> {
        if self.is_whole() {
            return Ok(None);
        }
        match self.fetch(range).await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if has_no_ranges(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The bytes of a range that is all in the object.
    pub(super) async fn get(&self, range: Range<u64>) -> Result<Bytes> {
        if let Some(whole) = self.whole.get() {
            return Ok(slice(whole, &range));
        }
        match self.fetch(range.clone()).await {
            Err(error) if has_no_ranges(&error) => {
                let whole = self.whole.get_or_try_init(|| self.fetch_whole()).await?;
                Ok(slice(whole, &range))
            }
            fetched => fetched,
        }
    }

    async fn fetch_whole(&self) -> Result<Bytes> {
        if self.version.size > MOST_WHOLE {
            let (name, most) = (&self.name, MOST_WHOLE >> 20);
            return Err(Error::invalid(format!(
                "read `{name}` from its middle: the server serves no ranges of bytes"
            ))
            .because(NoRanges)
            .hint(format!(
                "serve the file from another server, or copy it to a bucket: without ranges, {most} MiB are read"
            )));
        }
        self.fetch(0..self.version.size).await
    }

    async fn fetch(&self, range: Range<u64>) -> Result<Bytes> {
        let mut fetch = Fetch::new(&self.store, &self.version, Some(range.clone()))?;
        let mut bytes = fetch.next().await?.unwrap_or_default();
        if bytes.len() as u64 != range.end - range.start {
            let mut all = Vec::from(bytes);
            while let Some(more) = fetch.next().await? {
                all.extend_from_slice(&more);
            }
            bytes = all.into();
        }
        self.received.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes)
    }
}

fn slice(whole: &Bytes, range: &Range<u64>) -> Bytes {
    let place = |place: u64| usize::try_from(place).unwrap_or(usize::MAX).min(whole.len());
    whole.slice(place(range.start)..place(range.end))
}
