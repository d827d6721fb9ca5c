//! Values by their text, where a job names another type than that of the files.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Float64Type, IntervalMonthDayNanoType};
use arrow_array::{Array as _, ArrayRef};
use arrow_buffer::BooleanBuffer;
use arrow_cast::cast;
use arrow_cast::display::{ArrayFormatter, FormatOptions};
use arrow_schema::{DataType, Field};
use sluice_contracts::documents::{Column, TargetType};
use sluice_contracts::{Error, Result};

use super::field::{ASKED, UUID, column_of};
use super::marks;
use super::step::{Bad, Converted};
use crate::builder::{BatchBuilder, Invalid};
use crate::files::columns::Conversion;

const NOT_UTF8: Invalid = Invalid("bytes that are not UTF-8");
/// Nanoseconds of a microsecond.
const THOUSAND: i64 = 1_000;

/// Values as text, and the text as values of the column.
#[derive(Debug)]
pub(super) struct TextStep {
    column: Column,
    conversion: Conversion,
    spelling: Spelling,
}

/// How values are spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spelling {
    /// Bytes are their own text.
    Bytes,
    Uuid,
    Interval,
    /// Moments, with a zone or without.
    Moment {
        has_zone: bool,
    },
    /// Doubles: whole ones without a point, and those far from one with an exponent.
    Double,
    /// Decimals as integers, if they are whole.
    Whole,
    /// As Arrow prints them.
    Printed,
}

impl TextStep {
    /// The values of a field as those of a column.
    ///
    /// # Errors
    /// `Invalid` for lists, records and intervals, whose values are not single texts.
    pub(super) fn of(field: &Field, column: &Column) -> Result<Self> {
        let told = column_of(field)?;
        let is_single = !told.repeated && told.target_type != TargetType::Struct;
        let is_same = !matches!(column.target_type, TargetType::Interval)
            || told.target_type == TargetType::Interval;
        if !is_single || !is_same {
            return Err(Error::invalid(format!(
                "describe the files: column `{}` is {}, and cannot become `{}`",
                field.name(),
                told.source_type,
                column.target_type
            ))
            .hint(format!("leave `columns.{}.type` out", field.name())));
        }
        let spelling = match field.data_type() {
            DataType::FixedSizeBinary(_) if told.encoding == UUID => Spelling::Uuid,
            _ if told.target_type == TargetType::Interval => Spelling::Interval,
            DataType::Utf8
            | DataType::Binary
            | DataType::FixedSizeBinary(_)
            | DataType::Dictionary(..) => Spelling::Bytes,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Spelling::Double,
            DataType::Decimal128(..) | DataType::Decimal256(..)
                if column.target_type == TargetType::Int64 =>
            {
                Spelling::Whole
            }
            DataType::Timestamp(_, zone) => Spelling::Moment { has_zone: zone.is_some() },
            _ => Spelling::Printed,
        };
        let column = Column { encoding: ASKED.to_owned(), repeated: false, ..column.clone() };
        Ok(Self { conversion: Conversion::of(&column)?, column, spelling })
    }

    pub(super) fn apply(&self, array: &ArrayRef) -> Result<Converted> {
        let mut bad: Vec<(usize, Invalid)> = Vec::new();
        let mut batch = BatchBuilder::new(std::slice::from_ref(&self.column));
        let Some(builder) = batch.columns.first_mut() else {
            return Err(Error::bug("convert a column of a file: it has no builder"));
        };
        let mut refuse = |row: usize, why: Invalid| {
            bad.push((row, why));
            Ok(())
        };
        if self.spelling == Spelling::Bytes {
            let kind = match array.data_type() {
                DataType::Dictionary(_, values) => values.as_ref().clone(),
                DataType::FixedSizeBinary(_) => DataType::Binary,
                kind => kind.clone(),
            };
            let plain = cast(array, &kind).map_err(failed)?;
            match plain.as_binary_opt::<i32>() {
                Some(values) => self.conversion.append(builder, values.iter(), &mut refuse)?,
                None => {
                    let values = plain.as_string::<i32>().iter();
                    let texts = values.map(|text| text.map(str::as_bytes));
                    self.conversion.append(builder, texts, &mut refuse)?;
                }
            }
        } else {
            let spelled = self.spelling.spell(array)?;
            for (row, text) in spelled.iter().enumerate() {
                if let Some(Err(why)) = text {
                    refuse(row, *why)?;
                }
            }
            let texts = spelled.iter();
            let texts = texts.map(|text| text.as_ref()?.as_ref().ok().map(String::as_bytes));
            self.conversion.append(builder, texts, &mut refuse)?;
        }
        batch.end_rows(array.len(), 0);
        let rows = batch.finish_unchecked(|_, places| {
            bad.extend(places.iter().map(|row| (*row, NOT_UTF8)));
            Ok(())
        })?;
        let Some(converted) = rows.map(|rows| Arc::clone(rows.column(0))) else {
            return Ok(Converted { array: array.slice(0, 0), bad: None });
        };
        let why = bad.iter().min_by_key(|(row, _)| *row).map(|(_, why)| *why);
        let bad = why.map(|why| {
            let mut rows = vec![false; array.len()];
            for (row, _) in &bad {
                if let Some(row) = rows.get_mut(*row) {
                    *row = true;
                }
            }
            Bad { rows: BooleanBuffer::from(rows), why }
        });
        Ok(Converted { array: converted, bad })
    }
}

