//! The smallest target: tables in memory. It shows what an adapter has to do, and that the
//! conformance suite asks for nothing else.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use arrow_array::Int64Array;
use async_trait::async_trait;
use object_store::ObjectStoreExt as _;
use object_store::memory::InMemory;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sluice_contracts::documents::{RunId, Table};
use sluice_contracts::job::WriteDisposition;
use sluice_contracts::store::Bucket;
use sluice_contracts::{Error, Result};
use sluice_targets::conformance::{self, TargetFixture};
use sluice_targets::{Admitted, Load, Loaded, Prepared, Shown, Target, Visibility};

/// Rows, and the runs that were loaded, by the table's URL.
type Tables = BTreeMap<String, (Vec<i64>, BTreeMap<RunId, Loaded>)>;

#[derive(Debug, Clone, Default)]
struct Memory(Arc<Mutex<Tables>>);

impl Memory {
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Target for Memory {
    async fn shown(&self, _: &Load) -> Result<Shown> {
        Ok(Shown::No)
    }

    async fn exists(&self, _: &str) -> Result<bool> {
        Ok(true)
    }

    async fn check(&self, run: RunId, table: &Table, _: Visibility) -> Result<Admitted> {
        let tables = self.tables();
        let Some((rows, runs)) = tables.get(&table.target) else { return Ok(Admitted::default()) };
        if !runs.contains_key(&run) {
            admit(rows, table.write.disposition)?;
        }
        Ok(Admitted::default())
    }

    async fn prepare(&self, load: &Load) -> Result<Poll<Box<dyn Prepared>>> {
        let known = {
            let tables = self.tables();
            tables.get(&load.target).is_some_and(|(_, runs)| runs.contains_key(&load.run))
        };
        let ids = if known { Vec::new() } else { read(load).await? };
        Ok(Poll::Ready(Box::new(Step { memory: self.clone(), load: load.clone(), ids })))
    }
}

/// A load that lacks only its last step.
#[derive(Debug)]
struct Step {
    memory: Memory,
    load: Load,
    ids: Vec<i64>,
}

#[async_trait]
impl Prepared for Step {
    async fn publish(self: Box<Self>) -> Result<Poll<Loaded>> {
        let Self { memory, load, ids } = *self;
        let mut tables = memory.tables();
        let (rows, runs) = tables.entry(load.target).or_default();
        if let Some(loaded) = runs.get(&load.run) {
            return Ok(Poll::Ready(*loaded));
        }
        admit(rows, load.disposition)?;
        if load.disposition == WriteDisposition::Truncate {
            rows.clear();
        }
        rows.extend(ids);
        rows.sort_unstable();
        let loaded =
            Loaded { snapshot: load.snapshot, rows: load.rows, dropped: None, overtaken_by: None };
        runs.insert(load.run, loaded);
        Ok(Poll::Ready(loaded))
    }
}

fn admit(rows: &[i64], disposition: WriteDisposition) -> Result<()> {
    if disposition == WriteDisposition::Empty && !rows.is_empty() {
        return Err(Error::data("the table has rows"));
    }
    Ok(())
}

/// The ids of all parts, each part compared with its receipt.
async fn read(load: &Load) -> Result<Vec<i64>> {
    let mut ids = Vec::new();
    for part in &load.parts {
        let wrong = || Error::data(format!("check part `{}`", part.path));
        let path = part.path.as_str().into();
        let found = load.bucket.store.get(&path).await.map_err(|source| wrong().because(source))?;
        let bytes = found.bytes().await.map_err(|source| wrong().because(source))?;
        if bytes.len() as u64 != part.bytes || crc32c::crc32c(&bytes) != part.crc32c {
            return Err(wrong());
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(bytes)
            .and_then(ParquetRecordBatchReaderBuilder::build);
        for batch in reader.map_err(|source| wrong().because(source))? {
            let batch = batch.map_err(|source| wrong().because(source))?;
            let column = batch.column(0).as_any().downcast_ref::<Int64Array>().ok_or_else(wrong)?;
            ids.extend(column.values());
        }
    }
    Ok(ids)
}

/// The target, and the bucket that it loads from.
struct Bench(Memory, Arc<InMemory>);

#[async_trait]
impl TargetFixture for Bench {
    fn target(&self) -> &dyn Target {
        &self.0
    }

    fn bucket(&self) -> Bucket {
        Bucket { store: self.1.clone(), prefix: "".into(), url: "memory://".into() }
    }

    fn table(&self, name: &str) -> String {
        format!("memory://{name}")
    }

    async fn ids(&self, table: &str) -> Option<Vec<i64>> {
        let tables = self.0.tables();
        tables.get(table).map(|(rows, _)| rows.clone())
    }
}

#[tokio::test]
async fn tables_in_memory_do_what_every_target_has_to() {
    conformance::all(&Bench(Memory::default(), Arc::new(InMemory::new())))
        .await
        .expect("the suite ends");
}
