//! What a URL of files names.

use std::fmt;
use std::path::{Path as FilePath, PathBuf};

use object_store::path::Path;
use percent_encoding::percent_decode_str;
use sha2::{Digest as _, Sha256};
use sluice_contracts::{Error, Result};
use url::Url;

use super::pattern::{Pattern, Typed};
use super::store;
use crate::place::{Place, Protection};

/// Schemes of the URLs.
pub(in crate::files) const SCHEMES: &[&str] = &["file", "gs", "s3", "az", "abfss", "https", "http"];

/// What every URL can look like.
const HINT: &str = "write `file:///folder/*.csv`, `gs://bucket/folder/*.csv`, \
                    `s3://bucket/folder/*.csv`, `az://container/folder/*.csv`, \
                    `abfss://container@account.dfs.core.windows.net/folder/*.csv` or \
                    `https://host/file.csv`";

/// Ends of the hosts of Azure's accounts. Other clouds of Azure are reached by `az://` and
/// `AZURE_STORAGE_ENDPOINT`.
const AZURE_HOSTS: [&str; 3] =
    [".dfs.core.windows.net", ".blob.core.windows.net", ".dfs.fabric.microsoft.com"];

/// Files: one by its name, or all whose names match a pattern.
///
/// Names of objects are taken as they are typed, as the tools of their clouds do. Only of a
/// `file://` URL, and of one of a web server, `%41` stands for `A`.
#[derive(Clone)]
pub(in crate::files) struct Address {
    kind: StoreKind,
    root: String,
    typed: Typed,
    label: String,
}

/// Where files lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum StoreKind {
    /// On this machine.
    Folder,
    /// In a bucket of Cloud Storage.
    CloudStorage,
    /// In a bucket of S3, or of what speaks its protocol.
    S3 {
        /// Name of the bucket.
        bucket: String,
    },
    /// In a container of Azure.
    Azure {
        /// Name of the container, unless the root names it together with its account.
        container: Option<String>,
    },
    /// On a web server.
    Web {
        /// The file's own URL.
        url: Url,
        /// Whether its URL follows from its path, so that one store serves other files as well.
        is_plain: bool,
    },
}

impl Address {
    /// Reads a URL. No error contains any of it.
    pub(in crate::files) fn parse(url: &str) -> Result<Self> {
        let Some((scheme, below)) = url.split_once("://") else {
            return Err(wrong("it is not a URL"));
        };
        match scheme {
            "file" => folder(url, below),
            "gs" | "s3" | "az" | "abfss" => bucket(url, scheme, below),
            "https" | "http" => web(url),
            _ => Err(wrong("no files are read from its scheme")),
        }
    }

    /// Names its store: addresses of the same root share one. Contains no secret.
    pub(in crate::files) fn root(&self) -> &str {
        &self.root
    }

    /// The longest folder without a pattern in it; of a single file, the folder it lies in.
    pub(in crate::files) fn prefix(&self) -> Path {
        match &self.typed.pattern {
            Some(pattern) => pattern.folder().clone(),
            None => self.path().and_then(|path| path.parent()).unwrap_or_default(),
        }
    }

    /// Whether the URL stands for any number of files.
    pub(in crate::files) fn is_pattern(&self) -> bool {
        self.typed.pattern.is_some()
    }

    /// Whether the file of that path is one of them.
    pub(in crate::files) fn matches(&self, path: &str) -> bool {
        match &self.typed.pattern {
            Some(pattern) => pattern.matches(path),
            None => self.typed.name == path,
        }
    }

    /// The server, bucket, folder or file that is read.
    pub(in crate::files) fn place(&self) -> Place {
        match &self.kind {
            StoreKind::Folder => Place::File(self.file()),
            StoreKind::Web { url, .. } => Place::Server {
                host: url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned(),
                port: url.port_or_known_default().unwrap_or_default(),
            },
            _ => Place::Bucket { url: self.root.clone() },
        }
    }

    /// How well the way to the files is protected.
    pub(in crate::files) fn protection(&self) -> Protection {
        match &self.kind {
            StoreKind::Folder => Protection::Local,
            _ if store::is_plain_http(&self.kind) => Protection::None,
            _ => Protection::VerifiedName,
        }
    }

