//! Shapes of `PostGIS`, from EWKB to the text that GEOGRAPHY is loaded from.
//!
//! A `geometry` has edges that are straight on the plane of degrees, and so has `GeoJSON`; those of
//! a `geography` are straight on the earth, and so are those of WKT. Coordinates have as many
//! digits as are needed to read the same double back.
//!
//! EWKB: <https://libgeos.org/specifications/wkb/#extended-wkb>. GEOGRAPHY:
//! <https://cloud.google.com/bigquery/docs/geospatial-data>

use std::fmt::Write as _;

use super::refusal::Refusal;
use crate::builder::Invalid;

/// How a shape is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GeographyFormat {
    GeoJson,
    Wkt,
}

/// The shapes that GEOGRAPHY knows, by their numbers in EWKB less one.
const KINDS: [(&str, &str); 7] = [
    ("Point", "POINT"),
    ("LineString", "LINESTRING"),
    ("Polygon", "POLYGON"),
    ("MultiPoint", "MULTIPOINT"),
    ("MultiLineString", "MULTILINESTRING"),
    ("MultiPolygon", "MULTIPOLYGON"),
    ("GeometryCollection", "GEOMETRYCOLLECTION"),
];
const COLLECTION: usize = 6;
const SRID: u32 = 4326;
const HAS_SRID: u32 = 0x2000_0000;
const HAS_MORE: u32 = 0xc000_0000;
/// Deepest nesting of collections that is read.
const DEEPEST: usize = 32;

const SHORT: Refusal = Refusal::Malformed("a shape that ends early");
const EMPTY: Invalid = Invalid("an empty shape");

/// Writes a shape.
pub(super) fn spelled(value: &[u8], spelling: GeographyFormat) -> Result<String, Refusal> {
    let mut shape = Shape { rest: value, little: true, spelling, text: String::new() };
    shape.whole(None, 0)?;
    if shape.rest.is_empty() {
        Ok(shape.text)
    } else {
        Err(Refusal::Malformed("a shape with bytes after its end"))
    }
}

struct Shape<'a> {
    rest: &'a [u8],
    /// Byte order of the current part.
    little: bool,
    spelling: GeographyFormat,
    text: String,
}

