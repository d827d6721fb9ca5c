//! Opening the store that an address names, and saying what its errors ask for.
//!
//! Nobody writes to these stores, and the rights to list and to read objects are enough.

#[cfg(feature = "google")]
mod clouds;
mod failure;

use std::sync::Arc;

use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use sluice_contracts::{Error, Result};

use super::address::{Address, StoreKind};

pub(in crate::files) use failure::explain;

/// The store of files, and how errors name it.
#[derive(Debug)]
pub(in crate::files) struct FileStore {
    pub(in crate::files) objects: Arc<dyn ObjectStore>,
    address: Address,
}

impl FileStore {
    /// Opens the store of an address. Connects to nothing.
    pub(in crate::files) fn open(address: &Address) -> Result<Self> {
        Ok(Self { objects: open(address)?, address: address.clone() })
    }

    /// Whether the files lie on this machine.
    pub(in crate::files) fn is_of_this_machine(&self) -> bool {
        *self.address.kind() == StoreKind::Folder
    }

    /// A file as people know it: with the slash at its beginning, if it is one of this machine.
    pub(in crate::files) fn name_of(&self, path: &str) -> String {
        if self.is_of_this_machine() { format!("/{path}") } else { path.to_owned() }
    }

    /// The error of the store while reading a file.
    pub(in crate::files) fn failed(&self, name: &str, source: object_store::Error) -> Error {
        explain(&self.address, format!("read `{name}`"), source)
    }
}

/// Opens the store of an address. Connects to nothing.
///
/// # Errors
/// `Invalid` for a store that this build leaves out, and for settings in the environment that
/// cannot be read.
pub(in crate::files) fn open(address: &Address) -> Result<Arc<dyn ObjectStore>> {
    match address.kind() {
        StoreKind::Folder => Ok(Arc::new(LocalFileSystem::new())),
        #[cfg(feature = "google")]
        _ => clouds::open(address),
        #[cfg(not(feature = "google"))]
        _ => {
            let (scheme, _) = address.root().split_once("://").unwrap_or_default();
            Err(sluice_runtime::features::without_google(format!("open source `{scheme}://`")))
        }
    }
}

/// Whether the store is called without encryption.
pub(super) fn is_plain_http(kind: &StoreKind) -> bool {
    match kind {
        StoreKind::Folder => false,
        StoreKind::Web { url, .. } => url.scheme() == "http",
        #[cfg(feature = "google")]
        _ => clouds::is_plain_http(kind),
        // This build calls none of them.
        #[cfg(not(feature = "google"))]
        _ => false,
    }
}
