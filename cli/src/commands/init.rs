//! `sluice init`: a job file for the tables that a source has.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;
use sluice_contracts::documents::TableWrite;
use sluice_contracts::job::{Partitioning, RowSecurity, TableJob, TableName, WriteDisposition};
use sluice_contracts::{Error, Result};
use sluice_sources::{Description, Listing, Survey};

use super::job::{open_source, write_new};
use super::target::check_dataset;
use crate::answer::Answer;
use crate::arguments::Init;
use crate::format::{count, size, thousands};
use crate::location::{job_name, shell_word, source_url, target_url};

/// Most tables that are described one by one. If there are more, the file names only patterns.
const LOOKED_AT: usize = 200;

pub(crate) async fn init(options: &Init) -> Result<Answer> {
    let source = source_url(&options.source)?;
    let target = target_url(&options.target)?;
    check_dataset(&target)?;
    let to_file = options.output.as_os_str() != "-";
    if to_file && options.output.exists() {
        return Err(refused(&options.output));
    }
    let opened = open_source(&source)?;
    let mut survey = opened.survey("sluice init").await?;
    let listing = survey.tables().await?;
    if listing.tables.is_empty() {
        return Err(Error::not_found(format!(
            "find tables of `{}`: there are none",
            opened.label()
        ))
        .hint("views are named one by one: `sluice copy SOURCE VIEW TARGET`"));
    }
    let mut tables = Vec::with_capacity(listing.tables.len());
    if listing.tables.len() <= LOOKED_AT {
        for table in &listing.tables {
            let description = describe(survey.as_mut(), table).await;
            tables.push(Candidate::new(table, description, &tables));
        }
        // Fails if the connection was lost: then the tables were not refused.
        survey.connections().await?;
        if tables.iter().all(|table| table.description.is_err()) {
            return Err(none_can_be_moved(opened.label(), tables));
        }
    }
    let text = job_file(&Findings {
        typed: &options.source,
        source: &source,
        target: &target,
        listing: &listing,
        tables,
    });
    let document = json!({ "tables": listing.tables.len(), "job": text });
    if !to_file {
        return Answer::new(&document, text);
    }
    if !write_new(&options.output, &text)? {
        return Err(refused(&options.output));
    }
    let path = shell_word(&options.output);
    let tables = count(listing.tables.len() as u64, "table");
    let next = if target.starts_with("file://") {
        format!("  sluice plan {path}\n  sluice run {path}\n")
    } else {
        format!("name the bucket in it, then\n\n  sluice plan {path}\n")
    };
    let said = format!("wrote `{path}` for `{}`, which has {tables}\n\n{next}", opened.label());
    Answer::new(&document, said)
}

/// The first reason of many, with its hint: a file that moves nothing is of no use.
fn none_can_be_moved(label: &str, tables: Vec<Candidate<'_>>) -> Error {
    let what = format!("find tables of `{label}`: none of {} can be moved", tables.len());
    match tables.into_iter().find_map(|table| table.description.err()) {
        Some(first) => first.during(what),
        None => Error::not_found(what),
    }
}

/// A table of the source, its description, and its name in the dataset.
struct Candidate<'a> {
    table: &'a TableName,
    description: Result<Description>,
    /// The name that the file gives it, if another table has taken its own.
    name: Option<String>,
}

impl<'a> Candidate<'a> {
    fn new(
        table: &'a TableName,
        description: Result<Description>,
        before: &[Candidate<'_>],
    ) -> Self {
        // Names that differ in their case only are one folder on some disks.
        let moved = || before.iter().filter(|other| other.description.is_ok());
        let taken =
            |name: &str| moved().any(|other| other.called().to_lowercase() == name.to_lowercase());
        let own = table.target_name();
        let prefix = table.schema.as_ref().map_or(String::new(), |schema| format!("{schema}_"));
        let with_schema = TableName { schema: None, name: format!("{prefix}{own}") }.target_name();
        let others = (2..).map(|number| format!("{with_schema}_{number}"));
        let name = taken(&own)
            .then(|| std::iter::once(with_schema.clone()).chain(others).find(|name| !taken(name)));
        Self { table, description, name: name.flatten() }
    }

    fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.table.target_name())
    }
}

async fn describe(survey: &mut dyn Survey, table: &TableName) -> Result<Description> {
    if table.is_pattern() {
        return Err(Error::invalid(format!("name `{table}`: a job reads `*` as a pattern"))
            .hint("move it with a query: `sluice copy SOURCE 'select ...' TARGET`"));
    }
    let job = TableJob {
        relation: table.relation(),
        select: None,
        filter: None,
        partitioning: Partitioning::default(),
        row_security: RowSecurity::default(),
        columns: std::collections::BTreeMap::new(),
        incremental: None,
        target: String::new(),
        write: TableWrite::of(WriteDisposition::default()),
    };
    survey.describe(&job).await
}

