//! Which job may write to a table: never two at a time, and never an older run over a newer one.
//!
//! A label of the table, `sluice_writer`, names the one job that may write to it. A job is started
//! only after the label was seen to name it, and the label passes to the next job only when the job
//! before can no longer write. So the jobs of all runs write one after another, and each run sees
//! what the runs before it have done:
//!
//! 1. Read the table, its etag and the label.
//! 2. Settle the job that the label names. Running: wait. Ended: it is settled. Never started: it is
//!    *fenced*, which means that a query without effect is started under its name. BigQuery takes a
//!    name once, so from then on the job can never start.
//! 3. If a later run made its rows visible, and this one would replace them, it is overtaken.
//! 4. Write the own job into the label, on condition that the etag is still the same. If it is not,
//!    begin again.
//! 5. Start the job.
//!
//! The label `sluice_run` keeps the newest run that is known to be visible, because a job that only
//! adds rows may follow it. A run that failed is not in it, so it keeps no other run back.
//!
//! A loader that dies at any point leaves a label that names a job which ended, runs, or was never
//! started; each of them can be settled by any other loader. A claim of a later run that has not
//! begun is waited for, for [`GRACE`]; one of an earlier run is fenced at once. So two runs that
//! each hold what the other needs do not wait for each other forever.
//!
//! A table that does not exist has no labels, and must not be seen before it has rows. Its label is
//! on a table beside it, the *stand-in*. When the job is done, [`Claim::keep`] writes the label to
//! the table, and then deletes the stand-in. A table without the label is looked up at the stand-in,
//! so a loader that dies between the two steps loses nothing.
//!
//! <https://cloud.google.com/bigquery/docs/labels-intro>

use chrono::{DateTime, Duration, Utc};
use serde_json::{Value, json};
use sluice_contracts::documents::RunId;
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::{BigQueryClient, JobLabels, JobName, TableId};

/// Label with the job that may write to the table, without [`PREFIX`].
const WRITER: &str = "sluice_writer";
/// Label with the newest run that the table is known to show.
const NEWEST: &str = "sluice_run";
/// Label with the second since 1970 in which the job was claimed.
const CLAIMED: &str = "sluice_claimed";
/// Label of a table that was made without rows, with the run that is about to fill it, or [`GONE`].
const MADE: &str = "sluice_made";
/// Value of the label of a table that nobody is about to fill: it expires.
const GONE: &str = "gone";
/// When it does, unless a claim takes it over.
const EXPIRES: Duration = Duration::minutes(1);
/// Label with a day and how often the table was claimed on it.
const LOADS: &str = "sluice_loads";
/// Label of a job that only takes a name, with the run that took it.
pub(super) const FENCE: &str = "sluice_fence";
/// What the names of all jobs begin with.
pub(super) const PREFIX: &str = "sluice_";

/// How long an earlier run waits for a later one that has claimed the table and not begun to write.
const GRACE: Duration = Duration::minutes(10);
/// How long a stand-in exists if no loader comes back to it.
const KEPT: Duration = Duration::days(1);
/// Attempts to change a label that others change too.
const ROUNDS: u32 = 5;

/// Whether a job may write to the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Claimed {
    /// It may, and no other.
    Ours,
    /// Another job is at work, or about to be.
    Waiting,
    /// The table shows this later run.
    Overtaken(RunId),
}

/// What a job needs to claim a table.
#[derive(Debug)]
pub(super) struct Claim<'a> {
    pub(super) client: &'a BigQueryClient,
    /// The table.
    pub(super) id: &'a TableId,
    /// The job.
    pub(super) name: &'a JobName,
    /// The run that it belongs to.
    pub(super) run: RunId,
}

