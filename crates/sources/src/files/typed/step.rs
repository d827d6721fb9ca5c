//! From an array of a file to the array of a part file.
//!
//! A step is chosen once for each column of a file. It changes no value: what the column cannot hold becomes NULL
//! and is named, so that the caller refuses it or counts it.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Date32Type, Decimal128Type, Decimal256Type, Float64Type, Int64Type, Time64MicrosecondType,
    TimestampMicrosecondType,
};
use arrow_array::{Array, ArrayRef, StringArray, new_null_array};
use arrow_buffer::BooleanBuffer;
use arrow_cast::{CastOptions, cast_with_options};
use arrow_schema::{DataType, Field, FieldRef, Fields};
use sluice_contracts::documents::{Column, TargetType, arrow_schema};
use sluice_contracts::{Error, Result};

use super::field::{ASKED, column_of, member_field};
use super::nested::{list, record};
use super::scale::Scale;
use super::text::TextStep;
use super::union::member_values;
use crate::builder::Invalid;
use crate::datetime::{FIRST_DAY, LAST_DAY};
use crate::files::format::Format;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;
const FIRST_MOMENT: i64 = FIRST_DAY * DAY;
const LAST_MOMENT: i64 = (LAST_DAY + 1) * DAY - 1;
/// Integers up to this one, and no larger ones, are all doubles.
const EXACT: i64 = 1 << 53;

const FINER: Invalid =
    Invalid("parts of a microsecond, or a moment outside of the years 1 to 9999");
const NO_TIME: Invalid = Invalid("24:00 or later, or parts of a microsecond");
const NO_DAY: Invalid = Invalid("a day outside of the years 1 to 9999");
const MORE_DIGITS: Invalid = Invalid("more digits than the type has");
const ROUNDED: Invalid = Invalid("an integer that a double may round");
const NOT_UTF8: Invalid = Invalid("text that is not UTF-8");

/// An array whose invalid values are NULL.
#[derive(Debug)]
pub(super) struct Converted {
    pub(super) array: ArrayRef,
    pub(super) bad: Option<Bad>,
}

/// The rows whose value a column cannot hold, and why.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) rows: BooleanBuffer,
    pub(super) why: Invalid,
}

impl Converted {
    fn good(array: ArrayRef) -> Self {
        Self { array, bad: None }
    }

    /// What is NULL in `array` and was not in `before` is what the column cannot hold.
    pub(super) fn of(before: &dyn Array, array: ArrayRef, why: Invalid) -> Self {
        if array.null_count() == before.null_count() {
            return Self::good(array);
        }
        let is_bad = |row| before.is_valid(row) && array.is_null(row);
        let rows = BooleanBuffer::collect_bool(array.len(), is_bad);
        Self { array, bad: Some(Bad { rows, why }) }
    }
}

/// What is done with an array.
#[derive(Debug)]
pub(super) enum Step {
    /// Nothing: the types are the same, and every value is one of the column.
    Same,
    /// The file lacks the column.
    Absent(DataType),
    /// What Arrow casts without loss; what it cannot cast is of more digits.
    Cast(DataType),
    /// Bytes as the text that they are.
    Utf8,
    /// Days since 1970.
    Days,
    /// Parts of a day, so many in a microsecond, or so many microseconds each.
    Times(Scale),
    /// Moments in such parts since 1970, of this type in a part file.
    Moments(Scale, DataType),
    /// Integers as doubles.
    Doubles,
    /// Values by their text.
    Text(TextStep),
    List(Box<Step>, FieldRef),
    Struct(Vec<(Option<usize>, Step)>, Fields),
    /// A union, as a STRUCT of its members.
    Union(Vec<(i8, Step)>, Fields),
}

