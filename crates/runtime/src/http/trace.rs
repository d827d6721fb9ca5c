//! Which trace a request belongs to, so that Cloud Logging shows its lines together.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::Response;
use serde::Deserialize;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Kind, Result};
use tracing::Instrument as _;

/// The project whose traces requests belong to.
#[derive(Debug, Clone, Deserialize)]
pub struct Traces {
    /// `GOOGLE_CLOUD_PROJECT`. Without it no line names its trace.
    google_cloud_project: Option<String>,
}

impl Traces {
    /// Reads the environment.
    pub fn from_env() -> Result<Self> {
        envy::from_env().doing(Kind::Invalid, || "read the project of the traces")
    }

    /// Adds a request's trace to everything that `router` logs for the request.
    pub fn follow(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, in_span))
    }

    /// The trace that a request belongs to, as Cloud Logging names it.
    /// <https://cloud.google.com/logging/docs/reference/v2/rest/v2/LogEntry>
    fn of(&self, headers: &HeaderMap) -> Option<String> {
        let project = self.google_cloud_project.as_deref()?;
        Some(format!("projects/{project}/traces/{}", trace_id(headers)?))
    }
}

async fn in_span(State(traces): State<Traces>, request: Request, next: Next) -> Response {
    let span = match traces.of(request.headers()) {
        Some(trace) => tracing::info_span!("request", "logging.googleapis.com/trace" = trace),
        None => tracing::info_span!("request"),
    };
    next.run(request).instrument(span).await
}

/// If both headers are present they agree: `traceparent` is the standard (W3C), the other one is
/// Google's own.
fn trace_id(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name)?.to_str().ok();
    let of_all = || text("traceparent")?.split('-').nth(1);
    let of_google = || text("x-cloud-trace-context")?.split('/').next();
    let is_id = |id: &&str| {
        let hex = id.bytes().all(|byte| byte.is_ascii_hexdigit());
        id.len() == 32 && hex && id.bytes().any(|byte| byte != b'0')
    };
    of_all().filter(is_id).or_else(|| of_google().filter(is_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "105445aa7843bc8bf206b12000100000";

    fn of(project: Option<&str>, name: &'static str, value: &str) -> Option<String> {
        let traces = Traces { google_cloud_project: project.map(str::to_owned) };
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        traces.of(&headers)
    }

    #[test]
    fn either_header_names_the_trace() {
        let expected = Some(format!("projects/shop/traces/{ID}"));
        let project = Some("shop");
        assert_eq!(of(project, "x-cloud-trace-context", &format!("{ID}/1;o=1")), expected);
        assert_eq!(of(project, "x-cloud-trace-context", ID), expected);
        assert_eq!(of(project, "traceparent", &format!("00-{ID}-00f067aa0ba902b7-01")), expected);
    }

    #[test]
    fn what_is_no_trace_names_none() {
        let project = Some("shop");
        for value in ["", "/", "x/1", "105445aa/1;o=1", "00000000000000000000000000000000/0"] {
            assert_eq!(of(project, "x-cloud-trace-context", value), None, "{value}");
        }
        assert_eq!(of(project, "traceparent", "00"), None);
        assert_eq!(of(None, "x-cloud-trace-context", ID), None);
    }
}
