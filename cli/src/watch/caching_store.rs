//! A bucket whose documents are read once.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt as _};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Extensions, GetOptions, GetResult, GetResultPayload, ListResult,
    MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};
use sluice_contracts::store::Bucket;

/// The same bucket, of which every document is read at most once: documents are created and never
/// change. Watching a run with many receipts reads only the new ones.
pub(super) fn caching(bucket: Bucket) -> Bucket {
    let store = CachingStore { store: bucket.store, known: Mutex::default() };
    Bucket { store: Arc::new(store), ..bucket }
}

#[derive(Debug)]
struct CachingStore {
    store: Arc<dyn ObjectStore>,
    known: Mutex<HashMap<Path, (ObjectMeta, Bytes)>>,
}

impl CachingStore {
    fn known(&self, location: &Path) -> Option<(ObjectMeta, Bytes)> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(location).cloned()
    }
}

impl fmt::Display for CachingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for CachingStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let conditional = options.if_match.is_some()
            || options.if_none_match.is_some()
            || options.if_modified_since.is_some()
            || options.if_unmodified_since.is_some();
        if conditional || options.range.is_some() || options.version.is_some() {
            return self.store.get_opts(location, options).await;
        }
        if let Some((meta, bytes)) = self.known(location) {
            return Ok(found(meta, bytes));
        }
        if options.head {
            return self.store.get_opts(location, options).await;
        }
        let result = self.store.get_opts(location, options).await?;
        let meta = result.meta.clone();
        let bytes = result.bytes().await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(location.clone(), (meta.clone(), bytes.clone()));
        Ok(found(meta, bytes))
    }

    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        self.store.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.store.copy_opts(from, to, options).await
    }
}

fn found(meta: ObjectMeta, bytes: Bytes) -> GetResult {
    GetResult {
        range: 0..bytes.len() as u64,
        payload: GetResultPayload::Stream(stream::once(async { Ok(bytes) }).boxed()),
        meta,
        attributes: Attributes::default(),
        extensions: Extensions::default(),
    }
}

#[cfg(test)]
mod tests {
    use object_store::ObjectStoreExt as _;
    use object_store::memory::InMemory;

    use super::*;

    #[tokio::test]
    async fn what_was_read_is_read_once_and_what_was_missing_is_looked_for_again() {
        let under = Arc::new(InMemory::new());
        let bucket =
            Bucket { store: under.clone(), prefix: Path::default(), url: "memory:///".to_owned() };
        let store = caching(bucket).store;
        let path = Path::from("a");
        store.get(&path).await.unwrap_err();
        store.head(&path).await.unwrap_err();
        under.put(&path, "one".into()).await.unwrap();
        assert_eq!(store.head(&path).await.unwrap().size, 3);
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "one");
        under.delete(&path).await.unwrap();
        assert_eq!(store.get(&path).await.unwrap().bytes().await.unwrap(), "one");
        assert_eq!(store.head(&path).await.unwrap().size, 3);
        store.get_range(&path, 0..1).await.unwrap_err();
    }
}