impl Step {
    /// The step from a field of a file to a column.
    ///
    /// # Errors
    /// `Data` if the file has another type than the column holds.
    pub(super) fn of(field: &Field, column: &Column, format: &Format) -> Result<Self> {
        let schema = arrow_schema(std::slice::from_ref(column));
        let into = schema.field(0).data_type().clone();
        if *field.data_type() == DataType::Null {
            return Ok(Self::Absent(into));
        }
        if column.encoding == ASKED {
            return TextStep::of(field, column).map(Self::Text);
        }
        let unfit = || {
            let kind = column_of(field)
                .map_or_else(|_| field.data_type().to_string(), |it| it.source_type);
            let name = &column.source_name;
            Error::data(format!(
                "column `{name}` is {kind}, and {} in the files that the plan looked at",
                column.source_type
            ))
            .hint(match column_of(field) {
                Ok(told) => way_out(&[column, &told]),
                Err(_) => way_out(&[column]),
            })
        };
        let target = column.target_type;
        match (field.data_type(), &into) {
            (DataType::List(element), DataType::List(wanted)) => {
                Self::list(element, wanted, column, format)
            }
            (DataType::Map(entries, _), DataType::List(wanted)) => {
                Self::list(entries, wanted, column, format)
            }
            (DataType::Struct(fields), DataType::Struct(wanted)) => {
                let found: Vec<&Field> = fields.iter().map(AsRef::as_ref).collect();
                let known: Vec<String> =
                    column.fields.iter().map(|inner| inner.source_name.clone()).collect();
                let steps = steps_of(&found, &column.fields, &known, format)?;
                Ok(Self::Struct(steps, wanted.clone()))
            }
            (DataType::Union(members, _), DataType::Struct(wanted)) => {
                let steps = column.fields.iter().map(|inner| {
                    let found = members.iter().map(|(id, member)| (id, member_field(member)));
                    let mut found = found.filter(|(_, member)| *member.name() == inner.source_name);
                    let (id, member) = found.next().ok_or_else(unfit)?;
                    Ok((id, Self::of(&member, inner, format)?))
                });
                Ok(Self::Union(steps.collect::<Result<_>>()?, wanted.clone()))
            }
            (_, DataType::Struct(_) | DataType::List(_))
            | (DataType::List(_) | DataType::Map(..), _) => Err(unfit()),
            _ => Self::scalar(field, column, into, target).ok_or_else(unfit),
        }
    }

    fn list(element: &Field, wanted: &FieldRef, column: &Column, format: &Format) -> Result<Self> {
        let is_nested = matches!(element.data_type(), DataType::List(_) | DataType::Map(..));
        let single = Column { repeated: false, ..column.clone() };
        let step = if is_nested {
            // An inner list is the only field of a STRUCT.
            let [inner] = column.fields.as_slice() else {
                return Err(Error::data("read the plan: a list of lists has not one field"));
            };
            let DataType::Struct(fields) = wanted.data_type() else {
                return Err(Error::data("read the plan: a list of lists is not a STRUCT"));
            };
            let step = Self::of(element, inner, format)?;
            Self::Union(vec![(WHOLE, step)], fields.clone())
        } else {
            Self::of(&element.clone().with_name(&column.source_name), &single, format)?
        };
        Ok(Self::List(Box::new(step), Arc::clone(wanted)))
    }