impl Spelling {
    /// The text of each value.
    fn spell(self, array: &ArrayRef) -> Result<Vec<Option<Result<String, Invalid>>>> {
        let rows = || (0..array.len()).map(|row| array.is_valid(row).then_some(row));
        Ok(match self {
            Self::Uuid => {
                let values = array.as_fixed_size_binary();
                let text = |row| {
                    uuid::Uuid::from_slice(values.value(row))
                        .map(|id| id.to_string())
                        .map_err(|_| NOT_UTF8)
                };
                rows().map(|row| row.map(text)).collect()
            }
            Self::Interval => match array.data_type() {
                DataType::FixedSizeBinary(_) => {
                    let values = array.as_fixed_size_binary();
                    rows()
                        .map(|row| row.map(|row| marks::interval_text(values.value(row))))
                        .collect()
                }
                _ => {
                    let values = array.as_primitive::<IntervalMonthDayNanoType>();
                    let text = |row| {
                        let (months, days, nanos) =
                            IntervalMonthDayNanoType::to_parts(values.value(row));
                        if nanos % THOUSAND != 0 {
                            return Err(Invalid("parts of a microsecond"));
                        }
                        let mut text = String::new();
                        crate::interval::write(months, days, nanos / THOUSAND, &mut text)?;
                        Ok(text)
                    };
                    rows().map(|row| row.map(text)).collect()
                }
            },
            Self::Moment { has_zone } => {
                let DataType::Timestamp(unit, _) = array.data_type() else {
                    return Err(Error::bug("print the moments of a file: they are none"));
                };
                let plain = array.to_data().into_builder();
                let plain = plain.data_type(DataType::Timestamp(*unit, None)).build();
                let plain = arrow_array::make_array(plain.map_err(failed)?);
                printed(&plain, if has_zone { "+00" } else { "" })?
            }
            Self::Double => {
                let doubles = cast(array, &DataType::Float64).map_err(failed)?;
                let doubles = doubles.as_primitive::<Float64Type>();
                rows().map(|row| row.map(|row| Ok(spelled_double(doubles.value(row))))).collect()
            }
            Self::Whole => {
                let mut texts = printed(array, "")?;
                for text in texts.iter_mut().flatten().flatten() {
                    if let Some((whole, fraction)) = text.split_once('.')
                        && fraction.bytes().all(|digit| digit == b'0')
                    {
                        *text = whole.to_owned();
                    }
                }
                texts
            }
            Self::Bytes | Self::Printed => printed(array, "")?,
        })
    }
}

/// The shortest text that means a double; with an exponent where its digits are far from the point.
fn spelled_double(value: f64) -> String {
    let size = value.abs();
    if size == 0.0 || !size.is_finite() || (1e-5..1e16).contains(&size) {
        return value.to_string();
    }
    format!("{value:e}")
}

/// Values as Arrow prints them, each with an ending.
fn printed(array: &ArrayRef, ending: &str) -> Result<Vec<Option<Result<String, Invalid>>>> {
    let options = FormatOptions::new()
        .with_timestamp_format(Some("%Y-%m-%d %H:%M:%S%.f"))
        .with_display_error(false);
    let formatter = ArrayFormatter::try_new(array, &options).map_err(failed)?;
    let rows = (0..array.len()).map(|row| {
        array.is_valid(row).then(|| {
            let mut text = String::new();
            // What cannot be printed is a moment that no calendar has.
            match write!(text, "{}{ending}", formatter.value(row)) {
                Ok(()) => Ok(text),
                Err(_) => Err(Invalid("a moment outside of the years 1 to 9999")),
            }
        })
    });
    Ok(rows.collect())
}

fn failed(source: arrow_schema::ArrowError) -> Error {
    Error::bug("print the values of a file").because(source)
}
