//! What `create_*` promises, in memory.

use chrono::DateTime;
use object_store::memory::InMemory;

use super::*;
use crate::documents::{Cut, Decision, Reservation, Task, Unit, Verdict};

fn bucket() -> Bucket {
    let store = Arc::new(InMemory::new());
    Bucket { store, prefix: Path::from("etl"), url: "gs://lake/etl".into() }
}

fn verdict(decision: Decision, second: i64) -> Verdict {
    let at = DateTime::from_timestamp(second, 0).unwrap();
    let (snapshot, given_up) = (None, std::collections::BTreeMap::new());
    Verdict { version: Verdict::VERSION, decision, snapshot, given_up, failure: None, at }
}

#[tokio::test]
async fn the_first_document_stays() {
    let store = RunStore::new(bucket(), RunId::generate());
    assert_eq!(store.verdict().await.unwrap(), None);
    let first = verdict(Decision::Commit, 1);
    assert_eq!(store.create_verdict(&first).await.unwrap(), Created::First);
    let second = verdict(Decision::Fail, 1);
    assert_eq!(store.create_verdict(&second).await.unwrap(), Created::Lost);
    let later = verdict(Decision::Commit, 2);
    assert_eq!(store.create_verdict(&later).await.unwrap(), Created::Lost);
    assert_eq!(store.verdict().await.unwrap(), Some(first));
}

#[tokio::test]
async fn a_document_that_is_there_already_is_ours_where_it_is_the_same() {
    let store = RunStore::new(bucket(), RunId::generate());
    let ours = verdict(Decision::Commit, 1);
    assert_eq!(store.create_verdict(&ours).await.unwrap(), Created::First);
    assert_eq!(store.create_verdict(&ours).await.unwrap(), Created::First);
}

#[tokio::test]
async fn a_request_that_comes_again_finds_its_run() {
    let bucket = bucket();
    let reservation = || Reservation {
        version: Reservation::VERSION,
        run: RunId::generate(),
        at: DateTime::UNIX_EPOCH,
    };
    let first = reservation();
    assert_eq!(bucket.reserve("nightly-1", 0, &first).await.unwrap(), first);
    assert_eq!(bucket.reserve("nightly-1", 0, &reservation()).await.unwrap(), first);
    let other = reservation();
    assert_eq!(bucket.reserve("nightly-2", 0, &other).await.unwrap(), other);
}

#[tokio::test]
async fn of_many_that_create_at_once_one_is_first() {
    let store = RunStore::new(bucket(), RunId::generate());
    let verdicts: Vec<Verdict> = (0..16).map(|at| verdict(Decision::Commit, at)).collect();
    let created = futures::future::join_all(verdicts.iter().map(|v| store.create_verdict(v))).await;
    let created: Vec<Created> = created.into_iter().map(Result::unwrap).collect();
    let first = created.iter().position(|created| *created == Created::First).unwrap();
    assert_eq!(created.iter().filter(|created| **created == Created::First).count(), 1);
    assert_eq!(store.verdict().await.unwrap().as_ref(), verdicts.get(first));
}

#[test]
fn a_manifests_url_is_the_buckets_and_what_is_below_its_prefix() {
    let run = RunId::generate();
    let store = RunStore::new(bucket(), run);
    assert_eq!(store.manifest_url(), format!("gs://lake/etl/runs/{run}/manifest.json"));
}

/// A plan of `units` units, dealt to four tasks.
fn plan(run: RunId, units: u32) -> Manifest {
    let document = serde_json::json!({
        "version": 1, "run": run, "job": "j", "planned": "2026-11-22T21:21:07Z",
        "source": "sqlite:///x", "bucket": "gs://lake/etl", "consistency": "none",
        "tables": [{
            "index": 0, "name": "t", "relation": {"table": {"name": "t"}}, "target": "file:///w/t",
            "write_disposition": "truncate", "strategy": "id_range", "reason": "", "columns": [],
            "shape": "", "rows": 10, "bytes": 1, "units": []
        }],
        "tasks": [],
        "estimate": {"rows": 0, "bytes": 0, "seconds": 0.0, "dollars": 0.0}
    });
    let mut plan = parse_manifest(&"m".into(), document.to_string().as_bytes()).unwrap();
    let unit = |index: u32| Unit {
        table: 0,
        index,
        leaf: None,
        cut: Cut::Hash { columns: vec!["id".into()], modulus: units, remainder: index },
        predicate: format!("hash(id) % {units} = {index}"),
        rows: 50_000,
        bytes: 5_000_000,
    };
    plan.tables[0].units = units;
    let dealt = |task: u32| (task..units).step_by(4).map(unit).collect();
    plan.tasks = (0..4).map(|task| Task::new(task, dealt(task))).collect();
    plan
}

async fn stored(store: &RunStore) -> Vec<(String, u64)> {
    let listed = store.bucket.store.list(Some(store.layout.root()));
    let mut all: Vec<_> = listed
        .map_ok(|object| (object.location.to_string(), object.size))
        .try_collect()
        .await
        .unwrap();
    all.sort();
    all
}

