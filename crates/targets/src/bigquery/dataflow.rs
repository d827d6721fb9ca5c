//! Rows that a job of Dataflow brings into a staging table, for a load whose rows are too many for a
//! query to choose from.
//!
//! ```text
//! order.json, launch.json --launch--> a job of Dataflow --> the staging table, result.json --> the table
//! ```
//!
//! The order and the launch are created once: of two loaders one launches the job, and the other waits
//! for it. A loader that dies before it launches, or gets no answer, leaves a launch without a job. The
//! next one launches it under the same name, of which only one job is at work at a time. What a job has
//! done is in its result, and nowhere else: without one the table stays as it is.

use std::task::Poll;

use chrono::Utc;
use serde_json::Value;
use sluice_contracts::documents::{
    DataflowAttempt, DataflowLaunch, DataflowOrder, DataflowResult, DataflowWorkers, Dropped,
    EngineEstimate, StagingTable, Table,
};
use sluice_contracts::store::{Created, RunStore};
use sluice_contracts::{Error, Result};
use sluice_runtime::format::thousands;
use sluice_runtime::google::dataflow::{
    Dataflow, DataflowJob, DataflowJobRequest, DataflowState, Launched,
};

use super::dedup;
use super::existing::ExistingTable;
use super::job;
use super::load::TableLoad;
use super::parts;
use super::path::LoadPath;
use crate::target::{DataflowAnswer, DataflowTerms};

/// Most characters of a message of a job that are shown.
const SHOWN: usize = 500;

/// Seconds until the workers of a job read, and until those of Flexible Resource Scheduling do at the
/// latest. The first is assumed. <https://cloud.google.com/dataflow/docs/guides/flexrs>
const START: f64 = 240.0;
const FLEXRS_START: f64 = 6.0 * 3600.0;
/// Bytes of the source that a processor takes in a second. `dataflow/tests/scale.py` takes 3.1 MB on one
/// machine (512 MB in 82 s on two processors); those of several machines exchange rows over the network.
const BYTES_PER_SECOND: f64 = 2e6;
/// Dollars for an hour of a processor, for an hour of a GB of memory, for a GB that is exchanged between
/// workers, and what part of the first two Flexible Resource Scheduling costs.
/// <https://cloud.google.com/dataflow/pricing>
const PROCESSOR: f64 = 0.056;
const MEMORY: f64 = 0.003_557;
const SHUFFLE: f64 = 0.011;
const FLEXRS: f64 = 0.6;
/// GB of memory of a processor of the machine types that jobs name.
const MEMORY_OF_PROCESSOR: f64 = 3.75;

/// What a look at the newest job shows.
enum Seen {
    /// It is at work, or another loader launches it.
    AtWork,
    /// No job was launched, though one was to be.
    NotLaunched,
    /// It has filled the staging table.
    Filled(DataflowResult),
    /// It ended before this load was begun: another one may do better.
    OfEarlierTry,
}

/// Whether Dataflow brings the rows of a planned table, and what that takes.
pub(super) fn answer(
    dataflow: Option<&Dataflow>,
    table: &Table,
    workers: &DataflowWorkers,
) -> DataflowAnswer {
    let terms = dataflow.map(|dataflow| {
        let above = dataflow.settings().above;
        DataflowTerms {
            estimate: estimate(table.bytes, workers),
            above_rows: above.rows,
            above_bytes: above.bytes,
        }
    });
    let missing = || {
        "`SLUICE_DATAFLOW_TEMPLATE` names no template of Dataflow here (`dataflow_template` of \
         `terraform/`)"
            .to_owned()
    };
    DataflowAnswer { by_query: dedup::estimate(table), dataflow: terms.ok_or_else(missing) }
}

#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn estimate(bytes: u64, workers: &DataflowWorkers) -> EngineEstimate {
    let processors = workers.machine_type.rsplit('-').next().and_then(|count| count.parse().ok());
    let processors: f64 = processors.unwrap_or(1.0) * f64::from(workers.max_workers);
    let seconds = bytes as f64 / (processors * BYTES_PER_SECOND);
    let start = if workers.flexrs { FLEXRS_START } else { START };
    let hours = (START + seconds) / 3600.0;
    let price = PROCESSOR + MEMORY_OF_PROCESSOR * MEMORY;
    let share = if workers.flexrs { FLEXRS } else { 1.0 };
    EngineEstimate {
        seconds: start + seconds,
        dollars: hours * processors * price * share + bytes as f64 / 1e9 * SHUFFLE,
    }
}

