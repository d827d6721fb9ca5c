//! A server that sends nothing: it may compute, or the connection may be dead.
//!
//! A firewall that forgets a connection, or a machine that is gone, tells its clients nothing. The
//! driver asks for no keepalives, so a read would wait forever. After some time without a byte,
//! a second connection looks whether the server still works for the first.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::driver::Connection;
use sluice_contracts::documents::Table;
use sluice_contracts::{Error, Kind, Result};

use super::Database;
use super::connection::{begin_soon, get, if_allowed, rows};
use crate::source::NoConnectionLeft;

/// How long the server may be silent before it is looked at, unless the URL says otherwise.
pub(super) const SILENCE: Duration = Duration::from_mins(2);

/// How long the server may compute for a table without sending a row, unless the job says otherwise.
/// A table that it never comes to an end with keeps its task from all others.
const ANSWER_WITHIN: Duration = Duration::from_mins(30);

/// How often in a row another server may answer before the connection is taken for dead: the server
/// may be one of several that a name leads to, or gone for good.
const LOOKS_ELSEWHERE: u32 = 5;

/// How often in a row the server may wait for this side, which has not received anything meanwhile.
const LOOKS_WAITING: u32 = 2;

const COMPUTES: &str = "the server still computes";
const ELSEWHERE: &str = "the server waits for another one, or for an extension";

/// How the silence of one connection is watched.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    database: Arc<Database>,
    /// Name of the program that the server's operator sees.
    application: Arc<str>,
    /// The server's process for this connection, while it is known.
    process: Arc<Mutex<Option<Process>>>,
    /// Whether the server has forgotten it.
    dead: Arc<AtomicBool>,
    /// How long the server may compute without sending a row.
    answer_within: Duration,
}

impl Watch {
    /// Watches a connection to `database`.
    pub(super) fn of(database: Arc<Database>, application: &str) -> Self {
        Self {
            database,
            application: application.into(),
            process: Arc::default(),
            dead: Arc::default(),
            answer_within: ANSWER_WITHIN,
        }
    }

    /// Says for how many seconds the server may compute without sending a row of `table`.
    pub(super) fn over_table(&mut self, table: &Table) {
        self.answer_within = table.answer_within.map_or(ANSWER_WITHIN, Duration::from_secs);
    }

    /// Looks which process of the server works for the connection. It stays the same to the end of
    /// the transaction; after that a pooler may give the connection another one.
    pub(super) async fn over_process(&self, connection: &mut Connection) -> Result<()> {
        let process = Process::of(connection).await?;
        *self.process.lock().unwrap_or_else(PoisonError::into_inner) = Some(process);
        Ok(())
    }

