//! What the text of a column's values is.

use sluice_contracts::documents::{Decimal, TargetType};
use sluice_contracts::{Error, Result};

use crate::documentation::{Becomes, Example, TypeRow};

/// What the text of all values of a column is: told from a sample, or from the type that the job asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// `0`, `-17`: digits without a needless zero or sign.
    Integer,
    /// `1.50`, `-3`: the same with a fraction.
    Decimal,
    /// Numbers of more digits than NUMERIC has that are what programs print for doubles. In JSON, those with
    /// an exponent too; in CSV that is text.
    Float,
    /// `true` and `false`, in letters of any case.
    Boolean,
    /// `2026-11-30`.
    Date,
    /// `23:59:59`, with up to six digits of a second's fraction.
    Time,
    /// A day and a time without a zone.
    Datetime,
    /// A day and a time with a zone.
    Timestamp,
    /// Any text.
    Text,
    /// Any JSON.
    Json,
    /// Whatever means a value of the type that the job asks for.
    Any,
}

impl Kind {
    pub(super) const ALL: [Self; 11] = [
        Self::Integer,
        Self::Decimal,
        Self::Float,
        Self::Boolean,
        Self::Date,
        Self::Time,
        Self::Datetime,
        Self::Timestamp,
        Self::Text,
        Self::Json,
        Self::Any,
    ];

    /// The name in a plan.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Decimal => "decimal",
            Self::Float => "float",
            Self::Boolean => "boolean",
            Self::Date => "date",
            Self::Time => "time",
            Self::Datetime => "datetime",
            Self::Timestamp => "timestamp",
            Self::Text => "text",
            Self::Json => "json",
            Self::Any => "any",
        }
    }

    /// The kind of a name in a plan.
    pub(super) fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == word).ok_or_else(|| {
            Error::data(format!("read the plan: unknown encoding `{word}`"))
                .hint("the plan is of another version; plan the run again")
        })
    }

    /// The type that such values become, unless the job asks for another one. `digits` are those of the
    /// decimals of the sample.
    pub(super) fn target(self, digits: Decimal) -> TargetType {
        match self {
            Self::Integer => TargetType::Int64,
            Self::Decimal => digits.target_type().unwrap_or(TargetType::String),
            Self::Float => TargetType::Float64,
            Self::Boolean => TargetType::Bool,
            Self::Date => TargetType::Date,
            Self::Time => TargetType::Time,
            Self::Datetime => TargetType::Datetime,
            Self::Timestamp => TargetType::Timestamp,
            Self::Json => TargetType::Json,
            Self::Text | Self::Any => TargetType::String,
        }
    }

    /// The types that text can become.
    pub(super) const TARGETS: [TargetType; 13] = [
        TargetType::String,
        TargetType::Int64,
        TargetType::Float64,
        TargetType::Numeric,
        TargetType::Bignumeric,
        TargetType::Bool,
        TargetType::Date,
        TargetType::Time,
        TargetType::Datetime,
        TargetType::Timestamp,
        TargetType::Json,
        TargetType::Bytes,
        TargetType::Geography,
    ];

    /// Which texts a column of this kind may have that `target` does not hold.
    pub(super) fn misfits(self, target: TargetType) -> &'static str {
        use TargetType as T;
        match (self, target) {
            (Self::Integer, T::Int64) => "text other than 64-bit integers without leading zeros",
            (Self::Decimal, _) => "text other than decimals without leading zeros, and more digits",
            (Self::Boolean, _) => "text other than `true` and `false`",
            (Self::Date, _) => "text other than `YYYY-MM-DD` of the years 1 to 9999",
            (Self::Time, _) => "text other than `HH:MM:SS[.ffffff]` below 24:00",
            (Self::Datetime, _) => {
                "text other than `YYYY-MM-DD HH:MM:SS[.ffffff]` of the years 1 to 9999, and any zone"
            }
            (Self::Timestamp, _) => {
                "text other than `YYYY-MM-DD HH:MM:SS[.ffffff]` with a zone, of the years 1 to 9999"
            }
            (_, T::Int64) => "text other than 64-bit integers",
            (Self::Float, T::Float64) => "text other than numbers as programs print doubles",
            (_, T::Float64) => "text other than numbers, and numbers beyond those of a double",
            (_, T::Numeric | T::Bignumeric) => {
                "text other than numbers, and numbers of more digits"
            }
            (_, T::Bool) => "text other than `true`, `false`, `t`, `f`, `0` and `1`",
            (_, T::Date) => {
                "text other than `YYYY-MM-DD`, at midnight if at all, of the years 1 to 9999"
            }
            (_, T::Time) => "text other than `HH:MM[:SS[.ffffff]]` below 24:00",
            (_, T::Datetime) => {
                "text other than `YYYY-MM-DD[ HH:MM[:SS[.ffffff]]]` of the years 1 to 9999, and any zone"
            }
            (_, T::Timestamp) => {
                "text other than `YYYY-MM-DD[ HH:MM[:SS[.ffffff]][Z or +HH:MM]]` of the years 1 to 9999"
            }
            (_, T::Json) => "text that is not JSON",
            (_, T::Bytes) => "text that is not base64",
            (_, _) => "text that is not UTF-8",
        }
    }
}

/// A value of each kind in a CSV file or, where that is the only place for it, in one of JSON lines, and the
/// same value of the default type.
const EXAMPLES: [(Kind, &str, &str); 10] = [
    (Kind::Integer, "42", "42"),
    (Kind::Decimal, "19.90", "19.9"),
    (Kind::Float, "3.3000000000000003", "3.3000000000000003"),
    (Kind::Boolean, "TRUE", "true"),
    (Kind::Date, "2026-11-30", "2026-11-30"),
    (Kind::Time, "23:59:59", "23:59:59"),
    (Kind::Datetime, "2026-11-30 23:59:59", "2026-11-30 23:59:59"),
    (Kind::Timestamp, "2026-11-30T23:59:59+01:00", "2026-11-30 22:59:59+00"),
    (Kind::Text, "0042", "0042"),
    (Kind::Json, "{\"a\": 1.10}", "{\"a\": 1.10}"),
];

/// Every kind of text.
pub(super) fn type_documentation() -> Vec<TypeRow> {
    let money = Decimal { precision: 4, scale: 2 };
    let row = |(kind, source, target): (Kind, &'static str, &'static str)| {
        let default = kind.target(money);
        let others = Kind::TARGETS.into_iter().filter(|other| *other != default);
        let default_becomes =
            Becomes { target_type: default, repeated: false, invalid: Some(kind.misfits(default)) };
        let asked = others.map(|target_type| Becomes {
            target_type,
            repeated: false,
            invalid: Some(Kind::Any.misfits(target_type)),
        });
        TypeRow {
            source: "files",
            family: "text of CSV and JSON lines",
            name: kind.name(),
            becomes: std::iter::once(default_becomes).chain(asked).collect(),
            refused: None,
            example: Example { source, target },
        }
    };
    EXAMPLES.map(row).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_word_and_all_but_the_asked_one_are_documented() {
        for kind in Kind::ALL {
            assert_eq!(Kind::parse(kind.name()).unwrap(), kind);
        }
        assert_eq!(type_documentation().len(), Kind::ALL.len() - 1);
        assert!(Kind::parse("colour").is_err());
    }
}
