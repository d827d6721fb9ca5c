//! What `create_*` promises, in memory.

use chrono::DateTime;
use object_store::memory::InMemory;

use super::*;
use crate::documents::{Decision, Reservation, Verdict};

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
    assert_eq!(bucket.reserve("nightly-1", &first).await.unwrap(), first);
    assert_eq!(bucket.reserve("nightly-1", &reservation()).await.unwrap(), first);
    let other = reservation();
    assert_eq!(bucket.reserve("nightly-2", &other).await.unwrap(), other);
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
