//! How the jobs of the recorded BigQuery end.

use serde_json::{Value, json};

/// How a job ends if nothing else is asked for. A query that chooses among rows keeps so many.
pub(super) fn usual_end(job: &Value, kept: Option<u64>) -> Value {
    let query = job["configuration"]["query"]["query"].as_str().unwrap_or_default();
    match job["configuration"]["load"] {
        Value::Null if query.starts_with("INSERT INTO") => {
            let kept = kept.filter(|_| query.contains("QUALIFY")).unwrap_or(3);
            let rows = json!({"numDmlAffectedRows": kept.to_string()});
            json!({"status": {"state": "DONE"}, "statistics": {"query": rows}})
        }
        Value::Null if query.is_empty() => {
            let rows = json!({"copiedRows": "3"});
            json!({"status": {"state": "DONE"}, "statistics": {"copy": rows}})
        }
        Value::Null => json!({"status": {"state": "DONE"}}),
        // Of many files, each holds a row.
        ref load => done(match load["sourceUris"].as_array().map_or(0, Vec::len) {
            files @ 3.. => files as u64,
            _ => 3,
        }),
    }
}

/// A job that has written so many rows.
pub(super) fn done(rows: u64) -> Value {
    let load = json!({"outputRows": rows.to_string()});
    json!({"status": {"state": "DONE"}, "statistics": {"load": load}})
}

/// A job that is running.
pub(super) fn running() -> Value {
    json!({"status": {"state": "RUNNING"}})
}

/// A job that failed.
pub(super) fn failed(reason: &str, message: &str) -> Value {
    let error = json!({"reason": reason, "message": message});
    json!({"status": {"state": "DONE", "errorResult": error}})
}
