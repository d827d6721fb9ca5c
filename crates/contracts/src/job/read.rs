//! From the text of a job file to a [`Job`].

use serde_json::Value;

use super::constraints::{check_combinations, check_nul, check_words};
use super::legacy_keys::take_seed_names;
use super::lower::lower;
use super::validate::{JobProblem, JobProblems, against_schema};
use super::{Job, JobFile, yaml};
use crate::error::{Doing, Kind, Result};

impl Job {
    /// Reads a job from YAML or JSON. `name` names the file in messages; `strategies` are the known
    /// names.
    pub fn read(name: &str, text: &str, strategies: &[&str]) -> Result<Self> {
        Self::from_value(name, Self::parse(name, text)?, strategies)
    }

    /// Parses YAML or JSON without checking its contents.
    pub fn parse(name: &str, text: &str) -> Result<Value> {
        yaml::parse(name, text)
    }

    /// Reads a job from a document that is parsed already.
    pub fn from_value(name: &str, mut value: Value, strategies: &[&str]) -> Result<Self> {
        let mut unusable = Vec::new();
        check_nul("", &value, &mut unusable);
        if !unusable.is_empty() {
            return Err(JobProblems(unusable).refuse(name));
        }
        let mut problems = take_seed_names(&mut value);
        take_bare_null(&mut value);
        yaml::take_truth(&mut value);
        problems.extend(against_schema(&value));
        let rejected = |problems: Vec<JobProblem>| Err(JobProblems(problems).refuse(name));
        // A document that the schema refuses cannot be read as a job file, so beside the schema's
        // problems only those are reported that can be found without reading it.
        if !problems.is_empty() {
            problems.extend(check_words(&value, strategies));
            return rejected(problems);
        }
        let mut file: JobFile = serde_path_to_error::deserialize(&value)
            .doing(Kind::Invalid, || format!("read job `{name}`"))?;
        if file.tables.is_none() {
            file.source.take_table_of_url();
        }
        problems.extend(check_words(&value, strategies));
        problems.extend(check_combinations(&file));
        match lower(file, &mut problems) {
            Some(job) if problems.is_empty() => Ok(job),
            _ => rejected(problems),
        }
    }
}

