//! The type table: from a column's declared type to the target's.
//!
//! To add a declared type: its name in a row of [`TYPES`]. A type that no row names follows
//! SQLite's own affinity.

mod documentation;
mod encoding;

use sluice_contracts::documents::{Decimal, TargetType};

pub(super) use documentation::type_documentation;
pub(super) use encoding::Encoding;

use crate::datetime::TextFormat;

/// One row: declared types, how their values are meant, and what they become.
struct Row {
    names: &'static [&'static str],
    encoding: Encoding,
    target: TargetType,
    /// For the documentation: the types' family, and a value before and after.
    family: &'static str,
    example: [&'static str; 2],
}

/// Declared types by their words without digits, in upper case. A decimal's target follows from its
/// digits.
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
            "BIG INT",
            "UNSIGNED BIG INT",
            "LONG",
            "SERIAL",
            "BIGSERIAL",
            "YEAR",
        ],
        encoding: Encoding::Integer,
        target: TargetType::Int64,
        family: "numbers",
        example: ["9223372036854775807", "9223372036854775807"],
    },
    Row {
        names: &["REAL", "DOUBLE", "DOUBLE PRECISION", "FLOAT", "FLOAT4", "FLOAT8"],
        encoding: Encoding::Real,
        target: TargetType::Float64,
        family: "numbers",
        example: ["0.1", "0.1"],
    },
    Row {
        names: &["DECIMAL", "NUMERIC", "DEC", "FIXED", "NUMBER", "MONEY", "SMALLMONEY"],
        encoding: Encoding::Decimal,
        target: TargetType::Bignumeric,
        family: "numbers",
        example: ["19.99", "19.99"],
    },
    Row {
        names: &["BOOLEAN", "BOOL", "BIT"],
        encoding: Encoding::Boolean,
        target: TargetType::Bool,
        family: "truth values",
        example: ["1", "TRUE"],
    },
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
            "GUID",
            "UNIQUEIDENTIFIER",
            "ENUM",
            "XML",
            "TINYTEXT",
            "MEDIUMTEXT",
            "LONGTEXT",
        ],
        encoding: Encoding::Text,
        target: TargetType::String,
        family: "text",
        example: ["'größe'", "größe"],
    },
    Row {
        names: &["JSON", "JSONB"],
        encoding: Encoding::Json,
        target: TargetType::Json,
        family: "text",
        example: ["'{\"a\": 1.50}'", "{\"a\": 1.50}"],
    },
    Row {
        names: &["BLOB", "BINARY", "VARBINARY", "LONGVARBINARY", "BYTEA", "IMAGE"],
        encoding: Encoding::Blob,
        target: TargetType::Bytes,
        family: "bytes",
        example: ["x'00ff'", "b\"\\x00\\xff\""],
    },
    Row {
        // What GeoPackage and SpatiaLite declare. By its letters alone `POINT` would be an integer.
        names: &[
            "GEOMETRY",
            "GEOMETRYCOLLECTION",
            "POINT",
            "LINESTRING",
            "POLYGON",
            "MULTIPOINT",
            "MULTILINESTRING",
            "MULTIPOLYGON",
        ],
        encoding: Encoding::Blob,
        target: TargetType::Bytes,
        family: "bytes",
        example: ["x'4750'", "b\"GP\""],
    },
    Row {
        names: &["DATE"],
        encoding: Encoding::Date,
        target: TargetType::Date,
        family: "dates and times",
        example: ["'2024-02-29'", "2024-02-29"],
    },
    Row {
        names: &["TIME", "TIME WITHOUT TIME ZONE"],
        encoding: Encoding::Time,
        target: TargetType::Time,
        family: "dates and times",
        example: ["'23:59:59.5'", "23:59:59.500000"],
    },
    Row {
        names: &[
            "DATETIME",
            "TIMESTAMP",
            "TIMESTAMP WITHOUT TIME ZONE",
            "DATETIME2",
            "SMALLDATETIME",
        ],
        encoding: Encoding::Datetime(TextFormat::Space),
        target: TargetType::Datetime,
        family: "dates and times",
        example: ["'2024-02-29T10:00'", "2024-02-29 10:00:00"],
    },
    Row {
        names: &["TIMESTAMPTZ", "TIMESTAMP WITH TIME ZONE", "DATETIMEOFFSET"],
        encoding: Encoding::Timestamp(TextFormat::Space),
        target: TargetType::Timestamp,
        family: "dates and times",
        example: ["'2024-02-29 10:00:00+02:00'", "2024-02-29 08:00:00 UTC"],
    },
];

