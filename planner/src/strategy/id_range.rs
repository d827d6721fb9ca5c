//! Ranges of an integer key.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::KeyType;
use sluice_contracts::job::TableJob;
use sluice_sources::{Description, Piece, Survey};

use super::{Choice, Fit, Strategy, cut_ranges, fit_range};
use crate::cut::Weighed;

/// `lo <= id < hi`.
#[derive(Debug)]
pub(super) struct IdRange;

#[async_trait]
impl Strategy for IdRange {
    fn name(&self) -> &'static str {
        "id_range"
    }

    fn doc(&self) -> &'static str {
        "ranges of an integer key, narrow where ids are dense and wide over gaps"
    }

    fn fit(&self, table: &TableJob, description: &Description) -> Fit {
        fit_range(table, description, "integer key", |key| key.key_type == KeyType::Integer)
    }

    async fn cut(
        &self,
        survey: &mut dyn Survey,
        table: &TableJob,
        piece: &Piece,
        choice: &Choice,
        count: u32,
    ) -> Result<Option<Vec<Weighed>>> {
        cut_ranges(survey, table, piece, choice, count).await
    }
}
