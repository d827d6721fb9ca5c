//! Faults: what fails, or dies, at which call of a port; and a store that suffers them.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::{BoxStream, StreamExt as _, TryStreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use sluice_contracts::{Error, Result};
use tokio::sync::Notify;

/// How a call goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It fails, and nothing is done.
    FailBefore,
    /// It is done, and its answer is lost.
    FailAfter,
    /// The caller dies before it.
    DieBefore,
    /// The caller dies right after it.
    DieAfter,
}

pub(super) const FAULTS: [Fault; 4] =
    [Fault::FailBefore, Fault::FailAfter, Fault::DieBefore, Fault::DieAfter];

/// Counts the calls of all ports of one loader, and lets one of them go wrong.
#[derive(Debug, Clone, Default)]
pub(super) struct Faults(Arc<State>);

#[derive(Debug, Default)]
struct State {
    calls: AtomicUsize,
    wrong: Option<(usize, Fault)>,
    died: Notify,
    /// State of the dice that say how often a call lets others go first; 0 for never.
    dice: AtomicU64,
}

impl Faults {
    /// Call number `call` goes wrong, from 0.
    pub(super) fn at(call: usize, fault: Fault) -> Self {
        Self(Arc::new(State { wrong: Some((call, fault)), ..State::default() }))
    }

    /// Nothing goes wrong, and calls of callers at once mix in an order that `seed` chooses.
    pub(super) fn mixed(seed: u64) -> Self {
        let dice = AtomicU64::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Self(Arc::new(State { dice, ..State::default() }))
    }

    /// Calls so far.
    pub(super) fn calls(&self) -> usize {
        self.0.calls.load(Ordering::SeqCst)
    }

    /// Resolves when the caller has died.
    pub(super) async fn died(&self) {
        self.0.died.notified().await;
    }

    pub(super) async fn call<T>(&self, call: impl AsyncFnOnce() -> Result<T>) -> Result<T> {
        let fault = self.next().await;
        self.before(fault).await?;
        let answer = call().await;
        self.after(fault).await?;
        answer
    }

    /// What becomes of the next call.
    async fn next(&self) -> Option<Fault> {
        for _ in 0..self.roll() {
            tokio::task::yield_now().await;
        }
        let number = self.0.calls.fetch_add(1, Ordering::SeqCst);
        self.0.wrong.filter(|(call, _)| *call == number).map(|(_, fault)| fault)
    }

    fn roll(&self) -> u64 {
        let dice = self.0.dice.load(Ordering::SeqCst);
        let mut next = dice ^ (dice << 13);
        next ^= next >> 7;
        next ^= next << 17;
        self.0.dice.store(next, Ordering::SeqCst);
        next >> 61
    }

    async fn before(&self, fault: Option<Fault>) -> Result<()> {
        match fault {
            Some(Fault::FailBefore) => Err(Error::transient("reach the service")),
            Some(Fault::DieBefore) => self.die().await,
            _ => Ok(()),
        }
    }

    async fn after(&self, fault: Option<Fault>) -> Result<()> {
        match fault {
            Some(Fault::FailAfter) => Err(Error::transient("read the service's answer")),
            Some(Fault::DieAfter) => self.die().await,
            _ => Ok(()),
        }
    }

    async fn die(&self) -> Result<()> {
        self.0.died.notify_one();
        std::future::pending().await
    }
}

/// A store in memory whose calls go wrong.
#[derive(Debug, Clone)]
pub(super) struct Shaky {
    pub(super) inner: Arc<InMemory>,
    pub(super) faults: Faults,
    /// How often each object was read.
    pub(super) reads: Arc<Mutex<BTreeMap<String, u32>>>,
    /// How often each folder was listed.
    pub(super) lists: Arc<Mutex<BTreeMap<String, u32>>>,
}

impl fmt::Display for Shaky {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("shaky")
    }
}

impl Shaky {
    async fn call<T>(
        &self,
        call: impl AsyncFnOnce() -> object_store::Result<T>,
    ) -> object_store::Result<T> {
        let lost =
            |error: Error| object_store::Error::Generic { store: "shaky", source: Box::new(error) };
        let fault = self.faults.next().await;
        self.faults.before(fault).await.map_err(lost)?;
        let answer = call().await;
        self.faults.after(fault).await.map_err(lost)?;
        answer
    }
}

#[async_trait]
impl ObjectStore for Shaky {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.call(async || self.inner.put_opts(location, payload, options).await).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        *self.reads.lock().unwrap().entry(location.to_string()).or_default() += 1;
        self.call(async || self.inner.get_opts(location, options).await).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let this = self.clone();
        locations
            .and_then(move |path| {
                let this = this.clone();
                async move {
                    let one = futures::stream::once(async { Ok(path) }).boxed();
                    this.call(async || this.inner.delete_stream(one).try_collect::<Vec<_>>().await)
                        .await?
                        .pop()
                        .ok_or(object_store::Error::NotImplemented {
                            operation: String::new(),
                            implementer: String::new(),
                        })
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        let (this, prefix) = (self.clone(), prefix.cloned());
        let folder = prefix.as_ref().map(Path::to_string).unwrap_or_default();
        *self.lists.lock().unwrap().entry(folder).or_default() += 1;
        let listed = async move {
            this.call(async || this.inner.list(prefix.as_ref()).try_collect::<Vec<_>>().await).await
        };
        futures::stream::once(listed)
            .map_ok(|found| futures::stream::iter(found.into_iter().map(Ok)))
            .try_flatten()
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &Path,
        to: &Path,
        options: CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
