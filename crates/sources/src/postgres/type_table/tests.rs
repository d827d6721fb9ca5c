//! What each type becomes.

use sluice_contracts::Result;
use sluice_contracts::documents::{Column, OnInvalid, TargetType};
use sluice_contracts::job::ColumnFile;

use super::pg_type::{Arrays, PgType};
use super::resolve::{ARRAYS, Resolved, resolve};
use super::{FAMILIES, expression, rows, wire_of};

const PLAIN: PgType<'_> = PgType {
    display: "",
    base: "",
    extension: "",
    typtype: 'b',
    typmod: -1,
    arrays: Arrays::None,
    inexact: None,
    has_arrays: false,
};

fn want(to: TargetType) -> ColumnFile {
    ColumnFile { target_type: Some(to), ..ColumnFile::default() }
}

/// `base[(p,s)][[]] [as TYPE]` and `TARGET[(p,s)] [REPEATED] [text] [| invalid]`, or the error.
fn check(asked: &str, expected: &str) {
    let found = match described(asked) {
        Ok(found) => shown(&found),
        Err(error) => format!("{error}; {}", error.remedy().unwrap()),
    };
    assert_eq!(found, expected, "{asked}");
}

fn described(asked: &str) -> Result<Resolved> {
    let (kind, wanted) = match asked.split_once(" as ") {
        Some((kind, to)) => {
            (kind, Some(TargetType::ALL.into_iter().find(|t| t.name() == to).unwrap()))
        }
        None => (asked, None),
    };
    let (element, arrays) = match (kind.strip_suffix("[][]"), kind.strip_suffix("[]")) {
        (Some(element), _) => (element, Arrays::Deep),
        (None, Some(element)) => (element, Arrays::One),
        (None, None) => (kind, Arrays::None),
    };
    let (extension, element) = element.split_once('.').unwrap_or(("", element));
    let (base, typmod) = match element.split_once('(') {
        None => (element, -1),
        Some((base, digits)) => {
            let (p, s) = digits.trim_end_matches(')').split_once(',').unwrap();
            let (p, s): (i32, i32) = (p.parse().unwrap(), s.parse().unwrap());
            (base, ((p << 16) | (s & 0x7ff)) + 4)
        }
    };
    let typtype = match base {
        "mood" => 'e',
        "pair" | "spot" | "lists" => 'c',
        "span" => 'r',
        "spans" => 'm',
        _ => 'b',
    };
    let inexact = (base == "spot").then_some("its text rounds");
    let has_arrays = base == "lists";
    let pg =
        PgType { display: kind, base, extension, typtype, typmod, arrays, inexact, has_arrays };
    resolve("c", &pg, wanted.map(want).as_ref())
}

fn shown(found: &Resolved) -> String {
    let column = Column {
        name: "c".into(),
        source_name: "c".into(),
        source_type: String::new(),
        encoding: found.encoding.clone(),
        target_type: found.target_type,
        repeated: found.repeated,
        decimal: found.decimal,
        fields: Vec::new(),
        nullable: None,
        max_length: None,
        description: None,
        on_invalid: OnInvalid::Fail,
        invalid: None,
    };
    assert!(wire_of(&column).is_ok(), "{column:?}");
    let text = match expression(&column, "c").as_str() {
        "c" => "",
        "c::pg_catalog.text" => " text",
        "c::pg_catalog.text[]" => " text[]",
        "pg_catalog.to_json(c)::pg_catalog.text" => " to_json",
        other if other.starts_with("case when 1 = all (array[") => " to_json of array",
        other if other.starts_with("case when c::pg_catalog.text ~ ") => " to_json unless bounded",
        _ => " made",
    };
    let digits = found.decimal.map(|d| format!("({},{})", d.precision, d.scale));
    let repeated = if found.repeated { " REPEATED" } else { "" };
    let invalid = found.invalid.as_ref().map(|invalid| format!(" | {invalid}"));
    let (digits, invalid) = (digits.unwrap_or_default(), invalid.unwrap_or_default());
    format!("{}{digits}{repeated}{text}{invalid}", found.target_type)
}

