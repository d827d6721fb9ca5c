//! The load of one table of a run.

use std::task::Poll;

use async_trait::async_trait;
use chrono::TimeDelta;
use serde_json::Value;
use sluice_contracts::documents::{Dropped, RunId};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};

use super::BigQueryTarget;
use super::address;
use super::attempts::{AttemptState, Attempts};
use super::claim::Claimed;
use super::existing::{ExistingTable, Wanted, new_schema};
use super::job::{self, Write};
use super::layout;
use super::native;
use super::owner::Owner;
use super::parts;
use super::path::{LoadPath, Shape, is_wide};
use super::schema::SchemaMatch;
use crate::target::{Load, Loaded, Prepared, Visibility};
use sluice_runtime::google::bigquery::{BigQueryClient, TableId};
use sluice_runtime::google::dataflow::Dataflow;

/// Names the load in an error.
pub(super) fn during(load: &Load, error: Error) -> Error {
    error.during(format!("load run `{}` into `{}`", load.run, load.target))
}

/// The load of one table.
#[derive(Debug)]
pub(super) struct TableLoad {
    pub(super) client: BigQueryClient,
    /// Where jobs of Dataflow run, if this deployment has any.
    pub(super) dataflow: Option<Dataflow>,
    pub(super) load: Load,
    pub(super) id: TableId,
    pub(super) location: String,
    next: Next,
}

/// What is left to do.
#[derive(Debug)]
enum Next {
    /// Nothing now: the job of another loader is at work.
    Wait,
    /// To start the job of this number, which the table is claimed for.
    Start(u32, Way),
    /// To clean up: the table is visible.
    Finish(Loaded),
    /// To leave the table as it is: it shows this later run.
    Yield(RunId),
}

/// How the job makes the rows visible.
#[derive(Debug)]
enum Way {
    /// It is not known yet.
    Open,
    /// Not at all: there are no rows, and none are replaced.
    Nothing,
    /// From the parts, into the table as it is now.
    Direct(Option<ExistingTable>),
    /// From the staging tables, which are filled.
    Staged(LoadPath),
}

#[async_trait]
impl Prepared for TableLoad {
    fn overtaken_by(&self) -> Option<RunId> {
        match self.next {
            Next::Yield(newer) => Some(newer),
            Next::Wait | Next::Start(..) | Next::Finish(_) => None,
        }
    }

    fn may_be_refused(&self) -> bool {
        matches!(self.next, Next::Start(_, Way::Staged(LoadPath::Statement)))
    }

    async fn publish(self: Box<Self>) -> Result<Poll<Loaded>> {
        let published = match &self.next {
            Next::Wait => Ok(Poll::Pending),
            Next::Finish(loaded) => self.finish(*loaded).await,
            Next::Yield(newer) => Ok(Poll::Ready(self.nothing_loaded(Some(*newer)))),
            Next::Start(number, way) => {
                let made = self.make_visible(*number, way).await;
                self.give_back_after(made, *number).await
            }
        };
        published.map_err(|error| during(&self.load, error))
    }

    async fn discard(self: Box<Self>) -> Result<()> {
        if self.discard_staging().await?.is_pending() {
            tracing::info!(run = %self.load.run, "a job still fills a staging table, which expires");
        }
        match self.next {
            Next::Start(number, _) => {
                self.visible().give_back(number).await?;
                self.visible().unmake_table().await
            }
            Next::Wait | Next::Finish(_) | Next::Yield(_) => Ok(()),
        }
    }
}

impl TableLoad {
    /// The load, of which nothing is known.
    pub(super) async fn open(target: &BigQueryTarget, load: &Load) -> Result<Self> {
        let id = address::parse(&load.target)?;
        let location = target.client.location(&id).await?;
        let (client, dataflow) = (target.client.clone(), target.dataflow.clone());
        let mut load = load.clone();
        if let Some(dataflow) = dataflow.as_ref().filter(|_| load.dataflow.is_some()) {
            // What follows a job that has taken long is tried as long as what follows none.
            let longest = TimeDelta::from_std(dataflow.settings().deadline).unwrap_or_default();
            load.give_up = load.give_up.checked_add_signed(longest).unwrap_or(load.give_up);
        }
        Ok(Self { client, dataflow, load, id, location, next: Next::Wait })
    }

