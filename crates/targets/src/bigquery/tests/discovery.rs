//! Requests against the document that BigQuery publishes of its API: a field that it does not know
//! would be ignored, or refused, by the real one only.

use serde_json::{Value, json};

/// The part of the document that requests are checked against.
const DOCUMENT: &str = include_str!("discovery.json");

/// Fails if the body of a request is not of the kind that its method and path take.
pub(super) fn require_known(request: &str, body: &Value) {
    let document: Value = serde_json::from_str(DOCUMENT).unwrap();
    let schema = match request {
        "POST /jobs" => "Job",
        "POST /queries" => "QueryRequest",
        _ => "Table",
    };
    let found = unknown(&document["schemas"], &json!({"$ref": schema}), body, "");
    assert!(
        found.is_empty(),
        "{request}: {found:?}; if BigQuery knows it, add it to `discovery.json`\n{body:#}"
    );
}

/// What of a value the schema does not have, by its path.
fn unknown(schemas: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return unknown(schemas, &schemas[name], value, path);
    }
    let kind = schema["type"].as_str().unwrap_or_default();
    match (kind, value) {
        ("object", Value::Object(members)) => members
            .iter()
            .flat_map(|(key, value)| {
                let path = format!("{path}.{key}");
                let of_key = &schema["properties"][key];
                let of_any = &schema["additionalProperties"];
                match [of_key, of_any].into_iter().find(|schema| !schema.is_null()) {
                    Some(schema) => unknown(schemas, schema, value, &path),
                    None => vec![format!("`{path}` is not known")],
                }
            })
            .collect(),
        ("array", Value::Array(items)) => {
            items.iter().flat_map(|item| unknown(schemas, &schema["items"], item, path)).collect()
        }
        // Whole numbers of 64 bits are text.
        ("string", Value::String(text)) => match schema["format"].as_str() {
            Some("int64") if text.parse::<i64>().is_err() => {
                vec![format!("`{path}` is not a whole number")]
            }
            Some("google-datetime") if chrono::DateTime::parse_from_rfc3339(text).is_err() => {
                vec![format!("`{path}` is not a time")]
            }
            _ => Vec::new(),
        },
        // `null` takes a value away.
        (_, Value::Null)
        | ("boolean", Value::Bool(_))
        | ("integer" | "number", Value::Number(_)) => Vec::new(),
        _ => vec![format!("`{path}` is not of type {kind}")],
    }
}

#[test]
fn what_bigquery_does_not_know_is_found() {
    let schemas: Value = serde_json::from_str::<Value>(DOCUMENT).unwrap()["schemas"].clone();
    let job = json!({"configuration": {"copy": {"destinationExpirationTime": "1796044487874"}, "load": {
        "sourceUris": ["gs://lake/1.parquet", 7],
        "timePartitioning": {"type": "DAY", "expirationMs": "soon", "requireFilter": true},
        "destinationTableProperties": {"labels": {"team": "sales"}, "friendlyName": null},
        "parquetOptions": {"enableListInference": "yes"},
        "schema": {"fields": [{"name": "id", "fields": [{"name": "n", "length": 3}]}]},
    }}});
    let mut found = unknown(&schemas, &json!({"$ref": "Job"}), &job, "");
    found.sort();
    assert_eq!(
        found,
        [
            "`.configuration.copy.destinationExpirationTime` is not a time",
            "`.configuration.load.parquetOptions.enableListInference` is not of type boolean",
            "`.configuration.load.schema.fields.fields.length` is not known",
            "`.configuration.load.sourceUris` is not of type string",
            "`.configuration.load.timePartitioning.expirationMs` is not a whole number",
            "`.configuration.load.timePartitioning.requireFilter` is not known",
        ]
    );
}
