//! The hint for a value that its column's type does not hold: how to find such rows, and what the
//! job can set.

use std::fmt::Write as _;

use rusqlite::types::ValueRef;
use sluice_contracts::documents::{Column, Cut, Decimal, Relation, Table, TargetType, Unit};

use super::catalog::{CatalogEntry, Form};
use super::dialect::{SqliteDialect, quote};
use super::type_table::Encoding;
use super::value::{TIMED, ZONED};
use crate::builder::Invalid;
use crate::datetime::TextFormat;
use crate::sql::predicate;

/// Whole numbers up to this one are exact as doubles.
const EXACT: i64 = 1 << 53;

/// The rows of a unit, as a person would select them.
#[derive(Debug)]
pub(super) struct Rows {
    /// The query up to the conditions; empty for the job's own query.
    select: String,
    /// Conditions that the unit's rows meet.
    covered: Vec<String>,
    /// Whether only the unit's rows meet them.
    whole: bool,
}

impl Rows {
    /// The rows of `unit`.
    pub(super) fn of(table: &Table, unit: &Unit, found: &CatalogEntry) -> Self {
        let mut covered: Vec<String> =
            table.filter.iter().map(|filter| format!("({})", filter.trim())).collect();
        // The function that hash cuts are made with is unknown outside of this program.
        if !matches!(unit.cut, Cut::Full | Cut::Hash { .. }) {
            let spelling = |key: &str| {
                let column = table.columns.iter().find(|c| c.source_name.eq_ignore_ascii_case(key));
                let encoding = column.and_then(|column| Encoding::parse(&column.encoding).ok());
                encoding.map_or(TextFormat::default(), Encoding::spelling)
            };
            let columns = SqliteDialect { name: &quote, format: &spelling, all: &[] };
            covered.extend(predicate(&columns, &unit.cut));
        }
        let names = match &found.form {
            Form::Rowid(name) if found.columns.iter().any(|column| column.name == *name) => {
                quote(name)
            }
            Form::Rowid(name) => name.clone(),
            Form::WithoutRowid => {
                let key: Vec<String> = found.identity().iter().map(|name| quote(name)).collect();
                key.join(", ")
            }
            Form::Derived => "*".to_owned(),
        };
        let select = match &table.relation {
            Relation::Query(_) | Relation::Files { .. } => String::new(),
            Relation::Table { .. } => format!("SELECT {names} FROM {} WHERE ", quote(&found.name)),
        };
        Self { select, covered, whole: !matches!(unit.cut, Cut::Hash { .. }) }
    }

    /// How to find the row with this value, which is the unit's `number`th, and the remedies.
    pub(super) fn hint(
        &self,
        column: &Column,
        number: u64,
        value: ValueRef<'_>,
        reason: Invalid,
    ) -> String {
        let name = &column.source_name;
        let mut conditions = such(&quote(name), column, value);
        for covered in &self.covered {
            conditions.push_str(" AND ");
            conditions.push_str(covered);
        }
        // No function of SQLite's says whether bytes are UTF-8, but its order is the reader's own.
        let utf8 = std::str::from_utf8(value.as_bytes().unwrap_or_default()).is_ok();
        if !utf8
            && column.target_type == TargetType::String
            && self.whole
            && !self.select.is_empty()
        {
            conditions = self.covered.join(" AND ");
            if conditions.is_empty() {
                conditions.push_str("true");
            }
            let _ = write!(conditions, " LIMIT 1 OFFSET {}", number.saturating_sub(1));
        }
        let ways = match way_out(column, value, reason) {
            Some(other) => format!(
                "`columns.{name}.on_invalid` to `null`, or `columns.{name}.type` to `{other}`"
            ),
            None => format!("`columns.{name}.on_invalid` to `null`"),
        };
        let found = if self.select.is_empty() { "it is where" } else { "find it with" };
        format!("{found} `{}{conditions}`; or set {ways}", self.select)
    }
}

