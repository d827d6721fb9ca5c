//! Ranges of a table's pages.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::Cut;
use sluice_contracts::job::TableJob;
use sluice_sources::{BlockRange, Description, Piece, Survey};

use super::{Choice, Fit, Strategy};
use crate::cut::Weighed;

/// `(lo,0) <= ctid < (hi,0)`.
#[derive(Debug)]
pub(super) struct Ctid;

#[async_trait]
impl Strategy for Ctid {
    fn name(&self) -> &'static str {
        "ctid"
    }

    fn doc(&self) -> &'static str {
        "ranges of the table's pages: needs no key, and reads each page once"
    }

    fn fit(&self, _: &TableJob, description: &Description) -> Fit {
        let all = |is: fn(&Piece) -> bool| description.pieces.iter().all(is);
        if !all(|piece| piece.blocks.is_some()) {
            return Fit::No("its rows cannot be read by page".to_owned());
        }
        let choice = Choice::new(None, "rows can be read by page, whatever their keys");
        if !all(|piece| piece.block_range != BlockRange::ReadsAll) {
            let warning = "this server reads the whole table for every unit; PostgreSQL 14 and later \
                           read the unit's pages";
            return Fit::Costly(choice, warning.to_owned());
        }
        if all(|piece| piece.block_range == BlockRange::ReadsLeast) {
            let reason = "the source reads each page once, in the order in which they lie";
            return Fit::Best(Choice::new(None, reason));
        }
        Fit::Good(choice)
    }

    async fn cut(
        &self,
        _: &mut dyn Survey,
        _: &TableJob,
        piece: &Piece,
        _: &Choice,
        count: u32,
    ) -> Result<Option<Vec<Weighed>>> {
        Ok(piece.blocks.map(|pages| by_pages(pages, piece.rows, count)))
    }
}

/// Page ranges of equal length, the last one open: it takes pages that were added since the plan
/// was made.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn by_pages(pages: u32, rows: u64, count: u32) -> Vec<Weighed> {
    let count = count.clamp(1, pages.max(1));
    let bound = |at: u32| {
        let page = u64::from(pages) * u64::from(at) / u64::from(count);
        u32::try_from(page).unwrap_or(u32::MAX)
    };
    (0..count)
        .map(|at| Weighed {
            cut: Cut::Blocks { lo: bound(at), hi: (at + 1 < count).then(|| bound(at + 1)) },
            rows: rows as f64 / f64::from(count),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn page_ranges_are_disjoint_and_cover(pages: u32, count in 1_u32..500, probe: u32) {
            let units = by_pages(pages, 1000, count);
            for page in [0, probe, pages, pages.saturating_sub(1), u32::MAX] {
                let covering = units
                    .iter()
                    .filter(|unit| match unit.cut {
                        Cut::Blocks { lo, hi } => lo <= page && hi.is_none_or(|hi| page < hi),
                        _ => false,
                    })
                    .count();
                prop_assert_eq!(covering, 1);
            }
        }
    }
}
