//! A column of type ARRAY or STRUCT, which the `parquet` crate encodes.

use std::sync::Arc;

use arrow_array::ArrayRef;
use arrow_schema::{DataType, FieldRef};
use parquet::arrow::arrow_writer::{ArrowColumnWriter, compute_leaves};
use parquet::errors::Result;
use parquet::file::writer::SerializedRowGroupWriter;

use crate::upload::Outbox;

/// The values of a column in one row group.
pub(super) struct Nested {
    field: FieldRef,
    leaves: Vec<ArrowColumnWriter>,
}

impl Nested {
    pub(super) fn new(field: &FieldRef, leaves: Vec<ArrowColumnWriter>) -> Self {
        Self { field: Arc::clone(field), leaves }
    }

    /// Adds the values of some rows.
    pub(super) fn write(&mut self, array: &ArrayRef) -> Result<()> {
        let found = compute_leaves(&self.field, array)?;
        self.leaves.iter_mut().zip(&found).try_for_each(|(into, leaf)| into.write(leaf))
    }

    /// Bytes of the file, about, and bytes of memory.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let sizes =
            self.leaves.iter().map(|leaf| (leaf.get_estimated_total_bytes(), leaf.memory_size()));
        sizes.fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
    }

    /// Writes the column chunks.
    pub(super) fn finish(self, into: &mut SerializedRowGroupWriter<'_, Outbox>) -> Result<()> {
        self.leaves.into_iter().try_for_each(|leaf| leaf.close()?.append_to_row_group(into))
    }
}

/// Leaves of a type.
pub(super) fn leaves(kind: &DataType) -> usize {
    match kind {
        DataType::List(field) => leaves(field.data_type()),
        DataType::Struct(fields) => fields.iter().map(|field| leaves(field.data_type())).sum(),
        _ => 1,
    }
}
