//! The encoded pages of a column chunk, until its row group is closed.

use std::collections::VecDeque;
use std::io::Read;

use bytes::{Buf as _, Bytes};
use parquet::column::page::{CompressedPage, Page, PageWriter as _};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::writer::{SerializedPageWriter, TrackedWrite};

/// Pages with their headers, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct EncodedPages {
    pages: VecDeque<Bytes>,
    /// Bytes of all pages.
    pub(super) bytes: usize,
    /// Bytes that they have uncompressed.
    pub(super) uncompressed: usize,
}

impl EncodedPages {
    /// Adds a page behind the others, which has this length uncompressed.
    pub(super) fn push(&mut self, page: Page, length: usize) -> Result<()> {
        let page = self.encode(page, length)?;
        self.pages.push_back(page);
        Ok(())
    }

    /// Adds the page before all others, and returns its bytes.
    pub(super) fn push_first(&mut self, page: Page, length: usize) -> Result<usize> {
        let page = self.encode(page, length)?;
        let bytes = page.len();
        self.pages.push_front(page);
        Ok(bytes)
    }

    fn encode(&mut self, page: Page, length: usize) -> Result<Bytes> {
        let mut sink = TrackedWrite::new(Vec::with_capacity(page.buffer().len() + 64));
        let page = CompressedPage::new(page, length);
        let written = SerializedPageWriter::new(&mut sink).write_page(page)?;
        self.uncompressed += written.uncompressed_size;
        let page = Bytes::from(sink.into_inner()?);
        self.bytes += page.len();
        Ok(page)
    }
}

impl Length for EncodedPages {
    fn len(&self) -> u64 {
        self.bytes as u64
    }
}

/// Handed to the writer of the row group, which reads all pages from the first byte on.
impl ChunkReader for EncodedPages {
    type T = Pieces;

    fn get_read(&self, start: u64) -> Result<Pieces> {
        if start != 0 {
            return Err(ParquetError::General("pages are read from their begin".to_owned()));
        }
        Ok(Pieces(self.pages.clone()))
    }

    fn get_bytes(&self, _: u64, _: usize) -> Result<Bytes> {
        Err(ParquetError::General("pages are read one after another".to_owned()))
    }
}

/// Reads pages one after another.
pub(super) struct Pieces(VecDeque<Bytes>);

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while let Some(page) = self.0.front_mut() {
            if page.is_empty() {
                self.0.pop_front();
                continue;
            }
            let taken = page.len().min(into.len());
            page.copy_to_slice(into.get_mut(..taken).unwrap_or_default());
            return Ok(taken);
        }
        Ok(0)
    }
}
