//! What is committed, what is refused, and that it happens once.

mod cloud;
mod cost;
mod crashes;
mod faults;
mod http;
mod launches;
mod loading_again;
mod log;
mod many_tables;
mod new_files;
mod nulls;
mod signals;
mod verdicts;
mod world;

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use object_store::ObjectStoreExt as _;
use sluice_contracts::documents::{Commit, Receipt, RunId, SnapshotPlan};
use sluice_contracts::{Error, Kind};

use crate::{Outcome, RunState, RunView, TableCommit, Tries, commit, coverage, delete_parts};
use cloud::Cloud;
use world::{World, at, manifest};

#[tokio::test]
async fn a_complete_run_is_loaded_once_and_its_parts_can_be_deleted() {
    let world = World::new(&[3]).await;
    world.found(0).await;
    world.prove_all(0).await;
    let outcome = world.commit().await.unwrap();
    assert!(outcome.is_whole());
    assert_eq!(outcome.tables[0].result.as_ref().unwrap().rows, 30);
    let loads = world.loads();
    assert_eq!((loads.len(), loads[0].rows, loads[0].parts.len()), (1, 30, 3));
    delete_parts(&world.store, &BTreeSet::new()).await;
    assert!(!world.part_is_there(0, at(0, 1)).await);

    let again = world.commit().await.unwrap();
    assert_eq!(again.tables[0].result.as_ref().unwrap().rows, 30);
    assert_eq!(world.loads().len(), 1);
}

#[tokio::test]
async fn missing_units_are_named() {
    let world = World::new(&[20]).await;
    world.found(0).await;
    for unit in (0..20).filter(|unit| *unit != 17) {
        world.prove(0, at(0, unit)).await;
    }
    let error = world.commit().await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient);
    assert_eq!(
        error.chain(),
        format!(
            "load run `{}`: 19 of 20 work units have a receipt; missing: 17",
            world.manifest.run
        )
    );
    assert!(world.loads().is_empty());
    assert!(world.part_is_there(0, at(0, 1)).await);

    let world = World::new(&[20, 1]).await;
    let said = world.commit().await.unwrap_err().chain();
    assert!(said.ends_with("8 of `t0`, 9 of `t0`, and 11 more"), "{said}");
}

#[tokio::test]
async fn a_receipt_that_was_missing_is_read_when_it_appears() {
    let world = World::new(&[2]).await;
    world.found(0).await;
    world.prove(0, at(0, 0)).await;
    let view = RunView::new(world.store.clone());
    assert_eq!(view.coverage().await.unwrap().missing, [at(0, 1)]);
    // Another loader sees it, and decides for all tables.
    world.prove(0, at(0, 1)).await;
    assert!(view.coverage_of(0).await.unwrap().is_complete());
}

#[tokio::test]
async fn a_check_reads_each_document_once() {
    let cloud = Cloud::at_work(&[40, 2], SnapshotPlan::Independent).await;
    cloud.world.prove_all(0).await;
    assert_eq!(cloud.check().await.unwrap(), RunState::Ended);
    let reads = cloud.reads.lock().unwrap();
    let of = |part: &str| -> Vec<u32> {
        reads.iter().filter(|(path, _)| path.contains(part)).map(|(_, times)| *times).collect()
    };
    assert_eq!(of("/receipts/"), [1; 42]);
    assert_eq!(of("/manifest.json"), [1]);
    assert_eq!(of("/verdict.json"), [1], "before it was written");
}

#[tokio::test]
async fn receipts_of_two_snapshots_never_commit_together() {
    let world = World::new(&[2]).await;
    world.found(0).await;
    world.prove(0, at(0, 0)).await;
    world.found(1).await;
    world.prove(1, at(0, 1)).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Transient);
    world.prove(1, at(0, 0)).await;
    assert_eq!(world.commit().await.unwrap().generation, 1);
    assert!(world.loads()[0].parts.iter().all(|part| part.path.contains("-0001-")));
}

#[tokio::test]
async fn an_older_generation_counts_when_the_newest_has_gaps() {
    let world = World::new(&[2]).await;
    world.found(0).await;
    world.prove_all(0).await;
    world.found(1).await;
    world.prove(1, at(0, 0)).await;
    assert_eq!(world.commit().await.unwrap().generation, 0);
}

#[tokio::test]
async fn a_second_table_follows_the_generation_of_the_first() {
    let world = World::new(&[1, 1]).await;
    world.found(0).await;
    world.prove_all(0).await;
    world.found(1).await;
    world.prove_all(1).await;
    let first = Commit {
        version: 1,
        table: 0,
        snapshot: 0,
        rows: 10,
        dropped: None,
        overtaken_by: None,
        at: DateTime::UNIX_EPOCH,
    };
    world.store.create_commit(&first).await.unwrap();
    assert_eq!(coverage(&world.store, &world.manifest).await.unwrap().generation, 0);
    world.commit().await.unwrap();
    let loads = world.loads();
    assert_eq!((loads.len(), loads[0].table, loads[0].snapshot), (1, 1, 0));
}

