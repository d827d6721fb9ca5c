//! Checks of a job file that a schema cannot express.

use serde_json::Value;

use std::collections::{BTreeMap, HashMap};

use super::column_name::refused_column_name;
use super::files::{check_files, is_files};
use super::new_table::check_new_tables;
use super::row_key::{check_dedup, check_row_keys};
use super::validate::{JobProblem, join, nearest_hint};
use super::yaml::{DURATIONS, duration_hint};
use super::{ColumnFile, JobFile};
use crate::documents::TaskKind;

/// Finds texts and keys with the character that neither SQL nor a name nor a path may have.
pub(super) fn check_nul(path: &str, value: &Value, problems: &mut Vec<JobProblem>) {
    let mut refuse = |what: &str| {
        problems.push(JobProblem::new(path, what).hint(
            "delete it; `\\0` and `\\u0000` in double quotes mean that character, so use single quotes \
             if a backslash is meant",
        ));
    };
    match value {
        Value::String(text) if text.contains('\0') => {
            refuse("holds the character U+0000, which no server and no file system takes");
        }
        Value::Array(items) => {
            for (at, item) in items.iter().enumerate() {
                check_nul(&join(path, &at.to_string()), item, problems);
            }
        }
        Value::Object(entries) => {
            if entries.keys().any(|key| key.contains('\0')) {
                refuse("has a key with the character U+0000");
            }
            for (key, value) in entries.iter().filter(|(key, _)| !key.contains('\0')) {
                check_nul(&join(path, key), value, problems);
            }
        }
        _ => {}
    }
}

/// Checks values whose allowed words the schema does not list.
pub(super) fn check_words(value: &Value, strategies: &[&str]) -> Vec<JobProblem> {
    let mut problems = Vec::new();
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    let entries = value.pointer("/tables").and_then(Value::as_array).map_or(0, Vec::len);
    let places = (0..entries).map(|at| format!("tables.{at}.partitioning.strategy"));
    for place in places.chain(["partitioning.strategy".to_owned()]) {
        if let Some(typed) = text(&format!("/{}", place.replace('.', "/")))
            && typed != "auto"
            && !strategies.contains(&typed)
        {
            let known: Vec<String> = std::iter::once("auto")
                .chain(strategies.iter().copied())
                .map(str::to_owned)
                .collect();
            problems.push(
                JobProblem::new(place, format!("unknown value `{typed}`"))
                    .hint(nearest_hint(typed, &known)),
            );
        }
    }
    if let Some(name) = text("/name")
        && (name.is_empty()
            || name.len() > 100
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'))
    {
        problems.push(
            JobProblem::new("name", "must be 1 to 100 letters, digits, `-` or `_`")
                .hint("the name becomes part of object and job names"),
        );
    }
    for pointer in ["/target/table", "/target/dataset", "/bucket", "/name", "/source/table"] {
        if text(pointer).is_some_and(|typed| typed.contains("${")) {
            problems.push(
                JobProblem::new(pointer[1..].replace('/', "."), "holds an environment variable")
                    .hint("environment variables are read in the source's address only"),
            );
        }
    }
    for pointer in ["/target/table", "/target/dataset", "/bucket"] {
        let path = text(pointer).and_then(|url| url.split_once("://")).map(|(_, path)| path);
        if path.is_some_and(|path| path.trim_matches('/').is_empty()) {
            problems.push(
                JobProblem::new(pointer[1..].replace('/', "."), "names nothing after its scheme")
                    .hint("write the whole URL, such as `file:///warehouse/shop`"),
            );
        }
    }
    for limit in DURATIONS {
        let Some(typed) = text(&format!("/limits/{limit}")) else { continue };
        let place = format!("limits.{limit}");
        match humantime::parse_duration(typed) {
            Ok(duration) if duration.is_zero() => problems.push(
                JobProblem::new(place, format!("`{typed}` is no time at all"))
                    .hint("leave it out, or write `90s`, `10m` or `2h`"),
            ),
            Ok(_) => {}
            Err(_) => problems.push(
                JobProblem::new(place, format!("`{typed}` is not a duration"))
                    .hint(duration_hint(typed.trim().parse().ok())),
            ),
        }
    }
    if let Some(typed) = text("/schedule")
        && typed.split_whitespace().count() != 5
    {
        problems.push(
            JobProblem::new("schedule", "is not five cron fields")
                .hint("for 3 at night: `0 3 * * *`"),
        );
    }
    if let Some(url) = text("/source/url")
        && !begins_like_url(url)
    {
        problems.push(JobProblem::new("source.url", "has no scheme").hint(
            "write `postgres://user:${DB_PASSWORD}@host:5432/database`, `sqlite:///path`, or the \
             whole URL in `${SOURCE_URL}`",
        ));
    }
    if let Some(url) = text("/source/url")
        && holds_password(url)
    {
        let (what, hint) = if is_files(url) {
            (
                "holds a password or a signature",
                "put it in an environment variable: `https://host/file.csv?sig=${SIGNATURE}`",
            )
        } else {
            (
                "holds a password",
                "put it in an environment variable: `postgres://user:${DB_PASSWORD}@host/db`, or the whole URL in `${SOURCE_URL}`",
            )
        };
        problems.push(JobProblem::new("source.url", what).hint(hint));
    }
    problems
}

/// Whether a URL has a scheme, or may have one in the variable that it begins with.
fn begins_like_url(url: &str) -> bool {
    let scheme = url.split_once("://").is_some_and(|(scheme, _)| !scheme.is_empty());
    scheme || url.starts_with("${")
}

/// Whether a URL contains a password, which would be copied into documents and messages.
pub fn holds_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let in_authority = authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty() && !is_variable(password));
    let in_query = rest.split_once('?').is_some_and(|(_, query)| {
        query.split('&').any(|pair| {
            pair.split_once('=').is_some_and(|(key, value)| {
                is_secret(key) && !value.is_empty() && !is_variable(value)
            })
        })
    });
    in_authority || in_query
}

