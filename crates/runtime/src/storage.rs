//! Opening a bucket from its URL.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use sluice_contracts::error::Doing as _;
use sluice_contracts::store::{Bucket, storage_error};
use sluice_contracts::{Error, Kind, Result};
use url::Url;

/// A kind of bucket: the scheme of its URLs, and how one is opened.
type Scheme = (&'static str, fn(&str) -> Result<Bucket>);

/// Every kind of bucket.
const SCHEMES: &[Scheme] = &[("file", open_folder)];

/// Opens a bucket. A folder that does not exist is made.
pub fn open_bucket(url: &str) -> Result<Bucket> {
    scheme(url)?.1(url)
}

/// Opens a bucket that is there already.
///
/// # Errors
/// `NotFound` where it is not.
pub fn find_bucket(url: &str) -> Result<Bucket> {
    if scheme(url)?.0 == "file" && !folder(url)?.is_dir() {
        return Err(Error::not_found(format!("find bucket `{url}`: there is no such folder"))
            .hint("look at the bucket's URL; the first run makes the folder"));
    }
    open_bucket(url)
}

/// Checks that a bucket's URL can be opened, without opening it.
pub fn check_bucket(url: &str) -> Result<()> {
    let (name, _) = scheme(url)?;
    if *name == "file" {
        folder(url)?;
    }
    Ok(())
}

/// The folder that a `file://` URL names.
pub fn folder(url: &str) -> Result<PathBuf> {
    let hint = "write an absolute path with three slashes: `file:///data/bucket`";
    let parsed = Url::parse(url)
        .doing(Kind::Invalid, || format!("read URL `{url}`"))
        .map_err(|error| error.hint(hint))?;
    match parsed.to_file_path() {
        Ok(path) if parsed.scheme() == "file" && parsed.host().is_none() => Ok(path),
        _ => Err(Error::invalid(format!("read URL `{url}`: it names no folder")).hint(hint)),
    }
}

fn scheme(url: &str) -> Result<&'static Scheme> {
    let name = url.split_once("://").map_or("", |(name, _)| name);
    SCHEMES.iter().find(|(known, _)| *known == name).ok_or_else(|| {
        let known: Vec<String> = SCHEMES.iter().map(|(known, _)| format!("`{known}://`")).collect();
        Error::invalid(format!("unknown bucket `{name}://`"))
            .hint(format!("this build stores in {}", known.join(", ")))
    })
}

fn open_folder(url: &str) -> Result<Bucket> {
    let path = folder(url)?;
    std::fs::create_dir_all(&path)
        .doing(Kind::Denied, || format!("make the folder of bucket `{url}`"))?;
    let store = LocalFileSystem::new_with_prefix(&path)
        .map_err(|source| storage_error(format!("open bucket `{url}`"), source))?
        // Listing a prefix then never shows the folders that deleted objects leave.
        .with_automatic_cleanup(true);
    Ok(Bucket {
        store: Arc::new(store),
        prefix: Path::default(),
        url: url.trim_end_matches('/').to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_answered_with_the_known_ones() {
        let error = open_bucket("s3://lake").unwrap_err();
        assert_eq!(error.to_string(), "unknown bucket `s3://`");
        assert_eq!(error.remedy(), Some("this build stores in `file://`"));
        assert!(open_bucket("/data").is_err());
    }

    #[test]
    fn a_folder_with_a_space_is_found_again() {
        assert_eq!(folder("file:///a b/c%20d").unwrap(), PathBuf::from("/a b/c d"));
        assert!(folder("file://relative/path").is_err());
    }

    #[test]
    fn a_folder_is_made_and_its_url_kept() {
        let dir = std::env::temp_dir().join(format!("sluice-storage-{}", std::process::id()));
        let url = format!("file://{}/a b/", dir.display());
        assert_eq!(find_bucket(&url).unwrap_err().kind(), Kind::NotFound);
        let bucket = open_bucket(&url).unwrap();
        find_bucket(&url).unwrap();
        assert_eq!(bucket.url, format!("file://{}/a b", dir.display()));
        assert!(dir.join("a b").is_dir());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
