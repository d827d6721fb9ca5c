//! Decoding one value of the wire into one column.

use arrow_buffer::i256;
use sluice_contracts::documents::Decimal;
use uuid::Uuid;

use super::super::type_table::Wire;
use super::geography::{self, GeographyFormat};
use super::refusal::{Refusal, sized};
use super::times::{date, time, timestamp};
use super::{array, interval, numeric, range};
use crate::builder::{ColumnBuilder, Invalid};

/// Appends a value. An error appends nothing, except elements of an array that is still open.
pub(super) fn append(wire: Wire, value: &[u8], into: &mut ColumnBuilder) -> Result<(), Refusal> {
    match (wire, into) {
        (_, ColumnBuilder::List(list)) => array::append(wire, value, list)?,
        (Wire::Text, into) => text(value, into)?,
        (Wire::Int8, ColumnBuilder::Int64(b)) => b.append_value(i64::from_be_bytes(sized(value)?)),
        (Wire::Int4, ColumnBuilder::Int32(b)) => {
            b.append_value(i32::from_be_bytes(sized(value)?));
        }
        (Wire::Int2, ColumnBuilder::Int32(b)) => {
            b.append_value(i16::from_be_bytes(sized(value)?).into());
        }
        (Wire::Numeric, into) => numeric::append(value, into)?,
        (Wire::Timestamp, ColumnBuilder::Timestamp(b)) => {
            b.append_value(timestamp(i64::from_be_bytes(sized(value)?))?);
        }
        (Wire::Date, ColumnBuilder::Date(b)) => {
            b.append_value(date(i32::from_be_bytes(sized(value)?))?);
        }
        (Wire::Float8, ColumnBuilder::Float64(b)) => {
            b.append_value(f64::from_be_bytes(sized(value)?));
        }
        (Wire::Float4, ColumnBuilder::Float64(b)) => {
            b.append_value(f32::from_be_bytes(sized(value)?).into());
        }
        (Wire::Bool, ColumnBuilder::Bool(b)) => match sized(value)? {
            [0] => b.append_value(false),
            [1] => b.append_value(true),
            _ => return Err(Refusal::Malformed("a boolean that is neither 0 nor 1")),
        },
        (Wire::Uuid, ColumnBuilder::Text(b)) => {
            let mut buffer = Uuid::encode_buffer();
            b.append_value(Uuid::from_bytes(sized(value)?).hyphenated().encode_lower(&mut buffer));
        }
        (Wire::Uuid, ColumnBuilder::Bytes(b)) => b.append_value(sized::<16>(value)?),
        (Wire::Uuid, ColumnBuilder::FixedBytes(b)) => {
            b.append_value(sized::<16>(value)?).map_err(|_| Refusal::Mismatch)?;
        }
        (Wire::Jsonb, into) => match value.split_first() {
            Some((1, value)) => text(value, into)?,
            _ => return Err(Refusal::Malformed("a jsonb of an unknown version")),
        },
        (Wire::Time, ColumnBuilder::Time(b)) => {
            b.append_value(time(i64::from_be_bytes(sized(value)?))?);
        }
        (Wire::Bytea | Wire::Geometry | Wire::Geography, ColumnBuilder::Bytes(b)) => {
            b.append_value(value);
        }
        (Wire::Char, ColumnBuilder::Text(b)) => match sized(value)? {
            [0] => b.append_value(""),
            byte => b.append_value(utf8(&byte)?),
        },
        (Wire::Char, ColumnBuilder::Bytes(b)) => match sized(value)? {
            [0] => b.append_value(b""),
            byte => b.append_value(byte),
        },
        (Wire::Json, into) if !value.is_empty() => text(value, into)?,
        (Wire::Json, _) => return Err(Invalid("an array whose lower bound is not 1").into()),
        (Wire::Money, into) => money(i64::from_be_bytes(sized(value)?), into)?,
        (Wire::Geometry, ColumnBuilder::Text(b)) => {
            b.append_value(&geography::spelled(value, GeographyFormat::GeoJson)?);
        }
        (Wire::Geography, ColumnBuilder::Text(b)) => {
            b.append_value(&geography::spelled(value, GeographyFormat::Wkt)?);
        }
        (Wire::Interval, ColumnBuilder::Text(b)) => interval::append(value, b)?,
        (Wire::Range(of), ColumnBuilder::Text(b)) => range::append(of, value, b)?,
        (Wire::Int2, into) => integer(i16::from_be_bytes(sized(value)?).into(), into)?,
        (Wire::Int4, into) => integer(i32::from_be_bytes(sized(value)?).into(), into)?,
        (Wire::Oid, into) => integer(u32::from_be_bytes(sized(value)?).into(), into)?,
        (Wire::Int8, into) => integer(i64::from_be_bytes(sized(value)?), into)?,
        _ => return Err(Refusal::Mismatch),
    }
    Ok(())
}

