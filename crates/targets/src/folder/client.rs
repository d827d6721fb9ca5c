//! What the file system is asked to do, and who must act when it refuses.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sluice_contracts::{Error, Kind, Result};

/// An error of the file system, classified by who must act on it.
pub(super) fn error(what: String, source: io::Error) -> Error {
    let (kind, hint) = match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            (Kind::Denied, Some("the disk is full; free some space and resume the run"))
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            (Kind::Denied, Some("grant this user write on the folder"))
        }
        io::ErrorKind::NotFound => (Kind::NotFound, None),
        io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => (Kind::Invalid, None),
        _ => (Kind::Transient, None),
    };
    let error = Error::new(kind, what).because(source);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// Makes a folder and those above it.
pub(super) fn make_folder(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|source| error(format!("make `{}`", path.display()), source))
}

/// Writes a file, and waits until it is on the disk.
pub(super) fn write(path: &Path, contents: &[u8]) -> Result<()> {
    fs::write(path, contents)
        .map_err(|source| error(format!("write `{}`", path.display()), source))?;
    sync(path)
}

/// Waits until a file or a folder is on the disk.
pub(super) fn sync(path: &Path) -> Result<()> {
    File::open(path)
        .and_then(|file| file.sync_all())
        .map_err(|source| error(format!("sync `{}`", path.display()), source))
}

/// Gives a file a second name, or copies it where the file system cannot.
pub(super) fn link_or_copy(from: &Path, to: &Path) -> Result<()> {
    let linked = fs::hard_link(from, to).or_else(|source| match source.kind() {
        // Another file system, a file system without hard links, too many links, or another owner's
        // file.
        io::ErrorKind::CrossesDevices
        | io::ErrorKind::Unsupported
        | io::ErrorKind::TooManyLinks
        | io::ErrorKind::PermissionDenied => fs::copy(from, to).map(drop),
        _ => Err(source),
    });
    linked.map_err(|source| error(format!("link `{}`", from.display()), source))
}

/// Puts a new folder at a place where there is none.
pub(super) fn place(new: &Path, at: &Path) -> Result<()> {
    swap_names(new, at, RenameFlags::NOREPLACE)
}

/// Exchanges two folders in one step.
pub(super) fn exchange(new: &Path, old: &Path) -> Result<()> {
    swap_names(new, old, RenameFlags::EXCHANGE)
}

fn swap_names(new: &Path, at: &Path, flags: RenameFlags) -> Result<()> {
    renameat_with(CWD, new, CWD, at, flags).map_err(|errno| {
        let source = io::Error::from(errno);
        let what = format!("rename `{}` to `{}`", new.display(), at.display());
        match source.kind() {
            io::ErrorKind::AlreadyExists => Error::new(Kind::Conflict, what)
                .because(source)
                .hint("another process made the folder meanwhile; run the job again"),
            io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported => {
                Error::new(Kind::Denied, what).because(source).hint(
                    "this file system cannot exchange two folders in one step; put the target on ext4, xfs, btrfs or tmpfs",
                )
            }
            _ => error(what, source),
        }
    })
}

/// Does work that waits for the disk, off the runtime's own threads.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(source) => Err(Error::bug("work on a table's folder").because(source)),
    }
}
