//! What moves the tables of a plan.

use std::fmt::Write as _;

use sluice_contracts::documents::{EngineChoice, EngineEstimate, Table};

use crate::format::{count, dollars, duration};

/// Names of tables that a line lists.
const NAMES: usize = 8;

/// What moves the tables, said once for all that are moved alike.
pub(super) fn write_engines_of(text: &mut String, tables: &[Table]) -> std::fmt::Result {
    let engine = |table: &Table| {
        let choice = table.engine.as_ref()?;
        Some(format!("{}, because {}", choice.engine.name(), choice.reason))
    };
    write_alike(text, "moved by", tables, engine)
}

/// What each engine would take, and what is lost by it, where more than one can move the table.
pub(super) fn write_engines(text: &mut String, choice: &EngineChoice) -> std::fmt::Result {
    let possible = choice.options.iter().filter(|option| option.estimate.is_some()).count();
    if possible < 2 {
        return Ok(());
    }
    writeln!(text, "\n  engines")?;
    for option in &choice.options {
        let name = option.engine.name();
        let remark = &option.remark;
        match option.estimate {
            Some(EngineEstimate { seconds, dollars: cost }) => {
                let (time, cost) = (duration(seconds), dollars(cost));
                writeln!(text, "    {name:<9}  about {time}, {cost}; {remark}")?;
            }
            None => writeln!(text, "    {name:<9}  cannot: {remark}")?,
        }
    }
    Ok(())
}

/// What is said of tables, once for all that it is said of.
pub(super) fn write_alike(
    text: &mut String,
    title: &str,
    tables: &[Table],
    said_of: impl Fn(&Table) -> Option<String>,
) -> std::fmt::Result {
    let mut alike: Vec<(String, Vec<&str>)> = Vec::new();
    for table in tables {
        let Some(said) = said_of(table) else { continue };
        match alike.iter_mut().find(|(known, _)| *known == said) {
            Some((_, names)) => names.push(&table.name),
            None => alike.push((said, vec![&table.name])),
        }
    }
    if !alike.is_empty() {
        writeln!(text, "\n  {title}")?;
    }
    for (said, names) in alike {
        writeln!(text, "    {said}: {}", listed(&names))?;
    }
    Ok(())
}

/// The first names of a list, and how many there are besides.
fn listed(names: &[&str]) -> String {
    match names.split_at_checked(NAMES) {
        Some((first, rest @ [_, ..])) => {
            format!("{} and {}", first.join(", "), count(rest.len() as u64, "other table"))
        }
        _ => names.join(", "),
    }
}
