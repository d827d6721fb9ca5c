//! What the types of Parquet and Avro become.

use arrow_schema::{DataType, Field, Fields, IntervalUnit, TimeUnit};
use sluice_contracts::documents::{Column, Decimal, TargetType};
use sluice_contracts::{Error, Result};

use super::marks::{is_interval, is_text};
use crate::documentation::{Becomes, Example, TypeRow};
use crate::files::kind::Kind;
use crate::naming::{refuse_collisions, target_name};

/// The encoding of a column whose type the job names, so that its values are read from their text.
pub(super) const ASKED: &str = Kind::Any.name();

/// The encoding of UUIDs, which BYTES of part files know.
pub(super) const UUID: &str = "uuid";

/// Why a list cannot hold some lists.
const NULL_ELEMENTS: &str = "NULL elements, and what the element's type cannot hold";

/// A field of a file as a column of its own name.
///
/// # Errors
/// `Invalid` for a type that BigQuery has no type for.
pub(super) fn column_of(field: &Field) -> Result<Column> {
    let name = field.name();
    let (encoding, target) = match field.data_type() {
        DataType::List(element) => return list_of(field, element),
        DataType::Map(entries, _) => {
            let column = list_of(field, entries)?;
            return Ok(Column { encoding: "map".to_owned(), source_type: "map".to_owned(), ..column });
        }
        DataType::Struct(fields) => return struct_of(field, "struct", fields),
        DataType::Union(members, _) => {
            let members = members.iter().map(|(_, member)| member);
            let members = members.filter(|member| *member.data_type() != DataType::Null);
            let members: Fields = members.map(|member| member_field(member)).collect();
            return struct_of(field, "union", &members);
        }
        DataType::Dictionary(_, values) => {
            let plain = column_of(&field.clone().with_data_type(values.as_ref().clone()))?;
            return Ok(Column { encoding: "enum".to_owned(), source_type: "enum".to_owned(), ..plain });
        }
        scalar => scalar_of(field, scalar).ok_or_else(|| {
            Error::invalid(format!(
                "describe the files: column `{name}` is of the type {scalar}, for which BigQuery has no type"
            ))
            .hint("name the other columns in `source.columns`, or write the files with another type")
        })?,
    };
    let (decimal, source_type) = match field.data_type() {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            let digits = Decimal { precision: *precision, scale: scale.unsigned_abs() };
            (Some(digits), format!("decimal({precision}, {scale})"))
        }
        DataType::UInt64 => (Some(Decimal { precision: 20, scale: 0 }), encoding.to_owned()),
        _ => (None, encoding.to_owned()),
    };
    let is_decimal = matches!(target, TargetType::Numeric | TargetType::Bignumeric);
    Ok(Column {
        name: target_name(name, None)?,
        source_type,
        decimal: decimal.filter(|_| is_decimal),
        invalid: misfits(encoding, target).map(str::to_owned),
        ..Column::plain(name, encoding, target)
    })
}

/// The name and the target of a type whose values are single ones.
fn scalar_of(field: &Field, kind: &DataType) -> Option<(&'static str, TargetType)> {
    use TargetType as T;
    let extension = field.extension_type_name();
    Some(match kind {
        DataType::Null => ("null", T::String),
        DataType::Boolean => ("boolean", T::Bool),
        DataType::Int8 => ("int8", T::Int64),
        DataType::Int16 => ("int16", T::Int64),
        DataType::Int32 => ("int32", T::Int64),
        DataType::Int64 => ("int64", T::Int64),
        DataType::UInt8 => ("uint8", T::Int64),
        DataType::UInt16 => ("uint16", T::Int64),
        DataType::UInt32 => ("uint32", T::Int64),
        DataType::UInt64 => ("uint64", T::Numeric),
        DataType::Float16 => ("float16", T::Float64),
        DataType::Float32 => ("float", T::Float64),
        DataType::Float64 => ("double", T::Float64),
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            let scale = u8::try_from(*scale).ok()?;
            let digits = Decimal { precision: *precision, scale };
            ("decimal", digits.target_type().unwrap_or(T::String))
        }
        DataType::Utf8 if extension == Some("arrow.json") => ("json", T::Json),
        DataType::Utf8 => ("string", T::String),
        DataType::FixedSizeBinary(16) if extension == Some("arrow.uuid") => (UUID, T::String),
        DataType::FixedSizeBinary(_) if is_interval(field) => ("interval", T::Interval),
        DataType::FixedSizeBinary(_) => ("fixed", T::Bytes),
        DataType::Binary if is_text(field) => ("string", T::String),
        DataType::Binary => ("binary", T::Bytes),
        DataType::Date32 => ("date", T::Date),
        DataType::Time32(TimeUnit::Millisecond) => ("time_millis", T::Time),
        DataType::Time64(TimeUnit::Microsecond) => ("time_micros", T::Time),
        DataType::Time64(TimeUnit::Nanosecond) => ("time_nanos", T::Time),
        DataType::Timestamp(TimeUnit::Millisecond, Some(_)) => ("timestamp_millis", T::Timestamp),
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => ("timestamp_micros", T::Timestamp),
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => ("timestamp_nanos", T::Timestamp),
        DataType::Timestamp(TimeUnit::Millisecond, None) => ("local_timestamp_millis", T::Datetime),
        DataType::Timestamp(TimeUnit::Microsecond, None) => ("local_timestamp_micros", T::Datetime),
        DataType::Timestamp(TimeUnit::Nanosecond, None) => ("local_timestamp_nanos", T::Datetime),
        DataType::Interval(IntervalUnit::MonthDayNano) => ("interval", T::Interval),
        _ => return None,
    })
}

