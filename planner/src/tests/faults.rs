//! Ports that fail, and planners that are killed, at a chosen call.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The call is not made, and the caller gets an error.
    Refused,
    /// The call is made, and the caller gets an error.
    Unanswered,
    /// The planner dies before the call.
    KilledBefore,
    /// The planner dies after the call.
    KilledAfter,
}

impl Fault {
    pub(super) const ALL: [Self; 4] =
        [Self::Refused, Self::Unanswered, Self::KilledBefore, Self::KilledAfter];
}

/// Which call goes wrong, counted over all ports.
#[derive(Debug, Default)]
pub(super) struct Faults {
    armed: Mutex<Option<(usize, Fault)>>,
    calls: AtomicUsize,
    listed: AtomicUsize,
    fired: AtomicBool,
    /// Whether no object may be deleted.
    pub(super) deletes_refused: AtomicBool,
    killed: Notify,
}

impl Faults {
    /// Makes the call of that number, counted from now, go wrong.
    pub(super) fn arm(&self, number: usize, fault: Fault) {
        let number = self.calls.load(Ordering::SeqCst) + number;
        *self.armed.lock().unwrap() = Some((number, fault));
    }

    /// Calls of all ports so far, and the objects that listings had.
    pub(super) fn counted(&self) -> (usize, usize) {
        (self.calls.load(Ordering::SeqCst), self.listed.load(Ordering::SeqCst))
    }

    /// Stops faults, and returns whether one has happened.
    pub(super) fn disarm(&self) -> bool {
        *self.armed.lock().unwrap() = None;
        self.fired.load(Ordering::SeqCst)
    }

    /// Ends when the planner is to die.
    pub(super) async fn killed(&self) {
        self.killed.notified().await;
    }

    /// Makes a port's call, or the fault in its place.
    pub(super) async fn call<T, E>(
        &self,
        error: impl Fn() -> E,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let number = self.calls.fetch_add(1, Ordering::SeqCst);
        let armed = *self.armed.lock().unwrap();
        let fault = armed.filter(|(armed, _)| *armed == number).map(|(_, fault)| fault);
        if fault.is_some() {
            self.fired.store(true, Ordering::SeqCst);
        }
        match fault {
            Some(Fault::Refused) => return Err(error()),
            Some(Fault::KilledBefore) => self.die().await,
            _ => {}
        }
        let done = work.await;
        match fault {
            Some(Fault::Unanswered) => Err(error()),
            Some(Fault::KilledAfter) => self.die().await,
            _ => done,
        }
    }

    async fn die<T>(&self) -> T {
        self.killed.notify_one();
        std::future::pending().await
    }
}

/// A store whose calls can go wrong.
#[derive(Debug)]
pub(super) struct Faulty {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) faults: Arc<Faults>,
}

fn lost() -> object_store::Error {
    object_store::Error::Generic { store: "lake", source: "the network is gone".into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("faulty")
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.faults.call(lost, self.store.put_opts(location, payload, options)).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.faults.call(lost, self.store.get_opts(location, options)).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        if !self.faults.deletes_refused.load(Ordering::SeqCst) {
            return self.store.delete_stream(locations);
        }
        let refused = |path: Path| object_store::Error::PermissionDenied {
            path: path.to_string(),
            source: "storage.objects.delete".into(),
        };
        locations.map(move |location| location.and_then(|path| Err(refused(path)))).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let faults = Arc::clone(&self.faults);
        self.store
            .list(prefix)
            .inspect(move |_| {
                faults.listed.fetch_add(1, Ordering::SeqCst);
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.faults.call(lost, self.store.list_with_delimiter(prefix)).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}