/// Whether a parameter of a URL is a password, or a signature or token that is as good as one.
fn is_secret(parameter: &str) -> bool {
    const SECRETS: [&str; 9] = [
        "password",
        "sig",
        "signature",
        "token",
        "access_token",
        "x-amz-signature",
        "x-amz-security-token",
        "x-goog-signature",
        "key",
    ];
    SECRETS.iter().any(|secret| secret.eq_ignore_ascii_case(parameter))
}

pub(super) fn is_variable(text: &str) -> bool {
    text.starts_with("${") && text.ends_with('}')
}

/// Checks keys that are valid alone and not together.
pub(super) fn check_combinations(file: &JobFile) -> Vec<JobProblem> {
    let mut problems = Vec::new();
    let source = &file.source;
    problems.extend(source.check_parts());
    match (&source.table, &source.query) {
        (None, None) if file.tables.is_none() && !source.is_files() => {
            problems.push(JobProblem::new("source", "names neither a table nor a query").hint(
                "add `source.table: public.events`, `source.query: \"select ...\"` or `tables`; for files \
                 that a variable names, add `source.format: {type: csv}`",
            ));
        }
        (Some(_), Some(_)) => problems.push(
            JobProblem::new("source.query", "stands beside `source.table`")
                .hint("keep one of them"),
        ),
        _ => {}
    }
    if let Some(size) = &file.cloud_run.task_size
        && !TaskKind::is_size(size)
    {
        problems.push(JobProblem::new("cloud_run.task_size", "is not the name of a size").hint(
            "it has lowercase letters, digits and single `-`, begins with a letter, and does \
                     not end in `delayed`: that is `delay_execution: true`",
        ));
    }
    check_files(file, &mut problems);
    check_empty(file, &mut problems);
    check_tables(file, &mut problems);
    check_new_tables(file, &mut problems);
    check_row_keys(file, &mut problems);
    check_dedup(file, &mut problems);
    check_names("columns", &file.columns, &mut problems);
    for (at, table) in file.tables.iter().flatten().enumerate() {
        check_names(&format!("tables.{at}.columns"), &table.columns, &mut problems);
    }
    let strategy = file.partitioning.strategy.as_deref().unwrap_or("auto");
    if source.query.is_some() && strategy == "ctid" {
        problems.push(
            JobProblem::new(
                "partitioning.strategy",
                "`ctid` cuts a table's pages, and a query has none",
            )
            .hint("use `hash`, or a range strategy with `partitioning.column`"),
        );
    }
    if matches!(strategy, "full" | "ctid") && file.partitioning.column.is_some() {
        problems.push(
            JobProblem::new(
                "partitioning.column",
                format!("strategy `{strategy}` does not cut by a column"),
            )
            .hint("leave the column out, or the strategy"),
        );
    }
    check_columns("source.columns", source.columns.as_ref(), &mut problems);
    for (at, table) in file.tables.iter().flatten().enumerate() {
        check_columns(&format!("tables.{at}.select"), table.select.as_ref(), &mut problems);
    }
    if let Some(columns) = &source.columns {
        for name in file.columns.keys().filter(|name| !columns.contains(name)) {
            problems.push(
                JobProblem::new(format!("columns.{name}"), "is not among `source.columns`")
                    .hint("add it there, or leave its settings out"),
            );
        }
    }
    problems
}