fn refused(path: &Path) -> Error {
    Error::invalid(format!("write `{}`: it is there already", path.display()))
        .hint("delete it, or name another file with `--output`")
}

/// The source, its tables, and the dataset that the job writes to.
struct Findings<'a> {
    /// The source as it was typed, which the job is named after.
    typed: &'a str,
    source: &'a str,
    target: &'a str,
    listing: &'a Listing,
    /// Each table of the listing; empty if there are too many.
    tables: Vec<Candidate<'a>>,
}

fn job_file(findings: &Findings<'_>) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_job(&mut text, findings);
    text
}

fn write_job(text: &mut String, findings: &Findings<'_>) -> std::fmt::Result {
    let Findings { typed, source, target, listing, tables } = findings;
    writeln!(text, "# Written by `sluice init`. `sluice plan` shows what a run would do, and")?;
    writeln!(text, "# `sluice schema job` has every key.")?;
    writeln!(text, "name: {}", scalar(&job_name(typed)))?;
    writeln!(text, "source:\n  url: {}", scalar(source))?;
    writeln!(text, "# All of them are read at one moment.\ntables:")?;
    if tables.is_empty() {
        write_patterns(text, &listing.tables)?;
    }
    for table in tables {
        write_table(text, table)?;
    }
    for (table, reason) in &listing.excluded {
        writeln!(text, "  # left out: {}", one_line(&format!("{table}: {reason}")))?;
    }
    writeln!(text, "target:\n  dataset: {}", scalar(target))?;
    writeln!(
        text,
        "  write_disposition: truncate   # or append, empty, merge, replace_partitions"
    )?;
    if target.starts_with("file://") {
        writeln!(
            text,
            "# A folder for documents and part files; `.sluice` beside the tables, if absent."
        )?;
        writeln!(text, "# bucket: file:///data/bucket")?;
    } else {
        writeln!(text, "# Documents and part files lie here until the tables are loaded.")?;
        writeln!(text, "bucket: gs://BUCKET/PREFIX")?;
    }
    writeln!(text, "# limits: {{max_connections: 8, max_tasks: 4, finish_within: 10m}}")?;
    writeln!(text, "# all_or_nothing: true          # no table becomes visible unless all do")
}

/// A pattern for each schema.
fn write_patterns(text: &mut String, tables: &[TableName]) -> std::fmt::Result {
    let mut schemas: std::collections::BTreeMap<Option<&str>, u64> =
        std::collections::BTreeMap::new();
    for table in tables {
        *schemas.entry(table.schema.as_deref()).or_default() += 1;
    }
    for (schema, tables) in schemas {
        let pattern = TableName { schema: schema.map(str::to_owned), name: "*".to_owned() };
        writeln!(text, "  - table: {}   # {}", scalar(&pattern.quoted()), count(tables, "table"))?;
    }
    Ok(())
}

fn write_table(text: &mut String, table: &Candidate<'_>) -> std::fmt::Result {
    let name = scalar(&table.table.quoted());
    match &table.description {
        Ok(description) => {
            let (rows, bytes) = (thousands(description.rows()), size(description.bytes()));
            writeln!(text, "  - table: {name}   # about {rows} rows, {bytes}")?;
            if let Some(name) = &table.name {
                writeln!(text, "    name: {}   # another table has its name", scalar(name))?;
            }
            for warning in &description.warnings {
                writeln!(text, "    # {}", one_line(warning))?;
            }
            let indexed = description.keys.iter().filter(|key| key.indexed);
            let keys: Vec<&str> = indexed.map(|key| key.column.as_str()).collect();
            if !keys.is_empty() {
                writeln!(text, "    # can be cut by: {}", one_line(&keys.join(", ")))?;
            }
        }
        // A run would refuse the table; as a comment it does not stop the others.
        Err(error) => {
            writeln!(text, "  # - table: {name}")?;
            writeln!(text, "  #   {}", one_line(&error.chain()))?;
            if let Some(hint) = error.remedy() {
                writeln!(text, "  #   hint: {}", one_line(hint))?;
            }
        }
    }
    Ok(())
}

/// A text as YAML writes it on one line, in quotes where it needs them.
fn scalar(text: &str) -> String {
    // JSON is YAML too, and has no text that takes two lines.
    let json = || json!(text).to_string();
    match serde_saphyr::to_string(&text) {
        Ok(written) if written.trim_end().lines().count() == 1 => written.trim_end().to_owned(),
        _ => json(),
    }
}

/// A comment ends with its line.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
