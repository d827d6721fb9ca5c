//! Files of this machine whose names match a pattern.
//!
//! The store of `object_store`'s own could list them, too. It would read every folder below the
//! pattern's, whether files in it can match or not, and leave out what it cannot address.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path as FilePath, PathBuf};

use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

use super::pattern::Pattern;

/// Paths below `/` of the files below `folder` that match. Links are followed; a link to nothing
/// counts as a file, so that who reads it hears of it.
///
/// # Errors
/// `Denied` for a folder that cannot be read; `Invalid` for a name that no URL can hold.
pub(super) fn find(folder: &FilePath, pattern: &Pattern) -> Result<Vec<String>> {
    let mut found = Vec::new();
    let start = Folder {
        path: folder.to_owned(),
        name: pattern.folder().to_string(),
        is_text: true,
        above: Vec::new(),
    };
    let mut waiting = vec![start];
    while let Some(folder) = waiting.pop() {
        folder.read(pattern, &mut found, &mut waiting)?;
    }
    Ok(found)
}

/// Whether `object_store` keeps names of this kind for itself: those that end in `#` and digits.
pub(super) fn is_reserved(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.split_once('#').is_some_and(|(_, digits)| {
        !digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_digit())
    })
}

/// A folder that is to be read.
struct Folder {
    path: PathBuf,
    name: String,
    /// Whether its name is UTF-8.
    is_text: bool,
    /// The folders that it lies in: a link to one of them leads nowhere new.
    above: Vec<(u64, u64)>,
}

impl Folder {
    fn read(
        self,
        pattern: &Pattern,
        found: &mut Vec<String>,
        waiting: &mut Vec<Self>,
    ) -> Result<()> {
        let doing = || format!("read the folder `{}`", self.name);
        let denied = |error: Error| error.hint("let this user read the folder and those below it");
        let id = match fs::metadata(&self.path) {
            Ok(metadata) => (metadata.dev(), metadata.ino()),
            Err(source) if is_absence(&source) => return Ok(()),
            Err(source) => return Err(source).doing(Kind::Denied, doing).map_err(denied),
        };
        if self.above.contains(&id) {
            return Ok(());
        }
        let entries = match fs::read_dir(&self.path) {
            Ok(entries) => entries,
            // It is a file, or was removed a moment ago.
            Err(source) if is_absence(&source) => return Ok(()),
            Err(source) => return Err(source).doing(Kind::Denied, doing).map_err(denied),
        };
        let depth = self.above.len();
        for entry in entries {
            let entry = entry.doing(Kind::Transient, doing)?;
            let name = entry.file_name();
            let is_text = self.is_text && name.to_str().is_some();
            let name = name.to_string_lossy();
            let below = if self.name.is_empty() {
                name.clone().into_owned()
            } else {
                format!("{}/{name}", self.name)
            };
            let metadata = match fs::metadata(entry.path()) {
                Ok(metadata) => Some(metadata),
                Err(source) if is_absence(&source) => None,
                Err(source) => return Err(source).doing(Kind::Denied, doing).map_err(denied),
            };
            if metadata.as_ref().is_some_and(fs::Metadata::is_dir) {
                let is_near = pattern.depth().is_none_or(|most| depth < most);
                if is_near && pattern.enters(&name) {
                    let above = self.above.iter().copied().chain([id]).collect();
                    waiting.push(Self { path: entry.path(), name: below, is_text, above });
                }
            } else if metadata.is_none_or(|metadata| metadata.is_file()) && pattern.matches(&below)
            {
                if !is_text {
                    return Err(Error::invalid(format!(
                        "read the folder `{}`: the name of a file in it is not UTF-8",
                        self.name
                    ))
                    .hint("rename the file"));
                }
                found.push(below);
            }
        }
        Ok(())
    }
}

fn is_absence(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
        || error.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error())
}
