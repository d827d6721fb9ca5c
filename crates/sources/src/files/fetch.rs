//! The bytes of one object, in the version that the plan names.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, GetResult};
use sluice_contracts::documents::ObjectVersion;
use sluice_contracts::store::version_of;
use sluice_contracts::{Error, Result};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

use super::store::FileStore;

/// Bytes of one request. Each is answered whole before it counts, so a lost connection costs no more than
/// that again.
const PIECE: u64 = 4 << 20;
/// Requests that are under way at once: one is read while others are answered.
const AHEAD: usize = 3;
/// Times that a piece is asked for, where its answer breaks off.
const TRIES: u32 = 4;
/// The first pause between them. Each is twice as long as the one before.
const PAUSE: Duration = Duration::from_millis(250);

/// Ranges that have no more bytes between them are one request.
const NEAR: u64 = 256 << 10;
/// The largest file that is read as a whole because its server serves no ranges.
const MOST_WHOLE: u64 = 256 << 20;

/// A range of an object's bytes, from its first to its last.
#[derive(Debug)]
pub(super) struct Fetch {
    pieces: VecDeque<JoinHandle<Result<Bytes>>>,
    rest: Range<u64>,
    object: Arc<Pinned>,
    /// The whole object in one answer, of a server that serves no ranges.
    whole: Option<Whole>,
    received: u64,
    waited: Duration,
}

/// The bytes of one answer, of which so many are wanted.
struct Whole {
    bytes: BoxStream<'static, Result<Bytes>>,
    left: u64,
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whole").field("left", &self.left).finish_non_exhaustive()
    }
}

/// A server that serves no ranges of a file.
#[derive(Debug, thiserror::Error)]
#[error("the server serves no ranges of bytes")]
struct NoRanges;

/// Whether an error means that a server serves no ranges.
pub(super) fn has_no_ranges(error: &Error) -> bool {
    std::error::Error::source(error).is_some_and(<dyn std::error::Error>::is::<NoRanges>)
}

/// An object in one version.
#[derive(Debug)]
struct Pinned {
    store: Arc<FileStore>,
    path: Path,
    /// The path, for messages.
    name: String,
    version: ObjectVersion,
}

impl Fetch {
    /// The bytes of `range`, or of the whole object. Asks for nothing yet.
    pub(super) fn new(
        store: &Arc<FileStore>,
        version: &ObjectVersion,
        range: Option<Range<u64>>,
    ) -> Result<Self> {
        let path = Path::parse(&version.path).map_err(|source| {
            Error::bug(format!("read `{}`: it is not a path", version.path)).because(source)
        })?;
        Ok(Self {
            pieces: VecDeque::new(),
            rest: range.unwrap_or(0..version.size),
            object: Arc::new(Pinned {
                store: Arc::clone(store),
                path,
                name: store.name_of(&version.path),
                version: version.clone(),
            }),
            whole: None,
            received: 0,
            waited: Duration::ZERO,
        })
    }

