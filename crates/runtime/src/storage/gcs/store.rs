//! The bucket as an object store.

use std::convert::Infallible;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream};
use futures::{StreamExt as _, TryStreamExt as _};
use google_cloud_auth::credentials::Credentials;
use google_cloud_gax::exponential_backoff::ExponentialBackoffBuilder;
use google_cloud_gax::retry_policy::RetryPolicyExt as _;
use google_cloud_storage::client::Storage;
use google_cloud_storage::model_ext::ReadRange;
use google_cloud_storage::read_object::ReadObjectResponse;
use google_cloud_storage::retry_policy::RetryableErrors;
use google_cloud_storage::streaming_source::{SizeHint, StreamingSource};
use object_store::path::Path;
use object_store::{
    Attribute, Attributes, CopyOptions, Error as StoreError, Extensions, GetOptions, GetRange,
    GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult,
};
use reqwest::Method;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Kind, Result};
use tokio::sync::OnceCell;
use tokio::time::timeout;

use super::failure::Failure;
use super::listing;
use super::rest::Rest;
use super::retry_budget::{FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, SILENCE};
use super::upload::Upload;
use crate::google::Endpoint;

/// Most objects that are deleted at once.
const DELETED_AT_ONCE: usize = 16;

/// One bucket. Every call is repeated for a while where that may help; a create that is repeated
/// after its answer was lost finds its own object and reports that it exists.
///
/// [`ObjectMeta::last_modified`] of an object that is read may be 1970-01-01, because Google's
/// client does not report it. `head` and `list` do.
#[derive(Debug)]
pub(super) struct CloudStorage {
    bucket: String,
    url: String,
    credentials: Credentials,
    /// Made at the first use, because making it is asynchronous.
    client: OnceCell<Storage>,
    rest: Arc<Rest>,
}

impl CloudStorage {
    pub(super) fn new(endpoint: &Endpoint, bucket: &str) -> Result<Self> {
        let credentials = endpoint.credentials()?;
        let rest = Rest::new(endpoint.url(), bucket, credentials.clone())
            .doing(Kind::Invalid, || format!("call Cloud Storage at `{}`", endpoint.url()))?;
        Ok(Self {
            bucket: format!("projects/_/buckets/{bucket}"),
            url: endpoint.url().to_owned(),
            credentials,
            client: OnceCell::new(),
            rest: Arc::new(rest),
        })
    }

    async fn client(&self) -> Result<&Storage, Failure> {
        self.client
            .get_or_try_init(|| async {
                let backoff = ExponentialBackoffBuilder::new()
                    .with_initial_delay(FIRST_PAUSE)
                    .with_maximum_delay(LONGEST_PAUSE)
                    .build()
                    .map_err(|source| Failure::Client(source.into()))?;
                Storage::builder()
                    .with_endpoint(&self.url)
                    .with_credentials(self.credentials.clone())
                    .with_retry_policy(RetryableErrors.with_time_limit(PATIENCE))
                    .with_backoff_policy(backoff)
                    // An object that is given whole is sent in one request, which can be
                    // create-only.
                    .with_resumable_upload_threshold(usize::MAX)
                    .build()
                    .await
                    .map_err(|source| Failure::Client(source.into()))
            })
            .await
    }

    async fn write(
        &self,
        location: &Path,
        payload: PutPayload,
        create: bool,
        content_type: Option<String>,
    ) -> Result<PutResult, Failure> {
        let source = Whole { length: payload.content_length() as u64, pieces: payload.into_iter() };
        let write = self.client().await?.write_object(&self.bucket, location.as_ref(), source);
        let write = if create {
            write.set_if_generation_match(0)
        } else {
            // Writing the same bytes twice is harmless.
            write.with_idempotency(true)
        };
        let write = match content_type {
            Some(content_type) => write.set_content_type(content_type),
            None => write,
        };
        let written = Box::pin(timeout(PATIENCE + SILENCE, write.send_buffered())).await;
        let object = written.map_err(|_| Failure::Silence)??;
        Ok(PutResult {
            e_tag: Some(object.etag).filter(|etag| !etag.is_empty()),
            version: Some(object.generation.to_string()),
            extensions: Extensions::new(),
        })
    }

    async fn read(
        &self,
        location: &Path,
        range: Option<&GetRange>,
    ) -> Result<ReadObjectResponse, Failure> {
        let range = match range {
            None => ReadRange::all(),
            Some(GetRange::Bounded(range)) => {
                ReadRange::segment(range.start, range.end - range.start)
            }
            Some(GetRange::Offset(offset)) => ReadRange::offset(*offset),
            Some(GetRange::Suffix(count)) => ReadRange::tail(*count),
        };
        let read = self.client().await?.read_object(&self.bucket, location.as_ref());
        let read = timeout(PATIENCE + SILENCE, read.set_read_range(range).send()).await;
        Ok(read.map_err(|_| Failure::Silence)??)
    }
}

