//! What a bucket is asked for.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::stream::{self, BoxStream, StreamExt as _};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

/// Names on one page of a listing.
const PAGE: usize = 1_000;

/// How often each kind of document was asked for, by verb and folder of the run.
pub(super) type Counts = BTreeMap<(&'static str, String), usize>;

/// A bucket in memory that counts what it is asked for as Cloud Storage does: a listing by its
/// pages.
#[derive(Debug, Default)]
pub(super) struct Counted {
    inner: InMemory,
    counts: Arc<Mutex<Counts>>,
}

impl Counted {
    pub(super) fn counts(&self) -> Counts {
        self.counts.lock().unwrap().clone()
    }

    fn count(&self, verb: &'static str, path: Option<&Path>) {
        count(&self.counts, verb, path, 1);
    }
}

fn count(counts: &Mutex<Counts>, verb: &'static str, path: Option<&Path>, times: usize) {
    // The run's own folder comes before.
    let folder = path.and_then(|path| path.parts().nth(2));
    let folder = folder.map(|part| part.as_ref().to_owned()).unwrap_or_default();
    *counts.lock().unwrap().entry((verb, folder)).or_default() += times;
}

impl fmt::Display for Counted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Counted")
    }
}

#[async_trait]
impl ObjectStore for Counted {
    async fn put_opts(
        &self,
        path: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.count("put", Some(path));
        self.inner.put_opts(path, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        path: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.count("put", Some(path));
        self.inner.put_multipart_opts(path, options).await
    }

    async fn get_opts(&self, path: &Path, options: GetOptions) -> Result<GetResult> {
        self.count("get", Some(path));
        self.inner.get_opts(path, options).await
    }

    fn delete_stream(
        &self,
        paths: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(paths)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (counts, prefix, listed) =
            (Arc::clone(&self.counts), prefix.cloned(), self.inner.list(prefix));
        stream::once(async move {
            let listed: Vec<_> = listed.collect().await;
            count(&counts, "list", prefix.as_ref(), listed.len().div_ceil(PAGE).max(1));
            stream::iter(listed)
        })
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.count("list", prefix);
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}
