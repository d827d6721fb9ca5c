//! Errors as `application/problem+json`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use sluice_contracts::{Error, Kind};

/// An error as the answer to a request (RFC 9457). Its status says who must act; the details of a
/// bug are only logged.
#[derive(Debug)]
pub struct Problem(pub Error);

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl Problem {
    /// The status that says who must act.
    pub fn status(&self) -> StatusCode {
        match self.0.kind() {
            Kind::Invalid | Kind::Data => StatusCode::UNPROCESSABLE_ENTITY,
            Kind::NotFound => StatusCode::NOT_FOUND,
            Kind::Conflict => StatusCode::CONFLICT,
            Kind::Denied => StatusCode::FORBIDDEN,
            Kind::Transient => StatusCode::SERVICE_UNAVAILABLE,
            Kind::Bug => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The same error under another status. A message is delivered again after every status but
    /// success, so it has to be answered with success if another delivery is of no use.
    pub fn under(&self, status: StatusCode) -> Response {
        let own = self.status();
        let mut body = json!({
            "type": "about:blank",
            "title": own.canonical_reason(),
            "status": own.as_u16(),
            "kind": self.0.kind(),
        });
        if self.0.kind() == Kind::Bug {
            body["detail"] = "internal error; the service's log has more".into();
        } else {
            body["detail"] = self.0.chain().into();
            if let Some(hint) = self.0.remedy() {
                body["hint"] = hint.into();
            }
        }
        let mut response = (status, body.to_string()).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let error = self.0.chain();
        match self.0.kind() {
            Kind::Bug => tracing::error!(error, "could not answer a request"),
            _ => tracing::warn!(error, "refused a request"),
        }
        self.under(self.status())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_failures_worth_repeating_are_503() {
        let status = |error: Error| Problem(error).into_response().status().as_u16();
        assert_eq!(status(Error::transient("plan")), 503);
        assert_eq!(status(Error::invalid("plan")), 422);
        assert_eq!(status(Error::bug("plan")), 500);
    }
}
