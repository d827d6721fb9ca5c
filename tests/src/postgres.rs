//! A database for one test.

use std::sync::atomic::{AtomicU32, Ordering};

use sqlx::postgres::{PgConnectOptions, PgConnection, PgRow};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Row as _};

use crate::needs::{skip, variable};

/// A fresh database. Dropping the value drops the database.
#[derive(Debug)]
pub struct Database {
    server: PgConnectOptions,
    name: String,
    /// Whether another value drops the database.
    lent: bool,
}

impl Database {
    /// Creates a database on the server of `TEST_POSTGRES_URL`. Reports a skip and returns `None`
    /// if there is no server.
    pub async fn fresh() -> Option<Self> {
        let Some(url) = variable("TEST_POSTGRES_URL") else {
            skip("PostgreSQL (TEST_POSTGRES_URL)");
            return None;
        };
        let server: PgConnectOptions =
            url.to_str().and_then(|url| url.parse().ok()).expect("TEST_POSTGRES_URL is a URL");
        Some(Self::on(server).await)
    }

    /// Creates a database on `server`.
    pub(crate) async fn on(server: PgConnectOptions) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = server.disable_statement_logging();
        let name =
            format!("sluice_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut connection = server.connect().await.expect("the test server answers");
        // Collation C makes the databases alike on every machine.
        let create = format!(
            "CREATE DATABASE {name} TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C' ENCODING 'UTF8'"
        );
        run(&mut connection, &create).await;
        Self { server, name, lent: false }
    }

    /// The same database, as the server at another port of this machine shows it.
    pub(crate) fn at_port(&self, port: u16) -> Self {
        Self { server: self.server.clone().port(port), name: self.name.clone(), lent: true }
    }

    /// The database's URL.
    pub fn url(&self) -> String {
        self.url_through(self.server.get_port())
    }

    /// The database's URL, through another port of this machine.
    pub fn url_through(&self, port: u16) -> String {
        let user = self.server.get_username();
        let host = self.server.get_host();
        format!("postgres://{user}@{host}:{port}/{}", self.name)
    }

    /// The database's URL for another user.
    pub fn url_as(&self, user: &str) -> String {
        let (host, port) = self.address();
        format!("postgres://{user}@{host}:{port}/{}", self.name)
    }

    /// The database's name, which is unique on the server.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host and port that the server listens on.
    pub fn address(&self) -> (String, u16) {
        (self.server.get_host().to_owned(), self.server.get_port())
    }

    /// A connection to the database.
    pub async fn connect(&self) -> PgConnection {
        self.server.clone().database(&self.name).connect().await.expect("the database answers")
    }

    /// Executes statements.
    pub async fn execute(&self, statements: &str) {
        let mut connection = self.connect().await;
        run(&mut connection, statements).await;
        connection.close().await.expect("the connection closes");
    }

    /// The single whole number that a query returns.
    pub async fn number(&self, query: &str) -> i64 {
        self.row(query).await.get(0)
    }

    /// The single text that a query returns.
    pub async fn text(&self, query: &str) -> String {
        self.row(query).await.get(0)
    }

    async fn row(&self, query: &str) -> PgRow {
        let mut connection = self.connect().await;
        let row = sqlx::query(AssertSqlSafe(query.to_owned())).fetch_one(&mut connection).await;
        row.expect("the query has an answer")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        if self.lent {
            return;
        }
        let server = self.server.clone();
        let drop = format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name);
        // Another runtime, because the current one may be shutting down.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let mut connection = server.connect().await.map_err(std::io::Error::other)?;
                sqlx::raw_sql(AssertSqlSafe(drop))
                    .execute(&mut connection)
                    .await
                    .map_err(std::io::Error::other)
            })
        });
        // The server is deleted after the suite, so a database that is left over does no harm.
        let _ = dropping.join();
    }
}

async fn run(connection: &mut PgConnection, statements: &str) {
    if let Err(error) =
        sqlx::raw_sql(AssertSqlSafe(statements.to_owned())).execute(connection).await
    {
        panic!("{error}\nin: {statements}");
    }
}
