//! A column of single values in one row group.

use arrow_array::{Array as _, ArrayRef};
use parquet::basic::{Encoding, Type};
use parquet::column::page::Page;
use parquet::column::writer::ColumnCloseResult;
use parquet::errors::Result;
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedRowGroupWriter;
use parquet::schema::types::ColumnDescPtr;

use super::bits::{self, Levels};
use super::cells::{Cells, Kind, nulls, runs};
use super::compression::{ChunkCodec, Compressor};
use super::dictionary::Dictionary;
use super::pages::EncodedPages;
use super::plain::{Plain, Width};
use super::span::Span;
use crate::upload::Outbox;

/// A buffer that is larger than this many pages is freed, so that one long value does not keep it.
const KEPT_PAGES: usize = 4;

/// The values of a column in one row group.
pub(super) struct Column {
    leaf: ColumnDescPtr,
    kind: Kind,
    width: Width,
    page_bytes: usize,
    /// The rows of the open page, and their values: numbers of the dictionary, or plain.
    levels: Levels,
    numbers: Vec<u32>,
    plain: Plain,
    dictionary: Option<Dictionary>,
    /// A dictionary of more bytes is given up: the pages after it are plain.
    largest_dictionary: usize,
    is_given_up: bool,
    /// Encodings of the pages so far.
    encodings: Vec<Encoding>,
    codec: ChunkCodec,
    pages: EncodedPages,
    span: Option<Span>,
    rows: usize,
    nulls: usize,
    /// The page that is being made, without plain values.
    body: Vec<u8>,
}

impl Column {
    pub(super) fn new(
        leaf: ColumnDescPtr,
        kind: Kind,
        properties: &WriterProperties,
        page_bytes: usize,
    ) -> Self {
        let width = match leaf.physical_type() {
            Type::BOOLEAN => Width::Bit,
            Type::INT32 | Type::FLOAT => Width::Fixed(4),
            Type::INT64 | Type::DOUBLE => Width::Fixed(8),
            Type::INT96 => Width::Fixed(12),
            Type::FIXED_LEN_BYTE_ARRAY => {
                Width::Fixed(usize::try_from(leaf.type_length()).unwrap_or(0))
            }
            Type::BYTE_ARRAY => Width::Any,
        };
        let path = leaf.path();
        let has_dictionary = properties.dictionary_enabled(path);
        let dictionary =
            if has_dictionary { Dictionary::new(kind, width, page_bytes / 16) } else { None };
        let has_span = matches!(leaf.physical_type(), Type::INT32 | Type::INT64)
            && properties.statistics_enabled(path) != EnabledStatistics::None;
        Self {
            kind,
            width,
            page_bytes,
            levels: Levels::default(),
            numbers: Vec::new(),
            plain: Plain::new(),
            dictionary,
            largest_dictionary: properties.column_dictionary_page_size_limit(path),
            is_given_up: false,
            encodings: Vec::new(),
            codec: ChunkCodec::new(width),
            pages: EncodedPages::default(),
            span: has_span.then(Span::default),
            rows: 0,
            nulls: 0,
            body: Vec::new(),
            leaf,
        }
    }

    /// Adds the values of some rows, and closes the page that they make large enough.
    pub(super) fn write(&mut self, array: &ArrayRef, compressor: &mut Compressor) -> Result<()> {
        let data = array.to_data();
        let cells = Cells::of(&data, self.kind)?;
        let nulls = nulls(array);
        self.levels.add(nulls, array.len());
        for run in runs(nulls, array.len()) {
            if let Some(span) = &mut self.span {
                span.add(&cells, run.clone());
            }
            match &mut self.dictionary {
                Some(dictionary) if !self.is_given_up => {
                    dictionary.add(&cells, run, &mut self.numbers);
                }
                _ => self.plain.add(&cells, run, self.width),
            }
        }
        let too_large = |dictionary: &Dictionary| dictionary.plain.len() > self.largest_dictionary;
        if !self.is_given_up && self.dictionary.as_ref().is_some_and(too_large) {
            self.close_page(compressor)?;
            self.is_given_up = true;
            if let Some(dictionary) = &mut self.dictionary {
                dictionary.close();
            }
        }
        // The open numbers take half as much memory as open values may.
        if self.plain.len() >= self.page_bytes || 8 * self.numbers.len() >= self.page_bytes {
            self.close_page(compressor)?;
        }
        Ok(())
    }