    /// Does what waits for the server. Ends it if the server is silent and does not work for this
    /// connection any more.
    ///
    /// # Errors
    /// `Transient` then, and `Denied` if it works for too long, besides the errors of `work`. None holds a value of a variable.
    pub(super) async fn over<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let done = self.unless_dead(work).await;
        done.map_err(|error| self.database.secrets.redact_cause(error))
    }

    async fn unless_dead<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut work = std::pin::pin!(work);
        let began = Instant::now();
        let mut doubts = 0;
        loop {
            let left = self.answer_within.saturating_sub(began.elapsed());
            let silence = self.database.silence;
            let wait = if left.is_zero() {
                silence.unwrap_or(SILENCE)
            } else {
                silence.map_or(left, |longest| longest.min(left))
            };
            if let Ok(done) = tokio::time::timeout(wait, &mut work).await {
                return done;
            }
            let seconds = began.elapsed().as_secs();
            let what = format!("read from `{}`: no answer for {seconds} s", self.database.label);
            let look = self.look().await;
            doubts =
                if matches!(look, Ok(Look::Elsewhere | Look::Waiting)) { doubts + 1 } else { 0 };
            let too_long = began.elapsed() >= self.answer_within;
            match look {
                Ok(Look::Alive { waits_elsewhere }) if too_long => {
                    let why = if waits_elsewhere { ELSEWHERE } else { COMPUTES };
                    return Err(self.takes_too_long(what).because(why));
                }
                Ok(Look::Alive { .. }) => tracing::info!("{what}: the server is at work"),
                Ok(Look::Elsewhere) if doubts < LOOKS_ELSEWHERE => {
                    tracing::info!("{what}: another server answers at its address");
                }
                Ok(Look::Waiting) if doubts < LOOKS_WAITING => {
                    tracing::info!("{what}: the server waits too");
                }
                Ok(Look::Dead | Look::Elsewhere | Look::Waiting) => {
                    self.dead.store(true, Ordering::Relaxed);
                    return Err(Error::transient(what)
                        .because("nothing comes over this connection any more"));
                }
                // Another connection is not given: that says nothing of this one.
                Err(error) if NoConnectionLeft::caused(&error) || error.kind() == Kind::Denied => {
                    if too_long {
                        return Err(self.takes_too_long(what));
                    }
                    tracing::info!("{what}: {}", error.chain());
                }
                Err(error) => return Err(Error::transient(what).because(error)),
            }
        }
    }

    /// Gives up a server that computes, and the connection with it.
    fn takes_too_long(&self, what: String) -> Error {
        self.dead.store(true, Ordering::Relaxed);
        Error::new(Kind::Denied, what).hint(
            "look at what the server does for the table's view, filter or foreign server, or let it \
             take longer: `limits.answer_within`",
        )
    }

    /// Whether nothing can come from the connection any more.
    pub(super) fn is_dead(&self) -> bool {
        self.dead.load(Ordering::Relaxed)
    }

    /// Looks at the server over another connection.
    async fn look(&self) -> Result<Look> {
        let known = self.process.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let looking = async {
            let application = format!("{} look", self.application);
            let mut connection = self.database.connect(&application).await?;
            let found = match known {
                Some(process) => process.look(&mut connection).await,
                None => Ok(Look::Alive { waits_elsewhere: false }),
            };
            // A connection that is only dropped leaves a complaint in the server's log.
            if let Err(error) = connection.close().await {
                tracing::debug!("could not close a connection: {error}");
            }
            found
        };
        let silent = |_| Error::transient("look whether a connection lives: no answer");
        tokio::time::timeout(SILENCE, looking).await.map_err(silent)?
    }
}

/// A process of a server.
#[derive(Debug, Clone)]
struct Process {
    id: i32,
    /// Address of its server: what the source's URL names may lead to several.
    address: Option<String>,
    /// When the server was started, in microseconds.
    since: i64,
}

/// What a look at the server tells of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// The server works for it, or waits for another server that the table lies on.
    Alive { waits_elsewhere: bool },
    /// The server has no process for it.
    Dead,
    /// The server waits for it, as it does for the server: what one of them has sent is lost, or on
    /// its way.
    Waiting,
    /// Another server answered, which knows nothing of it.
    Elsewhere,
}

impl Process {
    async fn of(connection: &mut Connection) -> Result<Self> {
        let what = || "look which process of the server this is".to_owned();
        let sql = "select pg_backend_pid(), inet_server_addr()::text, \
                   (extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint";
        let found = rows(connection, sql, what).await?;
        let row = found.first().ok_or_else(|| Error::bug(what()))?;
        Ok(Self { id: get(row, 0)?, address: get(row, 1)?, since: get(row, 2)? })
    }

    /// Whether its server has it.
    async fn look(&self, connection: &mut Connection) -> Result<Look> {
        begin_soon(connection, "read committed").await?;
        let other = Self::of(connection).await?;
        if other.address != self.address {
            return Ok(Look::Elsewhere);
        }
        if other.since != self.since {
            return Ok(Look::Dead);
        }
        let what = || "look whether a connection lives".to_owned();
        let sql = format!(
            "select coalesce(wait_event_type, '') from pg_stat_activity where pid = {}",
            self.id
        );
        let Some(found) = if_allowed(connection, &sql, what).await? else {
            return Ok(Look::Alive { waits_elsewhere: false });
        };
        let waits_for = found.first().map(|row| get::<String>(row, 0)).transpose()?;
        Ok(match waits_for.as_deref() {
            None => Look::Dead,
            Some("Client") => Look::Waiting,
            // What `postgres_fdw` waits for has no type of its own.
            Some(other) => Look::Alive { waits_elsewhere: other == "Extension" },
        })
    }
}
