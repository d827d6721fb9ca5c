//! Why a call did not succeed.

use google_cloud_auth::errors::CredentialsError;
use reqwest::Response;
use serde::Deserialize;

/// Name of the store in errors.
const STORE: &str = "Cloud Storage";

/// Why a call did not succeed. No message contains a URL: anyone who has the URL of an upload's
/// session can write.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the service answers {status}: {message}")]
    Answer { status: u16, message: String },
    #[error("the connection failed")]
    Connection(#[source] reqwest::Error),
    #[error("the service did not answer in time")]
    Silence,
    #[error("no access token could be obtained")]
    Credentials(#[source] CredentialsError),
    #[error("the service's answer is not what it documents: {0}")]
    Gibberish(&'static str),
    #[error("the service has other bytes than were sent")]
    Damaged,
    #[error("the upload failed before")]
    Ended,
    #[error("the client cannot be made")]
    Client(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// An error of Google's client that is not one of the above.
    #[error("the service could not be used")]
    Other(#[source] google_cloud_storage::Error),
}

impl Failure {
    /// The failure that a response describes.
    pub(super) async fn of(response: Response) -> Self {
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap_or_default();
        Self::Answer { status, message: message(status, &body) }
    }

    /// Whether the same call may succeed when repeated. These are the failures that Google lists
    /// (<https://cloud.google.com/storage/docs/retry-strategy>).
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::Answer { status, .. } => matches!(status, 408 | 429 | 500..600),
            Self::Connection(_) | Self::Silence => true,
            Self::Credentials(source) => source.is_transient(),
            _ => false,
        }
    }

    /// Whether the object or session does not exist (any more).
    pub(super) fn is_absence(&self) -> bool {
        matches!(self, Self::Answer { status: 404 | 410, .. })
    }

    /// The store's error for the object at `path`.
    pub(super) fn at(self, path: &str) -> object_store::Error {
        use object_store::Error as E;
        let path = path.to_owned();
        match &self {
            Self::Answer { status: 404, .. } => E::NotFound { path, source: self.into() },
            Self::Answer { status: 412, .. } => E::Precondition { path, source: self.into() },
            Self::Answer { status: 403, .. } => E::PermissionDenied { path, source: self.into() },
            Self::Answer { status: 401, .. } => E::Unauthenticated { path, source: self.into() },
            // The requested bytes are beyond the object's end.
            Self::Answer { status: 416, .. } => E::NotSupported { source: self.into() },
            Self::Credentials(source) if !source.is_transient() => {
                E::Unauthenticated { path, source: self.into() }
            }
            _ => E::Generic { store: STORE, source: self.into() },
        }
    }

    /// The store's error for creating an object at `path`.
    pub(super) fn creating(self, path: &str) -> object_store::Error {
        match self.at(path) {
            object_store::Error::Precondition { path, source } => {
                object_store::Error::AlreadyExists { path, source }
            }
            other => other,
        }
    }
}

impl From<reqwest::Error> for Failure {
    fn from(source: reqwest::Error) -> Self {
        if source.is_timeout() { Self::Silence } else { Self::Connection(source.without_url()) }
    }
}

impl From<google_cloud_storage::Error> for Failure {
    fn from(source: google_cloud_storage::Error) -> Self {
        match source.http_status_code() {
            Some(status) => {
                let said = source.status().map(|status| status.message.clone());
                let body = source.http_payload().map(|body| message(status, body));
                let message = said.or(body).unwrap_or_else(|| reason(status));
                Self::Answer { status, message }
            }
            None if source.is_timeout() => Self::Silence,
            None => Self::Other(source),
        }
    }
}

/// The service's message, for people.
fn message(status: u16, body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Answer {
        error: Inner,
    }
    #[derive(Deserialize)]
    struct Inner {
        message: String,
    }
    let answer: Option<Answer> = serde_json::from_slice(body).ok();
    answer.map_or_else(|| reason(status), |answer| answer.error.message)
}

fn reason(status: u16) -> String {
    let known = reqwest::StatusCode::from_u16(status).ok();
    known.and_then(|known| known.canonical_reason()).unwrap_or("no reason").to_lowercase()
}

#[cfg(test)]
mod tests {
    use sluice_contracts::Kind;
    use sluice_contracts::store::storage_error;

    use super::*;

    fn answer(status: u16) -> Failure {
        Failure::Answer { status, message: "no".into() }
    }

    #[test]
    fn an_answer_says_who_must_act() {
        for (status, kind) in [
            (401, Kind::Denied),
            (403, Kind::Denied),
            (404, Kind::NotFound),
            (412, Kind::Conflict),
            (416, Kind::Invalid),
            (429, Kind::Transient),
            (500, Kind::Transient),
            (503, Kind::Transient),
        ] {
            let error = storage_error("read `a`".into(), answer(status).at("a"));
            assert_eq!(error.kind(), kind, "{status}");
            assert!(error.chain().contains(&format!("the service answers {status}: no")));
        }
    }

    #[test]
    fn only_who_creates_hears_that_it_exists() {
        let exists = |error| matches!(error, object_store::Error::AlreadyExists { .. });
        assert!(exists(answer(412).creating("a")));
        assert!(!exists(answer(412).at("a")));
        assert!(!exists(answer(404).creating("a")));
    }

    #[test]
    fn the_services_words_are_kept() {
        let body = br#"{"error":{"code":404,"message":"No such object: lake/a"}}"#;
        assert_eq!(message(404, body), "No such object: lake/a");
        assert_eq!(message(503, b"<html>"), "service unavailable");
    }

    #[tokio::test]
    async fn a_connection_that_failed_tells_no_url() {
        let url = "http://127.0.0.1:1/upload?upload_id=secret";
        let failure = Failure::from(reqwest::get(url).await.unwrap_err());
        assert!(failure.is_transient());
        let error = storage_error("write `a`".into(), failure.at("a"));
        assert!(!format!("{} {error:?}", error.chain()).contains("secret"));
    }
}
