//! What a run would do.

use std::fmt::Write as _;

use serde::Serialize;
use serde_json::{Value, json};
use sluice_contracts::documents::{
    Column, Cut, Leaf, Manifest, Native, Relation, SnapshotPlan, Table, Task, Unit,
};
use sluice_contracts::job::Consistency;
use sluice_extractor::{BEGINS_AGAIN, GIVES_UP_AFTER};

use super::plan_columns::{write_columns, write_risks};
use super::plan_engines::{write_alike, write_engines, write_engines_of};
use super::run::{indented, write_excluded};
use crate::format::{bar, count, dollars, duration, size, thousands, width};

/// Lines of a histogram. More units than that share a line with their neighbours.
const LINES: usize = 32;
/// Width of a histogram's longest bar.
const BAR: usize = 24;
/// Characters of a predicate that are shown.
const PREDICATE: usize = 72;

/// A plan as a document.
#[derive(Debug, Serialize)]
pub(crate) struct PlanReport {
    job: String,
    source: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    connection: Option<String>,
    bucket: String,
    consistency: Consistency,
    rows: u64,
    bytes: u64,
    units: u64,
    tasks: u64,
    seconds: f64,
    dollars: f64,
    /// How long reading may fail without a row before the run does.
    gives_up_after_seconds: u64,
    /// How often it reads everything again, if its snapshot is one that it can lose.
    begins_again_at_most: u32,
    warnings: Vec<String>,
    tables: Vec<Value>,
    refused: Value,
    excluded: Value,
    packing: Value,
}

impl PlanReport {
    pub(crate) fn of(manifest: &Manifest) -> Self {
        let estimate = manifest.estimate;
        Self {
            job: manifest.job.clone(),
            source: manifest.source.clone(),
            connection: manifest.connection.clone(),
            bucket: manifest.bucket.clone(),
            consistency: match manifest.snapshot {
                SnapshotPlan::Independent => Consistency::None,
                _ => Consistency::Snapshot,
            },
            rows: estimate.rows,
            bytes: estimate.bytes,
            units: manifest.unit_count(),
            tasks: manifest.tasks.len() as u64,
            seconds: estimate.seconds,
            dollars: estimate.dollars,
            gives_up_after_seconds: GIVES_UP_AFTER.as_secs(),
            begins_again_at_most: if manifest.snapshot.is_lost_with_readers() {
                BEGINS_AGAIN
            } else {
                0
            },
            warnings: warnings(manifest).map(|(_, warning)| warning.to_owned()).collect(),
            tables: manifest
                .tables
                .iter()
                .zip(units_by_table(manifest))
                .map(|(table, units)| table_document(table, &units))
                .collect(),
            refused: json!(manifest.refused),
            excluded: json!(manifest.excluded),
            packing: manifest.tasks.iter().map(task_document).collect(),
        }
    }
}

fn task_document(task: &Task) -> Value {
    let units: Vec<_> = task.units.iter().flatten().map(Unit::place).collect();
    json!({"index": task.index, "units": units})
}

/// The units of each table, in the order of their indexes. The tasks hold them in another order.
fn units_by_table(manifest: &Manifest) -> Vec<Vec<&Unit>> {
    let mut tables = vec![Vec::new(); manifest.tables.len()];
    for unit in manifest.held_units() {
        if let Some(units) = tables.get_mut(unit.table as usize) {
            units.push(unit);
        }
    }
    for units in &mut tables {
        units.sort_by_key(|unit| unit.index);
    }
    tables
}

/// All warnings: first those about the run, then those about each table.
fn warnings(manifest: &Manifest) -> impl Iterator<Item = (Option<&Table>, &str)> {
    let of_run = manifest.warnings.iter().map(|warning| (None, warning.as_str()));
    let of_tables = manifest.tables.iter().flat_map(|table| {
        table.warnings.iter().map(move |warning| (Some(table), warning.as_str()))
    });
    of_run.chain(of_tables)
}

fn table_document(table: &Table, units: &[&Unit]) -> Value {
    let units: Vec<Value> = units
        .iter()
        .map(|unit| {
            json!({
                "index": unit.index,
                "kind": unit.cut.kind(),
                "predicate": unit.predicate,
                "leaf": unit.leaf.as_ref().map(Leaf::to_string),
                "rows": unit.rows,
                "bytes": unit.bytes,
            })
        })
        .collect();
    let columns: Vec<Value> = table
        .columns
        .iter()
        .map(|column| {
            json!({
                "name": column.name,
                "source_name": column.source_name,
                "source_type": column.source_type,
                "target_type": column.target_type,
                "repeated": column.repeated,
                "decimal": column.decimal,
                "invalid": column.invalid,
                "on_invalid": column.on_invalid,
            })
        })
        .collect();
    let mut document = json!({
        "table": table.name,
        "target": table.target,
        "write_disposition": table.write.disposition,
        "engine": table.engine,
        "dataflow": table.dataflow,
        "strategy": table.strategy,
        "reason": table.reason,
        "load": table.way,
        "rows": table.rows,
        "bytes": table.bytes,
        "warnings": table.warnings,
        "units": units,
        "columns": columns,
    });
    if let Some(format) = format_of(table) {
        document["format"] = format.into();
    }
    document
}