impl Claim<'_> {
    /// Claims the table for the job. `replaces` says whether it replaces rows.
    pub(super) async fn take(&self, replaces: bool) -> Result<Claimed> {
        let overtaken = |shown: Option<RunId>| shown.filter(|shown| replaces && *shown > self.run);
        for _ in 0..ROUNDS {
            let record = self.read().await?;
            if let Some(newer) = overtaken(record.newest) {
                return Ok(Claimed::Overtaken(newer));
            }
            let shown = match &record.writer {
                Some(writer) if *writer == self.name.id => return Ok(Claimed::Ours),
                Some(writer) => match self.settle(writer, record.claimed).await? {
                    Settled::Open => {
                        tracing::info!(
                            run = %self.run,
                            table = %self.id,
                            job = writer,
                            "the table is claimed by a job that has not ended",
                        );
                        return Ok(Claimed::Waiting);
                    }
                    Settled::Shown(run) => Some(run),
                    Settled::Nothing => None,
                },
                None => None,
            };
            if shown.is_some() && !record.has_table && self.client.table(self.id).await?.is_some() {
                // The job has made the table since.
                continue;
            }
            // Rows of a table that is gone overtake nothing.
            let shown = shown.filter(|_| record.has_table);
            if let Some(newer) = overtaken(shown) {
                return Ok(Claimed::Overtaken(newer));
            }
            if !self.write(&record, record.newest.max(shown)).await? {
                continue;
            }
            if record.has_table || self.client.table(self.id).await?.is_none() {
                return Ok(Claimed::Ours);
            }
        }
        Ok(Claimed::Waiting)
    }

    /// Keeps the label at the table of a job that is done, and was started at the time `started`,
    /// whether the job has made the table or replaced its labels.
    pub(super) async fn keep(&self, started: Option<DateTime<Utc>>) -> Result<()> {
        for _ in 0..ROUNDS {
            let Some(table) = self.client.table(self.id).await? else { return Ok(()) };
            if label(&table, MADE).is_some() {
                // The loader that made the table may have died before it came to the stand-in.
                self.remove_stand_in_of(|writer| run_of(writer) == Some(self.run)).await?;
                let change = json!({"labels": {MADE: null}});
                if self.client.change_table_if(self.id, &change, etag(&table)?).await? {
                    return Ok(());
                }
                continue;
            }
            if label(&table, WRITER).is_some() {
                let made = milliseconds(&table, "creationTime").zip(started);
                return match made {
                    // The loader that labelled it may have died before it came to the stand-in.
                    Some((made, started)) if made >= started => self.remove_stand_in().await,
                    _ => Ok(()),
                };
            }
            let change = labels(self.name, self.run);
            if !self.client.change_table_if(self.id, &change, etag(&table)?).await? {
                continue;
            }
            return self.remove_stand_in().await;
        }
        Err(Error::transient(format!(
            "label table `{}`: it changed {ROUNDS} times meanwhile",
            self.id
        )))
    }

    /// Makes the claimed table, without rows. Whether it did not exist.
    pub(super) async fn make_table(&self, mut table: Value) -> Result<bool> {
        table["labels"][WRITER] = self.short().into();
        table["labels"][CLAIMED] = Utc::now().timestamp().to_string().into();
        table["labels"][MADE] = self.run.to_string().into();
        let made = self.client.create_table(self.id, &table).await?;
        if made {
            self.remove_stand_in().await?;
        }
        Ok(made)
    }

    /// Lets a table expire that a job of this run was to fill, which will not come.
    ///
    /// It is not deleted: a deletion has no condition, and another run may claim the table at any
    /// time. A claim changes the etag, and takes the end away that is set here.
    pub(super) async fn unmake_table(&self) -> Result<()> {
        let Some(table) = self.client.table(self.id).await? else { return Ok(()) };
        let is_made = label(&table, MADE) == Some(self.run.to_string().as_str());
        let has_rows = table.get("numRows").and_then(Value::as_str).is_some_and(|rows| rows != "0");
        if !is_made || has_rows || label(&table, NEWEST).is_some() {
            return Ok(());
        }
        let writer = label(&table, WRITER).map(|writer| format!("{PREFIX}{writer}"));
        let Some(writer) = writer.filter(|writer| run_of(writer) == Some(self.run)) else {
            return Ok(());
        };
        // Of a job of the own run, this only asks what became of it.
        if let Settled::Nothing = self.settle(&writer, None).await? {
            let end = (Utc::now() + EXPIRES).timestamp_millis().to_string();
            let change = json!({"expirationTime": end, "labels": {MADE: GONE}});
            self.client.change_table_if(self.id, &change, etag(&table)?).await?;
        }
        Ok(())
    }

    /// Gives a claim back that no job will be started for, so that nobody waits for the job.
    pub(super) async fn give_back(&self) -> Result<()> {
        self.fence(self.name).await?;
        self.remove_stand_in().await
    }

    /// Takes a job's name, so that the job can never start. Whether the name was free.
    async fn fence(&self, name: &JobName) -> Result<bool> {
        let labels = JobLabels::from([(FENCE.to_owned(), self.run.to_string())]);
        let nothing = json!({"query": "SELECT 1", "useLegacySql": false});
        Ok(self.client.start(name, &labels, "query", &nothing).await?.is_some())
    }

    async fn remove_stand_in(&self) -> Result<()> {
        self.remove_stand_in_of(|writer| writer == self.name.id).await
    }

    /// Deletes the stand-in, if it names such a job.
    async fn remove_stand_in_of(&self, is_settled: impl Fn(&str) -> bool) -> Result<()> {
        let stand_in = self.stand_in();
        let found = self.client.table(&stand_in).await?;
        let writer = found.as_ref().and_then(|found| label(found, WRITER));
        if writer.is_some_and(|writer| is_settled(&format!("{PREFIX}{writer}"))) {
            self.client.delete_table(&stand_in).await?;
        }
        Ok(())
    }

    async fn read(&self) -> Result<Record> {
        let table = self.client.table(self.id).await?;
        if let Some(table) = &table
            && label(table, WRITER).is_some()
        {
            return Record::of(Some(table), table, true);
        }
        let stand_in = self.client.table(&self.stand_in()).await?;
        match (table, stand_in) {
            (Some(table), Some(stand_in)) => Record::of(Some(&table), &stand_in, true),
            (Some(table), None) => Record::of(Some(&table), &table, true),
            (None, Some(stand_in)) => Record::of(Some(&stand_in), &stand_in, false),
            (None, None) => Record::of(None, &Value::Null, false),
        }
    }

    /// Makes sure that another job will not write any more, or says that it may.
    async fn settle(&self, writer: &str, claimed: Option<DateTime<Utc>>) -> Result<Settled> {
        let Some(run) = run_of(writer) else { return Ok(Settled::Nothing) };
        let name = JobName { id: writer.to_owned(), ..self.name.clone() };
        match self.client.job(&name).await? {
            Some(job) if !job.ended => return Ok(Settled::Open),
            Some(job) if job.failure.is_some() || job.labels.contains_key(FENCE) => {
                return Ok(Settled::Nothing);
            }
            Some(_) => return Ok(Settled::Shown(run)),
            None => {}
        }
        let recent = claimed.is_some_and(|at| Utc::now() - at < GRACE);
        // Another loader of the same run is about to start it.
        if run == self.run || (run > self.run && recent) {
            return Ok(Settled::Open);
        }
        Ok(if self.fence(&name).await? { Settled::Nothing } else { Settled::Open })
    }

    /// Writes the job into the label, if nothing has changed since the record was read.
    async fn write(&self, record: &Record, newest: Option<RunId>) -> Result<bool> {
        let now = Utc::now();
        let loads = loads_on(record.loads.as_deref(), now) + 1;
        let mut change = json!({"labels": {
            WRITER: self.short(),
            CLAIMED: now.timestamp().to_string(),
            LOADS: format!("{}_{loads}", day(now)),
        }});
        if let Some(newest) = newest {
            change["labels"][NEWEST] = newest.to_string().into();
        }
        match record.made.as_deref() {
            // It is taken over with the end that was set to it.
            Some(GONE) => {
                change["labels"][MADE] = self.run.to_string().into();
                change["expirationTime"] = Value::Null;
            }
            Some(made) if made != self.run.to_string() => change["labels"][MADE] = Value::Null,
            _ => {}
        }
        if record.has_table {
            return self.client.change_table_if(self.id, &change, &record.etag).await;
        }
        let stand_in = self.stand_in();
        let expiration = (Utc::now() + KEPT).timestamp_millis().to_string();
        change["expirationTime"] = expiration.into();
        if record.exists {
            return self.client.change_table_if(&stand_in, &change, &record.etag).await;
        }
        change["tableReference"] = json!(stand_in.reference());
        self.client.create_table(&stand_in, &change).await
    }

    /// The table with the labels of the table that does not exist yet.
    fn stand_in(&self) -> TableId {
        self.id.beside(format!("{PREFIX}claim_{}", self.id.table))
    }

    fn short(&self) -> &str {
        short(self.name)
    }
}

