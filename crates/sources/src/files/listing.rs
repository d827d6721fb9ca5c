//! Which files there are.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use sluice_contracts::error::Doing as _;
use sluice_contracts::store::version_of;
use sluice_contracts::{Error, Kind, Result};

use super::address::{Address, StoreKind};
use super::folder;
use super::pattern::Pattern;
use super::store::explain;

/// Files that are described at once.
const AT_ONCE: usize = 16;

/// A file, as it was when the store was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::files) struct FoundFile {
    /// Its name below the root of its address, as the store is asked for it.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// What changes with its bytes: see [`version_of`].
    pub version: String,
}

/// The files that addresses of one root stand for, each once, in the order of their paths.
///
/// A single file is asked for by its name, so that nobody needs the right to list. Objects whose
/// names end in `/` are left out: consoles make such objects to show folders.
///
/// # Errors
/// `NotFound` for a single file that does not exist, and for a pattern that no file matches.
pub(in crate::files) async fn list(
    store: &Arc<dyn ObjectStore>,
    addresses: &[Address],
) -> Result<Vec<FoundFile>> {
    let mut found = BTreeMap::new();
    let singles: Vec<_> = addresses
        .iter()
        .filter_map(|address| Some((address, address.path()?)))
        .map(|(address, path)| describe(store, address, path))
        .collect();
    for file in all(singles).await? {
        found.insert(file.path.clone(), file);
    }
    for group in groups(addresses) {
        let files = match group.addresses[0].kind() {
            StoreKind::Folder => group.walk(store).await?,
            _ => group.list(store).await?,
        };
        for address in &group.addresses {
            if !files.keys().any(|path| address.matches(path)) {
                return Err(Error::not_found(format!(
                    "find files of `{}`: no file matches",
                    address.label()
                ))
                .hint(
                    "`*` stays in one folder, and `**` stands for any number of folders; names that \
                     begin with `_` or `.` match only patterns that begin so; write `[[]`, `[{]`, \
                     `[?]` and `[*]` for `[`, `{`, `?` and `*` of a name",
                ));
            }
        }
        found.extend(files);
    }
    Ok(found.into_values().collect())
}

/// Patterns that one listing answers.
struct Group<'a> {
    prefix: Path,
    /// Whether no pattern reaches into folders below the prefix.
    is_flat: bool,
    addresses: Vec<&'a Address>,
}

fn groups(addresses: &[Address]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for address in addresses {
        let Some(pattern) = address.pattern() else { continue };
        let is_flat = pattern.depth() == Some(0);
        let same =
            |group: &&mut Group<'_>| group.prefix == *pattern.folder() && group.is_flat == is_flat;
        match groups.iter_mut().find(same) {
            Some(group) => group.addresses.push(address),
            None => groups.push(Group {
                prefix: pattern.folder().clone(),
                is_flat,
                addresses: vec![address],
            }),
        }
    }
    groups
}

