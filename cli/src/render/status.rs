//! How far a run has come.

use std::fmt::Write as _;

use chrono::{DateTime, SecondsFormat, Utc};
use sluice_contracts::documents::{Decision, Failure, Verdict};

use super::run::{dropped, indented, invalid, new_files, overtaken};
use crate::format::{count, duration, size, thousands, width};
use crate::status::StatusReport;
use crate::summary::TableReport;

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
    writeln!(text, "job `{}`, run {}", run.job, run.run)?;
    if let Some(requested) = &report.requested {
        write!(text, "asked for {}", time(requested.at))?;
        match &requested.run_key {
            Some(key) => writeln!(text, ", key `{key}`")?,
            None => writeln!(text)?,
        }
    }
    match report.planned {
        Some(planned) => {
            writeln!(text, "planned {}, {} ago", time(planned), duration(run.seconds))?;
        }
        None => writeln!(text, "not planned yet, after {}", duration(run.seconds))?,
    }
    write_launches(text, report)?;
    for table in &run.tables {
        write_table(text, table)?;
    }
    if report.planned.is_some() {
        writeln!(
            text,
            "\n  {} read, {} in {}",
            size(run.bytes),
            size(run.stored_bytes),
            count(run.parts, "part file")
        )?;
    }
    write_failures(text, &report.failures)?;
    write_ending(text, report)?;
    // In the cloud the loader starts what is missing again.
    let unfinished = run.tables.iter().any(|table| !table.state.is_settled());
    let to_load = report.loadable();
    if !to_load.is_empty() {
        let place = if report.is_in_cloud() {
            "--loader URL"
        } else {
            &format!("--bucket {}", report.bucket)
        };
        writeln!(
            text,
            "\nthe part files of {} are kept: `sluice load {} {place}` loads them again",
            to_load.join(", "),
            run.run
        )?;
    } else if unfinished && !report.is_in_cloud() {
        writeln!(
            text,
            "\n`sluice run JOB --resume {}` reads what is missing, and commits",
            run.run
        )?;
    }
    Ok(())
}

fn write_table(text: &mut String, table: &TableReport) -> std::fmt::Result {
    writeln!(text, "\n  {} -> {}", table.table, table.target)?;
    writeln!(
        text,
        "  {}: {} of {} done, {}",
        table.state.name(),
        thousands(table.units_done),
        count(table.units, "unit"),
        count(table.rows, "row")
    )?;
    if let Some(newer) = &table.overtaken_by {
        writeln!(text, "    {}", overtaken(newer))?;
    }
    if !table.invalid.is_empty() {
        writeln!(text, "    {}", invalid(&table.invalid))?;
    }
    if let Some(rows) = table.dropped.filter(|dropped| dropped.rows > 0) {
        writeln!(text, "    {}", dropped(rows))?;
    }
    if let Some(files) = &table.files {
        writeln!(text, "    {}", new_files(files))?;
    }
    if let Some(error) = &table.error {
        writeln!(text, "    {}", indented(error))?;
    }
    if let Some(hint) = &table.hint {
        writeln!(text, "    hint: {}", indented(hint))?;
    }
    Ok(())
}

fn write_launches(text: &mut String, report: &StatusReport) -> std::fmt::Result {
    if report.launches.is_empty() {
        return Ok(());
    }
    match report.max_executions {
        Some(most) => writeln!(text, "\n  launches, at most {most}")?,
        None => writeln!(text, "\n  launches")?,
    }
    let execution = |execution: &Option<String>| match execution {
        Some(execution) => format!("`{execution}`"),
        None => "not started yet".to_owned(),
    };
    let executions: Vec<String> =
        report.launches.iter().map(|launch| execution(&launch.execution)).collect();
    let width = width(executions.iter().map(String::as_str));
    for (launch, execution) in report.launches.iter().zip(&executions) {
        let since = launch.claimed.or(launch.ordered).map(time).unwrap_or_default();
        write!(text, "    {}  {since}  {execution:<width$}", launch.number)?;
        match (launch.tasks, &launch.reason) {
            (Some(tasks), Some(reason)) => writeln!(text, "  {}, {reason}", count(tasks, "task"))?,
            _ => writeln!(text, "  started by hand")?,
        }
    }
    Ok(())
}

fn write_ending(text: &mut String, report: &StatusReport) -> std::fmt::Result {
    let (verdict, committed, announced) = (&report.verdict, report.committed, &report.announced);
    if verdict.is_none() && committed.is_none() && announced.is_none() {
        return Ok(());
    }
    writeln!(text)?;
    if let Some(Verdict { decision, failure, at, .. }) = verdict {
        let word = match decision {
            Decision::Commit => "to be loaded",
            Decision::Fail => "given up",
        };
        write!(text, "{word} since {}", time(*at))?;
        match failure {
            Some(failure) => writeln!(text, ": {}", failure.message)?,
            None => writeln!(text)?,
        }
        if let Some(hint) = failure.as_ref().and_then(|failure| failure.hint.as_ref()) {
            writeln!(text, "  hint: {hint}")?;
        }
    }
    if let Some(committed) = committed {
        writeln!(text, "{} {}", report.state.name(), time(committed))?;
    }
    if let Some(announced) = announced {
        writeln!(text, "announced `{}` {}", announced.event.name(), time(announced.at))?;
    }
    Ok(())
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
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
        write!(text, "  {}  task {}, attempt {}", time(failure.at), failure.task, failure.attempt)?;
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
