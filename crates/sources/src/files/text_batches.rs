//! The rows of text: of CSV and JSON lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use arrow_array::RecordBatch;
use async_trait::async_trait;
use sluice_contracts::documents::BadRow;
use sluice_contracts::job::FormatName;
use sluice_contracts::{Error, Result};

use super::csv::{CsvDecoder, Header, Width};
use super::fetch::Fetch;
use super::format::Format;
use super::json::JsonDecoder;
use super::piece::FilePiece;
use super::place::{At, Place};
use super::reader::What;
use super::sample::head;
use super::store::FileStore;
use super::text::Text;
use crate::source::Batches;

#[derive(Debug)]
enum Decoder {
    Csv(Box<CsvDecoder>),
    Json(Box<JsonDecoder>),
}

/// The rows of a unit's files, one file after another.
pub(super) struct TextBatches {
    what: What,
    decoder: Decoder,
    files: VecDeque<FilePiece>,
    open: Option<OpenFile>,
    /// Of the files before the open one.
    bytes: u64,
    waited: Duration,
}

impl What {
    /// Which fields of the file fill the columns. What stands before its records is skipped.
    async fn width(&self, file: &mut OpenFile) -> Result<Width> {
        let name = file.name.clone();
        let of =
            |header: &Header| Width::of(&name, &self.format, header, &self.columns, &self.known);
        if self.format.name == Some(FormatName::JsonLines) {
            return Ok(Width::none(self.columns.len()));
        }
        if file.piece.range.start > 0 {
            let head = head(&self.store, self.format.coding, file.piece.file.clone()).await?;
            let header = Header::read(&name, &self.format, &head.text, head.is_whole)?;
            let too_long = || Error::data(format!("read the header of `{name}`: it is too long"));
            return of(&header.ok_or_else(too_long)?);
        }
        loop {
            let is_last = file.ended && !file.is_bounded();
            let text = file.buffer.get(file.at..).unwrap_or_default();
            if let Some(header) = Header::read(&name, &self.format, text, is_last)? {
                file.skip(header.end);
                // A file without a byte has no header either, and no rows.
                let is_empty = file.ended && file.at == file.buffer.len();
                if is_empty && header.names.as_ref().is_some_and(Vec::is_empty) {
                    return Ok(Width::none(self.known.len()));
                }
                return of(&header);
            }
            // Only the last range of a file ends with its header.
            if file.ended {
                return Err(file.ends_within_a_record());
            }
            file.refill().await?;
        }
    }
}

/// A file that is being read.
struct OpenFile {
    piece: FilePiece,
    /// Its path, for messages.
    name: String,
    text: Text,
    /// Text that was read, of which the first `at` bytes became rows.
    buffer: Vec<u8>,
    at: usize,
    /// Whether no text follows.
    ended: bool,
    place: At,
    width: Option<Width>,
}

impl OpenFile {
    fn new(store: &Arc<FileStore>, format: &Format, piece: FilePiece) -> Result<Self> {
        let fetch = Fetch::new(store, &piece.file, Some(piece.range.clone()))?;
        let begins = piece.range.start == 0;
        let name = store.name_of(&piece.file.path);
        let text = Text::new(&name, format.coding, fetch, begins);
        let place = match piece.range.start {
            0 => At::Lines(0),
            start if format.coding.is_single_byte() => At::Characters(start),
            start => At::Bytes(start),
        };
        Ok(Self { piece, name, text, buffer: Vec::new(), at: 0, ended: false, place, width: None })
    }

    /// Whether the bytes behind it belong to another unit.
    fn is_bounded(&self) -> bool {
        self.piece.range.end < self.piece.file.size
    }

    /// Adds text to the buffer, which keeps only what became no row yet.
    async fn refill(&mut self) -> Result<()> {
        let Some(more) = self.text.next().await? else {
            self.ended = true;
            return Ok(());
        };
        if self.at == self.buffer.len() {
            self.buffer = Vec::from(more);
        } else {
            drop(self.buffer.drain(..self.at));
            self.buffer.extend_from_slice(&more);
        }
        self.at = 0;
        Ok(())
    }

    fn skip(&mut self, count: usize) {
        let end = (self.at + count).min(self.buffer.len());
        self.place = self.place.after(self.buffer.get(self.at..end).unwrap_or_default());
        self.at = end;
    }

