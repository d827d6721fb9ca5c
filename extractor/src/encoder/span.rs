//! The least and the greatest value of a column.

use std::ops::Range;

use parquet::basic::Type;
use parquet::file::statistics::Statistics;

use super::cells::Cells;

/// The least and the greatest value so far.
#[derive(Debug, Default)]
pub(super) struct Span(Option<(i64, i64)>);

impl Span {
    /// Takes the values of a run of rows into account.
    pub(super) fn add(&mut self, cells: &Cells<'_>, run: Range<usize>) {
        let found = match cells {
            Cells::Four(values) => {
                ends(values.get(run)).map(|(least, most)| (i64::from(least), i64::from(most)))
            }
            Cells::Eight(values) => ends(values.get(run)),
            // Only those of at most 18 digits have statistics.
            Cells::Decimal128(values) => ends(values.get(run)).and_then(|(least, most)| {
                Some((i64::try_from(least).ok()?, i64::try_from(most).ok()?))
            }),
            Cells::Bits(_) | Cells::Decimal256(_) | Cells::Bytes(..) | Cells::Fixed(..) => None,
        };
        if let Some((least, most)) = found {
            let (before, after) = self.0.unwrap_or((least, most));
            self.0 = Some((before.min(least), after.max(most)));
        }
    }

    /// The statistics of a column chunk.
    pub(super) fn statistics(&self, kind: Type, nulls: usize) -> Statistics {
        let nulls = Some(nulls as u64);
        let (least, most) = self.0.unzip();
        if kind == Type::INT32 {
            let narrow = |value: Option<i64>| value.and_then(|value| i32::try_from(value).ok());
            Statistics::int32(narrow(least), narrow(most), None, nulls, false)
        } else {
            Statistics::int64(least, most, None, nulls, false)
        }
    }
}

fn ends<T: Copy + Ord>(values: Option<&[T]>) -> Option<(T, T)> {
    let (first, rest) = values?.split_first()?;
    let wider = |(least, most): (T, T), value: &T| (least.min(*value), most.max(*value));
    Some(rest.iter().fold((*first, *first), wider))
}
