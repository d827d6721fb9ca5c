//! The identity that BigQuery is called with.

use async_trait::async_trait;
use gcp_bigquery_client::auth::Authenticator;
use gcp_bigquery_client::error::BQError;
use google_cloud_auth::credentials::{CacheableResource, Credentials};
use sluice_contracts::{Error, Kind, Result};

/// The credentials that all clients of Google's services share, for a client that by default finds
/// its own.
#[derive(Debug, Clone)]
pub struct AccessTokens(pub Credentials);

impl AccessTokens {
    /// An access token; empty over plain `http`. The credentials keep it until it expires.
    pub async fn token(&self) -> Result<String> {
        let headers = self.0.headers(http::Extensions::new()).await.map_err(|source| {
            let kind = if source.is_transient() { Kind::Transient } else { Kind::Denied };
            Error::new(kind, "get an access token for BigQuery").because(source).hint(
                "the service's identity, or `gcloud auth application-default login`, has to work",
            )
        })?;
        let CacheableResource::New { data, .. } = headers else {
            return Err(Error::bug("get an access token for BigQuery: it was not sent again"));
        };
        let token = data
            .get(http::header::AUTHORIZATION)
            .and_then(|header| header.to_str().ok()?.strip_prefix("Bearer "))
            .unwrap_or_default();
        Ok(token.to_owned())
    }
}

#[async_trait]
impl Authenticator for AccessTokens {
    async fn access_token(&self) -> Result<String, BQError> {
        // Each call asks for the token before, and returns the error if that fails.
        self.token().await.map_err(|_| BQError::NoToken)
    }
}
