//! The results of a run, in the numbers that dashboards and alerts are built on.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use sluice_contracts::documents::{Estimate, EventName, Failure, Receipt, RunEvent};
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
    dollars: f64,
    dollars_planned: f64,
}

/// A run is reported if it costs more than this many times its plan, and [`DIFFERENCE`] more.
const ABOVE_PLAN: f64 = 2.0;
/// The least difference, in US dollars: a small run that was launched again costs twice its plan.
const DIFFERENCE: f64 = 0.10;

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
        let own = attempts(receipts(), failures.all());
        self.retries = own.keys().filter(|(_, _, attempt)| *attempt > 0).count();
        // What was read of a snapshot that was lost cost as much.
        let mut lost = Vec::new();
        for generation in 0..=store.generation().await?.unwrap_or(0) {
            if generation != coverage.generation {
                lost.extend(store.receipts(&manifest, generation).await?.into_values());
            }
        }
        let all = attempts(receipts().chain(&lost), failures.all());
        let estimate = &manifest.estimate;
        self.dollars_planned = estimate.dollars;
        self.dollars = Estimate::bill(all.values().map(Work::seconds), estimate.price());
        Ok(())
    }

    fn is_above_plan(&self) -> bool {
        self.dollars > self.dollars_planned * ABOVE_PLAN
            && self.dollars - self.dollars_planned >= DIFFERENCE
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
            dollars = self.dollars,
            dollars_planned = self.dollars_planned,
            seconds,
            seconds_extracting = extracting,
            seconds_loading = loading,
        );
        if self.is_above_plan() {
            tracing::warn!(
                run = %event.run,
                job = event.job,
                dollars = self.dollars,
                dollars_planned = self.dollars_planned,
                retries = self.retries,
                launches = self.launches,
                "a run cost more than its plan"
            );
        }
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

/// When an attempt of a task worked, as far as its documents say: by its own clock, from the
/// beginning of the first unit that it finished to its last document.
#[derive(Debug, Clone, Copy)]
struct Work {
    from: DateTime<Utc>,
    to: DateTime<Utc>,
}

impl Work {
    fn seconds(&self) -> f64 {
        (self.to - self.from).as_seconds_f64().max(0.0)
    }

    fn and(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to) }
    }
}

/// An attempt: its execution, task, and number.
type Attempt<'a> = (&'a str, u32, u32);

/// The attempts that have left a document, and when each worked.
fn attempts<'a>(
    receipts: impl Iterator<Item = &'a Receipt>,
    failures: &'a [Failure],
) -> BTreeMap<Attempt<'a>, Work> {
    let read = receipts.map(|receipt| {
        let to = receipt.finished;
        let spent = TimeDelta::try_milliseconds(milliseconds(receipt.seconds)).unwrap_or_default();
        let attempt = (receipt.execution.as_str(), receipt.task, receipt.attempt);
        (attempt, Work { from: to - spent, to })
    });
    let failed = failures.iter().map(|failure| {
        let attempt = (failure.execution.as_str(), failure.task, failure.attempt);
        (attempt, Work { from: failure.at, to: failure.at })
    });
    let mut attempts = BTreeMap::<Attempt<'_>, Work>::new();
    for (attempt, work) in read.chain(failed) {
        attempts.entry(attempt).and_modify(|known| *known = known.and(work)).or_insert(work);
    }
    attempts
}

#[expect(clippy::cast_possible_truncation, reason = "no unit takes a million years")]
fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0) as i64
}

/// The name of a kind in documents.
fn name(kind: Kind) -> String {
    let value = serde_json::to_value(kind).unwrap_or_default();
    value.as_str().unwrap_or_default().to_owned()
}
