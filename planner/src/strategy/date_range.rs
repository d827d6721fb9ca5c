//! Ranges of a date or timestamp.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::KeyType;
use sluice_contracts::job::TableJob;
use sluice_sources::{Description, Piece, Survey};

use super::{Choice, Fit, Strategy, cut_ranges, fit_range};
use crate::cut::Weighed;

/// `lo <= created_at < hi`.
#[derive(Debug)]
pub(super) struct DateRange;

#[async_trait]
impl Strategy for DateRange {
    fn name(&self) -> &'static str {
        "date_range"
    }

    fn doc(&self) -> &'static str {
        "ranges of a date or timestamp, as long as the data is dense there"
    }

    fn fit(&self, table: &TableJob, description: &Description) -> Fit {
        fit_range(table, description, "date or timestamp", |key| {
            matches!(key.key_type, KeyType::Date | KeyType::Timestamp | KeyType::Timestamptz)
        })
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
