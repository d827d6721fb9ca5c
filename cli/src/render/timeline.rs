//! What has happened to a run, a line each.

use sluice_contracts::documents::{Decision, Failure, Verdict};

use super::run::overtaken;
use crate::format::{count, thousands};
use crate::status::{Launch, StatusReport};
use crate::summary::{State, TableReport};

/// The lines, the oldest first as far as that is known. The one that says how many units are read
/// changes, and the others stay.
pub(crate) fn timeline(report: &StatusReport) -> Vec<String> {
    let mut timeline = Vec::new();
    if let Some(requested) = &report.requested {
        let key = requested.run_key.as_ref().map(|key| format!(", key `{key}`"));
        timeline.push(format!("job `{}` accepted{}", report.run.job, key.unwrap_or_default()));
    }
    if report.planned.is_some() {
        timeline.push(planned(report));
    }
    timeline.extend(report.launches.iter().flat_map(launched));
    timeline.extend(report.failures.iter().map(failed));
    if report.run.tables.iter().any(|table| table.units_done > 0) {
        timeline.push(read(report));
    }
    timeline.extend(report.verdict.as_ref().map(decided));
    timeline.extend(report.run.tables.iter().filter_map(ended));
    if report.end().is_some() {
        timeline.push(report.state.name().to_owned());
    }
    timeline.extend(
        report.announced.as_ref().map(|event| format!("announced `{}`", event.event.name())),
    );
    timeline
}

fn planned(report: &StatusReport) -> String {
    let run = &report.run;
    format!(
        "planned: {} of {} for {}",
        count(run.units, "unit"),
        count(run.tables.len() as u64, "table"),
        count(run.tasks, "task")
    )
}

fn launched(launch: &Launch) -> Vec<String> {
    let number = launch.number;
    let mut lines = Vec::new();
    if let (Some(tasks), Some(reason)) = (launch.tasks, &launch.reason) {
        lines.push(format!("launch {number} ordered: {}, {reason}", count(tasks, "task")));
    }
    if let Some(execution) = &launch.execution {
        lines.push(format!("launch {number} is execution `{execution}`"));
    }
    lines
}

fn failed(failure: &Failure) -> String {
    format!("task {}, attempt {} failed: {}", failure.task, failure.attempt, failure.message)
}

fn read(report: &StatusReport) -> String {
    let run = &report.run;
    let done = run.tables.iter().map(|table| table.units_done).sum();
    let (units, rows) = (count(run.units, "unit"), count(run.rows, "row"));
    format!("{} of {units} read, {rows}", thousands(done))
}

fn decided(verdict: &Verdict) -> String {
    match (verdict.decision, &verdict.failure) {
        (Decision::Commit, _) => "the run is loaded".to_owned(),
        (Decision::Fail, Some(failure)) => format!("the run is given up: {}", failure.message),
        (Decision::Fail, None) => "the run is given up".to_owned(),
    }
}

fn ended(table: &TableReport) -> Option<String> {
    let name = &table.table;
    match (table.state, &table.error) {
        (State::Committed, _) => Some(format!("`{name}` visible: {}", count(table.rows, "row"))),
        (State::Overtaken, _) => {
            let newer = table.overtaken_by.as_deref()?;
            Some(format!("`{name}` overtaken: {}", overtaken(newer)))
        }
        (State::Failed | State::Refused, Some(error)) => Some(format!("`{name}` failed: {error}")),
        _ => None,
    }
}
