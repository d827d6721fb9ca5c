//! Bytes on their way, kept until the service has them.

use std::collections::VecDeque;

use bytes::Bytes;

/// All pieces of an upload but its last are a multiple of this
/// (<https://cloud.google.com/storage/docs/performing-resumable-uploads#chunked-upload>).
const QUANTUM: u64 = 256 << 10;

/// The bytes of an object that the service may not have yet.
#[derive(Debug, Default)]
pub(super) struct Unsent {
    /// Offset in the object at which they begin.
    start: u64,
    waiting: VecDeque<Bytes>,
    length: u64,
    crc32c: u32,
}

impl Unsent {
    pub(super) fn push(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        self.crc32c = crc32c::crc32c_append(self.crc32c, &bytes);
        self.length += bytes.len() as u64;
        self.waiting.push_back(bytes);
    }

    /// Offset of the first of them in the object, which is the number of bytes that the service
    /// has.
    pub(super) fn start(&self) -> u64 {
        self.start
    }

    /// Length of the object so far.
    pub(super) fn total(&self) -> u64 {
        self.start + self.length
    }

    /// CRC-32C of all bytes that were ever pushed.
    pub(super) fn crc32c(&self) -> u32 {
        self.crc32c
    }

    /// End of what can be sent while more may follow: some bytes have to be left for the piece that
    /// completes the object.
    pub(super) fn sendable(&self) -> u64 {
        self.start + self.length.saturating_sub(1) / QUANTUM * QUANTUM
    }

    /// The bytes from the start up to `end`. They stay here too.
    pub(super) fn up_to(&self, end: u64) -> Vec<Bytes> {
        let mut left = end.saturating_sub(self.start);
        let mut taken = Vec::new();
        for bytes in &self.waiting {
            if left == 0 {
                break;
            }
            let length = left.min(bytes.len() as u64);
            taken.push(bytes.slice(..usize::try_from(length).unwrap_or(bytes.len())));
            left -= length;
        }
        taken
    }

    /// Forgets what the service has: everything before `end`. `false` if the service reports less
    /// than it had, or more than was pushed.
    #[must_use]
    pub(super) fn forget(&mut self, end: u64) -> bool {
        if end < self.start || end > self.total() {
            return false;
        }
        let mut left = end - self.start;
        while left > 0 {
            let Some(mut bytes) = self.waiting.pop_front() else { break };
            let length = left.min(bytes.len() as u64);
            if length < bytes.len() as u64 {
                let rest = bytes.split_off(usize::try_from(length).unwrap_or(bytes.len()));
                self.waiting.push_front(rest);
            }
            left -= length;
        }
        self.length -= end - self.start;
        self.start = end;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(range: std::ops::Range<u64>) -> Bytes {
        range.map(|at| u8::try_from(at * 7 % 251).unwrap()).collect()
    }

    fn pieces() -> Unsent {
        let mut pieces = Unsent::default();
        for at in 0..10 {
            pieces.push(bytes(at * 100_000..(at + 1) * 100_000));
        }
        pieces
    }

    #[test]
    fn something_is_left_for_the_last_piece() {
        assert_eq!(Unsent::default().sendable(), 0);
        assert_eq!(pieces().sendable(), 3 * QUANTUM);
        let mut whole = Unsent::default();
        whole.push(bytes(0..QUANTUM * 2));
        assert_eq!(whole.sendable(), QUANTUM);
        whole.push(bytes(0..1));
        assert_eq!(whole.sendable(), QUANTUM * 2);
    }

    #[test]
    fn what_the_service_has_is_forgotten_wherever_it_ends() {
        for end in [0, 1, 99_999, 100_000, 100_001, QUANTUM, 999_999, 1_000_000] {
            let mut pieces = pieces();
            assert!(pieces.forget(end));
            assert_eq!((pieces.start(), pieces.total()), (end, 1_000_000));
            assert_eq!(pieces.up_to(1_000_000).concat(), bytes(end..1_000_000), "{end}");
            let middle = end.midpoint(1_000_000);
            assert_eq!(pieces.up_to(middle).concat(), bytes(end..middle), "{end}");
        }
    }

    #[test]
    fn a_service_that_forgets_or_invents_is_not_believed() {
        let mut pieces = pieces();
        assert!(!pieces.forget(1_000_001));
        assert!(pieces.forget(QUANTUM));
        assert!(!pieces.forget(QUANTUM - 1));
        assert_eq!(pieces.total(), 1_000_000);
    }

    #[test]
    fn the_checksum_is_of_everything() {
        let mut pieces = pieces();
        assert!(pieces.forget(QUANTUM));
        assert_eq!(pieces.crc32c(), crc32c::crc32c(&bytes(0..1_000_000)));
    }
}
