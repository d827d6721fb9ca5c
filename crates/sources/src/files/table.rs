//! The columns of the table that files are.

use std::collections::{BTreeMap, HashMap};

use sluice_contracts::documents::{Column, Decimal, OnInvalid, TargetType};
use sluice_contracts::job::{ColumnFile, FormatName, TableJob};
use sluice_contracts::{Error, Result};

use super::csv::{Header, Records, Width};
use super::format::Format;
use super::infer::Seen;
use super::json::{Fields, Shape};
use super::kind::Kind;
use super::sample::Head;
use crate::naming::{description, refuse_collisions, refused, target_name};

/// What a look at files tells of their columns.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Names, in the order of the files.
    pub(super) names: Vec<String>,
    /// What the values of each are.
    pub(super) seen: Vec<Seen>,
    /// Records that were looked at.
    pub(super) rows: u64,
    /// What is in the values that the job wants as STRUCT.
    pub(super) shapes: BTreeMap<String, Shape>,
}

impl Found {
    /// The names in one string that changes when they do.
    pub(super) fn shape(&self) -> String {
        serde_json::to_string(&self.names).unwrap_or_default()
    }
}

/// Looks at the records of the beginnings of files.
pub(super) fn look_at(format: &mut Format, heads: &[Head], job: &TableJob) -> Result<Found> {
    match format.name {
        Some(FormatName::Csv) => look_at_csv(format, heads, job),
        _ => look_at_json(format, heads, job),
    }
}

fn look_at_csv(format: &Format, heads: &[Head], job: &TableJob) -> Result<Found> {
    let mut headers = Vec::new();
    for head in heads.iter().filter(|head| !head.text.is_empty()) {
        let header = Header::read(&head.name, format, &head.text, head.is_whole)?;
        let header = header.ok_or_else(|| {
            Error::data(format!("read the header of `{}`: it is longer than 1 MiB", head.name))
                .hint("`source.format` says how the file is written")
        })?;
        // A file of blank lines has no header, and no rows.
        if header.names.as_ref().is_none_or(|names| !names.is_empty()) {
            headers.push((head, header));
        }
    }
    if headers.is_empty() {
        return Err(Error::data("describe the files: none has a header")
            .hint("nothing tells the columns of files that have blank lines alone"));
    }
    let mut names: Vec<String> = Vec::new();
    for (head, header) in &headers {
        let known = |name: &String| names.contains(name);
        if !names.is_empty() && !header.names.iter().flatten().any(known) {
            return Err(Error::data(format!(
                "read the header of `{}`: it has no column of the files before it",
                head.name
            ))
            .hint(
                "the file may have no header, or another delimiter than the others: write a job for the \
                 files of each kind",
            ));
        }
        let more = header.names.iter().flatten().filter(|name| !names.contains(name)).cloned();
        let more: Vec<String> = more.collect();
        names.extend(more);
        // Unless columns may be missing, the first file says which there are.
        if !format.takes_missing() {
            break;
        }
    }
    if !format.has_header() {
        names = match &job.select {
            Some(names) => {
                let is_of_files = |name: &&String| !format.partition_columns.contains(name);
                names.iter().filter(is_of_files).cloned().collect()
            }
            None => unnamed(format, &headers),
        };
    }
    let mut found = Found { seen: vec![Seen::default(); names.len()], names, ..Found::default() };
    let columns: Vec<Column> =
        found.names.iter().map(|name| Column::plain(name, "", TargetType::String)).collect();
    for (head, header) in &headers {
        let name = &head.name;
        let width = Width::of(name, format, header, &columns, &found.names)?;
        look_at_records(format, head, header, &width, &mut found);
    }
    Ok(found)
}

