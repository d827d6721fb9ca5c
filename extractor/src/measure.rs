//! The encoder without a task around it, for measurements.

use arrow_array::RecordBatch;
use sluice_contracts::documents::{Column, arrow_schema};

use crate::encoder::FileEncoder;
use crate::encodings::Sample;
use crate::upload::Outbox;

/// Encodes rows as the part file of a table with these columns, and returns how many bytes it has.
///
/// # Errors
/// If a batch has other columns.
pub fn encode(columns: &[Column], batches: Vec<RecordBatch>) -> parquet::errors::Result<usize> {
    let mut sample = Sample::default();
    for batch in batches {
        sample.add(batch);
    }
    let mut encoder = FileEncoder::new(arrow_schema(columns), sample.properties(columns))?;
    let mut bytes = 0;
    let mut send = |outbox: &mut Outbox| {
        while let Some(piece) = outbox.take() {
            bytes += piece.len();
        }
    };
    for batch in sample.into_batches() {
        encoder.write(&batch)?;
        send(encoder.outbox());
    }
    encoder.finish()?;
    send(encoder.outbox());
    Ok(bytes)
}