    fn scalar(field: &Field, column: &Column, into: DataType, target: TargetType) -> Option<Self> {
        use DataType as D;
        use TargetType as T;
        let from = field.data_type();
        let told = column_of(field).ok()?;
        let is_number = |kind| matches!(kind, T::Int64 | T::Numeric | T::Bignumeric);
        Some(match (told.target_type, target) {
            (T::Int64, T::Float64) => Self::Doubles,
            (T::Json, T::Json | T::String) => {
                return TextStep::of(field, column).ok().map(Self::Text);
            }
            (one, other) if is_number(one) && is_number(other) => {
                if *from == into && one == T::Int64 {
                    return Some(Self::Same);
                }
                let narrows = match (from, &into) {
                    (
                        D::Decimal128(_, scale) | D::Decimal256(_, scale),
                        D::Decimal128(_, to) | D::Decimal256(_, to),
                    ) => scale > to,
                    (D::Decimal128(..) | D::Decimal256(..), _) => return None,
                    _ => false,
                };
                if narrows {
                    return TextStep::of(field, column).ok().map(Self::Text);
                }
                Self::Cast(into)
            }
            _ if *from == into && matches!(from, D::FixedSizeBinary(_)) => Self::Same,
            (one, other) if one != other => return None,
            _ => match from {
                D::Boolean | D::Float64 | D::Utf8 | D::Binary if *from == into => Self::Same,
                D::Binary if target == T::String => Self::Utf8,
                D::Float16 | D::Float32 | D::Dictionary(..) => Self::Cast(into),
                D::FixedSizeBinary(_) if target == T::Bytes => Self::Cast(into),
                D::Date32 => Self::Days,
                D::Time32(unit) | D::Time64(unit) => Self::Times(Scale::of(*unit)),
                D::Timestamp(unit, _) => Self::Moments(Scale::of(*unit), into),
                _ => return TextStep::of(field, column).ok().map(Self::Text),
            },
        })
    }

    /// The values as those of the column.
    pub(super) fn apply(&self, array: &ArrayRef) -> Result<Converted> {
        Ok(match self {
            Self::Same => Converted::good(Arc::clone(array)),
            Self::Absent(kind) => Converted::good(new_null_array(kind, array.len())),
            Self::Cast(kind) => {
                let cast = cast(array, kind)?;
                // Files may have values of more digits than they declare.
                let fitting = match kind {
                    DataType::Decimal128(precision, _) => {
                        let values = cast.as_primitive::<Decimal128Type>();
                        let values = values.null_if_overflow_precision(*precision);
                        Arc::new(values.with_data_type(kind.clone())) as ArrayRef
                    }
                    DataType::Decimal256(precision, _) => {
                        let values = cast.as_primitive::<Decimal256Type>();
                        let values = values.null_if_overflow_precision(*precision);
                        Arc::new(values.with_data_type(kind.clone()))
                    }
                    _ => cast,
                };
                Converted::of(array, fitting, MORE_DIGITS)
            }
            Self::Utf8 => {
                let bytes = array.as_binary::<i32>();
                let texts = match StringArray::try_from_binary(bytes.clone()) {
                    Ok(texts) => texts,
                    Err(_) => {
                        let texts = bytes.iter().map(|text| std::str::from_utf8(text?).ok());
                        texts.collect()
                    }
                };
                Converted::of(array, Arc::new(texts), NOT_UTF8)
            }
            Self::Days => {
                let days = array.as_primitive::<Date32Type>();
                let is_day = |day: i32| (FIRST_DAY..=LAST_DAY).contains(&i64::from(day));
                if days.values().iter().all(|day| is_day(*day)) {
                    return Ok(Converted::good(Arc::clone(array)));
                }
                let days = days.unary_opt::<_, Date32Type>(|day| is_day(day).then_some(day));
                Converted::of(array, Arc::new(days), NO_DAY)
            }
            Self::Times(scale) => {
                let units = integers(array)?;
                let times =
                    units.as_primitive::<Int64Type>().unary_opt::<_, Time64MicrosecondType>(
                        |unit| scale.micros(unit).filter(|micros| (0..DAY).contains(micros)),
                    );
                Converted::of(array, Arc::new(times), NO_TIME)
            }
            Self::Moments(scale, kind) => {
                let is_moment = |micros: &i64| FIRST_MOMENT <= *micros && *micros <= LAST_MOMENT;
                let units = integers(array)?;
                let moments = units
                    .as_primitive::<Int64Type>()
                    .unary_opt::<_, TimestampMicrosecondType>(|unit| {
                        scale.micros(unit).filter(is_moment)
                    })
                    .with_data_type(kind.clone());
                Converted::of(array, Arc::new(moments), FINER)
            }
            Self::Doubles => {
                let integers = integers(array)?;
                #[expect(clippy::cast_precision_loss, reason = "those that lose some are left out")]
                let doubles =
                    integers.as_primitive::<Int64Type>().unary_opt::<_, Float64Type>(|value| {
                        (-EXACT..=EXACT).contains(&value).then_some(value as f64)
                    });
                Converted::of(array, Arc::new(doubles), ROUNDED)
            }
            Self::Text(step) => step.apply(array)?,
            Self::List(step, element) => list(array, step, element)?,
            Self::Struct(steps, fields) => {
                let sent = array.as_struct();
                let columns = steps.iter().map(|(place, step)| match place {
                    Some(place) => step.apply(sent.column(*place)),
                    None => step.apply(array),
                });
                record(columns.collect::<Result<_>>()?, fields, array)?
            }
            Self::Union(steps, fields) => {
                let columns = steps.iter().map(|(id, step)| match *id {
                    WHOLE => step.apply(array),
                    id => step.apply(&member_values(array, id)?),
                });
                record(columns.collect::<Result<_>>()?, fields, array)?
            }
        })
    }
}

