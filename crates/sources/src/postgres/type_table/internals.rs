//! The types of the server's own catalogue.

use super::TargetType::{Bignumeric, Float64, Int64, Numeric};
use super::{Row, SelectExpression, Target, Wire, all, refused, row, text};

const NUMBER: &[Target] = &[all(Int64), all(Float64), all(Numeric), all(Bignumeric)];

/// The full name of an object, whatever the search path; its number where it is gone.
macro_rules! named {
    ($name:literal, $catalog:literal, $example:literal) => {
        named!($name, $catalog, $catalog, $example)
    };
    ($name:literal, $catalog:literal, $readable:literal, $example:literal) => {
        Row {
            form: SelectExpression::Each(concat!(
                "case when {}::pg_catalog.oid = 0 then '-' when exists (select from pg_catalog.",
                $readable,
                " as _named where _named.oid = {}::pg_catalog.oid) then \
                 (pg_catalog.pg_identify_object('pg_catalog.",
                $catalog,
                "'::pg_catalog.regclass, {}::pg_catalog.oid, 0)).identity \
                 else {}::pg_catalog.oid::pg_catalog.text end"
            )),
            ..text($name, $example, $example)
        }
    };
}

pub(super) const ROWS: &[Row] = &[
    row("oid", Wire::Oid, NUMBER, "4294967295", "4294967295"),
    named!("regclass", "pg_class", "public.orders"),
    named!("regcollation", "pg_collation", "pg_catalog.\"C\""),
    named!("regconfig", "pg_ts_config", "pg_catalog.simple"),
    named!("regdictionary", "pg_ts_dict", "pg_catalog.simple"),
    named!("regnamespace", "pg_namespace", "public"),
    named!("regoper", "pg_operator", "pg_catalog.+(integer,integer)"),
    named!("regoperator", "pg_operator", "pg_catalog.+(integer,integer)"),
    named!("regproc", "pg_proc", "pg_catalog.abs(integer)"),
    named!("regprocedure", "pg_proc", "pg_catalog.abs(integer)"),
    // `pg_authid` is for superusers.
    named!("regrole", "pg_authid", "pg_roles", "etl"),
    named!("regtype", "pg_type", "integer"),
    row("xid", Wire::Oid, NUMBER, "4294967295", "4294967295"),
    row("cid", Wire::Oid, NUMBER, "0", "0"),
    text("xid8", "18446744073709551615", "18446744073709551615"),
    text("tid", "(0,1)", "(0,1)"),
    text("pg_lsn", "16/B374D848", "16/B374D848"),
    text("pg_snapshot", "10:20:10,14,15", "10:20:10,14,15"),
    text("txid_snapshot", "10:20:10,14,15", "10:20:10,14,15"),
    text("int2vector", "1 2 3", "1 2 3"),
    text("oidvector", "1 2 3", "1 2 3"),
    text("refcursor", "<unnamed portal 1>", "<unnamed portal 1>"),
    text("aclitem", "etl=r/postgres", "etl=r/postgres"),
    text("pg_node_tree", "{CONST :consttype 23}", "{CONST :consttype 23}"),
    text("pg_ndistinct", r#"{"1, 2": 11}"#, r#"{"1, 2": 11}"#),
    text("pg_dependencies", r#"{"1 => 2": 1.000000}"#, r#"{"1 => 2": 1.000000}"#),
];

const INDEX: &str = "it lives inside of indexes, and its text does not say its value";

/// Types whose text does not show the value.
pub(super) const REFUSED: &[Row] = &[
    refused("gtsvector", INDEX),
    refused("pg_mcv_list", "it is a statistic of the server's, whose text is its bytes"),
    refused("pg_brin_bloom_summary", INDEX),
    refused("pg_brin_minmax_multi_summary", INDEX),
    refused("gbtreekey2", INDEX).of("btree_gist"),
    refused("gbtreekey4", INDEX).of("btree_gist"),
    refused("gbtreekey8", INDEX).of("btree_gist"),
    refused("gbtreekey16", INDEX).of("btree_gist"),
    refused("gbtreekey32", INDEX).of("btree_gist"),
    refused("gbtreekey_var", INDEX).of("btree_gist"),
    refused("ghstore", INDEX).of("hstore"),
    refused("intbig_gkey", INDEX).of("intarray"),
    refused("ltree_gist", INDEX).of("ltree"),
    refused("gtrgm", INDEX).of("pg_trgm"),
    refused("box2df", INDEX).of("postgis"),
    refused("gidx", INDEX).of("postgis"),
];
