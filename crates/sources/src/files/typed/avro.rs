//! Avro: the blocks of object container files, each of which is read once.
//!
//! <https://avro.apache.org/docs/1.12.0/specification/#object-container-files>

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow_array::RecordBatch;
use arrow_avro::compression::CompressionCodec;
use arrow_avro::reader::{Decoder, DecoderMode, ReaderBuilder};
use arrow_avro::schema::{AvroSchema, Fingerprint, FingerprintAlgorithm, SchemaStore};
use arrow_schema::{ArrowError, Schema, SchemaRef};
use bytes::BytesMut;
use sluice_contracts::documents::{ObjectVersion, RowPlace};
use sluice_contracts::{Error, Result};

use super::batches::ROWS;
use super::block::{BlockFrame, MARKER, NoBlock, number, unpacked};
use super::schema_names::with_plain_names;
use crate::files::fetch::Fetch;
use crate::files::file_bytes::FileBytes;
use crate::files::store::FileStore;

/// What every Avro file begins with.
pub(in crate::files) const MAGIC: &[u8] = b"Obj\x01";
/// Bytes at the beginning of a file in which its header is looked for, one after the other.
const HEADERS: [u64; 3] = [64 << 10, 1 << 20, 16 << 20];

/// The header of a file.
#[derive(Debug, Clone)]
pub(super) struct Header {
    /// Where the first block begins.
    end: u64,
    marker: [u8; MARKER],
    schema: SchemaRef,
    /// The schema as it is read: its types have names without namespaces.
    written: String,
    codec: Option<CompressionCodec>,
}

impl Header {
    /// Reads the header of a file.
    pub(super) async fn read(file: &FileBytes) -> Result<Self> {
        let name = file.name();
        for length in HEADERS {
            let end = length.min(file.size());
            let bytes = file.get(0..end).await?;
            if !bytes.starts_with(MAGIC) {
                return Err(Error::data(format!("read `{name}`: it is not an Avro file")).hint(
                    "name its format in `source.format.type`; records without a header are not read",
                ));
            }
            match RawHeader::read(&bytes) {
                Some(Ok(raw)) => return Self::of(name, &raw),
                Some(Err(NoBlock)) => break,
                None if end == file.size() => break,
                None => {}
            }
        }
        Err(Error::data(format!("read the header of `{name}`: it does not end"))
            .hint("write the file again: it is damaged or cut off"))
    }

    fn of(name: &str, raw: &RawHeader<'_>) -> Result<Self> {
        let codec = match raw.codec {
            None | Some(b"null") => None,
            Some(b"deflate") => Some(CompressionCodec::Deflate),
            Some(b"snappy") => Some(CompressionCodec::Snappy),
            Some(b"zstandard") => Some(CompressionCodec::ZStandard),
            Some(b"bzip2") => Some(CompressionCodec::Bzip2),
            Some(codec) => {
                let codec = String::from_utf8_lossy(codec).replace('`', "'");
                return Err(Error::data(format!(
                    "read the header of `{name}`: its codec `{codec}` is not known"
                ))
                .hint("write it with `deflate`, `snappy`, `zstandard` or `bzip2`"));
            }
        };
        let written = with_plain_names(raw.schema).map_err(|what| {
            Error::data(format!("read the header of `{name}`: {what}"))
                .hint("write the files with another schema")
        })?;
        let this = Self {
            end: raw.end as u64,
            marker: raw.marker,
            schema: Arc::new(Schema::empty()),
            written,
            codec,
        };
        let decoder = this.decoder(None).map_err(|source| {
            Error::data(format!("read the header of `{name}`: its schema cannot be read"))
                .because(source)
                .hint("write the files with another schema")
        })?;
        Ok(Self { schema: decoder.schema(), ..this })
    }

    /// The columns of the file.
    pub(super) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// How its blocks are compressed.
    pub(super) fn codec(&self) -> Option<CompressionCodec> {
        self.codec
    }