    /// Bytes of the file, about, and bytes of memory.
    pub(super) fn sizes(&self) -> (usize, usize) {
        let (plain, memory) = self
            .dictionary
            .as_ref()
            .map_or((0, 0), |dictionary| (dictionary.plain.len(), dictionary.memory()));
        let numbers = self.numbers.len();
        // The open page shrinks as those before it did.
        let open = self.plain.len() + 2 * numbers + plain;
        let open = match self.pages.uncompressed {
            0 => open,
            uncompressed => open * self.pages.bytes / uncompressed,
        };
        let buffers = self.plain.capacity() + self.body.capacity() + 4 * numbers;
        (self.pages.bytes + open, self.pages.bytes + memory + buffers)
    }

    /// Writes the column chunk.
    pub(super) fn finish(
        mut self,
        compressor: &mut Compressor,
        into: &mut SerializedRowGroupWriter<'_, Outbox>,
    ) -> Result<()> {
        self.close_page(compressor)?;
        let mut data_at = 0;
        if self.encodings.contains(&Encoding::RLE_DICTIONARY)
            && let Some(dictionary) = self.dictionary.take()
        {
            let (length, count) = (dictionary.plain.len(), dictionary.len());
            let plain = Encoding::PLAIN;
            let page = Page::DictionaryPage {
                buf: self.codec.compress(&dictionary.plain, plain, compressor)?,
                num_values: u32::try_from(count).unwrap_or(u32::MAX),
                encoding: Encoding::PLAIN,
                is_sorted: false,
            };
            data_at = self.pages.push_first(page, length)?;
            self.add_encoding(Encoding::PLAIN);
        }
        self.add_encoding(Encoding::RLE);
        let kind = self.leaf.physical_type();
        let metadata = ColumnChunkMetaData::builder(self.leaf)
            .set_compression(self.codec.name())
            .set_encodings(self.encodings)
            .set_num_values(signed(self.rows))
            .set_total_compressed_size(signed(self.pages.bytes))
            .set_total_uncompressed_size(signed(self.pages.uncompressed))
            .set_data_page_offset(signed(data_at))
            .set_dictionary_page_offset((data_at > 0).then_some(0));
        let metadata = match &self.span {
            Some(span) => metadata.set_statistics(span.statistics(kind, self.nulls)),
            None => metadata,
        };
        let close = ColumnCloseResult {
            bytes_written: self.pages.bytes as u64,
            rows_written: self.rows as u64,
            metadata: metadata.build()?,
            bloom_filter: None,
            column_index: None,
            offset_index: None,
        };
        into.append_column(&self.pages, close)
    }

    fn close_page(&mut self, compressor: &mut Compressor) -> Result<()> {
        let rows = self.levels.rows();
        if rows == 0 {
            return Ok(());
        }
        self.rows += rows;
        self.nulls += self.levels.nulls();
        let levels = std::mem::take(&mut self.levels);
        let mut body = std::mem::take(&mut self.body);
        if self.leaf.max_def_level() > 0 {
            levels.append_to(&mut body);
        }
        let (encoding, length, buf) = match &self.dictionary {
            // A page of NULLs alone needs no dictionary.
            Some(dictionary) if !self.is_given_up && dictionary.len() > 0 => {
                bits::indexes(&self.numbers, dictionary.len(), &mut body);
                self.numbers.clear();
                let encoding = Encoding::RLE_DICTIONARY;
                (encoding, body.len(), self.codec.compress(&body, encoding, compressor)?)
            }
            _ => {
                let page = self.plain.page(&body);
                let buf = self.codec.compress(page, Encoding::PLAIN, compressor)?;
                let length = page.len();
                self.plain.clear(KEPT_PAGES * self.page_bytes);
                (Encoding::PLAIN, length, buf)
            }
        };
        self.add_encoding(encoding);
        let page = Page::DataPage {
            buf,
            num_values: u32::try_from(rows).unwrap_or(u32::MAX),
            encoding,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.pages.push(page, length)?;
        body.clear();
        self.body = body;
        Ok(())
    }

    fn add_encoding(&mut self, encoding: Encoding) {
        if !self.encodings.contains(&encoding) {
            self.encodings.push(encoding);
        }
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
