//! Cloud SQL: logging in to a database by the account that this program runs as.
//!
//! <https://cloud.google.com/sql/docs/postgres/iam-logins>

use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use google_cloud_auth::credentials::{AccessTokenCredentials, Builder};
use serde::Deserialize;
use sluice_contracts::error::Doing as _;
use sluice_contracts::ports::DatabaseLogin;
use sluice_contracts::{Error, Kind, Result};
use tokio::sync::OnceCell;

use super::identity::Identity;
use super::name_tls_provider;

/// What a token of this scope can do is log in to databases, and nothing else.
const SCOPE: &str = "https://www.googleapis.com/auth/sqlservice.login";
/// The service that an identity token is asked for, which only this program reads.
const AUDIENCE: &str = "https://sqladmin.googleapis.com/";
/// The end of a service account's email that its name in a database is without.
/// <https://cloud.google.com/sql/docs/postgres/add-manage-iam-users>
const SUFFIX: &str = ".gserviceaccount.com";
/// Longest wait for a token. Without an identity the client searches for Google Cloud's metadata
/// server, which outside of Google Cloud may take minutes to fail.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// What helps where there are no credentials.
const NO_IDENTITY: &str = "on Google Cloud, give the service or the job a service account; elsewhere, run \
                           `gcloud auth application-default login` and name the user in the URL";

/// The account that this program runs as. Tokens are kept until shortly before they expire.
#[derive(Debug, Default)]
pub struct CloudSqlLogin {
    user: OnceCell<String>,
    credentials: OnceCell<AccessTokenCredentials>,
}

#[async_trait]
impl DatabaseLogin for CloudSqlLogin {
    async fn user(&self) -> Result<String> {
        let user = self.user.get_or_try_init(|| async {
            name_tls_provider();
            let token = Identity::toward(AUDIENCE)?.token().await?;
            user_of(&token)
        });
        user.await.cloned().map_err(|error| error.hint(NO_IDENTITY))
    }

    async fn token(&self) -> Result<String> {
        let what = || "get a token for a database";
        let credentials = self.credentials.get_or_try_init(|| async {
            name_tls_provider();
            Builder::default().with_scopes([SCOPE]).build_access_token_credentials()
        });
        let credentials = credentials.await.doing(Kind::Denied, what);
        let credentials = credentials.map_err(|error| error.hint(NO_IDENTITY))?;
        match tokio::time::timeout(LONGEST_WAIT, credentials.access_token()).await {
            Ok(Ok(token)) => Ok(token.token),
            Ok(Err(error)) if error.is_transient() => Err(Error::transient(what()).because(error)),
            Ok(Err(error)) => {
                Err(Error::new(Kind::Denied, what()).because(error).hint(NO_IDENTITY))
            }
            Err(_) => Err(Error::transient(what()).because("the metadata server does not answer")),
        }
    }
}

/// The part of an identity token that says whose it is.
#[derive(Debug, Deserialize)]
struct Claims {
    email: String,
}

/// The user of the account that a token is for.
fn user_of(token: &str) -> Result<String> {
    let what = || "read the account of an identity token";
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(claims).doing(Kind::Denied, what)?;
    let Claims { email } = serde_json::from_slice(&claims).doing(Kind::Denied, what)?;
    Ok(email.strip_suffix(SUFFIX).unwrap_or(&email).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn the_user_is_the_accounts_email_without_its_end() {
        for (email, user) in [
            (
                "sluice-extractor@shop-prod.iam.gserviceaccount.com",
                "sluice-extractor@shop-prod.iam",
            ),
            ("ann@example.com", "ann@example.com"),
        ] {
            let claims = format!(r#"{{"aud": "x", "email": "{email}", "email_verified": true}}"#);
            assert_eq!(user_of(&token(&claims)).unwrap(), user);
        }
        for wrong in [token("{}"), token(r#"{"email": 1}"#), "x.%.y".to_owned(), String::new()] {
            let error = user_of(&wrong).unwrap_err();
            assert_eq!(error.kind(), Kind::Denied, "{wrong}");
        }
    }
}
