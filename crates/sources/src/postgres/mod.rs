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
mod outside;
mod partitions;
mod reader;
mod replacements;
mod rights;
mod statistics_warnings;
mod survey;
mod type_table;
mod unlogged;

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use sluice_contracts::Result;
use sqlx::postgres::{PgConnectOptions, PgConnection};

use self::address::Address;
use crate::documentation::TypeRow;
use crate::place::{Place, Protection};
use crate::secrets::Secrets;
use crate::source::{Join, Reader, Source, SourceKind, Survey};
use crate::url::SourceUrl;
pub use copy::CopyDecoder;

/// Objects below this one are the server's own.
/// <https://www.postgresql.org/docs/current/system-catalog-initial-data.html#SYSTEM-CATALOG-OID-ASSIGNMENT>
const FIRST_USER_OID: u32 = 16_384;

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

    fn open(&self, url: &SourceUrl) -> Result<Arc<dyn Source>> {
        let Address { options, files } = address::read(url.text())?;
        let label = url.label(|| {
            let place = match options.get_socket() {
                Some(socket) => socket.display().to_string(),
                None => format!("{}:{}", options.get_host(), options.get_port()),
            };
            let database = options.get_database().unwrap_or_else(|| options.get_username());
            format!("postgres://{}@{place}/{database}", options.get_username())
        });
        let secrets = url.secrets().clone();
        Ok(Arc::new(Database { options, files, label, secrets }))
    }
}

/// One database of a server.
#[derive(Clone)]
struct Database {
    options: PgConnectOptions,
    /// Certificates and keys that the URL names.
    files: Vec<PathBuf>,
    label: String,
    secrets: Secrets,
}

impl Database {
    async fn connect(&self, application: &str) -> Result<PgConnection> {
        let connected = connection::connect(&self.options, &self.label, application).await;
        connected.map_err(|error| self.secrets.redact(error))
    }
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

    fn places(&self) -> Vec<Place> {
        let server = match self.options.get_socket() {
            Some(folder) => Place::Socket(folder.clone()),
            None => Place::Server {
                host: self.options.get_host().to_owned(),
                port: self.options.get_port(),
            },
        };
        std::iter::once(server).chain(self.files.iter().cloned().map(Place::File)).collect()
    }

    fn protection(&self) -> Protection {
        address::protection(&self.options)
    }

    async fn survey(&self, application: &str) -> Result<Box<dyn Survey>> {
        let connection = self.connect(application).await?;
        Ok(Box::new(survey::PgSurvey::new(connection, self.clone(), application.to_owned())))
    }

    async fn reader(&self, application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        let connection = self.connect(application).await?;
        let reader = reader::PgReader::join(connection, join).await;
        // A pooler connects to the server only now, and says then what it cannot connect to.
        let reader = reader.map_err(|error| self.secrets.redact(error))?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn Reader>))
    }
}