impl TableLoad {
    /// Has Dataflow bring the rows into the staging table, as far as it goes without waiting. It changes
    /// nothing that readers see.
    pub(super) async fn hand_over(
        &mut self,
        workers: &DataflowWorkers,
        path: LoadPath,
        existing: Option<&ExistingTable>,
    ) -> Result<Poll<()>> {
        let dataflow = self.require_dataflow()?;
        let staging = self.described(path, &self.staging(0), existing);
        if self.load.parts.is_empty() {
            self.client.create_table(&self.staging(0), &staging).await?;
            return Ok(Poll::Ready(()));
        }
        let store = self.run_store();
        let attempt = match store.newest_dataflow_launch(self.first_attempt()).await? {
            None => self.first_attempt(),
            Some((attempt, launch)) => match self.look_at(&dataflow, attempt, &launch).await? {
                Seen::AtWork => return Ok(Poll::Pending),
                Seen::NotLaunched => {
                    return self.launch(&dataflow, attempt, workers, &staging).await;
                }
                Seen::Filled(result) => return self.take_over(result).await.map(Poll::Ready),
                Seen::OfEarlierTry => DataflowAttempt { number: attempt.number + 1, ..attempt },
            },
        };
        parts::require_whole(&self.load).await?;
        let order = self.order(&store, attempt, job::filled_schema(&self.load, path, existing))?;
        store.create_dataflow_order(attempt, &order).await?;
        let launch =
            DataflowLaunch { version: DataflowLaunch::VERSION, job: order.job, at: Utc::now() };
        // Before the table is made: one that an earlier job has filled is not taken for this one's.
        match store.create_dataflow_launch(attempt, &launch).await? {
            Created::First => self.launch(&dataflow, attempt, workers, &staging).await,
            Created::Lost => Ok(Poll::Pending),
        }
    }

    /// How far the newest job is.
    async fn look_at(
        &self,
        dataflow: &Dataflow,
        attempt: DataflowAttempt,
        launch: &DataflowLaunch,
    ) -> Result<Seen> {
        let is_of_earlier_try = launch.at < self.load.begun;
        if let Some(result) = self.run_store().dataflow_result(attempt).await? {
            let gone = self.client.table(&self.staging(0)).await?.is_none();
            return match (gone, is_of_earlier_try) {
                (false, _) => Ok(Seen::Filled(result)),
                (true, true) => Ok(Seen::OfEarlierTry),
                (true, false) => {
                    Err(self.failed(&launch.job, "has filled a staging table that is gone"))
                }
            };
        }
        let age = (Utc::now() - launch.at).to_std().unwrap_or_default();
        let Some(job) = dataflow.find(&launch.job).await? else {
            let waits = age < dataflow.settings().grace && !is_of_earlier_try;
            return Ok(if waits { Seen::AtWork } else { Seen::NotLaunched });
        };
        let is_late = age > dataflow.settings().deadline;
        match job.state {
            DataflowState::AtWork => {
                // The answer to the cancelling says little: the state tells when it has ended.
                if is_late {
                    dataflow.cancel(&job).await?;
                }
                Ok(Seen::AtWork)
            }
            _ if is_of_earlier_try => Ok(Seen::OfEarlierTry),
            // It has written its result before it was done, and after we looked for it.
            DataflowState::Done => match self.run_store().dataflow_result(attempt).await? {
                Some(_) => Ok(Seen::AtWork),
                None => Err(self.failed(&launch.job, "is done, and has written no `result.json`")),
            },
            DataflowState::Cancelled if is_late => {
                let minutes = dataflow.settings().deadline.as_secs() / 60;
                let what = format!("took longer than {minutes} minutes, and was cancelled");
                Err(self.failed(&launch.job, &what).hint(
                    "`SLUICE_DATAFLOW_DEADLINE` says how long a job may take; a larger \
                     `dataflow.size` in the job file makes it faster",
                ))
            }
            ended => {
                let what = ended.in_words();
                Err(self.failed(&launch.job, what).because(self.messages(dataflow, &job).await?))
            }
        }
    }

    /// What a job says of its failure: its first message ends with the error itself, and perhaps with a
    /// hint, which is not for the reader of this error.
    async fn messages(&self, dataflow: &Dataflow, job: &DataflowJob) -> Result<String> {
        let errors = dataflow.errors(job).await?;
        let line = |text: &String| {
            let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
            let mut lines = lines.take_while(|line| !line.starts_with("hint:")).collect::<Vec<_>>();
            lines.pop().map(|line| line.chars().take(SHOWN).collect::<String>())
        };
        let said = errors.iter().find_map(line).unwrap_or_else(|| "it says no reason".to_owned());
        Ok(format!("{said} (all messages: {})", job.page))
    }