    /// The URL for messages: without its query string, which may sign it.
    pub(in crate::files) fn label(&self) -> &str {
        &self.label
    }

    /// The file, unless this is a pattern.
    pub(super) fn path(&self) -> Option<Path> {
        // The name was checked, so it is a path.
        self.typed.pattern.is_none().then(|| Path::parse(&self.typed.name).unwrap_or_default())
    }

    /// The pattern, unless this is a single file.
    pub(super) fn pattern(&self) -> Option<&Pattern> {
        self.typed.pattern.as_ref()
    }

    pub(super) fn kind(&self) -> &StoreKind {
        &self.kind
    }

    /// The folder of a pattern, or the file, on this machine.
    pub(super) fn file(&self) -> PathBuf {
        let path = self.path().unwrap_or_else(|| self.prefix());
        FilePath::new("/").join(path.as_ref())
    }
}

// The URL may be signed, or hold a variable's value.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Address").field("label", &self.label).finish_non_exhaustive()
    }
}

fn wrong(why: &'static str) -> Error {
    Error::invalid(format!("read `source.url`: {why}")).hint(HINT)
}

fn folder(url: &str, below: &str) -> Result<Address> {
    let Some(path) = below.strip_prefix('/') else {
        return Err(wrong("it has no absolute path, which begins with a third slash"));
    };
    if path.is_empty() {
        return Err(wrong("it names no folder and no file"));
    }
    let typed = Typed::parse(path, true).map_err(wrong)?;
    Ok(Address {
        kind: StoreKind::Folder,
        root: "file://".to_owned(),
        typed,
        label: url.to_owned(),
    })
}

fn bucket(url: &str, scheme: &str, below: &str) -> Result<Address> {
    let (bucket, path) = below.split_once('/').unwrap_or((below, ""));
    let kind = match scheme {
        "gs" => StoreKind::CloudStorage,
        "s3" => StoreKind::S3 { bucket: bucket.to_owned() },
        "az" => StoreKind::Azure { container: Some(bucket.to_owned()) },
        _ => StoreKind::Azure { container: None },
    };
    let container = if scheme == "abfss" { container_of(bucket)? } else { bucket };
    let is_known = |c: char| c.is_ascii_alphanumeric() || "-_.$".contains(c);
    if container.is_empty() || !container.chars().all(is_known) {
        return Err(wrong("it names no bucket"));
    }
    let typed = Typed::parse(path, false).map_err(wrong)?;
    Ok(Address { kind, root: format!("{scheme}://{bucket}"), typed, label: url.to_owned() })
}

/// The container of `container@account.dfs.core.windows.net`.
fn container_of(host: &str) -> Result<&str> {
    let account = |host: &str| {
        let account = AZURE_HOSTS.iter().find_map(|end| host.strip_suffix(end))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '-';
        (!account.is_empty() && account.chars().all(is_name)).then_some(())
    };
    let found = host.split_once('@').and_then(|(name, host)| account(host).map(|()| name));
    found.ok_or_else(|| wrong("it names no container of an account"))
}

