//! Whether a database may be read as a file that no process writes to.
//!
//! A database in WAL mode has a `-wal` and a `-shm` file. Where they do not exist and cannot be
//! created, SQLite opens the database only with `immutable=1`: without locks, and without what
//! these files hold. So this is done only where they hold nothing and this process cannot create
//! them. What another user writes meanwhile is found when a unit's rows are confirmed.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::io::Errno;
use sluice_contracts::{Error, Kind, Result};

use super::snapshot::beside;

/// The folder of a database, and the files beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "they are independent of each other")]
pub(super) struct Surroundings {
    /// Whether this process can create files in the folder.
    pub(super) writable: bool,
    /// Whether the `-wal` file holds something.
    pub(super) log: bool,
    /// Whether the `-shm` file holds something.
    pub(super) index: bool,
    /// Whether the `-journal` file holds what a transaction that did not end has changed.
    pub(super) journal: bool,
}

impl Surroundings {
    /// Looks at the folder.
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        // SQLite follows links, too: the other files lie beside the file that a link leads to.
        let path = std::fs::canonicalize(path)?;
        Ok(Self {
            writable: writable(path.parent().unwrap_or(&path)),
            log: length(&beside(&path, "-wal"))? > 0,
            index: length(&beside(&path, "-shm"))? > 0,
            journal: unfinished(&beside(&path, "-journal"))?,
        })
    }

    /// Refuses `immutable=1`, which the URL of the database asks for, where rows would be left out
    /// or rows that were never committed would be read.
    pub(super) fn refuse_asked(self, label: &str) -> Result<()> {
        let refused = if self.log {
            Error::invalid(format!("open `{label}`: `immutable=1` leaves out its `-wal` file"))
                .hint("leave out `immutable=1`, or run `PRAGMA wal_checkpoint(TRUNCATE)` first")
        } else if self.journal {
            Error::invalid(format!("open `{label}`: `immutable=1` leaves out its `-journal` file"))
                .hint("leave out `immutable=1`, so that the unfinished transaction is rolled back")
        } else {
            return Ok(());
        };
        Err(refused)
    }

    /// Refuses to read the database with `immutable=1` of our own accord, after SQLite refused to
    /// open it.
    pub(super) fn refuse_unasked(self, label: &str) -> Result<()> {
        let (reason, hint) = if self.log {
            (
                "this user cannot read its `-wal` file",
                "let this user read the `-wal` and `-shm` files and write to their folder, or run \
                 `PRAGMA wal_checkpoint(TRUNCATE)` as the owner of the database",
            )
        } else if self.journal {
            (
                "its `-journal` file has a transaction that has to be rolled back",
                "open the database once with a program that may write to it and its folder",
            )
        } else if self.writable {
            (
                "its `-wal` or `-shm` file cannot be opened",
                "the file must be readable, and so must its `-wal` and `-shm` files be",
            )
        } else if self.index {
            (
                "its `-shm` file shows that another process may write to it",
                "let this user write to the folder; or write `?immutable=1` at the end of the URL, \
                 if no process has the database open",
            )
        } else {
            return Ok(());
        };
        Err(Error::new(Kind::Denied, format!("open `{label}`: {reason}")).hint(hint))
    }
}

/// Whether this process can read a file. It is not opened for this: closing it would drop the locks
/// that SQLite holds on it.
pub(super) fn readable(file: &Path) -> bool {
    access(file, Access::READ_OK).is_ok()
}

/// Whether this process can create files in a folder. Permissions do not bind the superuser, but a
/// file system that is mounted for reading does.
fn writable(folder: &Path) -> bool {
    match access(folder, Access::WRITE_OK) {
        Ok(()) => true,
        Err(error) => ![Errno::ACCESS, Errno::PERM, Errno::ROFS].contains(&error),
    }
}

/// Bytes of a file; 0 if there is none.
fn length(path: &Path) -> io::Result<u64> {
    match std::fs::metadata(path) {
        Ok(metadata) => Ok(metadata.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Whether a journal has to be rolled back. SQLite writes zeros over the beginning of one that is
/// done with.
fn unfinished(journal: &Path) -> io::Result<bool> {
    if length(journal)? == 0 {
        return Ok(false);
    }
    let mut first = [0];
    File::open(journal)?.read_exact(&mut first)?;
    Ok(first != [0])
}
