//! Ranges of a file's bytes.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::{Cut, Leaf};
use sluice_contracts::job::TableJob;
use sluice_sources::{Description, Piece, Survey};

use super::{Choice, Fit, Strategy, is_files};
use crate::cut::Weighed;

/// A file from this size on is worth several units.
const LARGE: u64 = 128 << 20;

/// Ranges of the bytes of large files, each of which begins with a record.
#[derive(Debug)]
pub(super) struct FileRange;

#[async_trait]
impl Strategy for FileRange {
    fn name(&self) -> &'static str {
        "file_range"
    }

    fn doc(&self) -> &'static str {
        "ranges of the bytes of large files that are not compressed; small files stay whole"
    }

    fn fit(&self, _: &TableJob, description: &Description) -> Fit {
        if !is_files(description) {
            return Fit::No("the source is no files".to_owned());
        }
        let ranged = || description.pieces.iter().filter(|piece| piece.has_ranges);
        let Some(largest) = ranged().map(|piece| piece.bytes).max() else {
            return Fit::No("a compressed file cannot be read from its middle".to_owned());
        };
        if largest >= LARGE {
            let reason = "the largest file is read in several ranges of its bytes at once";
            Fit::Best(Choice::new(None, reason))
        } else {
            Fit::Good(Choice::new(None, "files are read in ranges of their bytes"))
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    async fn cut(
        &self,
        survey: &mut dyn Survey,
        _: &TableJob,
        piece: &Piece,
        _: &Choice,
        count: u32,
    ) -> Result<Option<Vec<Weighed>>> {
        let whole = || Some(vec![Weighed { cut: Cut::Full, rows: piece.rows as f64 }]);
        let (Some(Leaf::Object(file)), true) = (&piece.leaf, piece.has_ranges && count > 1) else {
            return Ok(whole());
        };
        let Some(starts) = survey.record_starts(piece, count).await? else { return Ok(whole()) };
        Ok(Some(ranges(&starts, file.size, piece.rows as f64)))
    }
}

/// The ranges between places of a file of this size that ascend; the first begins with the file, and the last
/// is open.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn ranges(starts: &[u64], size: u64, rows: f64) -> Vec<Weighed> {
    let lows = std::iter::once(0).chain(starts.iter().copied());
    let highs = starts.iter().copied().map(Some).chain(std::iter::once(None));
    lows.zip(highs)
        .map(|(lo, hi)| {
            let length = hi.unwrap_or(size).saturating_sub(lo) as f64;
            let share = length / (size.max(1) as f64);
            Weighed { cut: Cut::Bytes { lo, hi }, rows: rows * share }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ranges_are_disjoint_and_cover(
            starts in proptest::collection::btree_set(1_u64..10_000, 0..40),
            probe in 0_u64..10_000,
        ) {
            let starts: Vec<u64> = starts.into_iter().collect();
            let units = ranges(&starts, 10_000, 500.0);
            for byte in [0, probe, 9_999] {
                let covering = units.iter().filter(|unit| match unit.cut {
                    Cut::Bytes { lo, hi } => lo <= byte && hi.is_none_or(|hi| byte < hi),
                    _ => false,
                });
                prop_assert_eq!(covering.count(), 1);
            }
            let rows: f64 = units.iter().map(|unit| unit.rows).sum();
            prop_assert!((rows - 500.0).abs() < 1e-6);
        }
    }
}
