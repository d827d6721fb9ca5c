//! The moment that a reader sees, and how two readers know that theirs is the same.

use std::fs::{File, Metadata};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::Connection;
use sluice_contracts::{Error, Kind, Result};

use super::connection::failed;

/// File systems stamp files with a clock that stands still for some milliseconds: two writes
/// within them look like one. A state older than this cannot be changed without a newer stamp.
const SETTLED: Duration = Duration::from_millis(50);
const ATTEMPTS: u32 = 40;

/// The state of a database, as far as it is seen from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
struct State {
    token: String,
    changed: SystemTime,
}

/// Begins the transaction that a reader lives in, and returns the token of its moment. With
/// `token`, that moment has to be the same.
pub(super) fn join(
    connection: &Connection,
    path: &Path,
    label: &str,
    token: Option<&str>,
) -> Result<String> {
    for _ in 0..ATTEMPTS {
        let before = State::take(path, label)?;
        if let Some(token) = token {
            refuse_other(token, &before, label)?;
        }
        // The file is looked at before and after, because the transaction does not say what it
        // sees. Its lock or its place in the log then keeps what it sees from changing.
        begin(connection).map_err(|error| failed(error, format!("begin to read `{label}`")))?;
        let after = State::take(path, label)?;
        if before == after && (token.is_some() || after.settled()) {
            return Ok(after.token);
        }
        connection
            .execute_batch("ROLLBACK")
            .map_err(|error| failed(error, format!("begin to read `{label}`")))?;
        std::thread::sleep(SETTLED);
    }
    Err(Error::transient(format!("begin to read `{label}`: it is written to all the time"))
        .hint("read a copy of the database, or set `consistency: none`"))
}

/// Refuses a database that is not what it was when `token` was taken.
pub(super) fn confirm(path: &Path, label: &str, token: &str) -> Result<()> {
    refuse_other(token, &State::take(path, label)?, label)
}

fn refuse_other(token: &str, state: &State, label: &str) -> Result<()> {
    if state.token == token {
        return Ok(());
    }
    Err(Error::data(format!("read `{label}`: the database changed while the run was reading"))
        .hint("start the run again, when nobody writes to the database"))
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    // The transaction begins with its first look at the file.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

impl State {
    /// The file's size and time, and those of its log with the salts that tell one log from
    /// another. The change counter inside of the file would say the same as its time, but opening
    /// and closing the file would drop the locks that SQLite holds in this process.
    fn take(path: &Path, label: &str) -> Result<Self> {
        let doing = || format!("look at `{label}`");
        let gone = |error: std::io::Error| {
            let kind = match error.kind() {
                std::io::ErrorKind::NotFound => Kind::NotFound,
                _ => Kind::Denied,
            };
            Error::new(kind, doing()).because(error)
        };
        let path = std::fs::canonicalize(path).map_err(gone)?;
        let file = std::fs::metadata(&path).map_err(gone)?;
        let mut changed = modified(&file);
        let mut token = format!("{}-{}", file.len(), nanos(changed));
        let log = log_of(&path);
        match std::fs::metadata(&log) {
            // Readers leave an empty log behind, which says as little as none.
            Ok(metadata) if metadata.len() > 0 => {
                let mut header = [0; 24];
                let salts = match File::open(&log).and_then(|mut log| log.read_exact(&mut header)) {
                    Ok(()) => header[16..].iter().fold(0, |salt, byte| salt << 8 | u64::from(*byte)),
                    Err(_) => 0,
                };
                let written = modified(&metadata);
                changed = changed.max(written);
                token.push_str(&format!("-{}-{}-{salts:x}", metadata.len(), nanos(written)));
            }
            _ => {}
        }
        Ok(Self { token, changed })
    }

    fn settled(&self) -> bool {
        // A time in the future comes from another clock, and cannot be judged by this one.
        self.changed.elapsed().map_or(true, |age| age > SETTLED)
    }
}

fn log_of(path: &Path) -> PathBuf {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    log.into()
}

fn modified(metadata: &Metadata) -> SystemTime {
    metadata.modified().unwrap_or(UNIX_EPOCH)
}

fn nanos(time: SystemTime) -> u128 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