/// A plan for a person.
pub(crate) fn render(manifest: &Manifest) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write_plan(&mut text, manifest);
    text
}

fn write_plan(text: &mut String, manifest: &Manifest) -> std::fmt::Result {
    writeln!(text, "job `{}`", manifest.job)?;
    writeln!(text)?;
    match manifest.tables.as_slice() {
        [table] => write_table(text, table, &units_by_table(manifest).concat())?,
        tables => write_tables(text, tables)?,
    }
    for refused in &manifest.refused {
        writeln!(text, "\n  {} is refused: {}", refused.table, indented(&refused.message))?;
        if let Some(hint) = &refused.hint {
            writeln!(text, "    hint: {}", indented(hint))?;
        }
    }
    write_excluded(text, &manifest.excluded)?;
    let estimate = manifest.estimate;
    let units = manifest.unit_count();
    let tasks = manifest.tasks.len() as u64;
    let (rows, bytes) = (count(estimate.rows, "row"), size(estimate.bytes));
    if tasks == 0 {
        writeln!(text, "\nno units and no tasks: nothing is extracted")?;
        // What a query gives is counted when it has run.
        if estimate.rows > 0 {
            writeln!(text, "about {rows}, {bytes}")?;
        }
    } else {
        writeln!(text, "\n{} by {}", count(units, "unit"), count(tasks, "task"))?;
        let (time, cost) = (duration(estimate.seconds), dollars(estimate.dollars));
        writeln!(text, "about {rows}, {bytes}, {time}, {cost} on Cloud Run")?;
    }
    if let Some(connection) = &manifest.connection {
        writeln!(text, "the connection to the source is {connection}")?;
    }
    if tasks > 0 {
        write_endurance(text, manifest)?;
    }
    for (table, warning) in warnings(manifest) {
        match table.filter(|_| manifest.tables.len() > 1) {
            Some(table) => writeln!(text, "\nwarning: `{}`: {warning}", table.name)?,
            None => writeln!(text, "\nwarning: {warning}")?,
        }
    }
    Ok(())
}

/// How long a run goes on that cannot read.
fn write_endurance(text: &mut String, manifest: &Manifest) -> std::fmt::Result {
    let time = duration(GIVES_UP_AFTER.as_secs_f64());
    write!(text, "a run gives up when reading has failed for {time} without a row")?;
    if manifest.snapshot.is_lost_with_readers() {
        write!(text, ", and begins again at most {BEGINS_AGAIN} times if it loses its snapshot")?;
    }
    writeln!(text)
}

/// A line a table.
fn write_tables(text: &mut String, tables: &[Table]) -> std::fmt::Result {
    let lines: Vec<[String; 6]> = tables
        .iter()
        .map(|table| {
            [
                table.name.clone(),
                table.strategy.clone(),
                count(u64::from(table.units), "unit"),
                format!("about {}", count(table.rows, "row")),
                size(table.bytes),
                format!("-> {}", table.target),
            ]
        })
        .collect();
    let widths: Vec<usize> =
        (0..6).map(|at| width(lines.iter().map(|line| line[at].as_str()))).collect();
    for line in &lines {
        let mut padded = String::from(" ");
        for (at, cell) in line.iter().enumerate() {
            match at {
                2..=4 => write!(padded, " {cell:>0$} ", widths[at])?,
                _ => write!(padded, " {cell:<0$} ", widths[at])?,
            }
        }
        writeln!(text, "{}", padded.trim_end())?;
    }
    write_engines_of(text, tables)?;
    write_ways(text, tables)?;
    let named = |table: &Table, column: &Column| format!("{}.{}", table.name, column.source_name);
    let all = tables
        .iter()
        .flat_map(|table| table.columns.iter().map(move |column| (named(table, column), column)));
    write_risks(text, "values", all)
}

/// How the tables are loaded, said once for all that are loaded alike.
fn write_ways(text: &mut String, tables: &[Table]) -> std::fmt::Result {
    write_alike(text, "loaded by", tables, |table| table.way.clone())
}