fn web(text: &str) -> Result<Address> {
    let url = Url::parse(text).map_err(|_| wrong("it is not a URL"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it has a user or a password, and would show them to who reads it")
            .hint("use a signed URL, or copy the file to a bucket"));
    }
    if url.fragment().is_some() {
        return Err(wrong("a `#` is in it").hint("write `%23` for a `#` of a name"));
    }
    // The parser escapes some of them, so what was typed is looked at.
    let typed_path = text.split_once('?').map_or(text, |(before, _)| before);
    let host_ends = typed_path.find("://").map_or(0, |at| at + 3);
    let typed_path = typed_path[host_ends..].split_once('/').map_or("", |(_, path)| path);
    if typed_path.contains(['*', '[', '{']) {
        return Err(wrong("it has a pattern, and a web server lists no files").hint(
            "name each file, as a list of URLs; write `%2A`, `%5B` and `%7B` for `*`, `[` and \
             `{` of a name",
        ));
    }
    let escaped = url.path().trim_start_matches('/');
    if escaped.is_empty() || escaped.ends_with('/') {
        return Err(wrong("it names no file, and a web server lists none")
            .hint("name each file, as a list of URLs"));
    }
    let server = url.origin().ascii_serialization();
    let decoded = percent_decode_str(escaped).decode_utf8().ok();
    let name = decoded.filter(|name| Path::parse(name).is_ok_and(|path| path.as_ref() == name));
    let is_plain = name.as_ref().is_some_and(|name| is_url_of(&url, name));
    let root = if is_plain { server.clone() } else { format!("{server}#{}", fingerprint(&url)) };
    let name = name.map_or_else(|| Path::from(escaped).to_string(), Into::into);
    if name.is_empty() {
        return Err(wrong("it names no file"));
    }
    let label = format!("{server}{}", url.path());
    let typed = Typed { name, pattern: None };
    Ok(Address { kind: StoreKind::Web { url, is_plain }, root, typed, label })
}

/// Whether a URL is the one that follows from its server and a path.
fn is_url_of(url: &Url, path: &str) -> bool {
    let mut made = url.clone();
    made.set_query(None);
    made.set_path("");
    if let Ok(mut segments) = made.path_segments_mut() {
        segments.extend(path.split('/'));
    }
    made == *url
}

