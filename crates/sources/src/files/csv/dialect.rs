//! The characters that a CSV file is written with.

use super::stops::Stops;

/// How records are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::files) struct Dialect {
    pub(super) delimiter: u8,
    pub(super) quote: Option<u8>,
    /// What takes its meaning from the next character; a quote is doubled without it.
    pub(super) escape: Option<u8>,
    pub(super) comment: Option<u8>,
    /// Whether a carriage return alone ends a record, as in files of old Macs.
    pub(super) is_cr_only: bool,
    /// What a field without quotes may end at.
    pub(super) stops: Stops,
    /// What a field within quotes may end at.
    pub(super) ends_of_quoted: Stops,
}

impl Dialect {
    /// A dialect of these characters.
    pub(in crate::files) fn new(
        delimiter: u8,
        quote: Option<u8>,
        escape: Option<u8>,
        comment: Option<u8>,
    ) -> Self {
        // A character that escapes itself is a quote that is doubled.
        let escape = escape.filter(|escape| Some(*escape) != quote);
        Self {
            delimiter,
            quote,
            escape,
            comment,
            is_cr_only: false,
            stops: Stops::new([delimiter, b'\n', b'\r'].into_iter().chain(escape)),
            ends_of_quoted: Stops::new(quote.into_iter().chain(escape)),
        }
    }

    /// The dialect of a file, or of a part of it that begins with a record: carriage returns may end records
    /// there.
    #[must_use]
    pub(in crate::files) fn with_returns(self, is_cr_only: bool) -> Self {
        Self { is_cr_only, ..self }
    }

    /// Whether carriage returns alone end the records of a file that begins with these bytes.
    pub(in crate::files) fn has_returns(&self, text: &[u8]) -> bool {
        let mut is_quoted = false;
        for (at, byte) in text.iter().enumerate() {
            match byte {
                byte if Some(*byte) == self.quote => is_quoted = !is_quoted,
                b'\n' if !is_quoted => return false,
                b'\r' if !is_quoted => return text.get(at + 1) != Some(&b'\n'),
                _ => {}
            }
        }
        false
    }

    /// Whether carriage returns alone end records.
    pub(in crate::files) fn has_line_returns(&self) -> bool {
        self.is_cr_only
    }

    /// The quote.
    pub(in crate::files) fn quote(&self) -> Option<u8> {
        self.quote
    }
}
