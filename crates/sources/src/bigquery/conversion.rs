//! From the columns that BigQuery sends to those that part files have.
//!
//! Both are Arrow's. BigQuery sends decimals with all digits of their type, and names the elements of
//! arrays otherwise; everything else is taken as it is.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::types::{Decimal128Type, Decimal256Type};
use arrow_array::{
    Array, ArrayRef, Decimal128Array, Decimal256Array, ListArray, RecordBatch, RecordBatchOptions,
    StructArray,
};
use arrow_buffer::i256;
use arrow_schema::{DataType, SchemaRef};
use sluice_contracts::{Error, Result};

/// Takes the columns of part files out of the batches of a session.
#[derive(Debug)]
pub(super) struct Conversion {
    /// The columns of the part files.
    schema: SchemaRef,
    /// Their names in what BigQuery sends.
    names: Vec<String>,
}

impl Conversion {
    /// To the columns of `schema`, which BigQuery sends under these names.
    pub(super) fn new(schema: SchemaRef, names: Vec<String>) -> Self {
        Self { schema, names }
    }

    /// The columns of a batch.
    ///
    /// # Errors
    /// `Data` if BigQuery sent a column of another type than the plan expects.
    pub(super) fn convert(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let columns = self.names.iter().zip(self.schema.fields()).map(|(name, field)| {
            let sent = batch
                .schema()
                .fields()
                .iter()
                .position(|sent| sent.name().eq_ignore_ascii_case(name));
            let Some(sent) = sent else {
                return Err(Error::data(format!("read column `{name}`: BigQuery did not send it"))
                    .hint("start the run again: the table may have changed"));
            };
            let array = batch.column(sent);
            converted(array, field.data_type()).ok_or_else(|| {
                Error::data(format!(
                    "read column `{name}`: BigQuery sent it as {}, which does not fit {}",
                    array.data_type(),
                    field.data_type()
                ))
                .hint("start the run again: the table may have changed")
            })
        });
        let columns: Vec<ArrayRef> = columns.collect::<Result<_>>()?;
        let rows = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &rows)
            .map_err(|error| Error::bug("make a batch of the rows of BigQuery").because(error))
    }
}

/// An array as one of another type with the same values; `None` if it does not fit.
fn converted(array: &ArrayRef, wanted: &DataType) -> Option<ArrayRef> {
    if array.data_type() == wanted {
        return Some(Arc::clone(array));
    }
    Some(match (array.data_type(), wanted) {
        (
            DataType::Decimal128(_, from) | DataType::Decimal256(_, from),
            DataType::Decimal128(precision, to),
        ) => {
            let values = unscaled(array)?;
            let values: Decimal128Array = values
                .try_unary(|value| rescaled(value, *from, *to)?.to_i128().ok_or(Finer))
                .ok()?;
            Arc::new(values.with_precision_and_scale(*precision, *to).ok()?)
        }
        (
            DataType::Decimal128(_, from) | DataType::Decimal256(_, from),
            DataType::Decimal256(precision, to),
        ) => {
            let values = unscaled(array)?;
            let values: Decimal256Array =
                values.try_unary(|value| rescaled(value, *from, *to)).ok()?;
            Arc::new(values.with_precision_and_scale(*precision, *to).ok()?)
        }
        (DataType::Timestamp(unit, Some(_)), DataType::Timestamp(wanted_unit, Some(_)))
            if unit == wanted_unit =>
        {
            // Both are microseconds since 1970 UTC, whatever the zone is called.
            let data = array.to_data().into_builder().data_type(wanted.clone()).build().ok()?;
            arrow_array::make_array(data)
        }
        (DataType::List(_), DataType::List(element)) => {
            let list = array.as_list::<i32>();
            let values = converted(list.values(), element.data_type())?;
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Arc::new(ListArray::try_new(Arc::clone(element), offsets, values, nulls).ok()?)
        }
        (DataType::Struct(_), DataType::Struct(fields)) => {
            let sent = array.as_struct();
            let columns = fields.iter().map(|field| {
                let column = sent.column_by_name(field.name())?;
                converted(column, field.data_type())
            });
            let columns: Vec<ArrayRef> = columns.collect::<Option<_>>()?;
            let nulls = sent.nulls().cloned();
            Arc::new(StructArray::try_new(fields.clone(), columns, nulls).ok()?)
        }
        _ => return None,
    })
}

/// The unscaled numbers of decimals.
fn unscaled(array: &ArrayRef) -> Option<Decimal256Array> {
    match array.data_type() {
        DataType::Decimal128(..) => {
            Some(array.as_primitive::<Decimal128Type>().unary(i256::from_i128))
        }
        DataType::Decimal256(..) => Some(array.as_primitive::<Decimal256Type>().clone()),
        _ => None,
    }
}

/// A value has more digits than its column declares.
struct Finer;

/// An unscaled decimal at another scale.
fn rescaled(value: i256, from: i8, to: i8) -> Result<i256, Finer> {
    let step = i256::from_i128(10).checked_pow(from.abs_diff(to).into()).ok_or(Finer)?;
    if from <= to {
        return value.checked_mul(step).ok_or(Finer);
    }
    let rest = value.checked_rem(step).ok_or(Finer)?;
    if rest == i256::ZERO { value.checked_div(step).ok_or(Finer) } else { Err(Finer) }
}
