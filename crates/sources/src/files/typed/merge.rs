//! One column of what the same column is in several files.

use sluice_contracts::documents::{Column, Decimal, TargetType, digits};

/// Lists that are empty in the whole file.
const NULLS: &str = "list of null";

/// Widens a column so that it holds the values of the same column of another file, too. Says whether a type
/// does. `adds` says whether a STRUCT takes fields that only the other one has.
pub(super) fn widen(column: &mut Column, other: &Column, adds: bool) -> bool {
    if other.encoding == "null" {
        return true;
    }
    if column.encoding == "null" {
        *column = other.clone();
        return true;
    }
    if column.repeated != other.repeated {
        return false;
    }
    if other.source_type == NULLS {
        return true;
    }
    if column.source_type == NULLS {
        *column = other.clone();
        return true;
    }
    if column.target_type == TargetType::Struct && other.target_type == TargetType::Struct {
        return widen_fields(&mut column.fields, &other.fields, adds);
    }
    let Some((target, decimal)) = common_type(column, other) else { return false };
    if column.source_type != other.source_type {
        let is_named = column.source_type.split(" or ").any(|name| name == other.source_type);
        if !is_named {
            column.source_type = format!("{} or {}", column.source_type, other.source_type);
        }
        if column.target_type != target {
            column.encoding.clone_from(&other.encoding);
            column.invalid.clone_from(&other.invalid);
        }
    }
    (column.target_type, column.decimal) = (target, decimal);
    true
}

fn widen_fields(fields: &mut Vec<Column>, others: &[Column], adds: bool) -> bool {
    others.iter().all(|other| {
        match fields.iter_mut().find(|field| field.source_name == other.source_name) {
            Some(field) => widen(field, other, adds),
            None => {
                fields.extend(adds.then(|| other.clone()));
                true
            }
        }
    })
}

/// The type that holds the values of both, and its digits.
fn common_type(one: &Column, other: &Column) -> Option<(TargetType, Option<Decimal>)> {
    use TargetType as T;
    match (one.target_type, other.target_type) {
        (T::Int64, T::Int64) => Some((T::Int64, None)),
        (T::Int64, T::Float64) | (T::Float64, T::Int64) => Some((T::Float64, None)),
        (T::Json, T::String) | (T::String, T::Json) => Some((T::String, None)),
        (T::Int64 | T::Numeric | T::Bignumeric, T::Int64 | T::Numeric | T::Bignumeric) => {
            let (one, other) = (digits_of(one), digits_of(other));
            let scale = one.scale.max(other.scale);
            let whole = (one.precision - one.scale).max(other.precision - other.scale);
            let both = Decimal { precision: whole + scale, scale };
            Some((both.target_type()?, Some(both)))
        }
        (one_type, other_type) => (one_type == other_type).then_some((one_type, one.decimal)),
    }
}

/// The digits of a number without rounding.
fn digits_of(column: &Column) -> Decimal {
    match column.target_type {
        TargetType::Int64 => Decimal { precision: 19, scale: 0 },
        target => digits(target, column.decimal),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(encoding: &str, target: TargetType, decimal: Option<(u8, u8)>) -> Column {
        let decimal = decimal.map(|(precision, scale)| Decimal { precision, scale });
        Column { decimal, ..Column::plain("c", encoding, target) }
    }

    #[test]
    fn numbers_are_widened_and_other_types_are_not_mixed() {
        use TargetType as T;
        let int = column("int32", T::Int64, None);
        let money = column("decimal", T::Numeric, Some((12, 2)));
        let exact = column("decimal", T::Bignumeric, Some((40, 12)));
        let text = column("string", T::String, None);
        let widened = |one: &Column, other: &Column| {
            let mut one = one.clone();
            widen(&mut one, other, true)
                .then(|| (one.target_type, one.decimal.map(|it| (it.precision, it.scale))))
        };
        assert_eq!(widened(&int, &int), Some((T::Int64, None)));
        assert_eq!(widened(&int, &money), Some((T::Numeric, Some((21, 2)))));
        assert_eq!(widened(&money, &int), Some((T::Numeric, Some((21, 2)))));
        assert_eq!(widened(&money, &exact), Some((T::Bignumeric, Some((40, 12)))));
        assert_eq!(widened(&int, &column("double", T::Float64, None)), Some((T::Float64, None)));
        assert_eq!(widened(&column("null", T::String, None), &int), Some((T::Int64, None)));
        assert_eq!(widened(&int, &column("null", T::String, None)), Some((T::Int64, None)));
        assert_eq!(widened(&int, &text), None);
        assert_eq!(widened(&text, &money), None);
        let list = Column { repeated: true, ..int.clone() };
        assert_eq!(widened(&int, &list), None);
        assert_eq!(widened(&column("null", T::String, None), &list), Some((T::Int64, None)));
    }
}
