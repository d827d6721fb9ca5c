//! No run replaces a later one, whoever dies when.

use std::task::Poll;

use sluice_contracts::documents::{RunId, SchemaChanges, TargetType};
use sluice_contracts::job::WriteDisposition::{self, Append, Empty, Merge, Truncate};

use super::line::{FAULTS, Line};
use super::warehouse::Warehouse;
use super::{ID, advance, columns, load_of, visibility};
use crate::target::{Load, Loaded, Target as _, Visibility};

/// A column whose documents a statement parses.
pub(super) const DOC: (&str, TargetType) = ("doc", TargetType::Json);

/// Loads of two runs into one table, the older first.
async fn two(disposition: WriteDisposition, staged: bool) -> [Load; 2] {
    two_of(disposition, staged, &[ID]).await
}

pub(super) async fn two_of(
    disposition: WriteDisposition,
    staged: bool,
    wanted: &[(&str, TargetType)],
) -> [Load; 2] {
    let mut runs = [RunId::generate(), RunId::generate()];
    runs.sort();
    let [older, newer] = runs.map(|run| run.to_string());
    let load = async |run: &str| Load {
        visibility: visibility(staged),
        schema_changes: SchemaChanges::Add,
        ..load_of(run, disposition, columns(wanted)).await
    };
    [load(&older).await, load(&newer).await]
}

/// Loads to the end, as a loader that is called again whatever happens to it.
async fn to_the_end(line: &Line, load: &Load, case: &str) -> Loaded {
    for _ in 0..300 {
        tokio::select! {
            biased;
            () = line.died() => {}
            result = advance(&line.target, load) => match result {
                Ok(Poll::Ready(loaded)) => return loaded,
                Ok(Poll::Pending) => tokio::task::yield_now().await,
                Err(error) => assert!(error.is_transient(), "{case}: {}", error.chain()),
            },
        }
    }
    panic!("{case}: it never ends");
}

/// What the table is before: it does not exist, was made by a person, or was loaded before.
pub(super) const BEFORE: [&str; 3] = ["nothing", "by a person", "loaded"];

/// A new beginning, with the table as it is before.
pub(super) async fn begin(warehouse: &Warehouse, line: &Line, before: &str) {
    warehouse.begin(3);
    line.goes_wrong(None);
    match before {
        "by a person" => warehouse.stands("orders"),
        "loaded" => {
            let [first, _] = two(Truncate, false).await;
            to_the_end(line, &first, before).await;
        }
        _ => {}
    }
}

/// A warehouse with the table, and connections of two loaders.
pub(super) async fn table_before(before: &str) -> (Warehouse, Line, Line) {
    let warehouse = Warehouse::default();
    let (line, other) = (warehouse.connect().await, warehouse.connect().await);
    begin(&warehouse, &line, before).await;
    (warehouse, line, other)
}

#[tokio::test]
async fn a_run_that_comes_late_changes_nothing_whenever_a_loader_died() {
    let mut cases = 0;
    let (warehouse, line, late) = table_before("nothing").await;
    let (plain, documents) = (&[ID][..], &[ID, DOC][..]);
    for (staged, before, wanted) in [
        (false, "nothing", plain),
        (false, "by a person", plain),
        (false, "loaded", plain),
        (true, "nothing", plain),
        (true, "loaded", plain),
        (false, "nothing", documents),
        (false, "loaded", documents),
    ] {
        for fault in FAULTS {
            for call in 0.. {
                let of = wanted.len();
                let case =
                    format!("{before}, staged {staged}, {of} columns: {fault:?} at call {call}");
                begin(&warehouse, &line, before).await;
                let [older, newer] = two_of(Truncate, staged, wanted).await;
                // The newer one dies or fails somewhere, and the older one comes then.
                line.goes_wrong(Some((call, fault)));
                let mut made = None;
                while made.is_none() && line.calls() <= call {
                    tokio::select! {
                        biased;
                        () = line.died() => {}
                        result = advance(&line.target, &newer) => {
                            if let Ok(Poll::Ready(loaded)) = result {
                                made = Some(loaded);
                            }
                        }
                    }
                }
                let (first, second) = tokio::join!(
                    to_the_end(&late, &older, &case),
                    to_the_end(&line, &newer, &case),
                );
                assert_eq!(second.overtaken_by, None, "{case}");
                if made.is_some() {
                    assert_eq!(first.overtaken_by, Some(newer.run), "{case}");
                }
                assert_eq!(warehouse.shows("orders").unwrap(), [newer.run.to_string()], "{case}");
                assert_eq!(warehouse.tables(), ["orders"], "{case}");
                if line.calls() <= call {
                    break;
                }
                cases += 1;
            }
        }
    }
    println!(
        "faults: {cases} steps of a load into a table of BigQuery, with an older run after it"
    );
    assert!(cases > 400, "{cases}");
}

/// Claims the table and dies before the job is started.
async fn claims_and_dies(line: &Line, load: &Load) {
    assert!(line.target.prepare(load).await.unwrap().is_ready());
}

