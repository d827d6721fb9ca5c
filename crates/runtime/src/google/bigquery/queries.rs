//! Questions that planning asks: what a query would read, what a dataset holds, short answers.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use sluice_contracts::documents::RunId;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

use super::{BigQueryClient, JobLabels, JobName, TableId};

/// How long BigQuery waits with the answer to a query before it says that the query runs still.
const WAIT: Duration = Duration::from_secs(20);
/// How often a query is asked about that runs still.
const MOST_WAITS: u32 = 30;
/// Entries of a list that BigQuery sends at once.
const PAGE: u32 = 1000;

/// What BigQuery says of a query without running it.
/// <https://cloud.google.com/bigquery/docs/running-queries#dry-run>
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DryRun {
    /// Bytes that it would read.
    pub bytes: u64,
    /// Where what it reads lies.
    pub location: String,
    /// What it is, in BigQuery's word: `SELECT`, `SCRIPT`, `INSERT`, ...
    pub statement_type: String,
    /// The fields of its rows, as the API describes those of tables.
    pub fields: Vec<Value>,
}

/// A table in a list of tables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedTable {
    /// Its name in the dataset.
    pub name: String,
    /// What it is, in BigQuery's word: `TABLE`, `VIEW`, `EXTERNAL`, `SNAPSHOT`, `MATERIALIZED_VIEW`.
    pub kind: String,
}

/// The answer to a query, or the news that it runs still.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct QueryAnswer {
    #[serde(default)]
    job_complete: bool,
    #[serde(default)]
    job_reference: Value,
    #[serde(default)]
    rows: Vec<Value>,
}

impl QueryAnswer {
    /// The first column of the only row.
    fn value(&self) -> Result<String> {
        let value = self.rows.first().and_then(|row| row["f"][0]["v"].as_str());
        value
            .map(str::to_owned)
            .ok_or_else(|| Error::bug("ask BigQuery: the answer to the query has no value"))
    }
}

impl DryRun {
    /// Refuses what is more than a query that only reads: it is carried out with the rights of the
    /// account that loads.
    ///
    /// # Errors
    /// `Invalid` if it is anything else.
    pub fn require_select(self) -> Result<Self> {
        match self.statement_type.as_str() {
            "SELECT" => Ok(self),
            other => Err(Error::invalid(format!(
                "check the query: it is not a query by itself but `{other}`"
            ))
            .hint("write one SELECT as `source.query`, and one condition as `where`")),
        }
    }
}