    /// The byte at which the first block begins.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Where in these bytes a block begins: behind the first marker.
    pub(super) fn block_in(&self, bytes: &[u8]) -> Option<usize> {
        memchr::memmem::find(bytes, &self.marker).map(|at| at + MARKER)
    }

    /// A decoder of single records, which reads these of the columns, or all.
    fn decoder(&self, columns: Option<&[usize]>) -> Result<Decoder, ArrowError> {
        let of_file = Fingerprint::Id(0);
        let mut schemas = SchemaStore::new_with_type(FingerprintAlgorithm::Id);
        schemas.set(of_file, AvroSchema::new(self.written.clone()))?;
        let mut builder = ReaderBuilder::new()
            .with_batch_size(ROWS)
            .with_writer_schema_store(schemas)
            .with_active_fingerprint(of_file)
            .with_decoder_mode(DecoderMode::UnframedDatum);
        if let Some(columns) = columns {
            builder = builder.with_projection(columns.to_vec());
        }
        builder.build_decoder()
    }
}

/// What stands in a header.
#[derive(Debug, Default)]
struct RawHeader<'b> {
    schema: &'b [u8],
    codec: Option<&'b [u8]>,
    marker: [u8; MARKER],
    /// Its bytes in all.
    end: usize,
}

impl<'b> RawHeader<'b> {
    /// Reads the header at the beginning of a file; `None` if the bytes end within it.
    fn read(bytes: &'b [u8]) -> Option<Result<Self, NoBlock>> {
        let mut header = Self::default();
        let mut rest = bytes.get(MAGIC.len()..)?;
        loop {
            let count = match number(&mut rest)? {
                Ok(0) => break,
                // The bytes of so many entries follow.
                Ok(count) if count < 0 => {
                    if number(&mut rest)?.is_err() {
                        return Some(Err(NoBlock));
                    }
                    count.unsigned_abs()
                }
                Ok(count) => count.unsigned_abs(),
                Err(NoBlock) => return Some(Err(NoBlock)),
            };
            for _ in 0..count {
                let (Ok(key), Ok(value)) = (text(&mut rest)?, text(&mut rest)?) else {
                    return Some(Err(NoBlock));
                };
                match key {
                    b"avro.schema" => header.schema = value,
                    b"avro.codec" => header.codec = Some(value),
                    _ => {}
                }
            }
        }
        header.marker = *rest.first_chunk()?;
        header.end = bytes.len() - rest.len() + MARKER;
        Some(Ok(header))
    }
}

/// A text, or bytes, behind their length.
fn text<'b>(bytes: &mut &'b [u8]) -> Option<Result<&'b [u8], NoBlock>> {
    let Ok(length) = number(bytes)?.and_then(|length| usize::try_from(length).map_err(|_| NoBlock))
    else {
        return Some(Err(NoBlock));
    };
    let (text, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(Ok(text))
}

/// The rows of the blocks in a range of a file's bytes, which begins with a block and ends with one.
#[derive(Debug)]
pub(super) struct AvroRows {
    name: String,
    header: Header,
    fetch: Fetch,
    /// Bytes of the file that were fetched, and not yet taken.
    buffer: BytesMut,
    /// The place in the file of the first byte of the buffer.
    at: u64,
    range: Range<u64>,
    size: u64,
    decoder: Decoder,
    /// The records of the block that is decoded.
    block: Vec<u8>,
    /// Bytes of them that were decoded, and records that were not.
    done: usize,
    left: u64,
    /// Records before the next one, from the beginning of the range.
    row: u64,
    waited: Duration,
}

