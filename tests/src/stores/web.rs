//! A web server of files that can be without byte ranges, busy, or cut off.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, ETAG, LAST_MODIFIED, RANGE,
};
use axum::http::response::Builder;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a server knows of HTTP.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// It answers a request for a range with that range. Otherwise it sends the whole file, with
    /// status 200.
    pub ranges: bool,
    /// It answers `HEAD`. Otherwise it answers 403, as a signature for `GET` alone does.
    pub heads: bool,
    /// Its answers have an `ETag`. They always tell the time of the last change.
    pub tags: bool,
}

/// A server of files. Dropping the value cuts every connection.
#[derive(Debug)]
pub struct Web {
    address: SocketAddr,
    site: Arc<Site>,
    serving: JoinHandle<()>,
}

/// A request that arrived. Requests are kept in the order of arrival.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// `GET` or `HEAD`.
    pub method: String,
    /// Path and query, as they were sent.
    pub path: String,
    /// The range that was asked for: `bytes=0-99`.
    pub range: Option<String>,
}

#[derive(Debug)]
struct Site {
    manners: Manners,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// Files with the number of their change, by their path as it is sent.
    files: BTreeMap<String, (Bytes, u32)>,
    changes: u32,
    asked: Vec<Asked>,
    /// How many more requests are answered with 503.
    busy: usize,
    /// After how many bytes each of the next answers is cut.
    cuts: Vec<usize>,
}

impl Default for Manners {
    fn default() -> Self {
        Self { ranges: true, heads: true, tags: true }
    }
}

impl Web {
    /// Starts a server without files.
    pub async fn start(manners: Manners) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port is free");
        let address = listener.local_addr().expect("a bound socket has an address");
        let site = Arc::new(Site { manners, pages: Mutex::default() });
        let router = Router::new().fallback(answer).with_state(Arc::clone(&site));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("the server serves until it is dropped");
        });
        Self { address, site, serving }
    }

    /// The server's URL, without a slash at the end.
    pub fn root(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The URL of a file, or of anything else on the server; `path` has the escapes of a URL.
    pub fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.root())
    }

    /// Puts a file, or puts another one in its place; `path` has the escapes of a URL, and no query.
    pub fn put(&self, path: &str, bytes: impl Into<Bytes>) {
        let mut pages = self.site.pages();
        pages.changes += 1;
        let change = pages.changes;
        pages.files.insert(format!("/{path}"), (bytes.into(), change));
    }

    /// Every request that arrived.
    pub fn asked(&self) -> Vec<Asked> {
        self.site.pages().asked.clone()
    }

    /// How many requests arrived.
    pub fn requests(&self) -> usize {
        self.site.pages().asked.len()
    }

    /// Answers the next requests with 503.
    pub fn be_busy(&self, times: usize) {
        self.site.pages().busy = times;
    }

    /// Cuts the connection of the next answer after so many bytes of the file, and that of the
    /// answer after it, if this is called twice.
    pub fn cut_after(&self, bytes: usize) {
        self.site.pages().cuts.push(bytes);
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Site {
    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(site): State<Arc<Site>>, request: Request) -> Response {
    let range = request.headers().get(RANGE).and_then(|range| range.to_str().ok());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let mut pages = site.pages();
    pages.asked.push(Asked {
        method: request.method().to_string(),
        path: path.to_owned(),
        range: range.map(str::to_owned),
    });
    if pages.busy > 0 {
        pages.busy -= 1;
        return empty(StatusCode::SERVICE_UNAVAILABLE);
    }
    let is_head = *request.method() == Method::HEAD;
    if is_head && !site.manners.heads {
        return empty(StatusCode::FORBIDDEN);
    }
    let Some((file, change)) = pages.files.get(request.uri().path()).cloned() else {
        return empty(StatusCode::NOT_FOUND);
    };
    let mut builder = Response::builder()
        .header(LAST_MODIFIED, format!("Mon, 30 Nov 2026 20:00:{change:02} GMT"));
    if site.manners.tags {
        builder = builder.header(ETAG, format!("\"change-{change}\""));
    }
    let mut part = 0..file.len();
    if site.manners.ranges {
        builder = builder.header(ACCEPT_RANGES, "bytes");
        if let Some(range) = range.filter(|_| !is_head) {
            let Some(wanted) = wanted(range, file.len()) else {
                let builder = builder.status(StatusCode::RANGE_NOT_SATISFIABLE);
                let builder = builder.header(CONTENT_RANGE, format!("bytes */{}", file.len()));
                return finish(builder, Body::empty());
            };
            let told = format!("bytes {}-{}/{}", wanted.start, wanted.end - 1, file.len());
            builder = builder.status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, told);
            part = wanted;
        }
    }
    builder = builder.header(CONTENT_LENGTH, part.len());
    let bytes = file.slice(part);
    if is_head {
        return finish(builder, Body::empty());
    }
    let is_cut = pages.cuts.first().is_some_and(|&after| after < bytes.len());
    if !is_cut {
        return finish(builder, Body::from(bytes));
    }
    let after = pages.cuts.remove(0);
    let sent = stream::iter([Ok(bytes.slice(..after))]);
    // What was sent leaves this machine first.
    let cut = stream::once(async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        Err(io::Error::other("cut"))
    });
    finish(builder, Body::from_stream(sent.chain(cut)))
}

