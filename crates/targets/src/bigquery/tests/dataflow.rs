//! Loads whose rows a job of Dataflow brings.

use std::task::Poll;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use object_store::{ObjectStoreExt as _, PutPayload};
use serde_json::Value;
use sluice_contracts::documents::{
    DataflowAttempt, DataflowLaunch, DataflowResult, Dedup, Dropped, RunId, TargetType,
};
use sluice_contracts::job::DataflowSize;
use sluice_contracts::job::WriteDisposition::{self, Append, Truncate};
use sluice_contracts::store::RunStore;
use sluice_contracts::{Kind, Result};
use sluice_runtime::google::dataflow::DataflowSettings;

use super::check::table as planned;
use super::dataflow_service::Service;
use super::dedup::{newest, of_newest, recorder, table};
use super::recorder::{Breaks, Recorder};
use super::requests::assert_asked;
use super::{ID, RUN, advance};
use crate::target::{Load, Loaded, Target as _, Visibility};

/// A load of three rows, of which Dataflow keeps two.
async fn handed_over(disposition: WriteDisposition) -> Load {
    let dataflow = Some(DataflowSize::Small.workers(false));
    Load { dataflow, ..of_newest(disposition).await }
}

fn attempt(number: u32) -> DataflowAttempt {
    DataflowAttempt { table: 7, generation: 0, number }
}

fn store(load: &Load) -> RunStore {
    RunStore::new(load.bucket.clone(), load.run)
}

/// The job has filled the staging table.
async fn fills(load: &Load, number: u32, read: u64, written: u64) {
    let result = DataflowResult {
        version: 1,
        rows_read: read,
        rows_written: written,
        rows_dropped: read.saturating_sub(written),
        ties: 1,
        files: 1,
    };
    let path = store(load).layout().dataflow_result(attempt(number));
    let bytes = serde_json::to_vec(&result).unwrap();
    load.bucket.store.put(&path, PutPayload::from(bytes)).await.unwrap();
}

fn waits(advanced: Result<Poll<Loaded>>) {
    assert!(advanced.unwrap().is_pending());
}

#[tokio::test]
async fn a_job_is_launched_once_and_its_rows_become_visible() {
    for (name, disposition, stands) in
        [("dataflow_new", Truncate, false), ("dataflow_append", Append, true)]
    {
        let (recorder, service) = (recorder(), Service::default());
        if stands {
            recorder.stands(table());
        }
        let target = service.serve(&recorder, |_| {}).await;
        let load = handed_over(disposition).await;
        for _ in 0..3 {
            waits(advance(&target, &load).await);
        }
        assert_eq!(service.jobs(), [format!("sluice-{RUN}-7-0-0")]);
        let order = store(&load).layout().dataflow_order(attempt(0));
        let order = load.bucket.store.get(&order).await.unwrap().bytes().await.unwrap();
        let order: Value = serde_json::from_slice(&order).unwrap();
        insta::with_settings!({sort_maps => true}, {
            insta::assert_json_snapshot!(format!("{name}_order"), order);
        });
        fills(&load, 0, 3, 2).await;
        service.ends("JOB_STATE_DONE");
        let Poll::Ready(shown) = advance(&target, &load).await.unwrap() else {
            panic!("it is done")
        };
        let dropped = Some(Dropped { rows: 1, ties: 1 });
        assert_eq!((shown.rows, shown.dropped), (2, dropped));
        assert_asked!(name, recorder);
        assert_eq!(recorder.tables(), ["orders"]);
        assert_eq!(service.counts(), (1, 0));
    }
}

#[tokio::test]
async fn loaders_that_race_launch_one_job() {
    for _ in 0..20 {
        let (recorder, service) = (recorder(), Service::default());
        let target = service.serve(&recorder, |_| {}).await;
        let load = handed_over(Truncate).await;
        let (one, other) = tokio::join!(advance(&target, &load), advance(&target, &load));
        waits(one);
        waits(other);
        assert_eq!(service.counts(), (1, 0));
    }
}

