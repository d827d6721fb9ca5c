//! How far a run has come.

use std::collections::{BTreeMap, HashMap, HashSet};

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_contracts::documents::{Committed, Dropped, ErrorReport, Manifest, RunId, UnitRef};
use sluice_contracts::store::{RunStore, Stage};
use sluice_contracts::{Error, Kind, Result};

use super::Planner;
use super::ending::job_name;

/// The state of a run, as the service answers it.
#[derive(Debug, Serialize)]
pub struct Status {
    /// The run.
    pub run: RunId,
    /// Name of its job.
    pub job: String,
    /// How far it has come.
    pub state: Stage,
    /// The key that identifies the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub run_key: Option<String>,
    /// When it was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested: Option<DateTime<Utc>>,
    /// Units of all tables.
    pub units: usize,
    /// Units that are read and written.
    pub units_done: usize,
    /// Rows that the plan expects; rows made visible once the run has ended.
    pub rows: u64,
    /// Its tables.
    pub tables: Vec<TableStatus>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<ErrorReport>,
    /// Where to look further.
    pub links: Links,
}

/// One table of a run.
#[derive(Debug, Serialize)]
pub struct TableStatus {
    /// The table.
    pub table: String,
    /// URL of the table that it becomes.
    pub target: String,
    /// How it was cut; absent for a table that the plan refuses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    /// Its units.
    pub units: usize,
    /// Those that are read and written.
    pub units_done: usize,
    /// As [`Status::rows`].
    pub rows: u64,
    /// The later run that the target shows: this one changed nothing there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overtaken_by: Option<RunId>,
    /// Values of the visible rows that are NULL because the target's type cannot hold them, by
    /// column.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub invalid: BTreeMap<String, u64>,
    /// The rows that are left out, if the job asks for one row of each key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped: Option<Dropped>,
    /// Why it is not visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<ErrorReport>,
}

/// Where to look further.
#[derive(Debug, Serialize)]
pub struct Links {
    /// The run's own status.
    pub run: String,
    /// The plan, once there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
    /// The newest execution's log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// Where the loader checks the run, when it is asked to.
    pub loader: String,
}

impl Planner {
    /// How far a run has come, and what it is made of.
    pub(crate) async fn status(&self, run: RunId) -> Result<Status> {
        let store = self.store(run);
        let request = store.request().await?;
        let manifest = plan_of(&store).await?;
        if request.is_none() && manifest.is_none() {
            return Err(Error::not_found(format!("find run `{run}`")).hint(format!(
                "look at the run id; this planner's runs lie in `{}`",
                self.ports.bucket.url
            )));
        }
        let done = match &manifest {
            Some(manifest) => {
                let generation = store.generation().await?.unwrap_or(0);
                store.receipted(manifest, generation).await?
            }
            None => HashSet::new(),
        };
        let committed = store.committed().await?;
        let verdict = store.verdict().await?;
        let state = store.stage(committed.as_ref(), verdict.as_ref(), manifest.is_some()).await?;
        let tables = tables(manifest.as_ref(), &done, committed.as_ref());
        let job = manifest
            .as_ref()
            .map(|manifest| manifest.job.as_str())
            .or_else(|| request.as_ref().map(job_name));
        Ok(Status {
            run,
            job: job.unwrap_or_default().to_owned(),
            state,
            run_key: request.as_ref().and_then(|request| request.run_key.clone()),
            requested: request.as_ref().map(|request| request.at),
            units: tables.iter().map(|table| table.units).sum(),
            units_done: tables.iter().map(|table| table.units_done).sum(),
            rows: tables.iter().map(|table| table.rows).sum(),
            tables,
            // Once tables were loaded, each that is not visible has its own failure.
            failure: verdict.filter(|_| committed.is_none()).and_then(|verdict| verdict.failure),
            links: Links {
                manifest: manifest.is_some().then(|| store.manifest_url()),
                log: self.log_url(&store).await,
                ..self.links(run)
            },
        })
    }

    /// How far a run has come, without counting anything.
    pub(crate) async fn stage(&self, run: RunId) -> Result<Stage> {
        let store = self.store(run);
        let planned = plan_of(&store).await?.is_some();
        let (committed, verdict) = (store.committed().await?, store.verdict().await?);
        store.stage(committed.as_ref(), verdict.as_ref(), planned).await
    }

    /// The links that every run has.
    pub(crate) fn links(&self, run: RunId) -> Links {
        Links {
            run: format!("{}/runs/{run}", self.ports.planner_url),
            manifest: None,
            log: None,
            loader: format!("{}/runs/{run}/check", self.ports.loader_url),
        }
    }

    /// The newest execution's log. The documents hold the state of the run; if the platform does
    /// not answer, only the link is missing.
    async fn log_url(&self, store: &RunStore) -> Option<String> {
        let launch = store.newest_launch().await.ok()??;
        let claim = store.claim(launch).await.ok()??;
        self.ports.executions.state(&claim.execution).await.ok()??.log_url
    }
}

async fn plan_of(store: &RunStore) -> Result<Option<Manifest>> {
    match store.manifest().await {
        Ok(manifest) => Ok(Some(manifest)),
        Err(error) if error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn tables(
    manifest: Option<&Manifest>,
    done: &HashSet<UnitRef>,
    committed: Option<&Committed>,
) -> Vec<TableStatus> {
    let Some(manifest) = manifest else { return Vec::new() };
    let mut units_done = HashMap::new();
    for unit in done {
        *units_done.entry(unit.table).or_default() += 1;
    }
    let planned = manifest.tables.iter().map(|table| TableStatus {
        table: table.name.clone(),
        target: table.target.clone(),
        strategy: Some(table.strategy.clone()),
        units: table.units as usize,
        units_done: units_done.get(&table.index).copied().unwrap_or(0),
        rows: table.rows,
        overtaken_by: None,
        invalid: BTreeMap::new(),
        dropped: None,
        failure: None,
    });
    let refused = manifest.refused.iter().map(|table| TableStatus {
        table: table.table.clone(),
        target: table.target.clone(),
        strategy: None,
        units: 0,
        units_done: 0,
        rows: 0,
        overtaken_by: None,
        invalid: BTreeMap::new(),
        dropped: None,
        failure: Some(table.report()),
    });
    let mut tables: Vec<TableStatus> = planned.chain(refused).collect();
    // They are in the manifest's order, with those that the plan refused last.
    let endings = committed.into_iter().flat_map(|committed| &committed.tables);
    for (table, ending) in tables.iter_mut().zip(endings) {
        table.rows = ending.rows;
        table.overtaken_by = ending.overtaken_by;
        table.invalid.clone_from(&ending.invalid);
        table.dropped = ending.dropped;
        table.failure.clone_from(&ending.failure);
    }
    tables
}
