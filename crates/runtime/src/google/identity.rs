//! Identity tokens, which prove to a service who calls it.

use std::time::Duration;

use google_cloud_auth::credentials::idtoken::{Builder, IDTokenCredentials};
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

/// Longest wait for a token. Without an identity the client searches for Google Cloud's metadata
/// server, which outside of Google Cloud may take minutes to fail.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// This program's identity for one service. Tokens are kept until shortly before they expire.
#[derive(Debug, Clone)]
pub struct Identity {
    credentials: IDTokenCredentials,
    audience: String,
}

impl Identity {
    /// This program's identity for the service at the URL `audience`: a service account's, or that
    /// of the machine. The credentials of a person give no token for a service.
    pub fn toward(audience: &str) -> Result<Self> {
        let credentials = Builder::new(audience)
            // Services that list their callers list them by email.
            .with_include_email()
            .build()
            .doing(Kind::Denied, || format!("find an identity to show to `{audience}`"))?;
        Ok(Self { credentials, audience: audience.to_owned() })
    }

    /// A token that is valid now.
    pub async fn token(&self) -> Result<String> {
        let what = || format!("get an identity token for `{}`", self.audience);
        match tokio::time::timeout(LONGEST_WAIT, self.credentials.id_token()).await {
            Ok(Err(error)) if error.is_transient() => Err(Error::transient(what()).because(error)),
            Ok(token) => token.doing(Kind::Denied, what),
            Err(_) => Err(Error::transient(what())
                .because("the metadata server does not answer")
                .hint(
                    "on Google Cloud, give the program a service account; elsewhere there is no such \
                     server",
                )),
        }
    }
}
