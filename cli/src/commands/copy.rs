//! `sluice copy`: tables, or the rows of a query, without a job file.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use sluice_contracts::documents::TaskKind;
use sluice_contracts::error::Doing as _;
use sluice_contracts::job::{
    Consistency, DataflowFile, EngineWish, Job, JobFile, LimitsFile, PartitioningFile, RowSecurity,
    SourceFile, TableName, TablesFile, TargetFile, is_files,
};
use sluice_contracts::{Error, Kind, Result};
use sluice_planner::strategy_names;

use super::job::{write_new, yaml};
use super::run::answer;
use super::target::check_target;
use crate::answer::Answer;
use crate::arguments::Copy;
use crate::execution::{Again, Planned};
use crate::location::{job_name, source_url, table_of_files, target_url};

/// The scheme of targets whose URL has room for a project, a dataset and a table.
const BIGQUERY: &str = "bigquery://";

pub(crate) async fn copy(options: &Copy) -> Result<Answer> {
    let file = job_file(options)?;
    let value = serde_json::to_value(&file).doing(Kind::Bug, || "write the job as JSON")?;
    let job = Job::from_value(&file.name, value, &strategy_names())?;
    let text = yaml(&file)?;
    if let Some(path) = &options.save {
        require_free(path, &text)?;
    }
    let run = Planned::run(&job, options.resume).await.map_err(with_job_file)?;
    // Not before: the file of a job that cannot be planned would block that of the corrected job.
    let again = match &options.save {
        Some(path) => {
            save(path, &text)?;
            Again::Run { job: path, bucket: None }
        }
        None => Again::Same,
    };
    answer(run.carry_out(again).await?)
}

/// Tells the reader to use a job file if a hint names a key that `copy` has no option for.
fn with_job_file(error: Error) -> Error {
    const KEYS: [&str; 7] = [
        "`columns.",
        "`source.",
        "`tables`",
        "`partitioning.",
        "`key`",
        "`partition_by`",
        "`schema_changes`",
    ];
    match error.remedy() {
        Some(hint) if KEYS.iter().any(|key| hint.contains(key)) => {
            let hint = format!("in a job file, as `sluice init` writes one: {hint}");
            error.hint(hint)
        }
        _ => error,
    }
}

/// The job that the arguments describe.
fn job_file(options: &Copy) -> Result<JobFile> {
    let source = source_url(&options.source)?;
    let target = target_url(options.target())?;
    check_target(&target)?;
    if options.bucket.is_none() && !target.starts_with("file://") {
        return Err(Error::invalid(format!("copy into `{target}`: it is loaded from a bucket"))
            .hint("name one that part files may lie in: `--bucket gs://bucket/prefix`"));
    }
    let (select, filter) = (options.columns.clone(), options.filter.clone());
    let partitioning =
        PartitioningFile { column: options.partition_by.clone(), ..PartitioningFile::default() };
    let write_disposition = options.disposition.into();
    let what = What::of(&source, options.tables())?;
    let mut file = JobFile {
        bad_rows: None,
        name: job_name(match &what {
            What::Files(name) => name,
            What::Table(name) => &name.name,
            What::Tables(_) => &options.source,
            What::Query(_) => options.target(),
        }),
        source: SourceFile { url: Some(source), ..SourceFile::default() },
        tables: None,
        partitioning: PartitioningFile::default(),
        columns: std::collections::BTreeMap::new(),
        incremental: None,
        dedup: None,
        target: TargetFile { write_disposition, ..TargetFile::default() },
        bucket: options.bucket.as_deref().map(target_url).transpose()?,
        limits: LimitsFile { max_tasks: options.max_tasks, ..LimitsFile::default() },
        cloud_run: TaskKind::default(),
        engine: EngineWish::default(),
        dataflow: DataflowFile::default(),
        consistency: Consistency::default(),
        row_security: RowSecurity::default(),
        all_or_nothing: false,
        schedule: None,
    };
    match what {
        What::Tables(tables) => {
            refuse_table(&target)?;
            let entry = |table: &String| TablesFile {
                table: table.clone(),
                exclude: Vec::new(),
                select: select.clone(),
                filter: filter.clone(),
                partitioning: partitioning.clone(),
                columns: std::collections::BTreeMap::new(),
                dedup: None,
                name: None,
                target: None,
            };
            file.tables = Some(tables.iter().map(entry).collect());
            file.target.dataset = Some(target);
            return Ok(file);
        }
        What::Files(name) => {
            let is_table = parts_of_bigquery(&target) == Some(3);
            file.target.table = Some(if is_table { target } else { format!("{target}/{name}") });
        }
        What::Table(name) => {
            file.source.table = Some(name.quoted());
            let is_table = parts_of_bigquery(&target) == Some(3);
            let below = || format!("{target}/{}", name.target_name());
            file.target.table = Some(if is_table { target } else { below() });
        }
        What::Query(query) => {
            require_table(&target)?;
            file.source.query = Some(query);
            file.target.table = Some(target);
        }
    }
    (file.source.columns, file.source.filter) = (select, filter);
    file.partitioning = partitioning;
    Ok(file)
}

