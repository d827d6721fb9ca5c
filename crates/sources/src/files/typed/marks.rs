//! Columns of Parquet that are read as the bytes that they are, under a mark that tells them from other bytes.
//!
//! Intervals have months, days and milliseconds. Arrow has no type for them, and the library reads them without their
//! months. Texts may not be UTF-8: the library says so of a file, and not of a row.

use std::sync::Arc;

use arrow_schema::{DataType, Field};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;
use parquet::basic::{ConvertedType, LogicalType};
use parquet::errors::ParquetError;
use parquet::file::metadata::{FileMetaData, ParquetMetaData};
use parquet::schema::types::{BasicTypeInfo, SchemaDescriptor, Type, TypePtr};

use crate::builder::Invalid;
use crate::interval;

/// The number of a field that has a mark. Writers number fields from 0 or 1.
const MARK: i32 = i32::MIN;

/// Whether a field is an interval of Parquet.
pub(super) fn is_interval(field: &Field) -> bool {
    *field.data_type() == DataType::FixedSizeBinary(12) && is_marked(field)
}

/// Whether a field is text of Parquet.
pub(super) fn is_text(field: &Field) -> bool {
    *field.data_type() == DataType::Binary && is_marked(field)
}

fn is_marked(field: &Field) -> bool {
    let mark = field.metadata().get(PARQUET_FIELD_ID_META_KEY);
    mark.is_some_and(|mark| *mark == MARK.to_string())
}

/// A footer in which intervals and texts are marked bytes.
pub(super) fn with_marks(metadata: &ParquetMetaData) -> Result<ParquetMetaData, ParquetError> {
    let file = metadata.file_metadata();
    let root = marked(&file.schema_descr().root_schema_ptr())?;
    let file = FileMetaData::new(
        file.version(),
        file.num_rows(),
        file.created_by().map(str::to_owned),
        file.key_value_metadata().cloned(),
        Arc::new(SchemaDescriptor::new(root)),
        file.column_orders().cloned(),
    );
    Ok(ParquetMetaData::new(file, metadata.row_groups().to_vec()))
}

/// Whether the values of a column are texts.
fn has_texts(info: &BasicTypeInfo) -> bool {
    match info.logical_type_ref() {
        Some(kind) => *kind == LogicalType::String,
        None => info.converted_type() == ConvertedType::UTF8,
    }
}

fn marked(kind: &TypePtr) -> Result<TypePtr, ParquetError> {
    let info = kind.get_basic_info();
    match kind.as_ref() {
        Type::PrimitiveType { physical_type, type_length, .. }
            if info.converted_type() == ConvertedType::INTERVAL || has_texts(info) =>
        {
            let bytes = Type::primitive_type_builder(kind.name(), *physical_type)
                .with_length(*type_length)
                .with_repetition(info.repetition())
                .with_id(Some(MARK));
            Ok(Arc::new(bytes.build()?))
        }
        Type::PrimitiveType { .. } => Ok(Arc::clone(kind)),
        Type::GroupType { fields, .. } => {
            let fields = fields.iter().map(marked).collect::<Result<_, _>>()?;
            let mut group = Type::group_type_builder(kind.name())
                .with_converted_type(info.converted_type())
                .with_logical_type(info.logical_type_ref().cloned())
                .with_id(info.has_id().then(|| info.id()))
                .with_fields(fields);
            if info.has_repetition() {
                group = group.with_repetition(info.repetition());
            }
            Ok(Arc::new(group.build()?))
        }
    }
}

/// An interval as text.
///
/// <https://github.com/apache/parquet-format/blob/master/LogicalTypes.md#interval>
pub(super) fn interval_text(bytes: &[u8]) -> Result<String, Invalid> {
    let part = |at: usize| {
        let part = bytes.get(at..at + 4).and_then(|part| part.first_chunk::<4>());
        part.map(|part| u32::from_le_bytes(*part)).unwrap_or_default()
    };
    let whole =
        |part| i32::try_from(part).map_err(|_| Invalid("more than 10,000 years or 3,660,000 days"));
    let mut text = String::new();
    interval::write(whole(part(0))?, whole(part(4))?, i64::from(part(8)) * 1_000, &mut text)?;
    Ok(text)
}
