//! The summary of a run.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use sluice_contracts::documents::{Dropped, Stages};
use sluice_contracts::job::Excluded;

use crate::format::{count, duration, size, thousands, width};
use crate::summary::{BadRowsReport, FilesReport, RunReport, TableReport};

/// A run of which something is committed, for a person.
pub(crate) fn render(report: &RunReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut text, report);
    text
}

fn write_report(text: &mut String, report: &RunReport) -> std::fmt::Result {
    writeln!(text, "job `{}`, run {}", report.job, report.run)?;
    match report.tables.as_slice() {
        [table] => write_table(text, table)?,
        tables => write_tables(text, tables)?,
    }
    write_excluded(text, &report.excluded)?;
    writeln!(text)?;
    write_line(text, "rows", &thousands(report.rows))?;
    if report.tasks == 0 && report.tables.iter().any(|table| table.is_native) {
        write_line(text, "work", "by the target itself: nothing was extracted")?;
    } else if report.tasks > 0 {
        write_line(text, "read", &size(report.bytes))?;
        let files = count(report.parts, "Parquet file");
        write_line(text, "stored", &format!("{} in {files}", size(report.stored_bytes)))?;
        let (units, tasks) = (count(report.units, "unit"), count(report.tasks, "task"));
        write_line(text, "work", &format!("{units} by {tasks}"))?;
    }
    if let Some(shares) = shares(report.stages) {
        write_line(text, "spent", &shares)?;
    }
    write_line(text, "time", &format!("{}{}", duration(report.seconds), rate(report)))
}

/// What part of the tasks' time each stage took.
fn shares(stages: Stages) -> Option<String> {
    let all: f64 = stages.named().iter().map(|(_, seconds)| seconds).sum();
    let share = |(name, seconds): (&str, f64)| format!("{name} {:.0} %", seconds / all * 100.0);
    (all > 0.0).then(|| stages.named().map(share).join(", "))
}

fn write_table(text: &mut String, table: &TableReport) -> std::fmt::Result {
    writeln!(text, "\n  {} -> {}", table.table, table.target)?;
    let units =
        if table.is_native { String::new() } else { format!(", {}", count(table.units, "unit")) };
    writeln!(
        text,
        "  {}: {} by `{}`{units}",
        table.state.name(),
        count(table.rows, "row"),
        table.strategy.as_deref().unwrap_or("nothing"),
    )?;
    if let Some(newer) = &table.overtaken_by {
        writeln!(text, "  {}", overtaken(newer))?;
    }
    if !table.invalid.is_empty() {
        writeln!(text, "  {}", invalid(&table.invalid))?;
    }
    if let Some(bad) = &table.bad_rows {
        writeln!(text, "  {}", set_aside(bad))?;
    }
    if let Some(rows) = table.dropped.filter(|dropped| dropped.rows > 0) {
        writeln!(text, "  {}", dropped(rows))?;
    }
    if let Some(files) = &table.files {
        writeln!(text, "  {}", new_files(files))?;
    }
    Ok(())
}

/// A line a table, and what is wrong with it below.
fn write_tables(text: &mut String, tables: &[TableReport]) -> std::fmt::Result {
    let names = width(tables.iter().map(|table| table.table.as_str()));
    let states = width(tables.iter().map(|table| table.state.name()));
    let rows: Vec<String> = tables.iter().map(|table| count(table.rows, "row")).collect();
    let rows_width = width(rows.iter().map(String::as_str));
    writeln!(text)?;
    for (table, rows) in tables.iter().zip(&rows) {
        let (name, state) = (&table.table, table.state.name());
        writeln!(
            text,
            "  {name:<names$}  {state:<states$}  {rows:>rows_width$}  {}",
            table.target
        )?;
        if let Some(error) = &table.error {
            writeln!(text, "    {}", indented(error))?;
        }
        if let Some(hint) = &table.hint {
            writeln!(text, "    hint: {}", indented(hint))?;
        }
        if let Some(newer) = &table.overtaken_by {
            writeln!(text, "    {}", overtaken(newer))?;
        }
        if !table.invalid.is_empty() {
            writeln!(text, "    {}", invalid(&table.invalid))?;
        }
        if let Some(bad) = &table.bad_rows {
            writeln!(text, "    {}", set_aside(bad))?;
        }
        if let Some(rows) = table.dropped.filter(|dropped| dropped.rows > 0) {
            writeln!(text, "    {}", dropped(rows))?;
        }
    }
    Ok(())
}

/// A text of several lines below the name of a table.
pub(super) fn indented(text: &str) -> String {
    text.replace('\n', "\n    ")
}

/// Why a table that was read is not shown.
pub(super) fn overtaken(newer: &str) -> String {
    format!(
        "run {newer} was loaded before, with later rows or the same files: the target stays as it is"
    )
}

/// Tables that the job leaves out, and why.
pub(super) fn write_excluded(text: &mut String, excluded: &[Excluded]) -> std::fmt::Result {
    if excluded.is_empty() {
        return Ok(());
    }
    let names = width(excluded.iter().map(|table| table.table.as_str()));
    writeln!(text, "\n  left out")?;
    for Excluded { table, reason } in excluded {
        writeln!(text, "    {table:<names$}  {reason}")?;
    }
    Ok(())
}

fn write_line(text: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(text, "  {name:<8}{value}")
}

/// Rows that are not loaded, and where they are named.
fn set_aside(bad: &BadRowsReport) -> String {
    format!("{} set aside; `{}` says where each is", count(bad.rows, "bad row"), bad.url)
}

/// The files that are loaded, and those that are not.
pub(super) fn new_files(files: &FilesReport) -> String {
    let (new, left_out) = (count(files.new, "new file"), thousands(files.left_out));
    let text = format!("{new}; left out: {left_out}, because earlier runs have loaded them");
    match files.changed_paths.first() {
        None => text,
        Some(first) => {
            format!("{text}; changed since they were loaded: {}, such as `{first}`", files.changed)
        }
    }
}

/// Values that became NULL, by column.
pub(super) fn invalid(columns: &BTreeMap<String, u64>) -> String {
    let columns: Vec<String> = columns
        .iter()
        .map(|(column, values)| format!("`{column}` {}", thousands(*values)))
        .collect();
    format!("NULL in place of values that the type cannot hold: {}", columns.join(", "))
}

/// Rows that were left out.
pub(super) fn dropped(dropped: Dropped) -> String {
    let rows = count(dropped.rows, "row");
    let rows = format!("left out: {rows}, because another row of the same key is kept");
    match dropped.ties {
        0 => rows,
        ties => format!(
            "{rows}; {} with several newest rows: `dedup.order` does not tell which is the newest",
            count(ties, "key")
        ),
    }
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate for people"
)]
fn rate(report: &RunReport) -> String {
    if report.seconds < 0.001 || report.rows < 1000 {
        return String::new();
    }
    let rate = (report.rows as f64 / report.seconds) as u64;
    format!(", {} rows a second", thousands(rate))
}
