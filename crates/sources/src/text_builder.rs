//! A column of texts, grown value by value and checked as a whole.

use std::fmt;
use std::sync::Arc;

use arrow_array::{ArrayRef, StringArray};
use arrow_buffer::{Buffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use sluice_contracts::{Error, Result};

/// Bytes that room is made for before they come, at most: one long value is no reason to expect another.
const MOST_KEPT: usize = 8 << 20;

/// A value of up to this many bytes is copied as a block of this fixed length.
const SMALL_BLOCK: usize = 16;
const BLOCK: usize = 64;

/// A text column under construction.
///
/// Bytes that a source calls text are appended unchecked, and checked together before the array is made:
/// looking at a megabyte takes a fraction of the time that looking at each of its values takes.
#[derive(Debug)]
pub struct TextBuilder {
    bytes: Vec<u8>,
    /// Where each value ends, behind the 0 at which the first begins.
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextBuilder {
    /// An empty builder.
    pub fn new() -> Self {
        Self::with_capacity(0, 0)
    }

    fn with_capacity(values: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(values + 1);
        offsets.push(0);
        Self { bytes: Vec::with_capacity(bytes), offsets, nulls: NullBufferBuilder::new(values) }
    }

    /// Values so far.
    pub fn len(&self) -> usize {
        self.nulls.len()
    }

    /// Whether there are no values yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Ends a value with this text. What was written before belongs to it.
    #[inline]
    pub fn append_value(&mut self, text: &str) {
        self.append_bytes(text.as_bytes());
    }

    /// Appends a value that is looked at when the array is made.
    #[inline]
    pub(crate) fn append_bytes(&mut self, text: &[u8]) {
        self.bytes.extend_from_slice(text);
        self.nulls.append_non_null();
        self.end();
    }

    /// Appends the first `length` bytes of `from`, which has at least as many. The value is looked at when the
    /// array is made.
    #[inline]
    pub(crate) fn append_front(&mut self, from: &[u8], length: usize) {
        let end = self.bytes.len() + length;
        // A copy of a fixed length takes a few instructions and no call.
        if length <= SMALL_BLOCK
            && let Some(chunk) = from.first_chunk::<SMALL_BLOCK>()
        {
            self.bytes.extend_from_slice(chunk);
            self.bytes.truncate(end);
        } else if length <= BLOCK
            && let Some(chunk) = from.first_chunk::<BLOCK>()
        {
            self.bytes.extend_from_slice(chunk);
            self.bytes.truncate(end);
        } else {
            self.bytes.extend_from_slice(from.get(..length).unwrap_or(from));
        }
        self.nulls.append_non_null();
        self.end();
    }

    /// Appends NULL.
    pub fn append_null(&mut self) {
        self.nulls.append_null();
        self.end();
    }

    #[inline]
    fn end(&mut self) {
        // A batch ends at 4 MiB and one value. `finish` refuses texts of more than 2 GiB, because -1 is
        // less than the end of the value before.
        self.offsets.push(i32::try_from(self.bytes.len()).unwrap_or(-1));
    }

    /// The values as an array. The builder is empty afterwards, and has room for as many.
    ///
    /// Values that are not UTF-8 become NULL, if `allow` does not refuse them. It gets their places.
    pub(crate) fn finish(
        &mut self,
        allow: impl FnOnce(&[usize]) -> Result<()>,
    ) -> Result<ArrayRef> {
        let fresh = Self::with_capacity(self.len(), self.bytes.len().min(MOST_KEPT) + BLOCK);
        let full = std::mem::replace(self, fresh);
        if !full.offsets.is_sorted() {
            return Err(Error::data("build a text column: a value is longer than 2 GiB"));
        }
        let full = match full.into_array() {
            Ok(array) => return Ok(array),
            Err(full) => full,
        };
        let invalid = full.invalid();
        allow(&invalid)?;
        let array = full.with_nulls(&invalid).into_array();
        array.map_err(|_| Error::bug("build a text column: its values are not UTF-8"))
    }

    /// The array; or the builder, if not all is UTF-8.
    fn into_array(mut self) -> Result<ArrayRef, Self> {
        let offsets = ScalarBuffer::from(self.offsets);
        let bytes = Buffer::from_vec(self.bytes);
        let nulls = self.nulls.finish();
        let ends = OffsetBuffer::new(offsets.clone());
        match StringArray::try_new(ends, bytes.clone(), nulls.clone()) {
            Ok(array) => Ok(Arc::new(array)),
            Err(_) => {
                let mut kept = Self::new();
                kept.bytes = bytes.to_vec();
                kept.offsets = offsets.to_vec();
                match nulls {
                    Some(nulls) => nulls.iter().for_each(|is_valid| kept.nulls.append(is_valid)),
                    None => kept.nulls.append_n_non_nulls(kept.offsets.len() - 1),
                }
                Err(kept)
            }
        }
    }

    /// The places of the values that are not UTF-8.
    fn invalid(&self) -> Vec<usize> {
        let is_invalid =
            |(at, value): (usize, &[u8])| std::str::from_utf8(value).is_err().then_some(at);
        self.values().enumerate().filter_map(is_invalid).collect()
    }

    /// The same values, with NULL in some places, which ascend.
    fn with_nulls(mut self, places: &[usize]) -> Self {
        let mut kept = Self::with_capacity(self.len(), self.bytes.len());
        let nulls = self.nulls.finish();
        for (at, value) in self.values().enumerate() {
            let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
            if is_null || places.binary_search(&at).is_ok() {
                kept.append_null();
            } else {
                kept.append_bytes(value);
            }
        }
        kept
    }

    fn values(&self) -> impl Iterator<Item = &[u8]> {
        self.offsets.array_windows::<2>().map(|[start, end]| {
            let at = |offset: i32| usize::try_from(offset).unwrap_or(usize::MAX);
            self.bytes.get(at(*start)..at(*end)).unwrap_or_default()
        })
    }
}

impl Default for TextBuilder {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Write for TextBuilder {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.bytes.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use arrow_array::{Array as _, cast::AsArray as _};
    use proptest::prelude::*;

    use super::*;

    fn texts(array: &ArrayRef) -> Vec<Option<&str>> {
        array.as_string::<i32>().iter().collect()
    }

    fn finished(builder: &mut TextBuilder) -> ArrayRef {
        builder.finish(|places| panic!("{places:?} are not UTF-8")).unwrap()
    }

    #[test]
    fn texts_are_appended_written_and_left_out() {
        let mut builder = TextBuilder::new();
        builder.append_value("a");
        builder.append_null();
        write!(builder, "{}-", 7).unwrap();
        builder.append_value("é");
        builder.append_value("");
        assert_eq!(builder.len(), 4);
        let array = finished(&mut builder);
        assert_eq!(texts(&array), [Some("a"), None, Some("7-é"), Some("")]);
        assert!(builder.is_empty());
        builder.append_value("b");
        assert_eq!(texts(&finished(&mut builder)), [Some("b")]);
        assert_eq!(finished(&mut builder).len(), 0);
    }

    #[test]
    fn a_character_that_two_values_share_is_found() {
        let mut builder = TextBuilder::new();
        builder.append_bytes(b"x\xc3");
        builder.append_bytes(b"\xa9y");
        builder.append_value("z");
        let mut found = Vec::new();
        let array = builder.finish(|places| {
            found.extend_from_slice(places);
            Ok(())
        });
        assert_eq!(found, [0, 1]);
        assert_eq!(texts(&array.unwrap()), [None, None, Some("z")]);

        builder.append_bytes(b"\xff");
        let refused = builder.finish(|_| Err(Error::data("a text that is not UTF-8")));
        assert_eq!(refused.unwrap_err().to_string(), "a text that is not UTF-8");
    }

    #[test]
    fn a_value_is_taken_off_the_front_of_what_may_go_on() {
        let from: Vec<u8> = (b' '..=b'~').cycle().take(200).collect();
        let lengths = [0, 1, 15, 16, 17, 63, 64, 65, 199, 200];
        let mut builder = TextBuilder::new();
        let mut expected = Vec::new();
        for length in lengths {
            for more in [0, 1, 16 - length.min(16), 64 - length.min(64), 200 - length] {
                builder.append_front(&from[..(length + more).min(200)], length);
                expected.push(Some(std::str::from_utf8(&from[..length]).unwrap()));
            }
        }
        assert_eq!(texts(&finished(&mut builder)), expected);
    }

    proptest! {
        #[test]
        fn the_same_values_are_invalid_as_one_by_one(
            values in proptest::collection::vec(
                proptest::option::of(prop_oneof![
                    "\\PC{0,6}".prop_map(String::into_bytes),
                    proptest::collection::vec(any::<u8>(), 0..5),
                ]),
                0..40,
            ),
        ) {
            let mut builder = TextBuilder::new();
            for value in &values {
                match value {
                    Some(value) => builder.append_bytes(value),
                    None => builder.append_null(),
                }
            }
            let checked: Vec<Option<&str>> = values
                .iter()
                .map(|value| value.as_ref().and_then(|value| std::str::from_utf8(value).ok()))
                .collect();
            let invalid: Vec<usize> = (0..values.len())
                .filter(|&at| values[at].is_some() && checked[at].is_none())
                .collect();
            let mut found = Vec::new();
            let array = builder.finish(|places| {
                found.extend_from_slice(places);
                Ok(())
            });
            let array = array.unwrap();
            prop_assert_eq!(texts(&array), checked);
            prop_assert_eq!(found, invalid);
        }
    }
}
