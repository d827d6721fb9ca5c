//! Requests to web servers that know no more than HTTP.

use async_trait::async_trait;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE};
use http::{Method, StatusCode, Uri};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
    HttpResponseBody, HttpService, ReqwestConnector,
};
use url::Url;

/// Makes clients for one server, or for one URL of it.
#[derive(Debug)]
pub(super) struct Connector {
    only: Option<Hidden>,
}

/// A URL that no message may show.
#[derive(Clone)]
struct Hidden(Url);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

impl Connector {
    /// With `only`, every request goes to that URL, whatever the path that was asked for. The
    /// messages of errors show the latter, so they have no query string.
    pub(super) fn new(only: Option<Url>) -> Self {
        Self { only: only.map(Hidden) }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(Server { client, only: self.only.clone() }))
    }
}

#[derive(Debug)]
struct Server {
    client: HttpClient,
    only: Option<Hidden>,
}

#[async_trait]
impl HttpService for Server {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let mut request = request;
        if let Some(Hidden(url)) = &self.only {
            let aimed = url.as_str().parse::<Uri>();
            *request.uri_mut() =
                aimed.map_err(|source| HttpError::new(HttpErrorKind::Unknown, source))?;
        }
        if request.method() != Method::HEAD {
            return self.client.execute(request).await;
        }
        let answer = self.client.execute(request.clone()).await?;
        let length = answer.headers().get(CONTENT_LENGTH);
        let is_known = length.is_some_and(|length| length.as_bytes() != b"0");
        let status = answer.status();
        if is_known && status.is_success() || !is_worth_asking(status) {
            return Ok(answer);
        }
        // Many servers have no answer to HEAD, and most signatures allow GET alone. The first byte
        // comes with the length of all.
        *request.method_mut() = Method::GET;
        request.headers_mut().insert(RANGE, HeaderValue::from_static("bytes=0-0"));
        self.client.execute(request).await.map(described)
    }
}

/// Whether GET may succeed where HEAD gave this answer. A server that is busy is asked again by
/// who calls.
fn is_worth_asking(status: StatusCode) -> bool {
    let is_busy = status == StatusCode::TOO_MANY_REQUESTS || status == StatusCode::REQUEST_TIMEOUT;
    status.is_success() || (status.is_client_error() && !is_busy) || status.as_u16() == 501
}

/// The answer to HEAD that follows from the answer to a request for the first byte.
fn described(answer: HttpResponse) -> HttpResponse {
    let (mut parts, body) = answer.into_parts();
    if !matches!(
        parts.status,
        StatusCode::OK | StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
    ) {
        return HttpResponse::from_parts(parts, body);
    }
    if parts.status != StatusCode::OK {
        let total = parts.headers.get(CONTENT_RANGE).and_then(|range| {
            let (_, total) = range.to_str().ok()?.rsplit_once('/')?;
            let is_number = !total.is_empty() && total.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| HeaderValue::from_str(total).ok()).flatten()
        });
        match total {
            Some(total) => parts.headers.insert(CONTENT_LENGTH, total),
            // Without a length, the caller says that the server tells none.
            None => parts.headers.remove(CONTENT_LENGTH),
        };
        parts.headers.remove(CONTENT_RANGE);
        parts.status = StatusCode::OK;
    }
    HttpResponse::from_parts(parts, HttpResponseBody::from(String::new()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)]) -> HttpResponse {
        let mut builder = http::Response::builder().status(status);
        for (name, value) in headers {
            builder = builder.header(*name, *value);
        }
        builder.body(HttpResponseBody::from("x".to_owned())).unwrap()
    }

    fn length(answer: &HttpResponse) -> Option<&str> {
        answer.headers().get(CONTENT_LENGTH).map(|length| length.to_str().unwrap())
    }

    #[test]
    fn the_first_byte_tells_the_length_of_all() {
        for (status, headers, expected) in [
            (206, [("content-range", "bytes 0-0/123"), ("content-length", "1")], Some("123")),
            (416, [("content-range", "bytes */0"), ("content-length", "9")], Some("0")),
            (206, [("content-range", "bytes 0-0/*"), ("content-length", "1")], None),
            (200, [("etag", "\"a\""), ("content-length", "123")], Some("123")),
        ] {
            let described = described(answer(status, &headers));
            assert_eq!(described.status(), 200);
            assert_eq!(length(&described), expected, "{status} {headers:?}");
            assert!(described.headers().get(CONTENT_RANGE).is_none());
        }
        assert_eq!(described(answer(403, &[])).status(), 403);
    }

    #[test]
    fn a_url_is_not_shown() {
        let url = Url::parse("https://host/a?sig=s3cret").unwrap();
        assert!(!format!("{:?}", Connector::new(Some(url))).contains("s3cret"));
    }
}
