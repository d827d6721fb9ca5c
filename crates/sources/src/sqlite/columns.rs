//! Which columns are read, and what each becomes.

use sluice_contracts::documents::{Column, Decimal, OnInvalid, TargetType};
use sluice_contracts::job::TableJob;
use sluice_contracts::{Error, Result};

use super::catalog::{CatalogEntry, Form, SourceColumn};
use super::type_table::{Encoding, declared};
use crate::naming::{description, refuse_collisions, refused, target_name};
use crate::sql::chosen;

/// The job's columns in its order, or all of the relation's.
pub(super) fn resolve(job: &TableJob, found: &CatalogEntry) -> Result<Vec<Column>> {
    let chosen = chosen(job, &found.columns, |name| found.column(name))?;
    let columns = chosen.into_iter().map(|column| resolve_one(job, found, column));
    let columns = Error::all(columns, refused)?;
    refuse_collisions(&columns)?;
    Ok(columns)
}

fn resolve_one(job: &TableJob, found: &CatalogEntry, source: &SourceColumn) -> Result<Column> {
    let name = &source.name;
    let asked = job.columns.get(name).or_else(|| {
        let same = |(other, _): &(&String, _)| other.eq_ignore_ascii_case(name);
        job.columns.iter().find(same).map(|(_, asked)| asked)
    });
    let known = declared(&source.declared);
    let wanted = asked.and_then(|asked| asked.target_type);
    let (target_type, decimal) = match (wanted, known.target) {
        (Some(wanted), _) => {
            refuse_unfit(found, source, known.encoding, wanted)?;
            (wanted, full_width(wanted))
        }
        (None, Some(target)) => (target, known.decimal),
        (None, None) => return Err(unknown(found, source)),
    };
    // A job that asks for the text of a text column wants the blobs in it as text, too.
    let encoding = match (known.encoding, wanted) {
        (Encoding::Text, Some(TargetType::String)) => Encoding::Untyped,
        (encoding, _) => encoding,
    };
    // A key is an integer and never NULL: SQLite stores nothing else in it.
    let misfits = encoding.misfits(target_type, found.strict || source.rowid);
    Ok(Column {
        name: target_name(name, asked.and_then(|asked| asked.name.as_deref()))?,
        source_name: name.clone(),
        source_type: source.declared.clone(),
        encoding: encoding.name().to_owned(),
        target_type,
        repeated: false,
        decimal,
        fields: Vec::new(),
        nullable: (found.form != Form::Derived).then_some(!source.not_null && !source.rowid),
        // SQLite does not hold a text to the length of its declaration.
        max_length: None,
        description: description(asked.and_then(|asked| asked.description.as_deref())),
        on_invalid: asked.and_then(|asked| asked.on_invalid).unwrap_or(OnInvalid::Fail),
        invalid: misfits.map(str::to_owned),
    })
}

/// All digits of a decimal type that the job asks for by name.
fn full_width(target: TargetType) -> Option<Decimal> {
    match target {
        TargetType::Numeric => Some(Decimal::NUMERIC),
        TargetType::Bignumeric => Some(Decimal::BIGNUMERIC),
        _ => None,
    }
}

fn refuse_unfit(
    found: &CatalogEntry,
    source: &SourceColumn,
    encoding: Encoding,
    wanted: TargetType,
) -> Result<()> {
    if wanted == TargetType::String || encoding.targets().contains(&wanted) {
        return Ok(());
    }
    let name = &source.name;
    let fit: Vec<String> = encoding
        .targets()
        .iter()
        .filter(|target| **target != TargetType::String)
        .map(|target| format!("`{target}`, "))
        .collect();
    Err(Error::invalid(format!(
        "describe {}: column `{name}` of declared type `{}` cannot become `{wanted}`",
        found.title, source.declared
    ))
    .hint(format!("set `columns.{name}.type` to one of {}`STRING`", fit.concat())))
}

fn unknown(found: &CatalogEntry, source: &SourceColumn) -> Error {
    let (name, title) = (&source.name, &found.title);
    let encoding = declared(&source.declared).encoding;
    let what = if source.declared.is_empty() {
        format!("describe {title}: column `{name}` has no declared type")
    } else if encoding == Encoding::Decimal {
        format!(
            "describe {title}: column `{name}` has declared type `{}`, which no type of the target \
             holds",
            source.declared
        )
    } else {
        format!(
            "describe {title}: column `{name}` has declared type `{}`, which is not known",
            source.declared
        )
    };
    let way_out = format!("set `columns.{name}.type` to `STRING` or another type");
    Error::invalid(what).hint(match found.form {
        Form::Derived => format!("{way_out}, or write `CAST(... AS ...)` where it is selected"),
        _ => way_out,
    })
}
