//! Everything wrong with a job file, found at once.

use std::fmt;

use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::JobFile;
use super::yaml::other_kind;
use crate::error::Error;

/// One thing wrong with a job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobProblem {
    /// Where, as `target.write_disposition`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl JobProblem {
    /// A problem at `path`.
    pub fn new(path: impl Into<String>, what: impl Into<String>) -> Self {
        Self { path: path.into(), what: what.into(), hint: None }
    }

    /// Adds what to write instead.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// All that is wrong with a job file.
#[derive(Debug, Clone, Default)]
pub struct JobProblems(pub Vec<JobProblem>);

impl JobProblems {
    /// The error of the job file called `name`. A hint stands beside each of several problems.
    pub(super) fn refuse(self, name: &str) -> Error {
        let error = Error::invalid(format!("read job `{name}`"));
        let error = match self.0.as_slice() {
            [JobProblem { hint: Some(hint), .. }] => error.hint(hint.clone()),
            _ => error,
        };
        error.because(self)
    }
}

impl fmt::Display for JobProblems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let [only] = self.0.as_slice() {
            return write_place(f, only);
        }
        write!(f, "{} problems", self.0.len())?;
        for problem in &self.0 {
            f.write_str("\n  ")?;
            write_place(f, problem)?;
            if let Some(hint) = &problem.hint {
                write!(f, " ({hint})")?;
            }
        }
        Ok(())
    }
}

fn write_place(f: &mut fmt::Formatter<'_>, problem: &JobProblem) -> fmt::Result {
    if problem.path.is_empty() {
        f.write_str(&problem.what)
    } else {
        write!(f, "`{}`: {}", problem.path, problem.what)
    }
}

impl std::error::Error for JobProblems {}

/// The JSON Schema (draft 2020-12) of a job file.
pub fn job_schema() -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<JobFile>();
    RecursiveTransform(absent_rather_than_null).transform(&mut schema);
    schema.to_value()
}

/// An optional key is left out, not set to null: `anyOf: [X, null]` becomes `X`.
fn absent_rather_than_null(schema: &mut schemars::Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if let Some(Value::Array(options)) = object.get_mut("anyOf") {
        options.retain(|option| option.get("type").is_none_or(|kind| kind != "null"));
        if let [Value::Object(only)] = options.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            object.extend(only);
        }
    }
    object.remove("default");
}

/// The problems that the schema finds in `value`.
///
/// Knows the keywords that [`job_schema`] has, and no others. A value is never printed if it might
/// be a URL with credentials.
pub(super) fn against_schema(value: &Value) -> Vec<JobProblem> {
    let root = job_schema();
    let mut check = Check { root: &root, problems: Vec::new() };
    check.value("", &root, value);
    check.problems
}

/// A walk through a document and its schema, side by side.
struct Check<'s> {
    root: &'s Value,
    problems: Vec<JobProblem>,
}

impl<'s> Check<'s> {
    fn say(&mut self, path: &str, what: impl Into<String>) {
        self.problems.push(JobProblem::new(path, what));
    }

    fn value(&mut self, path: &str, schema: &'s Value, value: &Value) {
        if let Some(name) = schema.get("$ref").and_then(Value::as_str) {
            let root = self.root;
            return match name.strip_prefix('#').and_then(|pointer| root.pointer(pointer)) {
                Some(named) => self.value(path, named, value),
                None => self.say(path, format!("job schema is broken: `{name}` leads nowhere")),
            };
        }
        if let Some(words) = schema.get("oneOf").and_then(Value::as_array) {
            return self.word(path, words, value);
        }
        let wanted = schema.get("type").and_then(Value::as_str).unwrap_or_default();
        match (wanted, value) {
            ("object", Value::Object(_)) => self.object(path, schema, value),
            ("array", Value::Array(items)) => {
                for (at, item) in items.iter().enumerate() {
                    self.value(&join(path, &at.to_string()), &schema["items"], item);
                }
            }
            ("integer", Value::Number(number)) if !number.is_f64() => {
                self.range(path, schema, value);
            }
            ("string", Value::String(_)) | ("boolean", Value::Bool(_)) => {}
            _ => self.problems.push(other_kind(path, wanted, value)),
        }
    }

    /// Checks a mapping of known keys, or of any keys to values of one kind.
    fn object(&mut self, path: &str, schema: &'s Value, value: &Value) {
        let known = schema.get("properties").and_then(Value::as_object);
        let others = schema.get("additionalProperties").filter(|others| others.is_object());
        let mut unknown = Vec::new();
        for (key, value) in value.as_object().into_iter().flatten() {
            match known.and_then(|known| known.get(key)).or(others) {
                Some(schema) => self.value(&join(path, key), schema, value),
                None => unknown.push(key),
            }
        }
        let known: Vec<String> = known.into_iter().flatten().map(|(key, _)| key.clone()).collect();
        for key in unknown {
            let hint = nearest_hint(key, &known);
            self.problems.push(JobProblem::new(join(path, key), "unknown key").hint(hint));
        }
        let required = schema.get("required").and_then(Value::as_array);
        for key in required.into_iter().flatten().filter_map(Value::as_str) {
            if value.get(key).is_none() {
                let hint = format!("add `{key}`");
                self.problems.push(JobProblem::new(join(path, key), "missing").hint(hint));
            }
        }
    }

