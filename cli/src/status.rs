//! How far a run has come, from all its documents.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sluice_contracts::documents::{
    Claim, Committed, Decision, EventName, Failure, Manifest, Order, Request, RunEvent, Stages,
    Verdict,
};
use sluice_contracts::store::{RunStore, Stage};
use sluice_contracts::{Error, Kind, Result};

use crate::summary::{RunReport, State, TableReport};
use crate::watch::{End, of_run};

/// A run, and what ended attempts at it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StatusReport {
    pub(crate) state: Stage,
    #[serde(flatten)]
    pub(crate) run: RunReport,
    pub(crate) bucket: String,
    /// The request, if a planner in the cloud was asked for the run.
    pub(crate) requested: Option<Requested>,
    /// When the plan was made; absent before.
    pub(crate) planned: Option<DateTime<Utc>>,
    /// Executions in the cloud.
    pub(crate) launches: Vec<Launch>,
    /// How many executions the run may have; absent before it is planned.
    pub(crate) max_executions: Option<u32>,
    pub(crate) verdict: Option<Verdict>,
    /// When the loader was done with the run.
    pub(crate) committed: Option<DateTime<Utc>>,
    pub(crate) announced: Option<Announced>,
    pub(crate) failures: Vec<Failure>,
}

/// What a planner was asked.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Requested {
    pub(crate) at: DateTime<Utc>,
    pub(crate) run_key: Option<String>,
}

/// One execution of a run's tasks.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Launch {
    #[serde(rename = "launch")]
    pub(crate) number: u32,
    /// When it was ordered; absent if a person executed the tasks.
    pub(crate) ordered: Option<DateTime<Utc>>,
    pub(crate) tasks: Option<u64>,
    pub(crate) reason: Option<String>,
    /// Name of the execution, once it is known.
    pub(crate) execution: Option<String>,
    pub(crate) claimed: Option<DateTime<Utc>>,
}

/// What was announced of the run's end.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Announced {
    pub(crate) event: EventName,
    pub(crate) at: DateTime<Utc>,
}

impl StatusReport {
    /// Reads what the run's documents say now.
    pub(crate) async fn read(store: &RunStore) -> Result<Self> {
        // The end first: what is read later may only be newer than it.
        let committed = store.committed().await?;
        let verdict = store.verdict().await?;
        let announced = store.announced().await?;
        let request = store.request().await?;
        let launches = launches(store).await?;
        let (run, plan) = match store.manifest().await {
            Ok(manifest) => {
                let plan = (manifest.planned, manifest.max_executions);
                (of_manifest(store, &manifest).await?, Some(plan))
            }
            Err(error) => match &request {
                Some(request) if error.kind() == Kind::NotFound => (unplanned(request), None),
                _ => return Err(error),
            },
        };
        let (planned, max_executions) = plan.unzip();
        let mut report = Self {
            state: Stage::Planning,
            run,
            bucket: store.bucket().url.clone(),
            requested: request
                .map(|request| Requested { at: request.at, run_key: request.run_key }),
            planned,
            launches,
            max_executions,
            verdict,
            committed: committed.as_ref().map(|committed| committed.at),
            announced: announced.map(|RunEvent { event, at, .. }| Announced { event, at }),
            failures: store.failures().await?,
        };
        report.add_endings(committed.as_ref());
        report.state = match report.ended_here() {
            Some(ended) => ended,
            None => {
                let verdict = report.verdict.as_ref();
                store.stage(committed.as_ref(), verdict, planned.is_some()).await?
            }
        };
        Ok(report)
    }

    /// Whether the run has ended, and how.
    pub(crate) fn end(&self) -> Option<End> {
        match self.state {
            Stage::Finished => Some(End::Finished),
            Stage::Failed => Some(End::Failed(self.error())),
            _ => None,
        }
    }

    /// The tables that were read and are not visible, of a run that is not at work.
    pub(crate) fn loadable(&self) -> Vec<String> {
        let given_up = |table: &TableReport| {
            !table.is_native && (table.units_done < table.units || table.units == 0)
        };
        let waits = |table: &&TableReport| match table.state {
            // On one machine no document says that the load failed.
            State::Extracted => !self.is_in_cloud() && self.all_read(),
            State::Planned if table.is_native => !self.is_in_cloud() && self.all_read(),
            State::Failed => self.committed.is_some() && !given_up(table),
            _ => false,
        };
        let tables = self.run.tables.iter().filter(waits);
        tables.map(|table| format!("`{}`", table.table)).collect()
    }

