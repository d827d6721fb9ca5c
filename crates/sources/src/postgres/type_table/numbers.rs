//! Numbers.

use super::TargetType::{Bignumeric, Bool, Float64, Int64, Numeric};
use super::{Row, Target, Wire, all, but, row};

const SMALL: &[Target] = &[all(Int64), all(Float64), all(Numeric), all(Bignumeric)];
const LARGE: &[Target] =
    &[all(Int64), but(Float64, "integers that FLOAT64 would round"), all(Numeric), all(Bignumeric)];
/// What a decimal cannot hold depends on its digits: see [`super::numeric`].
const DECIMAL: &[Target] = &[
    but(Bignumeric, "NaN, infinity, more digits than BIGNUMERIC has"),
    but(Numeric, "NaN, infinity, more digits than NUMERIC has"),
    but(Int64, "NaN, infinity, fractions, more than 64 bits"),
];

pub(super) const ROWS: &[Row] = &[
    row("int2", Wire::Int2, SMALL, "-32768", "-32768"),
    row("int4", Wire::Int4, SMALL, "2147483647", "2147483647"),
    row("int8", Wire::Int8, LARGE, "9007199254740993", "9007199254740993"),
    row("float4", Wire::Float4, &[all(Float64)], "0.1", "0.10000000149011612"),
    row("float8", Wire::Float8, &[all(Float64)], "-Infinity", "-inf"),
    row("numeric", Wire::Numeric, DECIMAL, "0.10", "0.1"),
    row("money", Wire::Money, &[all(Numeric), all(Bignumeric)], "$1,234.56", "1234.56")
        .inexact_json("its text depends on the locale"),
    row("bool", Wire::Bool, &[all(Bool)], "t", "true"),
];
