//! The version of an object.

use object_store::ObjectMeta;

/// What pins the bytes of a file: a generation of Cloud Storage, else an `ETag`, else the size with
/// the time of the last change. The same file has the same whether it was listed, described or
/// read.
///
/// The versions of other stores are not used: their listings do not tell them.
pub fn version_of(meta: &ObjectMeta) -> String {
    let is_generation =
        |version: &&String| version.len() >= 10 && version.bytes().all(|it| it.is_ascii_digit());
    if let Some(generation) = meta.version.as_ref().filter(is_generation) {
        return generation.clone();
    }
    match &meta.e_tag {
        // Azure puts them in quotes only where they are headers.
        Some(etag) if !etag.is_empty() => etag.trim_matches('"').to_owned(),
        _ => format!("{}-{}", meta.size, meta.last_modified.timestamp_micros()),
    }
}