/// The range that `bytes=1-2`, `bytes=1-` or `bytes=-2` stands for; `None` if it is beyond the end.
fn wanted(range: &str, length: usize) -> Option<Range<usize>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let range = match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) => from..(to + 1).min(length),
        (Ok(from), Err(_)) => from..length,
        (Err(_), Ok(last)) => length.saturating_sub(last)..length,
        (Err(_), Err(_)) => return None,
    };
    (range.start < range.end).then_some(range)
}

fn empty(status: StatusCode) -> Response {
    finish(Response::builder().status(status), Body::empty())
}

fn finish(builder: Builder, body: Body) -> Response {
    builder.body(body).expect("the headers of an answer")
}

#[cfg(test)]
mod tests {
    use object_store::http::HttpBuilder;
    use object_store::path::Path;
    use object_store::{ClientOptions, Error, ObjectStore, ObjectStoreExt as _};

    use super::*;

    fn store(web: &Web) -> impl ObjectStore {
        let options = ClientOptions::new().with_allow_http(true);
        HttpBuilder::new()
            .with_url(web.root())
            .with_client_options(options)
            .build()
            .expect("a store")
    }

    #[tokio::test]
    async fn a_file_is_served_whole_and_in_parts() {
        let web = Web::start(Manners::default()).await;
        web.put("in/a%20b.csv", "0123456789");
        let (store, path) = (store(&web), Path::from("in/a b.csv"));
        let meta = store.head(&path).await.expect("a file");
        assert_eq!((meta.size, meta.e_tag.as_deref()), (10, Some("\"change-1\"")));
        let bytes = store.get_range(&path, 3..5).await.expect("a range");
        assert_eq!(bytes, "34");
        web.put("in/a%20b.csv", "other");
        let whole = store.get(&path).await.expect("a file");
        assert_ne!(whole.meta.e_tag, meta.e_tag);
        assert_eq!(whole.bytes().await.expect("its bytes"), "other");
        let asked = web.asked();
        assert_eq!((web.requests(), asked[1].range.as_deref()), (3, Some("bytes=3-4")));
        assert_eq!(asked[1].path, "/in/a%20b.csv");
        let absent = store.head(&Path::from("in/none")).await;
        assert!(matches!(absent, Err(Error::NotFound { .. })), "{absent:?}");
    }

    #[tokio::test]
    async fn a_server_may_know_no_ranges_and_no_heads() {
        let web = Web::start(Manners { ranges: false, heads: false, tags: false }).await;
        web.put("a", "0123456789");
        let (store, path) = (store(&web), Path::from("a"));
        let range = store.get_range(&path, 3..5).await;
        assert!(matches!(range, Err(Error::NotSupported { .. })), "{range:?}");
        let head = store.head(&path).await;
        assert!(matches!(head, Err(Error::PermissionDenied { .. })), "{head:?}");
        let whole = store.get(&path).await.expect("a file");
        assert_eq!((whole.meta.size, &whole.meta.e_tag), (10, &None));
    }

    #[tokio::test]
    async fn an_answer_that_is_cut_or_refused_is_asked_for_again() {
        let web = Web::start(Manners::default()).await;
        web.put("a", "0123456789".repeat(1000));
        web.be_busy(2);
        web.cut_after(5_000);
        let whole = store(&web).get(&Path::from("a")).await.expect("a file");
        assert_eq!(whole.bytes().await.expect("its bytes").len(), 10_000);
        let ranges: Vec<_> = web.asked().into_iter().map(|asked| asked.range).collect();
        assert_eq!(ranges, [None, None, None, Some("bytes=5000-9999".to_owned())]);
    }
}