#[test]
fn types_of_an_ordinary_application() {
    check("int2", "INT64");
    check("int4 as NUMERIC", "NUMERIC(10,0)");
    check("int8 as FLOAT64", "FLOAT64 | integers that FLOAT64 would round");
    check("int8 as BIGNUMERIC", "BIGNUMERIC(19,0)");
    check("float4", "FLOAT64");
    check("float8 as STRING", "STRING text");
    check("text", "STRING");
    check("text as BYTES", "BYTES");
    check("varchar as STRING", "STRING");
    check("mood", "STRING");
    check("date", "DATE | infinity, years outside 1 to 9999");
    check("timestamp", "DATETIME | infinity, years outside 1 to 9999");
    check("timestamptz as STRING", "STRING text");
    check("uuid", "STRING");
    check("uuid as BYTES", "BYTES");
    check("jsonb", "JSON");
    check("json as STRING", "STRING");
}

#[test]
fn decimals_go_by_their_digits() {
    check("numeric(12,2)", "NUMERIC(12,2) | NaN");
    check("numeric(38,10)", "BIGNUMERIC(38,10) | NaN");
    check("numeric(5,-2)", "NUMERIC(7,0) | NaN");
    check("numeric(2,5)", "NUMERIC(5,5) | NaN");
    check("numeric(76,38)", "BIGNUMERIC(76,38) | NaN");
    check(
        "numeric(77,38)",
        "describe column `c`: type `numeric(77,38)` has up to 39 digits before the point and \
         38 after it, which neither NUMERIC nor BIGNUMERIC holds; \
         set `columns.c.type` to `STRING`",
    );
    check("numeric(60,20) as STRING", "STRING text");
    check(
        "numeric(60,20) as BIGNUMERIC",
        "BIGNUMERIC(58,20) | NaN, more than 38 digits before the point",
    );
    check(
        "numeric",
        "BIGNUMERIC(76,38) | NaN, infinity, more than 38 digits before the point or 38 after it",
    );
    check(
        "numeric as NUMERIC",
        "NUMERIC(38,9) | NaN, infinity, more than 29 digits before the point or 9 after it",
    );
    check("numeric(20,10) as NUMERIC", "NUMERIC(19,9) | NaN, more than 9 digits after the point");
    check("numeric(12,2) as BIGNUMERIC", "BIGNUMERIC(12,2) | NaN");
    check("numeric(18,0) as INT64", "INT64 | NaN");
    check("numeric(19,0) as INT64", "INT64 | NaN, fractions, more than 64 bits");
    check(
        "numeric(1000,-1000)",
        &format!(
            "{}{}",
            "describe column `c`: type `numeric(1000,-1000)` has up to 2000 digits before the \
         point and 0 after it, which neither NUMERIC nor BIGNUMERIC holds; ",
            "set `columns.c.type` to `STRING`"
        ),
    );
}

#[test]
fn arrays_are_repeated_or_one_text() {
    check("int4[]", &format!("INT64 REPEATED | {ARRAYS}"));
    check("numeric(12,2)[]", &format!("NUMERIC(12,2) REPEATED | {ARRAYS}, NaN"));
    check("text[] as STRING", "STRING text");
    check("uuid[] as BYTES", &format!("BYTES REPEATED | {ARRAYS}"));
    check("mood[]", &format!("STRING REPEATED | {ARRAYS}"));
}