    /// The bytes at hand, and no others.
    pub(super) fn of_bytes(
        store: &Arc<FileStore>,
        version: &ObjectVersion,
        bytes: Bytes,
    ) -> Result<Self> {
        let mut this = Self::new(store, version, Some(0..0))?;
        this.pieces.push_back(tokio::spawn(async move { Ok(bytes) }));
        Ok(this)
    }

    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// `Data` if the object is not the one that was planned any more.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.whole.is_some() {
            return self.next_of_whole().await;
        }
        let begins = self.rest.start == 0;
        while self.pieces.len() < AHEAD && !self.rest.is_empty() {
            let end = self.rest.end.min(self.rest.start + PIECE);
            let piece = self.rest.start..end;
            self.rest.start = end;
            let object = Arc::clone(&self.object);
            self.pieces.push_back(tokio::spawn(async move { object.piece(piece).await }));
        }
        let Some(piece) = self.pieces.pop_front() else { return Ok(None) };
        let begun = Instant::now();
        let piece = piece.await;
        self.waited += begun.elapsed();
        let piece = piece.map_err(|source| Error::bug("read a piece of a file").because(source));
        match piece.flatten() {
            Ok(bytes) => {
                self.received += bytes.len() as u64;
                Ok(Some(bytes))
            }
            Err(error) if begins && has_no_ranges(&error) => {
                self.pieces.drain(..).for_each(|piece| piece.abort());
                let bytes = self.object.whole().await?;
                self.whole = Some(Whole { bytes, left: self.rest.end });
                self.next_of_whole().await
            }
            Err(error) => Err(error),
        }
    }

    async fn next_of_whole(&mut self) -> Result<Option<Bytes>> {
        let Some(whole) = &mut self.whole else { return Ok(None) };
        if whole.left == 0 {
            return Ok(None);
        }
        let begun = Instant::now();
        let next = whole.bytes.next().await;
        self.waited += begun.elapsed();
        let Some(bytes) = next else {
            let name = &self.object.name;
            return Err(Error::transient(format!("read `{name}`: its bytes broke off")));
        };
        let mut bytes = bytes?;
        bytes.truncate(usize::try_from(whole.left).unwrap_or(usize::MAX));
        whole.left -= bytes.len() as u64;
        self.received += bytes.len() as u64;
        Ok(Some(bytes))
    }

    /// Bytes received so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// How long [`Fetch::next`] has waited so far.
    pub(super) fn waited(&self) -> Duration {
        self.waited
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.pieces.iter().for_each(JoinHandle::abort);
    }
}

impl Pinned {
    /// A piece, which is asked for again where its answer breaks off.
    async fn piece(&self, range: Range<u64>) -> Result<Bytes> {
        let mut pause = PAUSE;
        for _ in 1..TRIES {
            match self.ask(range.clone()).await {
                Err(error) if error.is_transient() => {
                    tracing::debug!(error = error.chain(), "asks for a piece of a file again");
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                }
                answered => return answered,
            }
        }
        self.ask(range).await
    }

    async fn ask(&self, range: Range<u64>) -> Result<Bytes> {
        let name = &self.name;
        let failed = |source| match source {
            object_store::Error::NotFound { .. } => gone(name),
            object_store::Error::Precondition { .. } => replaced(name),
            object_store::Error::NotSupported { .. } => {
                Error::invalid(format!("read `{name}` from its middle")).because(NoRanges)
            }
            source => self.store.failed(name, source),
        };
        let options =
            GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let answer = self.store.objects.get_opts(&self.path, options).await.map_err(failed)?;
        self.require_version(&answer)?;
        let bytes = answer.bytes().await.map_err(failed)?;
        if bytes.len() as u64 != range.end - range.start {
            return Err(Error::transient(format!("read `{name}`: its bytes broke off")));
        }
        Ok(bytes)
    }

    /// All bytes, in one answer.
    async fn whole(&self) -> Result<BoxStream<'static, Result<Bytes>>> {
        let (store, name) = (Arc::clone(&self.store), self.name.clone());
        let answer = store.objects.get_opts(&self.path, GetOptions::default()).await;
        let answer = answer.map_err(|source| store.failed(&name, source))?;
        self.require_version(&answer)?;
        let bytes = answer.into_stream();
        Ok(bytes.map(move |bytes| bytes.map_err(|source| store.failed(&name, source))).boxed())
    }

    fn require_version(&self, answer: &GetResult) -> Result<()> {
        let name = &self.name;
        if answer.meta.size != self.version.size
            || version_of(&answer.meta) != self.version.generation
        {
            return Err(replaced(name));
        }
        Ok(())
    }
}

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

fn replaced(name: &str) -> Error {
    Error::data(format!("read `{name}`: it was replaced since the run was planned"))
        .hint("start the run again, and write new files under new names")
}

fn gone(name: &str) -> Error {
    Error::data(format!("read `{name}`: it is gone since the run was planned"))
        .hint("start the run again")
}
