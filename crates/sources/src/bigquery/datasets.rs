//! The source: the datasets of a project.

use std::fmt;

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_runtime::google::bigquery::{BigQueryClient, ReadClient};
use sluice_runtime::google::{Endpoint, Endpoints};

use super::address::Address;
use super::reader::BigQueryReader;
use super::survey::BigQuerySurvey;
use crate::place::{Place, Protection};
use crate::secrets::Secrets;
use crate::source::{Join, Reader, Source, Survey};
use crate::url::SourceUrl;

/// The datasets that a URL names.
pub(super) struct Datasets {
    address: Address,
    endpoint: Endpoint,
    storage: Endpoint,
    label: String,
    secrets: Secrets,
}

// The address may contain a variable's value.
impl fmt::Debug for Datasets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Datasets").field("label", &self.label).finish_non_exhaustive()
    }
}

impl Datasets {
    /// Those of a URL. Connects to nothing.
    pub(super) fn open(url: &SourceUrl) -> Result<Self> {
        Self::at(url, &Endpoints::from_env()?)
    }

    /// The same at other addresses than the environment's.
    pub(super) fn at(url: &SourceUrl, endpoints: &Endpoints) -> Result<Self> {
        let address = Address::parse(url.text())?;
        let label = url.label(|| address.label.clone());
        let (endpoint, storage) = (endpoints.bigquery(), endpoints.bigquery_storage());
        Ok(Self { address, endpoint, storage, label, secrets: url.secrets().clone() })
    }

    /// The clients of BigQuery. They make no call yet.
    async fn clients(&self) -> Result<(BigQueryClient, ReadClient)> {
        Ok((BigQueryClient::new(&self.endpoint).await?, ReadClient::new(&self.storage)?))
    }
}

#[async_trait]
impl Source for Datasets {
    fn label(&self) -> &str {
        &self.label
    }

    fn places(&self) -> Vec<Place> {
        vec![Place::Datasets {
            project: self.address.project.clone(),
            dataset: self.address.dataset.clone(),
        }]
    }

    fn protection(&self) -> Protection {
        // A plain `http` address is an emulator's, or that of a proxy which an operator has set up.
        if self.endpoint.url().starts_with("https://") {
            Protection::VerifiedName
        } else {
            Protection::None
        }
    }

    async fn survey(&self, _application: &str) -> Result<Box<dyn Survey>> {
        let opened = async {
            let (client, reads) = self.clients().await?;
            BigQuerySurvey::open(client, reads, self.address.clone()).await
        };
        Ok(Box::new(opened.await.map_err(|error| self.secrets.redact(error))?))
    }

    async fn reader(&self, _application: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        let opened = async {
            let (client, reads) = self.clients().await?;
            BigQueryReader::new(client, reads, self.address.clone(), join)
        };
        Ok(Some(Box::new(opened.await.map_err(|error| self.secrets.redact(error))?)))
    }
}
