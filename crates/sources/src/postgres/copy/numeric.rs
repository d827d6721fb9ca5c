//! Exact decimals of the wire, from digits to base 10,000 to scaled integers.

use arrow_buffer::i256;
use sluice_contracts::documents::Decimal;

use super::refusal::Refusal;
use crate::builder::{ColumnBuilder, Invalid};

pub(super) const TOO_LARGE: Invalid = Invalid("too many digits before the point");
const TOO_FINE: Invalid = Invalid("too many digits after the point");

/// The digits of an `i64`.
const LONG: Decimal = Decimal { precision: 19, scale: 0 };

/// Appends a `numeric`, exactly or not at all.
pub(super) fn append(value: &[u8], into: &mut ColumnBuilder) -> Result<(), Refusal> {
    if let ColumnBuilder::Decimal128(b, decimal) = into
        && let Some(scaled) = Short::of(*decimal).and_then(|short| short.read(value))
    {
        b.append_value(scaled.into());
        return Ok(());
    }
    let number = Number::parse(value)?;
    match into {
        // Arithmetic of 64 bits is several times as fast, and most columns are no wider.
        ColumnBuilder::Decimal128(b, decimal) if decimal.precision <= 18 => {
            let scaled = number.scaled(*decimal)?.to_i64();
            b.append_value(i128::from(if number.negative { -scaled } else { scaled }));
        }
        ColumnBuilder::Decimal128(b, decimal) => {
            let scaled = number.scaled(*decimal)?.to_i128();
            b.append_value(if number.negative { -scaled } else { scaled });
        }
        ColumnBuilder::Decimal256(b, decimal) => {
            let scaled = number.scaled(*decimal)?.to_i256();
            b.append_value(if number.negative { scaled.wrapping_neg() } else { scaled });
        }
        ColumnBuilder::Int64(b) => {
            let whole = number.scaled(LONG)?.to_i128();
            let whole = if number.negative { -whole } else { whole };
            b.append_value(i64::try_from(whole).map_err(|_| TOO_LARGE)?);
        }
        _ => return Err(Refusal::Mismatch),
    }
    Ok(())
}

/// Reads the numbers of at most four digits to base 10,000 that a column of at most 18 digits holds: that
/// is what most numbers of most tables are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Short {
    scale: i32,
    /// The least number that has too many digits.
    limit: i64,
}

impl Short {
    /// For a column of these digits; `None` if they are more.
    pub(super) fn of(decimal: Decimal) -> Option<Self> {
        let limit = i64::try_from(power(decimal.precision.into())).ok()?;
        (decimal.precision <= 18).then_some(Self { scale: decimal.scale.into(), limit })
    }

    /// The number times `10^scale`. `None` for any other, valid or not.
    #[inline]
    pub(super) fn read(self, value: &[u8]) -> Option<i64> {
        let ([count0, count1, weight0, weight1, sign0, sign1, scale0, _], digits) =
            value.split_first_chunk::<8>()?;
        let (digits, odd) = digits.as_chunks::<2>();
        let count = u16::from_be_bytes([*count0, *count1]);
        let sign = u16::from_be_bytes([*sign0, *sign1]);
        let is_short = count <= 4 && usize::from(count) == digits.len() && odd.is_empty();
        if !is_short || !matches!(sign, 0x0000 | 0x4000) || *scale0 > 0x3f {
            return None;
        }
        let mut whole = 0_i64;
        for digit in digits {
            let digit = u16::from_be_bytes(*digit);
            if digit > 9999 {
                return None;
            }
            whole = whole * 10_000 + i64::from(digit);
        }
        let weight = i32::from(i16::from_be_bytes([*weight0, *weight1]));
        let exponent = 4 * (weight - i32::from(count) + 1) + self.scale;
        // Dividing by a number that the compiler knows is several times as fast.
        let (number, left) = match exponent {
            -3 => (whole / 1_000, whole % 1_000),
            -2 => (whole / 100, whole % 100),
            -1 => (whole / 10, whole % 10),
            0 => (whole, 0),
            _ => {
                let factor = i64::try_from(power(usize::try_from(exponent).ok()?)).ok()?;
                (whole.checked_mul(factor)?, 0)
            }
        };
        if left != 0 || number >= self.limit {
            return None;
        }
        Some(if sign == 0 { number } else { -number })
    }
}

/// A finite number of the wire: the sum of `digits[i] * 10000^(weight - i)`. The first digit is
/// not zero.
#[derive(Debug)]
struct Number<'a> {
    digits: &'a [[u8; 2]],
    weight: i32,
    negative: bool,
}

