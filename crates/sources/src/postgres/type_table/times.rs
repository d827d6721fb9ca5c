//! Dates, times, and ranges.

use super::TargetType::{
    Date, Datetime, Interval, RangeDate, RangeDatetime, RangeTimestamp, Time, Timestamp,
};
use super::{RangeOf, Row, Wire, but, row, text};

const YEARS: &str = "infinity, years outside 1 to 9999";
const LENGTHS: &str = "infinity, more than 10,000 years, 3,660,000 days or 87,840,000 hours";

const BOUNDS: &str = "empty ranges, an exclusive lower or an inclusive upper bound, bounds of infinity \
                      or of years outside 1 to 9999";

pub(super) const ROWS: &[Row] = &[
    row("date", Wire::Date, &[but(Date, YEARS)], "2024-02-29", "2024-02-29"),
    row("time", Wire::Time, &[but(Time, "24:00:00")], "23:59:59.999999", "23:59:59.999999"),
    text("timetz", "12:00:00+05:30", "12:00:00+05:30"),
    row(
        "timestamp",
        Wire::Timestamp,
        &[but(Datetime, YEARS)],
        "1999-12-31 23:59:59.999999",
        "1999-12-31 23:59:59.999999",
    ),
    row(
        "timestamptz",
        Wire::Timestamp,
        &[but(Timestamp, YEARS)],
        "2024-02-29 12:34:56.123456+05:30",
        "2024-02-29 07:04:56.123456 UTC",
    ),
    row(
        "interval",
        Wire::Interval,
        &[but(Interval, LENGTHS)],
        "1 year 2 mons 3 days 04:05:06.789",
        "1-2 3 4:5:6.789",
    ),
];

/// What versions of this program that knew no INTERVAL and RANGE have planned: the server's text.
pub(super) const EARLIER: &[Row] = &[
    text("interval", "", ""),
    text("daterange", "", ""),
    text("tsrange", "", ""),
    text("tstzrange", "", ""),
];

pub(super) const RANGES: &[Row] = &[
    text("int4range", "[1,10)", "[1,10)"),
    text("int8range", "[1,10)", "[1,10)"),
    text("numrange", "[1.10,)", "[1.10,)"),
    row(
        "daterange",
        Wire::Range(RangeOf::Date),
        &[but(RangeDate, BOUNDS)],
        "[2024-01-01,2024-01-31]",
        "[2024-01-01, 2024-02-01)",
    ),
    row(
        "tsrange",
        Wire::Range(RangeOf::Timestamp),
        &[but(RangeDatetime, BOUNDS)],
        "[2024-01-01 12:30:00,)",
        "[2024-01-01 12:30:00, UNBOUNDED)",
    ),
    row(
        "tstzrange",
        Wire::Range(RangeOf::Timestamptz),
        &[but(RangeTimestamp, BOUNDS)],
        "[2024-01-01 00:00:00+01,2024-01-02 00:00:00+01)",
        "[2023-12-31 23:00:00+00, 2024-01-01 23:00:00+00)",
    ),
    text("int4multirange", "{[1,3),[5,7)}", "{[1,3),[5,7)}"),
    text("int8multirange", "{}", "{}"),
    text("nummultirange", "{[1.5,2.5)}", "{[1.5,2.5)}"),
    text("datemultirange", "{[2024-01-01,2024-02-01)}", "{[2024-01-01,2024-02-01)}"),
    text("tsmultirange", "{}", "{}"),
    text("tstzmultirange", "{}", "{}"),
    // Ranges and multiranges that users have created.
    text("range", "[0.5,1.5)", "[0.5,1.5)"),
    text("multirange", "{[0.5,1.5)}", "{[0.5,1.5)}"),
];
