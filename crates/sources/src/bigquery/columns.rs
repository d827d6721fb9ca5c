//! Which columns are read, and what each becomes.

use serde_json::Value;
use sluice_contracts::documents::{Column, Decimal, OnInvalid, TargetType};
use sluice_contracts::job::{ColumnFile, TableJob};
use sluice_contracts::{Error, Result};

use super::type_table::Row;
use crate::naming::{description, refuse_collisions, refused, target_name};
use crate::sql::chosen;

/// What has columns: a table, a view, or a query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relation<'a> {
    /// For messages: `table ...`, or `the query`.
    pub(super) title: &'a str,
    /// Its columns, as the API describes them.
    pub(super) fields: &'a [Value],
    /// Whether BigQuery says of each whether it holds NULL.
    pub(super) says_nullable: bool,
}

/// The job's columns in its order, or all of the relation's.
pub(super) fn resolve(job: &TableJob, found: Relation<'_>) -> Result<Vec<Column>> {
    let find = |name: &str| {
        let same = |field: &&Value| is_named(field, name);
        found.fields.iter().find(same).ok_or_else(|| {
            let known: Vec<&str> = found.fields.iter().map(name_of).collect();
            Error::not_found(format!("describe {}: it has no column `{name}`", found.title))
                .hint(format!("its columns are {}", known.join(", ")))
        })
    };
    let chosen = chosen(job, found.fields, find)?;
    let columns = chosen.into_iter().map(|field| resolve_one(job, found, field));
    let columns = Error::all(columns, refused)?;
    refuse_collisions(&columns)?;
    Ok(columns)
}

/// The name of a field.
pub(super) fn name_of(field: &Value) -> &str {
    field["name"].as_str().unwrap_or_default()
}

/// Names of columns ignore case.
pub(super) fn is_named(field: &Value, name: &str) -> bool {
    name_of(field).to_lowercase() == name.to_lowercase()
}

/// The type of a field, by its standard name.
pub(super) fn type_of(field: &Value) -> String {
    match field["type"].as_str().unwrap_or_default() {
        "RANGE" => {
            let element = field["rangeElementType"]["type"].as_str().unwrap_or_default();
            format!("RANGE<{element}>")
        }
        "RECORD" => "STRUCT".to_owned(),
        name => Row::find(name).map_or(name, |row| row.kind.name()).to_owned(),
    }
}

fn resolve_one(job: &TableJob, found: Relation<'_>, field: &Value) -> Result<Column> {
    let name = name_of(field);
    let asked = job.columns.iter().find(|(asked, _)| is_named(field, asked));
    let asked = asked.map(|(_, asked)| asked);
    if let Some(ColumnFile { on_invalid: Some(OnInvalid::Null), .. }) = asked {
        return Err(Error::invalid(format!(
            "describe {}: `columns.{name}.on_invalid`: what a column of BigQuery becomes holds every \
             value, so there is nothing to replace by NULL",
            found.title
        ))
        .hint("leave it out; `source.query` can replace values by an expression"));
    }
    let column = of_field(found, field, asked.and_then(|asked| asked.target_type))?;
    Ok(Column {
        name: target_name(name, asked.and_then(|asked| asked.name.as_deref()))?,
        description: description(
            asked
                .and_then(|asked| asked.description.as_deref())
                .or_else(|| field["description"].as_str()),
        ),
        ..column
    })
}

/// A field as a column of its own name, of a type that the job asks for if it asks for one.
fn of_field(found: Relation<'_>, field: &Value, wanted: Option<TargetType>) -> Result<Column> {
    let (name, kind) = (name_of(field), type_of(field));
    let repeated = field["mode"] == "REPEATED";
    let digits = |key: &str| number(&field[key]).and_then(|digits| u8::try_from(digits).ok());
    let declared = digits("precision")
        .map(|precision| Decimal { precision, scale: digits("scale").unwrap_or(0) });
    let mut column = Column::plain(name, &kind.to_lowercase(), TargetType::Struct);
    column.source_type = if repeated { format!("ARRAY<{kind}>") } else { kind.clone() };
    column.repeated = repeated;
    column.description = description(field["description"].as_str());
    column.nullable =
        found.says_nullable.then_some(field["mode"] != "REQUIRED").filter(|_| !repeated);
    if repeated {
        // An array is never NULL in BigQuery.
        column.nullable = Some(false);
    }
    if kind == "STRUCT" {
        if wanted.is_some() {
            return Err(unfit(found, name, &column.source_type, wanted, &[]));
        }
        let fields = field["fields"].as_array().map(Vec::as_slice).unwrap_or_default();
        column.fields =
            fields.iter().map(|field| of_field(found, field, None)).collect::<Result<_>>()?;
        return Ok(column);
    }
    let Some(row) = Row::find(&kind) else {
        return Err(Error::invalid(format!(
            "describe {}: column `{name}` has the type `{kind}`, which is not known",
            found.title
        ))
        .hint(
            "leave it out with `source.columns`, or read it by an expression in `source.query`",
        ));
    };
    column.target_type = wanted.unwrap_or(row.kind);
    let fits = row.targets().any(|target| target == column.target_type);
    if !fits || (repeated && column.target_type != row.kind) {
        let targets: Vec<TargetType> = row.targets().filter(|_| !repeated).collect();
        return Err(unfit(found, name, &column.source_type, wanted, &targets));
    }
    match column.target_type {
        TargetType::Numeric | TargetType::Bignumeric if column.target_type == row.kind => {
            column.decimal = declared;
        }
        TargetType::String | TargetType::Bytes if column.target_type == row.kind => {
            column.max_length =
                number(&field["maxLength"]).and_then(|longest| u32::try_from(longest).ok());
        }
        _ => {}
    }
    Ok(column)
}

fn unfit(
    found: Relation<'_>,
    name: &str,
    source_type: &str,
    wanted: Option<TargetType>,
    targets: &[TargetType],
) -> Error {
    let wanted = wanted.map_or("", TargetType::name);
    let what = format!(
        "describe {}: column `{name}` of type `{source_type}` cannot become `{wanted}` and keep \
         every value",
        found.title
    );
    let query = "`source.query` can make anything of it by an expression";
    Error::invalid(what).hint(match targets {
        [] | [_] => format!("leave `columns.{name}.type` out; {query}"),
        targets => {
            let names: Vec<String> = targets.iter().map(|kind| format!("`{kind}`")).collect();
            format!("set `columns.{name}.type` to one of {}; {query}", names.join(", "))
        }
    })
}

fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}
