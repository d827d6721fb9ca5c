//! Decoding ranges into their text.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta};

use super::super::type_table::RangeOf;
use super::refusal::{Refusal, sized};
use super::times::{date, timestamp};
use crate::builder::Invalid;
use crate::text_builder::TextBuilder;

/// What the first byte says: `RANGE_EMPTY` and its neighbours in `utils/rangetypes.h`.
const EMPTY: u8 = 0x01;
const WITH_LOWER: u8 = 0x02;
const WITH_UPPER: u8 = 0x04;
const NO_LOWER: u8 = 0x08;
const NO_UPPER: u8 = 0x10;

/// Appends a range as BigQuery writes it, with the brackets that all of its ranges have:
/// `[2024-01-01, UNBOUNDED)`.
/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#range_literals>
pub(super) fn append(of: RangeOf, value: &[u8], into: &mut TextBuilder) -> Result<(), Refusal> {
    let Some((flags, mut rest)) = value.split_first() else { return Err(SHORT) };
    let is = |flag: u8| flags & flag != 0;
    let lower = if is(EMPTY | NO_LOWER) { None } else { Some(bound(of, &mut rest)?) };
    let upper = if is(EMPTY | NO_UPPER) { None } else { Some(bound(of, &mut rest)?) };
    if !rest.is_empty() {
        return Err(Refusal::Malformed("a range that is longer than it says"));
    }
    if is(EMPTY) {
        return Err(Invalid("an empty range").into());
    }
    if lower.is_some() && !is(WITH_LOWER) {
        return Err(Invalid("an exclusive lower bound").into());
    }
    if upper.is_some() && is(WITH_UPPER) {
        return Err(Invalid("an inclusive upper bound").into());
    }
    // Writing to a builder cannot fail.
    let _ = write(of, [lower, upper], into);
    into.append_value("");
    Ok(())
}

const SHORT: Refusal = Refusal::Malformed("a range that ends early");

/// A bound, in days or microseconds since 1970.
fn bound(of: RangeOf, rest: &mut &[u8]) -> Result<i64, Refusal> {
    let (length, after) = rest.split_first_chunk().ok_or(SHORT)?;
    let length = usize::try_from(i32::from_be_bytes(*length)).map_err(|_| SHORT)?;
    let (value, after) = after.split_at_checked(length).ok_or(SHORT)?;
    *rest = after;
    match of {
        RangeOf::Date => Ok(date(i32::from_be_bytes(sized(value)?))?.into()),
        RangeOf::Timestamp | RangeOf::Timestamptz => timestamp(i64::from_be_bytes(sized(value)?)),
    }
}

fn write(of: RangeOf, bounds: [Option<i64>; 2], into: &mut TextBuilder) -> std::fmt::Result {
    let mut before = "[";
    for bound in bounds {
        into.write_str(before)?;
        before = ", ";
        let Some(bound) = bound else {
            into.write_str("UNBOUNDED")?;
            continue;
        };
        let since = match of {
            RangeOf::Date => TimeDelta::days(bound),
            RangeOf::Timestamp | RangeOf::Timestamptz => TimeDelta::microseconds(bound),
        };
        let at = DateTime::UNIX_EPOCH.naive_utc() + since;
        match of {
            RangeOf::Date => write!(into, "{}", at.date())?,
            RangeOf::Timestamp => write!(into, "{at}")?,
            RangeOf::Timestamptz => write!(into, "{at}+00")?,
        }
    }
    into.write_char(')')
}
