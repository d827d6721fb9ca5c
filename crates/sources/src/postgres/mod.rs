//! PostgreSQL 12 and later, through binary COPY.

mod address;
mod batches;
mod catalog;
mod columns;
mod connection;
mod copy;
mod copy_connection;
mod dialect;
mod distribution;
mod listing;
mod partitions;
mod reader;
mod rights;
mod statistics_warnings;
mod survey;
mod type_table;

use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::Result;
use sqlx::postgres::PgConnectOptions;

use crate::documentation::TypeRow;
use crate::source::{Join, Reader, Source, SourceKind, Survey};
pub use copy::CopyDecoder;

/// The kind.
#[derive(Debug)]
pub(crate) struct Postgres;

impl SourceKind for Postgres {
    fn schemes(&self) -> &'static [&'static str] {
        &["postgres", "postgresql"]
    }

    fn types(&self) -> Vec<TypeRow> {
        type_table::type_documentation()
    }

    fn open(&self, url: &str) -> Result<Arc<dyn Source>> {
        let options = address::options(url)?;
        let place = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        let database = options.get_database().unwrap_or_else(|| options.get_username());
        let label = format!("postgres://{}@{place}/{database}", options.get_username());
        Ok(Arc::new(Database { options, label }))
    }
}

/// One database of a server.
struct Database {
    options: PgConnectOptions,
    label: String,
}

// The options hold the password.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("label", &self.label).finish_non_exhaustive()
    }
}

#[async_trait]
impl Source for Database {
    fn label(&self) -> &str {
        &self.label
    }

    async fn survey(&self, application: &str) -> Result<Box<dyn Survey>> {
        let connection = connection::connect(&self.options, &self.label, application).await?;
        Ok(Box::new(survey::PgSurvey::new(connection)))
    }

    async fn reader(&self, application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        let connection = connection::connect(&self.options, &self.label, application).await?;
        let reader = reader::PgReader::join(connection, join).await?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn Reader>))
    }
}