/// `on_invalid: null` means the word `null`, which YAML reads as no value unless it is quoted.
fn take_bare_null(value: &mut Value) {
    let word = |columns: Option<&mut Value>| {
        let columns = columns.and_then(Value::as_object_mut);
        for column in columns.into_iter().flat_map(serde_json::Map::values_mut) {
            if let Some(on_invalid @ Value::Null) = column.get_mut("on_invalid") {
                *on_invalid = Value::from("null");
            }
        }
    };
    word(value.get_mut("columns"));
    let tables = value.get_mut("tables").and_then(Value::as_array_mut);
    for table in tables.into_iter().flatten() {
        word(table.get_mut("columns"));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::{Selection, TableJob};
    use super::*;
    use crate::documents::OnInvalid;

    const STRATEGIES: &[&str] = &["full", "date_range", "id_range", "hash", "ctid"];

    fn only(job: &Job) -> TableJob {
        job.selection.resolve(&[]).unwrap().tables.remove(0)
    }

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
        assert_eq!(job.limits.finish_within, Some(Duration::from_mins(10)));
        let table = only(&job);
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
    fn what_is_there_and_says_nothing_is_refused() {
        let said = refused(
            r"
name: events
source: {url: 'sqlite:///x', table: events, columns: [], where: ' '}
target: {table: 'file:///w/t'}
bucket: file:///data/bucket
",
        );
        for expected in ["`source.columns`: is empty (leave it out)", "`source.where`: is empty"] {
            assert!(said.contains(expected), "{expected}: {said}");
        }
        let many = "name: x\nsource: {url: 'sqlite:///x'}\ntables: [{table: t, select: []}]\n\
                    target: {dataset: 'file:///w'}\nbucket: file:///b\n";
        assert!(refused(many).contains("`tables.0.select`: is empty"));
    }

    #[test]
    fn tasks_are_asked_for_by_the_name_of_their_size() {
        let job = |typed: &str| format!("{GOOD}cloud_run: {typed}\n");
        let kind = read(&job("{task_size: large-2, delay_execution: true}")).unwrap().task_kind;
        assert_eq!(kind.to_string(), "large-2-delayed");
        assert!(read(&job("{}")).unwrap().task_kind.is_default());
        for size in ["Large", "''", "2x", "a--b", "a-", "projects/p", "delayed", "large-delayed"] {
            let said = refused(&job(&format!("{{task_size: {size}}}")));
            assert!(said.contains("`cloud_run.task_size`"), "{size}: {said}");
        }
    }

    /// What no server, no file system and no run could do anything with.
    #[test]
    fn what_can_never_work_is_refused_before_anything_is_asked() {
        for (was, is, expected) in [
            ("finish_within: 10m", "finish_within: 0s", "`limits.finish_within`: `0s` is no time"),
            ("finish_within: 10m", "answer_within: 0h 0ms", "leave it out, or write `90s`"),
            ("${SOURCE_URL}", "shop.db", "`source.url`: has no scheme\nwrite `postgres://"),
            ("${SOURCE_URL}", "://h/d", "`source.url`: has no scheme"),
            ("${SOURCE_URL}", "", "`source.url`: has no scheme"),
            ("url: \"${SOURCE_URL}\"", "host: ' '", "`source.host`: is empty\nname the server"),
            ("url: \"${SOURCE_URL}\"", "host: h, user: ''", "`source.user`: is empty"),
            ("url: \"${SOURCE_URL}\"", "host: h, database: ''", "`source.database`: is empty"),
            ("column: id", "column: ''", "`partitioning.column`: is empty\nleave it out"),
            ("file:///data/warehouse/shop/events", "file:///", "`target.table`: names nothing"),
            ("file:///data/warehouse/shop/events", "bigquery://", "`target.table`: names nothing"),
            ("file:///data/bucket", "file:////", "`bucket`: names nothing after its scheme"),
            ("file:///data/bucket", "''", "`bucket`: is empty\nleave it out"),
            ("[id, amount]", "[id, amount, '']", "`source.columns.2`: names no column"),
            ("[id, amount]", "[amount, amount]", "`amount` is listed twice\ndelete it"),
            ("id > 3", "note = '\\0'", "`source.where`: holds the character U+0000"),
            ("public.events", "\"ev\\u0000ents\"", "`source.table`: holds the character U+0000"),
            ("name: events", "name: \"a\\0\"", "`name`: holds the character U+0000"),
            ("{amount:", "{\"a\\0\":", "`columns`: has a key with the character U+0000"),
            ("table: public.events", "query: \"select '\\0'\"", "`source.query`: holds the"),
        ] {
            let said = refused(&GOOD.replace(was, is));
            assert!(said.contains(expected), "{is}\n{expected}\nis not in\n{said}");
            assert!(!said.contains('\0'), "{said:?}");
        }
        let many = "name: x\nsource: {url: 'sqlite:///x'}\ntables: [{table: t, name: '', select: \
                    [a, a], partitioning: {column: ' '}}]\ntarget: {dataset: 'file:///w'}\n";
        assert!(refused(&many.replace("/w'", "'")).contains("`target.dataset`: names nothing"));
        let said = refused(many);
        for expected in
            ["tables.0.name`: is empty", "0.select.1`: `a` is", "0.partitioning.column`"]
        {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
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
            "`target.write_disposition`: unknown value `overwrite` (use `truncate`, `append`, `empty`, `merge` or `replace_partitions`)",
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
        let table = only(&job);
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
            "`name`: must be",
            "`source.url`: holds a password",
            "`source.query`: stands beside",
            "`partitioning.strategy`: `ctid` cuts",
            "`partitioning.column`: strategy `ctid`",
            "`source.columns.1`: `a` is listed twice",
            "`columns.b`: is not among",
            "`limits.finish_within`: `soon`",
            "`schedule`: is not five",
        ] {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
        assert!(!said.contains("secret"), "{said}");
    }

    #[test]
    fn a_bare_null_is_the_word() {
        let bare = GOOD.replace("on_invalid: fail", "on_invalid: null");
        let table = only(&read(&bare).unwrap());
        assert_eq!(table.columns["amount"].on_invalid, Some(OnInvalid::Null));
        let many = bare
            .replace(", table: public.events, columns: [id, amount], where: \"id > 3\"", "")
            .replace("table: \"file:///data/warehouse/shop/events\"", "dataset: \"file:///w/shop\"")
            .replace("partitioning: {strategy: auto, column: id, target_rows: 50000}\n", "")
            .replace("columns: {", "tables: [{table: a, columns: {")
            .replace("null}}", "null}}}]");
        let Selection::Many { entries, .. } = read(&many).unwrap().selection else { panic!() };
        let settings = &entries[0].settings;
        assert_eq!(settings.columns["amount"].on_invalid, Some(OnInvalid::Null));
    }

    #[test]
    fn names_that_the_target_refuses_are_found_in_the_file() {
        let columns = "{a: {name: x y}, b: {name: total}, c: {name: TOTAL}, d: {name: _partition}}";
        let said = refused(
            &GOOD
                .replace(", columns: [id, amount]", "")
                .replace("{amount: {type: BIGNUMERIC, on_invalid: fail}}", columns),
        );
        for expected in [
            "`columns.a.name`: `x y` is not a column name in BigQuery (it is not made of the",
            "`columns.c.name`: `b` has the name `TOTAL` too (names that differ in their case only",
            "`columns.d.name`: `_partition` is not a column name in BigQuery (BigQuery reserves",
        ] {
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
    }

    #[test]
    fn a_bucket_may_be_left_out_beside_a_folder() {
        let bucket = |text: &str| read(text).map(|job| job.bucket);
        let one = GOOD.replace("bucket: file:///data/bucket\n", "");
        assert_eq!(bucket(&one).unwrap(), "file:///data/warehouse/shop/.sluice");
        let many = "name: shop\nsource: {url: '${SOURCE_URL}'}\ntables: [{table: a}]\n";
        let folder = bucket(&format!("{many}target: {{dataset: 'file:///w/shop/'}}\n")).unwrap();
        assert_eq!(folder, "file:///w/shop/.sluice");
        let said = refused(&one.replace("file:///data/warehouse/shop/events", "bigquery://p/d/t"));
        assert!(said.starts_with("read job `job.yaml`: `bucket`: missing"), "{said}");
    }

    #[test]
    fn broken_yaml_says_where_and_shows_nothing_of_the_file() {
        let said = refused("name: x\nsource: {url: 'postgres://u:secret@h/d\n");
        assert!(said.contains("line "), "{said}");
        assert!(!said.contains("secret"), "{said}");
    }
}
