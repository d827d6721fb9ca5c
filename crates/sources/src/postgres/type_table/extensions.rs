//! Types of extensions.

use super::TargetType::{Bytes, Float64, Geography, Json};
use super::{Row, SelectExpression, TEXT, Target, Wire, all, but, refused, row, text};

const PLACE: &[Target] = &[
    but(
        Geography,
        "coordinates of another SRID than 4326 or outside of its degrees, a third or fourth \
         coordinate, empty shapes, curves and surfaces",
    ),
    all(Bytes),
];
const FLOATS: &[Target] = &[Target { to: Float64, repeated: true, invalid: None }];
/// The server's JSON of a shape has 15 digits, and its text of a box has no more.
const ROUNDED: &str = "its text has 15 digits and rounds the others away";

pub(super) const ROWS: &[Row] = &[
    row("citext", Wire::Text, TEXT, "Grüße", "Grüße").of("citext"),
    Row {
        form: SelectExpression::Each("pg_catalog.to_json({})::pg_catalog.text"),
        ..row("hstore", Wire::Json, &[all(Json)], "a=>1, b=>NULL", r#"{"a": "1", "b": null}"#)
            .of("hstore")
    },
    text("ltree", "top.science", "top.science").of("ltree"),
    text("lquery", "top.*{1,2}", "top.*{1,2}").of("ltree"),
    text("ltxtquery", "science & !art", "science & !art").of("ltree"),
    text("query_int", "1 & (2 | 3)", "1 & ( 2 | 3 )").of("intarray"),
    text("cube", "(1, 2),(3, 4)", "(1, 2),(3, 4)").of("cube"),
    text("seg", "1.50 .. 2.5", "1.50 .. 2.5").of("seg"),
    text("ean13", "978-0-393-04002-9", "978-0-393-04002-9").of("isn"),
    text("isbn", "0-393-04002-X", "0-393-04002-X").of("isn"),
    text("isbn13", "978-0-393-04002-9", "978-0-393-04002-9").of("isn"),
    text("ismn", "M-060-11561-5", "M-060-11561-5").of("isn"),
    text("ismn13", "979-0-060-11561-5", "979-0-060-11561-5").of("isn"),
    text("issn", "1436-4522", "1436-4522").of("isn"),
    text("issn13", "977-1436-452-00-8", "977-1436-452-00-8").of("isn"),
    text("upc", "220-0-000-00000-1", "220-0-000-00000-1").of("isn"),
    row(
        "geometry",
        Wire::Geometry,
        PLACE,
        "SRID=4326;POINT(1.5 -2)",
        r#"{"type":"Point","coordinates":[1.5,-2]}"#,
    )
    .of("postgis")
    .inexact_json(ROUNDED),
    row("geography", Wire::Geography, PLACE, "POINT(1.5 -2)", "POINT(1.5 -2)")
        .of("postgis")
        .inexact_json(ROUNDED),
    refused("box2d", ROUNDED).of("postgis").inexact_json(ROUNDED),
    refused("box3d", ROUNDED).of("postgis").inexact_json(ROUNDED),
    refused("spheroid", ROUNDED).of("postgis").inexact_json(ROUNDED),
    text("raster", "0100...", "0100...").of("postgis_raster"),
    Row {
        form: SelectExpression::Whole("{}::pg_catalog.float4[]"),
        ..row("vector", Wire::Float4, FLOATS, "[1,2.5]", "[1.0, 2.5]").of("vector")
    },
    Row {
        form: SelectExpression::Whole("{}::pg_catalog.float4[]"),
        ..row("halfvec", Wire::Float4, FLOATS, "[1,2.5]", "[1.0, 2.5]").of("vector")
    },
    text("sparsevec", "{1:1.5,3:2}/5", "{1:1.5,3:2}/5").of("vector"),
];
