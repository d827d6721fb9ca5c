//! PostgreSQL 12 and later, through binary COPY.

use std::sync::Arc;

use sluice_contracts::{Error, Result};

use crate::source::{Source, SourceKind};

/// The kind.
#[derive(Debug)]
pub(crate) struct Postgres;

impl SourceKind for Postgres {
    fn schemes(&self) -> &'static [&'static str] {
        &["postgres", "postgresql"]
    }

    fn open(&self, _url: &str) -> Result<Arc<dyn Source>> {
        Err(Error::bug("open"))
    }
}
