//! The JSON API, for what Google's client does not do over HTTP.

use google_cloud_auth::credentials::{CacheableResource, Credentials};
use http::{Extensions, HeaderMap};
use reqwest::redirect::Policy;
use reqwest::{Method, RequestBuilder, Response, Url};
use serde::de::DeserializeOwned;

use super::failure::Failure;
use super::retry_budget::{RetryBudget, SILENCE};

/// A client for one bucket.
#[derive(Debug)]
pub(super) struct Rest {
    http: reqwest::Client,
    base: Url,
    bucket: String,
    credentials: Credentials,
}

impl Rest {
    pub(super) fn new(base: &str, bucket: &str, credentials: Credentials) -> Result<Self, Failure> {
        let http = reqwest::Client::builder()
            .timeout(SILENCE)
            // The status of an incomplete upload, 308, is that of a redirection.
            .redirect(Policy::none())
            .build()
            .map_err(|source| Failure::Client(source.into()))?;
        let base = Url::parse(base).map_err(|source| Failure::Client(source.into()))?;
        Ok(Self { http, base, bucket: bucket.to_owned(), credentials })
    }

    /// URL of the bucket's objects.
    pub(super) fn objects(&self) -> Url {
        self.url(&["storage", "v1", "b", &self.bucket, "o"])
    }

    /// URL of an object.
    pub(super) fn object(&self, name: &str) -> Url {
        self.url(&["storage", "v1", "b", &self.bucket, "o", name])
    }

    /// URL that uploads begin at.
    pub(super) fn uploads(&self) -> Url {
        self.url(&["upload", "storage", "v1", "b", &self.bucket, "o"])
    }

    /// Each segment is escaped as one name.
    fn url(&self, segments: &[&str]) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        url
    }

    /// Gets a document, retrying where that may help.
    pub(super) async fn ask<T: DeserializeOwned>(&self, url: &Url) -> Result<T, Failure> {
        let mut patience = RetryBudget::new();
        loop {
            let failure = match self.try_once(Method::GET, url, |request| request).await {
                Ok(response) => match response.bytes().await {
                    Ok(body) => {
                        return serde_json::from_slice(&body)
                            .map_err(|_| Failure::Gibberish("it is not the JSON asked for"));
                    }
                    Err(source) => source.into(),
                },
                Err(failure) => failure,
            };
            patience.wait(failure).await?;
        }
    }

    /// Sends a request that is safe to repeat, retrying where that may help.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &Url,
        with: impl Fn(RequestBuilder) -> RequestBuilder + Send + Sync,
    ) -> Result<Response, Failure> {
        let mut patience = RetryBudget::new();
        loop {
            match self.try_once(method.clone(), url, &with).await {
                Ok(response) => return Ok(response),
                Err(failure) => patience.wait(failure).await?,
            }
        }
    }

    /// Sends a request once.
    pub(super) async fn try_once(
        &self,
        method: Method,
        url: &Url,
        with: impl FnOnce(RequestBuilder) -> RequestBuilder + Send,
    ) -> Result<Response, Failure> {
        let request = self.http.request(method, url.clone()).headers(self.authorization().await?);
        let response = with(request).send().await?;
        if response.status().is_success() {
            return Ok(response);
        }
        if response.status() == reqwest::StatusCode::PERMANENT_REDIRECT {
            return Ok(response);
        }
        Err(Failure::of(response).await)
    }

    /// The headers that authorize a request. The credentials keep them until they expire.
    async fn authorization(&self) -> Result<HeaderMap, Failure> {
        match self.credentials.headers(Extensions::new()).await.map_err(Failure::Credentials)? {
            CacheableResource::New { data, .. } => Ok(data),
            CacheableResource::NotModified => Ok(HeaderMap::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use google_cloud_auth::credentials::anonymous;

    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_url() {
        for base in ["http://127.0.0.1:4443", "http://127.0.0.1:4443/"] {
            let rest = Rest::new(base, "lake", anonymous::Builder::new().build()).unwrap();
            let url = rest.object("runs/a b/ü?x=1#%25");
            let wanted =
                "http://127.0.0.1:4443/storage/v1/b/lake/o/runs%2Fa%20b%2F%C3%BC%3Fx=1%23%2525";
            assert_eq!(url.as_str(), wanted);
        }
    }
}
