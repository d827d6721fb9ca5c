//! Converting one SQLite value into one Arrow column.

use std::fmt::Write as _;

use rusqlite::types::ValueRef;
use sluice_contracts::Result;
use sluice_contracts::documents::{Column, Decimal, TargetType};

use super::type_table::Encoding;
use crate::builder::{ColumnBuilder, Invalid};
use crate::datetime;
use crate::decimal::Unscaled;

const NOT_UTF8: Invalid = Invalid("text that is not UTF-8");
const BLOB: Invalid = Invalid("a blob");
/// A time with a zone, where the type holds no zones.
pub(super) const ZONED: Invalid = Invalid("a time with a zone");
/// A day with a time, where the type holds only days.
pub(super) const TIMED: Invalid = Invalid("a day with a time");

/// How a column's values are converted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion {
    target: TargetType,
    /// Whether digits in text are an integer. They are not in a column of integers, where SQLite
    /// has already converted every text that is an integer.
    digits_in_text: bool,
    /// Whether a blob may be read as text. In a column of text a blob is a mistake: the eight bytes
    /// of a number, for example, may be UTF-8 too.
    blobs_as_text: bool,
}

impl Conversion {
    /// The conversion that a plan asks for.
    pub(super) fn of(column: &Column) -> Result<Self> {
        let encoding = Encoding::parse(&column.encoding)?;
        let digits_in_text = matches!(encoding, Encoding::Text | Encoding::Untyped);
        let blobs_as_text = encoding != Encoding::Text;
        Ok(Self { target: column.target_type, digits_in_text, blobs_as_text })
    }

    /// Whether a value fits exactly.
    pub(super) fn check(self, column: &Column, value: ValueRef<'_>) -> Result<(), Invalid> {
        self.append(&mut ColumnBuilder::new(column), value)
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
            ColumnBuilder::Int32(b) => {
                let short = i32::try_from(self.integer(value)?);
                b.append_value(short.map_err(|_| Invalid("an integer of more than 32 bits"))?);
            }
            ColumnBuilder::Int64(b) => b.append_value(self.integer(value)?),
            ColumnBuilder::Float64(b) => b.append_value(float(value)?),
            ColumnBuilder::Bool(b) => b.append_value(truth(value)?),
            ColumnBuilder::Text(b) => match value {
                ValueRef::Text(text) if self.target == TargetType::Json => {
                    b.append_value(json(text)?);
                }
                ValueRef::Blob(_) if self.target == TargetType::Json || !self.blobs_as_text => {
                    return Err(BLOB);
                }
                ValueRef::Text(text) => b.append_value(utf8(text)?),
                ValueRef::Blob(bytes) => {
                    let text = std::str::from_utf8(bytes);
                    b.append_value(text.map_err(|_| Invalid("a blob that is not UTF-8"))?);
                }
                // Writing to a builder never fails.
                ValueRef::Integer(value) => {
                    let _ = write!(b, "{value}");
                    b.append_value("");
                }
                ValueRef::Real(value) if value.is_infinite() => {
                    if self.target == TargetType::Json {
                        return Err(Invalid("an infinite number"));
                    }
                    // SQLite's own words.
                    b.append_value(if value > 0.0 { "Inf" } else { "-Inf" });
                }
                ValueRef::Real(value) => {
                    // The shortest text that reads back as this number, and not as an integer.
                    let _ = write!(b, "{value:?}");
                    b.append_value("");
                }
                ValueRef::Null => {}
            },
            ColumnBuilder::Bytes(b) => match value {
                ValueRef::Blob(bytes) | ValueRef::Text(bytes) => b.append_value(bytes),
                _ => return Err(Invalid("a number")),
            },
            ColumnBuilder::FixedBytes(b) => match value {
                ValueRef::Blob(bytes) | ValueRef::Text(bytes) => {
                    b.append_value(bytes).map_err(|_| Invalid("bytes of another length"))?;
                }
                _ => return Err(Invalid("a number")),
            },
            ColumnBuilder::Date(b) => b.append_value(date(value)?),
            ColumnBuilder::Time(b) => {
                const REASON: &str = "text other than `HH:MM[:SS[.ffffff]]` below 24:00";
                b.append_value(moment(value, REASON, datetime::time)?);
            }
            ColumnBuilder::Timestamp(b) if self.target == TargetType::Timestamp => {
                const REASON: &str =
                    "text other than `YYYY-MM-DD[ HH:MM[:SS[.ffffff]][Z or +HH:MM]]`";
                b.append_value(moment(value, REASON, datetime::timestamp)?);
            }
            ColumnBuilder::Timestamp(b) => b.append_value(datetime(value)?),
            ColumnBuilder::Decimal128(b, digits) => {
                let value = decimal(value, *digits)?.to_i128();
                b.append_value(value.ok_or(Invalid("more digits than the type has"))?);
            }
            ColumnBuilder::Decimal256(b, digits) => {
                let value = decimal(value, *digits)?.to_i256();
                b.append_value(value.ok_or(Invalid("more digits than the type has"))?);
            }
            ColumnBuilder::List(_) => return Err(Invalid("an array, which SQLite does not have")),
            ColumnBuilder::Struct(_) => {
                return Err(Invalid("a STRUCT, which SQLite does not have"));
            }
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
                    Err(Invalid("a real number that is not an exact integer"))
                }
            }
            ValueRef::Text(text) if self.digits_in_text => {
                utf8(text)?.parse().map_err(|_| Invalid("text that is not a 64-bit integer"))
            }
            ValueRef::Text(_) => Err(Invalid("text")),
            _ => Err(BLOB),
        }
    }
}

fn utf8(text: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(text).map_err(|_| NOT_UTF8)
}

/// Numbers, and the words of JSON and of older applications.
fn truth(value: ValueRef<'_>) -> Result<bool, Invalid> {
    let is = |text: &[u8], words: [&str; 2]| {
        words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(text))
    };
    match value {
        ValueRef::Integer(0) => Ok(false),
        ValueRef::Integer(1) => Ok(true),
        ValueRef::Text(text) if is(text, ["true", "t"]) => Ok(true),
        ValueRef::Text(text) if is(text, ["false", "f"]) => Ok(false),
        ValueRef::Text(_) => Err(Invalid("text other than `true` and `false`")),
        ValueRef::Blob(_) => Err(BLOB),
        _ => Err(Invalid("a number other than 0 and 1")),
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
        _ => Err(BLOB),
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
        _ => Err(BLOB),
    }
}

fn json(text: &[u8]) -> Result<&str, Invalid> {
    let text = utf8(text)?;
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
        ValueRef::Blob(_) => Err(BLOB),
        _ => Err(Invalid("a number")),
    }
}

fn date(value: ValueRef<'_>) -> Result<i32, Invalid> {
    moment(value, "text other than `YYYY-MM-DD`", datetime::date).map_err(|reason| match value {
        ValueRef::Text(text) if datetime::datetime(text).is_some() => TIMED,
        _ if is_zoned(value) => ZONED,
        _ => reason,
    })
}

fn datetime(value: ValueRef<'_>) -> Result<i64, Invalid> {
    moment(value, "text other than `YYYY-MM-DD[ HH:MM[:SS[.ffffff]]]`", datetime::datetime)
        .map_err(|reason| if is_zoned(value) { ZONED } else { reason })
}

/// Whether it is valid as a day and a time with a zone.
fn is_zoned(value: ValueRef<'_>) -> bool {
    matches!(value, ValueRef::Text(text) if datetime::timestamp(text).is_some())
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
