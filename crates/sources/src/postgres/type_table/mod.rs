//! What PostgreSQL's types become: one row a type.
//!
//! To add a type: a row in [`TYPES`], and a [`Wire`] where its bytes are like no other's.

mod resolve;

use sluice_contracts::schema::{Column, Decimal, TargetType};
use sluice_contracts::{Error, Result};

pub(super) use resolve::{PgType, resolve};

use TargetType::{
    Bignumeric, Bool, Bytes, Date, Datetime, Float64, Int64, Json, Numeric, String as Text, Time,
    Timestamp,
};

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
    /// One byte, 0 or 1.
    Bool,
    /// Text in the client's encoding.
    Text,
    /// The type's own text, made by the server on request: the query casts the column.
    ServerText,
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
}

/// One type of the source.
#[derive(Debug)]
pub(super) struct Row {
    /// Its `pg_type.typname`, and its name as a column's `encoding`.
    pub name: &'static str,
    /// How its values are sent.
    pub wire: Wire,
    /// What it may become, the default first. STRING can be asked of every type, so it stands here
    /// only where the wire itself is text.
    pub targets: &'static [Target],
}

/// What a type may become.
#[derive(Debug)]
pub(super) struct Target {
    pub to: TargetType,
    /// Which values of the type `to` cannot hold.
    pub invalid: Option<&'static str>,
}

/// Every value fits.
const fn all(to: TargetType) -> Target {
    Target { to, invalid: None }
}

/// Every value fits but those of `invalid`.
const fn but(to: TargetType, invalid: &'static str) -> Target {
    Target { to, invalid: Some(invalid) }
}

const fn row(name: &'static str, wire: Wire, targets: &'static [Target]) -> Row {
    Row { name, wire, targets }
}

const SMALL: &[Target] = &[all(Int64), all(Float64), all(Numeric), all(Bignumeric)];
const LARGE: &[Target] =
    &[all(Int64), but(Float64, "integers that FLOAT64 would round"), all(Numeric), all(Bignumeric)];
const TEXT: &[Target] = &[all(Text), all(Bytes)];
const YEARS: &str = "infinity, years outside 1 to 9999";

/// Every type that is known. What a `numeric` cannot hold depends on its digits: [`resolve()`] tells.
pub(super) const TYPES: &[Row] = &[
    row("int2", Wire::Int2, SMALL),
    row("int4", Wire::Int4, SMALL),
    row("oid", Wire::Oid, SMALL),
    row("int8", Wire::Int8, LARGE),
    row("float4", Wire::Float4, &[all(Float64)]),
    row("float8", Wire::Float8, &[all(Float64)]),
    row("numeric", Wire::Numeric, &[all(Bignumeric), all(Numeric), all(Int64)]),
    row("bool", Wire::Bool, &[all(Bool)]),
    row("text", Wire::Text, TEXT),
    row("varchar", Wire::Text, TEXT),
    row("bpchar", Wire::Text, TEXT),
    row("name", Wire::Text, TEXT),
    row("citext", Wire::Text, TEXT),
    row("char", Wire::Char, &[but(Text, "bytes above 127")]),
    row(ENUM, Wire::Text, &[all(Text)]),
    row(SERVER_TEXT, Wire::ServerText, &[all(Text)]),
    row("bytea", Wire::Bytea, &[all(Bytes)]),
    row("date", Wire::Date, &[but(Date, YEARS)]),
    row("time", Wire::Time, &[but(Time, "24:00:00")]),
    row("timestamp", Wire::Timestamp, &[but(Datetime, YEARS)]),
    row("timestamptz", Wire::Timestamp, &[but(Timestamp, YEARS)]),
    row("uuid", Wire::Uuid, &[all(Text), all(Bytes)]),
    row("json", Wire::Text, &[all(Json), all(Text)]),
    row("jsonb", Wire::Jsonb, &[all(Json), all(Text)]),
];

/// The row of every enumerated type.
const ENUM: &str = "enum";
/// The row of whatever the job asks as STRING and the wire does not hold as text.
const SERVER_TEXT: &str = "server_text";

impl Row {
    /// The row that reads a column of this `encoding`.
    pub(super) fn named(encoding: &str) -> Option<&'static Self> {
        TYPES.iter().find(|row| row.name == encoding)
    }

    /// What it becomes when `to` is asked for.
    pub(super) fn target(&self, to: TargetType) -> Option<&Target> {
        self.targets.iter().find(|target| target.to == to)
    }
}

/// Whether a column of this `encoding` has to be cast to `text` in the query.
pub(super) fn as_text(encoding: &str) -> bool {
    Row::named(encoding).is_some_and(|row| row.wire == Wire::ServerText)
}

/// Checks that a column of a manifest can be read, and finds how.
///
/// # Errors
/// `Data` where no row of the table does what the column says.
pub(super) fn wire_of(column: &Column) -> Result<Wire> {
    let decimal_fits = column.decimal.is_none_or(|d| {
        (1..=Decimal::BIGNUMERIC.precision).contains(&d.precision) && d.scale <= d.precision
    });
    Row::named(&column.encoding)
        .filter(|row| decimal_fits && row.target(column.target_type).is_some())
        .map(|row| row.wire)
        .ok_or_else(|| {
            Error::data(format!(
                "read column `{}`: no type is sent as `{}` and becomes `{}` of these digits",
                column.name, column.encoding, column.target_type
            ))
            .hint("plan the run again with this version")
        })
}
