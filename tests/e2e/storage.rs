//! Buckets: each kind does what Sluice needs, and Cloud Storage also does it when requests fail.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use object_store::buffered::BufWriter;
use object_store::local::LocalFileSystem;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutPayload};
use sluice_contracts::Kind;
use sluice_contracts::documents::{Decision, RunId, Verdict};
use sluice_contracts::store::{Bucket, Created, RunStore, storage_error};
use sluice_tests::cloud::conformance::{self, assert_absent, at, bytes, create, pieces, read};
use sluice_tests::cloud::gateway::{Fault, Trouble};
use sluice_tests::cloud::storage::CloudStorage;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt as _;

/// The size of an upload of four pieces.
const SIZE: u64 = (3 << 20) + 5;
const UPLOADS: &str = "uploadType=resumable";
const PIECES: &str = "upload_id=";

#[tokio::test]
async fn a_folder_is_a_bucket() {
    let folder = TempDir::with_prefix("sluice-bucket-").expect("a temporary folder");
    let root = folder.path().to_owned();
    let mut count = 0;
    let mut buckets = Vec::new();
    for _ in 0..6 {
        count += 1;
        let place = root.join(count.to_string());
        std::fs::create_dir(&place).expect("a folder");
        let store = LocalFileSystem::new_with_prefix(place).expect("a folder opens");
        buckets.push(bucket(store.with_automatic_cleanup(true)));
    }
    let buckets = std::cell::RefCell::new(buckets);
    conformance::conforms(async || buckets.borrow_mut().pop().expect("a bucket for each")).await;
}

#[tokio::test]
async fn memory_is_a_bucket() {
    conformance::conforms(async || bucket(InMemory::new())).await;
}

#[tokio::test]
async fn cloud_storage_is_a_bucket() {
    let Some(cloud) = CloudStorage::start().await else { return };
    let count = std::cell::Cell::new(0);
    conformance::conforms(async || {
        count.set(count.get() + 1);
        cloud.bucket(&format!("a prefix/{}", count.get()))
    })
    .await;
}

#[tokio::test]
async fn the_root_of_cloud_storage_is_a_bucket() {
    let Some(cloud) = CloudStorage::start().await else { return };
    conformance::listings_have_everything(&cloud.bucket("")).await;
}

#[tokio::test]
async fn an_unhealthy_service_is_asked_again() {
    let Some(cloud) = CloudStorage::start().await else { return };
    let bucket = cloud.bucket("");
    let path = Path::from("a");
    let troubles =
        [Trouble::Answer(503), Trouble::Answer(429), Trouble::CutBefore, Trouble::CutAfter];
    for trouble in troubles {
        let fault = |method| {
            let path = "/o";
            cloud.gateway().fault(Fault { method, path, skip: 0, times: 2, trouble });
        };
        fault("POST");
        bucket.store.put(&path, PutPayload::from_static(b"x")).await.expect("put");
        fault("GET");
        assert_eq!(read(&bucket.store, &path).await, "x", "{trouble:?}");
        fault("GET");
        bucket.store.head(&path).await.expect("head");
        fault("GET");
        assert_eq!(bucket.store.list_with_delimiter(None).await.expect("list").objects.len(), 1);
        fault("DELETE");
        match bucket.store.delete(&path).await {
            // The answer to the first request was lost.
            Ok(()) | Err(Error::NotFound { .. }) => {}
            Err(other) => panic!("{trouble:?}: {other:?}"),
        }
        assert_absent(&bucket.store.head(&path).await);
    }
}

#[tokio::test]
async fn who_creates_a_document_and_never_hears_of_it_is_the_first() {
    let Some(cloud) = CloudStorage::start().await else { return };
    let store = RunStore::new(cloud.bucket("etl"), RunId::generate());
    let verdict = |decision, second| Verdict {
        version: Verdict::VERSION,
        decision,
        snapshot: None,
        given_up: BTreeMap::new(),
        failure: None,
        at: chrono::DateTime::from_timestamp(second, 0).expect("a time"),
    };
    let ours = verdict(Decision::Commit, 1);
    let (method, path, trouble) = ("POST", "/upload/", Trouble::CutAfter);
    cloud.gateway().fault(Fault { method, path, skip: 0, times: 1, trouble });
    assert_eq!(store.create_verdict(&ours).await.expect("created"), Created::First);
    assert_eq!(cloud.gateway().count("POST", "/upload/"), 2);
    let theirs = verdict(Decision::Fail, 2);
    assert_eq!(store.create_verdict(&theirs).await.expect("asked"), Created::Lost);
    assert_eq!(store.verdict().await.expect("read"), Some(ours));
}

