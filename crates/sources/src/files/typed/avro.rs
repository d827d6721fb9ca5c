//! Avro: the blocks of object container files, each of which is read once.
//!
//! <https://avro.apache.org/docs/1.12.0/specification/#object-container-files>

use std::io::{Cursor, Read as _};
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_avro::reader::{Reader, ReaderBuilder};
use arrow_schema::{ArrowError, SchemaRef};
use bytes::{Bytes, BytesMut};
use sluice_contracts::documents::{ObjectVersion, RowPlace};
use sluice_contracts::{Error, Result};

use super::batches::ROWS;
use crate::files::fetch::{Fetch, FileBytes};
use crate::files::store::FileStore;

/// What every Avro file begins with.
pub(in crate::files) const MAGIC: &[u8] = b"Obj\x01";
/// Bytes at the beginning of a file in which its header is looked for, one after the other.
const HEADERS: [u64; 3] = [64 << 10, 1 << 20, 16 << 20];
/// Bytes of a sync marker.
const MARKER: usize = 16;
/// Blocks are decoded together from so many bytes on.
const TOGETHER: usize = 1 << 20;
/// A block has no more bytes than memory can be expected to hold.
const LARGEST: u64 = 1 << 30;

/// The header of a file.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Its bytes.
    bytes: Bytes,
    marker: [u8; MARKER],
    schema: SchemaRef,
}

impl Header {
    /// Reads the header of a file.
    pub(super) async fn read(file: &FileBytes) -> Result<Self> {
        let name = file.name();
        let mut last = None;
        for length in HEADERS {
            let end = length.min(file.size());
            let bytes = file.get(0..end).await?;
            if !bytes.starts_with(MAGIC) {
                return Err(Error::data(format!("read `{name}`: it is not an Avro file")).hint(
                    "name its format in `source.format.type`; blocks without a header are not read",
                ));
            }
            let mut cursor = Cursor::new(bytes.clone());
            match ReaderBuilder::new().build(&mut cursor) {
                Ok(reader) => {
                    let (marker, schema) = (reader.avro_header().sync(), reader.schema());
                    drop(reader);
                    let end = usize::try_from(cursor.position()).unwrap_or(usize::MAX);
                    let bytes = bytes.slice(..end.min(bytes.len()));
                    return Ok(Self { bytes, marker, schema });
                }
                Err(source) => last = Some(source),
            }
            if end == file.size() {
                break;
            }
        }
        let error = Error::data(format!("read the header of `{name}`: it is not one of Avro"))
            .hint("write the file again, if it is damaged or cut off");
        Err(match last {
            Some(source) => error.because(source),
            None => error,
        })
    }

    /// The columns of the file.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The byte at which the first block begins.
    pub(super) fn end(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Where in these bytes a block begins: behind the first marker.
    pub(super) fn block_in(&self, bytes: &[u8]) -> Option<usize> {
        memchr::memmem::find(bytes, &self.marker).map(|at| at + MARKER)
    }

    /// The records and bytes of the block at the beginning of some bytes; `None` if they end before it tells.
    pub(super) fn block_size(bytes: &[u8]) -> Option<(u64, u64)> {
        let mut rest = bytes;
        Some((long(&mut rest)?.ok()?, long(&mut rest)?.ok()?))
    }

    fn decoder(&self, blocks: Bytes, columns: &[usize]) -> Result<BlockReader, ArrowError> {
        let header = Cursor::new(self.bytes.clone());
        ReaderBuilder::new()
            .with_batch_size(ROWS)
            .with_projection(columns.to_vec())
            .build(header.chain(Cursor::new(blocks)))
    }
}

type BlockReader = Reader<std::io::Chain<Cursor<Bytes>, Cursor<Bytes>>>;

/// A number of Avro that counts something: 7 bits a byte, the lowest first, and its sign in the last bit. `None` if the
/// bytes end within it, and an error for what counts nothing.
fn long(bytes: &mut &[u8]) -> Option<Result<u64, ()>> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(if value & 1 == 0 { Ok(value >> 1) } else { Err(()) });
        }
    }
    Some(Err(()))
}

/// The rows of the blocks in a range of a file's bytes, which begins with a block and ends with one.
pub(super) struct AvroRows {
    name: String,
    header: Header,
    columns: Vec<usize>,
    fetch: Fetch,
    buffer: BytesMut,
    /// The place in the file of the first byte of the buffer.
    at: u64,
    end: u64,
    is_last: bool,
    decoder: Option<BlockReader>,
    /// Records of the blocks that are being decoded.
    left: u64,
    /// Records before the next one, from the beginning of the range.
    row: u64,
    begins: bool,
    waited: Duration,
}

