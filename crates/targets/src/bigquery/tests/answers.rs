//! Answers of the recorded BigQuery, and what it is asked for.

use axum::http::StatusCode;
use serde_json::{Value, json};

/// The answer to a query that is done, with one row and one column.
pub(super) fn one_value(value: u64) -> Value {
    json!({"jobComplete": true, "rows": [{"f": [{"v": value.to_string()}]}]})
}

/// A refusal for this reason.
pub(super) fn refusal(status: StatusCode, reason: &str) -> (StatusCode, Value) {
    let errors = json!([{"reason": reason}]);
    (status, json!({"error": {"code": status.as_u16(), "message": "no", "errors": errors}}))
}

/// Whether a change lets a table expire within the test.
pub(super) fn ends_soon(change: &Value) -> bool {
    let end = change["expirationTime"].as_str().and_then(|end| end.parse::<i64>().ok());
    let soon = chrono::Utc::now() + chrono::Duration::minutes(5);
    end.is_some_and(|end| end < soon.timestamp_millis())
}