fn write_table(text: &mut String, table: &Table, units: &[&Unit]) -> std::fmt::Result {
    writeln!(text, "{} -> {} ({})", table.name, table.target, table.write.disposition.name())?;
    if let Some(filter) = &table.filter {
        writeln!(text, "  where     {filter}")?;
    }
    if let Some(format) = format_of(table) {
        writeln!(text, "  files     {}", thousands(files_of(table, units)))?;
        writeln!(text, "  format    {format}")?;
    }
    if let Some(choice) = &table.engine {
        writeln!(text, "  engine    {}: {}", choice.engine.name(), choice.reason)?;
    }
    if table.native.is_none() {
        writeln!(text, "  strategy  {}: {}", table.strategy, table.reason)?;
    }
    if let Some(way) = &table.way {
        writeln!(text, "  load      {way}")?;
    }
    if let Some(choice) = &table.engine {
        write_engines(text, choice)?;
    }
    if table.native.is_none() {
        writeln!(text, "\n  units, by expected rows")?;
        write_histogram(text, units)?;
    }
    writeln!(text, "\n  columns")?;
    write_columns(text, &table.columns)
}

/// The number of files that units read, or that the target loads by itself.
fn files_of(table: &Table, units: &[&Unit]) -> u64 {
    if let Some(files) = table.native.as_ref().and_then(Native::files) {
        return files.files.len() as u64;
    }
    let begins = |unit: &&&Unit| !matches!(unit.cut, Cut::Bytes { lo, .. } if lo > 0);
    let of_unit = |unit: &&Unit| unit.leaf.as_ref().map_or(0, Leaf::count) as u64;
    units.iter().filter(begins).map(of_unit).sum()
}

/// How files are written, as the names and values of a job's `format`.
fn format_of(table: &Table) -> Option<String> {
    let Relation::Files { format, options, .. } = &table.relation else { return None };
    let shown = |(option, value): (&String, &String)| match option.as_str() {
        // Shown below, as what the table has.
        "columns" => None,
        "header" if value == "true" => Some("header".to_owned()),
        "header" => Some("no header".to_owned()),
        "delimiter" if value == "\t" => Some("delimiter tab".to_owned()),
        "quote" if value.is_empty() => Some("no quote".to_owned()),
        _ => Some(format!("{option} `{value}`")),
    };
    let options: Vec<String> = options.iter().filter_map(shown).collect();
    Some(std::iter::once(format.clone()).chain(options).collect::<Vec<_>>().join(", "))
}

fn write_histogram(text: &mut String, units: &[&Unit]) -> std::fmt::Result {
    let per_line = units.len().div_ceil(LINES).max(1);
    let lines: Vec<(String, u64, String)> = units.chunks(per_line).map(histogram_line).collect();
    let most = lines.iter().map(|(_, rows, _)| *rows).max().unwrap_or_default();
    let label_width = width(lines.iter().map(|(label, ..)| label.as_str()));
    let rows_width = thousands(most).len();
    for (label, rows, predicate) in &lines {
        let bar = bar(as_f64(*rows), as_f64(most), BAR);
        let padding = " ".repeat(BAR.saturating_sub(bar.chars().count()));
        let line = format!(
            "    {label:>label_width$}  {bar}{padding}  {:>rows_width$}  {predicate}",
            thousands(*rows)
        );
        writeln!(text, "{}", line.trim_end())?;
    }
    Ok(())
}

/// Label, rows and description of neighbouring units.
fn histogram_line(units: &[&Unit]) -> (String, u64, String) {
    let rows = units.iter().map(|unit| unit.rows).sum();
    match units {
        [unit] => {
            let mut what = unit.leaf.as_ref().map(Leaf::to_string).unwrap_or_default();
            if !unit.predicate.is_empty() {
                if !what.is_empty() {
                    what.push_str(": ");
                }
                what.push_str(&unit.predicate);
            }
            if what.is_empty() {
                "all rows".clone_into(&mut what);
            }
            (unit.index.to_string(), rows, shortened(&what))
        }
        [first, .., last] => {
            let leaf = first.leaf.as_ref().filter(|_| first.leaf == last.leaf);
            let leaf = leaf.map(Leaf::to_string).unwrap_or_default();
            (format!("{}-{}", first.index, last.index), rows, shortened(&leaf))
        }
        [] => (String::new(), 0, String::new()),
    }
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= PREDICATE {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(PREDICATE - 1).collect();
    short.push('…');
    short
}

#[expect(clippy::cast_precision_loss, reason = "the length of a bar")]
fn as_f64(rows: u64) -> f64 {
    rows as f64
}