#[tokio::test]
async fn a_table_that_is_refused_keeps_no_other_back() {
    let mut world = World::new(&[1, 1]).await;
    world.found(0).await;
    world.prove_all(0).await;
    world.target.refuse = Some("t0");
    let outcome = world.commit().await.unwrap();
    assert!(outcome.tables[0].result.is_err() && outcome.tables[1].result.is_ok());

    world.target.refuse = None;
    assert!(world.commit().await.unwrap().is_whole());
    assert_eq!(world.loads().len(), 2);
}

#[tokio::test]
async fn receipts_that_contradict_themselves_are_refused() {
    type Change = fn(&mut Receipt);
    let break_it: [(&str, Change); 4] = [
        ("its receipt says 11 rows, and its parts 10", |receipt| receipt.rows = 11),
        ("its parts more than can be counted", |receipt| {
            let mut huge = receipt.parts[0].clone();
            (huge.rows, huge.path) = (u64::MAX, format!("{}x", huge.path));
            receipt.parts.push(huge);
        }),
        ("is not its own", |receipt| receipt.parts[0].path = "other/run.parquet".into()),
        ("is not its own", |receipt| {
            receipt.parts.push(receipt.parts[0].clone());
            receipt.rows = 20;
        }),
    ];
    for (expected, change) in break_it {
        let world = World::new(&[1]).await;
        world.found(0).await;
        let mut receipt = world.receipt(0, at(0, 0));
        change(&mut receipt);
        world.store.create_receipt(&receipt).await.unwrap();
        let error = world.commit().await.unwrap().tables.remove(0).result.unwrap_err();
        assert_eq!(error.kind(), Kind::Data);
        assert!(error.chain().contains(expected), "{}", error.chain());
        assert!(world.loads().is_empty());
    }
}

#[tokio::test]
async fn two_tables_with_one_target_are_refused() {
    let mut world = World::new(&[1, 1]).await;
    let mut manifest = manifest(&[1, 1]);
    manifest.tables[1].target = "file:///w/t0/".into();
    world.plan(manifest).await;
    world.found(0).await;
    world.prove_all(0).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Invalid);
    assert!(world.loads().is_empty());
}

#[tokio::test]
async fn a_table_that_was_given_up_keeps_no_other_back() {
    let world = World::new(&[2, 1]).await;
    world.found(0).await;
    world.prove(0, at(0, 0)).await;
    world.prove(0, at(1, 0)).await;
    // A failure that may pass gives nothing up.
    world.fail("first", Kind::Transient, at(0, 1)).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Transient);
    world.fail("first", Kind::Denied, at(0, 1)).await;
    let outcome = world.commit().await.unwrap();
    assert_eq!(outcome.tables[0].result.as_ref().unwrap_err().kind(), Kind::Denied);
    assert!(outcome.tables[1].result.is_ok());
    // It can be read after all: the run becomes whole.
    world.prove(0, at(0, 1)).await;
    assert!(world.commit().await.unwrap().is_whole());
    assert_eq!(world.loads().len(), 2);
}

#[tokio::test]
async fn what_an_older_execution_gave_up_is_not_given_up() {
    let world = World::new(&[1, 1]).await;
    world.found(0).await;
    world.prove(0, at(1, 0)).await;
    world.fail("first", Kind::Denied, at(0, 0)).await;
    world.fail("second", Kind::Transient, at(0, 0)).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Transient);
    assert!(world.loads().is_empty());
}

/// A table of the later run beside one of this run would mix two snapshots.
#[tokio::test]
async fn all_or_nothing_is_overtaken_when_one_table_is() {
    for (all_or_nothing, visible) in [(true, 0), (false, 1)] {
        let mut manifest = manifest(&[1, 1]);
        manifest.all_or_nothing = all_or_nothing;
        let mut world = World::new(&[1]).await;
        world.plan(manifest).await;
        let newer = RunId::generate();
        world.target.overtaken = Some(("t1", newer));
        world.found(0).await;
        world.prove_all(0).await;
        let outcome = world.commit().await.unwrap();
        assert!(outcome.is_whole());
        assert_eq!(world.loads().len(), visible);
        let of = |at: usize| outcome.tables[at].result.as_ref().unwrap().overtaken_by;
        assert_eq!((of(0), of(1)), ((visible == 0).then_some(newer), Some(newer)));
        let discarded = world.target.discarded.lock().unwrap().clone();
        assert_eq!(discarded, if all_or_nothing { vec![0, 1] } else { vec![] });
    }
}

#[tokio::test]
async fn all_or_nothing_is_nothing_when_one_table_fails() {
    let mut world = World::new(&[1]).await;
    let mut manifest = manifest(&[1, 1, 1]);
    manifest.all_or_nothing = true;
    world.plan(manifest).await;
    world.found(0).await;
    world.prove(0, at(0, 0)).await;
    world.prove(0, at(1, 0)).await;
    world.fail("first", Kind::Denied, at(2, 0)).await;
    assert_eq!(world.commit().await.unwrap_err().kind(), Kind::Transient);

    world.prove(0, at(2, 0)).await;
    world.target.refuse = Some("t1");
    let outcome = world.commit().await.unwrap();
    let kinds: Vec<Kind> =
        outcome.tables.iter().map(|table| table.result.as_ref().unwrap_err().kind()).collect();
    assert_eq!(kinds, [Kind::Conflict, Kind::Data, Kind::Conflict]);
    assert!(world.loads().is_empty());
    // What was prepared before keeps nobody waiting.
    assert_eq!(*world.target.discarded.lock().unwrap(), [0]);
    // What works for the others elsewhere is asked to end.
    assert_eq!(*world.target.abandoned.lock().unwrap(), [1, 2]);

    world.target.refuse = None;
    assert!(world.commit().await.unwrap().is_whole());
    assert_eq!(world.loads().len(), 3);
}