#[tokio::test]
async fn a_plan_is_read_as_it_was_written_whether_it_is_small_or_large() {
    for (units, documents) in [(1, 1), (1_000, 1), (1_001, 5), (20_000, 5)] {
        let store = RunStore::new(bucket(), RunId::generate());
        let planned = plan(store.run(), units);
        assert_eq!(store.create_manifest(&planned).await.unwrap(), Created::First);
        assert_eq!(stored(&store).await.len(), documents);
        let read = store.manifest().await.unwrap();
        assert_eq!(read.unit_count(), u64::from(units));
        for (task, planned) in read.tasks.iter().zip(&planned.tasks) {
            assert_eq!((task.count, task.last), (planned.count, planned.last));
            assert_eq!(Some(store.units(&read, task).await.unwrap()), planned.units);
        }
        // What a task of a large plan reads does not grow with what the others read.
        let size = |name: &str, all: &[(String, u64)]| {
            all.iter().filter(|(path, _)| path.ends_with(name)).map(|(_, size)| *size).sum::<u64>()
        };
        let all = stored(&store).await;
        println!(
            "{units} units: manifest {}, of a task {}",
            size("manifest.json", &all),
            size("00001.json", &all)
        );
        assert!(units <= 1_000 || size("manifest.json", &all) < 2_000);
    }
}

#[tokio::test]
async fn the_units_of_two_planners_are_never_mixed() {
    let store = RunStore::new(bucket(), RunId::generate());
    // The first planner dies before it writes the manifest; the table grows; another one plans.
    let (died, wins, late) =
        (plan(store.run(), 4_000), plan(store.run(), 5_000), plan(store.run(), 6_000));
    let manifest = store.layout.manifest();
    store.create_manifest(&died).await.unwrap();
    store.bucket.store.delete(&manifest).await.unwrap();
    assert_eq!(store.create_manifest(&wins).await.unwrap(), Created::First);
    assert_eq!(store.create_manifest(&late).await.unwrap(), Created::Lost);
    let read = store.manifest().await.unwrap();
    for (task, planned) in read.tasks.iter().zip(&wins.tasks) {
        assert_eq!(Some(store.units(&read, task).await.unwrap()), planned.units);
    }
}

#[tokio::test]
async fn units_that_are_not_the_plans_are_refused() {
    let store = RunStore::new(bucket(), RunId::generate());
    store.create_manifest(&plan(store.run(), 4_000)).await.unwrap();
    let read = store.manifest().await.unwrap();
    let folder = read.units_folder.clone().unwrap();
    let (own, other) = (store.layout.units(&folder, 1), store.layout.units(&folder, 2));
    let replace = async |bytes: Option<Bytes>| {
        store.bucket.store.delete(&own).await.unwrap();
        if let Some(bytes) = bytes {
            store.bucket.store.put(&own, bytes.into()).await.unwrap();
        }
        store.units(&read, &read.tasks[1]).await.unwrap_err()
    };
    let bytes = store.bucket.bytes(&own).await.unwrap().unwrap();
    let half = bytes.slice(..bytes.len() / 2);
    let foreign = store.bucket.bytes(&other).await.unwrap().unwrap();
    for (case, bytes) in [("half", Some(half)), ("another task's", Some(foreign)), ("none", None)] {
        let error = replace(bytes).await;
        assert_eq!(error.kind(), Kind::Data, "{case}: {error}");
        assert!(error.remedy().is_some(), "{case}");
    }
}

#[test]
fn a_type_that_this_version_does_not_know_is_named_with_its_place() {
    let text = include_str!("../../../../tests/fixtures/manifest-v3.json");
    let newer = text.replace(r#""target_type": "TIMESTAMP""#, r#""target_type": "POINT""#);
    let error = parse_manifest(&Path::from("manifest.json"), newer.as_bytes()).unwrap_err();
    let said = error.chain();
    assert!(said.contains("tables[0].columns[2].target_type: unknown variant `POINT`"), "{said}");
    assert!(error.remedy().unwrap().contains("another version of Sluice"), "{error:?}");
}

#[test]
fn a_manifest_says_which_tasks_carry_it_out_or_none() {
    let read = |text: &str| {
        let text = text.as_bytes();
        parse_manifest(&Path::from("manifest.json"), text).unwrap()
    };
    let usual = read(include_str!("../../../../tests/fixtures/manifest-v3.json"));
    assert!(usual.task_kind.is_default());
    assert!((usual.estimate.price() - 0.000_022).abs() < 1e-12);
    let other = read(include_str!("../../../../tests/fixtures/manifest-v3-task-kind.json"));
    assert_eq!(other.task_kind.to_string(), "large-delayed");
    assert!((other.estimate.price() - 0.000_061_6).abs() < 1e-12);
}