#[tokio::test]
async fn a_later_run_takes_the_table_at_once_from_one_that_has_not_begun() {
    for before in BEFORE {
        let (warehouse, line, other) = table_before(before).await;
        let [older, newer] = two(Truncate, false).await;

        let Poll::Ready(stopped) = line.target.prepare(&older).await.unwrap() else {
            panic!("it is claimed");
        };
        let loaded = to_the_end(&other, &newer, before).await;
        assert_eq!(loaded.overtaken_by, None, "{before}");
        // The older one stood still between its claim and its job, and goes on.
        assert!(stopped.publish().await.unwrap().is_pending(), "{before}");
        let loaded = to_the_end(&line, &older, before).await;
        assert_eq!(
            loaded,
            Loaded { snapshot: 0, rows: 0, dropped: None, overtaken_by: Some(newer.run) }
        );
        assert_eq!(warehouse.shows("orders").unwrap(), [newer.run.to_string()], "{before}");
    }
}

#[tokio::test]
async fn a_later_run_that_claimed_and_is_gone_keeps_nobody_back_for_ever() {
    for before in BEFORE {
        let (warehouse, line, other) = table_before(before).await;
        let [older, newer] = two(Truncate, false).await;
        claims_and_dies(&other, &newer).await;
        for _ in 0..10 {
            assert!(advance(&line.target, &older).await.unwrap().is_pending(), "{before}");
        }
        warehouse
            .change_label("sluice_claimed", |at| (at.parse::<u64>().unwrap() - 601).to_string());
        let loaded = to_the_end(&line, &older, before).await;
        assert_eq!(loaded.overtaken_by, None, "{before}");
        assert_eq!(warehouse.shows("orders").unwrap(), [older.run.to_string()], "{before}");
        // It comes back after all.
        assert_eq!(to_the_end(&line, &newer, before).await.overtaken_by, None);
        assert_eq!(warehouse.shows("orders").unwrap(), [newer.run.to_string()], "{before}");
    }
}

#[tokio::test]
async fn a_later_run_that_failed_keeps_nobody_back() {
    for reason in ["invalid", "backendError"] {
        let (warehouse, line, _) = table_before("loaded").await;
        let [older, newer] = two(Truncate, false).await;
        warehouse.next_job_fails(reason);
        let ended = advance(&line.target, &newer).await;
        assert_eq!(ended.is_err(), reason == "invalid");
        assert_eq!(to_the_end(&line, &older, reason).await.overtaken_by, None);
        assert_eq!(warehouse.shows("orders").unwrap(), [older.run.to_string()]);
    }
}

#[tokio::test]
async fn a_load_that_is_refused_keeps_nobody_waiting_and_leaves_nothing_behind() {
    for before in BEFORE {
        for staged in [false, true] {
            let (warehouse, line, _) = table_before(before).await;
            let [older, mut newer] = two(Truncate, staged).await;
            newer.parts[0].bytes += 1;
            let refused = advance(&line.target, &newer).await;
            assert!(refused.is_err_and(|error| !error.is_transient()), "{before}");
            // A staging table that was filled in vain is not made.
            let left = if before == "nothing" { &[][..] } else { &["orders".to_owned()] };
            assert_eq!(warehouse.tables(), left, "{before}");
            let loaded = to_the_end(&line, &older, before).await;
            assert_eq!(loaded.overtaken_by, None, "{before}");
        }
    }
}

#[tokio::test]
async fn a_load_that_is_given_up_for_another_table_leaves_nothing_behind() {
    for before in BEFORE {
        let (warehouse, line, other) = table_before(before).await;
        let [older, newer] = two(Truncate, true).await;
        let prepared = loop {
            if let Poll::Ready(prepared) = other.target.prepare(&newer).await.unwrap() {
                break prepared;
            }
        };
        assert!(warehouse.tables().iter().any(|name| name.contains("_7_0")), "it is staged");
        prepared.discard().await.unwrap();
        let left = if before == "nothing" { &[][..] } else { &["orders".to_owned()] };
        assert_eq!(warehouse.tables(), left, "{before}");
        // It keeps nobody back, though it is the later one.
        assert_eq!(to_the_end(&line, &older, before).await.overtaken_by, None);
        assert_eq!(warehouse.shows("orders").unwrap(), [older.run.to_string()], "{before}");
    }
}

#[tokio::test]
async fn a_load_without_rows_leaves_nothing_behind_and_keeps_nobody_waiting() {
    for before in BEFORE {
        for disposition in [Append, Empty, Truncate] {
            for staged in [false, true] {
                let case = format!("{before}, {disposition:?}, staged {staged}");
                let (warehouse, line, other) = table_before(before).await;
                let [older, newer] = two(Truncate, false).await;
                let nothing = Load {
                    disposition,
                    visibility: visibility(staged),
                    parts: vec![],
                    rows: 0,
                    ..newer
                };
                let loaded = to_the_end(&other, &nothing, &case).await;
                assert_eq!((loaded.rows, loaded.overtaken_by), (0, None), "{case}");
                assert_eq!(warehouse.tables(), ["orders"], "{case}");
                // A table that no job has written shows nothing of the run.
                let has_job = disposition == Truncate || (staged && before == "nothing");
                let late = to_the_end(&line, &older, &case).await;
                assert_eq!(late.overtaken_by, has_job.then_some(nothing.run), "{case}");
            }
        }
    }
}

