//! From the text of a value to the value.
//!
//! Text of a kind that was told from a sample is read as that kind alone, so that a value never gets
//! another meaning by its neighbours: `0123` in a column of integers is refused, and not 123. Where the job
//! names the type, every text that means such a value without rounding it is taken.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sluice_contracts::documents::{Decimal, TargetType};

use super::kind::Kind;
use crate::builder::Invalid;
use crate::datetime;
use crate::decimal::Unscaled;

const NOT_INTEGER: Invalid = Invalid("text that is not a 64-bit integer");
const NEEDLESS: Invalid =
    Invalid("a number with a leading zero or a sign, which other rows of the column have not");
const NOT_NUMBER: Invalid = Invalid("text that is not a number");
const MORE_DIGITS: Invalid = Invalid("more digits than the type has");

/// An integer.
#[inline]
pub(super) fn integer(kind: Kind, text: &[u8]) -> Result<i64, Invalid> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] if kind == Kind::Any => (false, digits),
        digits => (false, digits),
    };
    if kind != Kind::Any && !is_canonical(negative, digits) {
        return Err(if digits.iter().all(u8::is_ascii_digit) && !digits.is_empty() {
            NEEDLESS
        } else {
            NOT_INTEGER
        });
    }
    if digits.is_empty() {
        return Err(NOT_INTEGER);
    }
    let mut value = 0_i64;
    if digits.len() <= 18 {
        for byte in digits {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return Err(NOT_INTEGER);
            }
            value = value * 10 + i64::from(digit);
        }
        return Ok(if negative { -value } else { value });
    }
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err(NOT_INTEGER);
        }
        // Downwards, where there is one more.
        let next = value.checked_mul(10).and_then(|value| value.checked_sub(i64::from(digit)));
        value = next.ok_or(NOT_INTEGER)?;
    }
    if negative { Ok(value) } else { value.checked_neg().ok_or(NOT_INTEGER) }
}

/// Whether digits begin as those of a number do that was written without needless zeros.
#[inline]
fn is_canonical(negative: bool, digits: &[u8]) -> bool {
    match digits {
        [b'0'] => !negative,
        [b'0', b'.', ..] | [b'1'..=b'9', ..] => true,
        _ => false,
    }
}

/// A double. Text of more digits than a double prints is rounded as every reader rounds it, where the job
/// asks for doubles, and refused elsewhere.
pub(super) fn float(kind: Kind, text: &[u8]) -> Result<f64, Invalid> {
    const EXACT: i64 = 9_007_199_254_740_992;
    let as_text = std::str::from_utf8(text).map_err(|_| NOT_NUMBER)?;
    if as_text.starts_with('+') && kind != Kind::Any {
        return Err(NOT_NUMBER);
    }
    let value: f64 = as_text.parse().map_err(|_| NOT_NUMBER)?;
    let is_digits =
        text.iter().all(|byte| !byte.is_ascii_alphabetic() || matches!(byte, b'e' | b'E'));
    if !is_digits && kind != Kind::Any {
        return Err(NOT_NUMBER);
    }
    if kind != Kind::Any && !is_canonical_number(text) {
        return Err(NEEDLESS);
    }
    let has_digits = mantissa(text).any(|byte| matches!(byte, b'1'..=b'9'));
    if is_digits && (value.is_infinite() || has_digits && value.abs() <= 0.0) {
        return Err(Invalid("a number beyond those of a double"));
    }
    let whole = text.iter().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'+'));
    if whole && !integer(Kind::Any, text).is_ok_and(|exact| exact.abs() <= EXACT) {
        return Err(Invalid("an integer that a double may round"));
    }
    if kind != Kind::Any && !is_printed(text, value) {
        return Err(Invalid("a number of more digits than a double has"));
    }
    Ok(value)
}

/// A number without its exponent.
fn mantissa(text: &[u8]) -> impl Iterator<Item = u8> {
    text.iter().copied().take_while(|byte| !matches!(byte, b'e' | b'E'))
}