/// Checks that a list names each column once.
fn check_columns(path: &str, columns: Option<&Vec<String>>, problems: &mut Vec<JobProblem>) {
    let columns = columns.map_or(&[][..], Vec::as_slice);
    for (at, name) in columns.iter().enumerate() {
        let mut refuse = |what: String| {
            let hint = "delete it from the list";
            problems.push(JobProblem::new(format!("{path}.{at}"), what).hint(hint));
        };
        if name.is_empty() {
            refuse("names no column".to_owned());
        } else if columns[..at].contains(name) {
            refuse(format!("`{name}` is listed twice"));
        }
    }
}

/// Checks that the target accepts the columns' names, and that no two are the same.
fn check_names(path: &str, columns: &BTreeMap<String, ColumnFile>, problems: &mut Vec<JobProblem>) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for (column, asked) in columns {
        let Some(name) = &asked.name else { continue };
        let place = format!("{path}.{column}.name");
        if let Some(reason) = refused_column_name(name) {
            problems.push(
                JobProblem::new(place, format!("`{name}` is not a column name in BigQuery"))
                    .hint(reason),
            );
        } else if let Some(first) = seen.insert(name.to_ascii_lowercase(), column) {
            problems.push(
                JobProblem::new(place, format!("`{first}` has the name `{name}` too"))
                    .hint("names that differ in their case only are the same in BigQuery"),
            );
        }
    }
}

/// Checks for texts and lists that are there and say nothing.
fn check_empty(file: &JobFile, problems: &mut Vec<JobProblem>) {
    let blank = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
    let none = |list: &Option<Vec<String>>| list.as_ref().is_some_and(Vec::is_empty);
    let source = &file.source;
    let mut empty = vec![
        ("source.user".to_owned(), blank(&source.user)),
        ("source.database".to_owned(), blank(&source.database)),
        ("source.query".to_owned(), blank(&source.query)),
        ("source.where".to_owned(), blank(&source.filter)),
        ("source.columns".to_owned(), none(&source.columns)),
        ("partitioning.column".to_owned(), blank(&file.partitioning.column)),
        ("bucket".to_owned(), blank(&file.bucket)),
    ];
    for (at, entry) in file.tables.iter().flatten().enumerate() {
        empty.push((format!("tables.{at}.where"), blank(&entry.filter)));
        empty.push((format!("tables.{at}.select"), none(&entry.select)));
        empty.push((format!("tables.{at}.name"), blank(&entry.name)));
        let column = &entry.partitioning.column;
        empty.push((format!("tables.{at}.partitioning.column"), blank(column)));
    }
    if blank(&source.host) {
        problems.push(JobProblem::new("source.host", "is empty").hint("name the server"));
    }
    for (path, _) in empty.into_iter().filter(|(_, is_empty)| *is_empty) {
        problems.push(JobProblem::new(path, "is empty").hint("leave it out"));
    }
}

/// Checks that settings of a single table do not stand beside `tables`.
fn check_tables(file: &JobFile, problems: &mut Vec<JobProblem>) {
    let source = &file.source;
    let Some(tables) = &file.tables else {
        if file.target.table.is_none() {
            problems.push(JobProblem::new("target.table", "missing").hint("add `table`"));
        }
        if file.target.dataset.is_some() {
            problems.push(
                JobProblem::new("target.dataset", "is for `tables`").hint("name `target.table`"),
            );
        }
        return;
    };
    if tables.is_empty() {
        problems.push(JobProblem::new("tables", "is empty").hint("add `- table: public.*`"));
    }
    if file.target.dataset.is_none() {
        problems.push(
            JobProblem::new("target.dataset", "missing")
                .hint("`tables` become tables of a dataset: `dataset: file:///warehouse/shop`"),
        );
    }
    let partitioning = &file.partitioning;
    let of_one_table = [
        ("source.table", source.table.is_some()),
        ("source.query", source.query.is_some()),
        ("source.columns", source.columns.is_some()),
        ("source.where", source.filter.is_some()),
        ("columns", !file.columns.is_empty()),
        ("dedup", file.dedup.is_some()),
        (
            "partitioning",
            partitioning.strategy.is_some()
                || partitioning.column.is_some()
                || partitioning.target_rows.is_some(),
        ),
        ("target.table", file.target.table.is_some()),
    ];
    for (path, stands) in of_one_table {
        if stands {
            problems.push(
                JobProblem::new(path, "stands beside `tables`").hint("move it into an entry there"),
            );
        }
    }
}