/// The names of columns that no header names: as many as the first record has that there is.
fn unnamed(format: &Format, headers: &[(&Head, Header)]) -> Vec<String> {
    let fields = headers.iter().map(|(head, header)| {
        let mut records = Records::default();
        let rest = head.text.get(header.end..).unwrap_or_default();
        let dialect = format.dialect().with_returns(header.has_returns);
        let _ = dialect.split(rest, head.is_whole, false, 1, &mut records);
        records.iter().next().map_or(0, <[_]>::len)
    });
    let fields = fields.into_iter().find(|fields| *fields > 0).unwrap_or_default();
    (1..=fields).map(|number| format!("column_{number}")).collect()
}

/// Adds the values of a file's first records. What is wrong with a record is said when it is read.
fn look_at_records(
    format: &Format,
    head: &Head,
    header: &Header,
    width: &Width,
    found: &mut Found,
) {
    let dialect = format.dialect().with_returns(header.has_returns);
    let mut records = Records::default();
    let mut text = head.text.get(header.end..).unwrap_or_default().to_vec();
    let _ = dialect.split(&text, head.is_whole, width.fields == 1, usize::MAX, &mut records);
    let null = format.null.as_bytes();
    let lines: Vec<Vec<_>> = records.iter().map(<[_]>::to_vec).collect();
    found.rows += lines.len() as u64;
    for mut fields in lines {
        for (seen, place) in found.seen.iter_mut().zip(&width.of_columns) {
            let Some(field) = place.and_then(|place| fields.get_mut(place)) else { continue };
            if field.is_escaped() {
                dialect.unescape(field, null, &mut text);
            }
            // What is nothing may become a text, and says nothing of other types.
            if field.length() > 0 && !field.is_null(&text, null, true) {
                seen.add(field.of(&text));
            }
        }
    }
}

fn look_at_json(format: &Format, heads: &[Head], job: &TableJob) -> Result<Found> {
    let mut found = Found::default();
    let asked = job.columns.iter().filter(|(_, it)| it.target_type == Some(TargetType::Struct));
    found.shapes = asked.map(|(name, _)| (name.clone(), Shape::default())).collect();
    let mut places: HashMap<String, usize> = HashMap::new();
    for head in heads {
        let mut lines: Vec<&[u8]> = head.text.split(|byte| *byte == b'\n').collect();
        if !head.is_whole {
            lines.pop();
        }
        for (number, line) in lines.into_iter().enumerate() {
            if line.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let fields: Fields<'_> = match serde_json::from_slice(line) {
                Ok(fields) => fields,
                // It is set aside when it is read.
                Err(_) if format.bad_rows > 0 => continue,
                Err(_) => return Err(no_object(&head.name, number)),
            };
            found.rows += 1;
            for (key, value) in fields.0 {
                if let Some(shape) = found.shapes.get_mut(&key) {
                    shape.add(value.get());
                }
                let place = match places.get(&key) {
                    Some(place) => *place,
                    None => {
                        found.names.push(key.clone());
                        found.seen.push(Seen::default());
                        places.insert(key, places.len());
                        places.len() - 1
                    }
                };
                if let Some(seen) = found.seen.get_mut(place) {
                    seen.add_json(value.get());
                }
            }
        }
    }
    if found.names.is_empty() {
        if let Some(head) = heads.iter().find(|head| !head.is_whole && !head.text.contains(&b'\n'))
        {
            return Err(Error::data(format!(
                "describe the files: the first line of `{}` is longer than the megabyte that is looked at",
                head.name
            ))
            .hint("put a file with shorter lines among them: its keys and types are those of all"));
        }
        return Err(Error::data("describe the files: no object has a key")
            .hint("JSON lines have one object a line"));
    }
    Ok(found)
}

fn no_object(name: &str, number: usize) -> Error {
    Error::data(format!("read `{name}`, line {}: it is not a JSON object", number + 1)).hint(
        "JSON lines have one object a line; a file that is one large list or object has to be written \
         line by line, as by `jq -c '.[]'`",
    )
}