impl<'a> Number<'a> {
    fn parse(value: &'a [u8]) -> Result<Self, Refusal> {
        const WRONG: Refusal = Refusal::Malformed("an invalid numeric");
        let Some(([count0, count1, weight0, weight1, sign0, sign1, scale0, _], digits)) =
            value.split_first_chunk::<8>()
        else {
            return Err(WRONG);
        };
        let (mut digits, odd) = digits.as_chunks::<2>();
        let count = usize::from(u16::from_be_bytes([*count0, *count1]));
        // The display scale has 14 bits and does not affect the value.
        if !odd.is_empty() || digits.len() != count || *scale0 > 0x3f {
            return Err(WRONG);
        }
        let negative = match u16::from_be_bytes([*sign0, *sign1]) {
            0x0000 => false,
            0x4000 => true,
            0xc000 => return Err(Invalid("NaN").into()),
            0xd000 | 0xf000 => return Err(Invalid("infinity").into()),
            _ => return Err(WRONG),
        };
        if digits.iter().any(|digit| u16::from_be_bytes(*digit) > 9999) {
            return Err(WRONG);
        }
        let mut weight = i32::from(i16::from_be_bytes([*weight0, *weight1]));
        while let [[0, 0], rest @ ..] = digits {
            digits = rest;
            weight -= 1;
        }
        Ok(Self { digits, weight, negative })
    }

    /// The number times `10^scale`, ready to be computed in an integer of `precision` digits.
    fn scaled(&self, decimal: Decimal) -> Result<Scaled<'a>, Refusal> {
        let Some(first) = self.digits.first() else {
            return Ok(Scaled { head: &[], tail: 0, shift: 1, zeros: 0 });
        };
        let scale = i32::from(decimal.scale);
        let first = u16::from_be_bytes(*first);
        let length = 4 * self.weight + 1 + decimal_places(first) + scale;
        if length > i32::from(decimal.precision) {
            return Err(TOO_LARGE.into());
        }
        // A slice of the wire has at most 2^16 digits, and a weight has 16 bits.
        let count = i32::try_from(self.digits.len()).unwrap_or(i32::MAX);
        let exponent = 4 * (self.weight - count + 1) + scale;
        let Ok(surplus) = usize::try_from(-exponent) else {
            let zeros = usize::try_from(exponent).unwrap_or(0);
            return Ok(Scaled { head: self.digits, tail: 0, shift: 1, zeros });
        };
        // What is below the scale has to be zero.
        let kept = self.digits.len().saturating_sub(surplus / 4);
        let (kept, dropped) = self.digits.split_at(kept);
        let Some((last, head)) = kept.split_last() else { return Err(TOO_FINE.into()) };
        let shift = [10_000, 1_000, 100, 10][surplus % 4];
        let unit = 10_000 / shift;
        let last = u16::from_be_bytes(*last);
        if last % unit != 0 || dropped.iter().any(|digit| *digit != [0, 0]) {
            return Err(TOO_FINE.into());
        }
        Ok(Scaled { head, tail: last / unit, shift, zeros: 0 })
    }
}

/// Decimal digits of a digit to base 10,000, less one.
fn decimal_places(digit: u16) -> i32 {
    match digit {
        0..10 => 0,
        10..100 => 1,
        100..1000 => 2,
        _ => 3,
    }
}

/// A whole number: `(head * shift + tail) * 10^zeros`. Its maker has checked that it has no more
/// digits than the integer that it is computed in.
#[derive(Debug)]
struct Scaled<'a> {
    head: &'a [[u8; 2]],
    tail: u16,
    shift: u16,
    zeros: usize,
}

impl Scaled<'_> {
    fn to_i64(&self) -> i64 {
        let head = self
            .head
            .iter()
            .fold(0, |sum, digit| sum * 10_000 + i64::from(u16::from_be_bytes(*digit)));
        let whole: i64 = head * i64::from(self.shift) + i64::from(self.tail);
        (0..self.zeros).fold(whole, |whole, _| whole * 10)
    }

    fn to_i128(&self) -> i128 {
        let whole = fold(self.head) * i128::from(self.shift) + i128::from(self.tail);
        whole * power(self.zeros)
    }

    fn to_i256(&self) -> i256 {
        // Nine digits to base 10,000 are the most that 128 bits hold.
        let mut groups = self.head.chunks(9);
        let first = groups.next().map_or(i256::ZERO, |group| i256::from_i128(fold(group)));
        let head = groups.fold(first, |sum, group| {
            sum.wrapping_mul(i256::from_i128(power(4 * group.len())))
                .wrapping_add(i256::from_i128(fold(group)))
        });
        let whole = head
            .wrapping_mul(i256::from_i128(self.shift.into()))
            .wrapping_add(i256::from_i128(self.tail.into()));
        let (low, high) = (self.zeros.min(38), self.zeros.saturating_sub(38));
        let whole = whole.wrapping_mul(i256::from_i128(power(low)));
        if high == 0 { whole } else { whole.wrapping_mul(i256::from_i128(power(high))) }
    }
}

fn fold(digits: &[[u8; 2]]) -> i128 {
    digits.iter().fold(0, |sum, digit| sum * 10_000 + i128::from(u16::from_be_bytes(*digit)))
}

