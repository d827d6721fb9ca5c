//! All tables of a run at once.

use std::task::Poll;

use serde_json::{Value, json};
use sluice_contracts::Kind;
use sluice_contracts::documents::{RunId, TargetType};
use sluice_contracts::job::WriteDisposition::{
    self, Append, Empty, Merge, ReplacePartitions, Truncate,
};

use super::super::row_counts;
use super::endings::failed;
use super::line::{FAULTS, Line};
use super::recorder::{Breaks, Recorder};
use super::requests::DAY;
use super::warehouse::Warehouse;
use super::{ID, RUN, columns, load, load_of};
use crate::bigquery::BigQueryTarget;
use crate::target::{Load, Loaded, NotLoaded, Target as _, Visibility};

/// A column whose documents a statement parses.
const DOC: (&str, TargetType) = ("doc", TargetType::Json);

/// Requests that a load of two tables makes at most.
const REQUESTS: usize = 120;

/// The load as one of several, into a table of this name.
fn at_once(load: Load, table: u32, name: &str) -> Load {
    let target = format!("bigquery://shop/sales/{name}");
    Load { table, target, visibility: Visibility::AtOnce, ..load }
}

/// Loads of a run into two tables.
pub(super) async fn two(run: &str, disposition: WriteDisposition) -> [Load; 2] {
    let load = async || load_of(run, disposition, columns(&[ID])).await;
    [at_once(load().await, 0, "orders"), at_once(load().await, 1, "lines")]
}

/// Two runs with two tables each, the older first.
async fn two_runs(disposition: WriteDisposition) -> [[Load; 2]; 2] {
    let mut runs = [RunId::generate(), RunId::generate()];
    runs.sort();
    let [older, newer] = runs.map(|run| run.to_string());
    [two(&older, disposition).await, two(&newer, disposition).await]
}

fn with_ids() -> Value {
    json!({"numRows": "0", "schema": {"fields": [{"name": "id", "type": "INTEGER"}]}})
}

async fn loaded(target: &BigQueryTarget, loads: &[Load]) -> Vec<Loaded> {
    match target.load_at_once(loads).await {
        Ok(Poll::Ready(loaded)) => loaded,
        other => panic!("it is done: {other:?}"),
    }
}

/// Loads to the end, as a loader that is called again whatever happens to it.
async fn to_the_end(line: &Line, loads: &[Load], case: &str) -> Vec<Loaded> {
    for _ in 0..500 {
        tokio::select! {
            biased;
            () = line.died() => {}
            result = line.target.load_at_once(loads) => match result {
                Ok(Poll::Ready(loaded)) => return loaded,
                Ok(Poll::Pending) => tokio::task::yield_now().await,
                Err(NotLoaded { error, .. }) => {
                    assert!(error.is_transient(), "{case}: {}", error.chain());
                }
            },
        }
    }
    panic!("{case}: it never ends");
}

