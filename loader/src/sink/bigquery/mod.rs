//! The sink of `bigquery://` targets.
//!
//! ```text
//! parts in the bucket --load job--> the table
//! parts in the bucket --load job--> a staging table --copy job--> the table     where the load is staged
//! ```
//!
//! A job's creation, truncation and appending is one step to readers. Jobs have names that are
//! made of the run and the table, and BigQuery takes a name once: see [`attempts`].

mod attempts;
mod failure;
mod load;
mod parts;
mod staging;
#[cfg(test)]
mod tests;

use async_trait::async_trait;
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::manifest::{RunId, Table};
use sluice_contracts::{Error, Result};
use sluice_runtime::figures::thousands;
use sluice_runtime::google::bigquery::{BigQuery, Fit, Standing, TableId};

use super::{Load, Loaded, Prepared, Progress, Sink};
use attempts::{Attempts, Found, Owner};
use load::Write;

/// BigQuery as a warehouse.
#[derive(Debug, Clone)]
pub struct BigQuerySink {
    bigquery: BigQuery,
}

impl BigQuerySink {
    /// The sink of the tables of this BigQuery.
    pub fn new(bigquery: BigQuery) -> Self {
        Self { bigquery }
    }
}

#[async_trait]
impl Sink for BigQuerySink {
    async fn check(&self, run: RunId, table: &Table) -> Result<()> {
        let doing = || format!("load into `{}`", table.target);
        let loaded = async {
            let id = TableId::parse(&table.target)?;
            let location = self.bigquery.location(&id).await?;
            let owner = Owner { run, table: table.index, generation: 0, load: None };
            let attempts = Attempts::visible(&self.bigquery, &id, &location, owner);
            Ok(matches!(attempts.look().await, Ok(Found::Done(_))))
        };
        if loaded.await.map_err(|error: Error| error.during(doing()))? {
            Ok(())
        } else {
            self.bigquery.check(table).await
        }
    }

    async fn warnings(&self, table: &Table) -> Result<Vec<String>> {
        self.bigquery.warnings(table).await
    }

    async fn prepare(&self, load: &Load) -> Result<Progress<Box<dyn Prepared>>> {
        let step = Step::new(&self.bigquery, load).await.map_err(|error| during(load, error))?;
        if load.staged {
            match step.stage().await.map_err(|error| during(load, error))? {
                Progress::Done(()) => {}
                Progress::Pending => return Ok(Progress::Pending),
            }
        }
        Ok(Progress::Done(Box::new(step)))
    }
}

fn during(load: &Load, error: Error) -> Error {
    error.during(format!("load run `{}` into `{}`", load.run, load.target))
}

/// One table of a run on its way to being visible.
#[derive(Debug)]
struct Step {
    bigquery: BigQuery,
    load: Load,
    id: TableId,
    location: String,
}

#[async_trait]
impl Prepared for Step {
    async fn publish(self: Box<Self>) -> Result<Progress<Loaded>> {
        let published =
            if self.load.staged { self.publish_staged().await } else { self.load().await };
        published.map_err(|error| during(&self.load, error))
    }
}

impl Step {
    async fn new(bigquery: &BigQuery, load: &Load) -> Result<Self> {
        let id = TableId::parse(&load.target)?;
        let location = bigquery.location(&id).await?;
        Ok(Self { bigquery: bigquery.clone(), load: load.clone(), id, location })
    }

    /// The attempts at the step that readers see.
    fn visible(&self) -> Attempts<'_> {
        Attempts::visible(&self.bigquery, &self.id, &self.location, Owner::of(&self.load))
    }

    /// Loads the parts into the table itself.
    async fn load(&self) -> Result<Progress<Loaded>> {
        let attempts = self.visible();
        let free = match attempts.look().await? {
            Found::Free(free) => free,
            Found::Running => return Ok(Progress::Pending),
            Found::Done(loaded) => {
                return self.require_rows(loaded, VISIBLE).map(Progress::Done);
            }
        };
        let standing = self.admit().await?;
        if self.load.parts.is_empty()
            && standing.is_some()
            && self.load.disposition != WriteDisposition::Truncate
        {
            // Neither its rows nor its columns change.
            return Ok(Progress::Done(Loaded { snapshot: self.load.snapshot, rows: 0 }));
        }
        parts::require_whole(&self.load).await?;
        let write = self.make_room(standing.as_ref()).await?;
        let (kind, configuration) =
            load::configuration(&self.load, &self.id, standing.as_ref(), write)?;
        match attempts.start(free, kind, &configuration).await? {
            Progress::Done(loaded) => self.require_rows(loaded, VISIBLE).map(Progress::Done),
            Progress::Pending => Ok(Progress::Pending),
        }
    }

    /// The target as it stands, where this load may change it.
    async fn admit(&self) -> Result<Option<Standing>> {
        let Load { target, disposition, columns, .. } = &self.load;
        self.bigquery.admit(target, *disposition, columns).await
    }

    /// How the rows go into the table as it stands, which is given the columns that it lacks.
    /// They are NULL to readers until the load is done.
    async fn make_room(&self, standing: Option<&Standing>) -> Result<Write> {
        let columns = &self.load.columns;
        match (self.load.disposition, standing) {
            (WriteDisposition::Append, _) => Ok(Write::Append),
            (WriteDisposition::Empty, _) => Ok(Write::Empty),
            (WriteDisposition::Truncate, None) => Ok(Write::Replace),
            (WriteDisposition::Truncate, Some(standing)) => match standing.fit(columns) {
                Fit::Same => Ok(Write::ReplaceRows),
                Fit::Wider(new) => {
                    let schema = standing.wider_schema(columns, &new);
                    let change = serde_json::json!({"schema": schema});
                    self.bigquery.change_table(&self.id, &change).await?;
                    Ok(Write::ReplaceRows)
                }
                Fit::Other(_) => Ok(Write::Replace),
            },
        }
    }

    /// Compares what BigQuery counted with what the receipts say. Rows of another generation are
    /// compared by whoever loaded them.
    fn require_rows(&self, loaded: Loaded, hint: &'static str) -> Result<Loaded> {
        if loaded.snapshot == self.load.snapshot && loaded.rows != self.load.rows {
            return Err(Error::bug(format!(
                "check run `{}`: loaded {} rows, receipts say {}",
                self.load.run,
                thousands(loaded.rows),
                thousands(self.load.rows)
            ))
            .hint(hint));
        }
        Ok(loaded)
    }
}

const VISIBLE: &str = "this is our bug, and the rows are visible: `FOR SYSTEM_TIME AS OF` shows the \
                       table as it was. Please report it with the run's manifest";
