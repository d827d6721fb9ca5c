//! A table is loaded once, whatever happens to jobs and loaders.

use std::task::Poll;

use chrono::{Duration, Utc};
use serde_json::{Value, json};
use sluice_contracts::job::WriteDisposition::{Append, Empty, Truncate};
use sluice_contracts::{Kind, Result};

use super::endings::{done, failed, running};
use super::recorder::Recorder;
use super::{ID, RUN, TAGS, advance, columns, load, loaded, visibility};
use crate::target::{Loaded, Visibility};

pub(super) fn refused(result: Result<Poll<Loaded>>) -> (Kind, String) {
    let error = result.expect_err("the load should be refused");
    (error.kind(), format!("{}\n{}", error.chain(), error.remedy().unwrap_or_default()))
}

fn job(number: u32) -> String {
    format!("sluice_{RUN}_7_{number}")
}

#[tokio::test]
async fn the_same_load_is_adopted_once_its_parts_are_gone() {
    let recorder = Recorder::default();
    let mut load = load(Append, columns(&[ID])).await;
    assert_eq!(
        loaded(&recorder, &load).await,
        Loaded { snapshot: 0, rows: 3, dropped: None, overtaken_by: None }
    );
    load.bucket.store = std::sync::Arc::new(object_store::memory::InMemory::new());
    assert_eq!(
        loaded(&recorder, &load).await,
        Loaded { snapshot: 0, rows: 3, dropped: None, overtaken_by: None }
    );
    assert_eq!(recorder.jobs(), [job(0)]);
}

#[tokio::test]
async fn a_job_that_another_loader_started_meanwhile_is_adopted() {
    let recorder = Recorder::default();
    let load = load(Truncate, columns(&[ID])).await;
    loaded(&recorder, &load).await;
    // This loader checks before the other has started its job, and starts its own afterwards.
    recorder.hides_jobs(1);
    let target = recorder.serve().await;
    assert!(matches!(advance(&target, &load).await, Ok(Poll::Pending)));
    assert_eq!(loaded(&recorder, &load).await.rows, 3);
    assert_eq!(recorder.jobs(), [job(0)]);
}

#[tokio::test]
async fn a_job_on_its_way_is_waited_for_by_whoever_asks() {
    let recorder = Recorder::default();
    recorder.ends(running());
    let load = load(Append, columns(&[ID])).await;
    for _ in 0..3 {
        let target = recorder.serve().await;
        assert!(matches!(advance(&target, &load).await, Ok(Poll::Pending)));
    }
    recorder.now_ends(&job(0), &done(3));
    assert_eq!(loaded(&recorder, &load).await.rows, 3);
    assert_eq!(recorder.jobs(), [job(0)]);
}

/// How a job ended so many seconds ago, for a reason.
fn failed_ago(reason: &str, seconds: i64) -> Value {
    let mut ending = failed(reason, "no");
    let at = (Utc::now() - Duration::seconds(seconds)).timestamp_millis().to_string();
    ending["statistics"] = json!({"creationTime": at, "endTime": at});
    ending
}

#[tokio::test]
async fn trouble_that_passes_is_waited_for_by_time_and_not_by_number() {
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    let mut load = load(Append, columns(&[ID])).await;
    for number in 0..100 {
        recorder.ends(failed_ago("backendError", 301));
        assert!(matches!(advance(&target, &load).await, Ok(Poll::Pending)));
        assert_eq!(recorder.jobs().len(), number + 1);
    }
    // A look asks for few of the hundred names.
    let before = recorder.gets("/jobs/");
    load.give_up = Utc::now();
    let (kind, said) = refused(advance(&target, &load).await);
    assert_eq!(kind, Kind::Denied);
    assert!(said.contains("BigQuery failed 100 times, the last time for the reason"), "{said}");
    assert!(said.contains(&format!("`sluice load {RUN}`")), "{said}");
    assert!(recorder.gets("/jobs/") - before <= 15, "{}", recorder.gets("/jobs/") - before);
    // More time, and the next attempt is done.
    load.give_up = Utc::now() + Duration::hours(1);
    assert_eq!(loaded(&recorder, &load).await.rows, 3);
    assert_eq!(recorder.jobs().len(), 101);
}