/// The columns of the table: those that the job chooses, or all, with the types that it names, or those that
/// the sample tells.
pub(super) fn columns_of(
    job: &TableJob,
    found: &Found,
    of_paths: &Found,
    format: &mut Format,
) -> Result<Vec<Column>> {
    let is_json = format.name == Some(FormatName::JsonLines);
    let columns =
        chosen_columns(job, &found.names, of_paths, |name| column(job, found, is_json, name))?;
    format.known = Some(found.names.clone());
    Ok(columns)
}

/// The columns that the job chooses, or all: those of the files with these names, as `column` makes them, and those of
/// their paths.
pub(super) fn chosen_columns(
    job: &TableJob,
    names: &[String],
    of_paths: &Found,
    column_of_files: impl Fn(&str) -> Result<Column>,
) -> Result<Vec<Column>> {
    if let Some(name) = names.iter().find(|name| of_paths.names.contains(name)) {
        return Err(Error::invalid(format!(
            "describe the files: column `{name}` is in the files and in their paths"
        ))
        .hint("leave it out of `source.partition_columns`"));
    }
    let all: Vec<String> = names.iter().chain(&of_paths.names).cloned().collect();
    let chosen = job.select.as_deref().unwrap_or(&all);
    let asked = chosen.iter().chain(job.columns.keys());
    if let Some(name) = asked.into_iter().find(|name| !all.contains(name)) {
        return Err(unknown_column(name, &all));
    }
    let columns = chosen.iter().map(|name| {
        if of_paths.names.contains(name) {
            column(job, of_paths, false, name)
        } else {
            column_of_files(name)
        }
    });
    let columns = Error::all(columns, refused)?;
    refuse_collisions(&columns)?;
    Ok(columns)
}

fn unknown_column(name: &str, names: &[String]) -> Error {
    Error::not_found(format!("describe the files: they have no column `{name}`"))
        .hint(sluice_contracts::job::nearest_hint(name, names))
}

fn column(job: &TableJob, found: &Found, is_json: bool, name: &str) -> Result<Column> {
    let place = found.names.iter().position(|known| known == name);
    let seen = place.and_then(|place| found.seen.get(place)).cloned().unwrap_or_default();
    let (told, told_target) = if is_json { seen.told_of_json() } else { seen.told() };
    let unasked = ColumnFile::default();
    let asked = job.columns.get(name).unwrap_or(&unasked);
    if let Some(shape) = found.shapes.get(name) {
        return Ok(Column {
            name: target_name(name, asked.name.as_deref())?,
            description: description(asked.description.as_deref()),
            on_invalid: asked.on_invalid.unwrap_or(OnInvalid::Fail),
            ..shape.column(name)?
        });
    }
    let (kind, target_type) = match asked.target_type {
        Some(wanted) if !Kind::TARGETS.contains(&wanted) => {
            let known: Vec<String> = Kind::TARGETS.iter().map(|it| format!("`{it}`")).collect();
            return Err(Error::invalid(format!(
                "describe the files: column `{name}` is text, and cannot become `{wanted}`"
            ))
            .hint(format!("set `columns.{name}.type` to one of {}", known.join(", "))));
        }
        Some(TargetType::String) if !is_json => (Kind::Text, TargetType::String),
        Some(wanted) => (Kind::Any, wanted),
        None => (told, told_target),
    };
    Ok(Column {
        name: target_name(name, asked.name.as_deref())?,
        source_type: told.name().to_owned(),
        encoding: kind.name().to_owned(),
        decimal: match target_type {
            TargetType::Numeric => Some(Decimal::NUMERIC),
            TargetType::Bignumeric => Some(Decimal::BIGNUMERIC),
            _ => None,
        },
        description: description(asked.description.as_deref()),
        on_invalid: asked.on_invalid.unwrap_or(OnInvalid::Fail),
        invalid: Some(kind.misfits(target_type).to_owned()),
        source_name: name.to_owned(),
        ..Column::plain("", "", target_type)
    })
}