    /// Refuses a range that ends within a record: the next one does not begin at a record then.
    ///
    /// This is what proves that a file which was cut without being read was cut between records. The first
    /// range begins where the file does, and each one that ends exactly where the next begins proves that
    /// that begins at a record. A run whose ranges all say so read the file as one reader would have.
    fn require_end(&self) -> Result<()> {
        if !self.is_bounded() || self.at == self.buffer.len() {
            return Ok(());
        }
        Err(self.ends_within_a_record())
    }

    fn ends_within_a_record(&self) -> Error {
        let (name, end) = (&self.name, self.piece.range.end);
        Error::data(format!(
            "read `{name}`: the range of bytes that ends at {end} ends within a record"
        ))
        .hint(AS_ONE)
    }
}

/// The remedy where a file was cut within a record.
const AS_ONE: &str = "set `partitioning.strategy` to `file`, so that each file is read as one, or correct the file: \
                      quotes in it may not be closed";

impl TextBatches {
    pub(super) fn new(what: What, files: VecDeque<FilePiece>) -> Result<Self> {
        let decoder = if what.format.name == Some(FormatName::Csv) {
            Decoder::Csv(Box::new(CsvDecoder::new(&what.format, &what.columns)?))
        } else {
            Decoder::Json(Box::new(JsonDecoder::new(&what.format, &what.columns, &what.known)?))
        };
        Ok(Self { what, decoder, files, open: None, bytes: 0, waited: Duration::ZERO })
    }

    /// Makes rows of the open file until a batch is full or the file ends. Says whether it is full.
    async fn fill(&mut self, file: &mut OpenFile) -> Result<bool> {
        if file.width.is_none() {
            file.width = Some(self.what.width(file).await?);
        }
        loop {
            let is_last = file.ended && !file.is_bounded();
            let (taken, full) = self.take(file, is_last)?;
            file.skip(taken);
            if full {
                return Ok(true);
            }
            if taken > 0 {
                continue;
            }
            if file.ended {
                file.require_end()?;
                return Ok(false);
            }
            file.refill().await?;
        }
    }

    fn take(&mut self, file: &mut OpenFile, is_last: bool) -> Result<(usize, bool)> {
        let place = Place { name: &file.name, at: file.place };
        let text = file.buffer.get_mut(file.at..).unwrap_or_default();
        let width = file.width.as_ref();
        let taken = match (&mut self.decoder, width) {
            (Decoder::Csv(csv), Some(width)) => csv.take(text, is_last, width, &place),
            (Decoder::Json(json), _) => json.take(text, is_last, &place),
            (Decoder::Csv(_), None) => return Err(Error::bug("read a file before its header")),
        };
        let is_range = file.is_bounded() || file.piece.range.start > 0;
        taken.map_err(|error| if is_range { in_range(error) } else { error })
    }

    fn finish(&mut self) -> Result<Option<RecordBatch>> {
        match &mut self.decoder {
            Decoder::Csv(csv) => csv.finish(),
            Decoder::Json(json) => json.finish(),
        }
    }
}

/// An error of a file that is read in ranges, which may have been cut within a record.
fn in_range(error: Error) -> Error {
    match error.remedy() {
        Some(hint) => {
            let hint = format!("{hint}; or {AS_ONE}");
            error.hint(hint)
        }
        None => error,
    }
}

#[async_trait]
impl Batches for TextBatches {
    async fn next(&mut self) -> Result<Option<RecordBatch>> {
        loop {
            let mut file = match self.open.take() {
                Some(file) => file,
                None => match self.files.pop_front() {
                    Some(piece) => OpenFile::new(&self.what.store, &self.what.format, piece)?,
                    None => return self.finish(),
                },
            };
            if self.fill(&mut file).await? {
                self.open = Some(file);
                return self.finish();
            }
            self.bytes += file.text.received();
            self.waited += file.text.waited();
        }
    }

    fn bytes(&self) -> u64 {
        self.bytes + self.open.as_ref().map_or(0, |file| file.text.received())
    }

    fn waited(&self) -> Duration {
        self.waited + self.open.as_ref().map_or(Duration::ZERO, |file| file.text.waited())
    }

    fn invalid(&self) -> &[u64] {
        match &self.decoder {
            Decoder::Csv(csv) => &csv.invalid,
            Decoder::Json(json) => &json.invalid,
        }
    }

    fn take_bad_rows(&mut self) -> Vec<BadRow> {
        match &mut self.decoder {
            Decoder::Csv(csv) => csv.bad_rows.take(),
            Decoder::Json(json) => json.bad_rows.take(),
        }
    }
}
