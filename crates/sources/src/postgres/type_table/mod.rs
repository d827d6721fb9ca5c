//! What PostgreSQL's types become: one row per type.
//!
//! To add a type: a row in its family's file, and a [`Wire`] if its bytes are unlike any other's.

mod documentation;
mod extensions;
mod geometry;
mod internals;
mod invalid_values;
mod numbers;
mod numeric;
mod pg_type;
mod resolve;
mod select_expressions;
#[cfg(test)]
mod tests;
mod texts;
mod times;

use sluice_contracts::documents::{Column, Decimal, TargetType};
use sluice_contracts::{Error, Result};

pub(super) use documentation::type_documentation;
pub(super) use invalid_values::{suspicion, suspicion_of_element};
pub(super) use pg_type::{Arrays, PgType};
pub(super) use resolve::resolve;
pub(super) use select_expressions::expression;

use crate::documentation::Example;
use select_expressions::SelectExpression;

/// How the server sends a value in binary COPY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wire {
    /// 16-bit integer.
    Int2,
    /// 32-bit integer.
    Int4,
    /// 32-bit unsigned integer.
    Oid,
    /// 64-bit integer.
    Int8,
    /// 32-bit IEEE 754.
    Float4,
    /// 64-bit IEEE 754.
    Float8,
    /// Digits to base 10,000, with a weight and a sign.
    Numeric,
    /// 64-bit integer of the currency's smallest unit.
    Money,
    /// One byte, 0 or 1.
    Bool,
    /// Text in the client's encoding.
    Text,
    /// JSON text made by the server; empty for an array whose lower bounds JSON cannot express.
    Json,
    /// 64-bit microseconds, then 32-bit days and 32-bit months.
    Interval,
    /// A byte of flags, then the bounds, each with its length.
    Range(RangeOf),
    /// One byte of text; 0 is the empty text.
    Char,
    /// Bytes as they are.
    Bytea,
    /// Days since 2000-01-01.
    Date,
    /// Microseconds since midnight.
    Time,
    /// Microseconds since 2000-01-01.
    Timestamp,
    /// 16 bytes.
    Uuid,
    /// A version byte, then text.
    Jsonb,
    /// EWKB, whose edges are straight on the plane.
    Geometry,
    /// EWKB, whose edges are straight on the earth.
    Geography,
}

/// What a range is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RangeOf {
    /// `daterange`
    Date,
    /// `tsrange`
    Timestamp,
    /// `tstzrange`
    Timestamptz,
}

/// One type of the source.
#[derive(Debug)]
pub(super) struct Row {
    /// Its `pg_type.typname`, and its name as a column's `encoding`.
    pub name: &'static str,
    /// The extension that it belongs to; empty for the server's own.
    pub extension: &'static str,
    /// How its values are sent.
    pub wire: Wire,
    /// What the query asks the server for.
    pub form: SelectExpression,
    /// What it may become, the default first. A job can ask for STRING with every type, so it is
    /// listed only if the server sends text anyway.
    pub targets: &'static [Target],
    /// Why it is read only as text, and only if the job asks for that.
    pub refused: Option<&'static str>,
    /// Why values inside of the server's JSON would not be exact.
    pub inexact_json: Option<&'static str>,
    /// A value, and what becomes of it.
    pub example: Example,
}

/// What a type may become.
#[derive(Debug)]
pub(super) struct Target {
    pub to: TargetType,
    /// Whether a single value becomes an array of `to`.
    pub repeated: bool,
    /// Which values of the type `to` cannot hold.
    pub invalid: Option<&'static str>,
}

/// Every value fits.
const fn all(to: TargetType) -> Target {
    Target { to, repeated: false, invalid: None }
}

/// Every value fits but those of `invalid`.
const fn but(to: TargetType, invalid: &'static str) -> Target {
    Target { to, repeated: false, invalid: Some(invalid) }
}

/// A type that is read as the server sends it.
const fn row(
    name: &'static str,
    wire: Wire,
    targets: &'static [Target],
    source: &'static str,
    target: &'static str,
) -> Row {
    Row {
        name,
        extension: "",
        wire,
        form: SelectExpression::Column,
        targets,
        refused: None,
        inexact_json: None,
        example: Example { source, target },
    }
}

