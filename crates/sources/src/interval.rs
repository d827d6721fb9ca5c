//! Intervals as text.

use std::fmt::Write;

use crate::builder::Invalid;

/// The longest interval of BigQuery has each of these, with either sign.
/// <https://cloud.google.com/bigquery/docs/reference/standard-sql/data-types#interval_type>
const MONTHS: u32 = 10_000 * 12;
const DAYS: u32 = 366 * 10_000;
const MICROS: u64 = DAYS as u64 * 24 * HOUR;

const SECOND: u64 = 1_000_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

/// Writes months, days and microseconds as a duration of ISO 8601, as PostgreSQL's `intervalstyle` of that name
/// writes it: each number has a sign of its own.
pub(crate) fn write(
    months: i32,
    days: i32,
    micros: i64,
    into: &mut impl Write,
) -> Result<(), Invalid> {
    if months.unsigned_abs() > MONTHS {
        return Err(Invalid("more than 10,000 years"));
    }
    if days.unsigned_abs() > DAYS {
        return Err(Invalid("more than 3,660,000 days"));
    }
    if micros.unsigned_abs() > MICROS {
        return Err(Invalid("more than 87,840,000 hours"));
    }
    // Writing to memory cannot fail.
    let _ = spell(months, days, micros, into);
    Ok(())
}

fn spell(months: i32, days: i32, micros: i64, into: &mut impl Write) -> std::fmt::Result {
    if (months, days, micros) == (0, 0, 0) {
        return into.write_str("PT0S");
    }
    into.write_char('P')?;
    for (number, unit) in [(months / 12, 'Y'), (months % 12, 'M'), (days, 'D')] {
        if number != 0 {
            write!(into, "{number}{unit}")?;
        }
    }
    if micros == 0 {
        return Ok(());
    }
    into.write_char('T')?;
    let (sign, micros) = (if micros < 0 { "-" } else { "" }, micros.unsigned_abs());
    for (number, unit) in [(micros / HOUR, 'H'), (micros % HOUR / MINUTE, 'M')] {
        if number != 0 {
            write!(into, "{sign}{number}{unit}")?;
        }
    }
    let (seconds, mut fraction) = (micros % MINUTE / SECOND, micros % SECOND);
    match (seconds, fraction) {
        (0, 0) => Ok(()),
        (_, 0) => write!(into, "{sign}{seconds}S"),
        _ => {
            let mut digits = 6;
            while fraction.is_multiple_of(10) {
                (fraction, digits) = (fraction / 10, digits - 1);
            }
            write!(into, "{sign}{seconds}.{fraction:0digits$}S")
        }
    }
}
