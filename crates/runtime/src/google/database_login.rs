//! Cloud SQL: logging in to a database by the account that this program runs as.
//!
//! <https://cloud.google.com/sql/docs/postgres/iam-logins>

use std::sync::{Mutex, MutexGuard, PoisonError};
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

/// A token of this scope can only log in to databases.
const SCOPE: &str = "https://www.googleapis.com/auth/sqlservice.login";
/// The service that an identity token is asked for, which only this program reads.
const AUDIENCE: &str = "https://sqladmin.googleapis.com/";
/// Longest wait for a token. Without an identity the client searches for Google Cloud's metadata
/// server, which outside of Google Cloud may take minutes to fail.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Characters of an answer that an error repeats: what answers in the place of the metadata server
/// may send a page, or what nobody should read.
const REPEATED: usize = 200;

/// What helps where there are no credentials.
const NO_IDENTITY: &str = "after `gcloud auth application-default login`, name the user too: `user: \
                           you@example.com`; on Google Cloud, give the service or the job a service \
                           account";
/// What helps where credentials could not be asked for.
const UNAVAILABLE: &str = "the metadata server of Google Cloud is out of order; it is asked again";

/// The account that this program runs as. Tokens are kept until shortly before they expire.
#[derive(Debug, Default)]
pub struct CloudSqlLogin {
    email: OnceCell<String>,
    kept: Mutex<Kept>,
}

/// What fetches tokens. Each keeps an error that is not transient for good, so both are made anew
/// after one.
#[derive(Debug, Default)]
struct Kept {
    credentials: Option<AccessTokenCredentials>,
    identity: Option<Identity>,
}

impl CloudSqlLogin {
    fn credentials(&self) -> Result<AccessTokenCredentials> {
        let mut kept = self.kept();
        if let Some(credentials) = &kept.credentials {
            return Ok(credentials.clone());
        }
        name_tls_provider();
        let made = Builder::default().with_scopes([SCOPE]).build_access_token_credentials();
        let made = made.doing(Kind::Denied, what).map_err(|error| error.hint(NO_IDENTITY))?;
        Ok(kept.credentials.insert(made).clone())
    }

    /// The same across calls, so that an answer that comes late is not lost.
    fn identity(&self) -> Result<Identity> {
        let mut kept = self.kept();
        if let Some(identity) = &kept.identity {
            return Ok(identity.clone());
        }
        name_tls_provider();
        Ok(kept.identity.insert(Identity::toward(AUDIENCE)?).clone())
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An error with what helps. After one that is not transient, everything is made anew.
    fn failed(&self, error: Error) -> Error {
        if error.is_transient() {
            return error.hint(UNAVAILABLE);
        }
        *self.kept() = Kept::default();
        error.hint(NO_IDENTITY)
    }
}

#[async_trait]
impl DatabaseLogin for CloudSqlLogin {
    async fn email(&self) -> Result<String> {
        let email = self.email.get_or_try_init(|| async {
            let token = self.identity()?.token().await.map_err(|error| {
                let cause = std::error::Error::source(&error).map(shortened);
                let short = Error::new(error.kind(), error.to_string());
                cause.into_iter().fold(short, Error::because)
            })?;
            email_of(&token)
        });
        email.await.cloned().map_err(|error| self.failed(error))
    }

    async fn token(&self) -> Result<String> {
        let credentials = self.credentials()?;
        match tokio::time::timeout(LONGEST_WAIT, credentials.access_token()).await {
            Ok(Ok(token)) => Ok(token.token),
            Ok(Err(error)) => {
                let kind = if error.is_transient() { Kind::Transient } else { Kind::Denied };
                Err(self.failed(Error::new(kind, what()).because(shortened(&error))))
            }
            Err(_) => {
                let error = Error::transient(what());
                Err(self.failed(error.because("the metadata server does not answer")))
            }
        }
    }

    fn renew(&self) {
        self.kept().credentials = None;
    }
}

fn what() -> &'static str {
    "get a token for a database"
}

/// An error of the client without what a server may have answered at length.
fn shortened(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(next) = source {
        text.push_str(": ");
        text.push_str(&next.to_string());
        source = next.source();
    }
    match text.char_indices().nth(REPEATED) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The part of an identity token that says whose it is.
#[derive(Debug, Deserialize)]
struct Claims {
    email: String,
}

/// The email of the account that a token is for.
fn email_of(token: &str) -> Result<String> {
    let what = || "read the account of an identity token";
    let claims = token.split('.').nth(1).unwrap_or_default();
    let claims = URL_SAFE_NO_PAD.decode(claims).doing(Kind::Denied, what)?;
    let Claims { email } = serde_json::from_slice(&claims).doing(Kind::Denied, what)?;
    if email.is_empty() {
        return Err(Error::new(Kind::Denied, format!("{}: it names no email", what())));
    }
    Ok(email)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(claims: &str) -> String {
        format!("e30.{}.c2lnbmF0dXJl", URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn an_identity_token_names_its_account() {
        let email = "sluice-extractor@shop-prod.iam.gserviceaccount.com";
        let claims = format!(r#"{{"aud": "x", "email": "{email}", "email_verified": true}}"#);
        assert_eq!(email_of(&token(&claims)).unwrap(), email);
        let wrong = ["{}", r#"{"email": 1}"#, r#"{"email": ""}"#].map(token);
        for wrong in wrong.into_iter().chain(["x.%.y".to_owned(), String::new()]) {
            let error = email_of(&wrong).unwrap_err();
            assert_eq!(error.kind(), Kind::Denied, "{wrong}");
        }
    }

    #[test]
    fn an_error_repeats_little_of_an_answer() {
        let said = shortened(&std::io::Error::other("page ".repeat(1000)));
        assert!(said.len() < 250 && said.ends_with("..."), "{said}");
    }
}
