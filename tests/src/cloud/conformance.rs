//! Checks that a bucket of any kind does what Sluice needs. Each function gets an empty bucket.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::join_all;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use object_store::buffered::BufWriter;
use object_store::path::Path;
use object_store::{
    Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt as _, PutMode, PutOptions, PutPayload,
};
use sluice_contracts::store::Bucket;
use tokio::io::AsyncWriteExt as _;

/// Runs every check below, one after another.
pub async fn conforms(bucket: impl AsyncFn() -> Bucket) {
    one_of_many_creates(&bucket().await).await;
    what_is_written_is_read(&bucket().await).await;
    what_is_not_there_is_not_found(&bucket().await).await;
    ranges_are_exact(&bucket().await).await;
    listings_have_everything(&bucket().await).await;
    uploads_are_whole_or_nothing(&bucket().await).await;
}

/// Of many concurrent creations of one object exactly one succeeds, and its bytes are stored.
pub async fn one_of_many_creates(bucket: &Bucket) {
    for round in 0..5 {
        let path = at(bucket, &format!("documents/{round}.json"));
        let creators = (0..16).map(|creator| create(&bucket.store, &path, creator.to_string()));
        let results = join_all(creators).await;
        let mut winners = Vec::new();
        for (creator, result) in results.into_iter().enumerate() {
            match result {
                Ok(()) => winners.push(creator.to_string()),
                Err(Error::AlreadyExists { .. }) => {}
                Err(other) => panic!("round {round}: {other:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "round {round}: {winners:?}");
        assert_eq!(read(&bucket.store, &path).await, winners[0], "round {round}");
    }
}

/// An object can be read right after it was written, whatever its name and size.
pub async fn what_is_written_is_read(bucket: &Bucket) {
    let names = ["a", "runs/1/a b.json", "ü/é", "runs/1/50%/x", "a+b=c&d", "runs/1/a.b-c_d~"];
    for (name, largest) in names.into_iter().zip([9 << 20, 2, 3, 4, 5, 6]) {
        for size in [0, 1, 70_000, largest] {
            let path = at(bucket, &format!("{size}/{name}"));
            let bytes = bytes(0..size);
            let put = bucket.store.put(&path, PutPayload::from(bytes.clone())).await;
            put.unwrap_or_else(|error| panic!("put `{path}`: {error:?}"));
            assert!(read(&bucket.store, &path).await == bytes, "`{path}` has other bytes");
            let head = bucket.store.head(&path).await.expect("what was written has a head");
            assert_eq!((head.location, head.size), (path, size));
        }
    }
    // In pieces, as an encoder delivers them, and over an existing object.
    let path = at(bucket, "1/a");
    let pieces: PutPayload = (0..10).map(|at| bytes(at * 1000..(at + 1) * 1000)).collect();
    bucket.store.put(&path, pieces).await.expect("pieces are written");
    assert_eq!(read(&bucket.store, &path).await, bytes(0..10_000));
    bucket.store.delete(&path).await.expect("what is there is deleted");
    assert_absent(&bucket.store.head(&path).await);
}

/// A read of a missing object says `NotFound`, and not another error. A deletion may also succeed.
pub async fn what_is_not_there_is_not_found(bucket: &Bucket) {
    let path = at(bucket, "runs/none/manifest.json");
    assert_absent(&bucket.store.get(&path).await.map(|_| ()));
    assert_absent(&bucket.store.head(&path).await);
    assert_absent(&bucket.store.get_range(&path, 0..1).await);
    match bucket.store.delete(&path).await {
        Ok(()) | Err(Error::NotFound { .. }) => {}
        Err(other) => panic!("{other:?}"),
    }
    let listed: Vec<_> = bucket
        .store
        .list(Some(&at(bucket, "runs")))
        .try_collect()
        .await
        .unwrap_or_else(|error| panic!("an empty folder has a listing: {error:?}"));
    assert!(listed.is_empty(), "{listed:?}");
}

/// A range returns its own bytes and no others.
pub async fn ranges_are_exact(bucket: &Bucket) {
    const SIZE: u64 = 100_000;
    let path = at(bucket, "a");
    let put = bucket.store.put(&path, PutPayload::from(bytes(0..SIZE))).await;
    put.expect("an object is written");
    for (range, wanted) in [
        (GetRange::Bounded(0..1), 0..1),
        (GetRange::Bounded(10..20), 10..20),
        (GetRange::Bounded(SIZE - 1..SIZE), SIZE - 1..SIZE),
        (GetRange::Bounded(SIZE - 10..SIZE + 10), SIZE - 10..SIZE),
        (GetRange::Bounded(0..SIZE), 0..SIZE),
        (GetRange::Offset(0), 0..SIZE),
        (GetRange::Offset(99_000), 99_000..SIZE),
        (GetRange::Suffix(8), SIZE - 8..SIZE),
    ] {
        let options = GetOptions { range: Some(range.clone()), ..Default::default() };
        let got = bucket.store.get_opts(&path, options).await;
        let got = got.unwrap_or_else(|error| panic!("{range:?}: {error:?}"));
        assert_eq!((got.range.clone(), got.meta.size), (wanted.clone(), SIZE), "{range:?}");
        assert_eq!(got.bytes().await.expect("its bytes come"), bytes(wanted), "{range:?}");
    }
    let ranges = bucket.store.get_ranges(&path, &[5..9, 99_990..SIZE]).await;
    assert_eq!(ranges.expect("several ranges"), [bytes(5..9), bytes(99_990..SIZE)]);
    bucket.store.get_range(&path, SIZE..SIZE + 1).await.expect_err("no byte is there");
}

/// A listing has every name below a prefix, even if there are very many, and no other name.
pub async fn listings_have_everything(bucket: &Bucket) {
    let mut wanted = BTreeSet::new();
    let mut names: Vec<String> = (0..1_100).map(|at| format!("many/{at:04}/x.json")).collect();
    names.extend(["many.json", "many2/x.json", "other/x.json"].map(str::to_owned));
    for name in &names {
        if name.starts_with("many/") {
            wanted.insert(at(bucket, name));
        }
    }
    let puts = names.iter().map(|name| async {
        bucket.store.put(&at(bucket, name), PutPayload::from_static(b"x")).await
    });
    let puts: Vec<_> = stream::iter(puts)
        .buffer_unordered(16)
        .try_collect()
        .await
        .unwrap_or_else(|error| panic!("many objects are written: {error:?}"));
    assert_eq!(puts.len(), names.len());

    let listed: Vec<_> = bucket
        .store
        .list(Some(&at(bucket, "many")))
        .try_collect()
        .await
        .unwrap_or_else(|error| panic!("a listing: {error:?}"));
    assert_eq!(listed.len(), wanted.len(), "a name is listed twice, or is missing");
    assert!(listed.iter().all(|meta| meta.size == 1));
    assert_eq!(listed.into_iter().map(|meta| meta.location).collect::<BTreeSet<_>>(), wanted);

    let top = (!bucket.prefix.as_ref().is_empty()).then_some(&bucket.prefix);
    let level = bucket.store.list_with_delimiter(top).await.expect("one level");
    let folders: BTreeSet<_> = level.common_prefixes.into_iter().collect();
    assert_eq!(folders, ["many", "many2", "other"].map(|name| at(bucket, name)).into());
    let objects: Vec<_> = level.objects.into_iter().map(|meta| meta.location).collect();
    assert_eq!(objects, [at(bucket, "many.json")]);
    let below = bucket.store.list_with_delimiter(Some(&at(bucket, "many"))).await;
    assert_eq!(below.expect("one level").common_prefixes.len(), 1_100);
}

/// An upload in pieces is invisible until it is complete, and leaves nothing if it is abandoned.
pub async fn uploads_are_whole_or_nothing(bucket: &Bucket) {
    const CAPACITY: usize = 1 << 20;
    for size in [0, 10, 256 << 10, 1 << 20, (5 << 20) + 1, 8 << 20, 13 << 20] {
        let path = at(bucket, &format!("parts/{size}.parquet"));
        let writer = BufWriter::with_capacity(Arc::clone(&bucket.store), path.clone(), CAPACITY);
        let mut writer = writer.with_max_concurrency(2);
        for piece in pieces(size) {
            writer.put(piece).await.unwrap_or_else(|error| panic!("{size}: {error:?}"));
        }
        assert_absent(&bucket.store.head(&path).await);
        writer.shutdown().await.unwrap_or_else(|error| panic!("{size}: {error:?}"));
        assert!(read(&bucket.store, &path).await == bytes(0..size), "{size}: other bytes");
    }
    let path = at(bucket, "abandoned/a.parquet");
    for by_dropping in [false, true] {
        let mut writer =
            BufWriter::with_capacity(Arc::clone(&bucket.store), path.clone(), CAPACITY);
        for piece in pieces(5 << 20) {
            writer.put(piece).await.expect("pieces are taken");
        }
        if by_dropping {
            drop(writer);
        } else {
            writer.abort().await.expect("an upload is abandoned");
        }
        assert_absent(&bucket.store.head(&path).await);
        let listed: Vec<_> = bucket
            .store
            .list(Some(&at(bucket, "abandoned")))
            .try_collect()
            .await
            .unwrap_or_else(|error| panic!("a listing: {error:?}"));
        assert!(listed.is_empty(), "{listed:?}");
    }
}

/// Creates an object that does not exist yet.
pub async fn create(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    bytes: String,
) -> object_store::Result<()> {
    let options = PutOptions { mode: PutMode::Create, ..Default::default() };
    store.put_opts(path, PutPayload::from(bytes), options).await.map(|_| ())
}

/// The bytes of an object, which must exist.
pub async fn read(store: &Arc<dyn ObjectStore>, path: &Path) -> Bytes {
    let got = store.get(path).await.unwrap_or_else(|error| panic!("get `{path}`: {error:?}"));
    got.bytes().await.unwrap_or_else(|error| panic!("read `{path}`: {error:?}"))
}

/// A path below the bucket's prefix.
pub fn at(bucket: &Bucket, below: &str) -> Path {
    below.split('/').fold(bucket.prefix.clone(), object_store::path::Path::join)
}

/// A range of the bytes of a test object, in which no two stretches are alike.
pub fn bytes(range: Range<u64>) -> Bytes {
    let byte = |at: u64| (at.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56).to_le_bytes()[0];
    range.map(byte).collect()
}

/// An object in pieces of an odd size.
pub fn pieces(size: u64) -> impl Iterator<Item = Bytes> {
    const PIECE: u64 = 250_007;
    (0..size.div_ceil(PIECE)).map(move |at| bytes(at * PIECE..size.min((at + 1) * PIECE)))
}

/// Asserts that something was not found.
pub fn assert_absent<T: Debug>(result: &object_store::Result<T>) {
    assert!(matches!(result, Err(Error::NotFound { .. })), "{result:?}");
}
