//! What the loads of a thousand tables ask BigQuery and the bucket for.

use std::task::Poll;

use futures::StreamExt as _;
use object_store::{ObjectStore as _, ObjectStoreExt as _};
use serde_json::json;
use sluice_contracts::job::WriteDisposition::Truncate;

use super::endings::{done, running};
use super::recorder::Recorder;
use super::{ID, advance, columns, load};
use crate::target::Load;

const TABLES: u32 = 1000;

#[tokio::test]
async fn a_thousand_tables_are_looked_at_with_few_requests() {
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    let first = load(Truncate, columns(&[ID])).await;
    let name = |table: u32| format!("t{table}");
    let loads: Vec<Load> = (0..TABLES)
        .map(|table| {
            let target = format!("bigquery://shop/sales/{}", name(table));
            Load { table, target, ..first.clone() }
        })
        .collect();
    for table in 0..TABLES {
        recorder.ends(running());
        // Loaded before, by a run whose job is known.
        let old = "0193f2c4-7d3a-7c51-9f0e-2b6a4c1d0000_0_0";
        let fields = json!([{"name": "id", "type": "INTEGER"}]);
        let labels = json!({"sluice_writer": old, "sluice_run": null});
        recorder.knows(&name(table), json!({"labels": labels, "schema": {"fields": fields}}));
    }
    recorder.has_done("sluice_0193f2c4-7d3a-7c51-9f0e-2b6a4c1d0000_0_0");

    let looks = async |expected: Poll<()>| {
        let before = recorder.requests();
        let looks = loads.iter().map(|load| advance(&target, load));
        let looks: Vec<_> = futures::stream::iter(looks).buffer_unordered(16).collect().await;
        for look in looks {
            assert_eq!(look.unwrap().map(|_| ()), expected);
        }
        let counted: Vec<(&str, usize)> = recorder
            .requests()
            .into_iter()
            .zip(before)
            .map(|((kind, now), (_, before))| (kind, now - before))
            .collect();
        println!("requests: {counted:?}");
        counted
    };
    let all = TABLES as usize;
    let started = looks(Poll::Pending).await;
    let expected = [
        ("GET datasets", 1),
        ("GET jobs", 2 * all),
        ("GET tables", 2 * all),
        ("PATCH tables", all),
        ("POST jobs", all),
        ("others", 0),
    ];
    for ((kind, times), (named, most)) in started.iter().zip(expected) {
        assert!(*kind == named && *times <= most, "{kind}: {times}, at most {most}");
    }
    // The parts are listed once for all tables: they are not looked for again.
    let store = &first.bucket.store;
    let parts: Vec<_> = store.list(None).map(|part| part.unwrap().location).collect().await;
    for part in parts {
        store.delete(&part).await.unwrap();
    }
    let at_work = looks(Poll::Pending).await;
    assert_eq!(at_work.iter().map(|(_, times)| times).sum::<usize>(), all, "one for each table");
    for table in 0..TABLES {
        recorder.now_ends(&format!("sluice_{}_{table}_0", first.run), &done(3));
    }
    let ended = looks(Poll::Ready(())).await;
    assert!(ended.iter().map(|(_, times)| times).sum::<usize>() <= 2 * all, "{ended:?}");
}

#[tokio::test]
async fn the_parts_of_a_run_are_listed_once() {
    let recorder = Recorder::default();
    let target = recorder.serve().await;
    let first = load(Truncate, columns(&[ID])).await;
    let second = Load { table: 8, target: "bigquery://shop/sales/more".into(), ..first.clone() };
    assert!(advance(&target, &first).await.unwrap().is_ready());
    for part in &first.parts {
        first.bucket.store.delete(&part.path.as_str().into()).await.unwrap();
    }
    assert!(advance(&target, &second).await.unwrap().is_ready(), "the listing is shared");
    let listing = crate::listing::PartListing::default();
    let third = Load { table: 9, target: "bigquery://shop/sales/third".into(), listing, ..first };
    assert!(advance(&target, &third).await.is_err(), "another commit lists them again");
}
