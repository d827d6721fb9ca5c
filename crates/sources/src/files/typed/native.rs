//! Whether BigQuery makes of every column what tasks make of it, when it loads the files by itself.
//!
//! <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#parquet_conversions>
//! <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-avro#avro_conversions>

use arrow_avro::compression::CompressionCodec;
use parquet::basic::Compression;
use sluice_contracts::documents::{Column, TargetType};

use super::look::{FileLook, Look, Parts};

/// Types whose values are loaded as they are.
const LOADED: [&str; 20] = [
    "boolean",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "float",
    "double",
    "decimal",
    "string",
    "binary",
    "fixed",
    "date",
    "time_millis",
    "time_micros",
    "timestamp_millis",
    "timestamp_micros",
    "local_timestamp_micros",
];

impl Look {
    /// The rows of all files, if they say so; an error says why a load job would not do what tasks do. There are `files`
    /// in all.
    pub(in crate::files) fn loaded(
        &self,
        files: usize,
        columns: &[Column],
    ) -> Result<Option<u64>, String> {
        let Some(first) = self.files.first() else { return Err("there are no files".to_owned()) };
        if self.files.len() != files {
            return Err(format!(
                "the types of {} of {files} files are known, and a load job needs the same types in all",
                self.files.len()
            ));
        }
        let is_other = |file: &&FileLook| file.schema.fields() != first.schema.fields();
        if let Some(other) = self.files.iter().find(is_other) {
            return Err(format!(
                "`{}` has other columns than `{}`, or other types, and a load job needs the same in all files",
                other.name, first.name
            ));
        }
        for file in &self.files {
            if let Some(codec) = unknown_codec(&file.parts) {
                return Err(format!(
                    "`{}` is compressed by {codec}, which BigQuery does not read",
                    file.name
                ));
            }
        }
        if let Some(column) = columns.iter().find(|column| !is_loaded(column)) {
            return Err(format!(
                "column `{}` is {}, which a load job may make something else of",
                column.source_name, column.source_type
            ));
        }
        let is_counted = matches!(first.parts, Parts::RowGroups(_));
        Ok(is_counted.then(|| self.files.iter().map(|file| file.rows).sum()))
    }
}

/// A codec that BigQuery does not read, if a file has one.
fn unknown_codec(parts: &Parts) -> Option<String> {
    match parts {
        Parts::RowGroups(codecs) => {
            let is_unknown = |codec: &&Compression| {
                !matches!(
                    codec,
                    Compression::UNCOMPRESSED
                        | Compression::SNAPPY
                        | Compression::GZIP(_)
                        | Compression::ZSTD(_)
                )
            };
            codecs.iter().find(is_unknown).map(ToString::to_string)
        }
        Parts::Blocks(None | Some(CompressionCodec::Deflate | CompressionCodec::Snappy)) => None,
        Parts::Blocks(Some(codec)) => Some(format!("{codec:?}").to_lowercase()),
    }
}

fn is_loaded(column: &Column) -> bool {
    if column.name != column.source_name {
        return false;
    }
    if column.repeated {
        // Of the lists, those of single values: what is in others depends on how they are written.
        let element = column.source_type.strip_prefix("list of ").unwrap_or_default();
        let name = element.split('(').next().unwrap_or_default();
        return column.encoding == "list" && is_single(name, column.target_type);
    }
    match column.target_type {
        TargetType::Struct => column.encoding == "struct" && column.fields.iter().all(is_loaded),
        target => is_single(&column.encoding, target),
    }
}

fn is_single(encoding: &str, target: TargetType) -> bool {
    let is_decimal = matches!(target, TargetType::Numeric | TargetType::Bignumeric);
    LOADED.contains(&encoding) && (encoding != "decimal" || is_decimal)
}
