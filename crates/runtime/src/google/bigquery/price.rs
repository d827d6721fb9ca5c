//! What BigQuery charges for reading, before any free tier.

/// Of what a query reads, on demand.
/// <https://cloud.google.com/bigquery/pricing#on_demand_pricing>
const QUERY_DOLLARS_PER_TIB: f64 = 6.25;
/// A query is billed for 10 MiB of each table at least.
const LEAST_MEBIBYTES: u64 = 10;
/// Of what the Storage Read API sends.
/// <https://cloud.google.com/bigquery/pricing#data_extraction_pricing>
const READ_DOLLARS_PER_TIB: f64 = 1.1;

/// Mebibytes that a query is billed for which reads so many bytes of each of several tables.
pub fn billed_mebibytes(read: &[u64]) -> u64 {
    read.iter().map(|bytes| bytes.div_ceil(1 << 20).max(LEAST_MEBIBYTES)).sum()
}

/// US dollars for such a query, on demand.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn query_dollars(read: &[u64]) -> f64 {
    billed_mebibytes(read) as f64 / f64::from(1 << 20) * QUERY_DOLLARS_PER_TIB
}

/// US dollars for bytes that the Storage Read API sends.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
pub fn read_dollars(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20).powi(2) * READ_DOLLARS_PER_TIB
}
