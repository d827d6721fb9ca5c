//! The summary of a run.

use std::fmt::Write as _;

use crate::figures::{count, duration, size, thousands};
use crate::summary::{RunReport, TableReport};

/// A run that is committed, for a person.
pub(crate) fn render(report: &RunReport) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_report(&mut text, report);
    text
}

fn write_report(text: &mut String, report: &RunReport) -> std::fmt::Result {
    writeln!(text, "job `{}`, run {}", report.job, report.run)?;
    for table in &report.tables {
        writeln!(text, "\n  {} -> {}", table.table, table.target)?;
        writeln!(
            text,
            "  {}: {} by `{}`, {}",
            table.state.name(),
            count(table.rows, "row"),
            table.strategy,
            count(table.units, "unit")
        )?;
        write_invalid(text, table)?;
    }
    writeln!(text)?;
    write_line(text, "rows", &thousands(report.rows))?;
    write_line(text, "read", &size(report.bytes))?;
    write_line(
        text,
        "stored",
        &format!("{} in {}", size(report.stored_bytes), count(report.parts, "Parquet file")),
    )?;
    write_line(
        text,
        "work",
        &format!("{} by {}", count(report.units, "unit"), count(report.tasks, "task")),
    )?;
    write_line(text, "time", &format!("{}{}", duration(report.seconds), rate(report)))
}

fn write_line(text: &mut String, name: &str, value: &str) -> std::fmt::Result {
    writeln!(text, "  {name:<8}{value}")
}

fn write_invalid(text: &mut String, table: &TableReport) -> std::fmt::Result {
    if table.invalid.is_empty() {
        return Ok(());
    }
    let columns: Vec<String> = table
        .invalid
        .iter()
        .map(|(column, values)| format!("`{column}` {}", thousands(*values)))
        .collect();
    writeln!(text, "  NULL in place of values that the type cannot hold: {}", columns.join(", "))
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
