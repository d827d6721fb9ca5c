//! A run as a planner tells of it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use sluice_contracts::Error;
use sluice_contracts::ending::Word;

use crate::figures::{count, thousands, width};

/// What a planner says of a run, as far as people are shown it. More may be there: a planner may
/// be newer than this program.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Told {
    pub(crate) run: String,
    pub(crate) state: String,
    #[serde(default)]
    job: String,
    #[serde(default)]
    units: u64,
    #[serde(default)]
    units_done: u64,
    #[serde(default)]
    rows: u64,
    #[serde(default)]
    tables: Vec<ToldTable>,
    /// Why the run failed as a whole.
    #[serde(default)]
    failure: Option<Word>,
    #[serde(default)]
    links: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct ToldTable {
    table: String,
    target: String,
    #[serde(default)]
    units: u64,
    #[serde(default)]
    units_done: u64,
    #[serde(default)]
    rows: u64,
    /// Why it is not visible.
    #[serde(default)]
    failure: Option<Word>,
}

impl Told {
    /// Why the run failed.
    pub(crate) fn error(&self) -> Error {
        if let Some(word) = &self.failure {
            return word.clone().into_error();
        }
        let failed: Vec<&ToldTable> =
            self.tables.iter().filter(|table| table.failure.is_some()).collect();
        let names: Vec<String> = failed.iter().map(|table| format!("`{}`", table.table)).collect();
        let what = format!(
            "{} of {} tables not visible: {}",
            names.len(),
            self.tables.len(),
            names.join(", ")
        );
        match failed.iter().find_map(|table| table.failure.clone()) {
            Some(word) => word.into_error().during(what),
            None => Error::data("the planner does not say why it failed"),
        }
    }

    fn progress(&self) -> String {
        let (done, units) = (thousands(self.units_done), count(self.units, "unit"));
        format!("{}: {done} of {units} read", self.state)
    }
}

/// What has happened so far, a line each.
pub(crate) fn story(told: &Told) -> Vec<String> {
    let failed = |table: &ToldTable| {
        let failure = table.failure.as_ref()?;
        Some(format!("`{}` failed: {}", table.table, failure.message))
    };
    let mut story: Vec<String> = told.tables.iter().filter_map(failed).collect();
    story.push(if told.units == 0 { told.state.clone() } else { told.progress() });
    story
}

/// The state of a run, for a person.
pub(crate) fn render(told: &Told) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_told(&mut text, told);
    text
}

fn write_told(text: &mut String, told: &Told) -> std::fmt::Result {
    writeln!(text, "job `{}`, run {}", told.job, told.run)?;
    writeln!(text, "{}", told.progress())?;
    if !told.tables.is_empty() {
        writeln!(text)?;
    }
    let names = width(told.tables.iter().map(|table| table.table.as_str()));
    let rows: Vec<String> = told.tables.iter().map(|table| count(table.rows, "row")).collect();
    let rows_width = width(rows.iter().map(String::as_str));
    for (table, rows) in told.tables.iter().zip(&rows) {
        let (name, target) = (&table.table, &table.target);
        let (done, units) = (thousands(table.units_done), count(table.units, "unit"));
        writeln!(text, "  {name:<names$}  {done} of {units}  {rows:>rows_width$}  {target}")?;
        if let Some(failure) = &table.failure {
            writeln!(text, "    {}", failure.message)?;
        }
    }
    // Rows are those that the plan expects until the run has ended.
    let visible =
        if told.state == "finished" || told.state == "failed" { "visible" } else { "expected" };
    writeln!(text, "\n  {} {visible}", count(told.rows, "row"))?;
    if let Some(failure) = &told.failure {
        writeln!(text, "\nfailed: {}", failure.message)?;
        if let Some(hint) = &failure.hint {
            writeln!(text, "  hint: {hint}")?;
        }
    }
    if !told.links.is_empty() {
        writeln!(text)?;
    }
    let links = width(told.links.keys().map(String::as_str));
    for (name, url) in &told.links {
        writeln!(text, "  {name:<links$}  {url}")?;
    }
    Ok(())
}
