//! Google's services: their addresses, the credentials for them, and the ports that they implement.

#[cfg(feature = "service")]
pub mod announcer;
pub mod bigquery;
#[cfg(feature = "service")]
pub mod checks;
pub mod database_login;
pub mod dataflow;
#[cfg(feature = "service")]
pub mod executions;
pub mod identity;
#[cfg(feature = "service")]
mod refusal;

use google_cloud_auth::credentials::{Builder, Credentials, anonymous};
use serde::Deserialize;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

/// Addresses of Google's services that differ from the usual ones: a private endpoint, or an
/// emulator.
///
/// `STORAGE_EMULATOR_HOST` and `PUBSUB_EMULATOR_HOST` are the names that Google's own client
/// libraries know. Each is a URL without a path; a host without a scheme is called over `http`.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Endpoints {
    /// `STORAGE_EMULATOR_HOST`: Cloud Storage.
    storage_emulator_host: Option<String>,
    /// `PUBSUB_EMULATOR_HOST`: Pub/Sub.
    pubsub_emulator_host: Option<String>,
    /// `SLUICE_BIGQUERY_ENDPOINT`: BigQuery.
    sluice_bigquery_endpoint: Option<String>,
    /// `SLUICE_BIGQUERY_STORAGE_ENDPOINT`: BigQuery's Storage Read API.
    sluice_bigquery_storage_endpoint: Option<String>,
    /// `SLUICE_DATAFLOW_ENDPOINT`: Dataflow.
    sluice_dataflow_endpoint: Option<String>,
    /// `SLUICE_RUN_ENDPOINT`: Cloud Run.
    sluice_run_endpoint: Option<String>,
    /// `SLUICE_TASKS_ENDPOINT`: Cloud Tasks.
    sluice_tasks_endpoint: Option<String>,
}

impl Endpoints {
    /// Reads the environment.
    pub fn from_env() -> Result<Self> {
        envy::from_env().doing(Kind::Invalid, || "read the addresses of Google's services")
    }

    /// Cloud Storage.
    pub fn storage(&self) -> Endpoint {
        Endpoint::new(self.storage_emulator_host.as_deref(), "https://storage.googleapis.com")
    }

    /// Pub/Sub.
    pub fn pubsub(&self) -> Endpoint {
        Endpoint::new(self.pubsub_emulator_host.as_deref(), "https://pubsub.googleapis.com")
    }

    /// BigQuery.
    pub fn bigquery(&self) -> Endpoint {
        let typed = self.sluice_bigquery_endpoint.as_deref();
        Endpoint::new(typed, "https://bigquery.googleapis.com")
    }

    /// BigQuery's Storage Read API.
    pub fn bigquery_storage(&self) -> Endpoint {
        let typed = self.sluice_bigquery_storage_endpoint.as_deref();
        Endpoint::new(typed, "https://bigquerystorage.googleapis.com")
    }

    /// Dataflow.
    pub fn dataflow(&self) -> Endpoint {
        let typed = self.sluice_dataflow_endpoint.as_deref();
        Endpoint::new(typed, "https://dataflow.googleapis.com")
    }

    /// Cloud Run.
    pub fn run(&self) -> Endpoint {
        Endpoint::new(self.sluice_run_endpoint.as_deref(), "https://run.googleapis.com")
    }

    /// Cloud Tasks.
    pub fn tasks(&self) -> Endpoint {
        Endpoint::new(self.sluice_tasks_endpoint.as_deref(), "https://cloudtasks.googleapis.com")
    }
}

/// The address of one service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    url: String,
}

impl Endpoint {
    fn new(typed: Option<&str>, usual: &str) -> Self {
        let typed =
            typed.map(|typed| typed.trim_end_matches('/')).filter(|typed| !typed.is_empty());
        let url = match typed {
            Some(url) if url.contains("://") => url.to_owned(),
            Some(host) => format!("http://{host}"),
            None => usual.to_owned(),
        };
        Self { url }
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Credentials to call it with: this program's, or none over plain `http`, which would expose
    /// the token to the network.
    pub fn credentials(&self) -> Result<Credentials> {
        name_tls_provider();
        if self.url.starts_with("http://") {
            return Ok(anonymous::Builder::new().build());
        }
        Builder::default().build().map_err(|source| {
            Error::new(Kind::Denied, "find credentials for Google Cloud").because(source).hint(
                "on Google Cloud, give the service an identity; elsewhere, run \
                 `gcloud auth application-default login`",
            )
        })
    }
}

/// Sets the cryptography that TLS uses if a client does not choose. PostgreSQL's driver brings
/// another one, and of two rustls chooses neither.
fn name_tls_provider() {
    // An error means that it is set already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_chooses_no_cryptography_finds_some() {
        name_tls_provider();
        name_tls_provider();
        // Panics if none is set.
        let _ = rustls::ClientConfig::builder();
    }

    #[test]
    fn a_host_without_a_scheme_is_called_over_http() {
        let endpoint = |typed| Endpoint::new(typed, "https://storage.googleapis.com");
        assert_eq!(endpoint(Some("127.0.0.1:4443/")).url(), "http://127.0.0.1:4443");
        assert_eq!(endpoint(Some("https://private/")).url(), "https://private");
        assert_eq!(endpoint(Some("")).url(), "https://storage.googleapis.com");
        assert_eq!(endpoint(None).url(), "https://storage.googleapis.com");
    }
}