    /// Everything but the last step.
    pub(super) async fn prepare(
        target: &BigQueryTarget,
        load: &Load,
    ) -> Result<Poll<Box<dyn Prepared>>> {
        let mut this = Self::open(target, load).await?;
        // Nothing is staged for a run that may not write to the table.
        if this.claim().await?.is_pending() {
            return Ok(Poll::Pending);
        }
        if let Next::Start(number, Way::Open) = this.next {
            let found = this.find_way().await;
            let Poll::Ready(way) = this.give_back_after(found, number).await? else {
                return Ok(Poll::Pending);
            };
            // Staging takes time: another run may have taken the claim over.
            if matches!(way, Way::Staged(_)) && this.claim().await?.is_pending() {
                return Ok(Poll::Pending);
            }
            if let Next::Start(_, open) = &mut this.next {
                *open = way;
            }
        }
        if let Next::Yield(_) = this.next
            && this.discard_staging().await?.is_pending()
        {
            return Ok(Poll::Pending);
        }
        Ok(Poll::Ready(Box::new(this)))
    }

    /// Claims the table, unless a job of this load has started already.
    async fn claim(&mut self) -> Result<Poll<()>> {
        let attempts = self.visible();
        let looked = attempts.look().await;
        if looked.as_ref().is_err_and(|error| !error.is_transient())
            && let Err(error) = attempts.unmake_table().await
        {
            tracing::warn!(run = %self.load.run, "{}", error.chain());
        }
        self.next = match looked? {
            AttemptState::Done(loaded) => Next::Finish(loaded),
            // The other tables of the run may be published meanwhile.
            AttemptState::Running if self.load.visibility == Visibility::InTurn => Next::Wait,
            AttemptState::Running => return Ok(Poll::Pending),
            AttemptState::Free(free) => match attempts.claim(free).await? {
                Claimed::Waiting => return Ok(Poll::Pending),
                Claimed::Ours => Next::Start(free, Way::Open),
                Claimed::Overtaken(newer) => Next::Yield(newer),
            },
        };
        Ok(Poll::Ready(()))
    }

    /// Chooses how the rows become visible, and brings them into staging tables if they need it.
    async fn find_way(&mut self) -> Result<Poll<Way>> {
        let existing = self.admit().await?;
        if existing.is_some() && self.adds_nothing() {
            return Ok(Poll::Ready(Way::Nothing));
        }
        let path = self.path(existing.as_ref()).await?;
        match path {
            LoadPath::Direct => Ok(Poll::Ready(Way::Direct(existing))),
            path => {
                let staged = self.bring(path, existing.as_ref()).await?;
                Ok(staged.map(|()| Way::Staged(path)))
            }
        }
    }

    /// Gives the claim of a number back after an error that ends the load, so that nobody waits for
    /// a job that will not come.
    async fn give_back_after<T>(&self, result: Result<T>, number: u32) -> Result<T> {
        if let Err(error) = &result
            && !error.is_transient()
        {
            let given_back = self.visible().give_back(number).await;
            let unmade = self.visible().unmake_table().await;
            for error in [given_back.err(), unmade.err()].into_iter().flatten() {
                tracing::warn!(run = %self.load.run, "{}", error.chain());
            }
        }
        result
    }

    /// Whether a table that exists keeps its rows and its columns.
    pub(super) fn adds_nothing(&self) -> bool {
        native::is_empty(&self.load) && self.load.disposition != WriteDisposition::Truncate
    }

