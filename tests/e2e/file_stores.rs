//! Files in the stores of clouds and on web servers.

use std::io::Write as _;
use std::time::Duration;

use futures::{StreamExt as _, stream};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;
use serde_json::{Value, json};
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::storage::CloudStorage;
use sluice_tests::oracle::duckdb;
use sluice_tests::sluice::Site;
use sluice_tests::stores::azurite::Azurite;
use sluice_tests::stores::moto::{BUCKET, Moto};
use sluice_tests::stores::web::{Manners, Web};

fn gzip(text: &str) -> Vec<u8> {
    let mut to = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    to.write_all(text.as_bytes()).expect("memory can be written");
    to.finish().expect("memory can be written")
}

fn with(site: Site, variables: Vec<(String, String)>) -> Site {
    variables.into_iter().fold(site, |site, (name, value)| site.with(&name, value))
}

/// A table of `rows` rows from the id `first` on.
fn csv(first: u64, rows: u64) -> String {
    let row = |id: u64| format!("{id},note {id},{}.{:02}\n", id % 1_000, id % 100);
    "id,note,amount\n".to_owned() + &(first..first + rows).map(row).collect::<String>()
}

/// The number of rows of a table in a folder, and the sum of its ids.
async fn sums(site: &Site, table: &str) -> Option<Value> {
    let files = site.table(table).join("*.parquet");
    let query =
        format!("SELECT count(*) AS rows, sum(id)::bigint AS ids FROM '{}'", files.display());
    Some(json!(duckdb(&query).await?))
}

