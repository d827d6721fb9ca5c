//! PostgreSQL's binary COPY stream, decoded straight into Arrow builders.
//!
//! <https://www.postgresql.org/docs/current/sql-copy.html#SQL-COPY-BINARY-FORMAT>

mod array;
mod field;
mod geography;
mod interval;
mod numeric;
mod range;
mod refusal;
mod rows;
mod times;
mod value;

use arrow_array::RecordBatch;
use sluice_contracts::documents::{Column, Table, Unit};
use sluice_contracts::{Error, Result};

use super::dialect;
use super::type_table::suspicion;
use crate::builder::BatchBuilder;
use field::Field;
use rows::{Other, Rows};

/// Decodes one COPY stream of a table's columns.
///
/// The stream may arrive in pieces of any size; whole rows are decoded where they lie.
/// After an error the decoder cannot be used any more.
///
/// It is public for the fuzz target and for measurements.
#[derive(Debug)]
pub struct CopyDecoder {
    columns: Vec<Field>,
    found: Rows,
    batch: BatchBuilder,
    expects: Expects,
    /// The bytes so far of the one item that is not complete yet.
    pending: Vec<u8>,
    /// Bytes of the current row.
    row_bytes: usize,
    rows: u64,
    bytes: u64,
    invalid: Vec<u64>,
}

/// What the next bytes of the stream are.
#[derive(Debug, Clone, Copy)]
enum Expects {
    Header,
    /// This many bytes of the header that no version defines yet.
    Extension(usize),
    Row,
    /// The field of this column.
    Field(usize),
    /// Nothing: the trailer has been read.
    End,
}

const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";
/// The signature, four bytes of flags, and the length of the extension.
const HEADER: usize = SIGNATURE.len() + 8;
/// A value is shorter than 1 GiB in every version, so that a batch's offsets never overflow.
const MAX_VALUE: usize = 1 << 30;
/// Buffer for incomplete items that is kept from one to the next.
const KEPT: usize = 1 << 20;

impl CopyDecoder {
    /// A decoder for a stream of these columns, in this order.
    ///
    /// # Errors
    /// `Data` if a column's encoding is not known or cannot become its target type.
    pub fn new(columns: &[Column]) -> Result<Self> {
        let fields = columns.iter().map(Field::new).collect::<Result<Vec<_>>>()?;
        Ok(Self {
            found: Rows::default(),
            batch: BatchBuilder::new(columns),
            expects: Expects::Header,
            pending: Vec::new(),
            row_bytes: 0,
            rows: 0,
            bytes: 0,
            invalid: vec![0; fields.len()],
            columns: fields,
        })
    }

    /// A decoder for the rows of one unit, whose errors say how to find the row.
    pub(super) fn of_unit(table: &Table, unit: &Unit) -> Result<Self> {
        let mut decoder = Self::new(&table.columns)?;
        for (field, column) in decoder.columns.iter_mut().zip(&table.columns) {
            let condition = suspicion(column, &dialect::identifier(&column.source_name));
            field.search =
                condition.map(|condition| dialect::search(table, unit, &condition)).transpose()?;
        }
        Ok(decoder)
    }

    /// Takes bytes off the front of `chunk`: all of them, or those up to the end of a batch, which
    /// is returned. Call it until `chunk` is empty.
    ///
    /// # Errors
    /// `Data` if the stream is malformed, or contains a value that its column cannot hold and that
    /// ends the run.
    pub fn feed(&mut self, chunk: &mut &[u8]) -> Result<Option<RecordBatch>> {
        let before = chunk.len();
        let full = self.consume(chunk);
        self.bytes += (before - chunk.len()) as u64;
        if full? { self.finish_batch() } else { Ok(None) }
    }

