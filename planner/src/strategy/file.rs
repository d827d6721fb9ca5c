//! One file, or several small ones.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::Cut;
use sluice_contracts::job::TableJob;
use sluice_sources::{Description, Piece, Survey};

use super::{Choice, Fit, Strategy, is_files};
use crate::cut::Weighed;

/// One unit for each file, or for several small ones.
#[derive(Debug)]
pub(super) struct File;

#[async_trait]
impl Strategy for File {
    fn name(&self) -> &'static str {
        "file"
    }

    fn doc(&self) -> &'static str {
        "one unit for each file, or for several small ones"
    }

    fn fit(&self, _: &TableJob, description: &Description) -> Fit {
        if is_files(description) {
            Fit::Best(Choice::new(None, "each file is read from end to end"))
        } else {
            Fit::No("the source is no files".to_owned())
        }
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
