//! An object sent in pieces, visible only when it is whole.
//!
//! One task sends the pieces one after another into one session of the service
//! (<https://cloud.google.com/storage/docs/resumable-uploads>): what the service has not confirmed
//! is kept, and after a failure the service is asked how much it has.

use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use futures::stream;
use object_store::path::Path;
use object_store::{Extensions, MultipartUpload, PutPayload, PutResult, UploadPart};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Body, Method, Response, StatusCode, Url};
use tokio::sync::{mpsc, oneshot};

use super::failure::Failure;
use super::listing::{self, Described};
use super::rest::Rest;
use super::retry_budget::RetryBudget;
use super::unsent::Unsent;

/// The writer's side of an upload. Dropping it abandons the upload.
#[derive(Debug)]
pub(super) struct Upload {
    path: Path,
    orders: mpsc::UnboundedSender<Command>,
}

/// Commands to the task that sends. The writer waits for each answer, so the queue is bounded by
/// the number of parts that the writer keeps in flight.
#[derive(Debug)]
enum Command {
    Part(PutPayload, oneshot::Sender<Result<(), Failure>>),
    Complete(oneshot::Sender<Result<PutResult, Failure>>),
    Abort(oneshot::Sender<()>),
}

impl Upload {
    /// Does not call the service yet.
    pub(super) fn new(rest: Arc<Rest>, path: Path, content_type: Option<String>) -> Self {
        let (orders, asked) = mpsc::unbounded_channel();
        let session = Session {
            rest,
            name: path.to_string(),
            content_type,
            url: None,
            pieces: Unsent::default(),
        };
        tokio::spawn(session.run(asked));
        Self { path, orders }
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (answer, answered) = oneshot::channel();
        // Sent here and not in the future: parts arrive in this order, whichever is polled first.
        let sent = self.orders.send(Command::Part(data, answer));
        let path = self.path.clone();
        Box::pin(async move {
            drop(sent);
            let result = answered.await.unwrap_or(Err(Failure::Ended));
            result.map_err(|failure| failure.at(path.as_ref()))
        })
    }

    async fn complete(&mut self) -> object_store::Result<PutResult> {
        let (answer, answered) = oneshot::channel();
        drop(self.orders.send(Command::Complete(answer)));
        let result = answered.await.unwrap_or(Err(Failure::Ended));
        result.map_err(|failure| failure.at(self.path.as_ref()))
    }

    async fn abort(&mut self) -> object_store::Result<()> {
        let (answer, answered) = oneshot::channel();
        drop(self.orders.send(Command::Abort(answer)));
        // Without an answer, the upload has ended already.
        answered.await.unwrap_or_default();
        Ok(())
    }
}

/// The sending task's side of an upload.
struct Session {
    rest: Arc<Rest>,
    name: String,
    content_type: Option<String>,
    /// Anyone who knows it can write, so it must not be logged. Absent before the first piece.
    url: Option<Url>,
    pieces: Unsent,
}

/// The state of an upload, as the service reports it.
#[derive(Debug)]
enum UploadProgress {
    /// The service has this many bytes.
    Has(u64),
    Whole(Described),
}

impl Session {
    async fn run(mut self, mut asked: mpsc::UnboundedReceiver<Command>) {
        while let Some(order) = asked.recv().await {
            match order {
                Command::Part(payload, answer) => {
                    payload.into_iter().for_each(|bytes| self.pieces.push(bytes));
                    let result = self.advance(self.pieces.sendable()).await;
                    let failed = result.is_err();
                    // If the writer was dropped nothing waits for the answer, and the commands end
                    // next.
                    drop(answer.send(result));
                    if failed {
                        break;
                    }
                }
                Command::Complete(answer) => {
                    let result = self.complete().await;
                    if result.is_err() {
                        self.cancel().await;
                    }
                    drop(answer.send(result));
                    return;
                }
                Command::Abort(answer) => {
                    self.cancel().await;
                    answer.send(()).unwrap_or_default();
                    return;
                }
            }
        }
        self.cancel().await;
    }

    /// Sends everything before `end`, which is not the object's end.
    async fn advance(&mut self, end: u64) -> Result<(), Failure> {
        if self.pieces.start() < end && self.drive(end, None).await?.is_some() {
            return Err(Failure::Gibberish("an upload that ended by itself"));
        }
        Ok(())
    }

    /// Sends the rest, and makes the object visible.
    async fn complete(&mut self) -> Result<PutResult, Failure> {
        let total = self.pieces.total();
        let whole = self.drive(total, Some(total)).await?;
        let whole = whole.ok_or(Failure::Gibberish("an upload that does not end"))?;
        if !self.is_ours(&whole) {
            // The object was never reported. If deleting it is not allowed, it is left to the
            // bucket's lifecycle rules.
            let object = self.rest.object(&self.name);
            drop(self.rest.send(Method::DELETE, &object, |request| request).await);
            return Err(Failure::Damaged);
        }
        Ok(PutResult {
            e_tag: whole.etag,
            version: whole.generation,
            extensions: Extensions::new(),
        })
    }

    /// Whether an object has the bytes that were sent.
    fn is_ours(&self, object: &Described) -> bool {
        object.crc32c.as_deref() == Some(&encoded(self.pieces.crc32c()))
    }

