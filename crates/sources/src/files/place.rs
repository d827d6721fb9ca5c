//! Where in a file something stands, for messages.

use sluice_contracts::documents::RowPlace;

/// A file, and how much of it was read before the text at hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The file's name.
    pub(super) name: &'a str,
    /// Where the text at hand begins.
    pub(super) at: At,
}

/// A place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum At {
    /// So many lines end before it.
    Lines(u64),
    /// So many bytes are before it: it is in a range, and nobody counted the lines before that.
    Bytes(u64),
    /// So many bytes are before it in a file whose characters are bytes, which they are not in its text.
    Characters(u64),
}

impl At {
    /// The place behind `text`, if that begins here.
    pub(super) fn after(self, text: &[u8]) -> Self {
        match self {
            Self::Lines(lines) => Self::Lines(lines + lines_of(text)),
            Self::Bytes(bytes) => Self::Bytes(bytes + text.len() as u64),
            Self::Characters(before) => {
                let begins = |byte: &&u8| **byte & 0xc0 != 0x80;
                Self::Characters(before + text.iter().filter(begins).count() as u64)
            }
        }
    }
}

impl Place<'_> {
    /// The place of what begins at `start` in the text at hand, as `` `a.csv`, line 3 ``.
    pub(super) fn of(&self, text: &[u8], start: usize) -> String {
        format!("`{}`, {}", self.name, self.row(text, start))
    }

    /// The same without the file.
    pub(super) fn row(&self, text: &[u8], start: usize) -> RowPlace {
        let before = text.get(..start).unwrap_or(text);
        match self.at.after(before) {
            At::Lines(lines) => RowPlace::Line(lines + 1),
            At::Bytes(bytes) | At::Characters(bytes) => RowPlace::Byte(bytes),
        }
    }
}

/// Lines that end in a text. A carriage return alone ends one too.
fn lines_of(text: &[u8]) -> u64 {
    let feeds = memchr::memchr_iter(b'\n', text).count() as u64;
    if feeds > 0 { feeds } else { memchr::memchr_iter(b'\r', text).count() as u64 }
}
