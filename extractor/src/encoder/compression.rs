//! How pages are compressed.

use std::time::{Duration, Instant};

use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::{ParquetError, Result};
use zstd::bulk;

/// Level 1 takes the least time, and the levels above it make files of the same size within a few hundredths.
const LEVEL: i32 = 1;

/// The codec of a column chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Codec {
    Zstd,
    /// For values that zstd makes no smaller.
    None,
}

/// A first page of fewer bytes says too little of the others.
const DECISIVE: usize = 64 << 10;

impl Codec {
    /// The codec for a column whose first page of plain values has this length, and this one
    /// compressed: what shrinks by less than a twenty-fifth is not worth the time.
    pub(super) fn of(length: usize, compressed: usize) -> Self {
        let shrinks = compressed <= length - length / 25;
        if shrinks || length < DECISIVE { Self::Zstd } else { Self::None }
    }

    /// Its name in the file.
    pub(super) fn name(self) -> Compression {
        match self {
            Self::Zstd => Compression::ZSTD(ZstdLevel::try_new(LEVEL).unwrap_or_default()),
            Self::None => Compression::UNCOMPRESSED,
        }
    }
}

/// Compresses pages, with memory that it keeps from one to the next.
pub(super) struct Compressor {
    zstd: bulk::Compressor<'static>,
    /// Time that it took so far.
    pub(super) spent: Duration,
}

impl Compressor {
    pub(super) fn new() -> Result<Self> {
        let zstd = bulk::Compressor::new(LEVEL).map_err(failed)?;
        Ok(Self { zstd, spent: Duration::ZERO })
    }

    pub(super) fn compress(&mut self, page: &[u8]) -> Result<Vec<u8>> {
        let begun = Instant::now();
        let compressed = self.zstd.compress(page).map_err(failed);
        self.spent += begun.elapsed();
        compressed
    }
}

fn failed(error: std::io::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}