impl Shape<'_> {
    /// One shape with its header. Parts of a `parent` other than a collection are written without
    /// their own name.
    fn whole(&mut self, parent: Option<usize>, depth: usize) -> Result<(), Refusal> {
        let [order] = self.take()?;
        self.little = match order {
            0 => false,
            1 => true,
            _ => return Err(Refusal::Malformed("a shape of unknown byte order")),
        };
        let header = self.word()?;
        let srid = if header & HAS_SRID == 0 { None } else { Some(self.word()?) };
        if header & HAS_MORE != 0 {
            return Err(Invalid("a third or fourth coordinate").into());
        }
        if parent.is_none() && srid != Some(SRID) {
            return Err(Invalid("coordinates of another SRID than 4326").into());
        }
        let kind = usize::try_from(header & !HAS_SRID)
            .ok()
            .and_then(|kind| kind.checked_sub(1))
            .filter(|kind| *kind < 17)
            .ok_or(Refusal::Malformed("a shape of unknown kind"))?;
        let Some((json, wkt)) = KINDS.get(kind) else {
            return Err(Invalid("a curve or a surface").into());
        };
        let part_of = parent.filter(|parent| *parent != COLLECTION);
        if part_of.is_some_and(|parent| parent != kind + 3) || depth > DEEPEST {
            return Err(Refusal::Malformed("a shape whose parts are of another kind"));
        }
        if part_of.is_none() {
            let _ = match self.spelling {
                GeographyFormat::GeoJson if kind == COLLECTION => {
                    write!(self.text, r#"{{"type":"{json}","geometries":"#)
                }
                GeographyFormat::GeoJson => {
                    write!(self.text, r#"{{"type":"{json}","coordinates":"#)
                }
                GeographyFormat::Wkt => write!(self.text, "{wkt}"),
            };
        }
        self.body(kind, depth)?;
        if part_of.is_none() && self.spelling == GeographyFormat::GeoJson {
            self.text.push('}');
        }
        Ok(())
    }

    fn body(&mut self, kind: usize, depth: usize) -> Result<(), Refusal> {
        match kind {
            0 => {
                let wkt = self.spelling == GeographyFormat::Wkt;
                if wkt {
                    self.text.push('(');
                }
                self.point()?;
                if wkt {
                    self.text.push(')');
                }
                Ok(())
            }
            1 => self.each(Self::point),
            2 => self.each(|shape| shape.each(Self::point)),
            kind => self.each(|shape| shape.whole(Some(kind), depth + 1)),
        }
    }

    /// A counted list, at least one long.
    fn each(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        let (open, close) = match self.spelling {
            GeographyFormat::GeoJson => ('[', ']'),
            GeographyFormat::Wkt => ('(', ')'),
        };
        let little = self.little;
        let count = self.word()?;
        if count == 0 {
            return Err(EMPTY.into());
        }
        self.text.push(open);
        for at in 0..count {
            if at > 0 {
                self.text.push(',');
            }
            one(self)?;
            self.little = little;
        }
        self.text.push(close);
        Ok(())
    }

    fn point(&mut self) -> Result<(), Refusal> {
        let (longitude, latitude) = (self.double()?, self.double()?);
        if longitude.is_nan() && latitude.is_nan() {
            return Err(EMPTY.into());
        }
        if !(-180.0..=180.0).contains(&longitude) || !(-90.0..=90.0).contains(&latitude) {
            return Err(Invalid("coordinates outside of the earth's degrees").into());
        }
        let _ = match self.spelling {
            GeographyFormat::GeoJson => write!(self.text, "[{longitude},{latitude}]"),
            GeographyFormat::Wkt => write!(self.text, "{longitude} {latitude}"),
        };
        Ok(())
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Refusal> {
        let (bytes, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*bytes)
    }

    fn word(&mut self) -> Result<u32, Refusal> {
        let bytes = self.take()?;
        Ok(if self.little { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn double(&mut self) -> Result<f64, Refusal> {
        let bytes = self.take()?;
        Ok(if self.little { f64::from_le_bytes(bytes) } else { f64::from_be_bytes(bytes) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a shape, given as hexadecimal digits of EWKB, in both spellings.
    fn check(hex: &str, json: &str, wkt: &str) {
        let digits = hex.replace(' ', "");
        let bytes: Vec<u8> = (0..digits.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
            .collect();
        for (spelling, expected) in [(GeographyFormat::GeoJson, json), (GeographyFormat::Wkt, wkt)]
        {
            let found = match spelled(&bytes, spelling) {
                Ok(text) => text,
                Err(Refusal::Invalid(Invalid(reason)) | Refusal::Malformed(reason)) => {
                    reason.to_owned()
                }
                Err(Refusal::Mismatch) => "mismatch".to_owned(),
            };
            assert_eq!(found, expected, "{hex}");
        }
        for end in 0..bytes.len() {
            assert!(spelled(&bytes[..end], GeographyFormat::Wkt).is_err(), "{hex} up to {end}");
        }
    }

    const HEAD: &str = "e6100000";
    const ONE: &str = "000000000000f03f";
    const TWO: &str = "0000000000000040";
    const THREE: &str = "0000000000000840";

    #[test]
    fn shapes_in_both_spellings() {
        check(
            &format!("01 01000020 {HEAD} {ONE} {TWO}"),
            r#"{"type":"Point","coordinates":[1,2]}"#,
            "POINT(1 2)",
        );
        // A third, and the largest below one; big-endian.
        check(
            "00 20000001 000010e6 3fd5555555555555 3fefffffffffffff",
            r#"{"type":"Point","coordinates":[0.3333333333333333,0.9999999999999999]}"#,
            "POINT(0.3333333333333333 0.9999999999999999)",
        );
        let ring = format!("04000000 {ONE}{ONE} {TWO}{ONE} {TWO}{TWO} {ONE}{ONE}");
        check(
            &format!("01 03000020 {HEAD} 01000000 {ring}"),
            r#"{"type":"Polygon","coordinates":[[[1,1],[2,1],[2,2],[1,1]]]}"#,
            "POLYGON((1 1,2 1,2 2,1 1))",
        );
        check(
            &format!(
                "01 04000020 {HEAD} 02000000 01 01000000 {ONE}{TWO} \
                 00 00000001 3ff0000000000000 4008000000000000"
            ),
            r#"{"type":"MultiPoint","coordinates":[[1,2],[1,3]]}"#,
            "MULTIPOINT((1 2),(1 3))",
        );
        let line = format!("01 02000000 02000000 {ONE}{TWO} {TWO}{THREE}");
        check(
            &format!("01 05000020 {HEAD} 01000000 {line}"),
            r#"{"type":"MultiLineString","coordinates":[[[1,2],[2,3]]]}"#,
            "MULTILINESTRING((1 2,2 3))",
        );
        check(
            &format!("01 07000020 {HEAD} 02000000 {line} 01 01000000 {ONE}{TWO}"),
            r#"{"type":"GeometryCollection","geometries":[{"type":"LineString","coordinates":[[1,2],[2,3]]},{"type":"Point","coordinates":[1,2]}]}"#,
            "GEOMETRYCOLLECTION(LINESTRING(1 2,2 3),POINT(1 2))",
        );
    }

    #[test]
    fn shapes_that_geography_cannot_hold() {
        let check = |hex: String, reason: &str| check(&hex, reason, reason);
        let nan = "000000000000f87f";
        check(format!("01 01000020 {HEAD} {nan}{nan}"), EMPTY.0);
        check(format!("01 07000020 {HEAD} 00000000"), EMPTY.0);
        check(format!("01 02000020 {HEAD} 00000000"), EMPTY.0);
        check(format!("01 01000020 11000000 {ONE}{TWO}"), "coordinates of another SRID than 4326");
        check(format!("01 01000000 {ONE}{TWO}"), "coordinates of another SRID than 4326");
        check(format!("01 010000a0 {HEAD} {ONE}{ONE}{ONE}"), "a third or fourth coordinate");
        check(format!("01 08000020 {HEAD} 00000000"), "a curve or a surface");
        let far = "0000000000807640";
        check(
            format!("01 01000020 {HEAD} {far}{ONE}"),
            "coordinates outside of the earth's degrees",
        );
        check(
            format!("01 01000020 {HEAD} {ONE}{far}"),
            "coordinates outside of the earth's degrees",
        );
        check(
            format!("01 01000020 {HEAD} {nan}{ONE}"),
            "coordinates outside of the earth's degrees",
        );
    }

    #[test]
    fn malformed_shapes() {
        let check = |hex: String, reason: &str| check(&hex, reason, reason);
        check("02".to_owned(), "a shape of unknown byte order");
        check(format!("01 63000020 {HEAD}"), "a shape of unknown kind");
        check(format!("01 00000020 {HEAD}"), "a shape of unknown kind");
        check(
            format!("01 04000020 {HEAD} 01000000 01 02000000 01000000 {ONE}{TWO}"),
            "a shape whose parts are of another kind",
        );
        let deep = format!("01 07000020 {HEAD} 01000000 {}", "01 07000000 01000000".repeat(40));
        check(deep, "a shape whose parts are of another kind");
        check(format!("01 02000020 {HEAD} ffffffff {ONE}{TWO}"), "a shape that ends early");
        let whole = format!("01 01000020 {HEAD} {ONE}{TWO} 00");
        let bytes: Vec<u8> = (0..whole.replace(' ', "").len() / 2)
            .map(|at| {
                let digits = whole.replace(' ', "");
                u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).unwrap()
            })
            .collect();
        assert_eq!(
            spelled(&bytes, GeographyFormat::Wkt),
            Err(Refusal::Malformed("a shape with bytes after its end"))
        );
    }

    proptest::proptest! {
        #[test]
        fn garbage_is_no_panic_and_shapes_are_json(
            kind in 1_u8..9,
            rest in proptest::collection::vec(proptest::prelude::prop_oneof![
                3 => proptest::prelude::Just(0_u8),
                1 => 0_u8..8,
                1 => proptest::prelude::any::<u8>(),
            ], 0..120),
        ) {
            let bytes = [&[1, kind, 0, 0, 0x20, 0xe6, 0x10, 0, 0], &rest[..]].concat();
            let _ = spelled(&bytes, GeographyFormat::Wkt);
            if let Ok(text) = spelled(&bytes, GeographyFormat::GeoJson) {
                serde_json::from_str::<serde_json::Value>(&text).unwrap();
            }
        }
    }
}