    /// The same of a stream in the messages that the server sends it in, as far as each message is there to
    /// its end and holds one whole row. It stops before any other message: take that one out, and give what
    /// is in it to [`feed`](Self::feed).
    ///
    /// # Errors
    /// `Data` if a value cannot be held by its column and ends the run.
    pub fn feed_messages(&mut self, input: &mut &[u8]) -> Result<Option<RecordBatch>> {
        if !matches!(self.expects, Expects::Row) || !self.pending.is_empty() {
            return Ok(None);
        }
        let width = self.columns.len();
        loop {
            self.found.find(input, width, self.batch.room());
            let columns = self.columns.iter().zip(&mut self.batch.columns).zip(&mut self.invalid);
            for (at, ((column, into), invalid)) in columns.enumerate() {
                let other = Other { column, first: self.rows + 1, invalid };
                self.found.append(input, at, width, into, other)?;
            }
            let Rows { count, bytes, length, .. } = self.found;
            *input = input.get(length..).unwrap_or_default();
            self.rows += count as u64;
            self.bytes += bytes as u64;
            if self.batch.end_rows(count, bytes) {
                return self.finish_batch();
            }
            if count == 0 {
                return Ok(None);
            }
        }
    }

    /// The rows that are left, if any, after the last byte of the stream.
    ///
    /// # Errors
    /// `Transient` where the stream has no trailer: it was cut off.
    pub fn finish(&mut self) -> Result<Option<RecordBatch>> {
        self.refuse_early_end()?;
        self.finish_batch()
    }

    /// The rows so far, if any. Only now the texts are looked at.
    fn finish_batch(&mut self) -> Result<Option<RecordBatch>> {
        let first = self.rows - self.batch.rows() as u64 + 1;
        let Self { batch, columns, invalid, .. } = self;
        batch.finish_unchecked(|at, places| {
            let Some((column, count)) = columns.get(at).zip(invalid.get_mut(at)) else {
                return Ok(());
            };
            for place in places {
                column.refused(&value::NOT_UTF8.into(), first + *place as u64)?;
                *count += 1;
            }
            Ok(())
        })
    }

    /// Begins another stream, whose rows follow those of the one that was read.
    ///
    /// # Errors
    /// As [`finish`](Self::finish).
    pub(super) fn next_stream(&mut self) -> Result<()> {
        self.refuse_early_end()?;
        self.expects = Expects::Header;
        Ok(())
    }

    fn refuse_early_end(&self) -> Result<()> {
        match self.expects {
            Expects::End => Ok(()),
            _ => Err(Error::transient(format!(
                "read the copy stream: it ended early, after row {} of the unit",
                self.rows
            ))),
        }
    }

    /// Bytes taken so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Complete rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Values replaced by NULL so far, by column.
    pub fn invalid(&self) -> &[u64] {
        &self.invalid
    }

    /// Returns whether a batch is full; if not, the chunk is empty now.
    fn consume(&mut self, chunk: &mut &[u8]) -> Result<bool> {
        while !self.pending.is_empty() {
            let missing = self.item_length().saturating_sub(self.pending.len());
            if missing > 0 {
                let (taken, rest) = chunk.split_at(missing.min(chunk.len()));
                if taken.is_empty() {
                    return Ok(false);
                }
                self.pending.extend_from_slice(taken);
                *chunk = rest;
                continue;
            }
            let mut item = std::mem::take(&mut self.pending);
            let full = self.decode(&mut item.as_slice())?;
            if item.capacity() <= KEPT {
                item.clear();
                self.pending = item;
            }
            if full {
                return Ok(true);
            }
        }
        let full = self.decode(chunk)?;
        if !full {
            self.pending.extend_from_slice(chunk);
            *chunk = &[];
        }
        Ok(full)
    }

    /// Length of the pending item, as far as its first bytes show it.
    fn item_length(&self) -> usize {
        match self.expects {
            Expects::Header => HEADER,
            Expects::Row => 2,
            Expects::Field(_) => {
                let length = self.pending.first_chunk().map_or(0, |word| i32::from_be_bytes(*word));
                // A wrong length counts as complete: decoding it reports what is wrong.
                4 + usize::try_from(length).ok().filter(|length| *length < MAX_VALUE).unwrap_or(0)
            }
            Expects::Extension(_) | Expects::End => 0,
        }
    }

