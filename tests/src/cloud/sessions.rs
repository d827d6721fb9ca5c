//! The progress of uploads in pieces.
//!
//! Cloud Storage answers a `PUT` of no bytes with `Content-Range: bytes */*` by reporting how much
//! of an upload it has
//! (<https://cloud.google.com/storage/docs/performing-resumable-uploads#status-check>).
//! fake-gcs-server treats the request as the last piece, and makes an incomplete object. So the
//! gateway answers the request itself, from what the server confirmed before.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use axum::http::header::{CONTENT_RANGE, RANGE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use bytes::Bytes;

/// An answer of the service.
pub(super) type Answered = (StatusCode, HeaderMap, Bytes);

/// The last answer to a piece of each upload, by the upload's path.
#[derive(Debug, Default)]
pub(super) struct Sessions(Mutex<HashMap<String, Answered>>);

impl Sessions {
    /// The answer to a request for an upload's progress; `None` for any other request.
    pub(super) fn tell(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
    ) -> Option<Answered> {
        let asks = headers.get(CONTENT_RANGE).is_some_and(|range| range == "bytes */*");
        if method != Method::PUT || !asks {
            return None;
        }
        let sessions = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let nothing = || (StatusCode::PERMANENT_REDIRECT, HeaderMap::new(), Bytes::new());
        Some(sessions.get(path).cloned().unwrap_or_else(nothing))
    }

    /// Keeps the answer to a piece.
    pub(super) fn note(&self, method: &Method, path: &str, answered: &Answered) {
        let (status, headers, body) = answered;
        let incomplete = *status == StatusCode::PERMANENT_REDIRECT;
        if method != Method::PUT || !(incomplete || status.is_success()) {
            return;
        }
        let range = headers.get(RANGE).filter(|_| incomplete);
        let range: HeaderMap =
            range.map(|range: &HeaderValue| (RANGE, range.clone())).into_iter().collect();
        let kept = (*status, range, if incomplete { Bytes::new() } else { body.clone() });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned(), kept);
    }
}
