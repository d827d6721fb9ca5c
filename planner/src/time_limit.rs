//! How long planning may take.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use sluice_contracts::documents::RunId;
use sluice_contracts::job::TableJob;
use sluice_contracts::{Error, Result};

/// How long one planning may take: thousands of tables are described in less than a minute, so
/// after this time something holds it up. The request timeout of the service must be longer.
pub(crate) const LIMIT: Duration = Duration::from_mins(10);

/// How long the planning of one of several tables may take. A source limits its statements to less;
/// it may be kept from that by another server, which it waits for.
pub(crate) const TABLE_LIMIT: Duration = Duration::from_mins(4);

/// The error of a table whose planning takes too long.
pub(crate) fn takes_too_long(table: &TableJob) -> Error {
    let minutes = TABLE_LIMIT.as_secs() / 60;
    Error::transient(format!("plan table `{}`: not done after {minutes} minutes", table.relation))
        .hint("look at what holds it up at the source: locks, load, a server that it lies on")
}

/// What a planning is doing, for a person who waits for it, and for the error of one that takes too
/// long.
#[derive(Debug, Default)]
pub struct Progress(Mutex<Option<String>>);

impl Progress {
    /// Says what comes next.
    pub(crate) fn comes_to(&self, what: String) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(what);
    }

    /// What it does now: `table `shop.orders` (2 of 30)`.
    pub fn last(&self) -> String {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        last.unwrap_or_else(|| "connect to the source".to_owned())
    }
}

/// Ends a planning that takes too long.
pub(crate) async fn limited<T>(
    run: RunId,
    job: &str,
    progress: &Progress,
    planning: impl Future<Output = Result<T>>,
) -> Result<T> {
    let ended = tokio::time::timeout(LIMIT, planning).await;
    ended.unwrap_or_else(|_| {
        let (minutes, last) = (LIMIT.as_secs() / 60, progress.last());
        Err(Error::transient(format!(
            "plan job `{job}`: not done after {minutes} minutes; the last step was: {last}"
        ))
        .hint(format!(
            "look at what holds that step up, such as locks or load of `sluice {run} plan` at the \
             source; split a job of very many tables"
        )))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use serde_json::json;
    use sluice_contracts::documents::{Cut, SnapshotPlan};
    use sluice_contracts::job::{Job, TableName};
    use sluice_sources::{
        Description, Join, Listing, Piece, Place, Protection, Reader, Source, Survey,
    };

    use super::*;
    use crate::target_check::tests::Picky;
    use crate::{TargetCheck, plan, strategy_names};

    /// A source that never answers: when it is connected to, or when a table is described.
    #[derive(Debug, Clone)]
    struct Stuck {
        connects: bool,
    }

    #[async_trait]
    impl Source for Stuck {
        fn label(&self) -> &'static str {
            "stuck"
        }

        fn places(&self) -> Vec<Place> {
            Vec::new()
        }

        fn protection(&self) -> Protection {
            Protection::Local
        }

        async fn survey(&self, _: &str) -> Result<Box<dyn Survey>> {
            if !self.connects {
                std::future::pending::<()>().await;
            }
            Ok(Box::new(self.clone()))
        }

        async fn reader(&self, _: &str, _: Join<'_>) -> Result<Option<Box<dyn Reader>>> {
            Err(Error::bug("this source cannot be read"))
        }
    }

    #[async_trait]
    impl Survey for Stuck {
        async fn tables(&mut self) -> Result<Listing> {
            let name = |name| TableName { schema: Some("shop".to_owned()), name };
            let tables = (0..8).map(|at| name(format!("t{at}"))).collect();
            Ok(Listing { tables, excluded: Vec::new() })
        }

        async fn describe(&mut self, table: &TableJob) -> Result<Description> {
            match table.relation.to_string().as_str() {
                // It fails alone.
                "shop.t0" => Err(Error::transient("describe table `shop.t0`: it is locked")),
                "crm.t1" => {
                    Ok(Description { pieces: vec![Piece::default()], ..Description::default() })
                }
                _ => std::future::pending().await,
            }
        }

        async fn snapshot(&mut self) -> Result<SnapshotPlan> {
            Ok(SnapshotPlan::Independent)
        }

        fn predicate(&self, _: &Cut) -> Result<String> {
            Ok(String::new())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_source_that_does_not_answer_ends_the_planning_by_name() {
        let job = json!({
            "name": "shop", "source": {"url": "postgres://db/shop"}, "bucket": "file:///lake",
            "tables": [{"table": "*.*"}], "target": {"dataset": "bigquery://lake/shop"},
        });
        let job = Job::from_value("shop", job, &strategy_names()).unwrap();
        for (connects, last) in
            [(false, "connect to the source"), (true, "table `shop.t3` (4 of 8)")]
        {
            let (source, progress) = (Arc::new(Stuck { connects }), Progress::default());
            let targets = Picky(None).targets();
            let planning = plan(&job, source, TargetCheck::ToRun(&targets), &progress);
            let ended = tokio::time::timeout(Duration::from_hours(1), planning).await;
            let error = ended.expect("planning ends").unwrap_err();
            assert!(error.is_transient(), "{error:?}");
            let said = error.chain();
            assert!(said.contains("`shop`: not done after 10 minutes"), "{said}");
            assert!(said.ends_with(last), "{said}");
            assert!(error.remedy().unwrap().contains(" plan` at the source"), "{error:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_table_that_is_never_described_holds_up_no_other() {
        let job = json!({
            "name": "shop", "source": {"url": "postgres://db/shop"}, "bucket": "gs://hidden",
            "tables": [{"table": "shop.t3"}, {"table": "crm.t1"}],
            "target": {"dataset": "bigquery://lake/shop"},
        });
        let job = Job::from_value("shop", job, &strategy_names()).unwrap();
        let (source, targets) = (Arc::new(Stuck { connects: true }), Picky(None).targets());
        let checked = TargetCheck::ToRun(&targets);
        let manifest = plan(&job, source, checked, &Progress::default()).await.unwrap();
        let names: Vec<_> = manifest.tables.iter().map(|table| table.name.as_str()).collect();
        assert_eq!(names, ["crm.t1"]);
        assert_eq!(manifest.warnings[0], "nobody may see where it lies");
        let refused = &manifest.refused[0];
        assert_eq!(refused.table, "shop.t3");
        assert!(refused.message.contains("not done after 4 minutes"), "{}", refused.message);
    }
}