#[test]
fn arrays_that_repeated_cannot_hold_are_documents() {
    let document = "JSON to_json of array | lower bounds other than 1";
    check("int4[][]", document);
    check("int4[][] as STRING", "STRING text");
    check("int4[] as JSON", document);
    check("pair[]", document);
    check("pair[] as STRING", "STRING text");
    check("pair", "JSON to_json");
    check("lists", "JSON to_json unless bounded | lower bounds other than 1");
    check("lists[]", "JSON to_json unless bounded | lower bounds other than 1");
    for text in ["pair", "pair[][]", "int4[][]", "hstore.hstore", "colour", "colour[]"] {
        check(&format!("{text} as BYTES"), "BYTES text");
    }
    check("vector.vector[]", document);
    check("json[] as JSON", &format!("JSON REPEATED | {ARRAYS}"));
    check(
        "int4[][] as INT64",
        "describe column `c`: type `int4[][]` cannot become `INT64`; \
         set `columns.c.type` to `JSON`, `BYTES` or `STRING`",
    );
    check(
        "int4[] as DATE",
        "describe column `c`: type `int4[]` cannot become `DATE`; \
         set `columns.c.type` to `INT64`, `FLOAT64`, `NUMERIC`, `BIGNUMERIC`, `JSON` or `STRING`",
    );
    for inexact in ["money[][]", "money[] as JSON", "spot", "spot[]", "postgis.geometry[][]"] {
        let (kind, wanted) = inexact.split_once(" as ").unwrap_or((inexact, ""));
        let column = if wanted.is_empty() { kind.to_owned() } else { format!("{kind} as JSON") };
        let found = described(&column).unwrap_err();
        assert!(found.to_string().contains("is not exact in the server's JSON"), "{found}");
        assert!(found.remedy().unwrap().contains("`STRING`"), "{inexact}");
    }
    check("money[][] as STRING", "STRING made");
    check("spot as STRING", "STRING text");
}

#[test]
fn what_is_read_as_the_servers_text() {
    check("inet", "STRING text");
    check("inet as STRING", "STRING text");
    check("inet as BYTES", "BYTES text");
    check("inet[]", &format!("STRING REPEATED text[] | {ARRAYS}"));
    let lengths = "infinity, more than 10,000 years, 3,660,000 days or 87,840,000 hours";
    check("interval", &format!("INTERVAL | {lengths}"));
    check("interval as STRING", "STRING text");
    check("interval[]", &format!("INTERVAL REPEATED | {ARRAYS}, {lengths}"));
    check("interval[] as STRING", "STRING text");
    check("span", "STRING text");
    let bounds = "empty ranges, an exclusive lower or an inclusive upper bound, bounds of infinity or \
                  of years outside 1 to 9999";
    check("daterange", &format!("RANGE<DATE> | {bounds}"));
    check("tsrange", &format!("RANGE<DATETIME> | {bounds}"));
    check("tstzrange", &format!("RANGE<TIMESTAMP> | {bounds}"));
    check("tstzrange as STRING", "STRING text");
    check("tstzrange[]", &format!("RANGE<TIMESTAMP> REPEATED | {ARRAYS}, {bounds}"));
    check("tstzrange[] as STRING", "STRING text");
    check("tstzmultirange", "STRING text");
    check("spans[]", &format!("STRING REPEATED text[] | {ARRAYS}"));
    check("regclass", "STRING made");
    check("regclass as STRING", "STRING made");
    check("regclass[]", &format!("STRING REPEATED made | {ARRAYS}"));
    check("xid", "INT64");
    check("xid8", "STRING text");
    check("money", "NUMERIC(19,2)");
    check("money(19,0)", "NUMERIC(19,0)");
    check("money as BIGNUMERIC", "BIGNUMERIC(19,2)");
    check("money as STRING", "STRING made");
    check("money[]", &format!("NUMERIC(19,2) REPEATED | {ARRAYS}"));
}