/// Words that say nothing about the kind of a number.
const SIGNS: [&str; 3] = ["UNSIGNED", "SIGNED", "ZEROFILL"];

/// SQLite's affinities by letters in the declared type, in the order in which SQLite looks for
/// them. A type with none of them may hold anything.
///
/// <https://www.sqlite.org/datatype3.html#determination_of_column_affinity>
const AFFINITIES: &[(&[&str], Encoding, TargetType)] = &[
    (&["INT"], Encoding::Integer, TargetType::Int64),
    (&["CHAR", "CLOB", "TEXT"], Encoding::Text, TargetType::String),
    (&["BLOB"], Encoding::Blob, TargetType::Bytes),
    (&["REAL", "FLOA", "DOUB"], Encoding::Real, TargetType::Float64),
];

/// What a declared type becomes when the job asks for nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Declared {
    pub(super) encoding: Encoding,
    /// `None` if the type is not known, or if no target type has its digits.
    pub(super) target: Option<TargetType>,
    pub(super) decimal: Option<Decimal>,
}

/// Looks a declared type up. Never fails: an unknown type is a result, too.
pub(super) fn declared(text: &str) -> Declared {
    let (words, digits) = match text.split_once('(') {
        Some((words, rest)) => match rest.split_once(')') {
            // `DECIMAL(12,2) UNSIGNED` has words on both sides.
            Some((digits, more)) => (format!("{words} {more}"), Some(digits)),
            None => return by_affinity(text),
        },
        None => (text.to_owned(), None),
    };
    let words = words.to_ascii_uppercase();
    let mut words: Vec<&str> = words.split_whitespace().collect();
    while words.last().is_some_and(|last| SIGNS.contains(last)) {
        words.pop();
    }
    let words = words.join(" ");
    let Some(row) = TYPES.iter().find(|row| row.names.contains(&words.as_str())) else {
        return by_affinity(text);
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

/// What SQLite itself makes of a type that no row names.
fn by_affinity(text: &str) -> Declared {
    let text = text.to_ascii_uppercase();
    let found =
        AFFINITIES.iter().find(|(all, ..)| all.iter().any(|letters| text.contains(letters)));
    let (encoding, target) =
        found.map_or((Encoding::Untyped, None), |(_, encoding, target)| (*encoding, Some(*target)));
    Declared { encoding, target, decimal: None }
}

/// `12,2` or `12`.
fn parse_digits(text: &str) -> Option<Decimal> {
    let (precision, scale) = text.split_once(',').unwrap_or((text, "0"));
    let decimal =
        Decimal { precision: precision.trim().parse().ok()?, scale: scale.trim().parse().ok()? };
    (decimal.precision > 0).then_some(decimal)
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
        assert_eq!(target("INT(11) UNSIGNED ZEROFILL"), Some(TargetType::Int64));
        assert_eq!(target("Varchar(255)"), Some(TargetType::String));
        assert_eq!(target("double precision"), Some(TargetType::Float64));
        assert_eq!(target("double(8, 2) unsigned"), Some(TargetType::Float64));
        assert_eq!(target("bool"), Some(TargetType::Bool));
        assert_eq!(target("datetime(6)"), Some(TargetType::Datetime));
        assert_eq!(target("timestamp(6) with time zone"), Some(TargetType::Timestamp));
        assert_eq!(target("jsonb"), Some(TargetType::Json));
        assert_eq!(target("point"), Some(TargetType::Bytes));
        assert_eq!(target("decimal(12,2) unsigned"), Some(TargetType::Numeric));
    }

    #[test]
    fn what_no_row_names_goes_by_its_affinity() {
        assert_eq!(target("MY INTEGERS"), Some(TargetType::Int64));
        // The first rule that fits decides, as it does in SQLite.
        assert_eq!(target("charint"), Some(TargetType::Int64));
        assert_eq!(target("VARCHAR(3"), Some(TargetType::String));
        assert_eq!(target("ntext"), Some(TargetType::String));
        assert_eq!(target("longblob"), Some(TargetType::Bytes));
        assert_eq!(target("DOUBLE_PRECISION"), Some(TargetType::Float64));
        for unknown in ["", "foo", "ANY", "NUM", "INTERVA", "DECIMALS(4,2)"] {
            let expected = (unknown == "INTERVA").then_some(TargetType::Int64);
            assert_eq!(target(unknown), expected, "{unknown}");
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
    fn every_declared_type_has_one_row_whose_target_can_be_asked_for() {
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
    }
}
