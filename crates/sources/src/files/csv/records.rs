//! Splitting CSV into records and fields.
//!
//! The grammar is that of RFC 4180 with the characters that the job names. It is stricter than most
//! readers, so that damage is found and not read as data: behind a closing quote comes a delimiter or the
//! end of the record, and a quote that was opened is closed. A quote within a field that does not begin
//! with one is a character like others, because many programs write it so.
//!
//! <https://www.rfc-editor.org/rfc/rfc4180>

use super::dialect::Dialect;

/// Bytes of a record at most. A longer one is almost certainly a quote that nobody closes.
pub(in crate::files) const LONGEST_RECORD: usize = 128 << 20;

/// One field, as a place in the bytes that were split.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::files) struct Field {
    start: u32,
    /// The end, and in its highest bits what is known of the field.
    end: u32,
}

/// The field stood in quotes.
const QUOTED: u32 = 1 << 31;
/// It held escaped characters, so that its value is another text than the one that stood there.
const ESCAPED: u32 = 1 << 30;
/// That text said NULL.
const NULL: u32 = 1 << 29;
const FLAGS: u32 = QUOTED | ESCAPED | NULL;

impl Field {
    fn new(start: usize, end: usize, flags: u32) -> Self {
        // A caller splits less than 2^29 bytes at once.
        let place = |at: usize| u32::try_from(at).unwrap_or(u32::MAX) & !FLAGS;
        Self { start: place(start), end: place(end) | flags }
    }

    /// Its bytes, as they stand between the quotes.
    #[inline]
    pub(in crate::files) fn of(self, bytes: &[u8]) -> &[u8] {
        let end = self.end & !FLAGS;
        bytes.get(self.start as usize..end as usize).unwrap_or_default()
    }

    /// The bytes from its first on, of which the first [`Field::length`] are its own.
    #[inline]
    pub(in crate::files) fn front(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..).unwrap_or_default()
    }

    /// How many bytes [`Field::of`] gives.
    #[inline]
    pub(in crate::files) fn length(self) -> usize {
        ((self.end & !FLAGS) - self.start) as usize
    }

    #[inline]
    pub(in crate::files) fn is_quoted(self) -> bool {
        self.end & QUOTED != 0
    }

    #[inline]
    pub(in crate::files) fn is_escaped(self) -> bool {
        self.end & ESCAPED != 0
    }

    /// Whether it says NULL where this text says it. In quotes, a text says itself; where there is no text to
    /// say, as in a column of numbers, nothing at all is NULL too.
    #[inline]
    pub(in crate::files) fn is_null(self, bytes: &[u8], null: &[u8], is_text: bool) -> bool {
        let length = self.length();
        if length == 0 && (!is_text || null.is_empty() && !self.is_quoted()) {
            return true;
        }
        if self.end & (QUOTED | ESCAPED) != 0 {
            return self.end & NULL != 0;
        }
        length == null.len() && self.of(bytes) == null
    }
}

/// Records as fields, one record after another.
#[derive(Debug, Default)]
pub(in crate::files) struct Records {
    /// The fields of all records.
    pub(in crate::files) fields: Vec<Field>,
    /// Where the fields of each record end in `fields`.
    pub(in crate::files) ends: Vec<u32>,
    /// Where each record begins in the bytes.
    pub(in crate::files) starts: Vec<u32>,
}

impl Records {
    pub(in crate::files) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(in crate::files) fn clear(&mut self) {
        self.fields.clear();
        self.ends.clear();
        self.starts.clear();
    }

    /// The fields of each record.
    pub(in crate::files) fn iter(&self) -> impl Iterator<Item = &[Field]> {
        let mut from = 0;
        self.ends.iter().map(move |&end| {
            let fields = self.fields.get(from..end as usize).unwrap_or_default();
            from = end as usize;
            fields
        })
    }

    fn forget_record(&mut self, begun: usize) {
        self.fields.truncate(begun);
    }
}

/// Why bytes are not records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::files) struct Malformed {
    /// Where the record begins.
    pub(in crate::files) record: usize,
    pub(in crate::files) why: &'static str,
}

