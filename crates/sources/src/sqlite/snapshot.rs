//! The snapshot that a reader sees, and how it is known to be the one that the plan pinned.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::UNIX_EPOCH;

use rusqlite::Connection;
use sluice_contracts::{Error, Kind, Result};

use super::connection::failed;
use super::location::Location;

/// Attempts at getting a snapshot between the commits of another process.
const ATTEMPTS: u32 = 100;

/// The state that the database is in now.
pub(super) fn pin(connection: &Connection, location: &Location) -> Result<String> {
    let state = join(connection, location, None)?;
    let ended = connection.execute_batch("ROLLBACK");
    ended.map_err(|error| failed(error, format!("end to read `{}`", location.label)))?;
    Ok(state)
}

/// Begins the transaction that a reader lives in, and returns the state that it sees, which has to
/// be `pinned` if that is given.
pub(super) fn join(
    connection: &Connection,
    location: &Location,
    pinned: Option<&str>,
) -> Result<String> {
    let label = &location.label;
    let doing = || format!("begin to read `{label}`");
    for _ in 0..ATTEMPTS {
        let before = state(location)?;
        if let Some(pinned) = pinned {
            refuse_other(pinned, &before, label)?;
        }
        // A transaction does not report what it sees: it is the state that was the same before and
        // after it began. From then on its lock, or its place in the log, keeps that state.
        begin(connection).map_err(|error| failed(error, doing()))?;
        if before == state(location)? {
            return Ok(before);
        }
        connection.execute_batch("ROLLBACK").map_err(|error| failed(error, doing()))?;
    }
    Err(Error::transient(format!("begin to read `{label}`: it is written to all the time"))
        .hint("read a copy of the database, or set `consistency: none`"))
}

/// Refuses a database that is not in this state any more.
pub(super) fn confirm(location: &Location, pinned: &str) -> Result<()> {
    refuse_other(pinned, &state(location)?, &location.label)
}

fn refuse_other(pinned: &str, state: &str, label: &str) -> Result<()> {
    if state == pinned {
        return Ok(());
    }
    Err(Error::data(format!("read `{label}`: the database changed since the run was planned"))
        .hint("start the run again, when no process writes to the database or checkpoints its log"))
}

fn begin(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("BEGIN")?;
    // The transaction begins with its first look at the file.
    connection.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))
}

/// The state of a database as one string, which changes with each commit. The caller must hold a
/// connection that has read something, so that the log's index exists.
fn state(location: &Location) -> Result<String> {
    let Location { label, path, immutable } = location;
    let failed = |error: io::Error| {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => Kind::NotFound,
            _ => Kind::Denied,
        };
        Error::new(kind, format!("look at `{label}`")).because(error)
    };
    let path = std::fs::canonicalize(path).map_err(failed)?;
    match logged(&path).map_err(failed)? {
        // The connection does not read the log.
        Some(_) if *immutable => {
            Err(Error::data(format!("read `{label}`: a process began to write to the database"))
                .hint("start the run again, when no process writes to the database"))
        }
        Some(state) => Ok(state),
        None => unlogged(&path).map_err(failed),
    }
}

/// The state of the database file itself, without its log: its size, time and change counter.
///
/// <https://www.sqlite.org/fileformat2.html#file_change_counter>
fn unlogged(path: &Path) -> io::Result<String> {
    let metadata = std::fs::metadata(path)?;
    let mut counter = [0; 4];
    if metadata.len() > 0 {
        kept(path)?.read_exact_at(&mut counter, 24)?;
    }
    let (size, time) = (metadata.len(), nanos(&metadata));
    Ok(format!("file-{size}-{time}-{}", u32::from_be_bytes(counter)))
}

/// The state that a write-ahead log adds, if there is a log with something in it: the last
/// committed frame with its checksum and salts, which no other state ever has.
///
/// <https://www.sqlite.org/walformat.html#the_wal_index_header>
fn logged(path: &Path) -> io::Result<Option<String>> {
    let log = match std::fs::metadata(beside(path, "-wal")) {
        // Readers leave an empty log behind, which means the same as no log.
        Ok(log) if log.len() > 0 => log,
        Ok(_) => return Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let index = kept(&beside(path, "-shm"));
    let Some(index) = index.ok().filter(|index| index.metadata().is_ok_and(|it| it.len() > 0))
    else {
        // Without an index no process writes to the log. In a read-only folder there may be none.
        return Ok(Some(format!("log-{}-{}", log.len(), nanos(&log))));
    };
    loop {
        // Two copies, written one after the other: they differ while a commit is under way.
        let mut header = [0; 96];
        index.read_exact_at(&mut header, 0)?;
        let (one, other) = header.split_at(48);
        if one != other {
            std::thread::yield_now();
            continue;
        }
        let frame = &one[16..40];
        if frame[..4] == [0; 4] {
            return Ok(None);
        }
        let mut state = "wal-".to_owned();
        for byte in frame {
            let _ = write!(state, "{byte:02x}");
        }
        return Ok(Some(state));
    }
}

/// The file at `path`, opened once and never closed: closing any handle of a file drops all locks
/// that this process holds on it, and with them those of SQLite.
///
/// <https://www.sqlite.org/howtocorrupt.html#_posix_advisory_locks_canceled_by_a_separate_thread_doing_close_>
fn kept(path: &Path) -> io::Result<&'static File> {
    static KEPT: LazyLock<Mutex<HashMap<(u64, u64), &'static File>>> =
        LazyLock::new(Mutex::default);
    let mut kept = KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let metadata = std::fs::metadata(path)?;
    if let Some(file) = kept.get(&(metadata.dev(), metadata.ino())) {
        return Ok(file);
    }
    let file: &'static File = Box::leak(Box::new(File::open(path)?));
    let metadata = file.metadata()?;
    kept.insert((metadata.dev(), metadata.ino()), file);
    Ok(file)
}

/// The file with the same name and another ending.
pub(super) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

fn nanos(metadata: &std::fs::Metadata) -> u128 {
    let modified = metadata.modified().unwrap_or(UNIX_EPOCH);
    modified.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
