//! Exact decimals from text.

use arrow_buffer::i256;
use sluice_contracts::documents::Decimal;

use crate::builder::Invalid;

const MALFORMED: Invalid = Invalid("text that is not a decimal number");
const TOO_MANY_WHOLE: Invalid = Invalid("more digits before the point than the type has");
const TOO_MANY_AFTER: Invalid = Invalid("more digits after the point than the type has");

/// Digits that one half of an unscaled value has.
const HALF: usize = 38;

/// A decimal times `10^scale`, as digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unscaled {
    negative: bool,
    /// The last 38 digits.
    low: u128,
    /// The digits before them.
    high: u128,
}

impl Unscaled {
    /// Reads `[+-]digits[.digits][e[+-]digits]`. Zeros that change nothing may be anywhere.
    pub(crate) fn parse(text: &[u8], digits: Decimal) -> Result<Self, Invalid> {
        let (negative, text) = sign(text);
        let (text, exponent) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
            Some(place) => (&text[..place], exponent(&text[place + 1..])?),
            None => (text, 0),
        };
        let (whole, fraction) = match text.iter().position(|byte| *byte == b'.') {
            Some(place) => (&text[..place], &text[place + 1..]),
            None => (text, &[][..]),
        };
        let all = || whole.iter().chain(fraction);
        if whole.len() + fraction.len() == 0 || !all().all(u8::is_ascii_digit) {
            return Err(MALFORMED);
        }
        let leading = all().take_while(|digit| **digit == b'0').count();
        let trailing = all().rev().take_while(|digit| **digit == b'0').count();
        let count = whole.len() + fraction.len();
        if leading == count {
            return Ok(Self { negative: false, low: 0, high: 0 });
        }
        // The number is 0.d1d2d3... times 10^point, where d1 and the last digit are not 0.
        let significant = as_i64(count - leading - trailing);
        let point = as_i64(whole.len()).saturating_sub(as_i64(leading)).saturating_add(exponent);
        let (precision, scale) = (i64::from(digits.precision), i64::from(digits.scale));
        if significant - point > scale {
            return Err(TOO_MANY_AFTER);
        }
        if point > precision - scale {
            return Err(TOO_MANY_WHOLE);
        }
        // All digits of the unscaled value: at most `precision` now, and not negative.
        let length = usize::try_from(point + scale).unwrap_or(0);
        let digits = all().skip(leading).map(|digit| digit - b'0').chain(std::iter::repeat(0));
        let (mut high, mut low) = (0_u128, 0_u128);
        for (place, digit) in digits.take(length).enumerate() {
            let half = if place + HALF < length { &mut high } else { &mut low };
            *half = *half * 10 + u128::from(digit);
        }
        Ok(Self { negative, low, high })
    }

    /// For decimals of up to 38 digits.
    pub(crate) fn to_i128(self) -> Option<i128> {
        let value = i128::try_from(self.low).ok().filter(|_| self.high == 0)?;
        Some(if self.negative { -value } else { value })
    }

    /// For all decimals.
    pub(crate) fn to_i256(self) -> Option<i256> {
        let half = i256::from_i128(10_i128.pow(38));
        let (high, low) = (i128::try_from(self.high).ok()?, i128::try_from(self.low).ok()?);
        let value = i256::from_i128(high).checked_mul(half)?.checked_add(i256::from_i128(low))?;
        Some(if self.negative { value.wrapping_neg() } else { value })
    }
}

/// The digits after `e`. An exponent that does not fit into 64 bits is beyond every type.
fn exponent(text: &[u8]) -> Result<i64, Invalid> {
    let (negative, digits) = sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(MALFORMED);
    }
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    // Leaves room for the digits that are added to it.
    let value = value.min(i64::MAX / 4);
    Ok(if negative { -value } else { value })
}

/// Whether there is a minus, and what follows the sign.
fn sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [sign @ (b'-' | b'+'), rest @ ..] => (*sign == b'-', rest),
        rest => (false, rest),
    }
}

fn as_i64(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str, precision: u8, scale: u8) -> Result<i128, Invalid> {
        Unscaled::parse(text.as_bytes(), Decimal { precision, scale })
            .map(|value| value.to_i128().unwrap())
    }

    #[test]
    fn decimals_fit_exactly_or_not_at_all() {
        assert_eq!(parse("19.99", 12, 2), Ok(1999));
        assert_eq!(parse("-0.5", 12, 2), Ok(-50));
        assert_eq!(parse("+007.500", 12, 2), Ok(750));
        assert_eq!(parse("1.999e1", 12, 2), Ok(1999));
        assert_eq!(parse("1e3", 4, 0), Ok(1000));
        assert_eq!(parse("1200e-2", 4, 0), Ok(12));
        assert_eq!(parse("5e-1", 1, 1), Ok(5));
        assert_eq!(parse(".5", 2, 1), Ok(5));
        assert_eq!(parse("5.", 2, 1), Ok(50));
        assert_eq!(parse("-0e999999999999999999999", 2, 1), Ok(0));
        assert_eq!(parse("1.005", 12, 2), Err(TOO_MANY_AFTER));
        assert_eq!(parse("1e-99999999999999999999", 12, 2), Err(TOO_MANY_AFTER));
        assert_eq!(parse("100", 4, 2), Err(TOO_MANY_WHOLE));
        assert_eq!(parse("1e99999999999999999999", 38, 9), Err(TOO_MANY_WHOLE));
        for text in ["", "-", ".", "e5", "1e", "1.2.3", "1,5", " 1", "1 ", "0x1F", "NaN", "--1"] {
            assert_eq!(parse(text, 12, 2), Err(MALFORMED), "{text}");
        }
    }

    #[test]
    fn the_widest_decimal_has_76_digits() {
        let text = format!("-{}.{}", "9".repeat(38), "9".repeat(38));
        let value = Unscaled::parse(text.as_bytes(), Decimal::BIGNUMERIC).unwrap();
        assert_eq!(value.to_i256().unwrap().to_string(), format!("-{}", "9".repeat(76)));
        assert_eq!(value.to_i128(), None);
    }

    proptest! {
        #[test]
        fn every_unscaled_value_is_read_back(value in -(10_i128.pow(38) - 1)..10_i128.pow(38), scale in 0_u8..=38) {
            let digits = format!("{:039}", value.unsigned_abs());
            let (whole, fraction) = digits.split_at(39 - usize::from(scale));
            let text = format!("{}{whole}.{fraction}", if value < 0 { "-" } else { "" });
            prop_assert_eq!(parse(&text, 38, scale), Ok(value));
            let wide = Decimal { precision: 76, scale: 38 };
            let value = Unscaled::parse(text.as_bytes(), wide).unwrap().to_i256().unwrap();
            let narrow = i256::from_string(&format!("{}{}", text.replace('.', ""), "0".repeat(38 - usize::from(scale)))).unwrap();
            prop_assert_eq!(value, narrow);
        }
    }
}
