//! Intervals and ranges, which become text.

use sluice_contracts::documents::{Column, TargetType};

use super::encode::{cell, column, decode, interval, range, stream_of};
use super::stream::{check, invalid, malformed};
use crate::postgres::type_table::expression;

/// Each number has the sign of its own part, as the server writes it.
#[test]
fn intervals_as_durations() {
    for (months, days, micros, expected) in [
        (0, 0, 0, "PT0S"),
        (14, 3, 14_706_789_000, "P1Y2M3DT4H5M6.789S"),
        (-14, 3, -14_706_789_000, "P-1Y-2M3DT-4H-5M-6.789S"),
        (13, -1, 1_500_000, "P1Y1M-1DT1.5S"),
        (-1, 0, 0, "P-1M"),
        (0, 0, -1, "PT-0.000001S"),
        (0, 0, 100_000, "PT0.1S"),
        (0, 0, 60_000_000, "PT1M"),
        (0, 0, -3_600_000_001, "PT-1H-0.000001S"),
        (120_000, 3_660_000, 316_224_000_000_000_000, "P10000Y3660000DT87840000H"),
        (-120_000, -3_660_000, -316_224_000_000_000_000, "P-10000Y-3660000DT-87840000H"),
    ] {
        check("interval", None, &interval(months, days, micros), expected);
    }
}

#[test]
fn intervals_that_bigquery_does_not_hold() {
    invalid("interval", None, &interval(i32::MAX, i32::MAX, i64::MAX), "infinity");
    invalid("interval", None, &interval(i32::MIN, i32::MIN, i64::MIN), "infinity");
    for sign in [1, -1] {
        let [months, days] = [sign * 120_001, sign * 3_660_001];
        let micros = i64::from(sign) * 316_224_000_000_000_001;
        invalid("interval", None, &interval(months, 0, 0), "more than 10,000 years");
        invalid("interval", None, &interval(0, days, 0), "more than 3,660,000 days");
        invalid("interval", None, &interval(0, 0, micros), "more than 87,840,000 hours");
    }
}

#[test]
fn ranges_as_bigquery_writes_them() {
    let day = |days: i32| days.to_be_bytes().to_vec();
    let at = |micros: i64| micros.to_be_bytes().to_vec();
    // 0001-01-01, 9999-12-31, and the same with the time of day.
    let (first, last) = (day(-730_119), day(2_921_939));
    let (earliest, latest) = (at(-63_082_281_600_000_000), at(252_455_615_999_999_999));
    for (pg, wire, expected) in [
        ("daterange", range(0x02, &[day(0), day(31)]), "[2000-01-01, 2000-02-01)"),
        ("daterange", range(0x02, &[first, last]), "[0001-01-01, 9999-12-31)"),
        ("daterange", range(0x0a, &[day(0)]), "[UNBOUNDED, 2000-01-01)"),
        ("daterange", range(0x12, &[day(0)]), "[2000-01-01, UNBOUNDED)"),
        ("daterange", range(0x18, &[]), "[UNBOUNDED, UNBOUNDED)"),
        ("tsrange", range(0x08, &[at(500_000)]), "[UNBOUNDED, 2000-01-01 00:00:00.500)"),
        (
            "tstzrange",
            range(0x02, &[earliest, latest]),
            "[0001-01-01 00:00:00+00, 9999-12-31 23:59:59.999999+00)",
        ),
    ] {
        check(pg, None, &wire, expected);
    }
    let [one, two] = [at(0), at(1)];
    invalid("tsrange", None, &range(0x01, &[]), "an empty range");
    invalid("tsrange", None, &range(0x00, &[one.clone(), two.clone()]), "an exclusive lower bound");
    invalid("tsrange", None, &range(0x10, std::slice::from_ref(&one)), "an exclusive lower bound");
    invalid("tsrange", None, &range(0x06, &[one.clone(), two]), "an inclusive upper bound");
    invalid("tsrange", None, &range(0x0c, &[one]), "an inclusive upper bound");
    invalid("daterange", None, &range(0x12, &[day(i32::MIN)]), "infinity");
    invalid("daterange", None, &range(0x0e, &[day(i32::MAX)]), "infinity");
    invalid("daterange", None, &range(0x08, &[day(2_921_940)]), "a year outside 1 to 9999");
    invalid("daterange", None, &range(0x12, &[day(-730_120)]), "a year outside 1 to 9999");
    invalid("tstzrange", None, &range(0x12, &[at(i64::MIN)]), "infinity");
    let after = at(252_455_616_000_000_000);
    invalid("tstzrange", None, &range(0x08, &[after]), "a year outside 1 to 9999");
}

#[test]
fn ranges_that_are_malformed() {
    for (wire, reason) in [
        (range(0x02, &[vec![0; 4]]), "a range that ends early"),
        (range(0x18, &[vec![0; 4]]), "a range that is longer than it says"),
        (range(0x12, &[vec![0; 8]]), "a value of the wrong length"),
        (vec![0x12, 0xff, 0xff, 0xff, 0xff], "a range that ends early"),
        (Vec::new(), "a range that ends early"),
    ] {
        malformed("daterange", &wire, reason);
    }
}

/// A manifest of a version that knew no INTERVAL and RANGE is read as it was planned.
#[test]
fn texts_of_earlier_manifests() {
    for pg in ["interval", "daterange", "tsrange", "tstzrange"] {
        let planned = Column {
            encoding: pg.into(),
            target_type: TargetType::String,
            ..column(pg, Some(TargetType::String))
        };
        assert_eq!(expression(&planned, "c"), "c::pg_catalog.text");
        let (batches, _) = decode(&[planned], &stream_of(&[Some(b"P1D".to_vec())]), &[]).unwrap();
        assert_eq!(cell(batches[0].column(0), 0).unwrap(), "P1D");
    }
}