#[tokio::test]
async fn pauses_between_attempts_grow_to_five_minutes() {
    for (burnt, seconds, is_due) in [
        (1, 4, false),
        (1, 6, true),
        (3, 18, false),
        (3, 21, true),
        (40, 290, false),
        (40, 301, true),
    ] {
        let recorder = Recorder::default();
        let target = recorder.serve().await;
        let load = load(Append, columns(&[ID])).await;
        for _ in 1..burnt {
            recorder.ends(failed_ago("quotaExceeded", 400));
            assert!(matches!(advance(&target, &load).await, Ok(Poll::Pending)));
        }
        recorder.ends(failed_ago("quotaExceeded", seconds));
        assert!(matches!(advance(&target, &load).await, Ok(Poll::Pending)));
        assert_eq!(recorder.jobs().len(), burnt);
        assert!(advance(&target, &load).await.is_ok());
        let made = recorder.jobs().len();
        assert_eq!(made == burnt + 1, is_due, "{burnt} burnt, {seconds} seconds ago: {made}");
    }
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_named_at_the_end() {
    for (reason, named) in [
        ("quotaExceeded", "1,500 loads of a table"),
        ("rateLimitExceeded", "too many jobs write to the table"),
        ("backendError", "status.cloud.google.com"),
    ] {
        let recorder = Recorder::default();
        let target = recorder.serve().await;
        let mut load = load(Append, columns(&[ID])).await;
        recorder.ends(failed_ago(reason, 1));
        assert!(matches!(advance(&target, &load).await, Ok(Poll::Pending)));
        load.give_up = Utc::now();
        let (_, said) = refused(advance(&target, &load).await);
        assert!(said.contains(named), "{said}");
    }
}

#[tokio::test]
async fn what_was_refused_before_the_load_was_begun_is_tried_again() {
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    let mut load = load(Append, columns(&[ID])).await;
    recorder.ends(failed_ago("accessDenied", 60));
    let (kind, said) = refused(advance(&target, &load).await);
    assert_eq!(kind, Kind::Denied, "{said}");
    assert_eq!(refused(advance(&target, &load).await).0, Kind::Denied, "a refusal is final");
    load.begun = Utc::now() - Duration::seconds(30);
    assert_eq!(loaded(&recorder, &load).await.rows, 3);
    assert_eq!(recorder.jobs(), [job(0), job(1)]);
}

#[tokio::test]
async fn rows_that_expired_before_the_load_was_asked_for_again_are_staged_again() {
    let staging = |number: u32| format!("sluice_{RUN}_7_staging_0_{number}");
    for expired in [false, true] {
        let recorder = Recorder::default();
        let target = recorder.serve().await;
        let mut load = load(Truncate, columns(&[ID])).await;
        load.visibility = Visibility::InTurn;
        recorder.ends(done(3));
        recorder.ends(failed_ago("accessDenied", 60));
        assert_eq!(refused(advance(&target, &load).await).0, Kind::Denied);
        if expired {
            recorder.lacks(&format!("sluice_{RUN}_7_0"));
        }
        load.begun = Utc::now() - Duration::seconds(30);
        assert_eq!(loaded(&recorder, &load).await.rows, 3);
        assert!(recorder.jobs().contains(&job(1)), "{:?}", recorder.jobs());
        assert_eq!(recorder.jobs().contains(&staging(1)), expired, "{:?}", recorder.jobs());
        assert_eq!(recorder.tables(), ["orders"]);
    }
}

#[tokio::test]
async fn a_load_of_another_generation_counts_and_its_failure_does_not() {
    let recorder = Recorder::default();
    let mut load = load(Append, columns(&[ID])).await;
    recorder.ends(failed("invalid", "the parts of this generation are broken"));
    let target = recorder.serve().await;
    let (kind, _) = refused(advance(&target, &load).await);
    assert_eq!(kind, Kind::Data);
    let (kind, _) = refused(advance(&target, &load).await);
    assert_eq!(kind, Kind::Data, "a refusal is final");
    load.snapshot = 1;
    assert_eq!(
        loaded(&recorder, &load).await,
        Loaded { snapshot: 1, rows: 3, dropped: None, overtaken_by: None }
    );
    load.snapshot = 2;
    load.rows = 4;
    assert_eq!(
        loaded(&recorder, &load).await,
        Loaded { snapshot: 1, rows: 3, dropped: None, overtaken_by: None }
    );
    assert_eq!(recorder.jobs(), [job(0), job(1)]);
}

#[tokio::test]
async fn another_count_than_the_receipts_is_never_taken() {
    for staged in [false, true] {
        let recorder = Recorder::default();
        recorder.ends(done(1204));
        let mut load = load(Truncate, columns(&[ID])).await;
        load.visibility = visibility(staged);
        let target = recorder.serve().await;
        for _ in 0..2 {
            let (kind, said) = refused(advance(&target, &load).await);
            assert_eq!(kind, Kind::Bug);
            let expected = format!("check run `{RUN}`: loaded 1,204 rows, receipts say 3");
            assert!(said.contains(&expected), "{said}");
            assert_eq!(said.contains("nothing of the table was made visible"), staged, "{said}");
        }
        assert!(!recorder.asked().to_string().contains("\"copy\""), "{}", recorder.asked());
    }
}

#[tokio::test]
async fn a_refusal_names_the_column_and_the_part_and_no_value() {
    let recorder = Recorder::default();
    let part = format!("etl/runs/{RUN}/parts/2.parquet");
    let words = format!(
        "Error while reading data, error message: Field tags: cannot convert value 'secret' \
         File: gs://lake/{part}"
    );
    recorder.ends(failed("invalid", &words));
    let load = load(Truncate, columns(&[ID, TAGS])).await;
    let target = recorder.serve().await;
    let (kind, said) = refused(advance(&target, &load).await);
    assert_eq!(kind, Kind::Data);
    assert!(said.contains(&format!("at column `tags` of `{part}`")), "{said}");
    assert!(said.contains(&format!("`bq --location=EU show -j shop:{}`", job(0))), "{said}");
    assert!(!said.contains("secret"), "{said}");
}

#[tokio::test]
async fn rows_that_came_in_after_the_check_are_refused_in_the_same_words() {
    let recorder = Recorder::default();
    recorder.ends(failed("duplicate", "Already Exists: Table shop:sales.orders"));
    let load = load(Empty, columns(&[ID])).await;
    let target = recorder.serve().await;
    let (kind, said) = refused(advance(&target, &load).await);
    assert_eq!(kind, Kind::Data);
    assert!(said.contains("table has rows but write disposition is `empty`"), "{said}");
}

#[tokio::test]
async fn parts_that_are_not_whole_start_no_job() {
    for staged in [false, true] {
        let recorder = Recorder::default();
        let target = recorder.serve().await;
        let mut whole = load(Truncate, columns(&[ID])).await;
        whole.visibility = visibility(staged);
        let mut truncated = whole.clone();
        truncated.parts[1].bytes = 5;
        let mut missing = whole.clone();
        missing.parts[0].path.push_str(".gone");
        for (load, expected) in [
            (truncated, "it has 4 bytes, and its receipt says 5"),
            (missing, "it is not in the bucket"),
        ] {
            let (kind, said) = refused(advance(&target, &load).await);
            assert_eq!(kind, Kind::Data);
            assert!(said.contains(expected), "{expected}\nis not in\n{said}");
        }
        assert_eq!(recorder.asked(), json!([]));
    }
}

#[tokio::test]
async fn a_bucket_that_bigquery_does_not_load_from_is_named() {
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    let mut elsewhere = load(Truncate, columns(&[ID])).await;
    elsewhere.bucket.url = "file:///bucket".into();
    let (kind, said) = refused(advance(&target, &elsewhere).await);
    assert_eq!(kind, Kind::Invalid);
    assert!(said.contains("BigQuery does not load from bucket `file:///bucket`"), "{said}");
}
