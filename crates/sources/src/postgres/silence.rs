//! A server that sends nothing: it may compute, or the connection may be dead.
//!
//! A firewall that forgets a connection, or a machine that is gone, tells its clients nothing. The
//! driver asks for no keepalives, so a read would wait forever. After some time without a byte,
//! a second connection looks whether the server still works for the first.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, Ordering};
use std::time::Duration;

use sluice_contracts::{Error, Kind, Result};
use sqlx::postgres::PgConnection;

use super::Database;
use super::connection::{begin_soon, get, if_allowed, rows};
use crate::source::NoConnectionLeft;

/// How long the server may be silent before it is looked at, unless the URL says otherwise.
pub(super) const SILENCE: Duration = Duration::from_mins(2);

/// How the silence of one connection is watched.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    database: Arc<Database>,
    /// The server's process for this connection, 0 if it is not known.
    process: Arc<AtomicI32>,
    /// Whether the server has forgotten it.
    dead: Arc<AtomicBool>,
}

impl Watch {
    /// Watches a connection to `database`.
    pub(super) fn of(database: Arc<Database>) -> Self {
        Self { database, process: Arc::default(), dead: Arc::default() }
    }

    /// Looks which process of the server works for the connection. It stays the same to the end of
    /// the transaction; after that a pooler may give the connection another one.
    pub(super) async fn over_process(&self, connection: &mut PgConnection) -> Result<()> {
        let what = || "look which process of the server this is".to_owned();
        let found = rows(connection, "select pg_backend_pid()", what).await?;
        let process = found.first().map(|row| get::<i32>(row, 0)).transpose()?;
        self.process.store(process.unwrap_or_default(), Ordering::Relaxed);
        Ok(())
    }

    /// Does what waits for the server. Ends it if the server is silent and does not work for this
    /// connection any more.
    ///
    /// # Errors
    /// `Transient` then, besides the errors of `work`.
    pub(super) async fn over<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(longest) = self.database.silence else { return work.await };
        let mut work = std::pin::pin!(work);
        loop {
            if let Ok(done) = tokio::time::timeout(longest, &mut work).await {
                return done;
            }
            let what = format!(
                "read from `{}`: no answer for {} s",
                self.database.label,
                longest.as_secs()
            );
            match self.is_alive().await {
                Ok(true) => tracing::info!("{what}: the server is at work"),
                Ok(false) => {
                    self.dead.store(true, Ordering::Relaxed);
                    return Err(Error::transient(what)
                        .because("the server does not know this connection any more"));
                }
                // Another connection is not given: that says nothing of this one.
                Err(error) if NoConnectionLeft::caused(&error) || error.kind() == Kind::Denied => {
                    tracing::info!("{what}: {}", error.chain());
                }
                Err(error) => return Err(Error::transient(what).because(error)),
            }
        }
    }

    /// Whether nothing can come from the connection any more.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Whether the server still has the process of this connection.
    async fn is_alive(&self) -> Result<bool> {
        let looking = async {
            let mut connection = self.database.connect("sluice look").await?;
            let process = self.process.load(Ordering::Relaxed);
            if process == 0 {
                return Ok(true);
            }
            begin_soon(&mut connection, "read committed").await?;
            let what = || "look whether a connection lives".to_owned();
            let sql = format!("select 1 from pg_stat_activity where pid = {process}");
            let found = if_allowed(&mut connection, &sql, what).await?;
            Ok(found.is_none_or(|found| !found.is_empty()))
        };
        let silent = |_| Error::transient("look whether a connection lives: no answer");
        tokio::time::timeout(SILENCE, looking).await.map_err(silent)?
    }
}
