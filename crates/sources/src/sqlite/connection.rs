//! A connection, which lives on a thread of its own because SQLite blocks.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use sluice_contracts::{Error, Kind, Result};
use tokio::sync::oneshot;

use super::dialect::register_hash;

/// How long a statement waits for another process's lock before it fails.
const BUSY: Duration = Duration::from_secs(5);

/// Steps of SQLite's virtual machine after which a statement checks whether its result is still
/// wanted.
const STEPS: std::ffi::c_int = 4096;

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A read-only connection and its thread, which ends with it.
#[derive(Debug)]
pub(super) struct Handle {
    work: mpsc::Sender<(u64, Work)>,
    started: AtomicU64,
    given_up: Arc<AtomicU64>,
}

impl Handle {
    /// Opens a database.
    pub(super) async fn open(path: PathBuf, label: String) -> Result<Self> {
        let (work, queue) = mpsc::channel::<(u64, Work)>();
        let (opened, answer) = oneshot::channel();
        let given_up = Arc::new(AtomicU64::new(0));
        let limit = Arc::clone(&given_up);
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || {
                let current = Arc::new(AtomicU64::new(u64::MAX));
                let mut connection = match open(&path, &label, Arc::clone(&current), limit) {
                    Ok(connection) => connection,
                    Err(error) => {
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                if opened.send(Ok(())).is_err() {
                    return;
                }
                for (number, work) in queue {
                    current.store(number, Ordering::Relaxed);
                    work(&mut connection);
                }
            })
            .map_err(|error| Error::transient("start a thread for SQLite").because(error))?;
        answer.await.map_err(|_| died())??;
        Ok(Self { work, started: AtomicU64::new(0), given_up })
    }

    /// Runs `work` on the connection.
    pub(super) async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (done, answer) = oneshot::channel();
        let _running = self.start(move |connection| {
            let _ = done.send(work(connection));
        })?;
        answer.await.map_err(|_| died())?
    }

    /// Starts `work` and does not wait for it.
    pub(super) fn start(
        &self,
        work: impl FnOnce(&mut Connection) + Send + 'static,
    ) -> Result<Running> {
        let number = self.started.fetch_add(1, Ordering::Relaxed) + 1;
        self.work.send((number, Box::new(work))).map_err(|_| died())?;
        Ok(Running { number, given_up: Arc::clone(&self.given_up) })
    }
}

/// Work whose result is wanted: its statement ends when this is dropped.
#[derive(Debug)]
pub(super) struct Running {
    number: u64,
    given_up: Arc<AtomicU64>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // An interrupt would do nothing to a statement that is about to begin.
        self.given_up.fetch_max(self.number, Ordering::Relaxed);
    }
}

/// SQLite's error, with what was being done and who must act.
pub(super) fn failed(error: rusqlite::Error, doing: impl Into<Cow<'static, str>>) -> Error {
    let (code, message) = match error {
        // The default message contains the statement, whose bounds are keys.
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

/// Opens a database whose statements end when `given_up` reaches `current`.
fn open(
    path: &Path,
    label: &str,
    current: Arc<AtomicU64>,
    given_up: Arc<AtomicU64>,
) -> Result<Connection> {
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
    let connect = move || -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(path, flags)?;
        connection.busy_timeout(BUSY)?;
        register_hash(&connection)?;
        let abandoned = move || given_up.load(Ordering::Relaxed) >= current.load(Ordering::Relaxed);
        connection.progress_handler(STEPS, Some(abandoned))?;
        // Nothing is read before the first statement, not even whether this is a database.
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
        Ok(connection)
    };
    connect().map_err(|error| failed(error, doing()))
}

fn died() -> Error {
    Error::bug("run a statement: the thread of the SQLite connection ended")
}
