//! How pages are compressed.

use std::time::{Duration, Instant};

use bytes::Bytes;
use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use zstd::bulk;
use zstd::zstd_safe::{self, CParameter};

use super::plain::Width;

/// Level 1 takes the least time, and the levels above it make files of the same size within a few hundredths.
const LEVEL: i32 = 1;
/// Bits of the table in which zstd finds matches. At level 1 they are 14 for a page of 1 MiB. A table of 32 KiB
/// stays in the fastest memory of most processors: that saves 5 to 9 % of the time of texts, and makes them 0 to
/// 3 % larger.
const TEXT_HASH_LOG: u32 = 13;
/// The same for everything else: values of one length become up to 4 % smaller with fewer bits, and the numbers of
/// a dictionary have few matches.
const FIXED_HASH_LOG: u32 = 11;

/// A codec.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Zstd,
    /// For values that zstd makes no smaller.
    None,
}

/// Bytes of memory that are kept from one page to the next, at most.
const KEPT: usize = 2 << 20;

/// A first page of fewer bytes says too little of the others.
const DECISIVE: usize = 64 << 10;

impl Codec {
    /// The codec for a column whose first page of plain values has this length, and this one
    /// compressed: what shrinks by less than a twenty-fifth is not worth the time.
    fn of(length: usize, compressed: usize) -> Self {
        let shrinks = compressed <= length - length / 25;
        if shrinks || length < DECISIVE { Self::Zstd } else { Self::None }
    }
}

/// The codec of a column chunk, which its first page decides.
#[derive(Debug)]
pub(super) struct ChunkCodec {
    width: Width,
    decided: Option<Codec>,
}

impl ChunkCodec {
    /// For a column whose values have this length.
    pub(super) fn new(width: Width) -> Self {
        Self { width, decided: None }
    }

    /// Its name in the file.
    pub(super) fn name(&self) -> Compression {
        match self.decided {
            Some(Codec::None) => Compression::UNCOMPRESSED,
            _ => Compression::ZSTD(ZstdLevel::try_new(LEVEL).unwrap_or_default()),
        }
    }

    /// A page, compressed.
    pub(super) fn compress(
        &mut self,
        page: &[u8],
        encoding: Encoding,
        compressor: &mut Compressor,
    ) -> Result<Bytes> {
        // The numbers of a dictionary say nothing of the values in it.
        let has_values = encoding == Encoding::PLAIN;
        if self.decided == Some(Codec::None) {
            return Ok(Bytes::copy_from_slice(page));
        }
        let hash_log =
            if has_values && self.width == Width::Any { TEXT_HASH_LOG } else { FIXED_HASH_LOG };
        let compressed = compressor.compress(page, hash_log)?;
        if self.decided.is_none() {
            let codec =
                if has_values { Codec::of(page.len(), compressed.len()) } else { Codec::Zstd };
            self.decided = Some(codec);
            if codec == Codec::None {
                return Ok(Bytes::copy_from_slice(page));
            }
        }
        Ok(compressed)
    }
}

/// Compresses pages, with memory that it keeps from one to the next.
pub(super) struct Compressor {
    zstd: bulk::Compressor<'static>,
    /// What the last page became.
    compressed: Vec<u8>,
    /// Time that it took so far.
    pub(super) spent: Duration,
}

impl Compressor {
    pub(super) fn new() -> Result<Self> {
        let zstd = bulk::Compressor::new(LEVEL).map_err(failed)?;
        Ok(Self { zstd, compressed: Vec::new(), spent: Duration::ZERO })
    }

    fn compress(&mut self, page: &[u8], hash_log: u32) -> Result<Bytes> {
        let begun = Instant::now();
        self.zstd.set_parameter(CParameter::HashLog(hash_log)).map_err(failed)?;
        self.compressed.clear();
        self.compressed.reserve(zstd_safe::compress_bound(page.len()));
        let written = self.zstd.compress_to_buffer(page, &mut self.compressed).map_err(failed);
        self.spent += begun.elapsed();
        written?;
        if self.compressed.capacity() > KEPT {
            return Ok(Bytes::from(std::mem::take(&mut self.compressed)));
        }
        Ok(Bytes::copy_from_slice(&self.compressed))
    }
}

fn failed(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
