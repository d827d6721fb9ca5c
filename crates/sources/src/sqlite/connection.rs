//! A connection, which lives on a thread of its own because SQLite blocks.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, InterruptHandle, OpenFlags};
use sluice_contracts::{Error, Kind, Result};
use tokio::sync::oneshot;

use super::dialect::register_hash;

/// How long a statement waits for another process's lock before it says that there is one.
const BUSY: Duration = Duration::from_secs(5);

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A read-only connection and its thread, which ends with it.
pub(super) struct Session {
    work: mpsc::Sender<Work>,
    interrupt: InterruptHandle,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

impl Session {
    /// Opens a database.
    pub(super) async fn open(path: PathBuf, label: String) -> Result<Self> {
        let (work, queue) = mpsc::channel::<Work>();
        let (opened, answer) = oneshot::channel();
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || {
                let mut connection = match open(&path, &label) {
                    Ok(connection) => connection,
                    Err(error) => {
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                if opened.send(Ok(connection.get_interrupt_handle())).is_err() {
                    return;
                }
                for work in queue {
                    work(&mut connection);
                }
            })
            .map_err(|error| Error::transient("start a thread for SQLite").because(error))?;
        Ok(Self { work, interrupt: answer.await.map_err(|_| died())?? })
    }

    /// Runs `work` on the connection.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = oneshot::channel();
        self.start(move |connection| {
            let _ = done.send(work(connection));
        })?;
        answer.await.map_err(|_| died())?
    }

    /// Lets `work` begin, and does not wait for it.
    pub(super) fn start(&self, work: impl FnOnce(&mut Connection) + Send + 'static) -> Result<()> {
        self.work.send(Box::new(work)).map_err(|_| died())
    }

    /// Ends the statement that runs at the moment, if one does.
    pub(super) fn interrupt(&self) {
        self.interrupt.interrupt();
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.interrupt();
    }
}

/// Says what was being done, and who must act.
pub(super) fn failed(error: rusqlite::Error, doing: impl Into<Cow<'static, str>>) -> Error {
    let (code, message) = match error {
        // The statement would be printed with it, and its bounds are keys.
        rusqlite::Error::SqlInputError { error, msg, .. } => (Some(error.code), msg),
        rusqlite::Error::SqliteFailure(error, message) => {
            (Some(error.code), message.unwrap_or_else(|| error.to_string()))
        }
        other => (None, other.to_string()),
    };
    let (kind, hint) = match code {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            (Kind::Transient, Some("another process writes to the database"))
        }
        Some(
            ErrorCode::SystemIoFailure
            | ErrorCode::OutOfMemory
            | ErrorCode::FileLockingProtocolFailed
            | ErrorCode::OperationInterrupted,
        ) => (Kind::Transient, None),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => (
            Kind::Denied,
            Some(
                "the file must be readable; so must its folder be, and writable too where the \
                 database has a `-wal` or `-journal` file",
            ),
        ),
        Some(ErrorCode::DiskFull) => {
            (Kind::Denied, Some("make room in the folder for temporary files"))
        }
        Some(ErrorCode::NotADatabase) => {
            (Kind::Invalid, Some("the URL must name a SQLite database that is not encrypted"))
        }
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::SchemaChanged) => (Kind::Data, None),
        _ => (Kind::Invalid, None),
    };
    let error = Error::new(kind, doing).because(message);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn open(path: &Path, label: &str) -> Result<Connection> {
    let doing = || format!("open `{label}`");
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => {
            return Err(Error::invalid(format!("open `{label}`: it is not a file"))
                .hint("the URL must name the database file itself"));
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(Error::not_found(format!("open `{label}`: there is no such file"))
                .hint("write `sqlite:///path/to/file` with an absolute path"));
        }
        Err(error) => return Err(Error::new(Kind::Denied, doing()).because(error)),
    }
    let connect = || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        register_hash(&connection)?;
        // Nothing is read before the first statement, not even whether this is a database.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    connect().map_err(|error| failed(error, doing()))
}

fn died() -> Error {
    Error::bug("run a statement: the thread of the SQLite connection ended")
}