const OPEN: &str = "a quote is opened and not closed";
const BEHIND_QUOTE: &str = "something other than a delimiter follows a closing quote";
const LONE_RETURN: &str = "a carriage return stands alone outside of quotes";
const ENDS_IN_ESCAPE: &str = "the file ends after the character that escapes another";

/// How one field ended.
enum Next {
    Delimiter(usize),
    /// The record ended, and the next one begins here.
    Record(usize),
    /// More bytes are needed.
    Cut,
}

impl Dialect {
    /// Splits records off the front of `bytes`, at most `most` of them, and says how many bytes they
    /// are. What follows the last whole record is left, unless no bytes follow: then it is a record too.
    ///
    /// Blank lines and comments are no records, but a blank line is one where each record has a single
    /// field, which `is_single` says.
    #[inline]
    pub(in crate::files) fn split(
        &self,
        bytes: &[u8],
        is_last: bool,
        is_single: bool,
        most: usize,
        into: &mut Records,
    ) -> Result<usize, Malformed> {
        let mut at = 0;
        while into.len() < most && at < bytes.len() {
            match self.skip(bytes, at, is_last, is_single) {
                Line::Skipped(after) => {
                    at = after;
                    continue;
                }
                Line::Cut => break,
                Line::Record => {}
            }
            let begun = into.fields.len();
            match self.record(bytes, at, is_last, into)? {
                Some(after) => {
                    into.starts.push(u32::try_from(at).unwrap_or(u32::MAX));
                    into.ends.push(u32::try_from(into.fields.len()).unwrap_or(u32::MAX));
                    at = after;
                }
                None => {
                    into.forget_record(begun);
                    break;
                }
            }
        }
        Ok(at)
    }

    /// Whether a line begins at `at` that is no record.
    #[inline]
    fn skip(&self, bytes: &[u8], at: usize, is_last: bool, is_single: bool) -> Line {
        let Some(&first) = bytes.get(at) else { return Line::Cut };
        if Some(first) == self.comment {
            let mark = if self.is_cr_only { b'\r' } else { b'\n' };
            let rest = bytes.get(at..).unwrap_or_default();
            return match rest.iter().position(|byte| *byte == mark) {
                Some(end) => Line::Skipped(at + end + 1),
                None if is_last => Line::Skipped(bytes.len()),
                None => Line::Cut,
            };
        }
        if is_single {
            return Line::Record;
        }
        match (first, bytes.get(at + 1)) {
            (b'\n' | b'\r', _) if self.is_cr_only => Line::Skipped(at + 1),
            (b'\n', _) => Line::Skipped(at + 1),
            (b'\r', Some(b'\n')) => Line::Skipped(at + 2),
            (b'\r', None) if is_last => Line::Skipped(at + 1),
            (b'\r', None) => Line::Cut,
            _ => Line::Record,
        }
    }

    /// Reads one record, and says where the next one begins; `None` if more bytes are needed.
    #[inline]
    fn record(
        &self,
        bytes: &[u8],
        start: usize,
        is_last: bool,
        into: &mut Records,
    ) -> Result<Option<usize>, Malformed> {
        let mut at = start;
        loop {
            let next = match bytes.get(at) {
                Some(&first) if Some(first) == self.quote => {
                    self.quoted(bytes, start, at + 1, is_last, into)?
                }
                _ => self.plain(bytes, start, at, is_last, into)?,
            };
            match next {
                Next::Delimiter(after) => at = after,
                Next::Record(after) => return Ok(Some(after)),
                Next::Cut => return Ok(None),
            }
        }
    }

    /// A field that does not begin with a quote.
    #[inline]
    fn plain(
        &self,
        bytes: &[u8],
        record: usize,
        start: usize,
        is_last: bool,
        into: &mut Records,
    ) -> Result<Next, Malformed> {
        let mut at = start;
        let mut flags = 0;
        loop {
            at = self.stops.find(bytes, at);
            let Some(&stop) = bytes.get(at) else {
                if !is_last {
                    return Ok(Next::Cut);
                }
                into.fields.push(Field::new(start, at, flags));
                return Ok(Next::Record(at));
            };
            if stop == self.delimiter {
                into.fields.push(Field::new(start, at, flags));
                return Ok(Next::Delimiter(at + 1));
            }
            if Some(stop) == self.escape {
                flags |= ESCAPED;
                at += 2;
                if at > bytes.len() {
                    let why = ENDS_IN_ESCAPE;
                    return if is_last { Err(Malformed { record, why }) } else { Ok(Next::Cut) };
                }
                continue;
            }
            return match self.line_end(bytes, at, is_last) {
                LineEnd::At(after) => {
                    into.fields.push(Field::new(start, at, flags));
                    Ok(Next::Record(after))
                }
                LineEnd::Cut => Ok(Next::Cut),
                LineEnd::Alone => Err(Malformed { record, why: LONE_RETURN }),
            };
        }
    }