    /// Sends the bytes before `end`; `total` says that they are the last.
    async fn drive(&mut self, end: u64, total: Option<u64>) -> Result<Option<Described>, Failure> {
        let url = self.begun().await?;
        let mut patience = RetryBudget::new();
        let mut in_doubt = false;
        loop {
            let before = self.pieces.start();
            let answer = if in_doubt {
                self.ask(&url, total).await
            } else {
                self.put(&url, end, total).await
            };
            match answer {
                Ok(UploadProgress::Whole(object)) => return Ok(Some(object)),
                Ok(UploadProgress::Has(has)) => {
                    if !self.pieces.forget(has) {
                        return Err(Failure::Gibberish("an upload that has other bytes"));
                    }
                    if has == end && total.is_none() {
                        return Ok(None);
                    }
                    if has > before {
                        patience = RetryBudget::new();
                    } else if !in_doubt {
                        patience.wait(Failure::Silence).await?;
                    }
                    in_doubt = false;
                }
                Err(failure) => {
                    patience.wait(failure).await?;
                    in_doubt = true;
                }
            }
        }
    }

    /// The session's URL. Of two sessions that were begun because an answer was lost, one is never
    /// used, and the service forgets it.
    async fn begun(&mut self) -> Result<Url, Failure> {
        if let Some(url) = &self.url {
            return Ok(url.clone());
        }
        let mut uploads = self.rest.uploads();
        uploads
            .query_pairs_mut()
            .append_pair("uploadType", "resumable")
            .append_pair("name", &self.name);
        let mut about = serde_json::Map::new();
        if let Some(content_type) = &self.content_type {
            about.insert("contentType".to_owned(), content_type.as_str().into());
        }
        let begin = |request: reqwest::RequestBuilder| request.json(&about);
        let response = self.rest.send(Method::POST, &uploads, begin).await?;
        let url = response.headers().get(LOCATION).and_then(|url| url.to_str().ok());
        let url = url.and_then(|url| Url::parse(url).ok());
        let url = url.ok_or(Failure::Gibberish("an upload without a session"))?;
        self.url = Some(url.clone());
        Ok(url)
    }

    /// Sends the bytes before `end`.
    async fn put(
        &self,
        url: &Url,
        end: u64,
        total: Option<u64>,
    ) -> Result<UploadProgress, Failure> {
        let start = self.pieces.start();
        let pieces = self.pieces.up_to(end);
        let of = total.map_or_else(|| "*".to_owned(), |total| total.to_string());
        let range = if start == end {
            format!("bytes */{of}")
        } else {
            format!("bytes {start}-{}/{of}", end - 1)
        };
        let hash = total.map(|_| format!("crc32c={}", encoded(self.pieces.crc32c())));
        let response = self.rest.try_once(Method::PUT, url, |request| {
            let request = request
                .header(CONTENT_TYPE, "application/octet-stream")
                .header(CONTENT_LENGTH, end - start)
                .header(CONTENT_RANGE, range);
            let request = match hash {
                Some(hash) => request.header("x-goog-hash", hash),
                None => request,
            };
            let pieces = pieces.into_iter().map(Ok::<Bytes, std::io::Error>);
            request.body(Body::wrap_stream(stream::iter(pieces)))
        });
        progress(response.await?).await
    }

    /// Asks how much the service has.
    async fn ask(&self, url: &Url, total: Option<u64>) -> Result<UploadProgress, Failure> {
        let asked = self.rest.try_once(Method::PUT, url, |request| {
            request.header(CONTENT_LENGTH, 0).header(CONTENT_RANGE, "bytes */*")
        });
        match asked.await {
            Ok(response) => progress(response).await,
            // A session ends with its object: the answer that said so may be the one that was lost.
            Err(gone) if gone.is_absence() && total.is_some() => {
                match listing::describe(&self.rest, &self.name).await {
                    Ok(object) if self.is_ours(&object) => Ok(UploadProgress::Whole(object)),
                    _ => Err(gone),
                }
            }
            Err(failure) => Err(failure),
        }
    }

    /// Tells the service to forget the upload. It forgets it by itself in a week.
    async fn cancel(&self) {
        if let Some(url) = &self.url {
            let told = self
                .rest
                .try_once(Method::DELETE, url, |request| request.header(CONTENT_LENGTH, 0));
            drop(told.await);
        }
    }
}

async fn progress(response: Response) -> Result<UploadProgress, Failure> {
    if response.status() == StatusCode::PERMANENT_REDIRECT {
        let Some(range) = response.headers().get(RANGE) else { return Ok(UploadProgress::Has(0)) };
        let last = range.to_str().ok().and_then(|range| range.strip_prefix("bytes=0-"));
        let last: Option<u64> = last.and_then(|last| last.parse().ok());
        let last = last.ok_or(Failure::Gibberish("an upload that has no range"))?;
        return Ok(UploadProgress::Has(last + 1));
    }
    let body = response.bytes().await?;
    let object = serde_json::from_slice(&body);
    object.map(UploadProgress::Whole).map_err(|_| Failure::Gibberish("an invalid object"))
}

/// A checksum as the service writes it.
fn encoded(crc32c: u32) -> String {
    BASE64_STANDARD.encode(crc32c.to_be_bytes())
}