impl Group<'_> {
    fn matches(&self, path: &str) -> bool {
        self.addresses.iter().any(|address| address.matches(path))
    }

    /// The first address: the store's errors concern all of them.
    fn address(&self) -> &Address {
        self.addresses[0]
    }

    fn explain(&self, source: StoreError) -> Error {
        let address = self.address();
        explain(address, format!("find files of `{}`", address.label()), source)
    }

    /// The files of a bucket.
    async fn list(&self, store: &Arc<dyn ObjectStore>) -> Result<BTreeMap<String, FoundFile>> {
        let prefix = (!self.prefix.is_root()).then_some(&self.prefix);
        let mut found = BTreeMap::new();
        let mut empty = Vec::new();
        let mut keep = |meta: ObjectMeta| -> Result<()> {
            if meta.location == self.prefix || !self.matches(meta.location.as_ref()) {
                return Ok(());
            }
            if meta.size == 0 {
                empty.push(meta);
                return Ok(());
            }
            let file = FoundFile::of(&meta);
            match found.insert(file.path.clone(), file) {
                None => Ok(()),
                Some(file) => Err(Error::invalid(format!(
                    "find files of `{}`: two objects would both be read as `{}`",
                    self.address().label(),
                    file.path
                ))
                .hint("rename the one whose name begins or ends with `/`")),
            }
        };
        if self.is_flat {
            let level = store.list_with_delimiter(prefix).await;
            for meta in level.map_err(|source| self.explain(source))?.objects {
                keep(meta)?;
            }
        } else {
            let mut listing = store.list(prefix);
            while let Some(meta) = listing.next().await {
                keep(meta.map_err(|source| self.explain(source))?)?;
            }
        }
        // The name of an object that shows a folder came without the slash at its end, so there is
        // no object of the name that it came with, or another one.
        let asked = empty.into_iter().map(|meta| self.object(store, meta)).collect();
        for file in all(asked).await?.into_iter().flatten() {
            found.entry(file.path.clone()).or_insert(file);
        }
        Ok(found)
    }

    /// The object of that very name, if there is one.
    async fn object(
        &self,
        store: &Arc<dyn ObjectStore>,
        meta: ObjectMeta,
    ) -> Result<Option<FoundFile>> {
        match store.head(&meta.location).await {
            Ok(meta) => Ok(Some(FoundFile::of(&meta))),
            Err(StoreError::NotFound { .. }) => Ok(None),
            Err(source) => Err(self.explain(source)),
        }
    }

    /// The files of a folder of this machine.
    async fn walk(&self, store: &Arc<dyn ObjectStore>) -> Result<BTreeMap<String, FoundFile>> {
        let mut found = BTreeMap::new();
        for address in &self.addresses {
            let Some(pattern) = address.pattern().cloned() else { continue };
            let paths = walked(address, pattern).await?;
            let paths = paths.into_iter().filter(|path| !found.contains_key(path));
            let asked = paths.map(|path| describe_named(store, address, path)).collect();
            for file in all(asked).await? {
                found.insert(file.path.clone(), file);
            }
        }
        Ok(found)
    }
}

/// The paths of a folder's files, found on a thread that may wait for a disk.
async fn walked(address: &Address, pattern: Pattern) -> Result<Vec<String>> {
    let doing = || format!("find files of `{}`", address.label());
    let start = address.file();
    let walk = tokio::task::spawn_blocking(move || folder::find(&start, &pattern));
    walk.await.doing(Kind::Bug, doing)?.map_err(|error| error.during(doing()))
}

async fn describe_named(
    store: &Arc<dyn ObjectStore>,
    address: &Address,
    path: String,
) -> Result<FoundFile> {
    let parsed = Path::parse(&path).map_err(StoreError::from);
    let parsed = parsed.and_then(|parsed| {
        // A slash at its end, for one, would be lost.
        let lost = || StoreError::NotSupported { source: "its name cannot be asked for".into() };
        (parsed.as_ref() == path).then_some(parsed).ok_or_else(lost)
    });
    let parsed = parsed.map_err(|source| {
        explain(address, format!("find a file of `{}`", address.label()), source)
    })?;
    describe(store, address, parsed).await
}

/// A file of which the name is known.
async fn describe(
    store: &Arc<dyn ObjectStore>,
    address: &Address,
    path: Path,
) -> Result<FoundFile> {
    if *address.kind() == StoreKind::Folder && folder::is_reserved(path.as_ref()) {
        return Err(Error::invalid(format!(
            "find `{path}`: a file whose name ends in `#` and digits cannot be read"
        ))
        .hint("rename the file"));
    }
    match store.head(&path).await {
        Ok(meta) => Ok(FoundFile::of(&meta)),
        Err(source) => Err(explain(address, format!("find `{}`", name_of(address, &path)), source)),
    }
}

/// The file for messages.
fn name_of(address: &Address, path: &Path) -> String {
    if address.is_pattern() {
        format!("{}/{path}", address.root())
    } else {
        address.label().to_owned()
    }
}

/// The results of calls, of which some are made at once.
async fn all<T>(calls: Vec<impl Future<Output = Result<T>>>) -> Result<Vec<T>> {
    stream::iter(calls).buffered(AT_ONCE).try_collect().await
}

impl FoundFile {
    fn of(meta: &ObjectMeta) -> Self {
        Self { path: meta.location.to_string(), size: meta.size, version: version_of(meta) }
    }
}

#[cfg(test)]
mod tests;
