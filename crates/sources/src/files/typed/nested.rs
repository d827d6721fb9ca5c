//! Columns of STRUCT and ARRAY, of what a file has as records, maps and lists.

use std::sync::Arc;

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, ListArray, StructArray};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, FieldRef, Fields};
use sluice_contracts::{Error, Result};

use super::step::{Bad, Converted, Step};
use super::union::nulls_of;
use crate::builder::Invalid;

const NULL_ELEMENT: Invalid = Invalid("a NULL in an array");

/// Fields as a STRUCT that is NULL where `sent` is.
pub(super) fn record(
    columns: Vec<Converted>,
    fields: &Fields,
    sent: &ArrayRef,
) -> Result<Converted> {
    let nulls = nulls_of(sent);
    let mut bad: Option<Bad> = None;
    let mut arrays = Vec::with_capacity(columns.len());
    for column in columns {
        arrays.push(column.array);
        if let Some(more) = column.bad {
            let rows = match &bad {
                Some(bad) => &bad.rows | &more.rows,
                None => more.rows,
            };
            bad = Some(Bad { rows, why: more.why });
        }
    }
    // What stands below a NULL is no value.
    if let (Some(bad), Some(nulls)) = (&mut bad, &nulls) {
        bad.rows = &bad.rows & nulls.inner();
    }
    let bad = bad.filter(|bad| bad.rows.count_set_bits() > 0);
    let array = StructArray::try_new(fields.clone(), arrays, nulls)
        .map_err(|source| Error::bug("make a STRUCT of a file's values").because(source))?;
    Ok(Converted { array: Arc::new(array), bad })
}

/// The elements of lists or maps as those of an array.
pub(super) fn list(array: &ArrayRef, step: &Step, element: &FieldRef) -> Result<Converted> {
    let (values, offsets): (ArrayRef, &OffsetBuffer<i32>) = match array.data_type() {
        DataType::Map(..) => {
            let map = array.as_map();
            (Arc::new(map.entries().clone()), map.offsets())
        }
        _ => {
            let list = array.as_list::<i32>();
            (Arc::clone(list.values()), list.offsets())
        }
    };
    let converted = step.apply(&values)?;
    let nulls = array.nulls();
    let mut why = converted.bad.as_ref().map(|bad| bad.why);
    let is_bad_element = |at: usize| {
        converted.array.is_null(at) || converted.bad.as_ref().is_some_and(|bad| bad.rows.value(at))
    };
    let mut bad = None;
    if why.is_some() || converted.array.null_count() > 0 {
        why = why.or(Some(NULL_ELEMENT));
        let bounds = |row: usize| {
            let at = |place: usize| offsets.get(place).copied().unwrap_or_default().try_into();
            Some(at(row).ok()?..at(row + 1).ok()?)
        };
        let is_bad = |row: usize| {
            nulls.is_none_or(|nulls| nulls.is_valid(row))
                && bounds(row).is_some_and(|mut elements| elements.any(is_bad_element))
        };
        let rows = BooleanBuffer::collect_bool(array.len(), is_bad);
        bad = why.filter(|_| rows.count_set_bits() > 0).map(|why| Bad { rows, why });
    }
    let good = bad.as_ref().map(|bad| !&bad.rows);
    let nulls = match (nulls, good) {
        (Some(nulls), Some(good)) => Some(NullBuffer::new(nulls.inner() & &good)),
        (Some(nulls), None) => Some(nulls.clone()),
        (None, good) => good.map(NullBuffer::new),
    };
    let array = ListArray::try_new(Arc::clone(element), offsets.clone(), converted.array, nulls)
        .map_err(|source| Error::bug("make an array of a file's values").because(source))?;
    Ok(Converted { array: Arc::new(array), bad })
}
