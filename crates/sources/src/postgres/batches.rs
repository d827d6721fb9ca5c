//! The rows of a unit.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use async_trait::async_trait;
use bytes::{Buf as _, Bytes};
use sluice_contracts::documents::{Table, Unit};
use sluice_contracts::{Error, Result};

use super::copy::CopyDecoder;
use super::copy_connection::Received;
use super::dialect;
use super::reader::PgReader;
use super::server_error::failed;
use crate::source::Batches;

/// The rows of one unit, by one COPY after another.
pub(super) struct PgBatches<'a> {
    reader: &'a mut PgReader,
    table: &'a Table,
    /// Whether they read a table with all the partitions that it has.
    whole: bool,
    /// Those that have not begun yet.
    queries: VecDeque<String>,
    decoder: CopyDecoder,
    /// The part of the last message that the decoder has not taken yet.
    chunk: Bytes,
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
            chunk: Bytes::new(),
            ended: false,
            waited: Duration::ZERO,
        };
        batches.begin_next().await?;
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
        let name = &self.table.name;
        let during = |error: Error| error.during(format!("copy from `{name}`"));
        loop {
            if !self.chunk.is_empty() {
                let mut rest = &self.chunk[..];
                let batch = self.decoder.feed(&mut rest).map_err(during)?;
                let taken = self.chunk.len() - rest.len();
                self.chunk.advance(taken);
                if batch.is_some() {
                    return Ok(batch);
                }
            }
            if self.ended {
                return Ok(None);
            }
            let asked = Instant::now();
            let received = self.reader.receive().await?;
            self.waited += asked.elapsed();
            match received {
                Received::Chunk(chunk) => self.chunk = chunk,
                Received::End(Ok(())) if self.queries.is_empty() => {
                    self.ended = true;
                    return self.decoder.finish().map_err(during);
                }
                Received::End(Ok(())) => {
                    self.decoder.next_stream().map_err(during)?;
                    let watch = self.reader.watch();
                    let asked = Instant::now();
                    watch.over(self.begin_next()).await?;
                    self.waited += asked.elapsed();
                }
                Received::End(Err(error)) => {
                    return Err(failed(format!("copy from `{name}`"), error));
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
