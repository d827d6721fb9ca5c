//! One value of SQLite's into one Arrow column.

use std::fmt::Write as _;

use rusqlite::types::ValueRef;
use sluice_contracts::Result;
use sluice_contracts::schema::{Column, Decimal, TargetType};

use super::decimal::Unscaled;
use super::moment;
use super::type_table::Encoding;
use crate::builder::{ColumnBuilder, Invalid};

const NOT_UTF8: Invalid = Invalid("text that is not UTF-8");

/// How a column's values are converted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion {
    target: TargetType,
    /// Whether digits in text are an integer: they are not in a column of integers, where SQLite
    /// has made an integer of every text that is one.
    digits_in_text: bool,
}

impl Conversion {
    /// The conversion that a plan asks for.
    pub(super) fn of(column: &Column) -> Result<Self> {
        let encoding = Encoding::parse(&column.encoding)?;
        let digits_in_text = matches!(encoding, Encoding::Text | Encoding::Untyped);
        Ok(Self { target: column.target_type, digits_in_text })
    }

    /// Appends a value that fits exactly. Where it does not, nothing is appended.
    #[inline]
    pub(super) fn append(
        self,
        builder: &mut ColumnBuilder,
        value: ValueRef<'_>,
    ) -> Result<(), Invalid> {
        if matches!(value, ValueRef::Null) {
            return builder.append_null();
        }
        match builder {
            ColumnBuilder::Int64(b) => b.append_value(self.integer(value)?),
            ColumnBuilder::Float64(b) => b.append_value(float(value)?),
            ColumnBuilder::Bool(b) => match value {
                ValueRef::Integer(0) => b.append_value(false),
                ValueRef::Integer(1) => b.append_value(true),
                _ => return Err(Invalid("a value other than 0 and 1")),
            },
            ColumnBuilder::Text(b) => match value {
                ValueRef::Text(text) | ValueRef::Blob(text) if self.target != TargetType::Json => {
                    b.append_value(std::str::from_utf8(text).map_err(|_| NOT_UTF8)?);
                }
                ValueRef::Text(text) => b.append_value(json(text)?),
                ValueRef::Blob(_) => return Err(Invalid("a blob")),
                // A builder's text never fails to grow.
                ValueRef::Integer(value) => {
                    let _ = write!(b, "{value}");
                    b.append_value("");
                }
                ValueRef::Real(value) => {
                    if self.target == TargetType::Json && !value.is_finite() {
                        return Err(Invalid("an infinite number"));
                    }
                    // The shortest text that reads as this very number, and as no integer.
                    let _ = write!(b, "{value:?}");
                    b.append_value("");
                }
                ValueRef::Null => {}
            },
            ColumnBuilder::Bytes(b) => match value {
                ValueRef::Blob(bytes) | ValueRef::Text(bytes) => b.append_value(bytes),
                _ => return Err(Invalid("a number")),
            },
            ColumnBuilder::Date(b) => {
                b.append_value(moment(value, "a text other than `YYYY-MM-DD`", moment::date)?);
            }
            ColumnBuilder::Time(b) => {
                const REASON: &str = "a text other than `HH:MM[:SS[.ffffff]]` below 24:00";
                b.append_value(moment(value, REASON, moment::time)?);
            }
            ColumnBuilder::Timestamp(b) if self.target == TargetType::Timestamp => {
                const REASON: &str =
                    "a text other than `YYYY-MM-DD HH:MM[:SS[.ffffff]]`, with or without a zone";
                b.append_value(moment(value, REASON, moment::timestamp)?);
            }
            ColumnBuilder::Timestamp(b) => {
                const REASON: &str =
                    "a text other than `YYYY-MM-DD HH:MM[:SS[.ffffff]]` without a zone";
                b.append_value(moment(value, REASON, moment::datetime)?);
            }
            ColumnBuilder::Decimal128(b, digits) => {
                let value = decimal(value, *digits)?.to_i128();
                b.append_value(value.ok_or(Invalid("more digits than the type has"))?);
            }
            ColumnBuilder::Decimal256(b, digits) => {
                let value = decimal(value, *digits)?.to_i256();
                b.append_value(value.ok_or(Invalid("more digits than the type has"))?);
            }
            ColumnBuilder::List(_) => return Err(Invalid("an array, which SQLite does not have")),
        }
        Ok(())
    }