    /// Whether no unit of any table is left to be read.
    fn all_read(&self) -> bool {
        self.run.tables.iter().all(|table| table.units_done == table.units)
    }

    /// Whether the cloud carries it out: on one machine nobody requests a run, and no loader decides
    /// what becomes of it.
    pub(crate) fn is_in_cloud(&self) -> bool {
        self.requested.is_some() || self.verdict.is_some()
    }

    /// Whether the run has ended on one machine, and how: no loader says so in a document, so the
    /// last table's commit is the end.
    fn ended_here(&self) -> Option<Stage> {
        let tables = || self.run.tables.iter();
        let is_over = |state: State| state.is_settled() || state == State::Refused;
        if self.is_in_cloud() || self.planned.is_none() || !tables().all(|it| is_over(it.state)) {
            return None;
        }
        let whole = tables().all(|table| table.state.is_settled());
        Some(if whole { Stage::Finished } else { Stage::Failed })
    }

    /// Says of each table what the loader's last document says.
    fn add_endings(&mut self, committed: Option<&Committed>) {
        let failed = self.verdict.as_ref().is_some_and(|it| it.decision == Decision::Fail);
        for table in &mut self.run.tables {
            if table.state.is_settled() || table.state == State::Refused {
                continue;
            }
            let ending = committed
                .and_then(|committed| committed.tables.iter().find(|it| it.table == table.table));
            if let Some(newer) = ending.and_then(|ending| ending.overtaken_by) {
                table.state = State::Overtaken;
                table.overtaken_by = Some(newer.to_string());
            } else if let Some(failure) = ending.and_then(|ending| ending.failure.as_ref()) {
                table.state = State::Failed;
                table.error = Some(failure.message.clone());
                table.hint.clone_from(&failure.hint);
            } else if failed {
                table.state = State::Failed;
            }
        }
    }

    /// Why the run failed.
    fn error(&self) -> Error {
        let run = &self.run;
        if let Some(failure) = self.verdict.as_ref().and_then(|it| it.failure.clone()) {
            return of_run(&run.run, failure.into_error());
        }
        let gone: Vec<&TableReport> =
            run.tables.iter().filter(|table| !table.state.is_settled()).collect();
        let names: Vec<String> = gone.iter().map(|table| format!("`{}`", table.table)).collect();
        let what = format!(
            "{} of {} tables not visible: {}",
            names.len(),
            run.tables.len(),
            names.join(", ")
        );
        let error = match gone.iter().find_map(|table| table.error.clone()) {
            Some(first) => Error::data(first).during(what),
            None => Error::data(what),
        };
        of_run(&run.run, error)
    }
}

async fn of_manifest(store: &RunStore, manifest: &Manifest) -> Result<RunReport> {
    let since = Utc::now() - manifest.planned;
    let seconds = since.to_std().unwrap_or_default().as_secs_f64();
    RunReport::of_documents(store, manifest, seconds).await
}

/// A run of which only the request is known.
fn unplanned(request: &Request) -> RunReport {
    let job = request.job.get("name").and_then(serde_json::Value::as_str);
    let since = Utc::now() - request.at;
    RunReport {
        run: request.run.to_string(),
        job: job.unwrap_or_default().to_owned(),
        rows: 0,
        bytes: 0,
        stored_bytes: 0,
        units: 0,
        tasks: 0,
        parts: 0,
        seconds: since.to_std().unwrap_or_default().as_secs_f64(),
        stages: Stages::default(),
        tables: Vec::new(),
        excluded: Vec::new(),
    }
}

async fn launches(store: &RunStore) -> Result<Vec<Launch>> {
    let mut launches = Vec::new();
    if let Some(newest) = store.newest_launch().await? {
        for launch in 0..=newest {
            let (order, claim) = (store.order(launch).await?, store.claim(launch).await?);
            launches.push(Launch::of(launch, order, claim));
        }
    }
    Ok(launches)
}

impl Launch {
    fn of(launch: u32, order: Option<Order>, claim: Option<Claim>) -> Self {
        Self {
            number: launch,
            ordered: order.as_ref().map(|order| order.at),
            tasks: order.as_ref().map(|order| order.tasks.len() as u64),
            reason: order.map(|order| order.reason),
            claimed: claim.as_ref().map(|claim| claim.at),
            execution: claim.map(|claim| claim.execution),
        }
    }
}
