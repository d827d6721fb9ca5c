//! Days, times of day and moments, as the wire counts them.

use super::refusal::Refusal;
use crate::builder::Invalid;

const DAY: i64 = 86_400_000_000;
/// 2000-01-01, from which the wire counts, in days since 1970-01-01.
const EPOCH: i32 = 10_957;
/// 0001-01-01 and 9999-12-31, in days since 1970-01-01.
const FIRST_DAY: i32 = -719_162;
const LAST_DAY: i32 = 2_932_896;

#[inline]
pub(super) fn date(days: i32) -> Result<i32, Refusal> {
    match days {
        i32::MIN | i32::MAX => Err(Invalid("infinity").into()),
        days => days
            .checked_add(EPOCH)
            .filter(|day| (FIRST_DAY..=LAST_DAY).contains(day))
            .ok_or_else(|| OUTSIDE.into()),
    }
}

const OUTSIDE: Invalid = Invalid("a year outside 1 to 9999");

#[inline]
pub(super) fn timestamp(micros: i64) -> Result<i64, Refusal> {
    const FIRST: i64 = FIRST_DAY as i64 * DAY;
    const AFTER: i64 = (LAST_DAY as i64 + 1) * DAY;
    match micros {
        i64::MIN | i64::MAX => Err(Invalid("infinity").into()),
        micros => micros
            .checked_add(i64::from(EPOCH) * DAY)
            .filter(|micros| (FIRST..AFTER).contains(micros))
            .ok_or_else(|| OUTSIDE.into()),
    }
}

#[inline]
pub(super) fn time(micros: i64) -> Result<i64, Refusal> {
    match micros {
        0..DAY => Ok(micros),
        DAY => Err(Invalid("24:00:00").into()),
        _ => Err(Refusal::Malformed("a time outside of the day")),
    }
}