/// What to do about a column that has several types.
pub(super) fn way_out(types: &[&Column]) -> String {
    let is_single = |it: &&Column| !it.repeated && it.target_type != TargetType::Struct;
    if !types.iter().all(is_single) {
        return "write a job for the files of each kind".to_owned();
    }
    let name = types.first().map_or("", |column| column.source_name.as_str());
    format!(
        "name its type in `columns.{name}.type`, such as `STRING`, or write a job for the files of each kind"
    )
}

/// In place of the number of a union's member: the whole array is the only field of the STRUCT.
const WHOLE: i8 = -1;

/// Which field of a file fills each of these columns, and how.
///
/// # Errors
/// `Data` for a column that the file lacks, and for one that nobody knows, as far as the job refuses those.
pub(super) fn steps_of(
    found: &[&Field],
    columns: &[Column],
    known: &[String],
    format: &Format,
) -> Result<Vec<(Option<usize>, Step)>> {
    if !format.ignores_unknown()
        && let Some(field) = found.iter().find(|field| !known.contains(field.name()))
    {
        return Err(Error::data(format!(
            "it has a column `{}` that the plan does not know",
            field.name()
        ))
        .hint(
            "set `source.format.unknown` to `ignore`, or write a job for the files of each kind",
        ));
    }
    let steps = columns.iter().map(|column| {
        let name = &column.source_name;
        if found.iter().filter(|field| field.name() == name).count() > 1 {
            return Err(Error::data(format!("it has more than one column `{name}`"))
                .hint("name the other columns in `source.columns`, or write the files with different names"));
        }
        match found.iter().position(|field| field.name() == name) {
            Some(place) => {
                let field = found.get(place).copied();
                let field = field.ok_or_else(|| Error::bug("read a file: a field is not there"))?;
                Ok((Some(place), Step::of(field, column, format)?))
            }
            None if format.takes_missing() => {
                let schema = arrow_schema(std::slice::from_ref(column));
                Ok((None, Step::Absent(schema.field(0).data_type().clone())))
            }
            None => Err(Error::data(format!("it has no column `{name}`")).hint(
                "set `source.format.missing` to `null`, or write a job for the files of each kind",
            )),
        }
    });
    steps.collect()
}

fn cast(array: &ArrayRef, kind: &DataType) -> Result<ArrayRef> {
    let options = CastOptions { safe: true, ..CastOptions::default() };
    cast_with_options(array, kind, &options)
        .map_err(|source| Error::bug("cast a column of a file").because(source))
}

/// Numbers of any unit as 64-bit integers.
fn integers(array: &ArrayRef) -> Result<ArrayRef> {
    match array.data_type() {
        DataType::Time32(_) => cast(&cast(array, &DataType::Int32)?, &DataType::Int64),
        _ => cast(array, &DataType::Int64),
    }
}