/// Only a database of encoding `SQL_ASCII` has such text.
pub(super) const NOT_UTF8: Invalid = Invalid("text that is not UTF-8");

fn utf8(value: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(value).map_err(|_| NOT_UTF8.into())
}

fn text(value: &[u8], into: &mut ColumnBuilder) -> Result<(), Refusal> {
    match into {
        ColumnBuilder::Text(b) => b.append_value(utf8(value)?),
        ColumnBuilder::Bytes(b) => b.append_value(value),
        _ => return Err(Refusal::Mismatch),
    }
    Ok(())
}

fn integer(value: i64, into: &mut ColumnBuilder) -> Result<(), Refusal> {
    match into {
        ColumnBuilder::Int64(b) => b.append_value(value),
        ColumnBuilder::Float64(b) => {
            #[expect(clippy::cast_precision_loss, reason = "the next line looks for the loss")]
            let float = value as f64;
            #[expect(clippy::cast_possible_truncation, reason = "no more than 2^63")]
            let back = float as i128;
            if back != i128::from(value) {
                return Err(Invalid("an integer that would be rounded").into());
            }
            b.append_value(float);
        }
        ColumnBuilder::Decimal128(b, decimal) => {
            let limit = 10_i128.checked_pow(decimal.precision.into());
            let scaled = 10_i128
                .checked_pow(decimal.scale.into())
                .and_then(|scale| scale.checked_mul(value.into()))
                .filter(|scaled| limit.is_none_or(|limit| scaled.abs() < limit));
            b.append_value(scaled.ok_or(numeric::TOO_LARGE)?);
        }
        ColumnBuilder::Decimal256(b, decimal) => {
            let power = |digits: u8| i256::from_i128(10).checked_pow(digits.into());
            let limit = power(decimal.precision);
            let scaled = power(decimal.scale)
                .and_then(|scale| scale.checked_mul(i256::from_i128(value.into())))
                .filter(|scaled| limit.is_none_or(|limit| scaled.wrapping_abs() < limit));
            b.append_value(scaled.ok_or(numeric::TOO_LARGE)?);
        }
        _ => return Err(Refusal::Mismatch),
    }
    Ok(())
}

/// The wire counts the smallest unit of the currency, which is the last digit of the column's scale.
fn money(units: i64, into: &mut ColumnBuilder) -> Result<(), Refusal> {
    let fits = |decimal: &Decimal| {
        let limit = 10_i128.checked_pow(decimal.precision.into());
        limit.is_none_or(|limit| i128::from(units).abs() < limit)
    };
    match into {
        ColumnBuilder::Decimal128(b, decimal) if fits(decimal) => b.append_value(units.into()),
        ColumnBuilder::Decimal256(b, _) => b.append_value(i256::from_i128(units.into())),
        ColumnBuilder::Decimal128(..) => return Err(numeric::TOO_LARGE.into()),
        _ => return Err(Refusal::Mismatch),
    }
    Ok(())
}
