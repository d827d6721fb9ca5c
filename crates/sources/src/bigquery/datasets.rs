//! The source: the datasets of a project.

use std::fmt;

use async_trait::async_trait;
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::BigQueryClient;
use sluice_runtime::google::{Endpoint, Endpoints};

use super::address::Address;
use super::survey::BigQuerySurvey;
use crate::place::{Place, Protection};
use crate::secrets::Secrets;
use crate::source::{Join, Reader, Source, Survey};
use crate::url::SourceUrl;

/// The datasets that a URL names.
pub(super) struct Datasets {
    address: Address,
    endpoint: Endpoint,
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
        let address = Address::parse(url.text())?;
        let label = url.label(|| address.label.clone());
        let endpoint = Endpoints::from_env()?.bigquery();
        Ok(Self { address, endpoint, label, secrets: url.secrets().clone() })
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
            let client = BigQueryClient::new(&self.endpoint).await?;
            BigQuerySurvey::open(client, self.address.clone()).await
        };
        Ok(Box::new(opened.await.map_err(|error| self.secrets.redact(error))?))
    }

    async fn reader(&self, _application: &str, _join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        Err(Error::bug("read BigQuery by tasks: the plan has none for it"))
    }
}
