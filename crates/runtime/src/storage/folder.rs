//! A folder of this machine as a bucket: `file:///data/bucket`.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use object_store::path::Path;
use sluice_contracts::error::Doing as _;
use sluice_contracts::store::{Bucket, storage_error};
use sluice_contracts::{Error, Kind, Result};
use url::Url;

use super::Scheme;

pub(super) const SCHEME: Scheme = Scheme {
    name: "file",
    open: open_folder,
    find: find_folder,
    check: |url| folder(url).map(drop),
};

/// The folder that a `file://` URL names.
pub fn folder(url: &str) -> Result<PathBuf> {
    let hint = "write an absolute path with three slashes: `file:///data/bucket`";
    let parsed = Url::parse(url)
        .doing(Kind::Invalid, || format!("read URL `{url}`"))
        .map_err(|error| error.hint(hint))?;
    if parsed.query().is_some() || parsed.fragment().is_some() {
        return Err(Error::invalid(format!("read URL `{url}`: a folder has no parameters"))
            .hint("write `%3F` for a `?` in the path, and `%23` for a `#`"));
    }
    match parsed.to_file_path() {
        Ok(path)
            if parsed.scheme() == "file"
                && parsed.host().is_none()
                && path.file_name().is_some()
                && !path.as_os_str().as_encoded_bytes().contains(&0) =>
        {
            Ok(path)
        }
        _ => Err(Error::invalid(format!("read URL `{url}`: it names no folder")).hint(hint)),
    }
}

fn find_folder(url: &str) -> Result<Bucket> {
    if !folder(url)?.is_dir() {
        return Err(Error::not_found(format!("find bucket `{url}`: there is no such folder"))
            .hint("look at the bucket's URL; the first run makes the folder"));
    }
    open_folder(url)
}

fn open_folder(url: &str) -> Result<Bucket> {
    let path = folder(url)?;
    std::fs::create_dir_all(&path)
        .doing(Kind::Denied, || format!("make the folder of bucket `{url}`"))?;
    let store = LocalFileSystem::new_with_prefix(&path)
        .map_err(|source| storage_error(format!("open bucket `{url}`"), source))?
        // So that listing a prefix never shows the folders that deleted objects leave.
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
    fn a_folder_with_a_space_is_found_again() {
        assert_eq!(folder("file:///a b/c%20d").unwrap(), PathBuf::from("/a b/c d"));
        assert_eq!(folder("file:///a%3Fb%23/").unwrap(), PathBuf::from("/a?b#"));
        for url in ["file://relative/path", "file:///", "file:///a/..", "file:///a%00", "file:"] {
            let error = folder(url).unwrap_err();
            assert!(error.to_string().ends_with("it names no folder"), "{url}: {error}");
        }
        for url in ["file:///a?b", "file:///a#b"] {
            let error = folder(url).unwrap_err();
            assert!(error.remedy().is_some_and(|hint| hint.contains("`%3F`")), "{url}: {error}");
        }
    }

    #[test]
    fn a_folder_is_made_and_its_url_kept() {
        let dir = std::env::temp_dir().join(format!("sluice-storage-{}", std::process::id()));
        let url = format!("file://{}/a b/", dir.display());
        assert_eq!(find_folder(&url).unwrap_err().kind(), Kind::NotFound);
        let bucket = open_folder(&url).unwrap();
        find_folder(&url).unwrap();
        assert_eq!(bucket.url, format!("file://{}/a b", dir.display()));
        assert!(dir.join("a b").is_dir());
        std::fs::remove_dir_all(dir).unwrap();
    }
}
