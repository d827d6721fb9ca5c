//! The part file of a table without columns, which holds only the number of rows.

use std::io::Write;
use std::sync::Arc;

use parquet::errors::Result;
use parquet::file::metadata::{
    FileMetaData, ParquetMetaDataBuilder, ParquetMetaDataWriter, RowGroupMetaData,
};
use parquet::schema::types::{SchemaDescriptor, Type};

/// Writes a Parquet file of `rows` rows and no columns. An encoder takes the number of rows from
/// its columns, so this writes the footer by itself; the format allows it
/// (<https://parquet.apache.org/docs/file-format/>).
pub(crate) fn write(rows: u64, into: &mut impl Write) -> Result<()> {
    let rows = i64::try_from(rows)?;
    let root = Type::group_type_builder("arrow_schema").build()?;
    let schema = Arc::new(SchemaDescriptor::new(Arc::new(root)));
    let group = RowGroupMetaData::builder(Arc::clone(&schema)).set_num_rows(rows).build()?;
    let created_by = concat!("sluice ", env!("CARGO_PKG_VERSION")).to_owned();
    let file = FileMetaData::new(1, rows, Some(created_by), None, schema, None);
    let metadata = ParquetMetaDataBuilder::new(file).add_row_group(group).build();
    into.write_all(b"PAR1")?;
    ParquetMetaDataWriter::new(into, &metadata).finish()
}
