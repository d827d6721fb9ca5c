//! What the types of every source become, as a page.

use std::fmt::Write as _;

use serde_json::{Value, json};
use sluice_contracts::documents::TargetType;
use sluice_sources::{Becomes, TypeRow};

const OPENING: &str = include_str!("type_page/opening.md");
/// Each source by its name in the rows, its own name, and what no row says.
const SOURCES: &[(&str, &str, &str)] = &[
    ("postgres", "PostgreSQL", include_str!("type_page/postgres.md")),
    ("sqlite", "SQLite", include_str!("type_page/sqlite.md")),
    ("bigquery", "BigQuery", include_str!("type_page/bigquery_source.md")),
    ("files", "Files", include_str!("type_page/files.md")),
];

/// The rows as a document.
pub(crate) fn document(rows: &[TypeRow]) -> Value {
    let becomes = |becomes: &Becomes| {
        json!({
            "type": becomes.target_type,
            "repeated": becomes.repeated,
            "invalid": becomes.invalid,
        })
    };
    let row = |row: &TypeRow| {
        json!({
            "source": row.source,
            "family": row.family,
            "name": row.name,
            "becomes": row.becomes.iter().map(becomes).collect::<Vec<_>>(),
            "refused": row.refused,
            "example": {"source": row.example.source, "target": row.example.target},
        })
    };
    json!({"types": rows.iter().map(row).collect::<Vec<_>>()})
}

/// The rows as Markdown.
pub(crate) fn render(rows: &[TypeRow]) -> String {
    let mut page = String::from(OPENING);
    // Writing to a string cannot fail.
    for (source, title, prose) in SOURCES {
        let rows: Vec<&TypeRow> = rows.iter().filter(|row| row.source == *source).collect();
        let _ = write_source(&mut page, title, prose, &rows);
    }
    let _ = write_carriers(&mut page, rows);
    page
}

/// How each type of the target reaches BigQuery.
fn write_carriers(page: &mut String, rows: &[TypeRow]) -> std::fmt::Result {
    write!(page, "\n## How BigQuery gets them\n\n{}\n", include_str!("type_page/carriers.md"))?;
    writeln!(page, "| BigQuery type | in the part files | carried by | shown by | of the types |")?;
    writeln!(page, "| --- | --- | --- | --- | --- |")?;
    for kind in TargetType::ALL {
        let becomes = |row: &&TypeRow| {
            let default = row.becomes.first().filter(|_| row.refused.is_none());
            default.is_some_and(|default| default.target_type == kind)
        };
        let of = SOURCES.iter().filter_map(|(source, title, _)| {
            let of = rows.iter().filter(|row| row.source == *source);
            let of: Vec<&str> = of.filter(becomes).map(|row| row.name).collect();
            (!of.is_empty()).then(|| format!("{title}: {}", names(of.into_iter())))
        });
        let of = of.collect::<Vec<_>>().join("; ");
        let [stored, carried, shown] = carrier(kind);
        writeln!(page, "| {} | {stored} | {carried} | {shown} | {of} |", name(kind))?;
    }
    Ok(())
}

/// What holds a type in Parquet, what brings it from there, and what shows that it arrives.
fn carrier(kind: TargetType) -> [&'static str; 3] {
    const LOAD: &str = "load job";
    const EMULATOR: &str = "the emulator, read by Google's client";
    const REQUESTS: &str = "the requests and BigQuery's documentation";
    match kind {
        TargetType::Int64 => ["INT64; INT32 for `int2` and `int4`", LOAD, EMULATOR],
        TargetType::Float64 => ["DOUBLE", LOAD, EMULATOR],
        TargetType::Numeric => ["DECIMAL", LOAD, EMULATOR],
        TargetType::Bignumeric => ["DECIMAL", LOAD, REQUESTS],
        TargetType::Bool => ["BOOLEAN", LOAD, EMULATOR],
        TargetType::String => ["STRING", LOAD, EMULATOR],
        TargetType::Bytes => ["BYTE_ARRAY; FIXED_LEN_BYTE_ARRAY for `uuid`", LOAD, REQUESTS],
        TargetType::Date => ["DATE", LOAD, EMULATOR],
        TargetType::Time => ["TIME(MICROS)", LOAD, EMULATOR],
        TargetType::Datetime => ["TIMESTAMP(MICROS), not adjusted to UTC", LOAD, EMULATOR],
        TargetType::Timestamp => ["TIMESTAMP(MICROS), adjusted to UTC", LOAD, EMULATOR],
        TargetType::Json => ["STRING", "statement with `PARSE_JSON`", EMULATOR],
        TargetType::Interval => ["STRING, as ISO 8601", "statement with `CAST`", REQUESTS],
        TargetType::RangeDate | TargetType::RangeDatetime | TargetType::RangeTimestamp => {
            ["STRING, as `[2024-01-01, UNBOUNDED)`", "statement with `CAST`", REQUESTS]
        }
        TargetType::Geography => ["STRING, as WKT or GeoJSON", LOAD, REQUESTS],
        TargetType::Struct => ["group", LOAD, REQUESTS],
    }
}

