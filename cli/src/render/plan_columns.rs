//! The columns of a plan.

use std::fmt::Write as _;

use sluice_contracts::documents::{Column, OnInvalid};

use crate::format::width;

/// The columns of a table.
pub(super) fn write_columns(text: &mut String, columns: &[Column]) -> std::fmt::Result {
    let names: Vec<String> = columns.iter().map(name).collect();
    let name_width = width(names.iter().map(String::as_str));
    let source_width = width(columns.iter().map(|column| column.source_type.as_str()));
    for (column, name) in columns.iter().zip(&names) {
        let mark = if column.invalid.is_some() { '!' } else { ' ' };
        writeln!(
            text,
            "  {mark} {name:<name_width$}  {:<source_width$}  {}",
            column.source_type,
            target_type(column)
        )?;
    }
    write_risks(text, "! values", columns.iter().map(|column| (column.source_name.clone(), column)))
}

/// Which values are not held, said once for all columns that it applies to.
pub(super) fn write_risks<'a>(
    text: &mut String,
    values: &str,
    columns: impl Iterator<Item = (String, &'a Column)>,
) -> std::fmt::Result {
    let mut risks: Vec<(&str, &str, Vec<String>)> = Vec::new();
    for (name, column) in columns {
        let Some(invalid) = column.invalid.as_deref() else { continue };
        let fate = fate(column.on_invalid);
        match risks.iter_mut().find(|risk| (risk.0, risk.1) == (invalid, fate)) {
            Some((.., names)) => names.push(name),
            None => risks.push((invalid, fate, vec![name])),
        }
    }
    if !risks.is_empty() {
        writeln!(text, "\n  {values} that the target type cannot hold")?;
    }
    for (invalid, fate, names) in risks {
        writeln!(text, "    {}: {invalid}: {fate}", names.join(", "))?;
    }
    Ok(())
}

fn name(column: &Column) -> String {
    if column.name == column.source_name {
        column.name.clone()
    } else {
        format!("{} as {}", column.source_name, column.name)
    }
}

fn target_type(column: &Column) -> String {
    let digits = column
        .decimal
        .map(|decimal| format!("({}, {})", decimal.precision, decimal.scale))
        .unwrap_or_default();
    let scalar = format!("{}{digits}", column.target_type);
    if column.repeated { format!("ARRAY<{scalar}>") } else { scalar }
}

fn fate(on_invalid: OnInvalid) -> &'static str {
    match on_invalid {
        OnInvalid::Fail => "fails the run",
        OnInvalid::Null => "becomes NULL and is counted",
    }
}