#[tokio::test]
async fn a_launch_without_an_answer_is_not_repeated_and_one_without_a_job_is() {
    let (recorder, service) = (recorder(), Service::default());
    let target = service.serve(&recorder, |_| {}).await;
    let load = handed_over(Truncate).await;
    service.loses_answer();
    assert!(advance(&target, &load).await.unwrap_err().is_transient());
    waits(advance(&target, &load).await);
    assert_eq!(service.counts(), (1, 0));

    // A loader has claimed the launch, and died.
    for (grace, launches) in [(Duration::from_hours(1), 0), (Duration::ZERO, 1)] {
        let (recorder, service) = (Recorder::default(), Service::default());
        let target = service.serve(&recorder, |settings| settings.grace = grace).await;
        let load = handed_over(Truncate).await;
        let launch =
            DataflowLaunch { version: 1, job: attempt(0).job_name(load.run), at: Utc::now() };
        store(&load).create_dataflow_launch(attempt(0), &launch).await.unwrap();
        waits(advance(&target, &load).await);
        assert_eq!(service.counts(), (launches, 0), "{grace:?}");
    }
}

/// A job that was launched and is not listed yet is not launched again.
#[tokio::test]
async fn a_launch_that_dataflow_answers_with_409_waits_for_the_job_of_that_name() {
    let (recorder, service) = (recorder(), Service::default());
    let target = service.serve(&recorder, |settings| settings.grace = Duration::ZERO).await;
    let load = handed_over(Truncate).await;
    waits(advance(&target, &load).await);
    service.hides_jobs(true);
    waits(advance(&target, &load).await);
    assert_eq!((service.counts(), service.jobs().len()), ((2, 0), 1));
    service.hides_jobs(false);
    fills(&load, 0, 3, 2).await;
    service.ends("JOB_STATE_DONE");
    assert!(advance(&target, &load).await.unwrap().is_ready());
}

#[tokio::test]
async fn a_launch_that_is_refused_says_what_to_set() {
    for (status, kind) in [(403, Kind::Denied), (404, Kind::NotFound), (400, Kind::Invalid)] {
        let (recorder, service) = (recorder(), Service::default());
        let target = service.serve(&recorder, |_| {}).await;
        let load = handed_over(Truncate).await;
        service.refuses(status);
        let error = advance(&target, &load).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error:?}");
        assert!(error.chain().contains("no template") && error.remedy().is_some(), "{error:?}");
        // A person has set it right, and has the run loaded again.
        let again = Load { begun: Utc::now(), ..load.clone() };
        waits(advance(&target, &again).await);
        assert_eq!(service.jobs(), [format!("sluice-{RUN}-7-0-0")]);
    }
}