/// What the arguments between the source and the target name.
enum What {
    /// Files, which become the table of this name.
    Files(String),
    Table(TableName),
    /// Several, or all of a pattern.
    Tables(Vec<String>),
    Query(String),
}

impl What {
    fn of(source: &str, typed: &[String]) -> Result<Self> {
        if is_files(source) {
            if let Some(table) = typed.first() {
                return Err(Error::invalid(format!("copy files: `{table}` is named too")).hint(
                    "files are one table: leave the name out; where a shell made several names of \
                     `*`, put the pattern in quotes",
                ));
            }
            let name = table_of_files(source);
            return name.map(Self::Files).ok_or_else(|| {
                Error::invalid("copy files: their URL has no name for the table")
                    .hint("name the table in a job file, in `target.table`")
            });
        }
        if typed.is_empty() {
            return Err(Error::invalid("copy from a database: no table is named")
                .hint("name tables, a pattern such as `'public.*'`, or a query, before TARGET"));
        }
        if let Some(query) = typed.iter().find(|text| is_query(text)) {
            return match typed {
                [_] => Ok(Self::Query(query.clone())),
                _ => Err(Error::invalid("copy a query: other tables are named too")
                    .hint("copy the query by a command of its own: it needs a TARGET of its own")),
            };
        }
        let parsed: Result<Vec<TableName>> = typed
            .iter()
            .map(|text| {
                TableName::parse(text).map_err(|what| {
                    Error::invalid(format!("read table name `{text}`: it {what}"))
                        .hint("write `schema.table`, or a query that begins with `select`")
                })
            })
            .collect();
        Ok(match <[TableName; 1]>::try_from(parsed?) {
            Ok([only]) if !only.is_pattern() => Self::Table(only),
            _ => Self::Tables(typed.to_vec()),
        })
    }
}

fn is_query(typed: &str) -> bool {
    let mut words = without_comments(typed).split_whitespace();
    let first = words.next().unwrap_or_default().to_ascii_lowercase();
    matches!(first.as_str(), "select" | "with" | "values" | "table") && words.next().is_some()
}

/// A query from its first word on: without comments and brackets before it.
fn without_comments(query: &str) -> &str {
    let mut rest = query;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(');
        let comment = match rest {
            _ if rest.starts_with("--") => rest.split_once('\n'),
            _ if rest.starts_with("/*") => rest.split_once("*/"),
            _ => None,
        };
        match comment {
            Some((_, after)) => rest = after,
            None => return rest,
        }
    }
}

/// Names in the URL of a target in BigQuery.
fn parts_of_bigquery(target: &str) -> Option<usize> {
    target.strip_prefix(BIGQUERY).map(|path| path.split('/').count())
}

fn refuse_table(target: &str) -> Result<()> {
    match parts_of_bigquery(target) {
        Some(3) => {
            Err(Error::invalid(format!("copy several tables into `{target}`: it names one table"))
                .hint("write the dataset alone: `bigquery://project/dataset`"))
        }
        _ => Ok(()),
    }
}

fn require_table(target: &str) -> Result<()> {
    match parts_of_bigquery(target) {
        Some(2) => Err(Error::invalid(format!("copy a query into `{target}`: it is a dataset"))
            .hint("a query has no name: write `bigquery://project/dataset/table`")),
        _ => Ok(()),
    }
}

/// Refuses to save the job over anything else.
fn require_free(path: &Path, text: &str) -> Result<()> {
    let refused = |why: &str| {
        Error::invalid(format!("save the job: `{}` {why}", path.display()))
            .hint("give `--save` the name of another file")
    };
    if path.as_os_str() == "-" {
        return Err(refused("is not a file name"));
    }
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if folder.is_none_or(Path::is_dir) { Ok(()) } else { Err(refused("has no folder")) }
        }
        Ok(there) if there.is_file() => match fs::read(path) {
            Ok(there) if there == text.as_bytes() => Ok(()),
            _ => Err(refused("exists and holds something else")),
        },
        Ok(_) => Err(refused("is not a file")),
        Err(error) => Err(error).doing(Kind::Denied, || format!("read `{}`", path.display())),
    }
}