#[tokio::test]
async fn one_transaction_changes_every_table_in_its_own_way() {
    let recorder = Recorder::default();
    recorder.knows("orders", with_ids());
    let documents = json!({"numRows": "0", "schema": {"fields": [
        {"name": "id", "type": "INTEGER"}, {"name": "doc", "type": "JSON"},
    ]}});
    recorder.knows("documents", documents);
    let mut days = json!({"numRows": "0", "schema": {"fields": [
        {"name": "id", "type": "INTEGER"}, {"name": "day", "type": "DATE"},
    ]}});
    days["timePartitioning"] = json!({"type": "DAY", "field": "day"});
    recorder.knows("days", days.clone());
    recorder.knows("merged", days);
    let [ids, by_day] = [columns(&[ID]), columns(&[ID, DAY])];
    let mut merged = load(Merge, by_day.clone()).await;
    merged.key = vec!["id".to_owned(), "day".to_owned()];
    let nothing = Load { parts: vec![], rows: 0, ..load(Append, ids.clone()).await };
    let loads = [
        at_once(load(Truncate, ids.clone()).await, 0, "orders"),
        at_once(load(Append, columns(&[ID, DOC])).await, 1, "documents"),
        at_once(load(ReplacePartitions, by_day).await, 2, "days"),
        at_once(merged, 3, "merged"),
        at_once(load(Empty, ids.clone()).await, 4, "new"),
        at_once(nothing, 5, "orders_of_nothing"),
    ];
    let target = recorder.serve().await;
    let rows: Vec<u64> = loaded(&target, &loads).await.iter().map(|loaded| loaded.rows).collect();
    assert_eq!(rows, [3, 3, 3, 3, 3, 0]);
    // The staging tables are filled at the same time, in any order.
    let asked = recorder.asked();
    let of_all = |asked: &&Value| {
        let text = asked.to_string();
        text.contains("_all_0") && !text.starts_with("{\"PATCH")
    };
    let mut asked: Vec<&Value> = asked.as_array().unwrap().iter().filter(of_all).collect();
    asked.sort_by_key(ToString::to_string);
    let claimed = (r#""sluice_claimed": "\d+""#, r#""sluice_claimed": "[now]""#);
    insta::with_settings!({filters => [claimed], sort_maps => true}, {
        insta::assert_json_snapshot!("at_once", asked);
    });
    let left = ["days", "documents", "merged", "new", "orders", "orders_of_nothing"];
    assert_eq!(recorder.tables(), left, "no staging table and no stand-in is left");
}

#[tokio::test]
async fn a_transaction_survives_a_death_at_every_request() {
    for stands in [true, false] {
        let loads = two(RUN, Truncate).await;
        let mut tried = 0;
        for breaks in [Breaks::Before, Breaks::After] {
            for times in [1, 2] {
                for at in 0..REQUESTS {
                    let recorder = Recorder::default();
                    if stands {
                        recorder.knows("orders", with_ids());
                        recorder.knows("lines", with_ids());
                    }
                    recorder.breaks(at, times, breaks);
                    if !carry_out(&recorder, &loads).await {
                        break;
                    }
                    tried += 1;
                    let visible = |id: &String| !id.contains("staging");
                    let jobs: Vec<String> = recorder.jobs().into_iter().filter(visible).collect();
                    assert_eq!(jobs, [format!("sluice_{RUN}_all_0")], "{at}");
                    assert_eq!(recorder.tables(), ["lines", "orders"], "{at}");
                }
            }
        }
        println!("faults: {tried} steps of a transaction over two tables");
        assert!(tried > 60, "{tried} requests were broken");
    }
}

/// Loads until the load is done, and returns whether a request was broken.
async fn carry_out(recorder: &Recorder, loads: &[Load]) -> bool {
    let target = recorder.serve().await;
    for _ in 0..10 {
        match target.load_at_once(loads).await {
            Ok(Poll::Ready(loaded)) => {
                assert!(loaded.iter().all(|loaded| loaded.rows == 3), "{loaded:?}");
                return recorder.has_broken();
            }
            Ok(Poll::Pending) => {}
            Err(NotLoaded { error, .. }) => assert!(error.is_transient(), "{error:?}"),
        }
    }
    panic!("the load does not end: {:#}", recorder.asked());
}

#[tokio::test]
async fn a_run_that_comes_late_changes_no_table_whenever_a_loader_died() {
    let mut cases = 0;
    let warehouse = Warehouse::default();
    let (line, late) = (warehouse.connect().await, warehouse.connect().await);
    for stands in [true, false] {
        for fault in FAULTS {
            for call in 0.. {
                let case = format!("stands {stands}: {fault:?} at call {call}");
                warehouse.begin(3);
                if stands {
                    warehouse.stands("orders");
                    warehouse.stands("lines");
                }
                let [older, newer] = two_runs(Truncate).await;
                line.goes_wrong(Some((call, fault)));
                let mut made = None;
                while made.is_none() && line.calls() <= call {
                    tokio::select! {
                        biased;
                        () = line.died() => {}
                        result = line.target.load_at_once(&newer) => {
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
                let newer = newer[0].run;
                assert!(second.iter().all(|loaded| loaded.overtaken_by.is_none()), "{case}");
                if made.is_some() {
                    let overtaken = |loaded: &Loaded| loaded.overtaken_by == Some(newer);
                    assert!(first.iter().all(overtaken), "{case}");
                }
                for name in ["orders", "lines"] {
                    assert_eq!(warehouse.shows(name).unwrap(), [newer.to_string()], "{case}");
                }
                assert_eq!(warehouse.tables(), ["lines", "orders"], "{case}");
                if line.calls() <= call {
                    break;
                }
                cases += 1;
            }
        }
    }
    println!("faults: {cases} steps of a transaction, with an older one after it");
    assert!(cases > 200, "{cases}");
}

/// Loaders of two runs, two of each, at the same time.
#[tokio::test]
async fn transactions_that_race_leave_all_tables_of_the_newer_one() {
    let warehouse = Warehouse::default();
    let mut lines = Vec::new();
    for _ in 0..4 {
        lines.push(warehouse.connect().await);
    }
    let mut overtaken = 0;
    for seed in 0..60 {
        warehouse.begin(3);
        if seed % 2 == 0 {
            warehouse.stands("orders");
        }
        let [older, mut newer] = two_runs(Truncate).await;
        if seed % 3 == 0 {
            // The manifests name the tables in another order.
            newer.reverse();
        }
        for (line, of) in lines.iter().zip(1..) {
            line.mixes(seed * 7 + of);
            let fault = FAULTS[usize::try_from((seed / 3 + of) % 4).unwrap()];
            let call = usize::try_from((seed * 5 + of * 3) % 37).unwrap();
            line.goes_wrong((seed % 5 > 2).then_some((call, fault)));
        }
        let case = format!("race {seed}");
        let ends = futures::future::join_all([
            to_the_end(&lines[0], &older, &case),
            to_the_end(&lines[1], &newer, &case),
            to_the_end(&lines[2], &older, &case),
            to_the_end(&lines[3], &newer, &case),
        ])
        .await;
        assert_eq!((&ends[0], &ends[1]), (&ends[2], &ends[3]), "{case}");
        for name in ["orders", "lines"] {
            assert_eq!(warehouse.shows(name).unwrap(), [newer[0].run.to_string()], "{case}");
        }
        assert_eq!(warehouse.tables(), ["lines", "orders"], "{case}");
        overtaken += usize::from(ends[0][0].overtaken_by.is_some());
    }
    println!("faults: 60 races of two transactions over the same tables, {overtaken} overtaken");
}

#[tokio::test]
async fn one_table_with_a_later_run_keeps_all_tables_as_they_are() {
    let warehouse = Warehouse::default();
    warehouse.begin(3);
    let line = warehouse.connect().await;
    let [older, newer] = two_runs(Truncate).await;
    warehouse.stands("orders");
    // The later run moves one of the tables alone.
    let [_, lines] = newer;
    let alone = Load { visibility: Visibility::Each, ..lines };
    while super::advance(&line.target, &alone).await.unwrap().is_pending() {}
    let late = to_the_end(&line, &older, "late").await;
    assert!(late.iter().all(|loaded| loaded.overtaken_by == Some(alone.run)), "{late:?}");
    assert_eq!(warehouse.shows("orders").unwrap(), [""; 0]);
    assert_eq!(warehouse.shows("lines").unwrap(), [alone.run.to_string()]);
    assert_eq!(warehouse.tables(), ["lines", "orders"]);
}

#[tokio::test]
async fn a_transaction_that_is_refused_names_the_table_and_leaves_none_behind() {
    for (message, table, said) in [
        ("Query error: two rows have the same key (sales.lines) at [1:1]", 1, "two rows have"),
        ("a row has NULL in a column of its key (sales.orders)", 0, "a row has NULL"),
        ("the table has rows (sales.lines)", 1, "table has rows but write disposition is `empty`"),
    ] {
        let recorder = Recorder::default();
        recorder.knows("orders", with_ids());
        let loads = two(RUN, Truncate).await;
        let target = recorder.serve().await;
        // The load jobs of both tables, and then the transaction.
        recorder.ends(super::endings::done(3));
        recorder.ends(super::endings::done(3));
        recorder.ends(failed("invalidQuery", message));
        for _ in 0..2 {
            let Err(refused) = target.load_at_once(&loads).await else { panic!("it is refused") };
            assert_eq!(refused.table, Some(table), "{refused:?}");
            assert_eq!(refused.error.kind(), Kind::Data);
            assert!(refused.error.chain().contains(said), "{}", refused.error.chain());
        }
        let tables = recorder.tables();
        let left: Vec<&String> =
            tables.iter().filter(|name| !name.starts_with("sluice_0")).collect();
        assert_eq!(left, ["orders"], "the table that was made is gone");
    }
}

#[tokio::test]
async fn tables_without_rows_are_made_and_no_job_is_started() {
    let warehouse = Warehouse::default();
    warehouse.begin(3);
    let line = warehouse.connect().await;
    warehouse.stands("orders");
    let [older, newer] = two_runs(Append).await;
    let nothing = newer.map(|load| Load { parts: vec![], rows: 0, ..load });
    let loaded = to_the_end(&line, &nothing, "nothing").await;
    assert!(loaded.iter().all(|loaded| (loaded.rows, loaded.overtaken_by) == (0, None)));
    assert_eq!(warehouse.tables(), ["lines", "orders"]);
    let started = warehouse.job_ids();
    assert!(started.iter().all(|id| id.ends_with("_all_0")), "only the claim is given back");
    // An older run finds them free, and as they were.
    let late = to_the_end(&line, &older, "late").await;
    assert!(late.iter().all(|loaded| (loaded.rows, loaded.overtaken_by) == (3, None)), "{late:?}");
    assert_eq!(warehouse.shows("lines").unwrap(), [older[0].run.to_string()]);
}

#[tokio::test]
async fn a_table_that_is_refused_is_named_and_keeps_nobody_waiting() {
    let warehouse = Warehouse::default();
    warehouse.begin(3);
    let line = warehouse.connect().await;
    warehouse.stands("orders");
    let [older, mut newer] = two_runs(Truncate).await;
    newer[1].parts[0].bytes += 1;
    let refused = line.target.load_at_once(&newer).await.unwrap_err();
    assert_eq!((refused.table, refused.error.is_transient()), (Some(1), false), "{refused:?}");
    let said = refused.error.chain();
    assert!(said.contains("into `bigquery://shop/sales/lines`"), "{said}");
    let late = to_the_end(&line, &older, "late").await;
    assert!(late.iter().all(|loaded| loaded.overtaken_by.is_none()), "{late:?}");
}

#[tokio::test]
async fn every_count_of_rows_is_found_again_and_its_label_is_one_that_bigquery_takes() {
    let one = load(Append, columns(&[ID])).await;
    let alone = row_counts::labels(std::slice::from_ref(&one));
    assert_eq!(row_counts::of(&alone, one.table), Some(one.rows));
    let many: Vec<Load> = (0..100)
        .map(|table| Load { table, rows: u64::MAX - u64::from(table), ..one.clone() })
        .collect();
    let labels = row_counts::labels(&many);
    for load in &many {
        assert_eq!(row_counts::of(&labels, load.table), Some(load.rows));
    }
    assert_eq!(row_counts::of(&labels, 100), None);
    assert!(labels.len() < 60, "{}", labels.len());
    for (key, value) in &labels {
        assert!(key.len() < 64 && value.len() < 64, "{key}: {value}");
        let allowed = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '-');
        assert!(value.chars().all(allowed), "{value}");
    }
}