/// The labels of a table that a job of a run has made visible.
pub(super) fn labels(name: &JobName, run: RunId) -> Value {
    json!({"labels": {WRITER: short(name), NEWEST: run.to_string()}})
}

fn short(name: &JobName) -> &str {
    name.id.strip_prefix(PREFIX).unwrap_or(&name.id)
}

/// What became of a job that may have written.
enum Settled {
    /// It may still write.
    Open,
    /// It has made rows of this run visible.
    Shown(RunId),
    /// It has changed nothing, and never will.
    Nothing,
}

/// What is written of a table, and where.
struct Record {
    /// Whether the table itself exists.
    has_table: bool,
    /// Whether there is something to change: the table or its stand-in.
    exists: bool,
    etag: String,
    /// The whole name of the job.
    writer: Option<String>,
    newest: Option<RunId>,
    claimed: Option<DateTime<Utc>>,
    loads: Option<String>,
    /// What is written of a table that was made without rows.
    made: Option<String>,
}

impl Record {
    fn of(changed: Option<&Value>, read: &Value, has_table: bool) -> Result<Self> {
        let seconds = label(read, CLAIMED).and_then(|text| text.parse().ok());
        let newest = changed.filter(|_| has_table).and_then(|table| label(table, NEWEST));
        Ok(Self {
            has_table,
            exists: changed.is_some(),
            etag: changed.map(etag).transpose()?.unwrap_or_default().to_owned(),
            writer: label(read, WRITER).map(|writer| format!("{PREFIX}{writer}")),
            newest: newest.and_then(|run| run.parse().ok()),
            loads: label(read, LOADS).map(str::to_owned),
            made: changed
                .filter(|_| has_table)
                .and_then(|table| label(table, MADE))
                .map(str::to_owned),
            claimed: seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)),
        })
    }
}

/// How often a table was claimed today, by what BigQuery says of it.
pub(super) fn loads_today(table: &Value) -> u32 {
    loads_on(label(table, LOADS), Utc::now())
}

fn loads_on(label: Option<&str>, now: DateTime<Utc>) -> u32 {
    let counted = label.and_then(|label| label.split_once('_'));
    let today = counted.filter(|(on, _)| *on == day(now));
    today.and_then(|(_, count)| count.parse().ok()).unwrap_or(0)
}

fn day(now: DateTime<Utc>) -> String {
    now.format("%Y%m%d").to_string()
}

fn label<'t>(table: &'t Value, key: &str) -> Option<&'t str> {
    table.get("labels")?.get(key)?.as_str()
}

fn milliseconds(table: &Value, key: &str) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp_millis(table.get(key)?.as_str()?.parse().ok()?)
}

fn etag(table: &Value) -> Result<&str> {
    table
        .get("etag")
        .and_then(Value::as_str)
        .ok_or_else(|| Error::bug("read the labels of a table: BigQuery did not say its etag"))
}

/// The run that a job's name begins with; `None` if a person has written the label.
fn run_of(writer: &str) -> Option<RunId> {
    writer.strip_prefix(PREFIX)?.split('_').next()?.parse().ok()
}
