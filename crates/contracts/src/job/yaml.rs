//! The text of a job file as a document, and what YAML makes of a text that means something else.

use serde_json::Value;

use super::validate::{JobProblem, JobProblems, join};
use super::yaml_document::Document;
use crate::error::{Error, Result};

/// The hint where the parser's error says nothing more specific.
const QUOTE: &str = "check the indentation, and quote a value that holds `: ` or ` #`, or begins with one of `*&!{[%@`, as in `\"{schema}_{table}\"`; the same document as JSON is accepted too";

/// Parses YAML or JSON. `name` names the file in messages.
///
/// Only `true` and `false` are truth values, as YAML 1.2 has them: columns may be called `y`, `no`
/// or `on`. Numbers with leading zeros are refused: `010` is 10, 8 or a text, by the reader, and
/// what deploys a job reads the same file.
pub(super) fn parse(name: &str, text: &str) -> Result<Value> {
    let value = document(name, text, false)?;
    let mut problems = Vec::new();
    leading_zeros("", &value, &document(name, text, true)?, &mut problems);
    if problems.is_empty() { Ok(value) } else { Err(JobProblems(problems).refuse(name)) }
}

/// The document, where numbers with leading zeros are kept `as_written` or become numbers.
fn document(name: &str, text: &str, as_written: bool) -> Result<Value> {
    let options = serde_saphyr::options! {
        strict_booleans: true,
        leading_zero_numbers_as_strings: as_written,
    };
    let read = serde_saphyr::from_str_with_options::<Document>(text, options);
    read.map(|Document(value)| value).map_err(|source| {
        // The parser's message shows the lines around the error, which may hold a password.
        let place = source.location().map_or_else(String::new, |location| {
            format!(": line {}, column {}", location.line(), location.column())
        });
        let (what, hint) = trap(&source, text);
        Error::invalid(format!("read job `{name}`{place}: {what}")).hint(hint)
    })
}

/// The numbers with leading zeros: what is a number in one reading, and a text as it is `written`.
fn leading_zeros(path: &str, value: &Value, written: &Value, problems: &mut Vec<JobProblem>) {
    match (value, written) {
        (Value::Number(_), Value::String(written)) => problems.push(if is_secret(path) {
            JobProblem::new(path, "a number with leading zeros").hint("put it in quotes")
        } else {
            let (sign, digits) = written.split_at(written.find('0').unwrap_or_default());
            let digits = digits.trim_start_matches('0');
            let number = format!("{sign}{}", if digits.is_empty() { "0" } else { digits });
            let what = format!("`{written}` is a number with leading zeros");
            let hint = format!("quote it if it is text: `\"{written}\"`, or write `{number}`");
            JobProblem::new(path, what).hint(hint)
        }),
        (Value::Array(values), Value::Array(written)) => {
            for (at, (value, written)) in values.iter().zip(written).enumerate() {
                leading_zeros(&join(path, &at.to_string()), value, written, problems);
            }
        }
        (Value::Object(values), Value::Object(written)) => {
            for (key, value) in values {
                let written = written.get(key).unwrap_or(value);
                leading_zeros(&join(path, key), value, written, problems);
            }
        }
        _ => {}
    }
}

/// Whether the value of a key may be a secret.
fn is_secret(path: &str) -> bool {
    matches!(path.rsplit('.').next(), Some("url" | "password"))
}

/// What is wrong with a text that cannot be read, and what to write instead.
fn trap(error: &serde_saphyr::Error, text: &str) -> (String, String) {
    use serde_saphyr::Error as Yaml;
    match error {
        Yaml::WithSnippet { error, .. } | Yaml::AliasError { error, .. } => trap(error, text),
        Yaml::DuplicateMappingKey { key, .. } => {
            // What stands where a key should may be a URL with its password.
            let key = key.as_deref().filter(|key| !key.contains([':', '@', '/']));
            let what = match key {
                Some(key) => format!("key `{key}` is there twice"),
                None => "a key is there twice".to_owned(),
            };
            (what, "keep one of the two, with all that belongs to it".to_owned())
        }
        Yaml::UnknownAnchor { .. } => (
            "a value that begins with `*` is a reference in YAML".to_owned(),
            "quote it, as in `\"*_audit\"` or `\"*/5 * * * *\"`".to_owned(),
        ),
        Yaml::NullIntoString { .. } => (
            "a key is empty, `~` or `null`".to_owned(),
            "quote it if it is a name: `\"null\"`".to_owned(),
        ),
        _ => match tab(text) {
            Some(line) => (
                "not well-formed YAML".to_owned(),
                format!(
                    "line {line} is indented with a tab, which YAML does not accept: use spaces"
                ),
            ),
            None => ("not well-formed YAML".to_owned(), QUOTE.to_owned()),
        },
    }
}

/// The first line with a tab in its indentation.
fn tab(text: &str) -> Option<usize> {
    let indented = |line: &str| {
        let rest = line.trim_start();
        !rest.is_empty() && line[..line.len() - rest.len()].contains('\t')
    };
    text.lines().position(indented).map(|at| at + 1)
}

