//! Calls of BigQuery's REST API.
//!
//! The client crate is used wherever its types hold BigQuery's answer. Tables and load jobs use
//! REST directly: the crate's table type lacks a column's default value, its digits and RANGE, so
//! writing back what it read would lose them, and its load job cannot ask for list inference.

mod jobs;
pub mod price;
mod queries;
mod read;
mod refusal;
mod table_id;
#[cfg(test)]
mod tests;
mod token;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use gcp_bigquery_client::client_builder::ClientBuilder;
use serde_json::Value;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};
use tokio::sync::Mutex;

use super::Endpoint;
use refusal::{Refusal, carried_out};

pub use jobs::{JobFailure, JobLabels, JobName, JobReport};
pub use queries::{DryRun, ListedTable};
pub use read::{ReadClient, ReadRequest, ReadSession, RowBlock, StreamRows};
pub use table_id::{TableId, check_dataset};
pub use token::AccessTokens;

/// How long one call may take. A job runs by itself, so no call takes long.
const CALL: Duration = Duration::from_mins(1);

/// How long a dataset's location is believed.
const BELIEVED: Duration = Duration::from_mins(1);

/// A client of BigQuery.
#[derive(Clone)]
pub struct BigQueryClient {
    typed: gcp_bigquery_client::Client,
    http: reqwest::Client,
    tokens: AccessTokens,
    url: String,
    /// The locations of datasets, and until when they are believed.
    locations: Arc<Mutex<HashMap<String, (Instant, String)>>>,
}

impl fmt::Debug for BigQueryClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BigQueryClient").field("url", &self.url).finish_non_exhaustive()
    }
}

impl BigQueryClient {
    /// A client of BigQuery at `endpoint`. Makes no call yet.
    pub async fn new(endpoint: &Endpoint) -> Result<Self> {
        let what = || "make a client of BigQuery";
        let tokens = AccessTokens(endpoint.credentials()?);
        let url = format!("{}/bigquery/v2", endpoint.url());
        let calls = reqwest_of_bigquery::Client::builder()
            .timeout(CALL)
            .build()
            .doing(Kind::Denied, what)?;
        let typed = ClientBuilder::new()
            .with_client(calls)
            .with_v2_base_url(url.clone())
            .build_from_authenticator(Arc::new(tokens.clone()))
            .await
            .doing(Kind::Denied, what)?;
        let http = reqwest::Client::builder().timeout(CALL).build().doing(Kind::Denied, what)?;
        Ok(Self { typed, http, tokens, url, locations: Arc::default() })
    }

    /// The location of the dataset's tables: `US`, `europe-west3`, ... It is asked for once for many
    /// tables, and not kept for ever: a person may make the dataset anew somewhere else.
    ///
    /// # Errors
    /// `NotFound` if there is no such dataset.
    pub async fn location(&self, id: &TableId) -> Result<String> {
        self.location_of(&id.project, &id.dataset).await
    }

    /// The same of a dataset.
    ///
    /// # Errors
    /// `NotFound` if there is no such dataset.
    pub async fn location_of(&self, project: &str, dataset: &str) -> Result<String> {
        let name = format!("{project}:{dataset}");
        // Held while BigQuery is asked, so that the others that need it wait for the answer.
        let mut known = self.locations.lock().await;
        match known.get(&name) {
            Some((until, location)) if *until > Instant::now() => Ok(location.clone()),
            _ => {
                let location = self.ask_for_location(project, dataset, &name).await?;
                known.insert(name, (Instant::now() + BELIEVED, location.clone()));
                Ok(location)
            }
        }
    }

    async fn ask_for_location(&self, project: &str, dataset: &str, name: &str) -> Result<String> {
        self.tokens.token().await?;
        let found = self.typed.dataset().get(project, dataset).await;
        let dataset = found.map_err(|source| {
            let refusal = Refusal::from(source);
            let missing = refusal.is_not_found();
            let error = refusal.during(format!("find dataset `{name}`"));
            if missing {
                error.hint(format!("make it: `bq --location=LOCATION mk {name}`"))
            } else {
                error
            }
        })?;
        dataset.location.ok_or_else(|| {
            Error::bug(format!("find dataset `{name}`: BigQuery did not say where it lies"))
        })
    }

    /// A table as BigQuery describes it; `None` where it does not exist.
    /// <https://cloud.google.com/bigquery/docs/reference/rest/v2/tables#Table>
    pub async fn table(&self, id: &TableId) -> Result<Option<Value>> {
        let path = format!("{}/{}", tables(id), id.table);
        match self.call(reqwest::Method::GET, &path, None, None).await? {
            Ok(table) => Ok(Some(table)),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(refusal.during(format!("describe table `{id}`"))),
        }
    }

    /// Makes a table. Whether it was made now, and did not exist already.
    pub async fn create_table(&self, id: &TableId, table: &Value) -> Result<bool> {
        match self.call(reqwest::Method::POST, &tables(id), Some(table), None).await? {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_taken() => Ok(false),
            Err(refusal) => Err(refusal.during(format!("make table `{id}`"))),
        }
    }

    /// Changes what `change` names of a table, and nothing else.
    pub async fn change_table(&self, id: &TableId, change: &Value) -> Result<()> {
        let path = format!("{}/{}", tables(id), id.table);
        let changed = self.call(reqwest::Method::PATCH, &path, Some(change), None).await?;
        changed.map(|_| ()).map_err(|refusal| refusal.during(format!("change table `{id}`")))
    }

    /// Changes a table as [`BigQueryClient::change_table`], if it is still the one with this `etag`.
    /// Whether it was changed.
    pub async fn change_table_if(&self, id: &TableId, change: &Value, etag: &str) -> Result<bool> {
        let path = format!("{}/{}", tables(id), id.table);
        match self.call(reqwest::Method::PATCH, &path, Some(change), Some(etag)).await? {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_changed() || refusal.is_not_found() => Ok(false),
            Err(refusal) => Err(refusal.during(format!("change table `{id}`"))),
        }
    }

    /// Deletes a table. `Ok` if it does not exist.
    pub async fn delete_table(&self, id: &TableId) -> Result<()> {
        self.tokens.token().await?;
        let deleted = self.typed.table().delete(&id.project, &id.dataset, &id.table).await;
        match deleted.map_err(Refusal::from) {
            Ok(()) => Ok(()),
            Err(refusal) if refusal.is_not_found() => Ok(()),
            Err(refusal) => Err(refusal.during(format!("delete table `{id}`"))),
        }
    }

    /// One call of the REST API, carried out only if the thing has the etag `if_match`, if given.
    ///
    /// # Errors
    /// The outer error if there is no access token.
    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
        if_match: Option<&str>,
    ) -> Result<Result<Value, Refusal>> {
        let token = self.tokens.token().await?;
        let mut request =
            self.http.request(method, format!("{}/{path}", self.url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        if let Some(etag) = if_match {
            request = request.header(reqwest::header::IF_MATCH, etag);
        }
        let answer = async {
            let response = carried_out(request.send().await?).await?;
            response.json().await.map_err(Refusal::from)
        };
        Ok(answer.await)
    }
}

/// The path of a dataset's tables. Of the characters allowed in names, only those need escaping
/// that the HTTP client escapes by itself.
fn tables(id: &TableId) -> String {
    format!("projects/{}/datasets/{}/tables", id.project, id.dataset)
}
