//! Units of time.

use arrow_schema::TimeUnit;

/// How a unit of time becomes microseconds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scale {
    /// Times so many.
    Times(i64),
    /// So many are one.
    Parts(i64),
}

impl Scale {
    pub(super) fn of(unit: TimeUnit) -> Self {
        match unit {
            TimeUnit::Second => Self::Times(1_000_000),
            TimeUnit::Millisecond => Self::Times(1_000),
            TimeUnit::Microsecond => Self::Times(1),
            TimeUnit::Nanosecond => Self::Parts(1_000),
        }
    }

    pub(super) fn micros(self, value: i64) -> Option<i64> {
        match self {
            Self::Times(factor) => value.checked_mul(factor),
            Self::Parts(parts) => (value % parts == 0).then(|| value.div_euclid(parts)),
        }
    }
}
