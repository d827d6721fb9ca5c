//! Text, bytes, documents, and types that are read as their text.

use super::TargetType::{Bytes, Json, String as Text};
use super::{COMPOSITE, ENUM, Row, TEXT, Target, Wire, all, but, row, text};

const JSON: &[Target] = &[all(Json), all(Text), all(Bytes)];

pub(super) const ROWS: &[Row] = &[
    row("text", Wire::Text, TEXT, "Grüße", "Grüße"),
    row("varchar", Wire::Text, TEXT, "Grüße", "Grüße"),
    row("bpchar", Wire::Text, TEXT, "ab   ", "ab   "),
    row("name", Wire::Text, TEXT, "orders", "orders"),
    row("char", Wire::Char, &[but(Text, "bytes above 127"), all(Bytes)], "x", "x"),
    row(ENUM, Wire::Text, TEXT, "happy", "happy"),
    row("bytea", Wire::Bytea, &[all(Bytes)], r"\x00ff", r"b'\x00\xff'"),
    row(
        "uuid",
        Wire::Uuid,
        &[all(Text), all(Bytes)],
        "0cf81f90-3840-2e85-910c-fad17d0051b3",
        "0cf81f90-3840-2e85-910c-fad17d0051b3",
    ),
];

pub(super) const DOCUMENTS: &[Row] = &[
    row("json", Wire::Text, JSON, r#"{"a":1,  "a":2.0}"#, r#"{"a":1,  "a":2.0}"#),
    row("jsonb", Wire::Jsonb, JSON, r#"{"a": 1.10}"#, r#"{"a": 1.10}"#),
    text("jsonpath", "$.a", r#"$."a""#),
    text("xml", "<a/>", "<a/>"),
    row(COMPOSITE, Wire::Json, &[all(Json)], "(1,x)", r#"{"id":1,"name":"x"}"#),
];

pub(super) const NETWORKS: &[Row] = &[
    text("inet", "10.0.0.1", "10.0.0.1/32"),
    text("cidr", "10.0.0.0/8", "10.0.0.0/8"),
    text("macaddr", "08:00:2b:01:02:03", "08:00:2b:01:02:03"),
    text("macaddr8", "08:00:2b:01:02:03:04:05", "08:00:2b:01:02:03:04:05"),
    text("bit", "101", "101"),
    text("varbit", "101", "101"),
];

pub(super) const SEARCH: &[Row] = &[
    text("tsvector", "'a':1 'b':2B", "'a':1 'b':2B"),
    text("tsquery", "'a' & !'b'", "'a' & !'b'"),
];