#[test]
fn types_of_extensions() {
    check("citext.citext", "STRING");
    check("hstore.hstore", "JSON to_json");
    check("hstore.hstore as STRING", "STRING text");
    check("hstore.hstore[]", &format!("JSON REPEATED made | {ARRAYS}"));
    check("ltree.ltree", "STRING text");
    check("vector.vector", "FLOAT64 REPEATED made");
    check("vector.vector as STRING", "STRING text");
    let place = "coordinates of another SRID than 4326 or outside of its degrees, a third or \
                 fourth coordinate, empty shapes, curves and surfaces";
    check("postgis.geometry", &format!("GEOGRAPHY | {place}"));
    check("postgis.geometry as BYTES", "BYTES");
    check("postgis.geography as STRING", "STRING text");
    check("postgis.geography[]", &format!("GEOGRAPHY REPEATED | {ARRAYS}, {place}"));
    // Modifiers of PostGIS: `geometry(Point,4326)`, then one of another kind each.
    let declared = |typmod, wanted: &str| {
        let pg =
            PgType { base: "geometry", extension: "postgis", typmod, display: "geometry", ..PLAIN };
        let wanted = TargetType::ALL.into_iter().find(|to| to.name() == wanted).map(want);
        resolve("c", &pg, wanted.as_ref()).map_err(|error| error.to_string())
    };
    assert!(declared(1_107_460, "").is_ok());
    for (typmod, reason) in [
        (3857 << 8 | 4, "coordinates that are no degrees of SRID 4326"),
        (1_107_462, "more than two coordinates"),
        (4326 << 8 | 8 << 2, "curves or surfaces"),
    ] {
        assert!(declared(typmod, "").unwrap_err().contains(reason), "{typmod}");
        assert!(declared(typmod, "BYTES").is_ok());
        assert!(declared(typmod, "STRING").is_ok());
    }
    // A type of the same name that does not belong to the extension.
    assert!(described("citext").is_err());
    assert!(described("other.citext").is_err());
}

#[test]
fn what_cannot_be_is_refused_with_the_way_out() {
    let hint = "set `columns.c.type` to `STRING` to load the text that the server makes of it";
    check("colour", &format!("describe column `c`: type `colour` is not known; {hint}"));
    check("colour[]", &format!("describe column `c`: type `colour[]` is not known; {hint}"));
    check("colour as STRING", "STRING text");
    check("colour[] as STRING", "STRING text");
    check(
        "gtsvector",
        &format!(
            "describe column `c`: type `gtsvector` is not copied: it lives inside of indexes, and \
             its text does not say its value; {hint}"
        ),
    );
    check("gtsvector as STRING", "STRING text");
    check(
        "bool as INT64",
        "describe column `c`: type `bool` cannot become `INT64`; \
         set `columns.c.type` to `BOOL` or `STRING`",
    );
    check(
        "pair as INT64",
        "describe column `c`: type `pair` cannot become `INT64`; \
         set `columns.c.type` to `JSON`, `BYTES` or `STRING`",
    );
    check(
        "numeric as DATE",
        "describe column `c`: type `numeric` cannot become `DATE`; \
         set `columns.c.type` to `BIGNUMERIC`, `NUMERIC`, `INT64` or `STRING`",
    );
    // A base type of the user's own is no more than its text, whatever its name.
    let pg = PgType { display: "shop.text", base: "shop.text", ..PLAIN };
    assert!(resolve("c", &pg, None).is_err());
    let pg = PgType { display: "record", base: "record", typtype: 'p', ..PLAIN };
    assert!(resolve("c", &pg, None).is_err());
}

#[test]
fn every_type_can_be_asked_for_as_text() {
    for row in FAMILIES.iter().flat_map(|(_, rows)| *rows) {
        for arrays in [Arrays::None, Arrays::One, Arrays::Deep] {
            let pg = PgType { base: row.name, extension: row.extension, arrays, ..PLAIN };
            let found = resolve("c", &pg, Some(&want(TargetType::String))).unwrap();
            assert_eq!(found.target_type, TargetType::String, "{}", row.name);
            assert!(!found.repeated, "{}", row.name);
        }
    }
}

#[test]
fn every_row_can_be_found_and_says_something() {
    let names: Vec<_> = rows().map(|row| row.name).collect();
    for (at, row) in rows().enumerate() {
        assert!(!names[..at].contains(&row.name), "{} twice", row.name);
        assert_eq!(row.targets.is_empty(), row.refused.is_some(), "{}", row.name);
        for (place, target) in row.targets.iter().enumerate() {
            let same = row.targets[..place].iter().any(|other| other.to == target.to);
            assert!(!same, "{} becomes {} twice", row.name, target.to);
        }
    }
    for row in FAMILIES.iter().flat_map(|(_, rows)| *rows).filter(|row| row.refused.is_none()) {
        assert!(!row.example.source.is_empty(), "{} has no example", row.name);
    }
}
