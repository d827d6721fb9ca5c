//! The rows of a unit: one stream after another.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_ipc::reader::StreamDecoder;
use async_trait::async_trait;
use sluice_contracts::{Error, Result};
use sluice_runtime::google::bigquery::{ReadClient, RowBlock, StreamRows};

use super::conversion::Conversion;
use crate::builder::rows_of;
use crate::source::Batches;

/// The rows of streams.
#[derive(Debug)]
pub(super) struct StreamBatches {
    client: ReadClient,
    /// Those that have not begun yet.
    streams: VecDeque<String>,
    open: Option<OpenStream>,
    /// What BigQuery has sent, from the first row that is not handed out yet.
    received: Option<RecordBatch>,
    conversion: Conversion,
    bytes: u64,
    waited: Duration,
    invalid: Vec<u64>,
}

/// A stream whose rows are being received.
#[derive(Debug)]
struct OpenStream {
    rows: StreamRows,
    decoder: StreamDecoder,
}

impl StreamBatches {
    /// The rows of these streams, as so many columns of part files.
    pub(super) fn new(
        client: &ReadClient,
        streams: Vec<String>,
        conversion: Conversion,
        columns: usize,
    ) -> Self {
        Self {
            client: client.clone(),
            streams: streams.into(),
            open: None,
            received: None,
            conversion,
            bytes: 0,
            waited: Duration::ZERO,
            invalid: vec![0; columns],
        }
    }

    /// The next batch that BigQuery sends; `None` after the last of the last stream.
    async fn receive(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let open = match &mut self.open {
                Some(open) => open,
                None => match self.streams.pop_front() {
                    Some(stream) => {
                        let rows = self.client.rows(&stream);
                        self.open.insert(OpenStream { rows, decoder: StreamDecoder::new() })
                    }
                    None => return Ok(None),
                },
            };
            let asked = Instant::now();
            let block = open.rows.next().await;
            self.waited += asked.elapsed();
            let Some(block) = block? else {
                self.open = None;
                continue;
            };
            self.bytes += block.batch.len() as u64;
            if let Some(batch) = open.decode(block)? {
                return Ok(Some(batch));
            }
        }
    }
}

impl OpenStream {
    /// The rows of a message.
    fn decode(&mut self, block: RowBlock) -> Result<Option<RecordBatch>> {
        let malformed = |error| {
            Error::data("read the rows that BigQuery sent: they are not in Arrow's format")
                .because(error)
        };
        // A stream that was opened again says its columns again.
        if let Some(schema) = block.schema.filter(|_| self.decoder.schema().is_none()) {
            self.decoder.decode(&mut Buffer::from(schema)).map_err(malformed)?;
        }
        if block.batch.is_empty() {
            return Ok(None);
        }
        let mut bytes = Buffer::from(block.batch);
        self.decoder.decode(&mut bytes).map_err(malformed)
    }
}

#[async_trait]
impl Batches for StreamBatches {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        let received = match self.received.take() {
            Some(received) => received,
            None => match self.receive().await? {
                Some(batch) => self.conversion.convert(&batch)?,
                None => return Ok(None),
            },
        };
        let all = received.num_rows();
        let rows = rows_of(&received).min(all);
        if rows < all {
            self.received = Some(received.slice(rows, all - rows));
        }
        Ok(Some(received.slice(0, rows)))
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn waited(&self) -> Duration {
        self.waited
    }

    fn invalid(&self) -> &[u64] {
        &self.invalid
    }
}