fn write_source(
    page: &mut String,
    title: &str,
    prose: &str,
    rows: &[&TypeRow],
) -> std::fmt::Result {
    write!(page, "\n## {title}\n\n{prose}")?;
    let groups: Vec<Group<'_>> =
        rows.chunk_by(|one, next| alike(one, next)).map(|rows| Group { rows }).collect();
    for family in groups.chunk_by(|one, next| one.first().family == next.first().family) {
        let name = family.first().map_or("", |group| group.first().family);
        writeln!(page, "\n### {title}: {name}\n")?;
        writeln!(page, "| type | becomes | not held | or, if asked for | example |")?;
        writeln!(page, "| --- | --- | --- | --- | --- |")?;
        for group in family {
            group.write(page)?;
        }
    }
    write_asked(page, title, &groups)
}

/// What the types other than the default do not hold.
fn write_asked(page: &mut String, title: &str, groups: &[Group<'_>]) -> std::fmt::Result {
    let mut asked: Vec<(String, &str, Vec<&str>)> = Vec::new();
    for group in groups {
        let row = group.first();
        for becomes in row.becomes.iter().skip(usize::from(row.refused.is_none())) {
            let Some(invalid) = becomes.invalid else { continue };
            let target = target(becomes);
            match asked.iter_mut().find(|(to, not, _)| *to == target && *not == invalid) {
                Some((.., from)) => from.push(row.name),
                None => asked.push((target, invalid, vec![row.name])),
            }
        }
    }
    if asked.is_empty() {
        return Ok(());
    }
    asked.sort_by(|one, other| one.0.cmp(&other.0));
    writeln!(page, "\n### {title}: types that are asked for\n")?;
    writeln!(page, "| asked for | of | not held |")?;
    writeln!(page, "| --- | --- | --- |")?;
    for (target, invalid, from) in asked {
        writeln!(page, "| {target} | {} | {} |", names(from.into_iter()), cell(invalid))?;
    }
    Ok(())
}

/// Rows that say the same of several types.
struct Group<'a> {
    rows: &'a [&'a TypeRow],
}

impl<'a> Group<'a> {
    /// One that stands for all. A group is never empty.
    fn first(&self) -> &'a TypeRow {
        self.rows[0]
    }

    fn write(&self, page: &mut String) -> std::fmt::Result {
        let row = self.first();
        let (default, others) = match (row.refused, row.becomes.split_first()) {
            (None, Some((default, others))) => (Some(default), others),
            _ => (None, row.becomes.as_slice()),
        };
        let mut asked: Vec<String> = others.iter().map(target).collect();
        let all = default.map(target).into_iter().chain(asked.iter().cloned());
        if !all.into_iter().any(|to| to == "STRING") {
            asked.push("STRING".to_owned());
        }
        let becomes = match row.refused {
            None => default.map(target).unwrap_or_default(),
            Some(reason) => format!("refused: {}", cell(reason)),
        };
        let example = match (row.example.source, row.example.target) {
            ("", _) => String::new(),
            (before, "") => code(before),
            (before, after) => format!("{} is {}", code(before), code(after)),
        };
        writeln!(
            page,
            "| {} | {becomes} | {} | {} | {example} |",
            names(self.rows.iter().map(|row| row.name)),
            cell(default.and_then(|default| default.invalid).unwrap_or_default()),
            asked.join(", ")
        )
    }
}

fn alike(one: &TypeRow, other: &TypeRow) -> bool {
    one.family == other.family
        && one.becomes == other.becomes
        && one.refused == other.refused
        && one.example == other.example
}

fn names<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let name = |name: &str| if name.is_empty() { "no type at all".to_owned() } else { code(name) };
    names.map(name).collect::<Vec<_>>().join(", ")
}

fn target(becomes: &Becomes) -> String {
    if becomes.repeated {
        format!("ARRAY&lt;{}>", name(becomes.target_type))
    } else {
        name(becomes.target_type)
    }
}

/// An angle bracket would begin a tag.
fn name(kind: TargetType) -> String {
    kind.name().replace('<', "&lt;")
}

/// A bar would end a table's cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

/// Text as it is. Text with a backtick is put between two backticks, and spaces that do not count.
fn code(text: &str) -> String {
    let text = cell(text);
    if text.contains('`') { format!("`` {text} ``") } else { format!("`{text}`") }
}
