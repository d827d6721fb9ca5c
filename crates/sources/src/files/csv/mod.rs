//! CSV: records of fields.

mod batches;
mod boundary;
mod dialect;
mod header;
mod records;
mod stops;
#[cfg(test)]
mod tests;

pub(super) use batches::CsvDecoder;
pub(super) use boundary::{Boundary, find_boundary};
pub(super) use dialect::Dialect;
pub(super) use header::{Header, Width, delimiter_line};
pub(super) use records::{Field, LONGEST_RECORD, Malformed, Records};