/// A type that holds such a value in such a column, if there is one.
pub(super) fn way_out(column: &Column, value: ValueRef<'_>, reason: Invalid) -> Option<TargetType> {
    use TargetType as T;
    let encoding = Encoding::parse(&column.encoding).unwrap_or(Encoding::Untyped);
    let nearer = match (reason, value) {
        (ZONED, _) => Some(T::Timestamp),
        (TIMED, _) => Some(T::Datetime),
        (_, ValueRef::Integer(_)) => Some(T::Int64),
        (_, ValueRef::Real(_)) => Some(T::Float64),
        (_, ValueRef::Blob(_)) => Some(T::Bytes),
        _ => None,
    };
    let nearer = nearer.filter(|to| *to != column.target_type && encoding.targets().contains(to));
    nearer.or(match (column.target_type, value) {
        // Text that is not UTF-8 still has bytes.
        (T::String, ValueRef::Text(_)) => {
            Some(T::Bytes).filter(|to| encoding.targets().contains(to))
        }
        (T::String, ValueRef::Blob(_)) => None,
        _ => Some(T::String),
    })
}

/// A condition that such a value meets and, as far as SQL can say it, a value that fits does not.
fn such(name: &str, column: &Column, value: ValueRef<'_>) -> String {
    use TargetType as T;
    let (class, narrower) = match value {
        ValueRef::Null => return format!("{name} IS NULL"),
        ValueRef::Blob(_) => ("blob", None),
        ValueRef::Integer(_) => (
            "integer",
            match column.target_type {
                T::Bool => Some(format!("{name} NOT IN (0, 1)")),
                T::Float64 => Some(format!("{name} NOT BETWEEN -{EXACT} AND {EXACT}")),
                T::Numeric | T::Bignumeric => {
                    most(column).map(|most| format!("{name} NOT BETWEEN -{most} AND {most}"))
                }
                _ => None,
            },
        ),
        ValueRef::Real(_) => (
            "real",
            match column.target_type {
                T::Int64 => {
                    Some(format!("({name} <> CAST({name} AS INTEGER) OR abs({name}) > {EXACT})"))
                }
                T::Numeric | T::Bignumeric => column.decimal.map(|Decimal { precision, scale }| {
                    let whole = precision.saturating_sub(scale);
                    format!("(abs({name}) >= 1e{whole} OR round({name}, {scale}) <> {name})")
                }),
                T::Json => Some(format!("abs({name}) = 9e999")),
                _ => None,
            },
        ),
        ValueRef::Text(_) => (
            "text",
            match column.target_type {
                T::Int64 => Some(format!("CAST(CAST({name} AS INTEGER) AS TEXT) <> {name}")),
                T::Bool => Some(format!("lower({name}) NOT IN ('true', 'false', 't', 'f')")),
                T::Date => Some(format!("date({name}) IS NOT {name}")),
                T::Time => Some(format!(
                    "(strftime('%H:%M', {name}) IS NOT substr({name}, 1, 5) OR length({name}) > 15)"
                )),
                T::Datetime => Some(format!(
                    "(strftime('%Y-%m-%d', {name}) IS NOT substr({name}, 1, 10) OR length({name}) > 26 \
                 OR substr({name}, 1, 4) = '0000' OR substr({name}, 11) GLOB '*[zZ+-]*')"
                )),
                T::Timestamp => Some(format!(
                    "(date(substr({name}, 1, 10)) IS NOT substr({name}, 1, 10) \
                 OR julianday({name}) IS NULL OR length({name}) > 26 OR {name} < '0001-01-02' \
                 OR {name} > '9999-12-31')"
                )),
                T::Json => Some(format!("NOT json_valid({name})")),
                _ => None,
            },
        ),
    };
    match narrower {
        Some(narrower) => format!("typeof({name}) = '{class}' AND {narrower}"),
        None => format!("typeof({name}) = '{class}'"),
    }
}

/// The greatest integer of a decimal type, where some integers are greater.
fn most(column: &Column) -> Option<i64> {
    let Decimal { precision, scale } = column.decimal?;
    let beyond = 10_i64.checked_pow(u32::from(precision.saturating_sub(scale)))?;
    Some(beyond - 1)
}