    /// A field within quotes, from its first byte.
    #[inline]
    fn quoted(
        &self,
        bytes: &[u8],
        record: usize,
        start: usize,
        is_last: bool,
        into: &mut Records,
    ) -> Result<Next, Malformed> {
        let open = || if is_last { Err(Malformed { record, why: OPEN }) } else { Ok(Next::Cut) };
        let mut at = start;
        let mut flags = QUOTED;
        loop {
            at = self.ends_of_quoted.find(bytes, at);
            let Some(&stop) = bytes.get(at) else { return open() };
            if Some(stop) == self.escape {
                flags |= ESCAPED;
                at += 2;
                if at > bytes.len() {
                    return open();
                }
                continue;
            }
            match bytes.get(at + 1) {
                Some(&next) if next == stop => {
                    flags |= ESCAPED;
                    at += 2;
                }
                Some(&next) if next == self.delimiter => {
                    into.fields.push(Field::new(start, at, flags));
                    return Ok(Next::Delimiter(at + 2));
                }
                Some(b'\n' | b'\r') => {
                    return match self.line_end(bytes, at + 1, is_last) {
                        LineEnd::At(after) => {
                            into.fields.push(Field::new(start, at, flags));
                            Ok(Next::Record(after))
                        }
                        LineEnd::Cut => Ok(Next::Cut),
                        LineEnd::Alone => Err(Malformed { record, why: LONE_RETURN }),
                    };
                }
                None if is_last => {
                    into.fields.push(Field::new(start, at, flags));
                    return Ok(Next::Record(at + 1));
                }
                None => return Ok(Next::Cut),
                Some(_) => return Err(Malformed { record, why: BEHIND_QUOTE }),
            }
        }
    }

    /// The end of a line, where a byte stands that may be one.
    #[inline]
    fn line_end(&self, bytes: &[u8], at: usize, is_last: bool) -> LineEnd {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\n'), _) => LineEnd::At(at + 1),
            (Some(_), _) if self.is_cr_only => LineEnd::At(at + 1),
            (_, Some(b'\n')) => LineEnd::At(at + 2),
            (_, None) if is_last => LineEnd::At(at + 1),
            (_, None) => LineEnd::Cut,
            _ => LineEnd::Alone,
        }
    }

    /// Puts the value of a field whose characters are escaped in its place. Spaces fill what becomes free
    /// behind it, so that lines can be counted still.
    pub(in crate::files) fn unescape(&self, field: &mut Field, null: &[u8], bytes: &mut [u8]) {
        let is_null = !field.is_quoted() && field.of(bytes) == null;
        let (start, end) = (field.start as usize, field.start as usize + field.length());
        let doubled = self.quote.filter(|_| field.is_quoted());
        let (mut from, mut to) = (start, start);
        while from < end {
            let is_mark = Some(bytes[from]) == self.escape || Some(bytes[from]) == doubled;
            from += usize::from(is_mark && from + 1 < end);
            bytes[to] = bytes[from];
            (from, to) = (from + 1, to + 1);
        }
        bytes[to..end].fill(b' ');
        let flags = field.end & (QUOTED | ESCAPED) | if is_null { NULL } else { 0 };
        *field = Field::new(start, to, flags);
    }
}

/// What begins at a place.
enum Line {
    Record,
    /// A line that is no record, and the next one begins here.
    Skipped(usize),
    /// More bytes are needed to tell.
    Cut,
}

enum LineEnd {
    /// It is one, and the next line begins here.
    At(usize),
    Cut,
    Alone,
}