/// What may be refused for its rows becomes visible before the tables that are as good as done.
#[tokio::test]
async fn all_or_nothing_begins_with_what_may_be_refused() {
    for (refuse_last, kinds, visible) in [
        (vec!["t2"], [Some(Kind::Conflict), Some(Kind::Conflict), Some(Kind::Data)], 0),
        // The first of two was not refused: no more can be saved than the others.
        (vec!["t0", "t1"], [None, Some(Kind::Data), None], 2),
    ] {
        let mut world = World::new(&[1]).await;
        let mut manifest = manifest(&[1, 1, 1]);
        manifest.all_or_nothing = true;
        world.plan(manifest).await;
        world.found(0).await;
        world.prove_all(0).await;
        world.target.refuse_last = refuse_last;
        let outcome = world.commit().await.unwrap();
        let found: Vec<Option<Kind>> = outcome
            .tables
            .iter()
            .map(|table| table.result.as_ref().err().map(sluice_contracts::Error::kind))
            .collect();
        assert_eq!(found, kinds);
        assert_eq!(world.loads().len(), visible);
        let discarded = world.target.discarded.lock().unwrap().clone();
        assert_eq!(discarded, if visible == 0 { vec![0, 1] } else { vec![] });
    }
}

#[tokio::test]
async fn tables_that_become_visible_at_once_are_all_loaded_or_none() {
    let mut manifest = manifest(&[1, 1, 1]);
    (manifest.all_or_nothing, manifest.at_once) = (true, true);
    let mut world = World::new(&[1]).await;
    world.plan(manifest).await;
    world.found(0).await;
    world.prove_all(0).await;
    let kinds = |outcome: &Outcome| -> Vec<Option<Kind>> {
        let kind = |table: &TableCommit| table.result.as_ref().err().map(Error::kind);
        outcome.tables.iter().map(kind).collect()
    };
    // One table is refused, or the step of all is, and it is not known for which.
    world.target.refuse = Some("t1");
    let outcome = world.commit().await.unwrap();
    let [data, conflict] = [Some(Kind::Data), Some(Kind::Conflict)];
    assert_eq!(kinds(&outcome), [conflict, data, conflict]);
    world.target.refuse = None;
    world.target.refuse_last = vec!["t2"];
    assert_eq!(kinds(&world.commit().await.unwrap()), [data, conflict, conflict]);
    assert!(world.loads().is_empty());

    world.target.refuse_last = vec![];
    let newer = RunId::generate();
    world.target.overtaken = Some(("t1", newer));
    let outcome = world.commit().await.unwrap();
    let overtaken = |table: &TableCommit| table.result.as_ref().unwrap().overtaken_by;
    assert!(outcome.tables.iter().all(|table| overtaken(table) == Some(newer)));
    assert!(world.loads().is_empty());
}

/// A loader that died between the records of two tables.
#[tokio::test]
async fn tables_that_became_visible_at_once_are_recorded_by_the_next_loader() {
    let mut manifest = manifest(&[1, 1]);
    (manifest.all_or_nothing, manifest.at_once) = (true, true);
    let mut world = World::new(&[1]).await;
    world.plan(manifest).await;
    world.found(0).await;
    world.prove_all(0).await;
    for _ in 0..2 {
        assert!(world.commit().await.unwrap().is_whole());
        assert_eq!(world.loads().len(), 2);
        let second = world.store.layout().commit(1);
        world.store.bucket().store.delete(&second).await.unwrap();
    }
    assert!(world.commit().await.unwrap().is_whole());
    assert!(world.store.commit(1).await.unwrap().is_some());
}

#[tokio::test]
async fn a_commit_counts_every_table_that_it_is_through_with() {
    for all_or_nothing in [false, true] {
        let mut manifest = manifest(&[1, 1, 1]);
        manifest.all_or_nothing = all_or_nothing;
        let mut world = World::new(&[1]).await;
        world.plan(manifest).await;
        world.found(0).await;
        world.prove(0, at(0, 0)).await;
        world.prove(0, at(1, 0)).await;
        if all_or_nothing {
            world.prove(0, at(2, 0)).await;
        } else {
            world.fail("first", Kind::Denied, at(2, 0)).await;
        }
        let view = RunView::new(world.store.clone());
        let tries = Tries::since(Utc::now(), Duration::from_hours(1));
        assert!(commit(&view, &world.target.targets(), tries).await.unwrap().is_ready());
        assert_eq!(view.settled(), 3, "{all_or_nothing}");
    }
}
