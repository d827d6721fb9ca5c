//! The rows of a unit.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use sluice_contracts::documents::{Table, Unit};
use sluice_contracts::{Error, Result};

use super::copy::CopyDecoder;
use super::dialect;
use super::driver::{CopySink, Progress};
use super::reader::{PgReader, copying};
use crate::source::Batches;

impl CopySink for CopyDecoder {
    type Output = RecordBatch;
    type Error = Error;

    fn take_messages(&mut self, messages: &mut &[u8]) -> Result<Option<RecordBatch>> {
        self.feed_messages(messages)
    }

    fn take_bytes(&mut self, bytes: &mut &[u8]) -> Result<Option<RecordBatch>> {
        self.feed(bytes)
    }
}

/// The rows of one unit, by one COPY after another.
pub(super) struct PgBatches<'a> {
    reader: &'a mut PgReader,
    table: &'a Table,
    /// Whether they read a table with all the partitions that it has.
    whole: bool,
    /// Those that have not begun yet.
    queries: VecDeque<String>,
    decoder: CopyDecoder,
    ended: bool,
    waited: Duration,
}

impl<'a> PgBatches<'a> {
    /// Begins to read a unit.
    pub(super) async fn begin(
        reader: &'a mut PgReader,
        table: &'a Table,
        unit: &'a Unit,
    ) -> Result<Self> {
        let alone = reader.is_alone(table);
        let mut batches = Self {
            reader,
            table,
            whole: unit.leaf.is_none(),
            queries: dialect::queries(table, unit, alone)?.into(),
            decoder: CopyDecoder::of_unit(table, unit)?,
            ended: false,
            waited: Duration::ZERO,
        };
        let asked = Instant::now();
        batches.begin_next().await?;
        batches.waited = asked.elapsed();
        Ok(batches)
    }

    /// Begins the next query. Without another one, the rows have ended.
    async fn begin_next(&mut self) -> Result<()> {
        match self.queries.pop_front() {
            Some(query) => self.reader.begin_query(self.table, &query, self.whole).await,
            None => {
                self.ended = true;
                Ok(())
            }
        }
    }
}

#[async_trait]
impl Batches for PgBatches<'_> {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let table = self.table;
        let during = |error: Error| error.during(copying(table));
        loop {
            if self.ended {
                return Ok(None);
            }
            let batch = self.reader.decode(&mut self.decoder).map_err(during)?;
            if batch.is_some() {
                return Ok(batch);
            }
            let asked = Instant::now();
            let received = self.reader.receive(table).await?;
            self.waited += asked.elapsed();
            match received {
                Progress::Bytes => {}
                Progress::End if self.queries.is_empty() => {
                    self.ended = true;
                    return self.decoder.finish().map_err(during);
                }
                Progress::End => {
                    self.decoder.next_stream().map_err(during)?;
                    let watch = self.reader.watch();
                    let asked = Instant::now();
                    watch.over(self.begin_next()).await?;
                    self.waited += asked.elapsed();
                }
            }
        }
    }

    fn bytes(&self) -> u64 {
        self.decoder.bytes()
    }

    fn waited(&self) -> Duration {
        self.waited
    }

    fn invalid(&self) -> &[u64] {
        self.decoder.invalid()
    }
}