/// Whether a number is written as programs write one: without needless zeros before it, and with digits on
/// both sides of its point.
fn is_canonical_number(text: &[u8]) -> bool {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let mantissa: Vec<u8> = mantissa(digits).collect();
    let is_zero = mantissa == b"0";
    (is_canonical(negative, &mantissa) || is_zero && negative && digits.len() > 1)
        && mantissa.last() != Some(&b'.')
}

/// Whether the digits of a text are those that are printed for its double, so that nothing is lost.
fn is_printed(text: &[u8], value: f64) -> bool {
    /// So many digits are always printed again.
    const SAFE: usize = 15;
    let digits = || mantissa(text).filter(u8::is_ascii_digit).skip_while(|byte| *byte == b'0');
    if digits().count() <= SAFE && (value.is_normal() || digits().count() == 0) {
        return true;
    }
    let printed = format!("{value:e}");
    let printed = printed.bytes().take_while(|byte| *byte != b'e').filter(u8::is_ascii_digit);
    let mut digits: Vec<u8> = digits().collect();
    while digits.last() == Some(&b'0') {
        digits.pop();
    }
    digits.into_iter().eq(printed)
}

/// A truth value.
pub(super) fn boolean(kind: Kind, text: &[u8]) -> Result<bool, Invalid> {
    if text.eq_ignore_ascii_case(b"true") {
        return Ok(true);
    }
    if text.eq_ignore_ascii_case(b"false") {
        return Ok(false);
    }
    match text {
        b"t" | b"T" | b"1" if kind == Kind::Any => Ok(true),
        b"f" | b"F" | b"0" if kind == Kind::Any => Ok(false),
        _ => Err(Invalid("text other than `true` and `false`")),
    }
}

/// A decimal of up to 38 digits, unscaled.
#[inline]
pub(super) fn decimal128(kind: Kind, text: &[u8], digits: Decimal) -> Result<i128, Invalid> {
    if let Some(value) = short_decimal(text, digits) {
        return if kind == Kind::Any || is_canonical_decimal(text) {
            Ok(value)
        } else {
            Err(NEEDLESS)
        };
    }
    decimal(kind, text, digits)?.to_i128().ok_or(MORE_DIGITS)
}

/// A decimal, unscaled.
pub(super) fn decimal(kind: Kind, text: &[u8], digits: Decimal) -> Result<Unscaled, Invalid> {
    if kind != Kind::Any && !is_canonical_decimal(text) {
        return Err(Unscaled::parse(text, digits).err().unwrap_or(NEEDLESS));
    }
    Unscaled::parse(text, digits)
}

/// Whether a decimal is written without needless zeros before it, without a plus and without an exponent.
#[inline]
fn is_canonical_decimal(text: &[u8]) -> bool {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let is_zero = || digits.iter().all(|byte| matches!(byte, b'0' | b'.'));
    is_canonical(negative, digits)
        // No decimal is a negative zero, and a double is.
        && !(negative && is_zero())
        && digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'.')
        && digits.last() != Some(&b'.')
}

/// A decimal of at most 18 digits that has no exponent and fits; `None` for all others.
#[inline]
fn short_decimal(text: &[u8], digits: Decimal) -> Option<i128> {
    let (negative, rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        rest => (false, rest),
    };
    if rest.is_empty() || rest.len() > 19 {
        return None;
    }
    let (mut value, mut after, mut count) = (0_i64, None, 0_u32);
    for byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit <= 9 {
            value = value.checked_mul(10)?.checked_add(i64::from(digit))?;
            count += 1;
        } else if *byte == b'.' && after.is_none() {
            after = Some(count);
        } else {
            return None;
        }
    }
    let scale = after.map_or(0, |after| count - after);
    let (most, precision) = (u32::from(digits.scale), u32::from(digits.precision));
    if count == 0 || scale > most || count - scale > precision - most {
        return None;
    }
    let value = i128::from(value) * 10_i128.pow(most - scale);
    Some(if negative { -value } else { value })
}

