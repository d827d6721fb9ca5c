//! The planner of a cloud, as a client sees it.

mod answer;
#[cfg(test)]
mod tests;

use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder};
use serde_json::{Map, Value};
use sluice_contracts::documents::RunId;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::google::identity::Identity;
use url::Url;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// Longest wait for an answer: a service that has been asleep has to start first.
const ANSWER: Duration = Duration::from_mins(1);

/// What an answer says.
pub(crate) type Document = Map<String, Value>;

/// A planner service.
#[derive(Debug)]
pub(crate) struct Planner {
    url: String,
    http: Client,
    caller: Caller,
}

/// The identity that it is called with.
#[derive(Debug)]
enum Caller {
    /// None: a token that is sent unencrypted is lost.
    Nobody,
    /// That of the token in `SLUICE_TOKEN`.
    Token(HeaderValue),
    /// The identity of this machine or of a service account.
    Own(Identity),
}

impl Planner {
    /// The planner at `url`. Nothing is connected yet.
    pub(crate) fn at(url: &str) -> Result<Self> {
        Self::answering_within(url, token()?, ANSWER)
    }

    fn answering_within(url: &str, token: Option<HeaderValue>, answer: Duration) -> Result<Self> {
        let url = checked(url)?;
        let caller = match token {
            _ if url.starts_with("http://") => Caller::Nobody,
            Some(token) => Caller::Token(token),
            None => Caller::Own(Identity::toward(&url).map_err(with_token_hint)?),
        };
        let http = Client::builder()
            .connect_timeout(CONNECT)
            .timeout(answer)
            // A redirection leads to a page for people to log in on.
            .redirect(Policy::none())
            .build()
            .doing(Kind::Bug, || "make an HTTP client")?;
        Ok(Self { url, http, caller })
    }

    /// Its URL, without a slash at the end.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Asks for a run of a job: `POST /runs`.
    pub(crate) async fn submit(&self, request: &Document) -> Result<Document> {
        let response =
            self.send(self.http.post(format!("{}/runs", self.url)).json(request)).await?;
        answer::to_submission(response).await
    }

    /// How far a run has come: `GET /runs/{run}`.
    pub(crate) async fn run(&self, run: RunId) -> Result<Document> {
        let response = self.send(self.http.get(format!("{}/runs/{run}", self.url))).await?;
        answer::to_question(response).await
    }

    /// Has a loader load a run again: `POST /runs/{run}/load`. It is called as a planner is.
    pub(crate) async fn load(&self, run: RunId) -> Result<Document> {
        let response = self.send(self.http.post(format!("{}/runs/{run}/load", self.url))).await?;
        answer::to_question(response).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response> {
        let request = match &self.caller {
            Caller::Nobody => request,
            Caller::Token(token) => request.header(AUTHORIZATION, token),
            Caller::Own(identity) => {
                request.bearer_auth(identity.token().await.map_err(with_token_hint)?)
            }
        };
        request.send().await.map_err(answer::none)
    }
}

/// The planner's URL as it is shown and extended: one without anything secret in it.
fn checked(typed: &str) -> Result<String> {
    let hint = "write the URL of the planner service alone: `https://planner-abc.a.run.app`";
    let url = Url::parse(typed)
        // The text itself is not repeated: it may hold a password.
        .doing(Kind::Invalid, || "read the planner's URL")
        .map_err(|error| error.hint(hint))?;
    let plain = url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !plain || !matches!(url.scheme(), "http" | "https") {
        return Err(Error::invalid("read the planner's URL: it is not plain `https`").hint(hint));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

/// The identity token that the environment holds.
#[expect(clippy::disallowed_methods, reason = "a token is not an argument: others see those")]
fn token() -> Result<Option<HeaderValue>> {
    let Ok(token) = std::env::var("SLUICE_TOKEN") else { return Ok(None) };
    if token.trim().is_empty() {
        return Ok(None);
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {}", token.trim()))
        .map_err(|_| Error::invalid("read `SLUICE_TOKEN`: it is not a token"))?;
    value.set_sensitive(true);
    Ok(Some(value))
}

fn with_token_hint(error: Error) -> Error {
    error.hint(
        "set `SLUICE_TOKEN` to an identity token, such as `gcloud auth print-identity-token` \
         prints, or use the credentials of a service account",
    )
}