    pub(super) fn nothing_loaded(&self, overtaken_by: Option<RunId>) -> Loaded {
        Loaded { snapshot: self.load.snapshot, rows: 0, dropped: None, overtaken_by }
    }

    /// The attempts at the step that readers see.
    pub(super) fn visible(&self) -> Attempts<'_> {
        Attempts::visible(&self.client, &self.id, &self.location, Owner::of(&self.load))
    }

    /// The last step, by the job of a number. If another loader has used the number up since,
    /// BigQuery does not take its name again.
    async fn make_visible(&self, number: u32, way: &Way) -> Result<Poll<Loaded>> {
        let (kind, configuration) = match way {
            // The next call finds it.
            Way::Open => return Ok(Poll::Pending),
            Way::Nothing => return self.leave_as_it_is(number).await,
            Way::Direct(None) if native::is_empty(&self.load) => {
                let made = self.make_table().await?;
                if self.adds_nothing() {
                    return self.leave_as_it_is(number).await;
                }
                let write = self.make_room(Some(&made)).await?;
                job::direct(&self.load, &self.id, Some(&made), write)?
            }
            Way::Direct(existing) => {
                let existing = match existing {
                    Some(existing) => Some(existing.clone()),
                    None => self.admit().await?,
                };
                if LoadPath::of(&Shape::from(&self.load), existing.is_some()) != LoadPath::Direct {
                    // The table came about meanwhile: the next call stages the rows.
                    return Ok(Poll::Pending);
                }
                parts::require_whole(&self.load).await?;
                let write = self.make_room(existing.as_ref()).await?;
                job::direct(&self.load, &self.id, existing.as_ref(), write)?
            }
            Way::Staged(path) => match self.job_over_staging(number, *path).await? {
                Poll::Ready(job) => job,
                Poll::Pending => return Ok(Poll::Pending),
            },
        };
        match self.visible().start(number, kind, &configuration).await? {
            Poll::Ready(loaded) => self.finish(loaded).await,
            Poll::Pending => Ok(Poll::Pending),
        }
    }

    /// The end of a load without a job.
    async fn leave_as_it_is(&self, number: u32) -> Result<Poll<Loaded>> {
        self.visible().give_back(number).await?;
        self.finish(self.nothing_loaded(None)).await
    }

    /// Makes the target without rows. Only a load job takes all that a table may be made with, and
    /// it needs a file; without rows the table is complete as soon as it is there.
    async fn make_table(&self) -> Result<ExistingTable> {
        self.client.create_table(&self.id, &self.new_table()).await?;
        let made = self.admit().await?;
        made.ok_or_else(|| Error::transient(format!("make table `{}`: it is gone", self.id)))
    }

    /// The job that makes the rows of the staging tables visible.
    async fn job_over_staging(
        &self,
        number: u32,
        path: LoadPath,
    ) -> Result<Poll<(&'static str, Value)>> {
        let mut existing = self.admit().await?;
        if existing.is_none() && path == LoadPath::Statement && is_wide(&self.load) {
            // Several statements write to the table: none of them can make it.
            let Poll::Ready(made) = self.make_claimed_table(number).await? else {
                return Ok(Poll::Pending);
            };
            existing = Some(made);
        }
        let (existing, staging) = (existing.as_ref(), self.staging_tables()?);
        if path == LoadPath::Statement {
            let write = self.make_room(existing).await?;
            let statement = job::statement(&self.load, &self.id, existing, write, &staging)?;
            return Ok(Poll::Ready(("query", statement)));
        }
        if self.load.disposition != WriteDisposition::Truncate {
            self.make_room(existing).await?;
        }
        self.keep_staging(number).await?;
        Ok(Poll::Ready(("copy", job::copy(&self.load, &self.id, existing, &staging))))
    }

    /// Makes the target without rows, claimed for the job of a number. `Pending` if it came about
    /// meanwhile: the next call claims it.
    pub(super) async fn make_claimed_table(&self, number: u32) -> Result<Poll<ExistingTable>> {
        if !self.visible().make_table(number, self.new_table()).await? {
            return Ok(Poll::Pending);
        }
        Ok(self.admit().await?.map_or(Poll::Pending, Poll::Ready))
    }

    /// The target as a table without rows.
    fn new_table(&self) -> Value {
        let mut table = layout::properties_of_new(&self.load.new_table);
        table.extend(layout::of_new(&self.load.new_table, &self.load.columns));
        table.insert("tableReference".to_owned(), serde_json::json!(self.id.reference()));
        table.insert("schema".to_owned(), new_schema(&self.load.columns));
        table.into()
    }

    /// The table is visible: its rows are compared, and nothing is left of the way there.
    pub(super) async fn finish(&self, loaded: Loaded) -> Result<Poll<Loaded>> {
        // The rows of a native query were compared by the loader that staged them.
        if self.load.native.is_none() {
            // Who adopts a job knows what was left out by its labels, and who started it by the load.
            let dropped = |dropped: Option<Dropped>| dropped.map_or(0, |dropped| dropped.rows);
            let read = Loaded { rows: loaded.rows + dropped(loaded.dropped), ..loaded };
            self.require_rows(read, self.load.rows + dropped(self.load.dropped), VISIBLE)?;
        }
        if self.may_be_staged()
            && let Err(error) = self.clean_up().await
        {
            if error.is_transient() {
                // The next call finds the table visible, and cleans up.
                tracing::info!(run = %self.load.run, "{}", error.chain());
                return Ok(Poll::Pending);
            }
            tracing::warn!(run = %self.load.run, "a staging table is left: {}", error.chain());
        }
        Ok(Poll::Ready(loaded))
    }

    /// Whether the load may have staging tables. Rows are added without them to a table that did not
    /// exist.
    pub(super) fn may_be_staged(&self) -> bool {
        LoadPath::of(&Shape::from(&self.load), false) != LoadPath::Direct
            || (self.keeps_rows() && !native::is_empty(&self.load))
    }

    /// Whether rows of the table stay.
    fn keeps_rows(&self) -> bool {
        matches!(
            self.load.disposition,
            WriteDisposition::Append
                | WriteDisposition::Merge
                | WriteDisposition::ReplacePartitions
        )
    }

    /// The target as it is now, if this load may change it.
    pub(super) async fn admit(&self) -> Result<Option<ExistingTable>> {
        ExistingTable::admitting(&self.client, &self.id, &Wanted::from(&self.load)).await
    }

    /// Decides how the rows are written to the table as it is now, and adds the columns that it
    /// lacks. Readers find NULL in them until the load is done.
    pub(super) async fn make_room(&self, existing: Option<&ExistingTable>) -> Result<Write> {
        let columns = &self.load.columns;
        let matched = existing.map(|existing| (existing, existing.compare(columns)));
        if let Some((existing, SchemaMatch::Wider(new))) = &matched {
            let change = serde_json::json!({"schema": existing.wider_schema(columns, new)});
            self.client.change_table(&self.id, &change).await?;
        }
        Ok(match (self.load.disposition, matched) {
            (WriteDisposition::Append, _) => Write::Append,
            (WriteDisposition::Empty, _)
            | (WriteDisposition::Merge | WriteDisposition::ReplacePartitions, None) => Write::Empty,
            // The rows that are replaced are the statement's matter.
            (WriteDisposition::Merge | WriteDisposition::ReplacePartitions, Some(_)) => {
                Write::Append
            }
            (WriteDisposition::Truncate, None | Some((_, SchemaMatch::Different(_)))) => {
                Write::Replace
            }
            (WriteDisposition::Truncate, Some(_)) => Write::ReplaceRows,
        })
    }
}

const VISIBLE: &str = "this is our bug, and the rows are visible: `FOR SYSTEM_TIME AS OF` shows the \
                       table as it was. Please report it with the run's manifest";
