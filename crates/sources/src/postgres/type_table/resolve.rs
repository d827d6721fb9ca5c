//! From a column of the catalogue, and the type that the job asks for, to what it becomes.

use sluice_contracts::documents::{Decimal, TargetType};
use sluice_contracts::job::ColumnFile;
use sluice_contracts::{Error, Result};

use super::numeric::{self, NumericTarget};
use super::pg_type::{Arrays, PgType};
use super::select_expressions::{
    ARRAY_JSON, BOUNDED_JSON, MONEY_ARRAY_TEXT, MONEY_TEXT, SERVER_JSON, SERVER_TEXT,
};
use super::{COMPOSITE, Row, Wire};

use TargetType::{Bignumeric, Bytes, Geography, Json, Numeric, String as Text};

/// What makes a whole array invalid.
pub(super) const ARRAYS: &str =
    "NULL elements, more than one dimension, a lower bound other than 1";

/// What a column becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::postgres) struct Resolved {
    /// Name of the row that reads it.
    pub encoding: String,
    pub target_type: TargetType,
    pub repeated: bool,
    pub decimal: Option<Decimal>,
    /// Which values are invalid.
    pub invalid: Option<String>,
}

/// Finds what a column becomes by its type and by the type that the job asks for.
///
/// # Errors
/// `Invalid` if the type is not known or refused, or if the wanted type cannot hold it.
pub(in crate::postgres) fn resolve(
    column: &str,
    pg: &PgType<'_>,
    wanted: Option<&ColumnFile>,
) -> Result<Resolved> {
    let wanted = wanted.and_then(|column| column.target_type);
    let row = Row::of_type(pg.extension, pg.base, pg.typtype);
    if wanted == Some(Text) && !row.is_some_and(|row| is_text(pg, row)) {
        return made(as_text(pg, row), Text);
    }
    if wanted == Some(Bytes) && row.is_none_or(|row| is_document(pg, row)) {
        return made(SERVER_TEXT, Bytes);
    }
    let Some(row) = row else {
        return Err(no_way_but_text(column, pg, "is not known"));
    };
    if let Some(reason) = row.refused {
        return Err(no_way_but_text(column, pg, &format!("is not copied: {reason}")));
    }
    let element_is_one = row.targets.iter().any(|target| !target.repeated);
    let as_one = match pg.arrays {
        Arrays::None => false,
        Arrays::One => {
            row.name == COMPOSITE
                || !element_is_one
                || wanted == Some(Json) && row.target(Json).is_none()
        }
        Arrays::Deep => true,
    };
    if as_one || row.name == COMPOSITE || wanted == Some(Json) && row.target(Json).is_none() {
        return document(column, pg, row, wanted);
    }
    let (target_type, decimal, invalid) = match row.wire {
        Wire::Numeric => numeric::decimal(column, pg, wanted)?
            .ok_or_else(|| cannot_become(column, pg, Some(row), wanted))?,
        _ => plain(column, pg, row, wanted)?,
    };
    let array = pg.arrays == Arrays::One;
    let invalid = match (array, invalid) {
        (true, Some(invalid)) => Some(format!("{ARRAYS}, {invalid}")),
        (true, None) => Some(ARRAYS.to_owned()),
        (false, invalid) => invalid,
    };
    let repeated = array || row.target(target_type).is_some_and(|target| target.repeated);
    Ok(Resolved { encoding: row.name.to_owned(), target_type, repeated, decimal, invalid })
}

/// Whether a value of the type is sent as its text anyway. An array as STRING is one text: it holds
/// what REPEATED cannot.
fn is_text(pg: &PgType<'_>, row: &Row) -> bool {
    pg.arrays == Arrays::None && row.target(Text).is_some()
}

/// Whether it becomes one JSON document, whose text holds other texts.
fn is_document(pg: &PgType<'_>, row: &Row) -> bool {
    row.name == COMPOSITE || pg.arrays == Arrays::Deep || row.wire == Wire::Json
}

