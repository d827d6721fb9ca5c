//! Where records begin in the middle of a file that nobody read up to there.
//!
//! A byte in the middle of a CSV file is either within quotes or not, and only what stands before it
//! tells. A look at the bytes behind it usually tells too: read the wrong way, they are no records of the
//! file's number of fields. What is told so is only a guess that is almost never wrong. The proof comes
//! when the ranges are read: each one has to end exactly where the next one begins, at the start of a record
//! (see `OpenFile::require_end`).

use super::{Dialect, Records};

/// Records that have to look right, as long as the window has so many.
const ENOUGH: usize = 3;

/// What a look at a window of a file tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::files) enum Boundary {
    /// A record begins here.
    At(usize),
    /// A larger window may tell.
    Unknown,
}

/// The first record that begins behind the first byte of `window`, where records have so many fields.
/// `before` is the byte before the window.
pub(in crate::files) fn find_boundary(
    dialect: &Dialect,
    before: u8,
    window: &[u8],
    fields: usize,
) -> Boundary {
    let Some(start) = unambiguous(dialect, before, window) else { return Boundary::Unknown };
    let outside = look(dialect, window, behind_line(dialect, window, start), fields);
    let inside = match dialect.quote() {
        Some(quote) => {
            let behind = behind_quotes(dialect, quote, window, start);
            look(dialect, window, behind, fields)
        }
        None => Look::Wrong,
    };
    match (outside, inside) {
        (Look::Right(at), Look::Wrong | Look::Nothing) | (Look::Wrong, Look::Right(at)) => {
            Boundary::At(at)
        }
        _ => Boundary::Unknown,
    }
}

/// How records look from a place on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    /// They have the right number of fields, beginning here.
    Right(usize),
    /// They are no such records.
    Wrong,
    /// They may be, and there are too few to tell.
    Few,
    /// No record ends in the window.
    Nothing,
}

/// A place that is no half of a doubled quote, of an escaped character or of a line's end.
fn unambiguous(dialect: &Dialect, before: u8, window: &[u8]) -> Option<usize> {
    let is_mark =
        |byte: u8| Some(byte) == dialect.quote || Some(byte) == dialect.escape || byte == b'\r';
    let mut before = before;
    for (at, &byte) in window.iter().enumerate() {
        if !is_mark(before) && !is_mark(byte) && before != dialect.delimiter && before != b'\n' {
            return Some(at);
        }
        before = byte;
    }
    None
}

/// Where the record ends that `start` is in, if that is not within quotes.
fn behind_line(dialect: &Dialect, window: &[u8], start: usize) -> Behind {
    behind(dialect, window.get(start..).unwrap_or_default(), start, 0)
}

/// Where the record ends whose quoted field `start` is in.
fn behind_quotes(dialect: &Dialect, quote: u8, window: &[u8], start: usize) -> Behind {
    let mut rest = vec![quote];
    rest.extend_from_slice(window.get(start..).unwrap_or_default());
    behind(dialect, &rest, start, 1)
}

/// Where the rest of a record ends, of which `added` bytes are not in the window. How many fields it has does
/// not count.
fn behind(dialect: &Dialect, rest: &[u8], start: usize, added: usize) -> Behind {
    let mut records = Records::default();
    match dialect.split(rest, false, true, 1, &mut records) {
        Ok(0) => Behind::Window,
        Ok(length) => Behind::At(start + length - added),
        Err(_) => Behind::Never,
    }
}

/// Where a record ends.
#[derive(Debug, Clone, Copy)]
enum Behind {
    At(usize),
    /// Not in the window.
    Window,
    /// The bytes are no record.
    Never,
}

/// How the records look behind one that ends there.
fn look(dialect: &Dialect, window: &[u8], behind: Behind, fields: usize) -> Look {
    let start = match behind {
        Behind::At(start) => start,
        Behind::Window => return Look::Nothing,
        Behind::Never => return Look::Wrong,
    };
    let mut records = Records::default();
    let rest = window.get(start..).unwrap_or_default();
    if dialect.split(rest, false, fields == 1, ENOUGH * 4, &mut records).is_err() {
        return Look::Wrong;
    }
    let right = records.iter().filter(|record| record.len() == fields).count();
    match records.len() {
        all if right < all => Look::Wrong,
        all if all < ENOUGH => Look::Few,
        _ => match records.starts.first() {
            // Blank lines before it belong to the record before.
            Some(first) => Look::Right(start + *first as usize),
            None => Look::Few,
        },
    }
}