impl BigQueryClient {
    /// What a query would read, and what its rows would be. `project` pays for the query.
    ///
    /// # Errors
    /// `Invalid`, with BigQuery's words, for a query that it would refuse.
    pub async fn dry_run(
        &self,
        project: &str,
        location: Option<&str>,
        query: &str,
    ) -> Result<DryRun> {
        let body = json!({
            "jobReference": {"projectId": project, "location": location},
            "configuration": {
                "dryRun": true,
                "query": {"query": query, "useLegacySql": false},
            },
        });
        let path = format!("projects/{project}/jobs");
        let answer = self.call(reqwest::Method::POST, &path, Some(&body), None).await?;
        let answer = answer.map_err(|refusal| refusal.while_reading("check the query"))?;
        let statistics = &answer["statistics"];
        let bytes = statistics["totalBytesProcessed"]
            .as_str()
            .or_else(|| statistics["query"]["totalBytesProcessed"].as_str());
        let fields = statistics["query"]["schema"]["fields"].as_array();
        Ok(DryRun {
            bytes: bytes.and_then(|bytes| bytes.parse().ok()).unwrap_or_default(),
            location: answer["jobReference"]["location"].as_str().unwrap_or("US").to_owned(),
            statement_type: statistics["query"]["statementType"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            fields: fields.cloned().unwrap_or_default(),
        })
    }

    /// Starts a query whose result BigQuery keeps for a day, and returns the name of its job.
    pub async fn start_query(&self, project: &str, location: &str, query: &str) -> Result<JobName> {
        let configuration = json!({"query": query, "useLegacySql": false});
        let name = JobName {
            project: project.to_owned(),
            location: location.to_owned(),
            id: format!("sluice_read_{}", RunId::generate()),
        };
        self.start(&name, &JobLabels::new(), "query", &configuration).await?;
        Ok(name)
    }

    /// The table with the result of a query; `None` if it runs still.
    ///
    /// # Errors
    /// If the query failed; `Transient` if it may succeed next time.
    pub async fn query_result(&self, name: &JobName) -> Result<Option<TableId>> {
        let what = format!("read the result of query `{}`", name.id);
        let Some(report) = self.job(name).await? else {
            return Err(Error::transient(format!("{what}: it was not started")));
        };
        match report.failure {
            Some(failure) if failure.is_passing() => Err(Error::transient(what)
                .because(format!("BigQuery gave it up, for the reason `{}`", failure.reason))),
            Some(failure) => Err(Error::data(what)
                .because(format!("BigQuery refused it, for the reason `{}`", failure.reason))
                .hint(format!(
                    "`bq --location={} show -j {}:{}` shows BigQuery's own message",
                    name.location, name.project, name.id
                ))),
            None if report.ended => report
                .writes
                .map(Some)
                .ok_or_else(|| Error::bug(format!("{what}: BigQuery does not say where it is"))),
            None => Ok(None),
        }
    }

    /// The first column of the only row of a query that reads next to nothing.
    ///
    /// # Errors
    /// `Transient` if BigQuery has no answer after ten minutes.
    pub async fn single_value(
        &self,
        project: &str,
        location: Option<&str>,
        query: &str,
    ) -> Result<String> {
        let body = json!({
            "query": query,
            "useLegacySql": false,
            "location": location,
            "timeoutMs": WAIT.as_millis(),
        });
        let path = format!("projects/{project}/queries");
        let mut answer = self.answer(reqwest::Method::POST, &path, Some(&body)).await?;
        let mut waits = 0;
        while !answer.job_complete {
            waits += 1;
            let job = answer.job_reference["jobId"].as_str().filter(|_| waits <= MOST_WAITS);
            let Some(job) = job else {
                return Err(Error::transient("ask BigQuery: it does not answer the query"));
            };
            let place = &answer.job_reference["location"];
            let location = place.as_str().or(location).unwrap_or("US");
            let path = format!("{path}/{job}?location={location}&timeoutMs={}", WAIT.as_millis());
            answer = self.answer(reqwest::Method::GET, &path, None).await?;
        }
        answer.value()
    }

    async fn answer(
        &self,
        method: reqwest::Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<QueryAnswer> {
        let answer = self.call(method, path, body, None).await?;
        let answer = answer.map_err(|refusal| refusal.while_reading("ask BigQuery"))?;
        serde_json::from_value(answer).doing(Kind::Transient, || "read BigQuery's answer")
    }

    /// The tables of a dataset, views and all, in the order of their names.
    pub async fn tables(&self, project: &str, dataset: &str) -> Result<Vec<ListedTable>> {
        let path = format!("projects/{project}/datasets/{dataset}/tables");
        let found = self.list(&path, "tables").await?;
        let tables = found.iter().filter_map(|table| {
            let name = table["tableReference"]["tableId"].as_str()?.to_owned();
            Some(ListedTable { name, kind: table["type"].as_str().unwrap_or("TABLE").to_owned() })
        });
        let mut tables: Vec<ListedTable> = tables.collect();
        tables.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(tables)
    }

    /// The datasets of a project.
    pub async fn datasets(&self, project: &str) -> Result<Vec<String>> {
        let found = self.list(&format!("projects/{project}/datasets"), "datasets").await?;
        let name =
            |dataset: &Value| dataset["datasetReference"]["datasetId"].as_str().map(str::to_owned);
        Ok(found.iter().filter_map(name).collect())
    }

    /// Whether policies decide which rows of a table its readers see; `None` where this account may
    /// not know.
    /// <https://cloud.google.com/bigquery/docs/row-level-security-intro>
    pub async fn has_row_policies(&self, id: &TableId) -> Result<Option<bool>> {
        let (project, dataset, table) = (&id.project, &id.dataset, &id.table);
        let path = format!(
            "projects/{project}/datasets/{dataset}/tables/{table}/rowAccessPolicies?pageSize=1"
        );
        match self.call(reqwest::Method::GET, &path, None, None).await? {
            Ok(answer) => {
                let policies = answer["rowAccessPolicies"].as_array();
                Ok(Some(policies.is_some_and(|policies| !policies.is_empty())))
            }
            Err(refusal) if refusal.is_denied() => Ok(None),
            Err(refusal) => Err(refusal.while_reading("list the row access policies")),
        }
    }

    /// All entries of a list, page by page.
    async fn list(&self, path: &str, entries: &str) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut page = String::new();
        loop {
            let path = format!("{path}?maxResults={PAGE}{page}");
            let answer = self.call(reqwest::Method::GET, &path, None, None).await?;
            let mut answer =
                answer.map_err(|refusal| refusal.while_reading(&format!("list the {entries}")))?;
            if let Some(Value::Array(more)) = answer.get_mut(entries).map(Value::take) {
                found.extend(more);
            }
            match answer["nextPageToken"].as_str().filter(|token| !token.is_empty()) {
                Some(token) => page = format!("&pageToken={}", escaped(token)),
                None => return Ok(found),
            }
        }
    }
}

/// A token as a parameter of a URL.
fn escaped(token: &str) -> String {
    url::form_urlencoded::byte_serialize(token.as_bytes()).collect()
}
