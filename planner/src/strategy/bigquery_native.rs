//! The streams that BigQuery serves a table as.

use async_trait::async_trait;
use sluice_contracts::Result;
use sluice_contracts::documents::Cut;
use sluice_contracts::job::TableJob;
use sluice_sources::{Description, Piece, Survey};

use super::{Choice, Fit, Strategy};
use crate::cut::Weighed;

/// One unit for each stream of a read session, which BigQuery cuts evenly by itself.
#[derive(Debug)]
pub(super) struct BigqueryNative;

#[async_trait]
impl Strategy for BigqueryNative {
    fn name(&self) -> &'static str {
        "bigquery_native"
    }

    fn doc(&self) -> &'static str {
        "the streams that BigQuery serves a table as"
    }

    fn fit(&self, _: &TableJob, description: &Description) -> Fit {
        if description.has_streams {
            Fit::Best(Choice::new(None, "BigQuery serves the table as streams of its own"))
        } else {
            Fit::No("the source serves no streams of it".to_owned())
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    async fn cut(
        &self,
        survey: &mut dyn Survey,
        table: &TableJob,
        piece: &Piece,
        _: &Choice,
        count: u32,
    ) -> Result<Option<Vec<Weighed>>> {
        let Some(streams) = survey.streams(table, count).await? else { return Ok(None) };
        let rows = piece.rows as f64 / streams.len().max(1) as f64;
        let cut = |name| Weighed { cut: Cut::Stream { name }, rows };
        Ok(Some(streams.into_iter().map(cut).collect()))
    }
}
