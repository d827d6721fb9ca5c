//! Days and times that are written as text.

use std::fmt::Write as _;

use chrono::{Datelike, NaiveDate, NaiveTime};

/// Days from the first day of year 1 to 1970-01-01, and one: what chrono counts from.
const EPOCH: i32 = 719_163;
const DAY: i64 = 86_400_000_000;
/// 0001-01-01.
pub(crate) const FIRST_DAY: i64 = -719_162;
/// 9999-12-31.
pub(crate) const LAST_DAY: i64 = 2_932_896;

/// What stands between day and time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) enum TextFormat {
    /// `2024-03-05 10:00:00`, as SQLite's own functions write it.
    #[default]
    Space,
    /// `2024-03-05T10:00:00`.
    T,
}

impl TextFormat {
    /// How `text` is spelled, if it continues after a day.
    pub(crate) fn of(text: &[u8]) -> Option<Self> {
        match text.get(10)? {
            b' ' => Some(Self::Space),
            b'T' | b't' => Some(Self::T),
            _ => None,
        }
    }
}

/// `YYYY-MM-DD` as days since 1970-01-01. A time may follow where it is midnight.
pub(crate) fn date(text: &[u8]) -> Option<i32> {
    match text.len() {
        10 => day(text),
        _ => datetime(text)
            .filter(|micros| micros % DAY == 0)
            .and_then(|micros| i32::try_from(micros / DAY).ok()),
    }
}

fn day(text: &[u8]) -> Option<i32> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let year = i32::from(two(y1, y2)?) * 100 + i32::from(two(y3, y4)?);
    if year == 0 {
        return None;
    }
    let day = NaiveDate::from_ymd_opt(year, two(m1, m2)?.into(), two(d1, d2)?.into())?;
    Some(day.num_days_from_ce() - EPOCH)
}

/// `HH:MM[:SS[.ffffff]]` as microseconds since midnight.
pub(crate) fn time(text: &[u8]) -> Option<i64> {
    match clock(text)? {
        (micros, []) => Some(micros),
        _ => None,
    }
}

/// A day and a time as microseconds since 1970-01-01 00:00:00. A day alone is its midnight; no zone
/// may follow.
pub(crate) fn datetime(text: &[u8]) -> Option<i64> {
    match local(text)? {
        (micros, []) => Some(micros),
        _ => None,
    }
}

