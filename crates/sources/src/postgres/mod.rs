//! PostgreSQL 12 and later, through binary COPY.

mod address;
mod batches;
mod catalog;
mod columns;
mod comments;
mod connection;
mod copy;
mod dialect;
mod distribution;
mod driver;
mod extras;
mod listing;
mod login;
mod outside;
mod partitions;
mod pieces;
mod reader;
mod replacements;
mod rights;
mod server_error;
mod silence;
mod snapshot_token;
mod statistics_warnings;
mod survey;
mod type_table;
mod unlogged;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sluice_contracts::ports::DatabaseLogin;
use sluice_contracts::{Error, Result};

use self::address::Address;
use self::driver::{Connection, Options};
use self::login::Credentials;
use self::silence::SILENCE;
use crate::documentation::TypeRow;
use crate::place::{Place, Protection};
use crate::secrets::Secrets;
use crate::source::{Join, Reader, Source, SourceKind, Survey};
use crate::url::SourceUrl;
pub use copy::CopyDecoder;

/// Objects below this one are the server's own.
/// <https://www.postgresql.org/docs/current/system-catalog-initial-data.html#SYSTEM-CATALOG-OID-ASSIGNMENT>
const FIRST_USER_OID: u32 = 16_384;
/// `heap` of `pg_am`, how tables lie in their pages. The server's own objects keep their oids.
/// <https://github.com/postgres/postgres/blob/master/src/include/catalog/pg_am.dat>
const HEAP: u32 = 2;
/// `btree` of `pg_am`.
const BTREE: u32 = 403;

/// The kind.
#[derive(Debug)]
pub(crate) struct Postgres;

impl SourceKind for Postgres {
    fn schemes(&self) -> &'static [&'static str] {
        &["postgres", "postgresql"]
    }

    fn is_parameter(&self, name: &str) -> bool {
        address::is_parameter(name)
    }

    fn names_file(&self, parameter: &str) -> bool {
        address::FILES.contains(&parameter)
    }

    fn types(&self) -> Vec<TypeRow> {
        type_table::type_documentation()
    }

    fn open(
        &self,
        url: &SourceUrl,
        login: Option<&Arc<dyn DatabaseLogin>>,
    ) -> Result<Arc<dyn Source>> {
        let Address { options, credentials, files, silence } = address::read(url.text())?;
        let credentials = credentials.with_account(login);
        let label = url.label(|| {
            let place = match options.socket() {
                Some(socket) => socket.display().to_string(),
                None => format!("{}:{}", options.host, options.port),
            };
            let database = options.database();
            match &credentials {
                // The account is not known before a connection is made.
                Credentials::OfAccount { user: None, .. } => {
                    format!("postgres://{place}/{database}")
                }
                _ => format!("postgres://{}@{place}/{database}", options.user),
            }
        });
        let secrets = url.secrets().clone();
        Ok(Arc::new(Server(Arc::new(Database {
            options,
            credentials,
            files,
            silence,
            label,
            secrets,
        }))))
    }
}

/// A database as a source.
#[derive(Debug)]
struct Server(Arc<Database>);

/// One database of a server.
struct Database {
    options: Options,
    credentials: Credentials,
    /// Certificates and keys that the URL or a variable names, each with that name.
    files: Vec<(String, PathBuf)>,
    /// How long the server may be silent before it is looked at.
    silence: Option<Duration>,
    label: String,
    secrets: Secrets,
}

impl Database {
    async fn connect(&self, application: &str) -> Result<Connection> {
        self.connect_as(application, false).await
    }

    /// `plans` says that it is the first connection to this address.
    async fn connect_as(&self, application: &str, plans: bool) -> Result<Connection> {
        let connected = async {
            address::find_files(&self.files)?;
            match self.connect_once(application, plans).await {
                // The token was good when it was asked for.
                Err(error) if self.credentials.are_refused(&error) && self.credentials.renew() => {
                    self.connect_once(application, plans).await
                }
                connected => connected,
            }
        };
        let explained = |error| self.secrets.redact(self.credentials.explain(error));
        connected.await.map_err(explained)
    }

    async fn connect_once(&self, application: &str, plans: bool) -> Result<Connection> {
        let options = self.credentials.complete(&self.options).await?;
        connection::connect(options, &self.label, application, plans).await
    }
}

// The options hold the password.
impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("label", &self.label).finish_non_exhaustive()
    }
}

#[async_trait]
impl Source for Server {
    fn label(&self) -> &str {
        &self.0.label
    }

    fn places(&self) -> Vec<Place> {
        let options = &self.0.options;
        let server = match options.socket() {
            Some(folder) => Place::Socket(folder.to_owned()),
            None => Place::Server { host: options.host.clone(), port: options.port },
        };
        // Variables of this process are not what a job names.
        let files = self.0.files.iter().filter(|(key, _)| address::is_parameter(key));
        let files = files.map(|(_, path)| Place::File(path.clone()));
        std::iter::once(server).chain(files).collect()
    }

    fn protection(&self) -> Protection {
        address::protection(&self.0.options)
    }

    fn logs_in_by_account(&self) -> bool {
        self.0.credentials.are_of_account()
    }

    async fn survey(&self, application: &str) -> Result<Box<dyn Survey>> {
        let connection = self.0.connect_as(application, true).await?;
        let database = Arc::clone(&self.0);
        Ok(Box::new(survey::PgSurvey::new(connection, database, application.to_owned())))
    }

    async fn reader(&self, application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        let connection = self.0.connect(application).await?;
        let reader = reader::PgReader::join(&self.0, application, connection, join);
        let silent = |_| Error::transient(format!("read from `{}`: no answer", self.0.label));
        let reader = tokio::time::timeout(SILENCE, reader).await.map_err(silent)?;
        // A pooler connects to the server only now, and says then what it cannot connect to.
        let reader = reader.map_err(|error| self.0.secrets.redact(error))?;
        Ok(reader.map(|reader| Box::new(reader) as Box<dyn Reader>))
    }
}