/// A type that is read as the server's own text of it.
const fn text(name: &'static str, source: &'static str, target: &'static str) -> Row {
    Row { form: SelectExpression::TEXT, ..row(name, Wire::Text, TEXT, source, target) }
}

/// A type whose text does not say what its value is.
const fn refused(name: &'static str, reason: &'static str) -> Row {
    Row {
        refused: Some(reason),
        form: SelectExpression::TEXT,
        ..row(name, Wire::Text, &[], "", "")
    }
}

impl Row {
    /// The same for an extension's type.
    const fn of(self, extension: &'static str) -> Self {
        Self { extension, ..self }
    }

    /// The same for a type that the server's JSON does not hold exactly.
    const fn inexact_json(self, reason: &'static str) -> Self {
        Self { inexact_json: Some(reason), ..self }
    }
}

const TEXT: &[Target] = &[all(TargetType::String), all(TargetType::Bytes)];

/// Every type that is known, by family, in the order of the documentation.
const FAMILIES: &[(&str, &[Row])] = &[
    ("numbers", numbers::ROWS),
    ("text and bytes", texts::ROWS),
    ("dates and times", times::ROWS),
    ("documents and composites", texts::DOCUMENTS),
    ("networks and bits", texts::NETWORKS),
    ("ranges", times::RANGES),
    ("geometry", geometry::ROWS),
    ("text search", texts::SEARCH),
    ("identifiers of the server", internals::ROWS),
    ("extensions", extensions::ROWS),
    ("internal", internals::REFUSED),
];

/// Every row: of the types, and of the texts that can be made of any type.
fn rows() -> impl Iterator<Item = &'static Row> {
    FAMILIES.iter().flat_map(|(_, rows)| *rows).chain(select_expressions::ROWS)
}

/// The row of every enumerated type.
const ENUM: &str = "enum";
/// The row of every composite type.
const COMPOSITE: &str = "composite";

impl Row {
    /// The row that reads a column of this `encoding`.
    pub(super) fn named(encoding: &str) -> Option<&'static Self> {
        rows().find(|row| row.name == encoding)
    }

    /// The row of a type of the catalogue.
    fn of_type(extension: &str, name: &str, typtype: char) -> Option<&'static Self> {
        let mut types = FAMILIES.iter().flat_map(|(_, rows)| *rows);
        let mut exact = || types.find(|row| row.name == name && row.extension == extension);
        match typtype {
            'e' => Self::named(ENUM),
            'c' => Self::named(COMPOSITE),
            'r' => exact().or_else(|| Self::named("range")),
            'm' => exact().or_else(|| Self::named("multirange")),
            'b' => exact(),
            _ => None,
        }
    }

    /// The row that reads a column of a manifest.
    fn of_column(column: &Column) -> Option<&'static Self> {
        let reads =
            |row: &&Self| row.name == column.encoding && row.target(column.target_type).is_some();
        rows().chain(times::EARLIER).find(reads)
    }

    /// What it becomes when `to` is asked for.
    pub(super) fn target(&self, to: TargetType) -> Option<&Target> {
        self.targets.iter().find(|target| target.to == to)
    }
}

/// Why the server's JSON does not hold values of this type exactly, if it does not.
pub(super) fn inexact_json(extension: &str, name: &str, typtype: char) -> Option<&'static str> {
    Row::of_type(extension, name, typtype).and_then(|row| row.inexact_json)
}

/// Checks that a column of a manifest can be read, and finds how.
///
/// # Errors
/// `Data` if no row of the table matches the column.
pub(super) fn wire_of(column: &Column) -> Result<Wire> {
    let decimal_fits = column.decimal.is_none_or(|d| {
        (1..=Decimal::BIGNUMERIC.precision).contains(&d.precision) && d.scale <= d.precision
    });
    let repeats = |target: &Target| column.repeated || !target.repeated;
    Row::of_column(column)
        .filter(|row| decimal_fits && row.target(column.target_type).is_some_and(repeats))
        .map(|row| row.wire)
        .ok_or_else(|| {
            Error::data(format!(
                "read column `{}`: encoding `{}` cannot become `{}` of these digits",
                column.name, column.encoding, column.target_type
            ))
            .hint("plan the run again with this version")
        })
}
