//! BigQuery's refusals, classified by who must act on them.

use gcp_bigquery_client::error::BQError;
use serde::Deserialize;
use sluice_contracts::{Error, Kind};

/// A call that BigQuery did not carry out.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It answered, and refused.
    Answer(Answer),
    /// It did not answer, or the answer could not be read.
    Silence(Box<dyn std::error::Error + Send + Sync>),
}

/// BigQuery's answer to a call that it refused.
/// <https://cloud.google.com/bigquery/docs/error-messages>
#[derive(Debug, thiserror::Error)]
#[error("BigQuery answered {code}: {message}")]
pub(super) struct Answer {
    /// The HTTP status.
    pub(super) code: i64,
    /// The reason, from the list in the documentation.
    pub(super) reason: String,
    pub(super) message: String,
}

impl Refusal {
    /// Whether the requested thing does not exist.
    pub(super) fn is_not_found(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.code == 404)
    }

    /// Whether the thing to be made exists already.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.code == 409)
    }

    /// Whether the thing is another than the one that the call was for.
    pub(super) fn is_changed(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.code == 412)
    }

    /// Whether this account may not do it.
    pub(super) fn is_denied(&self) -> bool {
        matches!(self, Self::Answer(answer) if answer.kind() == Kind::Denied)
    }

    /// Converts the refusal to an error while doing `what` to a table.
    pub(super) fn during(self, what: String) -> Error {
        self.with_hint(
            what,
            "grant this identity `roles/bigquery.jobUser` on the project and \
             `roles/bigquery.dataEditor` on the dataset",
        )
    }

    /// Converts the refusal to an error while doing `what`, which only reads.
    pub(super) fn while_reading(self, what: &str) -> Error {
        self.with_hint(
            what.to_owned(),
            "grant this identity `roles/bigquery.jobUser` on the project that pays, and \
             `roles/bigquery.dataViewer` on the datasets that are read; `?billing_project=` in the \
             source's URL names the project that pays",
        )
    }

    /// The error, with the hint where a right is missing.
    fn with_hint(self, what: String, hint: &'static str) -> Error {
        match self {
            Self::Answer(answer) => {
                let kind = answer.kind();
                let error = Error::new(kind, what).because(answer);
                if kind == Kind::Denied { error.hint(hint) } else { error }
            }
            Self::Silence(source) => Error::new(Kind::Transient, what).because(source),
        }
    }
}

impl Answer {
    fn kind(&self) -> Kind {
        match (self.code, self.reason.as_str()) {
            (_, reason) if is_passing(reason) => Kind::Transient,
            (401 | 403, _) => Kind::Denied,
            (404, _) => Kind::NotFound,
            (409 | 412, _) => Kind::Conflict,
            (408 | 429 | 500.., _) => Kind::Transient,
            _ => Kind::Invalid,
        }
    }
}

/// Part of the message of a statement that another one kept from the table at the same time. Its
/// reason is that of statements which are wrong.
/// <https://cloud.google.com/bigquery/docs/data-manipulation-language#dml_statement_conflicts>
pub(super) const CONCURRENT: &str = "due to concurrent update";

/// Whether a reason passes by itself.
/// <https://cloud.google.com/bigquery/docs/error-messages#errortable>
pub(super) fn is_passing(reason: &str) -> bool {
    matches!(
        reason,
        "backendError"
            | "internalError"
            | "jobBackendError"
            | "jobInternalError"
            | "jobRateLimitExceeded"
            | "rateLimitExceeded"
            | "quotaExceeded"
            | "tableUnavailable"
            | "timeout"
    )
}

impl From<BQError> for Refusal {
    fn from(source: BQError) -> Self {
        match source {
            BQError::ResponseError { error } => {
                let reason = error.error.errors.first().and_then(|first| first.get("reason"));
                Self::Answer(Answer {
                    code: error.error.code,
                    reason: reason.cloned().unwrap_or_default(),
                    message: error.error.message,
                })
            }
            source => Self::Silence(Box::new(source)),
        }
    }
}

impl From<reqwest::Error> for Refusal {
    fn from(source: reqwest::Error) -> Self {
        Self::Silence(Box::new(source.without_url()))
    }
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Body {
    error: BodyError,
}

#[derive(Deserialize)]
struct BodyError {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    reason: String,
}

/// The answer to a call, if it was carried out.
pub(super) async fn carried_out(response: reqwest::Response) -> Result<reqwest::Response, Refusal> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    // A proxy in front of BigQuery answers in HTML.
    let body: Option<Body> = response.json().await.ok();
    let (message, reason) = match body {
        Some(Body { error }) => {
            (error.message, error.errors.into_iter().next().map(|detail| detail.reason))
        }
        None => (status.canonical_reason().unwrap_or_default().to_owned(), None),
    };
    Err(Refusal::Answer(Answer {
        code: status.as_u16().into(),
        reason: reason.unwrap_or_default(),
        message,
    }))
}
