//! A connection, which lives on a thread of its own because SQLite blocks.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use sluice_contracts::{Error, Kind, Result};
use tokio::sync::oneshot;

use super::dialect::register_hash;
use super::location::Location;
use super::surroundings::{Surroundings, readable};

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
    location: Location,
    started: AtomicU64,
    given_up: Arc<AtomicU64>,
}

impl Handle {
    /// Opens a database.
    pub(super) async fn open(location: Location) -> Result<Self> {
        let (work, queue) = mpsc::channel::<(u64, Work)>();
        let (opened, answer) = oneshot::channel();
        let given_up = Arc::new(AtomicU64::new(0));
        let limit = Arc::clone(&given_up);
        std::thread::Builder::new()
            .name("sqlite".to_owned())
            .spawn(move || {
                let current = Arc::new(AtomicU64::new(u64::MAX));
                let stop = Stop { current: Arc::clone(&current), given_up: limit };
                let (mut connection, location) = match open(location, &stop) {
                    Ok(opened) => opened,
                    Err(error) => {
                        let _ = opened.send(Err(error));
                        return;
                    }
                };
                if opened.send(Ok(location)).is_err() {
                    return;
                }
                for (number, work) in queue {
                    current.store(number, Ordering::Relaxed);
                    work(&mut connection);
                }
            })
            .map_err(|error| Error::transient("start a thread for SQLite").because(error))?;
        let location = answer.await.map_err(|_| died())??;
        Ok(Self { work, location, started: AtomicU64::new(0), given_up })
    }

    /// The database, and whether it was opened as a file that no process writes to.
    pub(super) fn location(&self) -> &Location {
        &self.location
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

/// When a statement ends before its last row: once `given_up` reaches `current`.
struct Stop {
    current: Arc<AtomicU64>,
    given_up: Arc<AtomicU64>,
}

/// Opens a database. The location says whether it had to be opened as a file that no process
/// writes to.
fn open(location: Location, stop: &Stop) -> Result<(Connection, Location)> {
    let Location { label, path, immutable } = &location;
    let doing = || format!("open `{label}`");
    let denied = |error| Error::new(Kind::Denied, doing()).because(error);
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
        Err(error) => return Err(denied(error)),
    }
    if *immutable {
        Surroundings::of(path).map_err(denied)?.refuse_asked(label)?;
    }
    let error = match connect(path, *immutable, stop) {
        Ok(connection) => return Ok((connection, location)),
        Err(error) => error,
    };
    let no_files = matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly)
    );
    if *immutable || !no_files || !readable(path) {
        return Err(failed(error, doing()));
    }
    Surroundings::of(path).map_err(denied)?.refuse_unasked(label)?;
    match connect(path, true, stop) {
        Ok(connection) => Ok((connection, Location { immutable: true, ..location })),
        Err(error) => Err(failed(error, doing())),
    }
}

fn connect(path: &Path, immutable: bool, stop: &Stop) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = if immutable {
        Connection::open_with_flags(immutable_uri(path), flags | OpenFlags::SQLITE_OPEN_URI)?
    } else {
        Connection::open_with_flags(path, flags)?
    };
    connection.busy_timeout(BUSY)?;
    register_hash(&connection)?;
    let (current, given_up) = (Arc::clone(&stop.current), Arc::clone(&stop.given_up));
    let abandoned = move || given_up.load(Ordering::Relaxed) >= current.load(Ordering::Relaxed);
    connection.progress_handler(STEPS, Some(abandoned))?;
    // Nothing is read before the first statement, not even whether this is a database.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?;
    Ok(connection)
}

/// A path as SQLite's own kind of URL, which its parameters need.
fn immutable_uri(path: &Path) -> String {
    // An absolute path has an empty host before it: two slashes at its beginning are no host.
    let mut uri = if path.is_absolute() { "file://" } else { "file:" }.to_owned();
    for byte in path.as_os_str().as_encoded_bytes() {
        if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) {
            uri.push(char::from(*byte));
        } else {
            let _ = write!(uri, "%{byte:02X}");
        }
    }
    uri + "?immutable=1"
}

fn died() -> Error {
    Error::bug("run a statement: the thread of the SQLite connection ended")
}
