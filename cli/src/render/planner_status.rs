//! A run as a planner describes it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Deserialize;
use sluice_contracts::Error;
use sluice_contracts::documents::{Dropped, ErrorReport};

use super::run::{dropped, invalid, overtaken};
use crate::format::{count, thousands, width};

/// The part of what a planner says of a run that people are shown. There may be more: a planner may
/// be newer than this program.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct PlannerStatus {
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
    tables: Vec<PlannerTableStatus>,
    /// Why the run failed as a whole.
    #[serde(default)]
    failure: Option<ErrorReport>,
    #[serde(default)]
    links: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
struct PlannerTableStatus {
    table: String,
    target: String,
    #[serde(default)]
    units: u64,
    #[serde(default)]
    units_done: u64,
    /// The later run that the target shows.
    #[serde(default)]
    overtaken_by: Option<String>,
    /// Values of its visible rows that became NULL, by column.
    #[serde(default)]
    invalid: BTreeMap<String, u64>,
    /// The rows that are left out.
    #[serde(default)]
    dropped: Option<Dropped>,
    /// Why it is not visible.
    #[serde(default)]
    failure: Option<ErrorReport>,
}

impl PlannerStatus {
    /// Why the run failed.
    pub(crate) fn error(&self) -> Error {
        if let Some(failure) = &self.failure {
            return failure.clone().into_error();
        }
        let failed: Vec<&PlannerTableStatus> =
            self.tables.iter().filter(|table| table.failure.is_some()).collect();
        let names: Vec<String> = failed.iter().map(|table| format!("`{}`", table.table)).collect();
        let what = format!(
            "{} of {} tables not visible: {}",
            names.len(),
            self.tables.len(),
            names.join(", ")
        );
        match failed.iter().find_map(|table| table.failure.clone()) {
            Some(failure) => failure.into_error().during(what),
            None => Error::data("the planner does not say why it failed"),
        }
    }

    fn progress(&self) -> String {
        let (done, units) = (thousands(self.units_done), count(self.units, "unit"));
        format!("{}: {done} of {units} read", self.state)
    }

    /// What its rows are: until a run has ended, those that the plan expects.
    fn rows(&self) -> Option<String> {
        let rows = count(self.rows, "row");
        match self.state.as_str() {
            "finished" => Some(format!("{rows} visible")),
            // A run that failed as a whole made none visible.
            "failed" => self.failure.is_none().then(|| format!("{rows} visible")),
            _ if self.units == 0 => None,
            _ => Some(format!("{rows} expected")),
        }
    }
}

impl PlannerTableStatus {
    fn progress(&self) -> String {
        let (done, units) = (thousands(self.units_done), count(self.units, "unit"));
        format!("{done} of {units} read")
    }
}

/// What has happened so far, a line each.
pub(crate) fn timeline(status: &PlannerStatus) -> Vec<String> {
    let failed = |table: &PlannerTableStatus| {
        let failure = table.failure.as_ref()?;
        Some(format!("`{}` failed: {}", table.table, failure.message))
    };
    let mut timeline: Vec<String> = status.tables.iter().filter_map(failed).collect();
    timeline.push(if status.units == 0 { status.state.clone() } else { status.progress() });
    timeline
}

/// The state of a run, for a person.
pub(crate) fn render(status: &PlannerStatus) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_told(&mut text, status);
    text
}

fn write_told(text: &mut String, status: &PlannerStatus) -> std::fmt::Result {
    writeln!(text, "job `{}`, run {}", status.job, status.run)?;
    match status.units {
        0 => writeln!(text, "{}", status.state)?,
        _ => writeln!(text, "{}", status.progress())?,
    }
    if !status.tables.is_empty() {
        writeln!(text)?;
    }
    let names = width(status.tables.iter().map(|table| table.table.as_str()));
    let units: Vec<String> = status.tables.iter().map(PlannerTableStatus::progress).collect();
    let units_width = width(units.iter().map(String::as_str));
    for (table, units) in status.tables.iter().zip(&units) {
        let (name, target) = (&table.table, &table.target);
        writeln!(text, "  {name:<names$}  {units:<units_width$}  {target}")?;
        if let Some(newer) = &table.overtaken_by {
            writeln!(text, "    {}", overtaken(newer))?;
        }
        if !table.invalid.is_empty() {
            writeln!(text, "    {}", invalid(&table.invalid))?;
        }
        if let Some(rows) = table.dropped.filter(|dropped| dropped.rows > 0) {
            writeln!(text, "    {}", dropped(rows))?;
        }
        if let Some(failure) = &table.failure {
            writeln!(text, "    {}", failure.message)?;
        }
    }
    if let Some(rows) = status.rows() {
        writeln!(text, "\n  {rows}")?;
    }
    if let Some(failure) = &status.failure {
        writeln!(text, "\nfailed: {}", failure.message)?;
        if let Some(hint) = &failure.hint {
            writeln!(text, "  hint: {hint}")?;
        }
    }
    if !status.links.is_empty() {
        writeln!(text)?;
    }
    let links = width(status.links.keys().map(String::as_str));
    for (name, url) in &status.links {
        writeln!(text, "  {name:<links$}  {url}")?;
    }
    Ok(())
}
