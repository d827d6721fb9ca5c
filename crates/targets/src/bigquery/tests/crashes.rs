//! Loaders that die, once and twice in a row, at every request: the table is changed once, and
//! nothing is left behind.
//!
//! A loader keeps nothing in memory from one call to the next. So one that dies at a request is one
//! whose request fails, before or after BigQuery has carried it out, and whose next call is made by
//! another.

use std::task::Poll;

use serde_json::json;
use sluice_contracts::documents::{PartitionBy, TargetType};
use sluice_contracts::job::WriteDisposition::{Append, Empty, Merge, ReplacePartitions, Truncate};

use super::dedup::{self, of_newest};
use super::endings::done;
use super::native::{natively, source};
use super::recorder::{Breaks, Recorder};
use super::{ID, RUN, advance, columns, load, visibility};
use crate::target::Load;

/// Requests that a load makes at most.
const REQUESTS: usize = 60;

/// Loads until the load is done, and returns whether a request was broken.
async fn carry_out(recorder: &Recorder, load: &Load) -> bool {
    carry_out_of(recorder, load, 3).await
}

/// The same for a load that makes so many rows visible.
async fn carry_out_of(recorder: &Recorder, load: &Load, rows: u64) -> bool {
    let target = recorder.serve().await;
    for _ in 0..10 {
        match advance(&target, load).await {
            Ok(Poll::Ready(loaded)) => {
                assert_eq!(loaded.rows, rows);
                return recorder.has_broken();
            }
            Ok(Poll::Pending) => {}
            Err(error) => assert!(error.is_transient(), "{error:?}"),
        }
    }
    panic!("the load does not end: {:#}", recorder.asked());
}

#[tokio::test]
async fn every_path_survives_a_death_at_every_request() {
    let document = ("doc", TargetType::Json);
    let existing = json!({"numRows": "0", "schema": {"fields": [
        {"name": "id", "type": "INTEGER"}, {"name": "doc", "type": "JSON"},
    ]}});
    let plain = json!({"numRows": "0", "schema": {"fields": [{"name": "id", "type": "INTEGER"}]}});
    let mut ranges = plain.clone();
    ranges["rangePartitioning"] =
        json!({"field": "id", "range": {"start": "0", "end": "100", "interval": "10"}});
    for (disposition, staged, wanted, table, jobs) in [
        (Truncate, false, vec![ID], None, 1),
        (Truncate, false, vec![ID], Some(&plain), 1),
        (Append, false, vec![ID], Some(&plain), 2),
        (Truncate, true, vec![ID], Some(&plain), 2),
        (Empty, false, vec![ID, document], Some(&existing), 2),
        (Append, false, vec![ID, document], Some(&existing), 2),
        (Truncate, false, vec![ID, document], None, 2),
        (Merge, false, vec![ID], Some(&plain), 2),
        (Merge, false, vec![ID], None, 2),
        (ReplacePartitions, false, vec![ID], Some(&ranges), 2),
        (ReplacePartitions, false, vec![ID], None, 1),
    ] {
        let mut load = load(disposition, columns(&wanted)).await;
        if disposition == Merge {
            load.key = vec!["id".to_owned()];
        }
        if disposition == ReplacePartitions {
            let by =
                PartitionBy::Range { column: "id".to_owned(), start: 0, end: 100, interval: 10 };
            load.new_table.partition_by = Some(by);
        }
        load.visibility = visibility(staged);
        let mut tried = 0;
        for breaks in [Breaks::Before, Breaks::After] {
            for times in [1, 2] {
                for at in 0..REQUESTS {
                    let recorder = Recorder::default();
                    if let Some(table) = table {
                        recorder.stands(table.clone());
                    }
                    recorder.breaks(at, times, breaks);
                    if !carry_out(&recorder, &load).await {
                        break;
                    }
                    tried += 1;
                    let visible = |id: &String| !id.contains("staging");
                    let visible: Vec<String> =
                        recorder.jobs().into_iter().filter(visible).collect();
                    assert_eq!(visible, [format!("sluice_{RUN}_7_0")], "{disposition:?} {at}");
                    assert_eq!(recorder.jobs().len(), jobs, "{disposition:?} {at}");
                    let left = recorder.tables();
                    let left: Vec<_> = left.iter().filter(|name| *name != "orders").collect();
                    assert!(left.is_empty(), "{disposition:?} {at}: {left:?}");
                }
            }
        }
        assert!(tried > 12, "{disposition:?}: {tried} requests were broken");
    }
}

#[tokio::test]
async fn rows_that_bigquery_takes_survive_a_death_at_every_request() {
    let other = json!({"numRows": "0", "clustering": {"fields": ["id"]}, "schema": {"fields": [
        {"name": "id", "type": "INTEGER"},
    ]}});
    for (disposition, table) in [
        (Truncate, None),
        (Truncate, Some(source())),
        (Append, Some(source())),
        (Truncate, Some(other.clone())),
        (Merge, Some(other)),
    ] {
        let mut load = natively(disposition).await;
        load.key = vec!["id".to_owned()].into_iter().filter(|_| disposition == Merge).collect();
        let mut tried = 0;
        for breaks in [Breaks::Before, Breaks::After] {
            for at in 0..REQUESTS {
                let recorder = Recorder::default();
                recorder.knows("source", source());
                if let Some(table) = &table {
                    recorder.stands(table.clone());
                }
                recorder.breaks(at, 1, breaks);
                if !carry_out(&recorder, &load).await {
                    break;
                }
                tried += 1;
                assert_eq!(recorder.jobs().len(), 2, "{disposition:?} {at}: {:?}", recorder.jobs());
                let left = recorder.tables();
                assert_eq!(left, ["orders", "source"], "{disposition:?} {at}");
            }
        }
        assert!(tried > 12, "{disposition:?}: {tried} requests were broken");
    }
}

#[tokio::test]
async fn the_choice_of_rows_survives_a_death_at_every_request() {
    for (disposition, stands) in [(Truncate, false), (Append, true), (Merge, true)] {
        let load = of_newest(disposition).await;
        let mut tried = 0;
        for breaks in [Breaks::Before, Breaks::After] {
            for at in 0..REQUESTS {
                let recorder = dedup::recorder();
                if stands {
                    recorder.stands(dedup::table());
                }
                recorder.breaks(at, 1, breaks);
                if !carry_out_of(&recorder, &load, 2).await {
                    break;
                }
                tried += 1;
                assert_eq!(recorder.jobs().len(), 4, "{disposition:?} {at}: {:?}", recorder.jobs());
                assert_eq!(recorder.tables(), ["orders"], "{disposition:?} {at}");
            }
        }
        assert!(tried > 20, "{disposition:?}: {tried} requests were broken");
    }
}

/// Two loaders of one run make every request at the same time.
#[tokio::test]
async fn loaders_that_race_take_every_path_once() {
    let plain = json!({"numRows": "0", "schema": {"fields": [{"name": "id", "type": "INTEGER"}]}});
    for (disposition, staged) in [(Truncate, false), (Append, false), (Truncate, true)] {
        for _ in 0..20 {
            let recorder = Recorder::default();
            recorder.stands(plain.clone());
            // Of a copy, BigQuery does not count the rows.
            recorder.ends(done(3));
            let mut load = load(disposition, columns(&[ID])).await;
            load.visibility = visibility(staged);
            tokio::join!(carry_out(&recorder, &load), carry_out(&recorder, &load));
            let expected = if disposition == Append || staged { 2 } else { 1 };
            assert_eq!(recorder.jobs().len(), expected, "{:#}", recorder.asked());
        }
    }
}
