//! The type table: from a column's declared type to the target's.

use sluice_contracts::schema::{Decimal, TargetType};
use sluice_contracts::{Error, Result};

use super::moment::Spelling;

/// How a column's values are meant, which SQLite's storage alone does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
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
    Datetime(Spelling),
    /// Moments, as text with or without a zone.
    Timestamp(Spelling),
    /// JSON documents.
    Json,
    /// Anything: the declared type says nothing.
    Untyped,
}

/// One row: declared types, how their values are meant, and what they become.
struct Row {
    names: &'static [&'static str],
    encoding: Encoding,
    target: TargetType,
}

/// Declared types by their words alone, in upper case. A decimal's target follows from its digits.
const TYPES: &[Row] = &[
    Row {
        names: &[
            "INTEGER",
            "INT",
            "BIGINT",
            "SMALLINT",
            "TINYINT",
            "MEDIUMINT",
            "INT2",
            "INT4",
            "INT8",
            "UNSIGNED BIG INT",
            "INTEGER UNSIGNED",
            "INT UNSIGNED",
            "BIGINT UNSIGNED",
            "SMALLINT UNSIGNED",
            "TINYINT UNSIGNED",
            "MEDIUMINT UNSIGNED",
        ],
        encoding: Encoding::Integer,
        target: TargetType::Int64,
    },
    Row {
        names: &["REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT", "FLOAT4", "FLOAT8"],
        encoding: Encoding::Real,
        target: TargetType::Float64,
    },
    Row {
        names: &["DECIMAL", "NUMERIC", "DEC"],
        encoding: Encoding::Decimal,
        target: TargetType::Bignumeric,
    },
    Row { names: &["BOOL", "BOOLEAN"], encoding: Encoding::Boolean, target: TargetType::Bool },
    Row {
        names: &[
            "TEXT",
            "VARCHAR",
            "CHAR",
            "CLOB",
            "STRING",
            "CHARACTER",
            "NCHAR",
            "NVARCHAR",
            "CHARACTER VARYING",
            "VARYING CHARACTER",
            "NATIVE CHARACTER",
            "UUID",
            "TINYTEXT",
            "MEDIUMTEXT",
            "LONGTEXT",
        ],
        encoding: Encoding::Text,
        target: TargetType::String,
    },
    Row {
        names: &["BLOB", "BINARY", "VARBINARY", "BYTEA"],
        encoding: Encoding::Blob,
        target: TargetType::Bytes,
    },
    Row { names: &["DATE"], encoding: Encoding::Date, target: TargetType::Date },
    Row {
        names: &["TIME", "TIME WITHOUT TIME ZONE"],
        encoding: Encoding::Time,
        target: TargetType::Time,
    },
    Row {
        names: &["DATETIME", "TIMESTAMP", "TIMESTAMP WITHOUT TIME ZONE"],
        encoding: Encoding::Datetime(Spelling::Space),
        target: TargetType::Datetime,
    },
    Row {
        names: &["TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE"],
        encoding: Encoding::Timestamp(Spelling::Space),
        target: TargetType::Timestamp,
    },
    Row { names: &["JSON"], encoding: Encoding::Json, target: TargetType::Json },
];

/// What a declared type becomes when the job asks for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) encoding: Encoding,
    /// `None` where nobody knows the type, or no target type has its digits.
    pub(super) target: Option<TargetType>,
    pub(super) decimal: Option<Decimal>,
}

/// Looks a declared type up. Every text has an answer; that it is not known is one.
pub(super) fn declared(text: &str) -> Declared {
    let unknown = Declared { encoding: Encoding::Untyped, target: None, decimal: None };
    let (words, digits) = match text.split_once('(') {
        Some((words, rest)) => match rest.split_once(')') {
            // `DECIMAL(12,2) UNSIGNED` has words on both sides.
            Some((digits, more)) => (format!("{words} {more}"), Some(digits)),
            None => return unknown,
        },
        None => (text.to_owned(), None),
    };
    let words = words.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    let Some(row) = TYPES.iter().find(|row| row.names.contains(&words.as_str())) else {
        return unknown;
    };
    if row.encoding != Encoding::Decimal {
        return Declared { encoding: row.encoding, target: Some(row.target), decimal: None };
    }
    let decimal = match digits {
        None => Some(Decimal::BIGNUMERIC),
        Some(digits) => parse_digits(digits),
    };
    Declared { encoding: row.encoding, target: decimal.and_then(Decimal::target_type), decimal }
}

