//! Folders of Parquet files: `file:///warehouse/dataset/table`.
//!
//! ```text
//! <dataset>/<table>/_schema.json            the table's schema, as `bq show --schema` prints it
//! <dataset>/<table>/_runs.json              the runs that were loaded, the newest last
//! <dataset>/<table>/<run>-00001.parquet     the rows
//! <dataset>/.<table>.lock                   held while a run is loaded
//! <dataset>/.<table>.<run>/                 the next state of the table, while it is being built
//! ```
//!
//! A load builds the whole next state beside the table, of hard links where it can, and then
//! exchanges the two folders in one step of the file system. A run that a later one has overtaken
//! does not replace the later one's rows.

mod address;
mod client;
mod existing;
mod history;
mod load;
mod parts;
mod schema;
mod staging;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::task::Poll;

use async_trait::async_trait;
use sluice_contracts::documents::{Dedup, RunId, SchemaChanges, Table, TableWrite};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::{Error, Result};

use super::target::{Admitted, Load, Prepared, Shown, Target, TargetKind, Visibility};
use address::TablePath;
use existing::ExistingTable;
use load::TableLoad;

/// A folder of Parquet files for each table.
#[derive(Debug)]
pub struct Folder;

#[async_trait]
impl TargetKind for Folder {
    fn scheme(&self) -> &'static str {
        "file"
    }

    fn check_disposition(&self, disposition: WriteDisposition) -> Result<()> {
        existing::check_disposition(disposition)
    }

    fn check_url(&self, table: &str, _bucket: &str) -> Result<()> {
        sluice_runtime::storage::folder(table).map(drop)
    }

    async fn open(&self) -> Result<Arc<dyn Target>> {
        Ok(Arc::new(FolderTarget))
    }
}

/// The folders of this machine.
#[derive(Debug)]
struct FolderTarget;

#[async_trait]
impl Target for FolderTarget {
    async fn check(&self, run: RunId, table: &Table, _: Visibility) -> Result<Admitted> {
        let (target, index) = (table.target.clone(), table.index);
        let (disposition, columns) = (table.write.disposition, table.columns.clone());
        let warnings = ignored(&table.write);
        let doing = format!("load into `{target}`");
        let dedup = table.write.dedup.clone();
        let check = move || {
            refuse_dedup(dedup.as_ref())?;
            let existing = ExistingTable::open(TablePath::of(&target)?)?;
            match existing.loaded(run, index)? {
                Some(_) => Ok(Vec::new()),
                None if existing.overtakes(run, disposition).is_some() => Ok(Vec::new()),
                None => existing.admit(disposition, &columns).map(|()| warnings),
            }
        };
        client::blocking(check).await.map(Admitted::from).map_err(|error| error.during(doing))
    }

    async fn exists(&self, table: &str) -> Result<bool> {
        let target = table.to_owned();
        let open = move || ExistingTable::open(TablePath::of(&target)?);
        let existing = client::blocking(open).await;
        existing
            .map(|existing| existing.exists)
            .map_err(|error| error.during(format!("load into `{table}`")))
    }

    async fn shown(&self, load: &Load) -> Result<Shown> {
        let (target, run, table) = (load.target.clone(), load.run, load.table);
        let find = move || {
            let existing = ExistingTable::open(TablePath::of(&target)?)?;
            Ok(if existing.loaded(run, table)?.is_some() { Shown::Yes } else { Shown::No })
        };
        client::blocking(find).await
    }

    async fn prepare(&self, load: &Load) -> Result<Poll<Box<dyn Prepared>>> {
        let doing = format!("load run `{}` into `{}`", load.run, load.target);
        let load = load.clone();
        let prepare = move || {
            refuse_dedup(load.dedup.as_ref())?;
            TableLoad::prepare(&load)
        };
        match client::blocking(prepare).await {
            Ok(prepared) => Ok(Poll::Ready(Box::new(prepared))),
            Err(error) => Err(error.during(doing)),
        }
    }
}

/// Nothing in a folder compares the rows of its files.
fn refuse_dedup(dedup: Option<&Dedup>) -> Result<()> {
    match dedup {
        None => Ok(()),
        Some(_) => Err(Error::invalid("`dedup` works by a query, and a folder of Parquet files cannot be queried")
            .hint("load into `bigquery://`, or leave `dedup` out and keep the newest rows where you read them")),
    }
}

/// A warning for what the job asks of a table that a folder has no such thing for.
fn ignored(write: &TableWrite) -> Vec<String> {
    let new = &write.new_table;
    let asked = [
        ("schema_changes", write.schema_changes != SchemaChanges::default()),
        ("partition_by", new.partition_by.is_some()),
        ("cluster_by", !new.cluster_by.is_empty()),
        ("labels", !new.labels.is_empty()),
    ];
    let asked: Vec<String> = asked
        .into_iter()
        .filter(|(_, asked)| *asked)
        .map(|(key, _)| format!("`target.{key}`"))
        .collect();
    if asked.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "a folder of Parquet files has no use for {}: it is for BigQuery",
        asked.join(", ")
    )]
}