fn expected(rows: u64) -> Value {
    json!([{"rows": rows, "ids": rows * (rows - 1) / 2}])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_gzipped_files_of_s3_are_a_table_of_bigquery() {
    let Some(moto) = Moto::start().await else { return };
    let Some(storage) = CloudStorage::start().await else { return };
    let Some(warehouse) = Warehouse::over(storage.root()).await else { return };
    let put = (0..2_000_u64).map(|file| {
        let (name, text) =
            (format!("orders/2026-11-{:02}/{file:04}.csv.gz", file % 30 + 1), csv(file * 5, 5));
        let moto = &moto;
        async move { moto.put(&name, gzip(&text)).await }
    });
    stream::iter(put).buffer_unordered(16).collect::<Vec<()>>().await;
    moto.put("orders/2026-11-01/_SUCCESS", "").await;
    moto.put("returns/2026-11-01/1.csv.gz", gzip(&csv(1, 1))).await;
    let site = with(Site::new(), moto.environment())
        .with("SLUICE_BIGQUERY_ENDPOINT", warehouse.url())
        .with("STORAGE_EMULATOR_HOST", storage.url());
    let source = json!({"url": format!("s3://{BUCKET}/orders/2026-11-*/*.csv.gz")});
    let more = json!({"target": {"table": Warehouse::target("orders")}, "bucket": "gs://lake/etl"});
    let answer = site.run(&site.job("orders", &source, &more)).await;
    assert_eq!(answer["rows"], 10_000, "{answer:#}");
    assert!(answer["units"].as_u64() < Some(10), "{answer:#}");
    let cents: u64 = (0..10_000_u64).map(|id| id % 1_000 * 100 + id % 100).sum();
    for (fact, value) in [
        ("COUNT(*)", 10_000),
        ("SUM(id)", 49_995_000),
        ("COUNT(DISTINCT note)", 10_000),
        ("CAST(SUM(amount) * 100 AS INT64)", cents),
    ] {
        let found = warehouse.query(&format!("SELECT {fact} FROM sales.orders")).await;
        assert_eq!(found, [value.to_string()], "{fact}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_cloud_storage_and_of_azure_are_read() {
    let site = Site::new();
    let mut stores = Vec::new();
    let cloud = CloudStorage::start().await;
    if let Some(cloud) = &cloud {
        let variables = vec![("STORAGE_EMULATOR_HOST".to_owned(), cloud.url())];
        stores.push(("gs://lake", cloud.bucket("").store, variables));
    }
    let azurite = Azurite::start().await;
    if let Some(azurite) = &azurite {
        stores.push(("az://drop", azurite.store(), azurite.environment()));
    }
    let mut site = site;
    for (root, store, variables) in stores {
        site = with(site, variables);
        for part in 0..3 {
            let path = Path::from(format!("in/a b/part é{part}.csv"));
            store.put(&path, csv(part * 100, 100).into()).await.expect("an object is put");
        }
        let source = json!({"url": format!("{root}/in/**/part*.csv")});
        let answer = site.run(&site.job("parts", &source, &json!({}))).await;
        assert_eq!(answer["rows"], 300, "{root}: {answer:#}");
        let Some(found) = sums(&site, "parts").await else { return };
        assert_eq!(found, expected(300), "{root}");
    }
}

/// A site that reads a file of a server, in ranges if that serves them.
fn of_web(web: &Web, path: &str) -> (Site, std::path::PathBuf) {
    let site = Site::new();
    let more = json!({"partitioning": {"strategy": "file_range", "target_rows": 20_000}});
    let job = site.job("web", &json!({"url": web.url(path)}), &more);
    (site, job)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_server_may_have_ranges_or_none_and_bad_days() {
    for manners in [
        Manners::default(),
        Manners { ranges: false, ..Manners::default() },
        Manners { heads: false, ..Manners::default() },
        Manners { tags: false, ..Manners::default() },
    ] {
        let web = Web::start(manners).await;
        web.put("orders.csv", csv(0, 100_000));
        web.be_busy(2);
        // In the middle of what the plan looks at, and of what a task reads.
        web.cut_after(100_000);
        web.cut_after(700_000);
        let (site, job) = of_web(&web, "orders.csv?part=s3cret");
        let answer = site.run(&job).await;
        assert_eq!(answer["rows"], 100_000, "{manners:?}: {answer:#}");
        let is_cut = answer["units"].as_u64() > Some(3);
        assert_eq!(is_cut, manners.ranges, "{manners:?}: {answer:#}");
        assert!(!answer.to_string().contains("s3cret"), "{answer:#}");
        let Some(found) = sums(&site, "web").await else { return };
        assert_eq!(found, expected(100_000), "{manners:?}");
    }
}

/// Numbers of an Avro file: <https://avro.apache.org/docs/1.12.0/specification/#object-container-files>.
fn avro(blocks: u64, rows: u64) -> Vec<u8> {
    let number = |to: &mut Vec<u8>, number: u64| {
        let mut rest = number << 1;
        while rest > 127 {
            to.push(u8::try_from(rest & 127).expect("seven bits") | 128);
            rest >>= 7;
        }
        to.push(u8::try_from(rest).expect("seven bits"));
    };
    let marker = *b"0123456789abcdef";
    let mut file = b"Obj\x01".to_vec();
    let schema = json!({"type": "record", "name": "r", "fields": [{"name": "id", "type": "long"}]});
    number(&mut file, 1);
    for text in ["avro.schema".to_owned(), schema.to_string()] {
        number(&mut file, text.len() as u64);
        file.extend(text.as_bytes());
    }
    file.push(0);
    file.extend(marker);
    for block in 0..blocks {
        let mut records = Vec::new();
        (block * rows..(block + 1) * rows).for_each(|id| number(&mut records, id));
        number(&mut file, rows);
        number(&mut file, records.len() as u64);
        file.extend(records);
        file.extend(marker);
    }
    file
}

/// Small files and large ones: each is looked at, and then read by its pieces or as a whole.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_kind_come_from_a_server_without_ranges() {
    for ranges in [true, false] {
        let web = Web::start(Manners { ranges, ..Manners::default() }).await;
        let in_ranges = json!({"strategy": "file_range", "target_rows": 20_000});
        for (name, file, rows, cut) in [
            ("orders.csv.gz", gzip(&csv(0, 60_000)), 60_000, json!({})),
            ("orders.avro", avro(2_000, 100), 200_000, in_ranges),
        ] {
            assert!(file.len() > 200_000, "{name} has {} bytes", file.len());
            web.put(name, file);
            web.cut_after(100_000);
            let site = Site::new();
            let source = json!({"url": web.url(name)});
            let job = site.job("web", &source, &json!({"partitioning": cut}));
            let answer = site.run(&job).await;
            assert_eq!(answer["rows"], rows, "{name}, ranges {ranges}: {answer:#}");
            let is_cut = answer["units"].as_u64() > Some(1);
            assert_eq!(is_cut, ranges && name == "orders.avro", "{name}: {answer:#}");
            let Some(found) = sums(&site, "web").await else { return };
            assert_eq!(found, expected(rows), "{name}, ranges {ranges}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_replaced_while_it_is_read_fails_the_run() {
    // Of the shorter one, no range of the planned bytes exists.
    for (first, rows) in [(7, 400_000), (0, 10)] {
        replaced_by(csv(first, rows)).await;
    }
}

async fn replaced_by(other: String) {
    let web = Web::start(Manners::default()).await;
    web.put("orders.csv", csv(0, 400_000));
    let (site, job) = of_web(&web, "orders.csv");
    let run = site.start(["run".as_ref(), job.as_os_str()]);
    // The plan asks for the file's size, its beginning and some places; a task for pieces of 4 MiB.
    let is_piece = |range: &Option<String>| {
        let ends = range.as_deref().and_then(|range| range.strip_prefix("bytes="));
        let ends = ends.and_then(|range| range.split_once('-'));
        let length =
            ends.and_then(|(from, to)| Some(to.parse::<u64>().ok()? - from.parse::<u64>().ok()?));
        length > Some(300_000) && length < Some(1_000_000)
    };
    for _ in 0..2_000 {
        if web.asked().iter().any(|asked| is_piece(&asked.range)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    web.put("orders.csv", other);
    let ended = run.ended().await;
    ended.refused(1, &["was replaced since the run was planned", "start the run again"]);
    let files = std::fs::read_dir(site.table("web")).into_iter().flatten();
    let parquet = files.filter(|file| {
        let path = file.as_ref().expect("a file of the table's folder").path();
        path.extension().is_some_and(|ending| ending == "parquet")
    });
    assert_eq!(parquet.count(), 0, "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_allowed_is_said() {
    let Some(moto) = Moto::start().await else { return };
    let site = with(Site::new(), moto.environment());
    let plan = async |url: &str| {
        let job = site.job("orders", &json!({"url": url}), &json!({}));
        site.sluice(["plan".as_ref(), job.as_os_str()]).await
    };
    let absent = plan(&format!("s3://{BUCKET}/none-*.csv")).await;
    absent.refused(1, &["no file matches", "`*` stays in one folder"]);
    plan(&format!("s3://{BUCKET}/none.csv")).await.refused(1, &["none.csv"]);
    plan("s3://nowhere/a.csv").await.refused(1, &["names of the bucket"]);
    let table = site.job("t", &json!({"url": "s3://drop/a.csv", "table": "t"}), &json!({}));
    let ended = site.sluice(["plan".as_ref(), table.as_os_str()]).await;
    ended.refused(64, &["`source.table`: cannot be set for files"]);
}
