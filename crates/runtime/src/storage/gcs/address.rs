//! What a `gs://` URL names.

use object_store::path::Path;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

/// A bucket, and a prefix in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) bucket: String,
    pub(super) prefix: Path,
}

impl Address {
    /// Reads `gs://bucket` or `gs://bucket/prefix`. Names are not escaped, not even a space, as
    /// everywhere in Google Cloud.
    pub(super) fn parse(url: &str) -> Result<Self> {
        let hint = "write `gs://bucket` or `gs://bucket/prefix`";
        let wrong = |why: &str| Error::invalid(format!("read URL `{url}`: {why}")).hint(hint);
        let below = url.strip_prefix("gs://").ok_or_else(|| wrong("it is not a `gs://` URL"))?;
        let (bucket, prefix) = below.split_once('/').unwrap_or((below, ""));
        if !is_bucket_name(bucket) {
            return Err(wrong("it names no bucket"));
        }
        if prefix.starts_with('/') {
            return Err(wrong("a name in it is empty"));
        }
        let prefix = Path::parse(prefix)
            .doing(Kind::Invalid, || format!("read URL `{url}`"))
            .map_err(|error| error.hint(hint))?;
        // Names of objects are built and parsed as paths, where these characters would be escaped.
        // Some have another meaning in such URLs: `*` is a pattern to BigQuery.
        if Path::from(prefix.as_ref()) != prefix {
            return Err(wrong("its prefix has a character that needs an escape"));
        }
        Ok(Self { bucket: bucket.to_owned(), prefix })
    }

    /// The URL, without a slash at its end.
    pub(super) fn url(&self) -> String {
        if self.prefix.as_ref().is_empty() {
            format!("gs://{}", self.bucket)
        } else {
            format!("gs://{}/{}", self.bucket, self.prefix)
        }
    }
}

/// <https://cloud.google.com/storage/docs/buckets#naming>
fn is_bucket_name(name: &str) -> bool {
    let known = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let end = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    (3..=222).contains(&name.len())
        && name.chars().all(known)
        && end(name.chars().next())
        && end(name.chars().next_back())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_bucket_and_a_prefix() {
        for (url, bucket, prefix, kept) in [
            ("gs://lake", "lake", "", "gs://lake"),
            ("gs://lake/", "lake", "", "gs://lake"),
            ("gs://my-lake_1.example.com/etl", "my-lake_1.example.com", "etl", ""),
            ("gs://lake/a b/c=1/", "lake", "a b/c=1", "gs://lake/a b/c=1"),
        ] {
            let address = Address::parse(url).unwrap();
            assert_eq!((address.bucket.as_str(), address.prefix.as_ref()), (bucket, prefix));
            assert_eq!(address.url(), if kept.is_empty() { url } else { kept });
            assert_eq!(Address::parse(&address.url()).unwrap(), address);
        }
    }

    #[test]
    fn a_url_that_names_no_bucket_is_refused() {
        for url in [
            "gs://",
            "gs:///prefix",
            "gs://la",
            "gs://Lake",
            "gs://lake:443/x",
            "gs://me@lake/x",
            "gs://-lake",
            "gs://lake//x",
            "gs://lake/../x",
            "gs://lake/x*",
            "gs://lake?x=1",
            "gs://lake/x#1",
            "gs://lake/100%25",
            "gs://lake/ü",
            "gs://lake/[x]",
            "lake/x",
        ] {
            let error = Address::parse(url).unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{url}");
            assert!(error.to_string().starts_with(&format!("read URL `{url}`")), "{error}");
            assert_eq!(error.remedy(), Some("write `gs://bucket` or `gs://bucket/prefix`"));
        }
    }
}
