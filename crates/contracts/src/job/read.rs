//! From the text of a job file to a [`Job`].

use std::time::Duration;

use serde_json::{Map, Value};

use super::validate::{Problem, Problems, against_schema, nearest_hint};
use super::{Job, JobFile, Limits, Partitioning, TableJob};
use crate::error::{Doing, Error, Kind, Result};
use crate::manifest::Relation;

/// Field names of the system before this one: where each may stand, and what it is called here.
const SEED_NAMES: &[(&str, &[&str])] = &[
    ("table_name", &["source", "table"]),
    ("schema_name", &["source", "schema_name"]),
    ("timestamp_column", &["partitioning", "column"]),
    ("primary_key_column", &["partitioning", "column"]),
    ("selected_columns", &["source", "columns"]),
];

impl Job {
    /// Reads a job from YAML or JSON. `name` says which file, for messages; `strategies` are the
    /// known names.
    pub fn read(name: &str, text: &str, strategies: &[&str]) -> Result<Self> {
        let value: Value = serde_saphyr::from_str(text).map_err(|source| {
            // The parser's message shows the lines around the error, which may hold a password.
            let place = source.location().map_or_else(String::new, |location| {
                format!(": line {}, column {}", location.line(), location.column())
            });
            Error::invalid(format!("read job `{name}`{place}: not well-formed YAML"))
                .hint("check the indentation and the quotes; the same document as JSON is accepted too")
        })?;
        Self::from_value(name, value, strategies)
    }

    /// Reads a job from a document that is parsed already.
    pub fn from_value(name: &str, mut value: Value, strategies: &[&str]) -> Result<Self> {
        let mut problems = take_seed_names(&mut value);
        problems.extend(against_schema(&value));
        let rejected = |problems: Vec<Problem>| {
            let error = Error::invalid(format!("read job `{name}`"));
            let error = match problems.as_slice() {
                [Problem { hint: Some(hint), .. }] => error.hint(hint.clone()),
                _ => error,
            };
            Err(error.because(Problems(problems)))
        };
        // What the schema refuses cannot be read as a job file, so only what can be known without
        // reading it is reported next to it.
        if !problems.is_empty() {
            problems.extend(check_words(&value, strategies));
            return rejected(problems);
        }
        let file: JobFile = serde_path_to_error::deserialize(&value)
            .doing(Kind::Invalid, || format!("read job `{name}`"))?;
        problems.extend(check_words(&value, strategies));
        problems.extend(check_combinations(&file));
        match meaning(file, &mut problems) {
            Some(job) if problems.is_empty() => Ok(job),
            _ => rejected(problems),
        }
    }
}

/// Moves the seed's field names to where this job file has them. They are accepted at the top and
/// inside `source`.
fn take_seed_names(value: &mut Value) -> Vec<Problem> {
    let mut problems = Vec::new();
    let Some(root) = value.as_object_mut() else { return problems };
    for (old, path) in SEED_NAMES {
        let mut found = root.remove(*old).map(|value| ((*old).to_owned(), value));
        if let Some(source) = root.get_mut("source").and_then(Value::as_object_mut)
            && let Some(inner) = source.remove(*old)
        {
            if found.is_some() {
                problems.push(Problem::new(*old, "stands at the top and in `source`").hint("keep one"));
            }
            found = Some((format!("source.{old}"), inner));
        }
        let Some((place, moved)) = found else { continue };
        let [section, key] = path else { continue };
        let section_value =
            root.entry((*section).to_owned()).or_insert_with(|| Value::Object(Map::new()));
        let Some(section_value) = section_value.as_object_mut() else { continue };
        if *old == "primary_key_column" && section_value.contains_key(*key) {
            // The seed's jobs name both; the timestamp column is the one it cuts by.
            continue;
        }
        if section_value.contains_key(*key) {
            problems.push(
                Problem::new(place, format!("means the same as `{section}.{key}`")).hint("keep one"),
            );
            continue;
        }
        section_value.insert((*key).to_owned(), moved);
    }
    join_schema_name(root);
    problems
}