    /// Decodes the complete items at the front of `input` and takes them off, up to the end of a
    /// batch. Returns whether the batch is full.
    fn decode(&mut self, input: &mut &[u8]) -> Result<bool> {
        loop {
            match self.expects {
                Expects::Row => {
                    let Some((count, rest)) = input.split_first_chunk() else { return Ok(false) };
                    *input = rest;
                    self.row_bytes = 2;
                    self.begin_row(i16::from_be_bytes(*count))?;
                }
                Expects::Field(first) => {
                    let before = input.len();
                    let reached = self.fields(first, input)?;
                    self.row_bytes += before - input.len();
                    if reached < self.columns.len() {
                        self.expects = Expects::Field(reached);
                        return Ok(false);
                    }
                    self.expects = Expects::Row;
                    self.rows += 1;
                    if self.batch.end_row(self.row_bytes) {
                        return Ok(true);
                    }
                }
                Expects::Header => {
                    let Some((header, rest)) = input.split_first_chunk() else { return Ok(false) };
                    *input = rest;
                    self.expects = Expects::Extension(header_extension(header)?);
                }
                Expects::Extension(0) => self.expects = Expects::Row,
                Expects::Extension(left) => {
                    let (skipped, rest) = input.split_at(left.min(input.len()));
                    if skipped.is_empty() {
                        return Ok(false);
                    }
                    *input = rest;
                    self.expects = Expects::Extension(left - skipped.len());
                }
                Expects::End if input.is_empty() => return Ok(false),
                Expects::End => return Err(self.malformed("bytes after its end")),
            }
        }
    }

    fn begin_row(&mut self, count: i16) -> Result<()> {
        if usize::try_from(count) == Ok(self.columns.len()) {
            self.expects = Expects::Field(0);
            Ok(())
        } else if count == -1 {
            self.expects = Expects::End;
            Ok(())
        } else {
            Err(self.malformed("a row of more or fewer fields than the table's columns"))
        }
    }

    /// Decodes the row's fields from column `first` on; the first column whose field is not
    /// complete is returned, or the number of columns.
    fn fields(&mut self, first: usize, input: &mut &[u8]) -> Result<usize> {
        let mut reached = first;
        let columns = self.columns.iter().zip(&mut self.batch.columns).skip(first);
        for (column, into) in columns {
            let Some((length, body)) = input.split_first_chunk() else { break };
            let length = i32::from_be_bytes(*length);
            let invalid = self.invalid.get_mut(reached);
            let (value, rest) = if length == -1 {
                (None, body)
            } else {
                let Some(length) = usize::try_from(length).ok().filter(|n| *n < MAX_VALUE) else {
                    return Err(self.malformed("a value of impossible length"));
                };
                let Some((value, rest)) = body.split_at_checked(length) else { break };
                (Some(value), rest)
            };
            column.append(value, self.rows + 1, into, invalid.unwrap_or(&mut 0))?;
            *input = rest;
            reached += 1;
        }
        Ok(reached)
    }

    #[cold]
    fn malformed(&self, reason: &str) -> Error {
        let row = self.rows + 1;
        Error::data(format!("read row {row} of the unit: the copy stream is malformed: {reason}"))
    }
}

/// Checks the header and finds the length of its extension.
fn header_extension(header: &[u8; HEADER]) -> Result<usize> {
    let malformed =
        |reason| Err(Error::data(format!("read the copy stream: it is malformed: {reason}")));
    let Some(fields) = header.strip_prefix(SIGNATURE) else {
        return malformed("it does not begin with the signature of binary COPY");
    };
    let (flags, extension) = match fields {
        [a, b, c, d, length @ ..] => (u32::from_be_bytes([*a, *b, *c, *d]), length),
        _ => (0, fields),
    };
    // The upper half are flags that a reader has to know, and none is defined yet.
    if flags >> 16 != 0 {
        return malformed("its flags are not known");
    }
    let extension = extension.first_chunk().map_or(-1, |length| i32::from_be_bytes(*length));
    match usize::try_from(extension) {
        Ok(extension) => Ok(extension),
        Err(_) => malformed("its header has an impossible length"),
    }
}

#[cfg(test)]
pub(super) mod tests;