#[tokio::test]
async fn an_upload_survives_whatever_happens_to_its_pieces() {
    let Some(cloud) = CloudStorage::start().await else { return };
    let bucket = cloud.bucket("");
    let mut at = 0;
    for trouble in [Trouble::Answer(503), Trouble::CutBefore, Trouble::CutAfter] {
        // The fault hits the first request, then each of the pieces, then two of them.
        for (method, path, skip, times) in [
            ("POST", UPLOADS, 0, 1),
            ("PUT", PIECES, 0, 1),
            ("PUT", PIECES, 1, 1),
            ("PUT", PIECES, 2, 1),
            ("PUT", PIECES, 3, 1),
            ("PUT", PIECES, 1, 2),
        ] {
            at += 1;
            let name = Path::from(format!("parts/{at}.parquet"));
            let before = cloud.gateway().count("PUT", PIECES);
            cloud.gateway().fault(Fault { method, path, skip, times, trouble });
            let result = upload(&bucket, &name).await;
            result.unwrap_or_else(|error| panic!("{trouble:?} {method} {skip}: {error:?}"));
            assert!(
                read(&bucket.store, &name).await == bytes(0..SIZE),
                "{trouble:?} {method} {skip}: other bytes"
            );
            let puts = cloud.gateway().count("PUT", PIECES) - before;
            assert!(puts >= 4, "{puts} pieces: the test is of nothing");
        }
    }
}

#[tokio::test]
async fn an_upload_that_fails_leaves_nothing_and_tells_no_secret() {
    let Some(cloud) = CloudStorage::start().await else { return };
    let bucket = cloud.bucket("");
    let name = Path::from("parts/a.parquet");
    let (method, path, trouble) = ("PUT", PIECES, Trouble::Answer(403));
    cloud.gateway().fault(Fault { method, path, skip: 2, times: 1, trouble });
    let error = upload(&bucket, &name).await.expect_err("the service refuses");
    assert!(matches!(error, Error::PermissionDenied { .. }), "{error:?}");
    let error = storage_error(format!("write `{name}`"), error);
    assert_eq!(error.kind(), Kind::Denied);
    let text = format!("{} {error:?}", error.chain());
    assert!(!text.contains("upload_id"), "{text}");
    assert_absent(&bucket.store.head(&name).await);
    assert_eq!(cloud.gateway().count("PUT", PIECES), 3, "what is refused is not asked again");
    assert_eq!(cloud.gateway().count("DELETE", PIECES), 1, "the upload is cancelled");
}

#[tokio::test]
async fn what_is_refused_is_not_asked_again() {
    let Some(cloud) = CloudStorage::start().await else { return };
    let bucket = cloud.bucket("");
    let path = Path::from("a");
    let refuse = |status| {
        let trouble = Trouble::Answer(status);
        cloud.gateway().fault(Fault { method: "", path: "/o", skip: 0, times: 1, trouble });
    };
    for (status, kind) in [(403, Kind::Denied), (401, Kind::Denied), (404, Kind::NotFound)] {
        let before = cloud.gateway().requests().len();
        refuse(status);
        let error = create(&bucket.store, &path, "x".into()).await.expect_err("refused");
        assert_eq!(storage_error("create `a`".into(), error).kind(), kind);
        refuse(status);
        let error = bucket.store.get(&path).await.map(|_| ()).expect_err("refused");
        assert_eq!(storage_error("read `a`".into(), error).kind(), kind);
        refuse(status);
        let error = bucket.store.list_with_delimiter(None).await.expect_err("refused");
        assert_eq!(storage_error("list `a`".into(), error).kind(), kind);
        assert_eq!(cloud.gateway().requests().len() - before, 3, "{status}");
    }
}

#[tokio::test]
async fn a_read_goes_on_where_it_was_cut() {
    let Some(cloud) = CloudStorage::start().await else { return };
    let bucket = cloud.bucket("");
    let path = Path::from("a");
    bucket.store.put(&path, PutPayload::from(bytes(0..SIZE))).await.expect("put");
    let trouble = Trouble::CutWithin;
    cloud.gateway().fault(Fault { method: "GET", path: "alt=media", skip: 0, times: 2, trouble });
    assert!(read(&bucket.store, &path).await == bytes(0..SIZE), "other bytes");
    assert_eq!(cloud.gateway().count("GET", "alt=media"), 3);
}

#[tokio::test]
async fn a_slow_service_is_waited_for() {
    let Some(cloud) = CloudStorage::start().await else { return };
    let bucket = cloud.bucket("");
    let trouble = Trouble::Delay(Duration::from_secs(2));
    cloud.gateway().fault(Fault { method: "", path: "/o", skip: 0, times: 1, trouble });
    create(&bucket.store, &Path::from("a"), "x".into()).await.expect("created");
    assert_eq!(cloud.gateway().requests().len(), 1);
}

#[tokio::test]
async fn the_bucket_that_is_not_there_is_not_found() {
    let Some(cloud) = CloudStorage::start().await else { return };
    std::fs::remove_dir_all(cloud.folder()).expect("the bucket is removed");
    let bucket = cloud.bucket("");
    let error = create(&bucket.store, &at(&bucket, "a"), "x".into()).await.expect_err("no bucket");
    assert_eq!(storage_error("create `a`".into(), error).kind(), Kind::NotFound);
}

fn bucket(store: impl ObjectStore) -> Bucket {
    Bucket { store: Arc::new(store), prefix: Path::default(), url: "file:///bucket".into() }
}

/// Sends an object of [`SIZE`] bytes in four pieces.
async fn upload(bucket: &Bucket, path: &Path) -> Result<(), Error> {
    let mut writer = BufWriter::with_capacity(Arc::clone(&bucket.store), path.clone(), 1 << 20);
    for piece in pieces(SIZE) {
        writer.put(piece).await?;
    }
    writer.shutdown().await.map_err(|error| {
        error.downcast::<Error>().unwrap_or_else(|other| panic!("no error of a store: {other}"))
    })
}
