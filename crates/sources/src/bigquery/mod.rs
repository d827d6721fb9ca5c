//! BigQuery: `bigquery://project/dataset`.
//!
//! BigQuery keeps what its tables were for some days, so a run reads them as they were at one moment,
//! which the plan pins: a query says `FOR SYSTEM_TIME AS OF`, and a copy names the moment after the
//! table. Where the target is BigQuery too, it takes the rows by a copy or by a query, and no task
//! reads them.
//!
//! <https://cloud.google.com/bigquery/docs/access-historical-data>

#[cfg(feature = "google")]
mod address;
#[cfg(feature = "google")]
mod batches;
#[cfg(feature = "google")]
mod catalog;
#[cfg(feature = "google")]
mod columns;
#[cfg(feature = "google")]
mod conversion;
#[cfg(feature = "google")]
mod datasets;
#[cfg(feature = "google")]
mod dialect;
#[cfg(feature = "google")]
mod listing;
#[cfg(feature = "google")]
mod reader;
#[cfg(feature = "google")]
mod reading;
#[cfg(feature = "google")]
mod survey;
#[cfg(feature = "google")]
mod tables;
#[cfg(test)]
#[cfg(feature = "google")]
mod tests;
#[cfg_attr(
    not(feature = "google"),
    expect(dead_code, reason = "only the documentation is made of it")
)]
mod type_table;

use std::sync::Arc;

use sluice_contracts::Result;
use sluice_contracts::ports::DatabaseLogin;

use crate::documentation::TypeRow;
use crate::source::{Source, SourceKind};
use crate::url::SourceUrl;

/// The parameter of a URL that names the project which pays.
const BILLING_PROJECT: &str = "billing_project";

/// The kind.
#[derive(Debug)]
pub(crate) struct BigQuery;

impl SourceKind for BigQuery {
    fn schemes(&self) -> &'static [&'static str] {
        &["bigquery"]
    }

    fn is_parameter(&self, name: &str) -> bool {
        name == BILLING_PROJECT
    }

    fn types(&self) -> Vec<TypeRow> {
        type_table::type_documentation()
    }

    #[cfg(feature = "google")]
    fn open(
        &self,
        url: &SourceUrl,
        _login: Option<&Arc<dyn DatabaseLogin>>,
    ) -> Result<Arc<dyn Source>> {
        Ok(Arc::new(datasets::Datasets::open(url)?))
    }

    #[cfg(not(feature = "google"))]
    fn open(
        &self,
        _url: &SourceUrl,
        _login: Option<&Arc<dyn DatabaseLogin>>,
    ) -> Result<Arc<dyn Source>> {
        Err(sluice_runtime::features::without_google("open source `bigquery://`"))
    }
}

/// The datasets that a URL names, of BigQuery at these addresses. Connects to nothing.
///
/// # Errors
/// `Invalid` for a URL that cannot be read.
#[cfg(feature = "google")]
pub fn bigquery_at(
    url: &str,
    endpoints: &sluice_runtime::google::Endpoints,
) -> Result<Arc<dyn Source>> {
    let url = SourceUrl::expand(url, &|_| None)?;
    Ok(Arc::new(datasets::Datasets::at(&url, endpoints)?))
}