#[async_trait]
impl ObjectStore for CloudStorage {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> object_store::Result<PutResult> {
        let content_type = content_type(&options.attributes)?;
        let create = match options.mode {
            PutMode::Create => true,
            PutMode::Overwrite => false,
            PutMode::Update(_) => return Err(unsupported("an update of an object")),
        };
        let written = Box::pin(self.write(location, payload, create, content_type)).await;
        written.map_err(|failure| {
            let at = location.as_ref();
            if create { failure.creating(at) } else { failure.at(at) }
        })
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        let content_type = content_type(&options.attributes)?;
        Ok(Box::new(Upload::new(Arc::clone(&self.rest), location.clone(), content_type)))
    }

    async fn get_opts(
        &self,
        location: &Path,
        options: GetOptions,
    ) -> object_store::Result<GetResult> {
        if options.if_match.is_some()
            || options.if_none_match.is_some()
            || options.if_modified_since.is_some()
            || options.if_unmodified_since.is_some()
            || options.version.is_some()
        {
            return Err(unsupported("a read on a condition"));
        }
        if options.head {
            let meta = listing::head(&self.rest, location).await?;
            return Ok(result(meta, 0..0, stream::empty().boxed()));
        }
        if let Some(range) = &options.range {
            range
                .is_valid()
                .map_err(|source| StoreError::NotSupported { source: source.into() })?;
        }
        let read = self.read(location, options.range.as_ref()).await;
        let response = read.map_err(|failure| failure.at(location.as_ref()))?;
        let object = response.object();
        let meta = match u64::try_from(object.size) {
            // Empty, or the service did not report the size.
            Ok(0) | Err(_) => listing::head(&self.rest, location).await?,
            Ok(size) => ObjectMeta {
                location: location.clone(),
                last_modified: DateTime::UNIX_EPOCH,
                size,
                e_tag: Some(object.etag).filter(|etag| !etag.is_empty()),
                version: Some(object.generation.to_string()),
            },
        };
        let size = meta.size;
        let range = match options.range {
            None => 0..size,
            Some(range) => range
                .as_range(size)
                .map_err(|source| StoreError::NotSupported { source: source.into() })?,
        };
        Ok(result(meta, range, bytes_of(response, location.to_string()).boxed()))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        let rest = Arc::clone(&self.rest);
        let delete = move |location: object_store::Result<Path>| {
            let rest = Arc::clone(&rest);
            async move {
                let location = location?;
                let url = rest.object(location.as_ref());
                let deleted = rest.send(Method::DELETE, &url, |request| request).await;
                deleted.map_err(|failure| failure.at(location.as_ref()))?;
                Ok(location)
            }
        };
        locations.map(delete).buffered(DELETED_AT_ONCE).boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        listing::list(Arc::clone(&self.rest), prefix).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        listing::list_one_level(&self.rest, prefix).await
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> object_store::Result<()> {
        Err(unsupported("a copy of an object"))
    }
}

impl fmt::Display for CloudStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cloud Storage ({})", self.bucket)
    }
}

/// A payload that is in memory as a whole.
struct Whole<I> {
    length: u64,
    pieces: I,
}

impl<I: Iterator<Item = Bytes> + Send + Sync> StreamingSource for Whole<I> {
    type Error = Infallible;

    async fn next(&mut self) -> Option<Result<Bytes, Infallible>> {
        self.pieces.next().map(Ok)
    }

    async fn size_hint(&self) -> Result<SizeHint, Infallible> {
        Ok(SizeHint::with_exact(self.length))
    }
}

/// The bytes of an object as they arrive. The client resumes after a lost connection, and compares
/// the checksum of a whole object.
fn bytes_of(
    response: ReadObjectResponse,
    path: String,
) -> impl futures::Stream<Item = object_store::Result<Bytes>> {
    let next = |mut response: ReadObjectResponse| async move {
        let next = timeout(SILENCE, response.next()).await;
        let next = next.map_err(|_| Failure::Silence)?.transpose()?;
        Ok::<_, Failure>(next.map(|bytes| (bytes, response)))
    };
    stream::try_unfold(response, next).map_err(move |failure| failure.at(&path))
}

fn result(
    meta: ObjectMeta,
    range: Range<u64>,
    bytes: BoxStream<'static, object_store::Result<Bytes>>,
) -> GetResult {
    GetResult {
        payload: GetResultPayload::Stream(bytes),
        meta,
        range,
        attributes: Attributes::default(),
        extensions: Extensions::new(),
    }
}

fn content_type(attributes: &Attributes) -> object_store::Result<Option<String>> {
    let mut content_type = None;
    for (attribute, value) in attributes {
        match attribute {
            Attribute::ContentType => content_type = Some(value.to_string()),
            _ => return Err(unsupported("an attribute other than the content's type")),
        }
    }
    Ok(content_type)
}

fn unsupported(what: &'static str) -> StoreError {
    StoreError::NotSupported { source: what.into() }
}