/// The row that makes one text of the column.
fn as_text(pg: &PgType<'_>, row: Option<&Row>) -> &'static str {
    match row.map(|row| row.wire) {
        Some(Wire::Money) if pg.arrays == Arrays::None => MONEY_TEXT,
        Some(Wire::Money) => MONEY_ARRAY_TEXT,
        _ => SERVER_TEXT,
    }
}

/// The result of a row that does not belong to a type.
fn made(encoding: &'static str, target_type: TargetType) -> Result<Resolved> {
    let target = Row::named(encoding).and_then(|row| row.target(target_type));
    let target = target.ok_or_else(|| Error::bug(format!("make {target_type} by `{encoding}`")))?;
    Ok(Resolved {
        encoding: encoding.to_owned(),
        target_type,
        repeated: false,
        decimal: None,
        invalid: target.invalid.map(str::to_owned),
    })
}

/// One JSON document, made by the server.
fn document(
    column: &str,
    pg: &PgType<'_>,
    row: &Row,
    wanted: Option<TargetType>,
) -> Result<Resolved> {
    let possible = row.name == COMPOSITE || pg.arrays > Arrays::None;
    if !possible || wanted.is_some_and(|to| to != Json) {
        return Err(cannot_become(column, pg, Some(row), wanted));
    }
    if let Some(reason) = row.inexact_json.or(pg.inexact) {
        return Err(no_way_but_text(
            column,
            pg,
            &format!("is not exact in the server's JSON: {reason}"),
        ));
    }
    let encoding = match pg.arrays {
        _ if pg.has_arrays => BOUNDED_JSON,
        Arrays::None => SERVER_JSON,
        Arrays::One | Arrays::Deep => ARRAY_JSON,
    };
    made(encoding, Json)
}

/// A type that its row of the table describes completely.
fn plain(
    column: &str,
    pg: &PgType<'_>,
    row: &Row,
    wanted: Option<TargetType>,
) -> Result<NumericTarget> {
    let target = match wanted {
        None => row.targets.first(),
        Some(to) => row.target(to),
    };
    let target = target.ok_or_else(|| cannot_become(column, pg, Some(row), wanted))?;
    if target.to == Geography {
        declared_place(column, pg)?;
    }
    let decimal = matches!(target.to, Numeric | Bignumeric).then(|| match row.wire {
        Wire::Money => numeric::of_money(pg.typmod),
        Wire::Int2 => Decimal { precision: 5, scale: 0 },
        Wire::Int4 | Wire::Oid => Decimal { precision: 10, scale: 0 },
        _ => Decimal { precision: 19, scale: 0 },
    });
    Ok((target.to, decimal, target.invalid.map(str::to_owned)))
}

/// Refuses shapes that GEOGRAPHY cannot hold by their declaration alone.
///
/// `PostGIS` packs 21 bits of SRID, 6 of kind, and one each for Z and M into the modifier
/// (`TYPMOD_GET_SRID` and its neighbours in `liblwgeom.h`).
fn declared_place(column: &str, pg: &PgType<'_>) -> Result<()> {
    if pg.typmod < 0 {
        return Ok(());
    }
    let (srid, kind) = ((pg.typmod & 0x0fff_ff00) >> 8, (pg.typmod & 0xfc) >> 2);
    let reason = match (srid, kind, pg.typmod & 3) {
        (0 | 4326, 0..=7, 0) => return Ok(()),
        (0 | 4326, 0..=7, _) => "more than two coordinates",
        (0 | 4326, _, _) => "curves or surfaces",
        _ => "coordinates that are no degrees of SRID 4326",
    };
    Err(Error::invalid(format!(
        "describe column `{column}`: type `{}` holds {reason}, which GEOGRAPHY does not",
        pg.display
    ))
    .hint(format!(
        "set `columns.{column}.type` to `BYTES` for EWKB or to `STRING` for its hexadecimal \
         digits, or move it with a query that transforms it: `ST_Transform(..., 4326)`"
    )))
}

fn no_way_but_text(column: &str, pg: &PgType<'_>, reason: &str) -> Error {
    Error::invalid(format!("describe column `{column}`: type `{}` {reason}", pg.display)).hint(
        format!(
            "set `columns.{column}.type` to `STRING` to load the text that the server makes of it"
        ),
    )
}

fn cannot_become(
    column: &str,
    pg: &PgType<'_>,
    row: Option<&Row>,
    wanted: Option<TargetType>,
) -> Error {
    let mut names: Vec<&str> = Vec::new();
    let element = row.filter(|row| pg.arrays < Arrays::Deep && row.name != COMPOSITE);
    let targets = element.map_or(&[][..], |row| row.targets);
    let usable = targets.iter().filter(|to| pg.arrays == Arrays::None || !to.repeated);
    names.extend(usable.map(|target| target.to.name()));
    let possible = pg.arrays > Arrays::None || row.is_some_and(|row| row.name == COMPOSITE);
    let exact = pg.inexact.is_none() && row.is_some_and(|row| row.inexact_json.is_none());
    let bytes = row.is_none_or(|row| is_document(pg, row));
    let more = [(Json.name(), possible && exact), (Bytes.name(), bytes), (Text.name(), true)];
    for (name, possible) in more {
        if possible && !names.contains(&name) {
            names.push(name);
        }
    }
    let known = match names.split_last() {
        Some((last, [])) => format!("`{last}`"),
        Some((last, others)) => format!("`{}` or `{last}`", others.join("`, `")),
        None => String::new(),
    };
    let wanted = wanted.map_or("nothing", TargetType::name);
    Error::invalid(format!(
        "describe column `{column}`: type `{}` cannot become `{wanted}`",
        pg.display
    ))
    .hint(format!("set `columns.{column}.type` to {known}"))
}