/// Values of a type that its default target does not hold.
fn misfits(encoding: &str, target: TargetType) -> Option<&'static str> {
    Some(match encoding {
        "decimal" if target != TargetType::String => "values of more digits than the type declares",
        "string" => "text that is not UTF-8",
        "json" => "text that is not JSON",
        "date" => "days outside of the years 1 to 9999",
        "time_millis" | "time_micros" => "24:00 and later",
        "time_nanos" => "24:00 and later, and parts of a microsecond",
        "timestamp_nanos" | "local_timestamp_nanos" => {
            "moments outside of the years 1 to 9999, and parts of a microsecond"
        }
        _ if encoding.contains("timestamp") => "moments outside of the years 1 to 9999",
        "interval" => {
            "more than 10,000 years, 3,660,000 days or 87,840,000 hours, and parts of a microsecond"
        }
        _ => return None,
    })
}

/// A list becomes an array. BigQuery has no arrays of arrays, so an inner one is the field `element` of a STRUCT.
fn list_of(field: &Field, element: &Field) -> Result<Column> {
    let inner = column_of(&element.clone().with_name(field.name()))?;
    let source_type = format!("list of {}", inner.source_type);
    let inner = if inner.repeated {
        let inner =
            Column { name: "element".to_owned(), source_name: "element".to_owned(), ..inner };
        Column { fields: vec![inner], ..Column::plain(field.name(), "list", TargetType::Struct) }
    } else {
        inner
    };
    Ok(Column {
        name: target_name(field.name(), None)?,
        source_type,
        encoding: "list".to_owned(),
        repeated: true,
        nullable: Some(false),
        invalid: Some(NULL_ELEMENTS.to_owned()),
        ..inner
    })
}

fn struct_of(field: &Field, encoding: &str, fields: &Fields) -> Result<Column> {
    let inner = fields.iter().map(|inner| column_of(inner)).collect::<Result<Vec<_>>>()?;
    refuse_collisions(&inner)?;
    if inner.is_empty() {
        return Err(Error::invalid(format!(
            "describe the files: column `{}` is a record without fields, for which BigQuery has no type",
            field.name()
        ))
        .hint("name the other columns in `source.columns`"));
    }
    let has_misfits = inner.iter().any(|inner| inner.invalid.is_some());
    Ok(Column {
        name: target_name(field.name(), None)?,
        invalid: has_misfits.then(|| "what the type of a field cannot hold".to_owned()),
        fields: inner,
        ..Column::plain(field.name(), encoding, TargetType::Struct)
    })
}

/// The field of a STRUCT that holds the values of one type of a union.
pub(super) fn member_field(member: &Field) -> Field {
    let named = member.name().rsplit('.').next().unwrap_or_default();
    member.clone().with_name(format!("{named}_value")).with_nullable(true)
}

/// Values of a type that a type which the job asks for does not hold.
pub(super) fn asked_misfits(encoding: &str, target: TargetType) -> Option<&'static str> {
    match (encoding, target) {
        ("binary" | "fixed", TargetType::String) => Some("bytes that are not UTF-8"),
        (UUID, TargetType::Bytes) | (_, TargetType::String) => None,
        _ => Some(Kind::Any.misfits(target)),
    }
}