/// Days since 1970-01-01.
#[inline]
pub(super) fn date(kind: Kind, text: &[u8]) -> Result<i32, Invalid> {
    let is_of_kind = kind == Kind::Any || text.len() == 10;
    is_of_kind
        .then(|| datetime::date(text))
        .flatten()
        .ok_or(Invalid("text that is not a day as `YYYY-MM-DD`"))
}

/// Microseconds since midnight.
pub(super) fn time(kind: Kind, text: &[u8]) -> Result<i64, Invalid> {
    let is_of_kind = kind == Kind::Any || text.len() >= 8;
    is_of_kind
        .then(|| datetime::time(text))
        .flatten()
        .ok_or(Invalid("text that is not a time as `HH:MM:SS[.ffffff]`"))
}

/// Microseconds since 1970-01-01 00:00:00, of a DATETIME or a TIMESTAMP.
#[inline]
pub(super) fn moment(kind: Kind, target: TargetType, text: &[u8]) -> Result<i64, Invalid> {
    if target == TargetType::Timestamp {
        let is_of_kind = kind == Kind::Any || has_seconds(text) && has_zone(text);
        return is_of_kind.then(|| datetime::timestamp(text)).flatten().ok_or(Invalid(
            "text that is not a moment as `YYYY-MM-DD HH:MM:SS[.ffffff]` with a zone",
        ));
    }
    let is_of_kind = kind == Kind::Any || has_seconds(text);
    is_of_kind
        .then(|| datetime::datetime(text))
        .flatten()
        .ok_or(Invalid("text that is not a day and a time as `YYYY-MM-DD HH:MM:SS[.ffffff]`"))
}

fn has_seconds(text: &[u8]) -> bool {
    text.len() >= 19 && text.get(16) == Some(&b':')
}

fn has_zone(text: &[u8]) -> bool {
    let clock = text.get(19..).unwrap_or_default();
    clock.iter().any(|byte| matches!(byte, b'Z' | b'z' | b'+' | b'-'))
}

/// Bytes, as base64 has them: that is how BigQuery reads them out of text.
pub(super) fn bytes(text: &[u8]) -> Result<Vec<u8>, Invalid> {
    STANDARD.decode(text).map_err(|_| Invalid("text that is not base64"))
}

