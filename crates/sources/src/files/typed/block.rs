//! The blocks of Avro files: what stands before and behind one, and what is in it.

use std::io::Read;

use arrow_avro::compression::CompressionCodec;
use crc::{CRC_32_ISO_HDLC, Crc};

/// Bytes of a sync marker.
pub(super) const MARKER: usize = 16;
/// A block has no more bytes than memory can be expected to hold.
const LARGEST: u64 = 1 << 30;

/// A block, as its first bytes describe it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockFrame {
    pub(super) records: u64,
    /// Bytes of the records in the file.
    pub(super) size: usize,
    /// Bytes before them.
    pub(super) begins: usize,
}

impl BlockFrame {
    /// What the first bytes of a block say; `None` if there are too few of them.
    ///
    /// # Errors
    /// If no block begins so.
    pub(super) fn read(bytes: &[u8]) -> Option<Result<Self, NoBlock>> {
        let mut rest = bytes;
        let (records, size) = match (long(&mut rest)?, long(&mut rest)) {
            (Ok(records), Some(Ok(size))) if size <= LARGEST => (records, size),
            (Ok(_), None) => return None,
            _ => return Some(Err(NoBlock)),
        };
        let begins = bytes.len() - rest.len();
        Some(Ok(Self { records, size: usize::try_from(size).unwrap_or(usize::MAX), begins }))
    }

    /// Bytes of the whole block in the file.
    pub(super) fn length(self) -> usize {
        self.begins + self.size + MARKER
    }
}

/// No block begins there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoBlock;

/// A number of Avro that counts something. `None` if the bytes end within it.
fn long(bytes: &mut &[u8]) -> Option<Result<u64, NoBlock>> {
    Some(number(bytes)?.and_then(|number| u64::try_from(number).map_err(|_| NoBlock)))
}

/// A number of Avro: 7 bits a byte, the lowest first, and its sign in the last bit. `None` if the bytes end within it.
pub(super) fn number(bytes: &mut &[u8]) -> Option<Result<i64, NoBlock>> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (first, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(first & 0x7f) << shift;
        if first & 0x80 == 0 {
            return Some(Ok((value >> 1).cast_signed() ^ -(value & 1).cast_signed()));
        }
    }
    Some(Err(NoBlock))
}

/// The records of a block without their compression.
///
/// # Errors
/// For data that is damaged, and for more than memory can be expected to hold.
pub(super) fn unpacked(
    codec: Option<CompressionCodec>,
    block: &[u8],
) -> Result<Vec<u8>, std::io::Error> {
    match codec {
        None => Ok(block.to_vec()),
        Some(CompressionCodec::Deflate) => limited(flate2::read::DeflateDecoder::new(block)),
        Some(CompressionCodec::ZStandard) => limited(zstd::Decoder::new(block)?),
        Some(CompressionCodec::Bzip2) => limited(bzip2::read::MultiBzDecoder::new(block)),
        Some(CompressionCodec::Snappy) => {
            // The checksum of the records follows.
            let (packed, sum) =
                block.split_last_chunk::<4>().ok_or_else(|| damaged("too short"))?;
            if snap::raw::decompress_len(packed)? as u64 > LARGEST {
                return Err(damaged("too large"));
            }
            let records = snap::raw::Decoder::new().decompress_vec(packed)?;
            let is_whole =
                Crc::<u32>::new(&CRC_32_ISO_HDLC).checksum(&records) == u32::from_be_bytes(*sum);
            if is_whole { Ok(records) } else { Err(damaged("its checksum is another one")) }
        }
        Some(CompressionCodec::Xz) => Err(damaged("compressed by `xz`, which is not read")),
    }
}

fn limited(packed: impl Read) -> Result<Vec<u8>, std::io::Error> {
    let mut records = Vec::new();
    packed.take(LARGEST + 1).read_to_end(&mut records)?;
    if records.len() as u64 > LARGEST { Err(damaged("too large")) } else { Ok(records) }
}

fn damaged(what: &'static str) -> std::io::Error {
    std::io::Error::other(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_from_other_bytes() {
        let frame = |bytes: &[u8]| BlockFrame::read(bytes);
        let known = |records, size, begins| Some(Ok(BlockFrame { records, size, begins }));
        assert_eq!(frame(&[0x06, 0x08, 1, 2]), known(3, 4, 2));
        assert_eq!(frame(&[0x80, 0x01, 0x00]), known(64, 0, 3));
        for part in [&[][..], &[0x06], &[0x80], &[0x06, 0x80, 0x80]] {
            assert_eq!(frame(part), None, "{part:?}");
        }
        for odd in [&[0x05, 0x00][..], &[0x06, 0x05], &[0xff; 11]] {
            assert_eq!(frame(odd), Some(Err(NoBlock)), "{odd:?}");
        }
    }

    #[test]
    fn a_block_of_snappy_that_is_too_short_is_refused() {
        for length in 0..4 {
            unpacked(Some(CompressionCodec::Snappy), &vec![0; length]).unwrap_err();
        }
    }
}