/// `12,2` or `12`.
fn parse_digits(text: &str) -> Option<Decimal> {
    let (precision, scale) = text.split_once(',').unwrap_or((text, "0"));
    let decimal =
        Decimal { precision: precision.trim().parse().ok()?, scale: scale.trim().parse().ok()? };
    (decimal.precision > 0).then_some(decimal)
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
        Self::Datetime(Spelling::Space),
        Self::Datetime(Spelling::T),
        Self::Timestamp(Spelling::Space),
        Self::Timestamp(Spelling::T),
        Self::Json,
        Self::Untyped,
    ];

    /// The word in a plan.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Decimal => "decimal",
            Self::Boolean => "boolean",
            Self::Text => "text",
            Self::Blob => "blob",
            Self::Date => "date",
            Self::Time => "time",
            Self::Datetime(Spelling::Space) => "datetime",
            Self::Datetime(Spelling::T) => "datetime_t",
            Self::Timestamp(Spelling::Space) => "timestamp",
            Self::Timestamp(Spelling::T) => "timestamp_t",
            Self::Json => "json",
            Self::Untyped => "untyped",
        }
    }

    /// What a plan's word means.
    pub(super) fn parse(word: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|encoding| encoding.name() == word).ok_or_else(|| {
            Error::data(format!("read the plan: unknown encoding `{word}`"))
                .hint("the plan is of another version; plan the run again")
        })
    }

    /// How days with a time are spelled in the column.
    pub(super) fn spelling(self) -> Spelling {
        match self {
            Self::Datetime(spelling) | Self::Timestamp(spelling) => spelling,
            _ => Spelling::default(),
        }
    }

    /// The same with days spelled otherwise, where there are some.
    pub(super) fn spelled(self, spelling: Spelling) -> Self {
        match self {
            Self::Datetime(_) => Self::Datetime(spelling),
            Self::Timestamp(_) => Self::Timestamp(spelling),
            other => other,
        }
    }

    /// Types that can hold such values, other than STRING, which always can.
    pub(super) fn targets(self) -> &'static [TargetType] {
        use TargetType as T;
        match self {
            Self::Integer => &[T::Int64, T::Float64, T::Numeric, T::Bignumeric, T::Bool],
            Self::Real => &[T::Float64, T::Int64, T::Numeric, T::Bignumeric],
            Self::Decimal => &[T::Numeric, T::Bignumeric, T::Int64, T::Float64],
            Self::Boolean => &[T::Bool, T::Int64],
            Self::Text => &[
                T::Json,
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
            Self::Date => &[T::Date, T::Datetime, T::Timestamp],
            Self::Time => &[T::Time],
            Self::Datetime(_) | Self::Timestamp(_) => {
                &[T::Datetime, T::Timestamp, T::Date, T::Int64]
            }
            Self::Json => &[T::Json],
            Self::Untyped => &T::ALL,
        }
    }
}

/// Which values a column of any declared type may store that the target does not hold. SQLite
/// stores what it is given, whatever is declared.
pub(super) fn misfits(target: TargetType) -> &'static str {
    match target {
        TargetType::Int64 => "anything but 64-bit integers",
        TargetType::Float64 => "text, blobs, and integers that a double would round",
        TargetType::Numeric | TargetType::Bignumeric => {
            "anything but numbers, and numbers of more digits"
        }
        TargetType::Bool => "anything but 0 and 1",
        TargetType::String => "text and blobs that are not UTF-8",
        TargetType::Bytes => "numbers",
        TargetType::Date => "anything but `YYYY-MM-DD` of the years 1 to 9999",
        TargetType::Time => "anything but `HH:MM[:SS[.ffffff]]` below 24:00",
        TargetType::Datetime => {
            "anything but `YYYY-MM-DD HH:MM[:SS[.ffffff]]` of the years 1 to 9999, without a zone"
        }
        TargetType::Timestamp => {
            "anything but `YYYY-MM-DD HH:MM[:SS[.ffffff]]` of the years 1 to 9999, with or without \
             a zone"
        }
        TargetType::Json => "blobs, and text that is not JSON",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Option<TargetType> {
        declared(text).target
    }

    #[test]
    fn declared_types_are_read_whatever_their_case_and_digits() {
        assert_eq!(target("integer"), Some(TargetType::Int64));
        assert_eq!(target("bigint  unsigned"), Some(TargetType::Int64));
        assert_eq!(target("INT(11) UNSIGNED"), Some(TargetType::Int64));
        assert_eq!(target("Varchar(255)"), Some(TargetType::String));
        assert_eq!(target("double precision"), Some(TargetType::Float64));
        assert_eq!(target("bool"), Some(TargetType::Bool));
        assert_eq!(target("datetime(6)"), Some(TargetType::Datetime));
        assert_eq!(target("timestamp with time zone"), Some(TargetType::Timestamp));
        for unknown in ["", "foo", "INTEGERS", "VARCHAR(3", "ANY", "POINT"] {
            assert_eq!(target(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn a_decimal_becomes_the_narrowest_type_that_holds_its_digits() {
        let of = |text: &str| (declared(text).target, declared(text).decimal);
        let digits = |precision, scale| Some(Decimal { precision, scale });
        assert_eq!(of("DECIMAL(12,2)"), (Some(TargetType::Numeric), digits(12, 2)));
        assert_eq!(of("numeric( 20 )"), (Some(TargetType::Numeric), digits(20, 0)));
        assert_eq!(of("decimal(38, 10)"), (Some(TargetType::Bignumeric), digits(38, 10)));
        assert_eq!(of("decimal"), (Some(TargetType::Bignumeric), Some(Decimal::BIGNUMERIC)));
        for unheld in ["decimal(60,5)", "decimal(2,5)", "decimal(0,0)", "decimal(a)"] {
            assert_eq!(target(unheld), None, "{unheld}");
        }
    }

    #[test]
    fn every_declared_type_has_one_row_and_every_encoding_a_word() {
        let names: Vec<_> = TYPES.iter().flat_map(|row| row.names).collect();
        for (place, name) in names.iter().enumerate() {
            assert!(!names[..place].contains(name), "{name}");
            assert_eq!(**name, name.to_uppercase());
        }
        for row in TYPES {
            assert!(
                row.target == TargetType::String || row.encoding.targets().contains(&row.target)
            );
        }
        for encoding in Encoding::ALL {
            assert_eq!(Encoding::parse(encoding.name()).unwrap(), encoding);
        }
        assert!(Encoding::parse("jsonb").is_err());
    }
}
