//! BigQuery as a target: whether a table can be loaded, and the calls that loading takes.
//!
//! The client crate is asked wherever its types hold what BigQuery says. Tables and load jobs go
//! over REST: the crate's table knows neither a column's default value, its digits nor RANGE, so
//! writing back what it read would lose them, and its load job cannot ask for list inference.

mod answer;
mod fit;
mod identity;
mod jobs;
mod standing;
mod target;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use gcp_bigquery_client::client_builder::ClientBuilder;
use serde_json::Value;
use sluice_contracts::error::Doing as _;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::manifest::Table;
use sluice_contracts::schema::{Column, TargetType};
use sluice_contracts::{Error, Kind, Result};

use super::Endpoint;
use answer::{Refusal, carried_out};
use identity::Identity;

pub use fit::Fit;
pub use jobs::{Copy, JobFailure, JobName, JobReport, Labels};
pub use standing::{Standing, new_schema};
pub use target::TableId;

/// How long one call may take. A job goes on by itself, so none takes long.
const CALL: Duration = Duration::from_mins(1);

/// BigQuery.
#[derive(Clone)]
pub struct BigQuery {
    client: gcp_bigquery_client::Client,
    http: reqwest::Client,
    identity: Identity,
    url: String,
}

impl fmt::Debug for BigQuery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BigQuery").field("url", &self.url).finish_non_exhaustive()
    }
}

impl BigQuery {
    /// BigQuery as it answers at `endpoint`.
    pub async fn new(endpoint: &Endpoint) -> Result<Self> {
        let what = || "make a client of BigQuery";
        let identity = Identity(endpoint.credentials()?);
        let url = format!("{}/bigquery/v2", endpoint.url());
        let calls = reqwest_of_bigquery::Client::builder()
            .timeout(CALL)
            .build()
            .doing(Kind::Denied, what)?;
        let client = ClientBuilder::new()
            .with_client(calls)
            .with_v2_base_url(url.clone())
            .build_from_authenticator(Arc::new(identity.clone()))
            .await
            .doing(Kind::Denied, what)?;
        let http = reqwest::Client::builder().timeout(CALL).build().doing(Kind::Denied, what)?;
        Ok(Self { client, http, identity, url })
    }

    /// Refuses, before a row is read, a table that could not be loaded after. The target may
    /// change while the run reads.
    pub async fn check(&self, table: &Table) -> Result<()> {
        self.admit(&table.target, table.write_disposition, &table.columns)
            .await
            .map(|_| ())
            .map_err(|error| error.during(format!("load into `{}`", table.target)))
    }

    /// What of the table will not be as in the source, and what of the target will be lost.
    pub async fn warnings(&self, table: &Table) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        for column in table.columns.iter().filter(|column| column.repeated) {
            warnings.push(format!(
                "column `{}`: BigQuery has no NULL arrays and makes them empty",
                column.name
            ));
        }
        if table.write_disposition == WriteDisposition::Truncate
            && let Some(standing) = self.standing(&TableId::parse(&table.target)?).await?
            && let Fit::Other(difference) = standing.fit(&table.columns)
        {
            warnings.push(format!(
                "the target's columns differ ({difference}): they are replaced too, and their \
                 default values, the table's constraints, and the descriptions and policies of \
                 columns that change are lost"
            ));
        }
        Ok(warnings)
    }

    /// The target as it stands, where rows of these columns may be written to it; nothing where
    /// it is still to be made.
    pub async fn admit(
        &self,
        target: &str,
        disposition: WriteDisposition,
        columns: &[Column],
    ) -> Result<Option<Standing>> {
        let id = TableId::parse(target)?;
        require_loadable(columns)?;
        let Some(standing) = self.standing(&id).await? else {
            self.location(&id).await?;
            return Ok(None);
        };
        standing.require_table()?;
        match disposition {
            WriteDisposition::Truncate => standing.require_partitioning(columns)?,
            WriteDisposition::Append => standing.require_columns(columns)?,
            WriteDisposition::Empty => {
                standing.require_empty()?;
                standing.require_columns(columns)?;
            }
        }
        Ok(Some(standing))
    }

    /// Where the dataset's tables lie: `US`, `europe-west3`, ...
    ///
    /// # Errors
    /// `NotFound` where there is no such dataset.
    pub async fn location(&self, id: &TableId) -> Result<String> {
        let name = id.dataset_name();
        self.identity.token().await?;
        let found = self.client.dataset().get(&id.project, &id.dataset).await;
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

    /// A table as it stands; nothing where there is none.
    pub async fn standing(&self, id: &TableId) -> Result<Option<Standing>> {
        let path = format!("{}/{}", tables(id), id.table);
        match self.call(reqwest::Method::GET, &path, None).await? {
            Ok(table) => Ok(Some(Standing::new(id.clone(), table))),
            Err(refusal) if refusal.is_not_found() => Ok(None),
            Err(refusal) => Err(refusal.during(format!("describe table `{id}`"))),
        }
    }

    /// Makes a table. `Ok` where it is there already.
    pub async fn create_table(&self, id: &TableId, table: &Value) -> Result<()> {
        match self.call(reqwest::Method::POST, &tables(id), Some(table)).await? {
            Ok(_) => Ok(()),
            Err(refusal) if refusal.is_taken() => Ok(()),
            Err(refusal) => Err(refusal.during(format!("make table `{id}`"))),
        }
    }

    /// Changes what `change` names of a table, and nothing else.
    pub async fn change_table(&self, id: &TableId, change: &Value) -> Result<()> {
        let path = format!("{}/{}", tables(id), id.table);
        let changed = self.call(reqwest::Method::PATCH, &path, Some(change)).await?;
        changed.map(|_| ()).map_err(|refusal| refusal.during(format!("change table `{id}`")))
    }

    /// Deletes a table. `Ok` where there is none.
    pub async fn delete_table(&self, id: &TableId) -> Result<()> {
        self.identity.token().await?;
        let deleted = self.client.table().delete(&id.project, &id.dataset, &id.table).await;
        match deleted.map_err(Refusal::from) {
            Ok(()) => Ok(()),
            Err(refusal) if refusal.is_not_found() => Ok(()),
            Err(refusal) => Err(refusal.during(format!("delete table `{id}`"))),
        }
    }

    /// One call of the REST API.
    ///
    /// # Errors
    /// The outer one where there is no access token.
    async fn call(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Result<Value, Refusal>> {
        let token = self.identity.token().await?;
        let mut request =
            self.http.request(method, format!("{}/{path}", self.url)).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = async {
            let response = carried_out(request.send().await?).await?;
            response.json().await.map_err(Refusal::from)
        };
        Ok(answer.await)
    }
}

/// The path of a dataset's tables. None of the letters that names are made of needs escaping but
/// those that the HTTP client escapes by itself.
fn tables(id: &TableId) -> String {
    format!("projects/{}/datasets/{}/tables", id.project, id.dataset)
}

/// Refuses columns that a load from Parquet cannot fill.
/// <https://cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet#parquet_conversions>
fn require_loadable(columns: &[Column]) -> Result<()> {
    if columns.is_empty() {
        return Err(Error::invalid("the table has no columns, and BigQuery has no such tables")
            .hint("leave the table out"));
    }
    match columns.iter().find(|column| column.target_type == TargetType::Json) {
        Some(column) => Err(Error::invalid(format!(
            "column `{}` is JSON, which BigQuery does not load from Parquet",
            column.source_name
        ))
        .hint(format!("`columns.{}.type: STRING` loads the document as text", column.source_name))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