impl AvroRows {
    /// The rows of a range, with these of the file's columns, of which there has to be one.
    pub(super) fn new(
        store: &Arc<FileStore>,
        file: &ObjectVersion,
        header: Header,
        range: &Range<u64>,
        columns: &[usize],
    ) -> Result<Self> {
        let at = range.start.max(header.end);
        let failed = |source| Error::bug("read the records of an Avro file").because(source);
        Ok(Self {
            name: store.name_of(&file.path),
            fetch: Fetch::new(store, file, Some(at..range.end.max(at)))?.or_skip(),
            decoder: header.decoder(Some(columns)).map_err(failed)?,
            header,
            buffer: BytesMut::new(),
            at,
            range: range.clone(),
            size: file.size,
            block: Vec::new(),
            done: 0,
            left: 0,
            row: 0,
            waited: Duration::ZERO,
        })
    }

    /// The next rows; `None` after the last.
    pub(super) async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            while self.left > 0 && !self.decoder.batch_is_full() {
                let rest = self.block.get(self.done..).unwrap_or_default();
                let decoded = self.decoder.decode(rest);
                self.done += decoded.map_err(|source| {
                    self.damaged("a record that its schema does not allow").because(source)
                })?;
                self.left -= 1;
                self.row += 1;
            }
            if self.left == 0 && self.done != self.block.len() {
                return Err(self.damaged("more bytes than its records"));
            }
            if self.decoder.batch_is_full() || (self.left == 0 && !self.next_block().await?) {
                let batch = self.decoder.flush();
                return batch
                    .map_err(|source| self.damaged("values that do not fit").because(source));
            }
        }
    }

    /// Makes the next block the one that is decoded. `false` after the last.
    async fn next_block(&mut self) -> Result<bool> {
        let (frame, length) = loop {
            match BlockFrame::read(&self.buffer) {
                Some(Err(_)) => return Err(self.misplaced()),
                Some(Ok(frame)) if frame.length() <= self.buffer.len() => {
                    break (frame, frame.length());
                }
                _ => {}
            }
            let begun = Instant::now();
            let more = self.fetch.next().await;
            self.waited += begun.elapsed();
            match more? {
                Some(more) => self.buffer.extend_from_slice(&more),
                None if self.buffer.is_empty() => return Ok(false),
                None => return Err(self.unended()),
            }
        };
        let block = self.buffer.get(..length).unwrap_or_default();
        if !block.ends_with(&self.header.marker) {
            return Err(self.misplaced());
        }
        let packed = block.get(frame.begins..length - MARKER).unwrap_or_default();
        let records = unpacked(self.header.codec, packed);
        self.block = records
            .map_err(|source| self.damaged("compressed data that is damaged").because(source))?;
        (self.done, self.left) = (0, frame.records);
        drop(self.buffer.split_to(length));
        self.at += length as u64;
        Ok(true)
    }

    /// The place of the record that is so many before the next one: its number in the file, or the byte at which the
    /// block behind it begins in a range, because nobody counts the records before that.
    pub(super) fn place(&self, before: usize) -> RowPlace {
        if self.range.start > 0 {
            return RowPlace::Byte(self.at);
        }
        RowPlace::Row(self.row - before as u64 + 1)
    }

    pub(super) fn received(&self) -> u64 {
        self.fetch.received()
    }

    pub(super) fn waited(&self) -> Duration {
        self.waited
    }

    fn misplaced(&self) -> Error {
        let (name, at) = (&self.name, self.at);
        Error::data(format!("read `{name}`: no whole block begins at byte {at}")).hint(
            "write the file again, if it is damaged; `partitioning.strategy: file` reads it as one",
        )
    }

    fn unended(&self) -> Error {
        let (name, end) = (&self.name, self.range.end);
        let what = if end == self.size { "it ends" } else { "a range of it ends" };
        Error::data(format!("read `{name}`: {what} within a block, at byte {end}"))
            .hint("write the file again: it is damaged or cut off")
    }

    fn damaged(&self, what: &str) -> Error {
        let (name, at) = (&self.name, self.at);
        Error::data(format!("read `{name}`: the block before byte {at} has {what}"))
            .hint("write the file again: it is damaged")
    }
}