/// The types that a job can ask for in place of the default one, whose values are read from their text.
pub(super) fn asked_types(encoding: &str) -> &'static [TargetType] {
    use TargetType as T;
    match encoding {
        "int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64" => {
            &[T::String, T::Float64, T::Numeric, T::Bignumeric, T::Int64, T::Bool]
        }
        "float16" | "float" | "double" | "decimal" => {
            &[T::String, T::Int64, T::Numeric, T::Bignumeric, T::Float64]
        }
        "string" | "enum" | "binary" | "fixed" | "null" => &Kind::TARGETS,
        UUID => &[T::String, T::Bytes],
        "date" => &[T::String, T::Datetime, T::Timestamp],
        _ if encoding.starts_with("local_timestamp") => &[T::String, T::Timestamp, T::Date],
        _ => &[T::String],
    }
}

/// What stands in the documentation for each type: its name, its target, a value, and that value of the target.
const ROWS: [(&str, TargetType, &str, &str); 31] = {
    use TargetType as T;
    [
        ("boolean", T::Bool, "true", "true"),
        ("int8", T::Int64, "-7", "-7"),
        ("int16", T::Int64, "-7", "-7"),
        ("int32", T::Int64, "42", "42"),
        ("int64", T::Int64, "42", "42"),
        ("uint8", T::Int64, "255", "255"),
        ("uint16", T::Int64, "65535", "65535"),
        ("uint32", T::Int64, "4294967295", "4294967295"),
        ("uint64", T::Numeric, "18446744073709551615", "18446744073709551615"),
        ("float16", T::Float64, "0.5", "0.5"),
        ("float", T::Float64, "0.5", "0.5"),
        ("double", T::Float64, "0.1", "0.1"),
        ("decimal", T::Numeric, "19.90", "19.9"),
        ("string", T::String, "größe", "größe"),
        ("enum", T::String, "OPEN", "OPEN"),
        ("json", T::Json, "{\"a\": 1.10}", "{\"a\": 1.10}"),
        (
            UUID,
            T::String,
            "0cf81f90-3840-2e85-910c-fad17d0051b3",
            "0cf81f90-3840-2e85-910c-fad17d0051b3",
        ),
        ("binary", T::Bytes, "0x00ff", "0x00ff"),
        ("fixed", T::Bytes, "0x00ff", "0x00ff"),
        ("date", T::Date, "2026-11-30", "2026-11-30"),
        ("time_millis", T::Time, "23:59:59.5", "23:59:59.5"),
        ("time_micros", T::Time, "23:59:59.5", "23:59:59.5"),
        ("time_nanos", T::Time, "23:59:59.5", "23:59:59.5"),
        ("timestamp_millis", T::Timestamp, "2026-11-30T23:59:59Z", "2026-11-30 23:59:59+00"),
        ("timestamp_micros", T::Timestamp, "2026-11-30T23:59:59Z", "2026-11-30 23:59:59+00"),
        ("timestamp_nanos", T::Timestamp, "2026-11-30T23:59:59Z", "2026-11-30 23:59:59+00"),
        ("local_timestamp_millis", T::Datetime, "2026-11-30T23:59:59", "2026-11-30 23:59:59"),
        ("local_timestamp_micros", T::Datetime, "2026-11-30T23:59:59", "2026-11-30 23:59:59"),
        ("local_timestamp_nanos", T::Datetime, "2026-11-30T23:59:59", "2026-11-30 23:59:59"),
        ("interval", T::Interval, "1 month, 2 days", "P1M2D"),
        ("null", T::String, "NULL", "NULL"),
    ]
};

/// Every type of Parquet and Avro that is a single value.
pub(in crate::files) fn type_documentation() -> impl Iterator<Item = TypeRow> {
    ROWS.into_iter().map(|(name, default, source, target)| {
        let default_becomes =
            Becomes { target_type: default, repeated: false, invalid: misfits(name, default) };
        let others = asked_types(name).iter().filter(|other| **other != default);
        let asked = others.map(|target_type| Becomes {
            target_type: *target_type,
            repeated: false,
            invalid: asked_misfits(name, *target_type),
        });
        TypeRow {
            source: "files",
            family: "types of Parquet and Avro",
            name,
            becomes: std::iter::once(default_becomes).chain(asked).collect(),
            refused: None,
            example: Example { source, target },
        }
    })
}