    /// Checks a value that has to be one of several words.
    fn word(&mut self, path: &str, words: &[Value], value: &Value) {
        let words: Vec<&Value> = words.iter().filter_map(|word| word.get("const")).collect();
        if words.contains(&value) {
            return;
        }
        let known: Vec<String> =
            words.iter().filter_map(|word| word.as_str().map(str::to_owned)).collect();
        let typed = match value {
            Value::String(typed) => typed.clone(),
            Value::Array(_) | Value::Object(_) => "a value that is not text".to_owned(),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
        };
        let hint = nearest_hint(&typed, &known);
        self.problems.push(JobProblem::new(path, format!("unknown value `{typed}`")).hint(hint));
    }

    fn range(&mut self, path: &str, schema: &Value, value: &Value) {
        // In 128 bits, which hold every whole number that a document can have.
        let number =
            |value: &Value| value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
        let Some(typed) = number(value) else { return };
        if let Some(limit) = schema.get("minimum").and_then(number)
            && typed < limit
        {
            self.say(path, format!("must be at least {limit}"));
        }
        let of_format = match schema["format"].as_str() {
            Some("uint16") => Some(i128::from(u16::MAX)),
            Some("uint32") => Some(i128::from(u32::MAX)),
            Some("uint64") => Some(i128::from(u64::MAX)),
            Some("int64") => Some(i128::from(i64::MAX)),
            _ => None,
        };
        if let Some(limit) = schema.get("maximum").and_then(number).or(of_format)
            && typed > limit
        {
            self.say(path, format!("must be at most {limit}"));
        }
    }
}

/// The hint for an unknown name: the one that was probably meant, or all known names.
pub fn nearest_hint(typed: &str, known: &[String]) -> String {
    let lower = typed.to_lowercase();
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&lower, &name.to_lowercase()), name))
        .min()
        .filter(|(distance, _)| *distance <= (typed.len() / 3).max(1));
    match near {
        Some((_, name)) => format!("did you mean `{name}`?"),
        None => format!("use {}", listed(known)),
    }
}

/// `a`, `b` or `c`.
fn listed(names: &[String]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    match quoted.as_slice() {
        [] => "nothing here".to_owned(),
        [only] => only.clone(),
        [most @ .., last] => format!("{} or {last}", most.join(", ")),
    }
}

/// The path of a key or of a list's item.
pub(super) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A keyword that the check ignores would let through what it forbids.
    #[test]
    fn the_schema_has_no_keyword_that_is_not_checked() {
        const CHECKED: [&str; 10] = [
            "$ref",
            "oneOf",
            "type",
            "properties",
            "additionalProperties",
            "required",
            "items",
            "minimum",
            "maximum",
            "format",
        ];
        // `const` is checked where `oneOf` is.
        const SAYING: [&str; 5] = ["$schema", "$defs", "title", "description", "const"];
        fn walk(schema: &Value, keywords: &mut Vec<String>) {
            for (keyword, value) in schema.as_object().into_iter().flatten() {
                keywords.push(keyword.clone());
                match (keyword.as_str(), value) {
                    ("properties" | "$defs", Value::Object(named)) => {
                        for schema in named.values() {
                            walk(schema, keywords);
                        }
                    }
                    ("oneOf", Value::Array(schemas)) => {
                        for schema in schemas {
                            walk(schema, keywords);
                        }
                    }
                    ("items" | "additionalProperties", schema) => walk(schema, keywords),
                    _ => {}
                }
            }
        }
        let mut keywords = Vec::new();
        walk(&job_schema(), &mut keywords);
        assert!(keywords.len() > 100, "{keywords:?}");
        for keyword in keywords {
            let known = CHECKED.contains(&keyword.as_str()) || SAYING.contains(&keyword.as_str());
            assert!(known, "`{keyword}` is not checked");
        }
    }

    #[test]
    fn numbers_lists_and_mappings_are_looked_into() {
        let job = serde_json::json!({
            "name": true, "target": [],
            "source": {"url": "x", "port": 70_000, "columns": ["a", 1]},
            "limits": {"max_tasks": 0, "max_connections": -1, "max_executions": 11},
            "partitioning": {"target_rows": 1.5},
            "columns": {"a": {"on_invalid": 1}, "b": 2}, "tables": [{"table": "t", "tabel": 1}, {}]
        });
        let said: Vec<String> = against_schema(&job)
            .into_iter()
            .map(|problem| format!("{}: {}", problem.path, problem.what))
            .collect();
        for expected in [
            "name: expected text, found true or false",
            "source.columns.1: expected text, found a number",
            "source.port: must be at most 65535",
            "target: expected a mapping, found a list",
            "limits.max_tasks: must be at least 1",
            "limits.max_connections: must be at least 1",
            "limits.max_executions: must be at most 10",
            "partitioning.target_rows: expected a whole number, found a number with a fraction",
            "columns.a.on_invalid: unknown value `1`",
            "columns.b: expected a mapping, found a number",
            "tables.0.tabel: unknown key",
            "tables.1.table: missing",
        ] {
            assert!(said.iter().any(|said| said == expected), "{expected}\n{said:#?}");
        }
        assert_eq!(said.len(), 12, "{said:#?}");
    }
}