impl std::fmt::Debug for AvroRows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AvroRows")
            .field("name", &self.name)
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl AvroRows {
    /// The rows of a range, with these of the file's columns.
    pub(super) fn new(
        store: &Arc<FileStore>,
        file: &ObjectVersion,
        header: Header,
        range: &Range<u64>,
        columns: &[usize],
    ) -> Result<Self> {
        let at = range.start.max(header.end());
        Ok(Self {
            name: store.name_of(&file.path),
            fetch: Fetch::new(store, file, Some(at..range.end.max(at)))?,
            header,
            columns: columns.to_vec(),
            buffer: BytesMut::new(),
            at,
            end: range.end,
            is_last: range.end == file.size,
            decoder: None,
            left: 0,
            row: 0,
            begins: range.start == 0,
            waited: Duration::ZERO,
        })
    }

    /// The next rows; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            if let Some(decoder) = &mut self.decoder {
                match decoder.next() {
                    Some(Ok(batch)) if batch.num_rows() == 0 => continue,
                    Some(Ok(batch)) => {
                        let rows = batch.num_rows() as u64;
                        self.left = self
                            .left
                            .checked_sub(rows)
                            .ok_or_else(|| self.damaged("more records than it says"))?;
                        self.row += rows;
                        return Ok(Some(batch));
                    }
                    Some(Err(source)) => {
                        return Err(self
                            .damaged("values that its schema does not allow")
                            .because(source));
                    }
                    None if self.left > 0 => return Err(self.damaged("fewer records than it says")),
                    None => self.decoder = None,
                }
            }
            let Some(blocks) = self.blocks().await? else { return Ok(None) };
            let decoder = self.header.decoder(blocks, &self.columns);
            let failed = |source| Error::bug("read the blocks of an Avro file").because(source);
            self.decoder = Some(decoder.map_err(failed)?);
        }
    }

    /// Whole blocks, whose markers are those of the file; `None` after the last.
    async fn blocks(&mut self) -> Result<Option<Bytes>> {
        let mut whole = 0;
        loop {
            while whole < TOGETHER
                && let Some(length) = self.block_at(whole)?
            {
                whole += length;
            }
            if whole >= TOGETHER {
                break;
            }
            let begun = Instant::now();
            let more = self.fetch.next().await;
            self.waited += begun.elapsed();
            let Some(more) = more? else { break };
            self.buffer.extend_from_slice(&more);
        }
        if whole == 0 && self.buffer.is_empty() {
            return Ok(None);
        }
        if whole == 0 {
            return Err(self.unended());
        }
        self.at += whole as u64;
        Ok(Some(self.buffer.split_to(whole).freeze()))
    }

    /// The length of the block that begins at a place of the buffer, if the buffer has all of it.
    fn block_at(&mut self, place: usize) -> Result<Option<usize>> {
        let bytes = self.buffer.get(place..).unwrap_or_default();
        let mut rest = bytes;
        let (count, size) = match (long(&mut rest), long(&mut rest)) {
            (Some(Ok(count)), Some(Ok(size))) if size <= LARGEST => (count, size),
            (None, _) | (Some(Ok(_)), None) => return Ok(None),
            _ => return Err(self.misplaced(place)),
        };
        let size = usize::try_from(size).unwrap_or(usize::MAX);
        let Some((_, behind)) = rest.split_at_checked(size) else { return Ok(None) };
        let Some(marker) = behind.get(..MARKER) else { return Ok(None) };
        if marker != self.header.marker {
            return Err(self.misplaced(place));
        }
        let length = bytes.len() - behind.len() + MARKER;
        self.left += count;
        Ok(Some(length))
    }

    /// The place of the record that is so many before the next one: its number in the file, or the byte of a block
    /// behind it in a range, because nobody counts the records before that.
    pub(super) fn place(&self, before: usize) -> RowPlace {
        let number = self.row - before as u64 + 1;
        if self.begins { RowPlace::Row(number) } else { RowPlace::Byte(self.at) }
    }

    pub(super) fn received(&self) -> u64 {
        self.fetch.received()
    }

    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    fn misplaced(&self, place: usize) -> Error {
        let (name, at) = (&self.name, self.at + place as u64);
        Error::data(format!(
            "read `{name}`: no block begins or ends where one should, at byte {at}"
        ))
        .hint(
            "write the file again, if it is damaged; `partitioning.strategy: file` reads it as one",
        )
    }

    fn unended(&self) -> Error {
        let (name, end) = (&self.name, self.end);
        let what = if self.is_last { "it ends" } else { "a range of it ends" };
        Error::data(format!("read `{name}`: {what} within a block, at byte {end}"))
            .hint("write the file again: it is damaged or cut off")
    }

    fn damaged(&self, what: &str) -> Error {
        let (name, at) = (&self.name, self.at);
        Error::data(format!("read `{name}`: a block before byte {at} has {what}"))
            .hint("write the file again: it is damaged")
    }
}
