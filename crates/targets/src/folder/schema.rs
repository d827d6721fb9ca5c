//! Comparing a table's columns with a job's.

use std::fs::File;
use std::path::Path;

use parquet::arrow::ArrowSchemaConverter;
use parquet::basic::{ConvertedType, Type as PhysicalType};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::schema::types::Type;
use serde_json::Value;
use sluice_contracts::documents::{Column, arrow_schema};
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Kind, Result};

use super::client;

/// Name of the file that holds the table's schema.
pub(super) const SCHEMA: &str = "_schema.json";

/// The Parquet schema of part files with these columns.
pub(super) fn parquet_schema(columns: &[Column]) -> Result<Type> {
    let schema = arrow_schema(columns);
    let described = ArrowSchemaConverter::new()
        .convert(&schema)
        .doing(Kind::Bug, || "describe the columns as a Parquet schema")?;
    Ok(described.root_schema().clone())
}

/// Whether files of the schema `ours` may follow one of the schema `theirs`: they hold the same columns. A UUID
/// lies in files of earlier versions with its length, as other bytes do, and in newer ones without. Integers of
/// 32 bits may follow those of 64, which earlier versions wrote in their place. The other way round is refused:
/// most readers take the type of the first file for all, and a value that it does not hold is an error.
pub(super) fn agree(theirs: &Type, ours: &Type) -> bool {
    let (theirs, ours) = (theirs.get_fields(), ours.get_fields());
    theirs.len() == ours.len()
        && theirs.iter().zip(ours).all(|(theirs, ours)| {
            theirs == ours
                || theirs.name() == ours.name()
                    && (is_bytes(theirs) && is_bytes(ours)
                        || is_integer(theirs, PhysicalType::INT64)
                            && is_integer(ours, PhysicalType::INT32))
        })
}

/// The first column of integers that have 32 bits in `theirs` and 64 in `ours`.
pub(super) fn widened<'a>(theirs: &'a Type, ours: &Type) -> Option<&'a str> {
    let mut pairs = theirs.get_fields().iter().zip(ours.get_fields());
    let found = pairs.find(|(theirs, ours)| {
        theirs.name() == ours.name()
            && is_integer(theirs, PhysicalType::INT32)
            && is_integer(ours, PhysicalType::INT64)
    });
    found.map(|(theirs, _)| theirs.name())
}

fn is_integer(column: &Type, width: PhysicalType) -> bool {
    column.is_primitive() && column.get_physical_type() == width && is_unannotated(column)
}

fn is_bytes(column: &Type) -> bool {
    column.is_primitive()
        && matches!(
            column.get_physical_type(),
            PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY
        )
        && is_unannotated(column)
}

/// Whether the values are what their physical type says, and not a text, a date or a decimal.
fn is_unannotated(column: &Type) -> bool {
    column.get_basic_info().logical_type_ref().is_none()
        && column.get_basic_info().converted_type() == ConvertedType::NONE
}

/// Schema and rows of a Parquet file.
pub(super) fn read_footer(path: &Path) -> Result<(Type, u64)> {
    let file = File::open(path)
        .map_err(|source| client::error(format!("read `{}`", path.display()), source))?;
    let reader = SerializedFileReader::new(file)
        .doing(Kind::Data, || format!("read the footer of `{}`", path.display()))?;
    let footer = reader.metadata().file_metadata();
    let rows = u64::try_from(footer.num_rows())
        .doing(Kind::Data, || format!("count the rows of `{}`", path.display()))?;
    Ok((footer.schema_descr().root_schema().clone(), rows))
}

/// The first column in which two schemas differ.
pub(super) fn difference(theirs: &Value, ours: &Value) -> Option<String> {
    let none = Vec::new();
    let (theirs, ours) = (theirs.as_array().unwrap_or(&none), ours.as_array().unwrap_or(&none));
    let column = |schema: &[Value], at: usize| {
        schema.get(at).map(|column| {
            let text = |key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default();
            let element = column.get("rangeElementType").and_then(|kind| kind.get("type"));
            let of = element.and_then(Value::as_str).map(|element| format!("<{element}>"));
            let of = of.unwrap_or_default();
            format!("`{}` {} {}{of}", text("name"), text("mode"), text("type"))
        })
    };
    (0..theirs.len().max(ours.len())).find_map(|at| match (column(theirs, at), column(ours, at)) {
        (theirs, ours) if theirs == ours => None,
        (Some(theirs), Some(ours)) => Some(format!("it has {theirs} where the job has {ours}")),
        (Some(theirs), None) => {
            Some(format!("column {theirs} exists in the table and not in the job"))
        }
        (None, ours) => Some(format!("it lacks {}", ours.unwrap_or_default())),
    })
}

#[cfg(test)]
mod tests {
    use sluice_contracts::documents::TargetType;

    use super::super::tests::columns;
    use super::*;

    fn schema(name: &str, encoding: &str, target_type: TargetType) -> Type {
        let mut columns = columns(name, target_type);
        columns[0].encoding = encoding.to_owned();
        parquet_schema(&columns).unwrap()
    }

    #[test]
    fn a_uuid_may_lie_in_the_files_with_its_length_or_without() {
        let fixed = schema("u", "uuid", TargetType::Bytes);
        // Earlier versions wrote it as any other bytes.
        let any = schema("u", "bytea", TargetType::Bytes);
        assert_ne!(fixed, any);
        assert!(agree(&fixed, &any) && agree(&any, &fixed) && agree(&fixed, &fixed));
        for other in [
            schema("v", "bytea", TargetType::Bytes),
            schema("u", "text", TargetType::String),
            schema("u", "int8", TargetType::Int64),
            schema("u", "numeric", TargetType::Numeric),
            parquet_schema(&[]).unwrap(),
        ] {
            assert!(!agree(&other, &fixed) && !agree(&other, &any), "{other:?}");
        }
    }

    #[test]
    fn integers_of_32_bits_may_follow_those_of_64() {
        let [short, small, long] =
            ["int4", "int2", "int8"].map(|encoding| schema("n", encoding, TargetType::Int64));
        assert_eq!(short, small);
        assert!(agree(&long, &short) && !agree(&short, &long));
        for other in [
            schema("m", "int8", TargetType::Int64),
            schema("n", "timestamptz", TargetType::Timestamp),
            schema("n", "date", TargetType::Date),
            schema("n", "numeric", TargetType::Numeric),
        ] {
            assert!(!agree(&other, &short) && !agree(&short, &other), "{other:?}");
        }
    }
}
