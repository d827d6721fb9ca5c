//! Opening a bucket from its URL.

mod folder;
#[cfg(feature = "google")]
mod gcs;

use sluice_contracts::Result;
use sluice_contracts::store::Bucket;

use crate::features::{unknown_scheme, without_scheme};

pub use folder::folder;
#[cfg(feature = "google")]
pub use gcs::open_at as open_cloud_storage_at;

/// A kind of bucket.
struct Scheme {
    /// How its URLs begin, before `://`.
    name: &'static str,
    /// Opens it, making it if Sluice makes buckets of this kind.
    open: fn(&str) -> Result<Bucket>,
    /// Opens one that exists already.
    find: fn(&str) -> Result<Bucket>,
    /// Reads its URL.
    check: fn(&str) -> Result<()>,
}

/// Every kind of bucket.
const SCHEMES: &[Scheme] = &[
    folder::SCHEME,
    #[cfg(feature = "google")]
    gcs::SCHEME,
];

/// Opens a bucket. A folder that does not exist is made; a bucket of a cloud is made by its
/// operator, and is not looked up before its first use.
pub fn open_bucket(url: &str) -> Result<Bucket> {
    (scheme(url)?.open)(url)
}

/// Opens a bucket that exists already.
///
/// # Errors
/// `NotFound` for a folder that does not exist. A missing bucket of a cloud is reported at its
/// first use.
pub fn find_bucket(url: &str) -> Result<Bucket> {
    (scheme(url)?.find)(url)
}

/// Checks that a bucket's URL can be opened, without opening it.
pub fn check_bucket(url: &str) -> Result<()> {
    (scheme(url)?.check)(url)
}

fn scheme(url: &str) -> Result<&'static Scheme> {
    let Some((name, _)) = url.split_once("://") else {
        return Err(without_scheme("bucket", url));
    };
    SCHEMES.iter().find(|known| known.name == name).ok_or_else(|| {
        let known: Vec<&str> = SCHEMES.iter().map(|known| known.name).collect();
        unknown_scheme("bucket", name, "stores in", &known, "gs")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_answered_with_the_known_ones() {
        let error = open_bucket("s3://lake").unwrap_err();
        assert_eq!(error.to_string(), "unknown bucket `s3://`");
        let known = if cfg!(feature = "google") { "`file://`, `gs://`" } else { "`file://`" };
        assert_eq!(error.remedy(), Some(format!("this build stores in {known}").as_str()));
        let error = open_bucket("data").unwrap_err();
        assert_eq!(error.to_string(), "read bucket `data`: it is not a URL");
        assert!(error.remedy().is_some_and(|hint| hint.ends_with("/data`")), "{error:?}");
    }

    #[cfg(not(feature = "google"))]
    #[test]
    fn a_bucket_of_google_needs_its_feature() {
        let error = check_bucket("gs://lake").unwrap_err();
        assert!(error.remedy().is_some_and(|hint| hint.contains("--features google")));
    }

    #[test]
    fn a_url_is_checked_by_its_scheme() {
        #[cfg(feature = "google")]
        check_bucket("gs://lake/etl").unwrap();
        check_bucket("file:///data").unwrap();
        assert!(check_bucket("gs://").is_err());
        assert!(check_bucket("file://data").is_err());
    }
}
