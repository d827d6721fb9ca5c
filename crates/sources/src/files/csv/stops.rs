//! Finding the next byte of a few, eight bytes at a time.

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Up to four bytes that are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stops {
    /// Repeated in each byte of a word. One that is not needed repeats another.
    words: [u64; 4],
    count: usize,
    is_stop: [bool; 256],
}

impl Stops {
    pub(super) fn new(stops: impl IntoIterator<Item = u8>) -> Self {
        let mut this = Self { words: [0; 4], count: 0, is_stop: [false; 256] };
        for stop in stops {
            if let Some(word) = this.words.get_mut(this.count) {
                *word = u64::from(stop) * ONES;
                this.count += 1;
                this.is_stop[usize::from(stop)] = true;
            }
        }
        let first = this.words[0];
        this.words.iter_mut().skip(this.count).for_each(|word| *word = first);
        this
    }

    /// The place of the first of them at or behind `at`; the length of `bytes`, if `bytes` holds no stop.
    #[inline]
    pub(super) fn find(&self, bytes: &[u8], mut at: usize) -> usize {
        while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk::<8>()) {
            let word = u64::from_le_bytes(*chunk);
            let mut found = zero_bytes(word ^ self.words[0]) | zero_bytes(word ^ self.words[1]);
            if self.count > 2 {
                found |= zero_bytes(word ^ self.words[2]) | zero_bytes(word ^ self.words[3]);
            }
            if found != 0 {
                return at + (found.trailing_zeros() / 8) as usize;
            }
            at += 8;
        }
        let rest = bytes.get(at..).unwrap_or_default();
        at + rest.iter().position(|byte| self.is_stop[usize::from(*byte)]).unwrap_or(rest.len())
    }
}

/// The highest bit of each byte that is zero; a byte above the lowest of those may have it too.
#[inline]
fn zero_bytes(word: u64) -> u64 {
    word.wrapping_sub(ONES) & !word & HIGHS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_first_stop_is_found_wherever_it_is(
            bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(b'\n'), Just(b'\x0b')], 0..70),
            stops in proptest::collection::vec(any::<u8>(), 1..4),
            at in 0_usize..70,
        ) {
            let stops: Vec<u8> = stops.into_iter().chain([b'\n']).collect();
            let at = at.min(bytes.len());
            let expected = bytes[at..].iter().position(|byte| stops.contains(byte));
            let expected = expected.map_or(bytes.len(), |found| found + at);
            prop_assert_eq!(Stops::new(stops).find(&bytes, at), expected);
        }
    }
}
