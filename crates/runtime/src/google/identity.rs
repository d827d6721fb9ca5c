//! Identity tokens: who we are, to a service that only some may call.

use std::time::Duration;

use google_cloud_auth::credentials::idtoken::{Builder, IDTokenCredentials};
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

/// Longest wait for a token. Where there is no identity at all, the metadata server of Google
/// Cloud is looked for, which elsewhere may take minutes not to be found.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// This identity, as one service is shown it. Tokens are kept until shortly before they expire.
#[derive(Debug, Clone)]
pub struct Identity {
    credentials: IDTokenCredentials,
    audience: String,
}

impl Identity {
    /// This identity for the service at `audience`, its URL: a service account's, or that of the
    /// machine. The credentials of a person give no token for a service.
    pub fn toward(audience: &str) -> Result<Self> {
        let credentials = Builder::new(audience)
            // Services that name their callers name them by it.
            .with_include_email()
            .build()
            .doing(Kind::Denied, || format!("find an identity to show to `{audience}`"))?;
        Ok(Self { credentials, audience: audience.to_owned() })
    }

    /// A token that is good now.
    pub async fn token(&self) -> Result<String> {
        let what = || format!("get an identity token for `{}`", self.audience);
        match tokio::time::timeout(LONGEST_WAIT, self.credentials.id_token()).await {
            Ok(token) => token.doing(Kind::Denied, what),
            Err(_) => Err(Error::new(Kind::Denied, what())
                .because(std::io::Error::other("there is no answer from the metadata server"))),
        }
    }
}
