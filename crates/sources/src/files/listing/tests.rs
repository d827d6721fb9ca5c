//! Listings of folders, and of a store in memory.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path as FilePath;
use std::time::Instant;

use chrono::{DateTime, Utc};
use object_store::memory::InMemory;
use tempfile::TempDir;

use super::super::store::open;
use super::*;

/// A folder with empty files of those names.
fn folder(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in names {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    folder
}

/// The names below the folder that `urls` stand for, which follow the folder's path.
async fn names(folder: &FilePath, urls: &[&str]) -> Result<Vec<String>> {
    let address = |url: &&str| Address::parse(&format!("file://{}/{url}", folder.display()));
    let addresses: Vec<Address> = urls.iter().map(address).collect::<Result<_>>()?;
    let store = open(&addresses[0])?;
    let found = list(&store, &addresses).await?;
    let start = format!("{}/", folder.display());
    Ok(found.into_iter().map(|file| format!("/{}", file.path).replace(&start, "")).collect())
}

async fn memory(names: &[&str]) -> Arc<dyn ObjectStore> {
    let store = InMemory::new();
    for name in names {
        store.put(&Path::parse(name).unwrap(), (*name).to_owned().into()).await.unwrap();
    }
    Arc::new(store)
}

async fn objects(store: &Arc<dyn ObjectStore>, urls: &[&str]) -> Result<Vec<String>> {
    let addresses: Vec<_> = urls.iter().map(|url| Address::parse(url).unwrap()).collect();
    Ok(list(store, &addresses).await?.into_iter().map(|file| file.path).collect())
}

const NAMES: &[&str] = &[
    "a.csv",
    "b.csv",
    "b.txt",
    "_SUCCESS",
    ".a.csv.crc",
    "x/c.csv",
    "x/y/d.csv",
    "_temporary/0/e.csv",
    "_day=1/f.csv",
    "a b%+=ü[1]{2}.csv",
];

#[tokio::test]
async fn the_same_files_are_found_in_a_folder_and_in_a_bucket() {
    let folder = folder(NAMES);
    let store = memory(NAMES).await;
    for (urls, expected) in [
        (&["*.csv"][..], &["a b%+=ü[1]{2}.csv", "a.csv", "b.csv"][..]),
        (&["a.csv"], &["a.csv"]),
        (&["a.csv", "*.csv", "b.*"], &["a b%+=ü[1]{2}.csv", "a.csv", "b.csv", "b.txt"]),
        (&["x/"], &["x/c.csv", "x/y/d.csv"]),
        (&["x/*"], &["x/c.csv"]),
        (&["*/*.csv"], &["_day=1/f.csv", "x/c.csv"]),
        (&["x/**/d.csv"], &["x/y/d.csv"]),
        (&["_*"], &["_SUCCESS"]),
        (&["_temporary/0/*"], &["_temporary/0/e.csv"]),
        (&["**/[cd].csv", "x/c.csv"], &["x/c.csv", "x/y/d.csv"]),
    ] {
        assert_eq!(names(folder.path(), urls).await.unwrap(), expected, "{urls:?}");
        let urls: Vec<String> = urls.iter().map(|url| format!("s3://drop/{url}")).collect();
        let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
        assert_eq!(objects(&store, &urls).await.unwrap(), expected, "{urls:?}");
    }
    // Only a folder's URL has escapes.
    let escaped = "a%20b%25+=%C3%BC%5B1%5D%7B2%7D.csv";
    assert_eq!(names(folder.path(), &[escaped]).await.unwrap(), ["a b%+=ü[1]{2}.csv"]);
}

#[tokio::test]
async fn an_address_that_stands_for_nothing_is_an_error() {
    let folder = folder(NAMES);
    let store = memory(NAMES).await;
    for url in ["nothing*.csv", "nothing/*.csv", "nothing/", "*.csv/x", "a.csv/*"] {
        for error in [
            names(folder.path(), &["a.csv", url]).await.unwrap_err(),
            objects(&store, &["s3://drop/a.csv", &format!("s3://drop/{url}")]).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::NotFound, "{url}: {error:?}");
            assert!(error.to_string().ends_with("no file matches"), "{url}: {error}");
            assert!(error.remedy().is_some_and(|hint| hint.contains("`**`")), "{error:?}");
        }
    }
    for url in ["nothing.csv", "x", "a.csv/x"] {
        for error in [
            names(folder.path(), &["a.csv", url]).await.unwrap_err(),
            objects(&store, &[&format!("s3://drop/{url}")]).await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::NotFound, "{url}: {error:?}");
            assert!(error.to_string().starts_with("find `"), "{url}: {error}");
        }
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_an_error_and_not_left_out() {
    let folder = folder(&["a#1", "b/c\nd", "e/f"]);
    symlink(folder.path().join("nowhere"), folder.path().join("e/link")).unwrap();
    for (url, kind) in [
        ("a*", Kind::Invalid),
        ("a#1", Kind::Invalid),
        ("b/*", Kind::Invalid),
        ("e/*", Kind::NotFound),
    ] {
        let error = names(folder.path(), &[url]).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{url}: {error:?}");
        assert!(error.remedy().is_some(), "{url}: {error:?}");
    }
    // What does not match hinders nobody.
    assert_eq!(names(folder.path(), &["e/f*"]).await.unwrap(), ["e/f"]);
}

#[tokio::test]
async fn links_are_followed_and_lead_nowhere_twice() {
    let folder = folder(&["x/a.csv", "y/b.csv"]);
    symlink(folder.path().join("y"), folder.path().join("x/y")).unwrap();
    symlink(folder.path(), folder.path().join("x/up")).unwrap();
    symlink("a.csv", folder.path().join("x/c.csv")).unwrap();
    let found = names(folder.path(), &["x/**"]).await.unwrap();
    assert_eq!(found[..2], ["x/a.csv", "x/c.csv"]);
    assert!(found.contains(&"x/y/b.csv".to_owned()), "{found:?}");
}

#[tokio::test]
async fn a_version_changes_with_the_bytes() {
    let folder = folder(&["a", "b"]);
    let url = |name| format!("file://{}/{name}", folder.path().display());
    let addresses = [Address::parse(&url("*")).unwrap()];
    let store = open(&addresses[0]).unwrap();
    let before = list(&store, &addresses).await.unwrap();
    let single = list(&store, &[Address::parse(&url("a")).unwrap()]).await.unwrap();
    assert_eq!(single, before[..1]);
    let read = store.get(&Path::parse(&before[0].path).unwrap()).await.unwrap();
    assert_eq!(version_of(&read.meta), before[0].version);
    fs::write(folder.path().join("a"), "other").unwrap();
    let after = list(&store, &addresses).await.unwrap();
    assert_ne!(after[0].version, before[0].version);
    assert_eq!((after[0].size, &after[1]), (5, &before[1]));
}

#[test]
fn a_version_is_the_same_wherever_it_was_told() {
    let meta = |version: Option<&str>, e_tag: Option<&str>| {
        version_of(&ObjectMeta {
            location: Path::from("a"),
            last_modified: DateTime::<Utc>::UNIX_EPOCH,
            size: 3,
            e_tag: e_tag.map(str::to_owned),
            version: version.map(str::to_owned),
        })
    };
    // Cloud Storage: listings and reads tell other tags.
    let generation = meta(Some("1764533000123456"), Some("CJDUx"));
    assert_eq!(generation, meta(Some("1764533000123456"), Some("\"5d41\"")));
    // S3: reads of a bucket with versions tell them, listings do not.
    assert_eq!(meta(Some("3/L4kqtJlcpXroDTDmJ"), Some("\"5d41\"")), meta(None, Some("\"5d41\"")));
    // Azure: listings tell it without quotes.
    assert_eq!(meta(None, Some("0x8D")), meta(Some("2026-11-30T10:00:00Z"), Some("\"0x8D\"")));
    assert_eq!(meta(None, None), "3-0");
}

#[tokio::test]
async fn a_hundred_thousand_objects_are_listed_in_seconds() {
    let store = InMemory::new();
    for number in 0..100_000 {
        let path = Path::from(format!("in/{}/{number}.csv", number % 7));
        store.put(&path, "x".into()).await.unwrap();
    }
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    let start = Instant::now();
    let addresses = [Address::parse("s3://drop/in/*/*[02468].csv").unwrap()];
    // In a task of its own, as the programs do.
    let listed = tokio::spawn(async move { list(&store, &addresses).await });
    assert_eq!(listed.await.unwrap().unwrap().len(), 50_000);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
