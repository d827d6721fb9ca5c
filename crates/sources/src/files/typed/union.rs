//! The members of Avro's unions.

use arrow_array::cast::AsArray as _;
use arrow_array::{Array as _, ArrayRef, UInt32Array};
use arrow_buffer::NullBuffer;
use arrow_schema::DataType;
use arrow_select::take::take;
use sluice_contracts::{Error, Result};

/// Which rows of a union are not NULL.
pub(super) fn nulls_of(array: &ArrayRef) -> Option<NullBuffer> {
    let DataType::Union(members, _) = array.data_type() else { return array.nulls().cloned() };
    let (null, _) = members.iter().find(|(_, member)| *member.data_type() == DataType::Null)?;
    let union = array.as_union();
    Some(union.type_ids().iter().map(|id| *id != null).collect())
}

/// The values of one type of a union, NULL where the union has one of another type.
pub(super) fn member_values(array: &ArrayRef, id: i8) -> Result<ArrayRef> {
    let failed = |source| Error::bug("take the values of a union").because(source);
    let union = array.as_union();
    let rows = 0..array.len();
    let places = rows.map(|row| {
        let place = (union.type_id(row) == id).then(|| union.value_offset(row))?;
        u32::try_from(place).ok()
    });
    let places: UInt32Array = places.collect();
    take(union.child(id), &places, None).map_err(failed)
}
