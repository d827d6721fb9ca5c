//! SQLite database files.
//!
//! SQLite stores any value in a column, whatever type the column declares. So every value is
//! checked, and a value that does not fit exactly is refused or counted, never changed.

mod catalog;
mod columns;
mod connection;
mod datetime;
mod decimal;
mod density;
mod dialect;
mod distribution;
mod estimate;
mod invalid_values;
mod listing;
mod location;
mod reader;
mod sample;
mod snapshot;
mod surroundings;
mod survey;
#[cfg(test)]
mod tests;
mod type_table;
mod value;

use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::Result;

use self::location::{Location, parse};
use self::reader::SqliteReader;
use self::survey::SqliteSurvey;
use crate::documentation::TypeRow;
use crate::source::{Join, Reader, Source, SourceKind, Survey};

/// The kind.
#[derive(Debug)]
pub(crate) struct Sqlite;

impl SourceKind for Sqlite {
    fn schemes(&self) -> &'static [&'static str] {
        &["sqlite"]
    }

    fn types(&self) -> Vec<TypeRow> {
        type_table::type_documentation()
    }

    fn open(&self, url: &str) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(File { location: parse(url)? }))
    }
}

/// One database file.
#[derive(Debug)]
struct File {
    location: Location,
}

#[async_trait]
impl Source for File {
    fn label(&self) -> &str {
        &self.location.label
    }

    async fn survey(&self, _application: &str) -> Result<Box<dyn Survey>> {
        Ok(Box::new(SqliteSurvey::open(self.location.clone()).await?))
    }

    async fn reader(&self, _application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        let reader = SqliteReader::open(self.location.clone(), join).await?;
        Ok(Some(Box::new(reader)))
    }
}
