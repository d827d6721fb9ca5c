//! Reading: the files of a unit become batches.

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::documents::{Column, Table, Unit};
use sluice_contracts::job::FormatName;
use sluice_contracts::{Error, Result};

use super::format::Format;
use super::partitions::PartitionedBatches;
use super::piece::{FilePiece, files_of};
use super::store::FileStore;
use super::text_batches::TextBatches;
use super::typed::TypedBatches;
use crate::source::{Batches, Reader};

/// Reads objects in the versions that units name.
#[derive(Debug)]
pub(super) struct FilesReader {
    store: Arc<FileStore>,
}

impl FilesReader {
    pub(super) fn new(store: Arc<FileStore>) -> Self {
        Self { store }
    }
}

#[async_trait]
impl Reader for FilesReader {
    /// Every unit names the versions of its files, and a file is refused in any other: the shape of a table of
    /// files cannot change.
    async fn check(&mut self, _table: &Table) -> Result<()> {
        Ok(())
    }

    async fn read<'a>(
        &'a mut self,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Box<dyn Batches + 'a>> {
        let format = Format::of(&table.relation)?;
        let files = files_of(unit)?;
        let of_paths = format.partition_columns.clone();
        let what = What::new(&self.store, format, &table.columns);
        if of_paths.is_empty() {
            return what.batches(files);
        }
        Ok(Box::new(PartitionedBatches::new(what, &table.columns, files)))
    }
}

/// What is read of files, whichever they are.
#[derive(Debug, Clone)]
pub(super) struct What {
    pub(super) store: Arc<FileStore>,
    pub(super) format: Arc<Format>,
    /// The columns that the files themselves hold.
    pub(super) columns: Arc<[Column]>,
    /// Names of all columns of the files.
    pub(super) known: Arc<[String]>,
}

impl What {
    fn new(store: &Arc<FileStore>, format: Format, columns: &[Column]) -> Self {
        let is_of_files =
            |column: &&Column| !format.partition_columns.contains(&column.source_name);
        let columns: Arc<[Column]> = columns.iter().filter(is_of_files).cloned().collect();
        let known = format.known_columns(&columns).into();
        Self { store: Arc::clone(store), format: Arc::new(format), columns, known }
    }

    /// The rows of these files, one file after another.
    pub(super) fn batches(self, files: VecDeque<FilePiece>) -> Result<Box<dyn Batches>> {
        match self.format.name {
            Some(FormatName::Csv | FormatName::JsonLines) => {
                Ok(Box::new(TextBatches::new(self, files)?))
            }
            Some(FormatName::Parquet | FormatName::Avro) => {
                Ok(Box::new(TypedBatches::new(self, files)))
            }
            None => Err(Error::bug("read files: the plan does not say their format")),
        }
    }
}