#[tokio::test]
async fn a_job_that_fails_is_said_and_another_load_launches_another() {
    for (state, said) in [
        (
            "JOB_STATE_FAILED",
            "failed: Failure: check run: rows are missing (all messages: https://",
        ),
        ("JOB_STATE_CANCELLED", "was cancelled"),
        ("JOB_STATE_DRAINED", "was drained"),
        ("JOB_STATE_UPDATED", "was replaced by another job"),
        ("JOB_STATE_DONE", "is done, and has written no `result.json`"),
    ] {
        let (recorder, service) = (recorder(), Service::default());
        let target = service.serve(&recorder, |_| {}).await;
        let load = handed_over(Truncate).await;
        waits(advance(&target, &load).await);
        service.ends(state);
        let error = advance(&target, &load).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.chain().contains(said), "{}", error.chain());
        assert!(error.remedy().unwrap().contains("`sluice load"), "{error:?}");
        assert!(!recorder.asked().to_string().contains(r#""tableId":"orders""#));

        let again = Load { begun: Utc::now(), ..load.clone() };
        waits(advance(&target, &again).await);
        assert_eq!(service.jobs(), [0, 1].map(|number| format!("sluice-{RUN}-7-0-{number}")));
        fills(&load, 1, 3, 2).await;
        service.ends("JOB_STATE_DONE");
        assert!(advance(&target, &again).await.unwrap().is_ready());
    }
}

#[tokio::test]
async fn a_job_that_takes_too_long_or_that_nobody_needs_is_cancelled() {
    let (recorder, service) = (recorder(), Service::default());
    let load = handed_over(Truncate).await;
    let target = service.serve(&recorder, |_| {}).await;
    waits(advance(&target, &load).await);
    let hasty = service.serve(&recorder, |settings| settings.deadline = Duration::ZERO).await;
    // The job has to end before the run does.
    waits(advance(&hasty, &load).await);
    let error = advance(&hasty, &load).await.unwrap_err();
    assert!(error.chain().contains("took longer than 0 minutes, and was cancelled"), "{error:?}");
    assert!(error.remedy().unwrap().contains("SLUICE_DATAFLOW_DEADLINE"), "{error:?}");
    assert_eq!(service.counts(), (1, 1));

    let load = handed_over(Truncate).await;
    service.forgets();
    waits(advance(&target, &load).await);
    target.abandon(&load).await.unwrap();
    assert_eq!(service.counts(), (2, 2));
    // It has ended: there is nothing to cancel.
    target.abandon(&load).await.unwrap();
    assert_eq!(service.counts(), (2, 2));
}

#[tokio::test]
async fn counts_that_differ_leave_the_table_as_it_is() {
    for (read, written, counted) in [(2, 2, 2), (3, 3, 2), (3, 1, 2), (4, 2, 2)] {
        let (recorder, service) = (recorder(), Service::default());
        recorder.counts(counted);
        let target = service.serve(&recorder, |_| {}).await;
        let load = handed_over(Truncate).await;
        waits(advance(&target, &load).await);
        fills(&load, 0, read, written).await;
        let error = advance(&target, &load).await.unwrap_err();
        assert!(error.chain().contains("of 3 rows Dataflow has read"), "{}", error.chain());
        assert!(!recorder.asked().to_string().contains(r#""tableId":"orders""#));
    }
}

/// A loader that dies at a request leaves the rest to the next one: one job, and the rows once.
#[tokio::test]
async fn a_hand_over_survives_a_death_at_every_request() {
    for (disposition, stands) in [(Truncate, false), (Append, true)] {
        let mut tried = 0;
        for breaks in [Breaks::Before, Breaks::After] {
            for at in 0..40 {
                let (recorder, service) = (recorder(), Service::default());
                if stands {
                    recorder.stands(table());
                }
                recorder.breaks(at, 1, breaks);
                let now = |settings: &mut DataflowSettings| settings.grace = Duration::ZERO;
                let target = service.serve(&recorder, now).await;
                let load = handed_over(disposition).await;
                let mut shown = None;
                for _ in 0..10 {
                    match advance(&target, &load).await {
                        Ok(Poll::Ready(loaded)) => {
                            shown = Some(loaded.rows);
                            break;
                        }
                        Ok(Poll::Pending) if service.jobs().len() == 1 => {
                            fills(&load, 0, 3, 2).await;
                            service.ends("JOB_STATE_DONE");
                        }
                        Ok(Poll::Pending) => {}
                        Err(error) => assert!(error.is_transient(), "{error:?}"),
                    }
                }
                assert_eq!(shown, Some(2), "{disposition:?} {breaks:?} {at}");
                assert_eq!(service.counts(), (1, 0), "{disposition:?} {breaks:?} {at}");
                assert_eq!(recorder.tables(), ["orders"], "{disposition:?} {breaks:?} {at}");
                if !recorder.has_broken() {
                    break;
                }
                tried += 1;
            }
        }
        assert!(tried > 12, "{disposition:?}: {tried} requests were broken");
    }
}

/// A run that ends leaves no job behind, whatever it ends by.
#[tokio::test]
async fn a_load_that_is_refused_meanwhile_cancels_its_job() {
    let (recorder, service) = (recorder(), Service::default());
    recorder.stands(table());
    let target = service.serve(&recorder, |_| {}).await;
    let load = handed_over(Append).await;
    waits(advance(&target, &load).await);
    let mut other = table();
    other["schema"]["fields"][1]["type"] = "DATE".into();
    recorder.stands(other);
    let error = advance(&target, &load).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    assert_eq!(service.counts(), (1, 1));
}

/// A loader that launches another job and dies leaves no table that is taken for filled.
#[tokio::test]
async fn what_an_earlier_job_has_written_is_not_taken_for_the_next_one() {
    let (recorder, service) = (recorder(), Service::default());
    let target = service.serve(&recorder, |settings| settings.grace = Duration::ZERO).await;
    let load = handed_over(Truncate).await;
    waits(advance(&target, &load).await);
    fills(&load, 0, 3, 2).await;
    service.ends("JOB_STATE_DONE");
    recorder.lacks(&format!("sluice_{RUN}_7_0"));
    let again = Load { begun: Utc::now() + TimeDelta::seconds(1), ..load };
    let launch = DataflowLaunch { version: 1, job: attempt(1).job_name(again.run), at: Utc::now() };
    store(&again).create_dataflow_launch(attempt(1), &launch).await.unwrap();
    waits(advance(&target, &again).await);
    assert_eq!(service.jobs(), [0, 1].map(|number| format!("sluice-{RUN}-7-0-{number}")));
    waits(advance(&target, &again).await);
}

#[tokio::test]
async fn a_table_without_rows_needs_no_job() {
    let (recorder, service) = (recorder(), Service::default());
    recorder.stands(table());
    recorder.counts(0);
    let target = service.serve(&recorder, |_| {}).await;
    let empty = Load { parts: Vec::new(), rows: 0, ..handed_over(Truncate).await };
    let load = Load { visibility: Visibility::InTurn, ..empty };
    let shown = advance(&target, &load).await.unwrap();
    assert!(matches!(shown, Poll::Ready(Loaded { rows: 0, .. })), "{shown:?}");
    assert_eq!(service.counts(), (0, 0));
}

/// The pipeline tells names apart by their case, and BigQuery does not.
#[tokio::test]
async fn an_order_has_the_names_as_the_columns_spell_them() {
    let (recorder, service) = (recorder(), Service::default());
    let target = service.serve(&recorder, |_| {}).await;
    let mut load = handed_over(Truncate).await;
    load.dedup = Some(Dedup { keys: vec!["ID".to_owned()], order: "At".to_owned() });
    waits(advance(&target, &load).await);
    let order = store(&load).layout().dataflow_order(attempt(0));
    let order = load.bucket.store.get(&order).await.unwrap().bytes().await.unwrap();
    let order: Value = serde_json::from_slice(&order).unwrap();
    assert_eq!(order["dedup"], serde_json::json!({"keys": ["id"], "order": "at"}));
}

/// The rows of a job that ended long ago are gone with their staging table.
#[tokio::test]
async fn a_staging_table_that_is_gone_is_filled_by_another_job() {
    let (recorder, service) = (recorder(), Service::default());
    let target = service.serve(&recorder, |_| {}).await;
    let load = handed_over(Truncate).await;
    waits(advance(&target, &load).await);
    fills(&load, 0, 3, 2).await;
    service.ends("JOB_STATE_DONE");
    recorder.lacks(&format!("sluice_{RUN}_7_0"));
    let error = advance(&target, &load).await.unwrap_err();
    assert!(error.chain().contains("has filled a staging table that is gone"), "{error:?}");
    let again = Load { begun: Utc::now() + TimeDelta::seconds(1), ..load };
    waits(advance(&target, &again).await);
    assert_eq!(service.jobs().len(), 2);
}

#[tokio::test]
async fn a_plan_says_what_dataflow_takes_and_where_there_is_none() {
    let mut table = planned(Truncate, &[ID, ("at", TargetType::Timestamp)]);
    (table.write.dedup, table.bytes) = (Some(newest()), 1 << 40);
    let workers = DataflowSize::Huge.workers(true);
    let recorder = Recorder::default();
    let without = recorder.serve().await.dataflow(&table, &workers).await.unwrap();
    assert!(without.dataflow.unwrap_err().contains("SLUICE_DATAFLOW_TEMPLATE"));
    let target = Service::default().serve(&recorder, |_| {}).await;
    let answer = target.dataflow(&table, &workers).await.unwrap();
    assert_eq!(answer.by_query, without.by_query);
    let terms = answer.dataflow.unwrap();
    // 200 processors that take 400 MB a second, for 45.8 minutes and the start, at 60 % of the price.
    assert!((terms.estimate.seconds - 24_348.8).abs() < 1.0, "{terms:?}");
    assert!((terms.estimate.dollars - 19.00).abs() < 0.01, "{terms:?}");
    assert_eq!((terms.above_rows, terms.above_bytes), (None, 21_600_000_000_000));
    table.dataflow = Some(workers);
    let admitted = target.check(RunId::generate(), &table, Visibility::Each).await.unwrap();
    assert_eq!(
        admitted.way.unwrap(),
        "a job of Dataflow with 15 to 50 workers of `n1-standard-4` into a staging table, and a copy, \
         free of charge"
    );
}
