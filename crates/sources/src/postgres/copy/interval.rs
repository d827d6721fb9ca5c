//! Decoding intervals into their text.

use super::refusal::{Refusal, sized};
use crate::builder::Invalid;
use crate::interval;
use crate::text_builder::TextBuilder;

/// Appends microseconds, days and months as text.
pub(super) fn append(value: &[u8], into: &mut TextBuilder) -> Result<(), Refusal> {
    let (micros, rest) = value.split_at_checked(8).unwrap_or_default();
    let (days, months) = rest.split_at_checked(4).unwrap_or_default();
    let micros = i64::from_be_bytes(sized(micros)?);
    let (days, months) = (i32::from_be_bytes(sized(days)?), i32::from_be_bytes(sized(months)?));
    match (micros, days, months) {
        (i64::MIN, i32::MIN, i32::MIN) | (i64::MAX, i32::MAX, i32::MAX) => {
            return Err(Invalid("infinity").into());
        }
        _ => {}
    }
    interval::write(months, days, micros, into)?;
    into.append_value("");
    Ok(())
}
