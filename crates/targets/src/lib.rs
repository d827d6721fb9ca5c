//! Where tables go: one trait, one folder for each kind of target.
//!
//! To add a target: a folder with the same files as its siblings, and one line in [`TARGETS`].

#[cfg(feature = "google")]
mod bigquery;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod folder;
mod listing;
mod target;

use std::sync::Arc;

use sluice_contracts::Result;
use sluice_runtime::features::{unknown_scheme, without_scheme};

#[cfg(feature = "google")]
pub use bigquery::{BigQuery, BigQueryTarget};
pub use folder::Folder;
pub use listing::PartListing;
pub use target::{
    Admitted, DataflowAnswer, DataflowTerms, Load, Loaded, NativeAnswer, NotLoaded, Prepared,
    Shown, Target, TargetKind, Visibility,
};

/// Every kind of target.
pub const TARGETS: &[&dyn TargetKind] = &[
    &folder::Folder,
    #[cfg(feature = "google")]
    &bigquery::BigQuery,
];

/// The kind of target that a table's URL names, among those that a program knows.
///
/// # Errors
/// `Invalid` where the program does not know it, with the known kinds as hint.
pub fn kind_of<'k>(kinds: &[&'k dyn TargetKind], url: &str) -> Result<&'k dyn TargetKind> {
    let found = kinds.iter().find(|kind| kind.scheme() == scheme(url));
    found.copied().ok_or_else(|| unknown(url, kinds.iter().map(|kind| kind.scheme())))
}

/// The targets that a process writes to, each opened once.
#[derive(Debug, Clone, Default)]
pub struct Targets(Vec<(&'static str, Arc<dyn Target>)>);

impl Targets {
    /// These, by the scheme of their URLs.
    pub fn new(opened: Vec<(&'static str, Arc<dyn Target>)>) -> Self {
        Self(opened)
    }

    /// Opens one target of each kind. Nothing is called yet.
    pub async fn open(kinds: &[&dyn TargetKind]) -> Result<Self> {
        let mut opened = Vec::with_capacity(kinds.len());
        for kind in kinds {
            opened.push((kind.scheme(), kind.open().await?));
        }
        Ok(Self(opened))
    }

    /// Opens the targets that these URLs of tables name, and no others.
    pub async fn open_for(kinds: &[&dyn TargetKind], urls: &[&str]) -> Result<Self> {
        let mut needed: Vec<&dyn TargetKind> = Vec::new();
        for url in urls {
            let kind = kind_of(kinds, url)?;
            if !needed.iter().any(|known| known.scheme() == kind.scheme()) {
                needed.push(kind);
            }
        }
        Self::open(&needed).await
    }

    /// Refuses a bucket that the table at this URL cannot be loaded from, as
    /// [`Target::check_bucket`].
    pub async fn check_bucket(&self, table: &str, bucket: &str) -> Result<Vec<String>> {
        self.find(table)?.check_bucket(table, bucket).await
    }

    /// The target that a table's URL names.
    ///
    /// # Errors
    /// `Invalid` where no opened target has such URLs, with the schemes of those that are open.
    pub fn find(&self, url: &str) -> Result<&dyn Target> {
        let found = self.0.iter().find(|(known, _)| *known == scheme(url));
        found
            .map(|(_, target)| &**target)
            .ok_or_else(|| unknown(url, self.0.iter().map(|(known, _)| *known)))
    }
}

fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}

fn unknown<'a>(url: &str, known: impl Iterator<Item = &'a str>) -> sluice_contracts::Error {
    let known: Vec<&str> = known.collect();
    match scheme(url) {
        "" => without_scheme("target", url),
        scheme => unknown_scheme("target", scheme, "writes", &known, "bigquery"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_unknown_target_is_answered_with_the_known_ones() {
        let targets = Targets::open(&[&Folder]).await.unwrap();
        targets.find("file:///warehouse/orders").unwrap();
        let error = targets.find("snowflake://p/d/t").unwrap_err();
        assert_eq!(error.to_string(), "unknown target `snowflake://`");
        assert_eq!(error.remedy(), Some("this build writes `file://`"));
    }

    #[tokio::test]
    async fn only_the_targets_that_are_needed_are_opened() {
        let urls = ["file:///warehouse/orders", "file:///warehouse/lines"];
        assert_eq!(Targets::open_for(TARGETS, &urls).await.unwrap().0.len(), 1);
        assert!(Targets::open_for(TARGETS, &["snowflake://p/d/t"]).await.is_err());
    }
}