/// Turns the words of YAML 1.1 for truth into truth values, where nothing else can be meant.
pub(super) fn take_truth(value: &mut Value) {
    let Some(word) = value.get_mut("all_or_nothing") else { return };
    match word.as_str().map(str::to_ascii_lowercase).as_deref() {
        Some("y" | "yes" | "on") => *word = Value::Bool(true),
        Some("n" | "no" | "off") => *word = Value::Bool(false),
        _ => {}
    }
}

/// The limits that are durations.
pub(super) const DURATIONS: [&str; 2] = ["finish_within", "answer_within"];

/// A value that YAML read as another kind than the `wanted` one, with what to write instead where
/// it is known.
pub(super) fn other_kind(path: &str, wanted: &str, value: &Value) -> JobProblem {
    let (expected, found) = (with_article(wanted), kind_of(value));
    let problem = JobProblem::new(path, format!("expected {expected}, found {found}"));
    let last = path.rsplit('.').next().unwrap_or_default();
    match (wanted, value) {
        ("string", Value::Number(number)) if DURATIONS.contains(&last) || last == "expiration" => {
            JobProblem::new(path, "expected a duration, found a number without a unit")
                .hint(duration_hint(number.as_u64()))
        }
        // A number where a secret belongs may be the secret.
        ("string", Value::Bool(_) | Value::Number(_)) if is_secret(path) => {
            problem.hint("put it in quotes")
        }
        ("string", Value::Bool(word)) => problem.hint(format!("quote it: `\"{word}\"`")),
        // YAML has made `31` of `0x1F` and `1.1` of `1.10`.
        ("string", Value::Number(_)) => problem.hint("quote it, as it is written in the file"),
        ("string", Value::Null) => {
            problem.hint("leave it out, or quote it if it is a name: `\"null\"`")
        }
        (_, Value::Null) if path.is_empty() => problem
            .hint("the file is empty; see `sluice schema job`, or write one with `sluice init`"),
        (_, Value::Null) => problem.hint("delete the key, or give it a value"),
        ("integer", Value::Number(number)) => match number.as_f64().filter(|n| n.fract() == 0.0) {
            Some(whole) if whole.abs() < 1e15 => problem.hint(format!("write `{whole:.0}`")),
            _ => problem,
        },
        ("integer", Value::String(text)) => match text.replace('_', "").parse::<u64>() {
            Ok(number) => problem.hint(format!("write `{number}`, without quotes")),
            Err(_) => problem,
        },
        ("boolean", Value::String(text)) => match text.to_ascii_lowercase().as_str() {
            word @ ("true" | "false") => problem.hint(format!("write `{word}`, without quotes")),
            _ => problem.hint("write `true` or `false`"),
        },
        ("array", Value::String(_)) => problem.hint("write it in brackets: `[a, b]`"),
        _ => problem,
    }
}