/// Writes the job file, if it does not exist yet.
fn save(path: &Path, text: &str) -> Result<()> {
    if write_new(path, text)? { Ok(()) } else { require_free(path, text) }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use serde_json::{Value, json};

    use super::*;
    use crate::arguments::{Arguments, Command};

    fn typed(line: &[&str]) -> Result<JobFile> {
        let line = ["sluice", "copy"].iter().chain(line);
        match Arguments::parse_from(line).command {
            Command::Copy(options) => job_file(&options),
            other => panic!("{other:?}"),
        }
    }

    fn document(line: &[&str]) -> Value {
        serde_json::to_value(typed(line).unwrap()).unwrap()
    }

    const SHOP: &str = "postgres://me@host/shop";

    #[test]
    fn a_table_becomes_a_folder_of_its_name() {
        let options = ["--columns", "id,total", "--partition-by", "id", "--max-tasks", "2"];
        let mut line = vec![SHOP, "public.My Orders", "/w", "--where", "id > 3"];
        line.extend(options);
        assert_eq!(
            document(&line),
            json!({
                "name": "MyOrders",
                "source": {
                    "url": SHOP, "table": "public.My Orders", "columns": ["id", "total"],
                    "where": "id > 3"
                },
                "partitioning": {"column": "id"},
                "target": {"table": "file:///w/My_Orders", "write_disposition": "truncate"},
                "limits": {"max_tasks": 2}
            })
        );
    }

    #[test]
    fn patterns_and_several_tables_become_tables_of_a_dataset() {
        for tables in [&["public.*"][..], &["a", "b"]] {
            let line: Vec<&str> = [SHOP].iter().chain(tables).chain(&["/w/"]).copied().collect();
            let job = document(&line);
            let named: Vec<Value> = tables.iter().map(|name| json!({"table": name})).collect();
            assert_eq!(job["tables"], Value::from(named));
            assert_eq!(job["target"]["dataset"], "file:///w");
            assert_eq!(job["name"], "shop");
        }
        let job =
            document(&[SHOP, "a.*", "/w", "--where", "tenant = 5", "--disposition", "append"]);
        assert_eq!(job["tables"], json!([{"table": "a.*", "where": "tenant = 5"}]));
        assert_eq!(job["target"]["write_disposition"], "append");
    }

    #[test]
    fn a_name_in_quotes_stays_the_name() {
        let table = |typed| document(&[SHOP, typed, "/w"])["source"]["table"].clone();
        assert_eq!(table("\"other.big\""), "\"other.big\"");
        assert_eq!(table("\"Odd Schema\".\"q\"\"uote\""), "Odd Schema.\"q\"\"uote\"");
    }

    #[test]
    fn a_query_is_told_by_its_first_word() {
        for query in ["select 1", "/* a */ -- b\n (Select 1)", "with a as (select 1) table a"] {
            assert!(is_query(query), "{query}");
        }
        for name in ["select", "orders", "my orders", "table", "-- select 1"] {
            assert!(!is_query(name), "{name}");
        }
    }

    #[test]
    fn a_query_becomes_the_target_itself() {
        let job = document(&[SHOP, "SELECT 1 AS one", "/w/ones"]);
        assert_eq!(job["source"]["query"], "SELECT 1 AS one");
        assert_eq!(job["target"]["table"], "file:///w/ones");
        assert_eq!(job["name"], "ones");
        let error = typed(&[SHOP, "select 1", "a", "/w"]).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
        assert!(typed(&[SHOP, "a.b.c", "/w"]).is_err());
    }

    #[cfg(feature = "google")]
    #[test]
    fn a_target_in_bigquery_is_a_dataset_or_a_table() {
        let target = |line: &[&str]| document(line)["target"]["table"].clone();
        let bucket = ["--bucket", "gs://lake"];
        let line = |what: &'static [&'static str]| [&[SHOP], what, &bucket].concat();
        assert_eq!(target(&line(&["a.t", "bigquery://p/d"])), "bigquery://p/d/t");
        assert_eq!(target(&line(&["a.t", "bigquery://p/d/u"])), "bigquery://p/d/u");
        assert!(typed(&line(&["a.*", "bigquery://p/d/u"])).is_err());
        assert!(typed(&line(&["select 1", "bigquery://p/d"])).is_err());
        let error = typed(&[SHOP, "a.t", "bigquery://p/d"]).unwrap_err();
        assert!(error.remedy().is_some_and(|hint| hint.contains("--bucket gs://")));
    }

    #[test]
    fn the_saved_job_is_the_one_that_is_carried_out() {
        let long = format!("note <> 'a: \"b\" # c' and id in ({})", "1234567, ".repeat(30) + "0)");
        let query = "select 'a  b' as a,\n\n  2 as b -- c\nfrom orders \n";
        for line in [
            &[SHOP, "public.orders", "/w", "--where", &long][..],
            &[SHOP, "null", "/w", "--columns", "on,1e3, x,~"],
            &[SHOP, query, "/w/true", "--where", "a = 'b'\nor c\t= '\u{1F600}'"],
        ] {
            let file = typed(line).unwrap();
            let text = yaml(&file).unwrap();
            let read = Job::parse("saved", &text).unwrap();
            assert_eq!(read, serde_json::to_value(&file).unwrap(), "{text}");
        }
    }
}