    fn integer(self, value: ValueRef<'_>) -> Result<i64, Invalid> {
        match value {
            ValueRef::Integer(value) => Ok(value),
            ValueRef::Real(value) => {
                // Beyond 2^53 neighbouring integers have the same double.
                const EXACT: f64 = 9_007_199_254_740_992.0;
                if value.fract().abs() <= 0.0 && value.abs() <= EXACT {
                    #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
                    Ok(value as i64)
                } else {
                    Err(Invalid("a real number that is no exact integer"))
                }
            }
            ValueRef::Text(text) if self.digits_in_text => {
                let text = std::str::from_utf8(text).map_err(|_| NOT_UTF8)?;
                text.parse().map_err(|_| Invalid("text that is no 64-bit integer"))
            }
            ValueRef::Text(_) => Err(Invalid("text")),
            _ => Err(Invalid("a blob")),
        }
    }
}

fn float(value: ValueRef<'_>) -> Result<f64, Invalid> {
    match value {
        ValueRef::Real(value) => Ok(value),
        ValueRef::Integer(value) => {
            #[expect(clippy::cast_precision_loss, reason = "compared with the integer below")]
            let float = value as f64;
            #[expect(clippy::cast_possible_truncation, reason = "a double of at most 2^63")]
            let back = float as i128;
            if back == i128::from(value) {
                Ok(float)
            } else {
                Err(Invalid("an integer that a double would round"))
            }
        }
        ValueRef::Text(_) => Err(Invalid("text")),
        _ => Err(Invalid("a blob")),
    }
}

fn decimal(value: ValueRef<'_>, digits: Decimal) -> Result<Unscaled, Invalid> {
    match value {
        ValueRef::Integer(value) => {
            Unscaled::parse(Digits::of(format_args!("{value}")).text(), digits)
        }
        ValueRef::Real(value) if value.is_finite() => {
            Unscaled::parse(Digits::of(format_args!("{value:e}")).text(), digits)
        }
        ValueRef::Real(_) => Err(Invalid("an infinite number")),
        ValueRef::Text(text) => Unscaled::parse(text, digits),
        _ => Err(Invalid("a blob")),
    }
}

fn json(text: &[u8]) -> Result<&str, Invalid> {
    let text = std::str::from_utf8(text).map_err(|_| NOT_UTF8)?;
    match serde_json::from_str::<serde::de::IgnoredAny>(text) {
        Ok(_) => Ok(text),
        Err(_) => Err(Invalid("text that is not JSON")),
    }
}

fn moment<T>(
    value: ValueRef<'_>,
    reason: &'static str,
    parse: impl FnOnce(&[u8]) -> Option<T>,
) -> Result<T, Invalid> {
    match value {
        ValueRef::Text(text) => parse(text).ok_or(Invalid(reason)),
        ValueRef::Blob(_) => Err(Invalid("a blob")),
        _ => Err(Invalid("a number")),
    }
}

/// A number's digits without an allocation. The longest are those of a double: 17 digits, a point,
/// two signs and an exponent of three.
struct Digits {
    bytes: [u8; 32],
    length: usize,
}

impl Digits {
    fn of(number: std::fmt::Arguments<'_>) -> Self {
        let mut digits = Self { bytes: [0; 32], length: 0 };
        let _ = digits.write_fmt(number);
        digits
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl std::fmt::Write for Digits {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.length + text.len();
        let room = self.bytes.get_mut(self.length..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.length = end;
        Ok(())
    }
}
