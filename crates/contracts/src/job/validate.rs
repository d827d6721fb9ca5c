//! Everything wrong with a job file, found at once.

use std::fmt;

use jsonschema::ValidationError;
use jsonschema::error::ValidationErrorKind;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::JobFile;

/// One thing wrong with a job file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where, as `target.write_disposition`; empty for the whole file.
    pub path: String,
    /// What is wrong.
    pub what: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl Problem {
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
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
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

fn write_place(f: &mut fmt::Formatter<'_>, problem: &Problem) -> fmt::Result {
    if problem.path.is_empty() {
        f.write_str(&problem.what)
    } else {
        write!(f, "`{}`: {}", problem.path, problem.what)
    }
}

impl std::error::Error for Problems {}

/// The JSON Schema (draft 2020-12) of a job file.
pub fn job_schema() -> Value {
    let mut schema =
        SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<JobFile>();
    RecursiveTransform(absent_rather_than_null).transform(&mut schema);
    schema.to_value()
}

/// An optional key is left out, not set to null: `anyOf: [X, null]` becomes `X`, which also lets
/// the validator say what is wrong inside of X.
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

/// What the schema has against `value`.
pub(super) fn against_schema(value: &Value) -> Vec<Problem> {
    let schema = job_schema();
    match jsonschema::validator_for(&schema) {
        Ok(validator) => {
            validator.iter_errors(value).flat_map(|error| problems_of(&schema, &error)).collect()
        }
        Err(error) => vec![Problem::new("", format!("job schema is broken: {error}"))],
    }
}

/// One finding of the validator in our words. An instance's value is never printed where it might
/// be a URL with credentials.
fn problems_of(schema: &Value, error: &ValidationError<'_>) -> Vec<Problem> {
    let path = dotted(error.instance_path().as_str());
    match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = known_keys(schema, error);
            unexpected
                .iter()
                .map(|key| {
                    let place = join(&path, key);
                    Problem::new(place, "unknown key").hint(nearest_hint(key, &known))
                })
                .collect()
        }
        ValidationErrorKind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            vec![Problem::new(join(&path, key), "missing").hint(format!("add `{key}`"))]
        }
        ValidationErrorKind::Enum { options } => {
            let known: Vec<String> = options
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|option| option.as_str().map(str::to_owned))
                .collect();
            let typed = error.instance().as_str().unwrap_or("a value that is not text").to_owned();
            vec![
                Problem::new(path, format!("unknown value `{typed}`"))
                    .hint(nearest_hint(&typed, &known)),
            ]
        }
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
            let known = one_of_words(schema, error);
            let typed = error.instance().as_str().unwrap_or("a value that is not text").to_owned();
            vec![
                Problem::new(path, format!("unknown value `{typed}`"))
                    .hint(nearest_hint(&typed, &known)),
            ]
        }
        ValidationErrorKind::Type { .. } => {
            let wanted = schema_at(schema, error)
                .and_then(Value::as_str)
                .map_or_else(|| "another type".to_owned(), |kind| with_article(kind).to_owned());
            vec![Problem::new(
                path,
                format!("expected {wanted}, found {}", kind_of(error.instance())),
            )]
        }
        ValidationErrorKind::Minimum { limit } => {
            vec![Problem::new(path, format!("must be at least {limit}"))]
        }
        ValidationErrorKind::Maximum { limit } => {
            vec![Problem::new(path, format!("must be at most {limit}"))]
        }
        other => vec![Problem::new(path, format!("breaks the rule `{}`", other.keyword()))],
    }
}

/// The value in the schema that the finding points at.
fn schema_at<'s>(schema: &'s Value, error: &ValidationError<'_>) -> Option<&'s Value> {
    // The evaluation path runs through `$ref`; the schema path is where the keyword is written.
    let pointer = error.schema_path().as_str();
    schema.pointer(pointer).or_else(|| follow(schema, pointer))
}

/// Walks a pointer, stepping through each `$ref` that it names.
fn follow<'s>(schema: &'s Value, pointer: &str) -> Option<&'s Value> {
    let mut at = schema;
    for step in pointer.split('/').skip(1) {
        at = if step == "$ref" {
            schema.pointer(at.get("$ref")?.as_str()?.strip_prefix('#')?)?
        } else if let Value::Array(items) = at {
            items.get(step.parse::<usize>().ok()?)?
        } else {
            at.get(step)?
        };
    }
    Some(at)
}

fn known_keys(schema: &Value, error: &ValidationError<'_>) -> Vec<String> {
    let pointer = error.schema_path().as_str();
    let parent = pointer.rsplit_once('/').map_or("", |(parent, _)| parent);
    let object = if parent.is_empty() { Some(schema) } else { follow(schema, parent) };
    object
        .and_then(|object| object.get("properties"))
        .and_then(Value::as_object)
        .map(|properties| properties.keys().cloned().collect())
        .unwrap_or_default()
}

fn one_of_words(schema: &Value, error: &ValidationError<'_>) -> Vec<String> {
    schema_at(schema, error)
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(|option| option.get("const").and_then(Value::as_str).map(str::to_owned))
        .collect()
}

/// The one name that was probably meant, or all that are known: the hint for an unknown name.
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

fn dotted(pointer: &str) -> String {
    pointer
        .split('/')
        .skip(1)
        .map(|step| step.replace("~1", "/").replace("~0", "~"))
        .collect::<Vec<_>>()
        .join(".")
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn with_article(kind: &str) -> &str {
    match kind {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a mapping",
        "boolean" => "true or false",
        other => other,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a fraction",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}
