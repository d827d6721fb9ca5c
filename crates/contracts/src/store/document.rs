//! Parsing documents, and classifying a store's errors by who must act on them.

use object_store::path::Path;
use serde::de::DeserializeOwned;

use crate::error::{Error, Kind, Result};

/// What to do about a document that cannot be read.
const FOREIGN: &str = "the document is truncated, or another version of Sluice or another program \
                       wrote it; run the version that wrote it, or start the run again";

/// The version of a document, which is at most `known`.
///
/// # Errors
/// `Data` for what is not a document; `Invalid` for a version that this build does not know.
pub(super) fn document_version(path: &Path, bytes: &[u8], known: u32) -> Result<u32> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u32,
    }
    let head: Versioned = serde_json::from_slice(bytes)
        .map_err(|source| Error::data(format!("read `{path}`")).because(source).hint(FOREIGN))?;
    if head.version > known {
        return Err(Error::invalid(format!(
            "read `{path}`: it has version {}, and this build reads up to {known}",
            head.version
        ))
        .hint("a newer Sluice wrote it; run that version"));
    }
    Ok(head.version)
}

/// Parses a document, checking its version before its contents.
///
/// # Errors
/// `Data` for what is not a document of this kind; `Invalid` for a version that this build does not
/// know.
pub fn parse_document<T: DeserializeOwned>(path: &Path, bytes: &[u8], known: u32) -> Result<T> {
    document_version(path, bytes, known)?;
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    serde_path_to_error::deserialize(&mut deserializer)
        .map_err(|source| Error::data(format!("read `{path}`")).because(source).hint(FOREIGN))
}

/// Classifies an object store's error by who must act on it.
pub fn storage_error(what: String, source: object_store::Error) -> Error {
    use object_store::Error as E;
    let full = is_storage_full(&source);
    let (kind, hint) = match &source {
        _ if full => (Kind::Denied, Some("the disk is full; free some space and resume the run")),
        E::NotFound { .. } => (Kind::NotFound, None),
        E::AlreadyExists { .. } | E::Precondition { .. } => (Kind::Conflict, None),
        E::PermissionDenied { .. } | E::Unauthenticated { .. } => {
            (Kind::Denied, Some("grant this identity read and create on the bucket"))
        }
        E::InvalidPath { .. } | E::NotSupported { .. } | E::UnknownConfigurationKey { .. } => {
            (Kind::Invalid, None)
        }
        _ => (Kind::Transient, None),
    };
    let error = Error::new(kind, what).because(source);
    match hint {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

fn is_storage_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && matches!(
                io.kind(),
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded
            )
        {
            return true;
        }
        next = error.source();
    }
    false
}