/// The seed has schema and table apart.
fn join_schema_name(root: &mut Map<String, Value>) {
    let Some(source) = root.get_mut("source").and_then(Value::as_object_mut) else { return };
    let Some(schema) = source.remove("schema_name") else { return };
    match (schema.as_str(), source.get("table").and_then(Value::as_str)) {
        (Some(schema), Some(table)) => {
            let joined = format!("{schema}.{table}");
            source.insert("table".to_owned(), Value::String(joined));
        }
        _ => {
            source.insert("schema_name".to_owned(), schema);
        }
    }
}

/// Values whose words the schema does not know.
fn check_words(value: &Value, strategies: &[&str]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let text = |pointer: &str| value.pointer(pointer).and_then(Value::as_str);
    if let Some(typed) = text("/partitioning/strategy")
        && typed != "auto"
        && !strategies.contains(&typed)
    {
        let known: Vec<String> =
            std::iter::once("auto").chain(strategies.iter().copied()).map(str::to_owned).collect();
        problems.push(
            Problem::new("partitioning.strategy", format!("unknown value `{typed}`"))
                .hint(nearest_hint(typed, &known)),
        );
    }
    if let Some(name) = text("/name")
        && (name.is_empty()
            || name.len() > 100
            || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'))
    {
        problems.push(
            Problem::new("name", "must be 1 to 100 letters, digits, `-` or `_`")
                .hint("the name becomes part of object and job names"),
        );
    }
    for pointer in ["/target/table", "/bucket", "/name", "/source/table"] {
        if text(pointer).is_some_and(|typed| typed.contains("${")) {
            problems.push(
                Problem::new(pointer[1..].replace('/', "."), "holds an environment variable")
                    .hint("environment variables are read in `source.url` only"),
            );
        }
    }
    if let Some(typed) = text("/limits/finish_within")
        && humantime::parse_duration(typed).is_err()
    {
        problems.push(
            Problem::new("limits.finish_within", format!("`{typed}` is not a duration"))
                .hint("write `90s`, `10m` or `2h`"),
        );
    }
    if let Some(typed) = text("/schedule")
        && typed.split_whitespace().count() != 5
    {
        problems.push(
            Problem::new("schedule", "is not five cron fields").hint("for 3 at night: `0 3 * * *`"),
        );
    }
    if let Some(url) = text("/source/url")
        && holds_password(url)
    {
        problems.push(Problem::new("source.url", "holds a password").hint(
            "put it in an environment variable: `postgres://user:${DB_PASSWORD}@host/db`, or the whole URL in `${SOURCE_URL}`",
        ));
    }
    problems
}

/// Whether a URL spells a password out: the job file is copied into documents and messages.
fn holds_password(url: &str) -> bool {
    let Some((_, rest)) = url.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let in_authority = authority
        .rsplit_once('@')
        .and_then(|(user, _)| user.split_once(':'))
        .is_some_and(|(_, password)| !password.is_empty() && !is_variable(password));
    let in_query = rest.split_once('?').is_some_and(|(_, query)| {
        query.split('&').any(|pair| {
            pair.split_once('=').is_some_and(|(key, value)| {
                key.eq_ignore_ascii_case("password") && !value.is_empty() && !is_variable(value)
            })
        })
    });
    in_authority || in_query
}

fn is_variable(text: &str) -> bool {
    text.starts_with("${") && text.ends_with('}')
}

/// Keys that are right alone and wrong together.
fn check_combinations(file: &JobFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let source = &file.source;
    match (&source.table, &source.query) {
        (None, None) => problems.push(
            Problem::new("source", "names neither a table nor a query")
                .hint("add `source.table: public.events` or `source.query: \"select ...\"`"),
        ),
        (Some(_), Some(_)) => problems.push(
            Problem::new("source.query", "stands beside `source.table`").hint("keep one of them"),
        ),
        _ => {}
    }
    let strategy = file.partitioning.strategy.as_deref().unwrap_or("auto");
    if source.query.is_some() && strategy == "ctid" {
        problems.push(
            Problem::new("partitioning.strategy", "`ctid` cuts a table's pages, and a query has none")
                .hint("use `hash`, or a range strategy with `partitioning.column`"),
        );
    }
    if matches!(strategy, "full" | "ctid") && file.partitioning.column.is_some() {
        problems.push(
            Problem::new("partitioning.column", format!("strategy `{strategy}` cuts by no column"))
                .hint("leave the column out, or the strategy"),
        );
    }
    if let Some(columns) = &source.columns {
        for (at, name) in columns.iter().enumerate() {
            if columns[..at].contains(name) {
                problems.push(Problem::new(
                    format!("source.columns.{at}"),
                    format!("`{name}` stands twice"),
                ));
            }
        }
        for name in file.columns.keys().filter(|name| !columns.contains(name)) {
            problems.push(
                Problem::new(format!("columns.{name}"), "is not among `source.columns`")
                    .hint("add it there, or leave its settings out"),
            );
        }
    }
    problems
}

/// What the file means. Nothing where a problem found before makes it mean nothing.
fn meaning(file: JobFile, problems: &mut Vec<Problem>) -> Option<Job> {
    let relation = match (file.source.table, file.source.query) {
        (Some(table), None) => match parse_table(&table) {
            Ok((schema, name)) => Relation::Table { schema, name },
            Err(what) => {
                problems.push(Problem::new("source.table", what).hint(
                    "write `schema.table`; quote a part that holds a dot: `\"my.schema\".table`",
                ));
                return None;
            }
        },
        (None, Some(query)) => Relation::Query(query.trim().trim_end_matches(';').to_owned()),
        _ => return None,
    };
    let defaults = Limits::default();
    let finish_within: Option<Duration> =
        file.limits.finish_within.and_then(|typed| humantime::parse_duration(&typed).ok());
    let table = TableJob {
        relation,
        select: file.source.columns,
        filter: file.source.filter,
        partitioning: Partitioning {
            strategy: file.partitioning.strategy.filter(|name| name != "auto"),
            column: file.partitioning.column,
            target_rows: file.partitioning.target_rows,
        },
        columns: file.columns,
        target: file.target.table,
        write_disposition: file.target.write_disposition,
    };
    Some(Job {
        name: file.name,
        source: file.source.url,
        tables: vec![table],
        bucket: file.bucket,
        limits: Limits {
            max_connections: file.limits.max_connections.unwrap_or(defaults.max_connections),
            max_tasks: file.limits.max_tasks.unwrap_or(defaults.max_tasks),
            finish_within,
        },
        consistency: file.consistency,
        schedule: file.schedule,
    })
}

/// Splits `schema.table`, where either part may be in double quotes with `""` for a quote inside.
fn parse_table(text: &str) -> Result<(Option<String>, String), &'static str> {
    let mut parts = vec![String::new()];
    let mut chars = text.chars().peekable();
    let mut quoted = false;
    while let Some(c) = chars.next() {
        let last = parts.len() - 1;
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                chars.next();
                parts[last].push('"');
            }
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(String::new()),
            c => parts[last].push(c),
        }
    }
    if quoted {
        return Err("has a quote that does not end");
    }
    if parts.iter().any(String::is_empty) {
        return Err("has an empty part");
    }
    match <[String; 1]>::try_from(parts) {
        Ok([name]) => Ok((None, name)),
        Err(parts) => match <[String; 2]>::try_from(parts) {
            Ok([schema, name]) => Ok((Some(schema), name)),
            Err(_) => Err("has more than two parts"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STRATEGIES: &[&str] = &["full", "date_range", "id_range", "hash", "ctid"];

    fn read(text: &str) -> Result<Job> {
        Job::read("job.yaml", text, STRATEGIES)
    }

    fn refused(text: &str) -> String {
        let error = read(text).expect_err("the job should be refused");
        format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default())
    }

    const GOOD: &str = r#"
name: events
source: {url: "${SOURCE_URL}", table: public.events, columns: [id, amount], where: "id > 3"}
partitioning: {strategy: auto, column: id, target_rows: 50000}
columns: {amount: {type: BIGNUMERIC, on_invalid: fail}}
target: {table: "file:///data/warehouse/shop/events", write_disposition: truncate}
bucket: file:///data/bucket
limits: {max_connections: 8, max_tasks: 4, finish_within: 10m}
schedule: "0 3 * * *"
"#;

    #[test]
    fn a_job_means_what_it_says() {
        let job = read(GOOD).unwrap();
        assert_eq!(job.limits.finish_within, Some(Duration::from_secs(600)));
        let table = &job.tables[0];
        assert_eq!(table.relation.to_string(), "public.events");
        assert_eq!(table.partitioning.strategy, None);
        assert_eq!(table.filter.as_deref(), Some("id > 3"));
    }

    #[test]
    fn json_is_the_same_document() {
        let value: Value = serde_saphyr::from_str(GOOD).unwrap();
        let job = read(&value.to_string()).unwrap();
        assert_eq!(job.name, "events");
    }

    #[test]
    fn every_problem_is_reported_at_once_with_its_path_and_the_nearest_name() {
        let said = refused(
            r"
name: events
source: {url: 'sqlite:///x', tabel: events}
partitioning: {strategy: id_rang, target_rows: many}
columns: {amount: {type: BIGNUMERC}}
target: {table: 'file:///w/t', write_disposition: overwrite}
bucket: 7
",
        );
        for expected in [
            "`source.tabel`: unknown key (did you mean `table`?)",
            "`partitioning.strategy`: unknown value `id_rang` (did you mean `id_range`?)",
            "`partitioning.target_rows`: expected a whole number, found text",
            "`columns.amount.type`: unknown value `BIGNUMERC` (did you mean `BIGNUMERIC`?)",
            "`target.write_disposition`: unknown value `overwrite` (use `truncate`, `append` or `empty`)",
            "`bucket`: expected text, found a number",
        ] {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
    }

    #[test]
    fn a_single_problem_reads_as_one_line_with_a_hint() {
        let said = refused(&GOOD.replace("truncate", "truncat"));
        assert_eq!(
            said,
            "read job `job.yaml`: `target.write_disposition`: unknown value `truncat`\ndid you mean `truncate`?"
        );
    }

    #[test]
    fn the_seeds_names_are_accepted() {
        let job = read(
            r"
name: tx
source: {url: '${SOURCE_URL}', table_name: transactions, schema_name: public, selected_columns: [id, created_at]}
timestamp_column: created_at
primary_key_column: id
target: {table: 'file:///w/t'}
bucket: file:///b
",
        )
        .unwrap();
        let table = &job.tables[0];
        assert_eq!(table.relation.to_string(), "public.transactions");
        assert_eq!(table.partitioning.column.as_deref(), Some("created_at"));
        assert_eq!(table.select.as_deref(), Some(&["id".to_owned(), "created_at".to_owned()][..]));
    }

    #[test]
    fn impossible_combinations_are_refused_together() {
        let said = refused(
            r"
name: 'my job'
source: {url: 'postgres://u:secret@h/d', table: a, query: select 1, columns: [a, a]}
partitioning: {strategy: ctid, column: a}
columns: {b: {type: STRING}}
target: {table: 'file:///w/t'}
bucket: file:///b
limits: {finish_within: soon}
schedule: daily
",
        );
        for expected in [
            "`name`: must be", "`source.url`: holds a password", "`source.query`: stands beside",
            "`partitioning.strategy`: `ctid` cuts", "`partitioning.column`: strategy `ctid`",
            "`source.columns.1`: `a` stands twice", "`columns.b`: is not among",
            "`limits.finish_within`: `soon`", "`schedule`: is not five",
        ] {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn broken_yaml_says_where_and_shows_nothing_of_the_file() {
        let said = refused("name: x\nsource: {url: 'postgres://u:secret@h/d\n");
        assert!(said.contains("line "), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn table_names_may_be_quoted() {
        let parts = |text| parse_table(text);
        assert_eq!(parts("a.b"), Ok((Some("a".into()), "b".into())));
        assert_eq!(parts("\"we\"\"ird.\".T"), Ok((Some("we\"ird.".into()), "T".into())));
        assert!(parts("a.b.c").is_err());
        assert!(parts("a.").is_err());
        assert!(parts("\"a").is_err());
    }
}