/// Distinguishes URLs without showing their query strings.
fn fingerprint(url: &Url) -> String {
    let digest = Sha256::digest(url.as_str());
    digest.iter().take(8).fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use sluice_contracts::Kind;

    use super::*;

    #[test]
    fn a_url_names_a_store_and_files_in_it() {
        for (url, root, prefix, is_pattern) in [
            ("file:///data/a.csv", "file://", "data", false),
            ("file:///data/*.csv", "file://", "data", true),
            ("file:///data/a%20b/", "file://", "data/a b", true),
            ("gs://lake/in/a b.csv", "gs://lake", "in", false),
            ("gs://lake", "gs://lake", "", true),
            ("s3://partner-drop/in/**/*.csv", "s3://partner-drop", "in", true),
            ("s3://drop/a%20b.csv", "s3://drop", "", false),
            ("az://drop/in/", "az://drop", "in", true),
            (
                "abfss://drop@shop.dfs.core.windows.net/in/a.csv",
                "abfss://drop@shop.dfs.core.windows.net",
                "in",
                false,
            ),
            ("https://host/in/a.csv", "https://host", "in", false),
            ("http://127.0.0.1:8080/a.csv", "http://127.0.0.1:8080", "", false),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!(address.root(), root, "{url}");
            assert_eq!(address.prefix().as_ref(), prefix, "{url}");
            assert_eq!(address.is_pattern(), is_pattern, "{url}");
            assert_eq!(address.label(), url);
        }
    }

    #[test]
    fn a_place_is_what_an_operator_lists() {
        for (url, place) in [
            ("file:///data/x/*.csv", Place::File("/data/x".into())),
            ("file:///data/x%2A.csv", Place::File("/data/x*.csv".into())),
            ("file:///*", Place::File("/".into())),
            ("s3://drop/in/*", Place::Bucket { url: "s3://drop".into() }),
            ("https://host/a.csv", Place::Server { host: "host".into(), port: 443 }),
            ("http://host:8080/a.csv", Place::Server { host: "host".into(), port: 8080 }),
            ("https://[::1]/a.csv", Place::Server { host: "::1".into(), port: 443 }),
        ] {
            assert_eq!(Address::parse(url).unwrap().place(), place, "{url}");
        }
    }

    #[test]
    fn a_way_is_as_safe_as_its_scheme() {
        for (url, protection) in [
            ("file:///data/a.csv", Protection::Local),
            ("http://host/a.csv", Protection::None),
            ("https://host/a.csv", Protection::VerifiedName),
            ("s3://drop/a.csv", Protection::VerifiedName),
        ] {
            assert_eq!(Address::parse(url).unwrap().protection(), protection, "{url}");
        }
    }

    #[test]
    fn a_query_string_is_kept_and_not_shown() {
        let url = "https://host/in/a.csv?sig=s3cret";
        let address = Address::parse(url).unwrap();
        assert_eq!(address.label(), "https://host/in/a.csv");
        assert!(address.root().starts_with("https://host#"), "{}", address.root());
        assert!(!format!("{address:?}{}", address.root()).contains("s3cret"));
        assert!(address.matches("in/a.csv"));
        let StoreKind::Web { url: kept, is_plain: false } = address.kind() else { panic!() };
        assert_eq!(kept.as_str(), url);
        let other = Address::parse("https://host/in/a.csv?sig=other").unwrap();
        assert_ne!(other.root(), address.root());
    }

    #[test]
    fn an_escape_that_a_path_cannot_hold_is_kept() {
        for (url, is_plain, name) in [
            ("https://host/a%20b/%C3%BC.csv", true, "a b/ü.csv"),
            ("https://host/a+b=c.csv", true, "a+b=c.csv"),
            ("https://host/100%25.csv", true, "100%.csv"),
            ("https://host/o/in%2Fa.csv", false, "in/a.csv"),
            ("https://host/a%2Bb.csv", false, "a+b.csv"),
            ("https://host//a.csv", false, "a.csv"),
            ("https://host/a//b.csv", false, "a/b.csv"),
            ("https://host/%FF.csv", false, "%25FF.csv"),
        ] {
            let address = Address::parse(url).unwrap();
            let StoreKind::Web { is_plain: found, .. } = address.kind() else { panic!() };
            assert_eq!(*found, is_plain, "{url}");
            assert!(url.contains("%2F") || address.matches(name), "{url} {address:?}");
        }
    }

    #[test]
    fn a_url_that_names_no_files_is_refused_without_being_repeated() {
        for (url, why) in [
            ("data/s3cret.csv", "not a URL"),
            ("ftp://host/s3cret", "its scheme"),
            ("file://s3cret/a.csv", "third slash"),
            ("file:///", "no folder"),
            ("file:///s3cret/../a", "are no names"),
            ("file:///s3cret%00", "control"),
            ("gs:///s3cret", "no bucket"),
            ("s3://s3cret:1/a", "no bucket"),
            ("s3://me@s3cret/a", "no bucket"),
            ("s3://drop//s3cret", "is empty"),
            ("s3://drop/s3cret/[", "cannot be read"),
            ("s3://drop/s3cret**.csv", "`**`"),
            ("abfss://drop/s3cret", "no container"),
            ("abfss://drop@s3cret.example/a", "no container"),
            ("abfss://@s3cret.dfs.core.windows.net/a", "no bucket"),
            ("https://host/s3cret*.csv", "lists no files"),
            ("https://host/s3cret[1].csv", "lists no files"),
            ("https://host/s3cret/", "names no file"),
            ("https://host", "names no file"),
            ("https://u:s3cret@host/a", "password"),
            ("https://host/a#s3cret", "`#`"),
            ("https://", "not a URL"),
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{url}");
            let said = error.chain();
            assert!(said.starts_with("read `source.url`: ") && said.contains(why), "{url}: {said}");
            let hint = error.remedy().unwrap();
            assert!(!format!("{said}{hint}{error:?}").contains("s3cret"), "{url}: {said}");
        }
    }

    proptest! {
        #[test]
        fn reading_a_url_never_panics(scheme in "(file|gs|s3|az|abfss|https?)", rest in ".*") {
            let url = format!("{scheme}://{rest}");
            if let Ok(address) = Address::parse(&url) {
                prop_assert!(address.is_pattern() || address.path().is_some());
                drop((address.place(), address.prefix(), address.matches("x")));
            }
        }

        #[test]
        fn a_name_of_an_object_is_taken_as_it_is(name in "[^/*?\\[{\0-\u{1f}\u{7f}]{1,9}") {
            prop_assume!(name != "." && name != "..");
            let address = Address::parse(&format!("s3://drop/in/{name}")).unwrap();
            let path = format!("in/{name}");
            prop_assert!(address.matches(&path));
            prop_assert_eq!(address.path().unwrap(), Path::parse(path).unwrap());
        }
    }
}
