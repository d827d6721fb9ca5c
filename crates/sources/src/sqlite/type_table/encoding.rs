//! How a column's values are meant.

use sluice_contracts::documents::TargetType;
use sluice_contracts::{Error, Result};

use crate::datetime::TextFormat;

/// How a column's values are meant, which SQLite's storage alone does not show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::sqlite) enum Encoding {
    /// Whole numbers.
    Integer,
    /// Floating point.
    Real,
    /// Numbers that are exact decimals.
    Decimal,
    /// 0 and 1.
    Boolean,
    /// Text.
    Text,
    /// Bytes.
    Blob,
    /// Days, as text.
    Date,
    /// Times of day, as text.
    Time,
    /// Days with a time, as text.
    Datetime(TextFormat),
    /// Points in time, as text with or without a zone.
    Timestamp(TextFormat),
    /// JSON documents.
    Json,
    /// Anything: the declared type says nothing, or the job asks for the text of whatever there is.
    Untyped,
}

impl Encoding {
    const ALL: [Self; 14] = [
        Self::Integer,
        Self::Real,
        Self::Decimal,
        Self::Boolean,
        Self::Text,
        Self::Blob,
        Self::Date,
        Self::Time,
        Self::Datetime(TextFormat::Space),
        Self::Datetime(TextFormat::T),
        Self::Timestamp(TextFormat::Space),
        Self::Timestamp(TextFormat::T),
        Self::Json,
        Self::Untyped,
    ];

    /// The name in a plan.
    pub(in crate::sqlite) fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Blob => "blob",
            Self::Date => "date",
            Self::Time => "time",
            Self::Datetime(TextFormat::Space) => "datetime",
            Self::Datetime(TextFormat::T) => "datetime_t",
            Self::Timestamp(TextFormat::Space) => "timestamp",
            Self::Timestamp(TextFormat::T) => "timestamp_t",
            Self::Json => "json",
            Self::Untyped => "untyped",
        }
    }

    /// The encoding of a name in a plan.
    pub(in crate::sqlite) fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == word).ok_or_else(|| {
            Error::data(format!("read the plan: unknown encoding `{word}`"))
                .hint("the plan is of another version; plan the run again")
        })
    }

    /// How days with a time are spelled in the column.
    pub(in crate::sqlite) fn spelling(self) -> TextFormat {
        match self {
            Self::Datetime(spelling) | Self::Timestamp(spelling) => spelling,
            _ => TextFormat::default(),
        }
    }

    /// The same encoding with another spelling of days, if it has days.
    pub(in crate::sqlite) fn spelled(self, spelling: TextFormat) -> Self {
        match self {
            Self::Datetime(_) => Self::Datetime(spelling),
            Self::Timestamp(_) => Self::Timestamp(spelling),
            other => other,
        }
    }

    /// Types that can hold such values, other than STRING, which always can.
    pub(in crate::sqlite) fn targets(self) -> &'static [TargetType] {
        use TargetType as T;
        match self {
            Self::Integer => &[T::Int64, T::Float64, T::Numeric, T::Bignumeric, T::Bool],
            Self::Real => &[T::Float64, T::Int64, T::Numeric, T::Bignumeric],
            Self::Decimal => &[T::Numeric, T::Bignumeric, T::Int64, T::Float64],
            Self::Boolean => &[T::Bool, T::Int64],
            Self::Text => &[
                T::Json,
                T::Bool,
                T::Date,
                T::Time,
                T::Datetime,
                T::Timestamp,
                T::Numeric,
                T::Bignumeric,
                T::Int64,
                T::Bytes,
            ],
            Self::Blob => &[T::Bytes],
            // Some applications store seconds since 1970, others Julian days: numbers both.
            Self::Date | Self::Datetime(_) | Self::Timestamp(_) => {
                &[T::Date, T::Datetime, T::Timestamp, T::Int64, T::Float64]
            }
            Self::Time => &[T::Time, T::Int64, T::Float64],
            Self::Json => &[T::Json, T::Bytes],
            Self::Untyped => &[
                T::Int64,
                T::Float64,
                T::Numeric,
                T::Bignumeric,
                T::Bool,
                T::Bytes,
                T::Date,
                T::Time,
                T::Datetime,
                T::Timestamp,
                T::Json,
            ],
        }
    }

    /// Which values a column of such a type may store that `target` does not hold. SQLite stores
    /// any value, whatever type is declared, except in a `strict` table.
    pub(in crate::sqlite) fn misfits(
        self,
        target: TargetType,
        strict: bool,
    ) -> Option<&'static str> {
        use TargetType as T;
        if strict {
            match (self, target) {
                (Self::Integer, T::Int64 | T::Numeric | T::Bignumeric)
                | (Self::Real, T::Float64)
                | (Self::Integer | Self::Real, T::String)
                | (Self::Blob, T::Bytes) => return None,
                (Self::Integer, T::Float64) => return Some("integers that a double would round"),
                (Self::Text, T::String) => return Some("text that is not UTF-8"),
                _ => {}
            }
        }
        Some(match target {
            T::Int64 => "anything but 64-bit integers",
            T::Float64 => "text, blobs, and integers that a double would round",
            T::Numeric | T::Bignumeric => "anything but numbers, and numbers of more digits",
            T::Bool => "anything but 0, 1, `true`, `false`, `t` and `f`",
            T::String if self == Self::Text => "blobs, and text that is not UTF-8",
            T::String | T::Geography => "text and blobs that are not UTF-8",
            T::Bytes => "numbers",
            T::Struct | T::Interval | T::RangeDate | T::RangeDatetime | T::RangeTimestamp => {
                "any value"
            }
            T::Date => "anything but `YYYY-MM-DD`, at midnight if at all, of the years 1 to 9999",
            T::Time => "anything but `HH:MM[:SS[.ffffff]]` below 24:00",
            T::Datetime => {
                "anything but `YYYY-MM-DD[ HH:MM[:SS[.ffffff]]]` of the years 1 to 9999, and any zone"
            }
            T::Timestamp => {
                "anything but `YYYY-MM-DD[ HH:MM[:SS[.ffffff]][Z or +HH:MM]]` of the years 1 to 9999"
            }
            T::Json => "blobs, and text that is not JSON",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_encoding_has_a_word() {
        for encoding in Encoding::ALL {
            assert_eq!(Encoding::parse(encoding.name()).unwrap(), encoding);
        }
        assert!(Encoding::parse("jsonb").is_err());
    }
}
