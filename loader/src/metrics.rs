//! The results of a run, in the numbers that dashboards and alerts are built on.

use std::collections::HashSet;

use chrono::{DateTime, Utc};
use sluice_contracts::documents::{EventName, RunEvent};
use sluice_contracts::{Kind, Result};

use crate::failures::Failures;
use crate::view::RunView;

/// The numbers of one run. Those that could not be read are zero: the run has ended all the same.
#[derive(Debug, Default)]
pub(crate) struct RunMetrics {
    planned: Option<DateTime<Utc>>,
    decided: Option<DateTime<Utc>>,
    units: usize,
    bytes: u64,
    stored_bytes: u64,
    retries: usize,
    launches: u32,
}

impl RunMetrics {
    pub(crate) async fn gather(view: &RunView) -> Self {
        let mut metrics = Self::default();
        if let Err(error) = metrics.read(view).await {
            tracing::warn!(error = error.chain(), "could not count the results of a run");
        }
        metrics
    }

    async fn read(&mut self, view: &RunView) -> Result<()> {
        let store = view.store();
        let Some(manifest) = view.readable_manifest().await? else { return Ok(()) };
        self.planned = Some(manifest.planned);
        self.decided = view.verdict().await?.map(|verdict| verdict.at);
        self.launches = store.newest_launch().await?.map_or(0, |newest| newest + 1);
        let coverage = view.coverage().await?;
        let receipts = || coverage.receipts.values();
        self.units = coverage.receipts.len();
        self.bytes = receipts().map(|receipt| receipt.bytes).sum();
        self.stored_bytes = receipts().flat_map(|r| &r.parts).map(|part| part.bytes).sum();
        let failures = Failures::read(store).await?;
        let attempts: HashSet<(&str, u32, u32)> = receipts()
            .map(|receipt| (receipt.execution.as_str(), receipt.task, receipt.attempt))
            .chain(failures.all().iter().map(|f| (f.execution.as_str(), f.task, f.attempt)))
            .collect();
        self.retries = attempts.iter().filter(|(_, _, attempt)| *attempt > 0).count();
        Ok(())
    }

    /// Logs one line for each run, at least once. Seconds are by the clocks of planner and loader;
    /// those of tasks are not used.
    pub(crate) fn log(&self, event: &RunEvent) {
        let between = |from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>| {
            let milliseconds = (to? - from?).num_milliseconds().max(0);
            #[expect(clippy::cast_precision_loss, reason = "no run takes 285,000 years")]
            Some(milliseconds as f64 / 1000.0)
        };
        let seconds = between(self.planned, Some(event.at)).unwrap_or_default();
        let extracting = between(self.planned, self.decided).unwrap_or_default();
        let loading = between(self.decided, Some(event.at)).unwrap_or_default();
        let line = tracing::info_span!(
            "run",
            run = %event.run,
            job = event.job,
            rows = event.rows,
            bytes = self.bytes,
            stored_bytes = self.stored_bytes,
            tables = event.tables.len(),
            nulls = event.tables.iter().flat_map(|table| table.invalid.values()).sum::<u64>(),
            units = self.units,
            retries = self.retries,
            launches = self.launches,
            seconds,
            seconds_extracting = extracting,
            seconds_loading = loading,
        );
        for table in &event.tables {
            for (column, values) in &table.invalid {
                tracing::warn!(
                    run = %event.run,
                    job = event.job,
                    table = table.table,
                    column,
                    values,
                    "values became NULL"
                );
            }
        }
        line.in_scope(|| match (event.event, &event.failure) {
            (EventName::Finished, _) => tracing::info!("run finished"),
            (EventName::Failed | EventName::HalfVisible, None) => tracing::error!("run failed"),
            (EventName::Failed | EventName::HalfVisible, Some(failure)) => tracing::error!(
                kind = name(failure.kind),
                error = failure.message,
                hint = failure.hint,
                "run failed"
            ),
        });
    }
}

/// The name of a kind in documents.
fn name(kind: Kind) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
