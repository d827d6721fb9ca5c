//! Runs that an earlier version of Sluice planned and this one finishes.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::sluice::Site;

use crate::crashes::resume;

/// The folder in which the run was recorded. The manifest names its bucket and target in it.
const RECORDED: &str = "/recorded";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_manifest_2_plans_is_finished_without_reading_twice() {
    let site = Site::new();
    let recorded = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/run-v2.tar.gz");
    // With the database's time of change, which is part of its state.
    let unpacked = Command::new("tar").arg("xzf").arg(recorded).arg("-C").arg(site.path()).status();
    assert!(unpacked.expect("tar starts").success());
    let database = site.path().join("shop.db");
    let site = site.with("SOURCE_URL", format!("sqlite://{}", database.display()));
    let run = site.newest_run().expect("the recording has a run");
    let manifest = site.documents(&run, "manifest.json").remove(0);
    let text = fs::read_to_string(&manifest).expect("the manifest can be read");
    assert!(text.contains(r#""version":2,"#));
    let here = site.path().display().to_string();
    fs::write(&manifest, text.replace(RECORDED, &here)).expect("the manifest can be written");
    let before = contents(site.documents(&run, "receipts"));
    assert_eq!(before.len(), 4, "the recording ends after 4 of 12 units");

    let cut = json!({"partitioning": {"strategy": "id_range", "column": "id", "target_rows": 50}});
    let job = site.job("orders", &json!({"table": "orders"}), &cut);
    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Sqlite(&database, "orders"), &site.table("orders")).await;
    let after = contents(site.documents(&run, "receipts/0000"));
    assert_eq!(after.len(), 12);
    assert!(before.iter().all(|(path, receipt)| after.get(path) == Some(receipt)));
    // The plan does not ask for them, and its loader may be one that does not know them.
    let has_stages = |receipt: &Vec<u8>| String::from_utf8_lossy(receipt).contains("stages");
    assert!(!after.values().any(has_stages), "a receipt has stages");
    assert!(site.documents(&run, "snapshots/0001").is_empty(), "a second snapshot was read");
}

fn contents(files: Vec<PathBuf>) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |path: &PathBuf| fs::read(path).expect("a document can be read");
    files.into_iter().map(|path| (path.clone(), read(&path))).collect()
}
