//! The smallest source: one table in memory, every version of which can be read at any time. It
//! shows what an adapter has to do, and that the conformance suite asks for nothing else.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use sluice_contracts::documents::{Cut, Relation, SnapshotPlan, Table, Unit};
use sluice_contracts::job::TableJob;
use sluice_contracts::{Error, Result};
use sluice_sources::conformance::{self, ROWS, SourceFixture};
use sluice_sources::{
    Batches, Description, Join, Listing, Piece, Place, Protection, Reader, Source, Survey,
};

#[derive(Debug, Default)]
struct State {
    versions: Vec<Vec<i64>>,
    columns: Vec<&'static str>,
}

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<State>>);

impl Memory {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Source for Memory {
    fn label(&self) -> &'static str {
        "memory"
    }

    fn places(&self) -> Vec<Place> {
        Vec::new()
    }

    fn protection(&self) -> Protection {
        Protection::Local
    }

    async fn survey(&self, _: &str) -> Result<Box<dyn Survey>> {
        Ok(Box::new(self.clone()))
    }

    async fn reader(&self, _: &str, join: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
        let newest = self.state().versions.len() - 1;
        let version = match join {
            Join::Pinned(value) => value.parse().map_err(|_| Error::data("read the version"))?,
            _ => newest,
        };
        Ok(Some(Box::new(View { memory: self.clone(), version })))
    }
}

#[async_trait]
impl Survey for Memory {
    async fn tables(&mut self) -> Result<Listing> {
        Ok(Listing::default())
    }

    async fn describe(&mut self, job: &TableJob) -> Result<Description> {
        let known = self.state().columns.clone();
        let names: Vec<&str> = match &job.select {
            Some(names) => names.iter().map(String::as_str).collect(),
            None => known.clone(),
        };
        if job.relation != self.relation() || names.iter().any(|name| !known.contains(name)) {
            return Err(Error::not_found("describe the table: it does not exist"));
        }
        Ok(Description {
            columns: conformance::columns(&names),
            shape: known.join(","),
            pieces: vec![Piece { rows: 1, bytes: 1, ..Piece::default() }],
            ..Description::default()
        })
    }

    async fn snapshot(&mut self) -> Result<SnapshotPlan> {
        let newest = self.state().versions.len() - 1;
        Ok(SnapshotPlan::Pinned { value: newest.to_string() })
    }

    fn predicate(&self, cut: &Cut) -> Result<String> {
        let whole = (*cut == Cut::Full).then(String::new);
        whole.ok_or_else(|| Error::invalid("cut a table in memory"))
    }
}

/// A connection that sees one version.
struct View {
    memory: Memory,
    version: usize,
}

#[async_trait]
impl Reader for View {
    async fn check(&mut self, table: &Table) -> Result<()> {
        let same = table.shape == self.memory.state().columns.join(",");
        same.then_some(()).ok_or_else(|| Error::data("check the table: it was altered"))
    }

    async fn read<'a>(&'a mut self, _: &'a Table, _: &'a Unit) -> Result<Box<dyn Batches + 'a>> {
        Ok(Box::new(Once(Some(self.memory.state().versions[self.version].clone()))))
    }
}

/// All rows in one batch.
struct Once(Option<Vec<i64>>);

#[async_trait]
impl Batches for Once {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        self.0.take().map(conformance::batch).transpose()
    }

    fn bytes(&self) -> u64 {
        0
    }

    fn invalid(&self) -> &[u64] {
        &[0, 0]
    }
}

#[async_trait]
impl SourceFixture for Memory {
    fn source(&self) -> Arc<dyn Source> {
        Arc::new(self.clone())
    }

    fn relation(&self) -> Relation {
        Relation::table(None, "rows")
    }

    fn missing_relation(&self) -> Relation {
        Relation::table(None, "absent")
    }

    async fn insert(&self, id: i64) {
        let mut state = self.state();
        let mut rows = state.versions.last().cloned().unwrap_or_default();
        rows.push(id);
        state.versions.push(rows);
    }

    async fn alter(&self) {
        self.state().columns.pop();
    }
}

#[tokio::test]
async fn a_table_in_memory_does_what_every_source_has_to() {
    let state = State { versions: vec![(1..=ROWS).collect()], columns: vec!["id", "note"] };
    conformance::all(&Memory(Arc::new(Mutex::new(state)))).await.expect("the suite ends");
}
