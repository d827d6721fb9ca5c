//! Decoding arrays into repeated columns.

use super::super::type_table::Wire;
use super::refusal::Refusal;
use super::value;
use crate::builder::{Invalid, ListColumn};

/// Appends an array of one dimension. If it fails, the row is still open.
pub(super) fn append(wire: Wire, value: &[u8], list: &mut ListColumn) -> Result<(), Refusal> {
    let mut rest = value;
    let dimensions = word(&mut rest)?;
    if !matches!(word(&mut rest)?, 0 | 1) {
        return Err(Refusal::Malformed("an array of unknown flags"));
    }
    let _element_type = word(&mut rest)?;
    let mut left = match dimensions {
        0 => 0,
        1 => {
            let count = word(&mut rest)?;
            if word(&mut rest)? != 1 {
                return Err(Invalid("an array whose lower bound is not 1").into());
            }
            count
        }
        2..=6 => return Err(Invalid("an array of more than one dimension").into()),
        _ => return Err(Refusal::Malformed("an array of impossible dimensions")),
    };
    while left > 0 {
        let length = word(&mut rest)?;
        if length == -1 {
            return Err(Invalid("an array with a NULL element").into());
        }
        let (element, after) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or(Refusal::Malformed("an array whose elements end early"))?;
        value::append(wire, element, &mut list.elements)?;
        rest = after;
        left -= 1;
    }
    if left < 0 || !rest.is_empty() {
        return Err(Refusal::Malformed("an array that is not as long as it says"));
    }
    Ok(list.close(true)?)
}

fn word(rest: &mut &[u8]) -> Result<i32, Refusal> {
    let (word, after) =
        rest.split_first_chunk().ok_or(Refusal::Malformed("an array that ends early"))?;
    *rest = after;
    Ok(i32::from_be_bytes(*word))
}
