//! The bytes of one object, in the version that the plan names.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStoreExt as _};
use sluice_contracts::documents::ObjectVersion;
use sluice_contracts::store::version_of;
use sluice_contracts::{Error, Result};
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

/// A range of an object's bytes, from its first to its last.
///
/// A piece whose answer breaks off is asked for again. A server that serves no ranges sends the whole object in one
/// answer, of which the range is taken: from its beginning, or where [`Fetch::or_skip`] asks for it.
#[derive(Debug)]
pub(super) struct Fetch {
    pieces: VecDeque<JoinHandle<Result<Bytes>>>,
    /// The range, and what of it was not asked for yet.
    range: Range<u64>,
    rest: Range<u64>,
    object: Arc<Pinned>,
    skips: bool,
    /// The answer of a server that serves no ranges.
    whole: Option<Whole>,
    received: u64,
    waited: Duration,
}

/// All bytes of an object, in one answer.
struct Whole {
    bytes: BoxStream<'static, Result<Bytes>>,
    /// Bytes that come before those that are wanted next.
    before: u64,
    /// Answers that may break off.
    tries: u32,
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Whole").field("before", &self.before).finish_non_exhaustive()
    }
}

/// A server that serves no ranges of a file.
#[derive(Debug, thiserror::Error)]
#[error("the server serves no ranges of bytes")]
pub(super) struct NoRanges;

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
        let range = range.unwrap_or(0..version.size);
        Ok(Self {
            pieces: VecDeque::new(),
            rest: range.clone(),
            skips: range.start == 0,
            range,
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

    /// Where the server serves no ranges, reads the whole object and skips what comes before the range.
    pub(super) fn or_skip(mut self) -> Self {
        self.skips = true;
        self
    }

    /// The next bytes; `None` after the last.
    ///
    /// # Errors
    /// `Data` if the object is not the one that was planned any more.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>> {
        if self.whole.is_some() {
            return self.next_of_whole().await;
        }
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
            Err(error) if self.skips && self.received == 0 && has_no_ranges(&error) => {
                self.pieces.drain(..).for_each(|piece| piece.abort());
                self.whole = Some(self.object.whole(self.range.start, TRIES).await?);
                self.next_of_whole().await
            }
            Err(error) => Err(error),
        }
    }

    async fn next_of_whole(&mut self) -> Result<Option<Bytes>> {
        while let Some(whole) = &mut self.whole {
            let left = (self.range.end - self.range.start).saturating_sub(self.received);
            if left == 0 {
                break;
            }
            let begun = Instant::now();
            let next = whole.bytes.next().await;
            self.waited += begun.elapsed();
            match next.unwrap_or_else(|| Err(self.object.broke_off())) {
                Ok(mut bytes) => {
                    let before = bytes.len().min(in_memory(whole.before));
                    whole.before -= before as u64;
                    drop(bytes.split_to(before));
                    bytes.truncate(in_memory(left));
                    self.received += bytes.len() as u64;
                    if !bytes.is_empty() {
                        return Ok(Some(bytes));
                    }
                }
                // The client asks for the rest of an answer that broke off, which this server does not serve.
                Err(error)
                    if whole.tries > 1 && (error.is_transient() || has_no_ranges(&error)) =>
                {
                    tracing::debug!(error = error.chain(), "asks for a file again");
                    let (read, tries) = (self.range.start + self.received, whole.tries - 1);
                    tokio::time::sleep(PAUSE * (TRIES - tries)).await;
                    match self.object.whole(read, tries).await {
                        Ok(again) => *whole = again,
                        // The answer has no more bytes, so the next try follows.
                        Err(error) if error.is_transient() => whole.tries = tries,
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(None)
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
        let options =
            GetOptions { range: Some(GetRange::Bounded(range.clone())), ..GetOptions::default() };
        let answer = self.store.objects.get_opts(&self.path, options).await;
        let answer = answer.map_err(|source| self.failed(source))?;
        self.require_version(&answer.meta)?;
        let bytes = answer.bytes().await.map_err(|source| self.failed(source))?;
        if self.store.is_of_this_machine() {
            // Its bytes can be overwritten between the look at its version and the reading.
            let after = self.store.objects.head(&self.path).await;
            self.require_version(&after.map_err(|source| self.failed(source))?)?;
        }
        if bytes.len() as u64 != range.end - range.start {
            return Err(self.broke_off());
        }
        Ok(bytes)
    }

    /// All bytes, in one answer, of which the first `before` are not wanted.
    async fn whole(self: &Arc<Self>, before: u64, tries: u32) -> Result<Whole> {
        let answer = self.store.objects.get_opts(&self.path, GetOptions::default()).await;
        let answer = answer.map_err(|source| self.failed(source))?;
        self.require_version(&answer.meta)?;
        let this = Arc::clone(self);
        let bytes = answer.into_stream().map(move |bytes| bytes.map_err(|it| this.failed(it)));
        Ok(Whole { bytes: bytes.boxed(), before, tries })
    }

    /// The error of the store while reading the object.
    fn failed(&self, source: object_store::Error) -> Error {
        let name = &self.name;
        match source {
            object_store::Error::NotFound { .. } => gone(name),
            object_store::Error::Precondition { .. } => replaced(name),
            source if is_beyond_the_end(&source) => replaced(name),
            source if is_unsupported(&source) => {
                Error::invalid(format!("read `{name}` from its middle")).because(NoRanges)
            }
            source => self.store.failed(name, source),
        }
    }

    fn broke_off(&self) -> Error {
        Error::transient(format!("read `{}`: its bytes broke off", self.name))
    }

    fn require_version(&self, meta: &ObjectMeta) -> Result<()> {
        if meta.size != self.version.size || version_of(meta) != self.version.generation {
            return Err(replaced(&self.name));
        }
        Ok(())
    }
}

/// Whether a range begins behind the end of the object, which was shorter when it was asked for than when it was planned.
fn is_beyond_the_end(error: &object_store::Error) -> bool {
    // The store's own types for this are private: of a file of this machine, and of an answer with status 416.
    chain(error).any(|error| {
        let text = error.to_string();
        text.starts_with("Wanted range starting at") || text.contains("status code: 416")
    })
}

/// Whether a server was asked for a range and serves none, now or after its answer broke off.
fn is_unsupported(error: &object_store::Error) -> bool {
    chain(error).any(|error| {
        let error = error.downcast_ref::<object_store::Error>();
        matches!(error, Some(object_store::Error::NotSupported { .. }))
    })
}

/// An error and what caused it.
fn chain(error: &object_store::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |error| error.source())
}

/// A number of bytes as memory counts them.
fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

fn replaced(name: &str) -> Error {
    Error::data(format!("read `{name}`: it was replaced since the run was planned"))
        .hint("start the run again, and write new files under new names")
}

fn gone(name: &str) -> Error {
    Error::data(format!("read `{name}`: it is gone since the run was planned"))
        .hint("start the run again")
}
