//! The type table: from a column's type to the target's, and the expression that makes it.
//!
//! Each type becomes itself. A job may ask for another that holds every value of it.

mod documentation;

use sluice_contracts::documents::TargetType;

pub(super) use documentation::type_documentation;

/// A type of BigQuery.
#[derive(Debug)]
pub(super) struct Row {
    /// The type itself.
    pub(super) kind: TargetType,
    /// Its name in the API, where that is another.
    legacy: &'static str,
    /// What else its values can become, each with the expression, in which `{}` stands for the
    /// column.
    others: &'static [(TargetType, &'static str)],
    /// For the documentation: the type's family, and a value before and after.
    family: &'static str,
    example: [&'static str; 2],
}

const TEXT: (TargetType, &str) = (TargetType::String, "CAST({} AS STRING)");

/// A range as BigQuery writes it, in UTC: a project may have another time zone by default.
const RANGE_OF_TIMESTAMPS: &str = "IF({} IS NULL, NULL, CONCAT('[', \
    IFNULL(STRING(RANGE_START({}), 'UTC'), 'UNBOUNDED'), ', ', \
    IFNULL(STRING(RANGE_END({}), 'UTC'), 'UNBOUNDED'), ')'))";

/// Every type but STRUCT.
const TYPES: &[Row] = &[
    Row {
        kind: TargetType::Int64,
        legacy: "INTEGER",
        others: &[
            (TargetType::Numeric, "CAST({} AS NUMERIC)"),
            (TargetType::Bignumeric, "CAST({} AS BIGNUMERIC)"),
            TEXT,
        ],
        family: "numbers",
        example: ["9223372036854775807", "9223372036854775807"],
    },
    Row {
        kind: TargetType::Numeric,
        legacy: "",
        others: &[(TargetType::Bignumeric, "CAST({} AS BIGNUMERIC)"), TEXT],
        family: "numbers",
        example: ["19.99", "19.99"],
    },
    Row {
        kind: TargetType::Bignumeric,
        legacy: "",
        others: &[TEXT],
        family: "numbers",
        example: ["0.1234567890123", "0.1234567890123"],
    },
    Row {
        kind: TargetType::Float64,
        legacy: "FLOAT",
        // The shortest text that stands for the same value: `RoundTripDoubleToString` in
        // <https://github.com/google/googlesql/blob/master/googlesql/public/functions/convert_string.cc>.
        others: &[TEXT],
        family: "numbers",
        example: ["0.1", "0.1"],
    },
    Row {
        kind: TargetType::Bool,
        legacy: "BOOLEAN",
        others: &[TEXT],
        family: "truth values",
        example: ["TRUE", "TRUE"],
    },
    Row {
        kind: TargetType::String,
        legacy: "",
        // A number that JSON would round ends the query.
        others: &[(TargetType::Json, "PARSE_JSON({}, wide_number_mode => 'exact')")],
        family: "text",
        example: ["größe", "größe"],
    },
    Row {
        kind: TargetType::Json,
        legacy: "",
        others: &[(TargetType::String, "TO_JSON_STRING({})")],
        family: "text",
        example: ["{\"a\":1}", "{\"a\":1}"],
    },
    Row {
        kind: TargetType::Bytes,
        legacy: "",
        others: &[],
        family: "bytes",
        example: ["b'\\x00\\xff'", "b'\\x00\\xff'"],
    },
    Row {
        kind: TargetType::Date,
        legacy: "",
        others: &[(TargetType::Datetime, "CAST({} AS DATETIME)"), TEXT],
        family: "dates and times",
        example: ["2024-02-29", "2024-02-29"],
    },
    Row {
        kind: TargetType::Time,
        legacy: "",
        others: &[TEXT],
        family: "dates and times",
        example: ["23:59:59.999999", "23:59:59.999999"],
    },
    Row {
        kind: TargetType::Datetime,
        legacy: "",
        others: &[TEXT],
        family: "dates and times",
        example: ["2024-02-29T23:59:59.5", "2024-02-29T23:59:59.5"],
    },
    Row {
        kind: TargetType::Timestamp,
        legacy: "",
        // A project may have another time zone than UTC by default.
        others: &[(TargetType::String, "STRING({}, 'UTC')")],
        family: "dates and times",
        example: ["2024-02-29 23:59:59.5+00", "2024-02-29 23:59:59.5+00"],
    },
    Row {
        kind: TargetType::Interval,
        legacy: "",
        others: &[TEXT],
        family: "dates and times",
        example: ["1-2 3 4:5:6.5", "1-2 3 4:5:6.5"],
    },
    Row {
        kind: TargetType::RangeDate,
        legacy: "",
        others: &[TEXT],
        family: "ranges",
        example: ["[2024-01-01, UNBOUNDED)", "[2024-01-01, UNBOUNDED)"],
    },
    Row {
        kind: TargetType::RangeDatetime,
        legacy: "",
        others: &[TEXT],
        family: "ranges",
        example: ["[UNBOUNDED, 2024-01-01T00:00:00)", "[UNBOUNDED, 2024-01-01T00:00:00)"],
    },
    Row {
        kind: TargetType::RangeTimestamp,
        legacy: "",
        others: &[(TargetType::String, RANGE_OF_TIMESTAMPS)],
        family: "ranges",
        example: ["[2024-01-01 00:00:00+00, UNBOUNDED)", "[2024-01-01 00:00:00+00, UNBOUNDED)"],
    },
    Row {
        kind: TargetType::Geography,
        legacy: "",
        others: &[],
        family: "geography",
        example: ["POINT(1 2)", "POINT(1 2)"],
    },
];

impl Row {
    /// The row of a type, by its standard name or by that of the API.
    pub(super) fn find(name: &str) -> Option<&'static Self> {
        TYPES.iter().find(|row| row.kind.name() == name || row.legacy == name)
    }

    /// The types that its values can become, itself first.
    pub(super) fn targets(&self) -> impl Iterator<Item = TargetType> + '_ {
        std::iter::once(self.kind).chain(self.others.iter().map(|(kind, _)| *kind))
    }

    /// The expression that makes a target type of a column; `None` for a type that does not hold
    /// every value.
    pub(super) fn expression(&self, target: TargetType, column: &str) -> Option<String> {
        if target == self.kind {
            return Some(column.to_owned());
        }
        let (_, expression) = self.others.iter().find(|(kind, _)| *kind == target)?;
        Some(expression.replace("{}", column))
    }
}