/// A day and a time as microseconds since 1970-01-01 00:00:00 UTC. Without a zone it is UTC, and a
/// day alone is its midnight.
pub(crate) fn timestamp(text: &[u8]) -> Option<i64> {
    let (micros, rest) = local(text)?;
    let offset = match rest.strip_prefix(b" ").unwrap_or(rest) {
        [] if rest.is_empty() => 0,
        [b'Z' | b'z'] => 0,
        [sign @ (b'+' | b'-'), zone @ ..] => {
            let (hours, minutes) = match *zone {
                [h1, h2] => (two(h1, h2)?, 0),
                [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => (two(h1, h2)?, two(m1, m2)?),
                _ => return None,
            };
            if hours > 23 || minutes > 59 {
                return None;
            }
            let offset = (i64::from(hours) * 60 + i64::from(minutes)) * 60_000_000;
            if *sign == b'-' { -offset } else { offset }
        }
        _ => return None,
    };
    let utc = micros - offset;
    (FIRST_DAY * DAY..(LAST_DAY + 1) * DAY).contains(&utc).then_some(utc)
}

/// Days since 1970-01-01 as text. A day without a text becomes the nearest day that has one, so
/// that texts have the order of days.
pub(crate) fn date_text(days: i64) -> String {
    let days = i32::try_from(days.clamp(FIRST_DAY, LAST_DAY)).unwrap_or(0);
    let day = NaiveDate::from_num_days_from_ce_opt(days + EPOCH).unwrap_or_default();
    format!("{:04}-{:02}-{:02}", day.year(), day.month(), day.day())
}

/// Microseconds since 1970-01-01 00:00:00 as text, to the second where that is exact. Texts have
/// the order of times, as in [`date_text`].
pub(crate) fn datetime_text(micros: i64, spelling: TextFormat) -> String {
    let micros = micros.clamp(FIRST_DAY * DAY, (LAST_DAY + 1) * DAY - 1);
    let (days, rest) = (micros.div_euclid(DAY), micros.rem_euclid(DAY));
    let seconds = u32::try_from(rest / 1_000_000).unwrap_or(0);
    let clock = NaiveTime::from_num_seconds_from_midnight_opt(seconds, 0).unwrap_or_default();
    let separator = if spelling == TextFormat::T { 'T' } else { ' ' };
    let mut text = format!("{}{separator}{clock}", date_text(days));
    if rest % 1_000_000 != 0 {
        let _ = write!(text, ".{:06}", rest % 1_000_000);
    }
    text
}

/// A day, and after one character a time, and what follows them.
fn local(text: &[u8]) -> Option<(i64, &[u8])> {
    let (date, rest) = text.split_at_checked(10)?;
    let midnight = i64::from(day(date)?) * DAY;
    let rest = match rest {
        [] => return Some((midnight, rest)),
        [b' ' | b'T' | b't', rest @ ..] => rest,
        _ => return None,
    };
    let (micros, rest) = clock(rest)?;
    Some((midnight + micros, rest))
}

/// A time as microseconds since midnight, and what follows it.
fn clock(text: &[u8]) -> Option<(i64, &[u8])> {
    let [h1, h2, b':', m1, m2, rest @ ..] = text else { return None };
    let (hours, minutes) = (two(*h1, *h2)?, two(*m1, *m2)?);
    if hours > 23 || minutes > 59 {
        return None;
    }
    let minute = (i64::from(hours) * 60 + i64::from(minutes)) * 60_000_000;
    let [b':', s1, s2, rest @ ..] = rest else { return Some((minute, rest)) };
    let seconds = two(*s1, *s2)?;
    if seconds > 59 {
        return None;
    }
    let second = minute + i64::from(seconds) * 1_000_000;
    let [b'.', rest @ ..] = rest else { return Some((second, rest)) };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (fraction, rest) = rest.split_at(digits);
    // Digits beyond the microsecond may only say zero: anything else would be rounded.
    if digits == 0 || fraction.iter().skip(6).any(|digit| *digit != b'0') {
        return None;
    }
    let micros = (0..6).fold(0, |micros, place| {
        micros * 10 + fraction.get(place).map_or(0, |digit| i64::from(digit - b'0'))
    });
    Some((second + micros, rest))
}

fn two(tens: u8, ones: u8) -> Option<u8> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| (tens - b'0') * 10 + (ones - b'0'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_usual_spellings_are_read() {
        assert_eq!(date(b"1970-01-02"), Some(1));
        assert_eq!(date(b"0001-01-01").map(i64::from), Some(FIRST_DAY));
        assert_eq!(date(b"9999-12-31").map(i64::from), Some(LAST_DAY));
        assert_eq!(time(b"23:59"), Some(86_340_000_000));
        assert_eq!(time(b"00:00:01.5"), Some(1_500_000));
        assert_eq!(datetime(b"1970-01-01 00:00"), Some(0));
        assert_eq!(datetime(b"1970-01-02"), Some(DAY));
        assert_eq!(timestamp(b"1970-01-02"), Some(DAY));
        assert_eq!(date(b"1969-12-31T00:00:00.000"), Some(-1));
        assert_eq!(datetime(b"1970-01-01T00:00:01.000001000"), Some(1_000_001));
        for zoned in ["1970-01-01 02:00:00+02:00", "1970-01-01T00:00Z", "1969-12-31 22:30 -0130"] {
            assert_eq!(timestamp(zoned.as_bytes()), Some(0), "{zoned}");
        }
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "2023-02-29",
            "0000-01-01",
            "2024-1-01",
            "2024-01-01 ",
            "+024-01-01",
            "",
            "2024-01-01 00:00:00.000001",
            "2024-01-01 00:00Z",
        ] {
            assert_eq!(date(text.as_bytes()), None, "{text}");
        }
        for text in ["24:00", "23:60", "23:59:60", "1:00", "01:00:00.", "01:00:00.0000001"] {
            assert_eq!(time(text.as_bytes()), None, "{text}");
        }
        for text in ["2024-01-01Z", "2024-01-01 10:00Z", "2024-01-01_10:00", "2024-01-01 24:00"] {
            assert_eq!(datetime(text.as_bytes()), None, "{text}");
        }
        for text in ["2024-01-01 10:00 ", "0001-01-01 00:00+01", "9999-12-31 23:59:59-00:01"] {
            assert_eq!(timestamp(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_moments_are_read_back(
            micros in FIRST_DAY * DAY..(LAST_DAY + 1) * DAY,
            day in FIRST_DAY..=LAST_DAY,
        ) {
            for spelling in [TextFormat::Space, TextFormat::T] {
                let text = datetime_text(micros, spelling);
                prop_assert_eq!(datetime(text.as_bytes()), Some(micros));
                prop_assert_eq!(TextFormat::of(text.as_bytes()), Some(spelling));
            }
            prop_assert_eq!(date(date_text(day).as_bytes()).map(i64::from), Some(day));
        }

        #[test]
        fn texts_have_the_order_of_the_moments(a: i64, b: i64) {
            let (a, b) = (a.min(b), a.max(b));
            prop_assert!(datetime_text(a, TextFormat::T) <= datetime_text(b, TextFormat::T));
            prop_assert!(date_text(a) <= date_text(b));
        }
    }
}