/// `10^exponent`, of up to 38.
fn power(exponent: usize) -> i128 {
    POWERS.get(exponent).copied().unwrap_or(i128::MAX)
}

const POWERS: [i128; 39] = {
    let mut powers = [1; 39];
    let mut exponent = 1;
    while exponent < powers.len() {
        powers[exponent] = powers[exponent - 1] * 10;
        exponent += 1;
    }
    powers
};

#[cfg(test)]
mod tests {
    use sluice_contracts::documents::{Column, TargetType};

    use super::*;

    fn wire(weight: i16, sign: u16, digits: &[u16]) -> Vec<u8> {
        let mut bytes = u16::try_from(digits.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend(weight.to_be_bytes());
        bytes.extend(sign.to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(digits.iter().flat_map(|digit| digit.to_be_bytes()));
        bytes
    }

    /// Checks the unscaled integer, or why the value was refused.
    fn check(precision: u8, scale: u8, wire: &[u8], expected: &str) {
        let decimal = Some(Decimal { precision, scale });
        let column = Column { decimal, ..Column::plain("", "", TargetType::Bignumeric) };
        let mut builder = ColumnBuilder::new(&column);
        let found = match append(wire, &mut builder) {
            Ok(()) => match &builder {
                ColumnBuilder::Decimal128(b, _) => b.values_slice()[0].to_string(),
                ColumnBuilder::Decimal256(b, _) => b.values_slice()[0].to_string(),
                other => panic!("{other:?}"),
            },
            Err(Refusal::Invalid(Invalid(reason)) | Refusal::Malformed(reason)) => reason.into(),
            Err(Refusal::Mismatch) => "mismatch".into(),
        };
        assert_eq!(found, expected, "numeric({precision},{scale}) of {wire:?}");
    }

    #[test]
    fn finite_numbers_are_scaled_exactly() {
        let (plus, minus) = (0x0000, 0x4000);
        for precision in [9, 18, 19, 38, 39, 76] {
            check(precision, 2, &wire(0, plus, &[]), "0");
            check(precision, 2, &wire(0, plus, &[1]), "100");
            check(precision, 2, &wire(0, plus, &[12, 3400]), "1234");
            check(precision, 2, &wire(0, minus, &[12, 3400]), "-1234");
            check(precision, 0, &wire(1, minus, &[1]), "-10000");
            check(precision, 4, &wire(-1, plus, &[1]), "1");
            check(precision, 5, &wire(-2, plus, &[1000]), "1");
            check(precision, 9, &wire(-1, plus, &[1, 2, 3000]), "100023");
            // Zeros that no server sends change nothing.
            check(precision, 2, &wire(2, plus, &[0, 0, 12, 3400, 0, 0]), "1234");
            check(precision, 2, &wire(0, minus, &[0]), "0");
        }
        let nines = [9999; 19];
        let most = [&[99][..], &nines[..18], &[9900]].concat();
        check(76, 38, &wire(9, plus, &most), &"9".repeat(76));
        check(38, 0, &wire(9, minus, &most[..10]), &format!("-{}", "9".repeat(38)));
        check(18, 0, &wire(4, plus, &[99, 9999, 9999, 9999, 9999]), &"9".repeat(18));
        check(18, 18, &wire(-1, plus, &[9999, 9999, 9999, 9999, 9900]), &"9".repeat(18));
        check(76, 0, &wire(18, plus, &[1000]), &format!("1{}", "0".repeat(75)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for precision in [9, 18, 19, 38, 39, 76] {
            let (large, fine) = (TOO_LARGE.0, TOO_FINE.0);
            check(precision, 2, &wire(-1, 0, &[10]), fine);
            check(precision, 2, &wire(-1, 0, &[100, 1]), fine);
            check(precision, 2, &wire(i16::MIN, 0, &[1]), fine);
            check(precision, 0, &wire(i16::MAX, 0, &[1]), large);
            check(precision, 2, &wire(0, 0xc000, &[]), "NaN");
            check(precision, 2, &wire(0, 0xd000, &[]), "infinity");
            check(precision, 2, &wire(0, 0xf000, &[]), "infinity");
        }
        check(5, 2, &wire(0, 0, &[1000]), TOO_LARGE.0);
        check(5, 2, &wire(0, 0, &[999, 9900]), "99999");
        check(38, 0, &wire(9, 0, &[100]), TOO_LARGE.0);
        check(76, 0, &wire(19, 0, &[1]), TOO_LARGE.0);
    }

    #[test]
    fn malformed_numbers_are_refused() {
        let wrong = "an invalid numeric";
        for wire in [
            &b""[..],
            b"\0\0\0\0\0\0\0",
            b"\0\x01\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0",
            b"\0\x01\0\0\0\0\0\0\0",
            &wire(0, 0x8000, &[1]),
            &wire(0, 0, &[10_000]),
            b"\0\0\0\0\0\0\x40\0",
        ] {
            check(38, 9, wire, wrong);
        }
    }
}