/// What to write for a duration that is typed as a number.
pub(super) fn duration_hint(seconds: Option<u64>) -> String {
    match seconds.filter(|seconds| *seconds > 0) {
        Some(seconds) => {
            let span = humantime::format_duration(std::time::Duration::from_secs(seconds));
            format!("write `{}` if it is seconds", span.to_string().replace(' ', ""))
        }
        None => "write `90s`, `10m` or `2h`".to_owned(),
    }
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

/// Larger numbers are whole in any reading, and no key takes them.
const LARGEST: f64 = 1e18;

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() != 0.0) => {
            "a number with a fraction"
        }
        Value::Number(number) if number.as_f64().is_some_and(|n| n.abs() > LARGEST) => {
            "a number that is too large"
        }
        Value::Number(number) if number.is_f64() => "a number with a point or an exponent",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Job, Selection};

    fn job(source: &str, rest: &str) -> String {
        format!(
            "name: events\nsource: {{url: 'sqlite:///x', table: events{source}}}\ntarget: {{table: 'file:///w/t'}}\n{rest}\n"
        )
    }

    fn refused(source: &str, rest: &str) -> String {
        let error = Job::read("job.yaml", &job(source, rest), &[]).expect_err(rest);
        format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default())
    }

    #[test]
    fn the_short_words_are_names() {
        let columns = "y: {type: STRING}, on: {name: off}, no: {name: n}";
        let text = job(", columns: [y, n, on, off, yes, no]", &format!("columns: {{{columns}}}"));
        let Selection::One(table) = Job::read("job", &text, &[]).unwrap().selection else {
            panic!()
        };
        assert_eq!(table.select.unwrap(), ["y", "n", "on", "off", "yes", "no"]);
        assert_eq!(table.columns["on"].name.as_deref(), Some("off"));
        for (word, expected) in [("yes", true), ("on", true), ("No", false), ("true", true)] {
            let text = job("", &format!("all_or_nothing: {word}"));
            assert_eq!(Job::read("job", &text, &[]).unwrap().all_or_nothing, expected, "{word}");
        }
    }

    #[test]
    fn what_yaml_takes_for_something_else_is_answered_with_what_to_write() {
        for (source, rest, expected) in [
            (", columns: [true]", "", "quote it: `\"true\"`"),
            (", columns: [2020]", "", "quote it, as it is written in the file"),
            (", columns: [0x1F]", "", "quote it, as it is written in the file"),
            (", columns: [1e3]", "", "found a number with a point or an exponent\nquote it, as"),
            (", columns: [.5]", "", "found a number with a fraction\nquote it, as it is written"),
            (", columns: [1.10]", "", "quote it, as it is written in the file"),
            (", columns: [null]", "", "quote it if it is a name: `\"null\"`"),
            (", columns: a", "", "write it in brackets: `[a, b]`"),
            ("", "columns: {a: {name: false}}", "quote it: `\"false\"`"),
            ("", "columns: {a: {type: null}}", "unknown value `null`"),
            ("", "limits: {finish_within: 600}", "write `10m` if it is seconds"),
            ("", "limits: {finish_within: '5400'}", "write `1h30m` if it is seconds"),
            ("", "limits: {max_tasks: '4'}", "write `4`, without quotes"),
            ("", "limits:", "delete the key, or give it a value"),
            ("", "partitioning: {target_rows: 1e6}", "a point or an exponent\nwrite `1000000`"),
            ("", "partitioning: {target_rows: 2.5}", "found a number with a fraction"),
            ("", "partitioning: {target_rows: 99999999999999999999}", "a number that is too large"),
            ("", "all_or_nothing: 'true'", "write `true`, without quotes"),
            ("", "all_or_nothing: always", "write `true` or `false`"),
            ("", "columns: {a: {type: STRING}, a: {type: DATE}}", "key `a` is there twice\nkeep"),
            ("", "name: again", "line 4, column 1: key `name` is there twice"),
            ("", "limits:\n\tmax_tasks: 4", "line 5 is indented with a tab"),
            ("", "schedule: */5 * * * *", "quote it, as in"),
            ("", "bucket: {a}_{b}", "quote a value that"),
        ] {
            let said = refused(source, rest);
            assert!(said.contains(expected), "{source} {rest}\n{expected}\nis not in\n{said}");
        }
    }

    #[test]
    fn a_number_with_leading_zeros_is_called_that() {
        for (source, rest, expected) in [
            (
                ", columns: [007]",
                "",
                "`source.columns.0`: `007` is a number with leading zeros\n\
                 quote it if it is text: `\"007\"`, or write `7`",
            ),
            ("", "limits: {max_tasks: 08}", "quote it if it is text: `\"08\"`, or write `8`"),
            ("", "columns: {a: {name: -00}}", "`-00` is a number with leading zeros\nquote it"),
            ("", "tables: [{table: 010}]", "`tables.0.table`: `010` is a number with leading"),
        ] {
            let said = refused(source, rest);
            assert!(said.contains(expected), "{source} {rest}\n{expected}\nis not in\n{said}");
        }
        let text = job(", columns: ['007']", "limits: {max_tasks: 0x1F, max_connections: +5}");
        let read = Job::read("job", &text, &[]).unwrap();
        assert_eq!((read.limits.max_tasks, read.limits.max_connections), (31, 5));
        let secret = job("", "").replace("'sqlite:///x'", "04711");
        let error = Job::read("job", &secret, &[]).unwrap_err();
        assert!(error.chain().contains("`source.url`: a number with leading zeros"), "{error:?}");
        assert!(!format!("{error:?}").contains("4711"), "{error:?}");
    }

    #[test]
    fn a_file_without_a_job_is_said_to_be_empty() {
        for text in ["", "---\n", "# name: events\n", "null"] {
            let error = Job::read("job.yaml", text, &[]).unwrap_err();
            let hint = error.remedy().unwrap_or_default();
            assert!(hint.contains("the file is empty"), "{text:?}: {error:?}");
        }
    }

    #[test]
    fn a_number_in_the_place_of_a_secret_is_not_repeated() {
        let text = job("", "").replace("'sqlite:///x'", "4711");
        let error = Job::read("job.yaml", &text, &[]).unwrap_err();
        assert!(error.remedy().is_some_and(|hint| hint.contains("quotes")), "{error:?}");
        assert!(!format!("{error:?}").contains("4711"), "{error:?}");
        let parts = "{host: h, user: u, password: 4711, table: t}";
        let text = job("", "").replace("{url: 'sqlite:///x', table: events}", parts);
        let error = Job::read("job.yaml", &text, &[]).unwrap_err();
        assert!(error.remedy().is_some_and(|hint| hint.contains("quotes")), "{error:?}");
        assert!(!format!("{error:?}").contains("4711"), "{error:?}");
        let twice = "{\"postgres://u:s3cret@h/d\": 1, \"postgres://u:s3cret@h/d\": 2}";
        let error = Job::read("job.yaml", twice, &[]).unwrap_err();
        assert!(error.to_string().contains("a key is there twice"), "{error:?}");
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}
