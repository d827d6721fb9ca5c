//! The parts of a load, as the bucket has them.

use object_store::path::Path;
use sluice_contracts::documents::Part;
use sluice_contracts::{Error, Result};

use crate::target::Load;

/// Compares the objects with their receipts, by one listing for all tables. Cloud Storage compared
/// their checksums when they were uploaded.
pub(super) async fn require_whole(load: &Load) -> Result<()> {
    if load.parts.is_empty() {
        return Ok(());
    }
    let sizes = load.listing.sizes(load).await?;
    for part in &load.parts {
        let wrong = match sizes.get(&Path::from(part.path.as_str())) {
            Some(size) if *size == part.bytes => continue,
            Some(size) => format!("it has {size} bytes, and its receipt says {}", part.bytes),
            None => "it is not in the bucket".to_owned(),
        };
        return Err(Error::data(format!("check part `{}`: {wrong}", part.path)).hint(
            "the bucket's object is not what was written; nothing of the table was made visible; \
             start the run again",
        ));
    }
    Ok(())
}

/// The parts' URIs for BigQuery.
pub(super) fn uris(load: &Load, parts: &[Part]) -> Result<Vec<String>> {
    let bucket = load.bucket.url.strip_prefix("gs://").and_then(|rest| rest.split('/').next());
    let Some(bucket) = bucket.filter(|name| !name.is_empty()) else {
        return Err(Error::invalid(format!(
            "BigQuery does not load from bucket `{}`",
            load.bucket.url
        ))
        .hint("write `bucket: gs://...` in the job"));
    };
    Ok(parts.iter().map(|part| format!("gs://{bucket}/{}", part.path)).collect())
}
