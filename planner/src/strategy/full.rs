//! No cut at all.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::Cut;
use sluice_contracts::job::TableJob;
use sluice_sources::{Description, Piece, Survey};

use super::{Choice, Fit, Strategy};
use crate::cut::Weighed;

/// One unit for each piece, or for several small ones.
#[derive(Debug)]
pub(super) struct Full;

#[async_trait]
impl Strategy for Full {
    fn name(&self) -> &'static str {
        "full"
    }

    fn doc(&self) -> &'static str {
        "one unit with every row"
    }

    fn fit(&self, _: &TableJob, _: &Description) -> Fit {
        Fit::Good(Choice::new(None, "one unit holds every row"))
    }

    fn most_units(&self) -> u32 {
        1
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    async fn cut(
        &self,
        _: &mut dyn Survey,
        _: &TableJob,
        piece: &Piece,
        _: &Choice,
        _: u32,
    ) -> Result<Option<Vec<Weighed>>> {
        Ok(Some(vec![Weighed { cut: Cut::Full, rows: piece.rows as f64 }]))
    }
}
