//! SQLite database files.
//!
//! SQLite stores any value in a column, whatever type the column declares. So every value is
//! checked, and a value that does not fit exactly is refused or counted, never changed.

mod catalog;
mod columns;
mod connection;
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
use sluice_contracts::ports::DatabaseLogin;

use self::location::{Location, parse};
use self::reader::SqliteReader;
use self::survey::SqliteSurvey;
use crate::documentation::TypeRow;
use crate::place::{Place, Protection};
use crate::secrets::Secrets;
use crate::source::{Join, Reader, Source, SourceKind, Survey};
use crate::url::SourceUrl;

/// The kind.
#[derive(Debug)]
pub(crate) struct Sqlite;

impl SourceKind for Sqlite {
    fn schemes(&self) -> &'static [&'static str] {
        &["sqlite"]
    }

    fn is_parameter(&self, name: &str) -> bool {
        location::is_parameter(name)
    }

    fn types(&self) -> Vec<TypeRow> {
        type_table::type_documentation()
    }

    fn open(
        &self,
        url: &SourceUrl,
        _login: Option<&Arc<dyn DatabaseLogin>>,
    ) -> Result<Arc<dyn Source>> {
        let location = parse(url.text())?;
        let label = url.label(|| location.label.clone());
        Ok(Arc::new(File {
            location: Location { label, ..location },
            secrets: url.secrets().clone(),
        }))
    }
}

/// One database file.
struct File {
    location: Location,
    secrets: Secrets,
}

// The path may contain a variable's value.
impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("label", &self.location.label).finish_non_exhaustive()
    }
}

#[async_trait]
impl Source for File {
    fn label(&self) -> &str {
        &self.location.label
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::File(self.location.path.clone())]
    }

    fn protection(&self) -> Protection {
        Protection::Local
    }

    async fn survey(&self, _application: &str) -> Result<Box<dyn Survey>> {
        let survey = SqliteSurvey::open(self.location.clone()).await;
        Ok(Box::new(survey.map_err(|error| self.secrets.redact(error))?))
    }

    async fn reader(&self, _application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        let reader = SqliteReader::open(self.location.clone(), join).await;
        Ok(Some(Box::new(reader.map_err(|error| self.secrets.redact(error))?)))
    }
}