    async fn launch(
        &self,
        dataflow: &Dataflow,
        attempt: DataflowAttempt,
        workers: &DataflowWorkers,
        staging: &Value,
    ) -> Result<Poll<()>> {
        self.client.create_table(&self.staging(0), staging).await?;
        let (store, run) = (self.run_store(), self.load.run.to_string());
        let name = attempt.job_name(self.load.run);
        let launched = dataflow
            .launch(&DataflowJobRequest {
                name: &name,
                order: &store.dataflow_order_url(attempt),
                temp: &format!("{}temp", store.dataflow_folder_url(attempt)),
                workers,
                run: &run,
            })
            .await?;
        match launched {
            Launched::Started => tracing::info!(run, job = name, "launched a job of Dataflow"),
            Launched::IsAtWork => tracing::info!(run, job = name, "the job of Dataflow is at work"),
        }
        Ok(Poll::Pending)
    }

    /// What the job is to do.
    fn order(
        &self,
        store: &RunStore,
        attempt: DataflowAttempt,
        mut schema: Value,
    ) -> Result<DataflowOrder> {
        let load = &self.load;
        let staging = self.staging(0);
        let fields = schema["fields"].take();
        Ok(DataflowOrder {
            version: DataflowOrder::VERSION,
            run: load.run,
            table: load.table,
            generation: load.snapshot,
            job: attempt.job_name(load.run),
            columns: load.columns.clone(),
            schema: serde_json::from_value(fields)
                .map_err(|source| Error::bug("order a job of Dataflow").because(source))?,
            parts: parts::uris(load, &load.parts)?,
            rows: load.rows,
            bytes: load.parts.iter().map(|part| part.bytes).sum(),
            dedup: load.dedup.as_ref().map(|dedup| dedup.spelled_as(&load.columns)),
            staging: StagingTable {
                project: staging.project,
                dataset: staging.dataset,
                table: staging.table,
                location: self.location.clone(),
            },
            output: store.dataflow_folder_url(attempt),
        })
    }

    /// Takes over what a job has done, if all counts agree.
    async fn take_over(&mut self, result: DataflowResult) -> Result<()> {
        let staging = self.staging(0);
        let filled = ExistingTable::find(&self.client, &staging).await?;
        let every = filled.as_ref().and_then(ExistingTable::every_partition);
        let rows = self.count_rows(&staging, every.as_deref()).await?;
        let DataflowResult { rows_read, rows_written, rows_dropped, ties, .. } = result;
        let kept = rows_read.checked_sub(rows_dropped);
        if rows_read != self.load.rows || rows != rows_written || kept != Some(rows_written) {
            return Err(Error::data(format!(
                "check run `{}`: of {} rows Dataflow has read {} and written {}, and the staging table \
                 has {}",
                self.load.run,
                thousands(self.load.rows),
                thousands(rows_read),
                thousands(rows_written),
                thousands(rows),
            ))
            .hint("nothing of the table was made visible; start the run again"));
        }
        self.load.rows = rows;
        self.load.dropped = self.load.dedup.as_ref().map(|_| Dropped { rows: rows_dropped, ties });
        Ok(())
    }

    /// Cancels the newest job, if it is at work. `Pending` until it has ended.
    pub(super) async fn cancel_dataflow(&self) -> Result<Poll<()>> {
        let (dataflow, store) = (self.require_dataflow()?, self.run_store());
        let newest = store.newest_dataflow_launch(self.first_attempt()).await?;
        let Some((_, launch)) = newest else { return Ok(Poll::Ready(())) };
        match dataflow.find(&launch.job).await? {
            Some(job) if job.state == DataflowState::AtWork => {
                dataflow.cancel(&job).await?;
                Ok(Poll::Pending)
            }
            _ => Ok(Poll::Ready(())),
        }
    }

    fn failed(&self, job: &str, what: &str) -> Error {
        Error::data(format!("bring the rows by Dataflow: job `{job}` {what}")).hint(format!(
            "nothing of the table was made visible, and the parts are kept: when the cause is gone, \
             `sluice load {}` launches another job",
            self.load.run
        ))
    }

    fn require_dataflow(&self) -> Result<Dataflow> {
        self.dataflow.clone().ok_or_else(|| {
            Error::invalid("bring the rows by Dataflow: no template is named").hint(
                "`SLUICE_DATAFLOW_TEMPLATE` and `SLUICE_DATAFLOW_LOCATION` say what is launched, and \
                 where",
            )
        })
    }

    fn first_attempt(&self) -> DataflowAttempt {
        let (table, generation) = (self.load.table, self.load.snapshot);
        DataflowAttempt { table, generation, number: 0 }
    }

    pub(super) fn run_store(&self) -> RunStore {
        RunStore::new(self.load.bucket.clone(), self.load.run)
    }
}
