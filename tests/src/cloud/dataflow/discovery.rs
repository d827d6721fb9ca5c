//! The document that Dataflow publishes of its API. The stand-in takes its calls from it, and
//! refuses what the document does not know, as Dataflow does.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use axum::http::Method;
use serde_json::{Map, Value};

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    let text = include_str!("../../../fixtures/dataflow-discovery.json");
    serde_json::from_str(text).expect("the document is JSON")
});

/// A call that the document knows.
#[derive(Debug)]
pub(super) struct Call {
    /// The method's name below `dataflow.projects`.
    pub name: &'static str,
    method: &'static Value,
    in_path: BTreeMap<&'static str, String>,
}

impl Call {
    /// The call that this method and path make.
    pub(super) fn find(method: &Method, path: &str) -> Option<Self> {
        members(&DOCUMENT["methods"]).find_map(|(name, known)| {
            let template =
                known["path"].as_str().filter(|_| known["httpMethod"] == method.as_str());
            Some(Self {
                name: name.strip_prefix("dataflow.projects.")?,
                method: known,
                in_path: parameters(template?, path.trim_start_matches('/'))?,
            })
        })
    }

    /// A parameter of the path; empty, if the path has no such parameter.
    pub(super) fn parameter(&self, name: &str) -> &str {
        self.in_path.get(name).map_or("", String::as_str)
    }

    /// What of the query and of the body the document does not know.
    pub(super) fn unknown(&self, query: &BTreeMap<String, String>, body: &Value) -> Vec<String> {
        let common = &DOCUMENT["parameters"];
        let in_query = query.iter().filter_map(|(key, text)| {
            let own = &self.method["parameters"][key];
            let known = [own, &common[key]].into_iter().find(|schema| !schema.is_null());
            let is_known = known.is_some_and(|schema| schema["location"] == "query");
            let is_valid = known.is_some_and(|schema| is_one_of(schema, text));
            (!is_known || !is_valid).then(|| format!("query parameter `{key}` is not known"))
        });
        let in_body = match &self.method["request"] {
            Value::Null => Vec::new(),
            schema => unknown(schema, body, ""),
        };
        in_query.chain(in_body).collect()
    }

    /// Fails if the answer is not what the document says of it.
    pub(super) fn require_known(&self, answer: &Value) {
        let found = unknown(&self.method["response"], answer, "");
        assert!(found.is_empty(), "{}: {found:?}\n{answer:#}", self.name);
    }
}

fn members(value: &'static Value) -> impl Iterator<Item = (&'static str, &'static Value)> {
    let members = value.as_object().into_iter().flat_map(Map::iter);
    members.map(|(name, value)| (name.as_str(), value))
}

/// The parameters of a path, if it fits the template.
fn parameters(template: &'static str, path: &str) -> Option<BTreeMap<&'static str, String>> {
    if template.split('/').count() != path.split('/').count() {
        return None;
    }
    let mut found = BTreeMap::new();
    for (wanted, typed) in template.split('/').zip(path.split('/')) {
        match wanted.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => {
                found.insert(name, typed.to_owned());
            }
            None if wanted != typed => return None,
            None => {}
        }
    }
    Some(found)
}

fn is_one_of(schema: &Value, text: &str) -> bool {
    let names = schema["enum"].as_array();
    let is_whole = schema["type"] != "integer" || text.parse::<u32>().is_ok();
    is_whole && names.is_none_or(|names| names.iter().any(|name| name == text))
}

/// What of a value the schema does not have, by its path.
fn unknown(schema: &Value, value: &Value, path: &str) -> Vec<String> {
    if let Some(name) = schema["$ref"].as_str() {
        return unknown(&DOCUMENT["schemas"][name], value, path);
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
                    Some(schema) => unknown(schema, value, &path),
                    None => vec![format!("`{path}` is not known")],
                }
            })
            .collect(),
        ("array", Value::Array(items)) => {
            items.iter().flat_map(|item| unknown(&schema["items"], item, path)).collect()
        }
        ("string", Value::String(text)) if !is_one_of(schema, text) => {
            vec![format!("`{path}` cannot be `{text}`")]
        }
        ("string", Value::String(_))
        | ("boolean", Value::Bool(_))
        | ("integer", Value::Number(_)) => Vec::new(),
        _ => vec![format!("`{path}` is not of type {kind}")],
    }
}