/// Refuses what is not JSON.
pub(super) fn json(text: &[u8]) -> Result<(), Invalid> {
    let text = std::str::from_utf8(text).map_err(|_| Invalid("text that is not UTF-8"))?;
    let parsed = serde_json::from_str::<serde::de::IgnoredAny>(text);
    parsed.map(drop).map_err(|_| Invalid("text that is not JSON"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MONEY: Decimal = Decimal { precision: 12, scale: 2 };

    #[test]
    fn a_told_kind_is_strict_and_an_asked_one_is_not() {
        for (text, told, asked) in [
            ("0", Some(0), Some(0)),
            ("-17", Some(-17), Some(-17)),
            ("007", None, Some(7)),
            ("+7", None, Some(7)),
            ("-0", None, Some(0)),
            ("9223372036854775807", Some(i64::MAX), Some(i64::MAX)),
            ("-9223372036854775808", Some(i64::MIN), Some(i64::MIN)),
            ("9223372036854775808", None, None),
            ("99999999999999999999999", None, None),
            ("", None, None),
            ("-", None, None),
            ("1e5", None, None),
            ("1,000", None, None),
            (" 1", None, None),
            ("1.0", None, None),
        ] {
            assert_eq!(integer(Kind::Integer, text.as_bytes()).ok(), told, "{text}");
            assert_eq!(integer(Kind::Any, text.as_bytes()).ok(), asked, "{text}");
        }
        for (text, told, asked) in [
            ("1.50", Some(150), Some(150)),
            ("-0.5", Some(-50), Some(-50)),
            ("-0.0", None, Some(0)),
            ("-3", Some(-300), Some(-300)),
            ("01.5", None, Some(150)),
            (".5", None, Some(50)),
            ("5.", None, Some(500)),
            ("1e1", None, Some(1000)),
            ("1.005", None, None),
            ("1.500", Some(150), Some(150)),
            ("NaN", None, None),
            ("1.2.3", None, None),
            ("", None, None),
            ("99999999999", None, None),
        ] {
            assert_eq!(decimal128(Kind::Decimal, text.as_bytes(), MONEY).ok(), told, "{text}");
            assert_eq!(decimal128(Kind::Any, text.as_bytes(), MONEY).ok(), asked, "{text}");
        }
    }

    #[test]
    fn days_and_moments_are_read_as_they_are_spelled() {
        let day = |text: &str| date(Kind::Date, text.as_bytes()).ok();
        assert_eq!(day("1970-01-02"), Some(1));
        assert_eq!(day("2024-13-01"), None);
        assert_eq!(day("1970-01-02 00:00"), None);
        assert_eq!(date(Kind::Any, b"1970-01-02 00:00").ok(), Some(1));
        let at = |text: &str| moment(Kind::Timestamp, TargetType::Timestamp, text.as_bytes()).ok();
        assert_eq!(at("1970-01-01T00:00:01Z"), Some(1_000_000));
        assert_eq!(at("1970-01-01 01:00:00+01:00"), Some(0));
        assert_eq!(at("1970-01-01 00:00:00"), None);
        assert_eq!(at("1970-01-01"), None);
        let local = |text: &str| moment(Kind::Datetime, TargetType::Datetime, text.as_bytes()).ok();
        assert_eq!(local("1970-01-01 00:00:00.5"), Some(500_000));
        assert_eq!(local("1970-01-01 00:00"), None);
        assert_eq!(time(Kind::Time, b"25:10:00").ok(), None);
        assert_eq!(time(Kind::Time, b"10:00").ok(), None);
    }

    #[test]
    fn doubles_are_never_rounded_from_integers() {
        let read = |text: &str| float(Kind::Any, text.as_bytes()).ok();
        assert_eq!(read("1e5"), Some(1e5));
        assert_eq!(read("9007199254740992"), Some(9_007_199_254_740_992.0));
        assert_eq!(read("9007199254740993"), None);
        assert_eq!(read("1e400"), None);
        assert_eq!(read("1e-400"), None);
        let told = |text: &str| float(Kind::Float, text.as_bytes()).ok();
        for text in ["007.5", ".5", "5.", "+1.5", "4e-324", "0.12345678901234567", "-0"] {
            assert_eq!(told(text), None, "{text}");
        }
        for text in
            ["5e-324", "1.7976931348623157e308", "3.3000000000000003", "-0.0", "1e-7", "0.0"]
        {
            assert_eq!(told(text), text.parse().ok(), "{text}");
        }
        assert!(read("NaN").is_some_and(f64::is_nan));
        assert_eq!(float(Kind::Float, b"NaN").ok(), None);
        assert_eq!(read("0x10"), None);
    }

    proptest! {
        #[test]
        fn short_decimals_are_those_of_the_exact_reader(text in "-?[0-9]{0,12}(\\.[0-9]{0,8})?", scale in 0_u8..9) {
            let digits = Decimal { precision: 18, scale };
            let exact = Unscaled::parse(text.as_bytes(), digits).ok().and_then(Unscaled::to_i128);
            let short = decimal128(Kind::Any, text.as_bytes(), digits).ok();
            prop_assert_eq!(short, exact);
        }

        #[test]
        fn every_integer_is_read_back(value: i64) {
            prop_assert_eq!(integer(Kind::Integer, value.to_string().as_bytes()).ok(), Some(value));
        }
    }
}
