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

    /// The root, unless it is that of one URL with parameters.
    pub(in crate::files) fn store(&self) -> Option<&str> {
        match self.kind {
            StoreKind::Web { is_plain: false, .. } => None,
            _ => Some(&self.root),
        }
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
        return Err(wrong("it has a user or a password, which every reader of the job would see")
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
mod tests;
