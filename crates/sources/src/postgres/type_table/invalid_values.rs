//! Which values a column cannot hold, as a condition of the server's language: for the plan, which
//! asks the statistics, and for a person who has to find the row.

use sluice_contracts::documents::{Column, TargetType};

use super::select_expressions::{ARRAY_JSON, BOUNDED_JSON, BOUNDS_PATTERN};
use super::{RangeOf, Row, Wire};

/// A condition that holds for the rows whose `column`, `quoted` in the query, cannot be held;
/// `None` where the server cannot tell.
pub(in crate::postgres) fn suspicion(column: &Column, quoted: &str) -> Option<String> {
    if column.encoding == ARRAY_JSON {
        let bounds = (1..=6).map(|n| format!("pg_catalog.array_lower({quoted}, {n}) <> 1"));
        return Some(bounds.collect::<Vec<_>>().join(" or "));
    }
    if column.encoding == BOUNDED_JSON {
        return Some(format!("{quoted}::pg_catalog.text ~ '{BOUNDS_PATTERN}'"));
    }
    let row = Row::of_column(column)?;
    if !column.repeated {
        return of_value(column, row, quoted);
    }
    if row.target(column.target_type)?.repeated {
        return None;
    }
    let mut elements = "_element.of is null".to_owned();
    if let Some(condition) = of_value(column, row, "_element.of") {
        elements.push_str(" or ");
        elements.push_str(&condition);
    }
    Some(format!(
        "pg_catalog.array_ndims({quoted}) > 1 or pg_catalog.array_lower({quoted}, 1) <> 1 \
         or exists (select from pg_catalog.unnest({quoted}) as _element(of) where {elements})"
    ))
}

/// The same for one value, or one element of the statistics, and the type that these have to be
/// cast to.
pub(in crate::postgres) fn suspicion_of_element(
    column: &Column,
    value: &str,
) -> Option<(&'static str, String)> {
    let row = Row::of_column(column)?;
    let kind = match (row.wire, row.name) {
        (Wire::Numeric, _) => "pg_catalog.numeric",
        (Wire::Date, _) => "pg_catalog.date",
        (Wire::Time, _) => "pg_catalog.time",
        (Wire::Timestamp, "timestamptz") => "pg_catalog.timestamptz",
        (Wire::Timestamp, _) => "pg_catalog.timestamp",
        (Wire::Interval, _) => "pg_catalog.interval",
        (Wire::Range(RangeOf::Date), _) => "pg_catalog.daterange",
        (Wire::Range(RangeOf::Timestamp), _) => "pg_catalog.tsrange",
        (Wire::Range(RangeOf::Timestamptz), _) => "pg_catalog.tstzrange",
        _ => return None,
    };
    Some((kind, of_value(column, row, value)?))
}

fn of_value(column: &Column, row: &Row, value: &str) -> Option<String> {
    Some(match (row.wire, column.target_type) {
        // NaN is above every other number.
        (Wire::Numeric, TargetType::Int64) => format!(
            "{value} not between {} and {} or {value} <> pg_catalog.trunc({value})",
            i64::MIN,
            i64::MAX
        ),
        (Wire::Numeric, _) => {
            let digits = column.decimal?;
            let whole = digits.precision.checked_sub(digits.scale)?;
            format!(
                "pg_catalog.abs({value}) >= 1e{whole} \
                 or {value} <> pg_catalog.round({value}, {})",
                digits.scale
            )
        }
        (Wire::Date, _) => outside(RangeOf::Date, value),
        (Wire::Time, _) => format!("{value} = '24:00:00'::pg_catalog.time"),
        (Wire::Timestamp, TargetType::Timestamp) => outside(RangeOf::Timestamptz, value),
        (Wire::Timestamp, _) => outside(RangeOf::Timestamp, value),
        (Wire::Range(of), _) => {
            let bound = |side: &str| outside(of, &format!("pg_catalog.{side}({value})"));
            format!(
                "pg_catalog.isempty({value}) \
                 or not pg_catalog.lower_inf({value}) \
                 and (not pg_catalog.lower_inc({value}) or {}) \
                 or not pg_catalog.upper_inf({value}) \
                 and (pg_catalog.upper_inc({value}) or {})",
                bound("lower"),
                bound("upper")
            )
        }
        (Wire::Interval, _) => {
            let part = |part: &str| format!("pg_catalog.date_part('{part}', {value})");
            let [year, month, day] = ["year", "month", "day"].map(part);
            let [hour, minute, second] = ["hour", "minute", "second"].map(part);
            // All parts are whole numbers but the seconds, which are compared with 0 only.
            format!(
                "not pg_catalog.isfinite({value}) \
                 or pg_catalog.abs({year} * 12 + {month}) > 120000 \
                 or pg_catalog.abs({day}) > 3660000 or pg_catalog.abs({hour}) > 87840000 \
                 or pg_catalog.abs({hour}) = 87840000 and ({minute} <> 0 or {second} <> 0)"
            )
        }
        _ => return None,
    })
}

/// A condition that holds for what lies outside of the years 1 to 9999.
fn outside(of: RangeOf, value: &str) -> String {
    let (kind, zone) = match of {
        RangeOf::Date => {
            return format!(
                "{value} not between '0001-01-01'::pg_catalog.date \
                 and '9999-12-31'::pg_catalog.date"
            );
        }
        RangeOf::Timestamp => ("timestamp", ""),
        RangeOf::Timestamptz => ("timestamptz", "+00"),
    };
    format!(
        "{value} < '0001-01-01 00:00:00{zone}'::pg_catalog.{kind} \
         or {value} >= '10000-01-01 00:00:00{zone}'::pg_catalog.{kind}"
    )
}
