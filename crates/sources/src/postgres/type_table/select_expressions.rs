//! What the query asks the server for in place of a column.

use sluice_contracts::documents::{Column, TargetType};

use super::{Row, TEXT, Target, Wire, all, but, row};

/// What the query asks for. Types and functions are written with their schema: a search path
/// changes nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::postgres) enum SelectExpression {
    /// The column as it is.
    Column,
    /// The column cast to this type; an array cast to an array of it.
    Cast(&'static str),
    /// An expression that makes a text of `{}`; of an array, of each element.
    Each(&'static str),
    /// An expression of the whole column, `{}`; `{bounds}` is [`BOUNDS_PATTERN`].
    Whole(&'static str),
}

impl SelectExpression {
    pub(super) const TEXT: Self = Self::Cast("pg_catalog.text");
}

/// The row of columns that the job asks for as STRING and that the server does not send as text.
pub(super) const SERVER_TEXT: &str = "server_text";
/// The row of columns other than arrays that become JSON made by the server.
pub(super) const SERVER_JSON: &str = "server_json";
/// The row of arrays that become JSON.
pub(super) const ARRAY_JSON: &str = "array_json";
/// The row of composites that become JSON and have arrays inside of them, and of arrays of such.
pub(super) const BOUNDED_JSON: &str = "bounded_json";
/// The rows of money as text, which is that of the number.
pub(super) const MONEY_TEXT: &str = "money_text";
pub(super) const MONEY_ARRAY_TEXT: &str = "money_array_text";

/// What JSON cannot express of an array. The server's text has them before the array:
/// `[0:1]={1,2}`.
const BOUNDS: &str = "lower bounds other than 1";

/// Matches them in the server's text of a value that has arrays inside of it.
pub(super) const BOUNDS_PATTERN: &str = "[[]-?[0-9]+:-?[0-9]+[]]=[{]";

const JSON: &[Target] = &[all(TargetType::Json)];
const BOUND_JSON: &[Target] = &[but(TargetType::Json, BOUNDS)];

/// Conversions of types that only JSON or text can hold.
///
/// In the server's JSON each number has the digits of its text; NaN and infinity, dates, times in
/// UTC, bytes in hexadecimal, and everything that JSON does not know are strings of the server's
/// text. A `json` inside of it is verbatim, duplicate keys included.
pub(super) const ROWS: &[Row] = &[
    whole(SERVER_TEXT, Wire::Text, TEXT, "{}::pg_catalog.text"),
    whole(SERVER_JSON, Wire::Json, JSON, "pg_catalog.to_json({})::pg_catalog.text"),
    whole(
        ARRAY_JSON,
        Wire::Json,
        BOUND_JSON,
        "case when 1 = all (array[\
         coalesce(pg_catalog.array_lower({}, 1), 1), coalesce(pg_catalog.array_lower({}, 2), 1), \
         coalesce(pg_catalog.array_lower({}, 3), 1), coalesce(pg_catalog.array_lower({}, 4), 1), \
         coalesce(pg_catalog.array_lower({}, 5), 1), coalesce(pg_catalog.array_lower({}, 6), 1)]) \
         then pg_catalog.to_json({})::pg_catalog.text else '' end",
    ),
    whole(
        BOUNDED_JSON,
        Wire::Json,
        BOUND_JSON,
        "case when {}::pg_catalog.text ~ '{bounds}' then '' \
         else pg_catalog.to_json({})::pg_catalog.text end",
    ),
    whole(MONEY_TEXT, Wire::Text, TEXT, "{}::pg_catalog.numeric::pg_catalog.text"),
    whole(MONEY_ARRAY_TEXT, Wire::Text, TEXT, "{}::pg_catalog.numeric[]::pg_catalog.text"),
];

const fn whole(
    name: &'static str,
    wire: Wire,
    targets: &'static [Target],
    template: &'static str,
) -> Row {
    Row { form: SelectExpression::Whole(template), ..row(name, wire, targets, "", "") }
}

/// What the query asks for, where `quoted` is the column's name in the query.
pub(in crate::postgres) fn expression(column: &Column, quoted: &str) -> String {
    let form = Row::of_column(column).map_or(SelectExpression::Column, |row| row.form);
    match form {
        SelectExpression::Column => quoted.to_owned(),
        SelectExpression::Cast(to) if column.repeated => format!("{quoted}::{to}[]"),
        SelectExpression::Cast(to) => format!("{quoted}::{to}"),
        SelectExpression::Each(template) if column.repeated => {
            // An array with other dimensions or bounds is refused when it is read.
            let each = template.replace("{}", "_element.of");
            format!(
                "case when {quoted} is null \
                 or coalesce(pg_catalog.array_ndims({quoted}), 1) <> 1 \
                 or coalesce(pg_catalog.array_lower({quoted}, 1), 1) <> 1 \
                 then {quoted}::pg_catalog.text[] else array(select {each} \
                 from pg_catalog.unnest({quoted}) with ordinality as _element(of, at) \
                 order by _element.at) end"
            )
        }
        SelectExpression::Each(template) | SelectExpression::Whole(template) => {
            template.replace("{bounds}", BOUNDS_PATTERN).replace("{}", quoted)
        }
    }
}