#[tokio::test]
async fn loads_of_a_day_are_counted_and_named_before_the_quota_is_used_up() {
    let (warehouse, line, _) = table_before("by a person").await;
    for _ in 0..3 {
        let [load, _] = two(Truncate, false).await;
        to_the_end(&line, &load, "counted").await;
    }
    let [load, _] = two(Truncate, false).await;
    let table = crate::conformance::planned(&load);
    assert_eq!(
        line.target.check(load.run, &table, Visibility::Each).await.unwrap().warnings,
        [""; 0]
    );
    warehouse.change_label("sluice_loads", |loads| {
        assert!(loads.ends_with("_3"), "{loads}");
        loads.replace("_3", "_1300")
    });
    let warnings = line.target.check(load.run, &table, Visibility::Each).await.unwrap().warnings;
    assert!(warnings.iter().any(|said| said.contains("loaded 1300 times today")), "{warnings:?}");
    // Another day begins with none.
    warehouse.change_label("sluice_loads", |_| "20200101_1499".to_owned());
    assert_eq!(
        line.target.check(load.run, &table, Visibility::Each).await.unwrap().warnings,
        [""; 0]
    );
}

#[tokio::test]
async fn rows_that_are_added_replace_nothing_and_are_not_replaced_by_an_older_run() {
    let (warehouse, line, _) = table_before("loaded").await;
    let [older, newer] = two(Append, false).await;
    for load in [&newer, &older] {
        assert_eq!(to_the_end(&line, load, "append").await.overtaken_by, None);
    }
    assert_eq!(warehouse.shows("orders").unwrap().len(), 3);
    for disposition in [Truncate, Empty] {
        // Planned between the two, and loaded after both: the rows of the newer one would be lost.
        let between = Load { disposition, table: 8, ..older.clone() };
        let loaded = to_the_end(&line, &between, "between").await;
        assert_eq!(loaded.overtaken_by, Some(newer.run));
    }
    assert_eq!(warehouse.shows("orders").unwrap().len(), 3);
}

#[tokio::test]
async fn rows_that_are_merged_replace_no_newer_ones() {
    for (order_by, comes_through) in [(None, false), (Some("id".to_owned()), true)] {
        let (warehouse, line, _) = table_before("loaded").await;
        let merging = two(Merge, false).await.map(|load| Load {
            key: vec!["id".to_owned()],
            order_by: order_by.clone(),
            ..load
        });
        let [older, newer] = &merging;
        assert_eq!(to_the_end(&line, newer, "newer").await.overtaken_by, None);
        let late = to_the_end(&line, older, "older").await;
        assert_eq!(late.overtaken_by.is_none(), comes_through, "{order_by:?}");
        let merged = if comes_through { 3 } else { 2 };
        assert_eq!(warehouse.shows("orders").unwrap().len(), merged, "{order_by:?}");
        assert_eq!(warehouse.tables(), ["orders"], "{order_by:?}");
    }
}

#[tokio::test]
async fn a_table_that_a_person_has_deleted_shows_nothing_later() {
    let (warehouse, line, _) = table_before("nothing").await;
    let [older, newer] = two(Truncate, false).await;
    to_the_end(&line, &newer, "first").await;
    warehouse.drop_table("orders");
    assert_eq!(to_the_end(&line, &older, "again").await.overtaken_by, None);
    assert_eq!(warehouse.shows("orders").unwrap(), [older.run.to_string()]);
}

#[tokio::test]
async fn a_label_that_a_person_has_changed_claims_nothing() {
    let (warehouse, line, _) = table_before("loaded").await;
    warehouse.change_label("sluice_writer", |_| "me".to_owned());
    let [older, _] = two(Truncate, false).await;
    assert_eq!(to_the_end(&line, &older, "changed").await.overtaken_by, None);
    assert!(warehouse.job_ids().iter().all(|id| id != "sluice_me"));
}

#[tokio::test]
async fn what_an_overtaken_run_would_have_changed_stays() {
    let (warehouse, line, _) = table_before("loaded").await;
    let [mut older, newer] = two(Truncate, false).await;
    to_the_end(&line, &newer, "first").await;
    // It has a column more, which would be added to the table before the load.
    older.columns = columns(&[ID, super::TAGS]);
    let jobs = warehouse.job_ids();
    assert!(to_the_end(&line, &older, "late").await.overtaken_by.is_some());
    assert_eq!(warehouse.job_ids(), jobs);
    assert_eq!(warehouse.schema("orders"), [("id".to_owned())]);
}
