//! How far a run has come.

use std::fmt::Write as _;

use chrono::SecondsFormat;
use sluice_contracts::receipt::Failure;

use crate::commands::status::StatusReport;
use crate::figures::{count, duration, size, thousands};
use crate::summary::State;

/// Failures that are shown, the newest last.
const SHOWN: usize = 10;

/// The state of a run, for a person.
pub(crate) fn render(report: &StatusReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut text, report);
    text
}

fn write_report(text: &mut String, report: &StatusReport) -> std::fmt::Result {
    let run = &report.run;
    let planned = report.planned.to_rfc3339_opts(SecondsFormat::Secs, true);
    writeln!(text, "job `{}`, run {}", run.job, run.run)?;
    writeln!(text, "planned {planned}, {} ago", duration(run.seconds))?;
    for table in &run.tables {
        writeln!(text, "\n  {} -> {}", table.table, table.target)?;
        writeln!(
            text,
            "  {}: {} of {} done, {}",
            table.state.name(),
            thousands(table.units_done),
            count(table.units, "unit"),
            count(table.rows, "row")
        )?;
    }
    writeln!(
        text,
        "\n  {} read, {} in {}",
        size(run.bytes),
        size(run.stored_bytes),
        count(run.parts, "part file")
    )?;
    write_failures(text, &report.failures)?;
    if run.tables.iter().any(|table| table.state != State::Committed) {
        writeln!(
            text,
            "\n`sluice run JOB --resume {}` reads what is missing, and commits",
            run.run
        )?;
    }
    Ok(())
}

fn write_failures(text: &mut String, failures: &[Failure]) -> std::fmt::Result {
    if failures.is_empty() {
        return Ok(());
    }
    writeln!(text, "\n{}:", count(failures.len() as u64, "failed attempt"))?;
    let hidden = failures.len().saturating_sub(SHOWN);
    if hidden > 0 {
        writeln!(text, "  ({hidden} older ones are not shown)")?;
    }
    for failure in &failures[hidden..] {
        let at = failure.at.to_rfc3339_opts(SecondsFormat::Secs, true);
        write!(text, "  {at}  task {}, attempt {}", failure.task, failure.attempt)?;
        if let Some((_, unit)) = failure.unit {
            write!(text, ", unit {unit}")?;
        }
        writeln!(text, ": {}", failure.message)?;
        if let Some(hint) = &failure.hint {
            writeln!(text, "    hint: {hint}")?;
        }
    }
    Ok(())
}
