//! SQLite database files.

use std::sync::Arc;

use sluice_contracts::{Error, Result};

use crate::source::{Source, SourceKind};

/// The kind.
#[derive(Debug)]
pub(crate) struct Sqlite;

impl SourceKind for Sqlite {
    fn schemes(&self) -> &'static [&'static str] {
        &["sqlite"]
    }

    fn open(&self, _url: &str) -> Result<Arc<dyn Source>> {
        Err(Error::bug("open"))
    }
}
