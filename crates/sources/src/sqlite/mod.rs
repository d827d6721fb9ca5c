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
mod reader;
mod sample;
mod snapshot;
mod survey;
#[cfg(test)]
mod tests;
mod type_table;
mod value;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::{Error, Result};

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
        let (label, path) = parse(url)?;
        Ok(Arc::new(File { label, path }))
    }
}

/// One database file.
#[derive(Debug)]
struct File {
    label: String,
    path: PathBuf,
}

#[async_trait]
impl Source for File {
    fn label(&self) -> &str {
        &self.label
    }

    async fn survey(&self, _application: &str) -> Result<Box<dyn Survey>> {
        Ok(Box::new(SqliteSurvey::open(self.path.clone(), self.label.clone()).await?))
    }

    async fn reader(&self, _application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        let reader = SqliteReader::open(self.path.clone(), self.label.clone(), join).await?;
        Ok(Some(Box::new(reader)))
    }
}

/// The label and the path of `sqlite:///absolute/path` or `sqlite://relative/path`. `%` and two
/// hexadecimal digits stand for a byte, such as `%3F` for the `?` that would begin a query.
fn parse(url: &str) -> Result<(String, PathBuf)> {
    let label = url.split(['?', '#']).next().unwrap_or_default();
    let encoded = label.strip_prefix("sqlite://").unwrap_or_default();
    let refused = |reason: &str| {
        Error::invalid(format!("read `source.url`: {reason}"))
            .hint("write `sqlite:///path/to/file`")
    };
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    let path = String::from_utf8(bytes).map_err(|_| refused("its path is not UTF-8"))?;
    if path.is_empty() {
        return Err(refused("it names no file"));
    }
    Ok((label.to_owned(), path.into()))
}
