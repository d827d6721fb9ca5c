//! Files of this machine as sources: those that other programs wrote, those that are damaged, and
//! what a plan says of them.

use serde_json::json;
use sluice_tests::cloud::bigquery::Warehouse;
use sluice_tests::cloud::storage::CloudStorage;
use sluice_tests::fidelity::judge_files;
use sluice_tests::oracle::duckdb;
use sluice_tests::sluice::Site;
use std::io::Write as _;

#[tokio::test(flavor = "multi_thread")]
async fn csv_of_other_writers_is_exact() {
    let Some(answer) = judge_files("corpus", &[]).await else { return };
    assert!(answer["files"].as_u64() > Some(100), "{answer:#}");
    assert!(answer["values"].as_u64() > Some(30_000), "{answer:#}");
    assert!(answer["read_alike"].as_u64() > Some(80), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_of_other_writers_are_exact() {
    let Some(answer) = judge_files("json_lines", &[]).await else { return };
    assert!(answer["values"].as_u64() > Some(2_000), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet_and_avro_of_other_writers_are_exact() {
    let Some(answer) = judge_files("typed", &[]).await else { return };
    assert!(answer["equal"].as_u64() > Some(150), "{answer:#}");
    assert!(answer["values"].as_u64() > Some(200_000), "{answer:#}");
    assert!(answer["refused"].as_u64() > Some(250), "{answer:#}");
    assert!(answer["ranges"].as_u64() > Some(20), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn compressed_files_are_whole_or_refused() {
    let Some(answer) = judge_files("packed", &[]).await else { return };
    assert!(answer["whole"].as_u64() > Some(50), "{answer:#}");
    assert!(answer["refused"].as_u64() > Some(150), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_files_are_refused_with_their_place_and_without_their_values() {
    let Some(answer) = judge_files("refusals", &[]).await else { return };
    assert!(answer["damages"].as_u64() > Some(50), "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_table_in_any_ranges_is_the_table() {
    let Some(answer) = judge_files("ranges", &["--tables", "40"]).await else { return };
    assert!(answer["equal"].as_u64() > Some(60), "{answer:#}");
}

/// A file with new lines in quotes, its sums, and a site that reads it.
fn large(rows: u64) -> (Site, u64, u64) {
    let row = |id: u64| {
        let note = match id % 5 {
            0 => format!("\"line one\nline \"\"two\"\", {id},7\n\""),
            1 => String::new(),
            _ => format!("note {id}"),
        };
        format!("{id},{note},{}.{:02}\n", id % 1_000, id % 100)
    };
    let rows_of_text: Vec<String> = (0..rows).map(row).collect();
    let text = "id,note,amount\n".to_owned() + &rows_of_text.concat();
    let site = Site::new();
    let file = site.file("orders.csv", &text);
    let url = format!("file://{}", file.display());
    let lines = text.matches('\n').count() as u64 - 1;
    (site.with("SOURCE_URL", url), rows * (rows - 1) / 2, lines)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_in_64_ranges_is_the_file() {
    let (site, ids, lines) = large(60_000);
    let cut = |name: &str, strategy: &str, rows: u64| {
        let partitioning = json!({"strategy": strategy, "target_rows": rows});
        site.job(
            name,
            // The variable does not tell that these are files.
            &json!({"format": {"type": "csv"}}),
            &json!({"partitioning": partitioning, "limits": {"max_tasks": 3}}),
        )
    };
    let answer = site.run(&cut("ranges", "file_range", 60_000 / 64)).await;
    assert!(answer["units"].as_u64() > Some(60), "{answer:#}");
    assert_eq!(answer["rows"], 60_000, "{answer:#}");
    let whole = site.run(&cut("whole", "file", 60_000)).await;
    assert_eq!(whole["units"], 1, "{whole:#}");
    let facts = |from: String| {
        format!(
            "SELECT count(*)::varchar AS rows, sum(id)::varchar AS ids, sum(amount)::varchar AS amounts, \
             sum(length(note) - length(replace(note, chr(10), ''))) + count(*) AS lines, \
             bit_xor(hash(id, note, amount::decimal(38, 9)))::varchar AS hash FROM {from}"
        )
    };
    let parquet = |name: &str| format!("'{}/*.parquet'", site.table(name).display());
    let file = site.path().join("orders.csv");
    let types = "{'id': 'bigint', 'note': 'varchar', 'amount': 'decimal(38, 9)'}";
    let csv = format!("read_csv('{}', columns = {types}, header = true)", file.display());
    let mut all = Vec::new();
    for from in [parquet("ranges"), parquet("whole"), csv] {
        let Some(rows) = duckdb(&facts(from)).await else { return };
        all.push(rows);
    }
    assert_eq!(all[0], all[1]);
    assert_eq!(all[0], all[2]);
    assert_eq!(all[0][0]["ids"], ids.to_string());
    assert_eq!(all[0][0]["lines"], lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_copied_by_one_command() {
    let site = Site::new();
    site.file("orders-1.csv", "id,name\n1,Ann\n");
    site.file("orders-2.csv", "id,name\n2,Bob\n");
    let answer = site.sluice(["copy", "--json", "orders-*.csv", "shop"]).await.answer();
    assert_eq!(answer["rows"], 2, "{answer:#}");
    let table = format!("'{}/shop/orders/*.parquet'", site.path().display());
    let Some(rows) = duckdb(&format!("SELECT name FROM {table} ORDER BY id")).await else { return };
    assert_eq!(json!(rows), json!([{"name": "Ann"}, {"name": "Bob"}]));
    std::fs::create_dir(site.path().join("days")).unwrap();
    site.file("days/1.csv", "id,name\n3,Eve\n");
    let answer = site.sluice(["copy", "--json", "days", "shop"]).await.answer();
    assert_eq!(answer["rows"], 1, "{answer:#}");
    assert!(site.path().join("shop/days").is_dir(), "the table has the name of the folder");
    let named = ["copy", "orders-1.csv", "orders-2.csv", "shop"];
    site.sluice(named).await.refused(64, &["files are one table", "in quotes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_of_all_units_count_together() {
    let site = Site::new();
    for number in 1..=3 {
        site.file(&format!("day-{number}.csv"), &format!("id,note\n{number},x\n{number}\n"));
    }
    let source = json!({"url": format!("file://{}/day-*.csv", site.path().display())});
    let job = |name: &str, allow: u64| {
        let partitioning = json!({"strategy": "file", "target_rows": 1});
        site.job(
            name,
            &source,
            &json!({"partitioning": partitioning, "bad_rows": {"allow": allow}}),
        )
    };
    let answer = site.run(&job("enough", 3)).await;
    assert_eq!((&answer["rows"], &answer["units"]), (&json!(3), &json!(3)), "{answer:#}");
    let bad = &answer["tables"][0]["bad_rows"];
    assert_eq!(bad["rows"], 3, "{answer:#}");
    let folder = bad["url"].as_str().and_then(|url| url.strip_prefix("file://")).unwrap();
    let documents = std::fs::read_dir(folder).unwrap();
    let lines = documents.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let mut lines: Vec<String> = lines.collect();
    lines.sort_unstable();
    assert_eq!(lines.len(), 3, "{lines:?}");
    let why = "\"line\":3,\"reason\":\"a record has 1 field where there are 2 columns\"}";
    assert!(lines[0].contains("day-1.csv") && lines[0].contains(why), "{lines:?}");
    // Each unit has fewer than are allowed, and all together have more.
    let ended = site.sluice(["run".as_ref(), job("few", 2).as_os_str()]).await;
    ended.refused(1, &["3 rows are bad, and the job allows 2", "/bad-rows"]);
    assert!(!site.table("few").exists(), "nothing is visible");
}

/// Nested values are those that another reader of the same lines finds.
#[tokio::test(flavor = "multi_thread")]
async fn objects_and_lists_of_json_lines_are_structs_and_arrays() {
    let site = Site::new();
    let line = |id: u32| {
        let lines: Vec<_> = (0..id % 4)
            .map(|at| json!({"sku": format!("s{at}é\n"), "price": 0.25 + f64::from(id * 100 + at)}))
            .collect();
        let shop = json!({"name": format!("shop {}", id % 9), "open": id.is_multiple_of(2), "day": "2026-11-30"});
        match id % 5 {
            0 => json!({"id": id}),
            1 => json!({"id": id, "shop": null, "lines": lines}),
            2 => json!({"id": id, "shop": {"name": null}, "lines": null, "tags": [[], ["a", "b"]]}),
            _ => json!({"id": id, "shop": shop, "lines": lines, "tags": [[format!("{id}")]]}),
        }
    };
    let text: String = (0..5_000).map(|id| line(id).to_string() + "\n").collect();
    let file = site.file("orders.jsonl", &text);
    let asked = json!({"type": "STRUCT"});
    let job = site.job(
        "orders",
        &json!({"url": format!("file://{}", file.display())}),
        &json!({
            "columns": {"shop": asked, "lines": asked, "tags": asked},
            "partitioning": {"strategy": "file_range", "target_rows": 1_000},
        }),
    );
    let answer = site.run(&job).await;
    assert!(answer["units"].as_u64() > Some(3), "{answer:#}");
    let columns = "{id: 'BIGINT', shop: 'STRUCT(name VARCHAR, open BOOLEAN, day DATE)', \
                   lines: 'STRUCT(sku VARCHAR, price DECIMAL(38, 9))[]', \
                   tags: 'STRUCT(element VARCHAR[])[]'}";
    let theirs = format!(
        "SELECT id, shop, lines, list_transform(tags, lambda tag: {{element: tag}}) AS tags \
         FROM read_json('{}', columns = {})",
        file.display(),
        columns.replace("STRUCT(element VARCHAR[])[]", "VARCHAR[][]"),
    );
    let ours = format!(
        "SELECT id, shop, lines, tags FROM '{}'",
        site.table("orders").join("*.parquet").display()
    );
    let query = format!(
        "SELECT (SELECT count(*) FROM ({ours})) AS rows, \
         (SELECT count(*) FROM ({ours} EXCEPT {theirs})) AS ours, \
         (SELECT count(*) FROM ({theirs} EXCEPT {ours})) AS theirs"
    );
    let Some(found) = duckdb(&query).await else { return };
    assert_eq!(json!(found), json!([{"rows": 5_000, "ours": 0, "theirs": 0}]));
}

/// What is of several kinds stays a document, which BigQuery parses inside of its STRUCT.
#[tokio::test(flavor = "multi_thread")]
async fn documents_inside_of_a_struct_reach_bigquery() {
    let Some(storage) = CloudStorage::start().await else { return };
    let Some(warehouse) = Warehouse::over(storage.root()).await else { return };
    let site = Site::new()
        .with("SLUICE_BIGQUERY_ENDPOINT", warehouse.url())
        .with("STORAGE_EMULATOR_HOST", storage.url());
    let file = site.file(
        "orders.jsonl",
        "{\"id\": 1, \"v\": {\"n\": 7, \"any\": {\"a\": [1, 2]}, \"list\": [{\"any\": 5}, {\"any\": {\"b\": 6}}]}}\n\
         {\"id\": 2, \"v\": {\"any\": \"x\", \"list\": []}}\n{\"id\": 3}\n",
    );
    let source = json!({"url": format!("file://{}", file.display())});
    let more = json!({
        "columns": {"v": {"type": "STRUCT"}},
        "target": {"table": Warehouse::target("nested")}, "bucket": "gs://lake/etl",
    });
    let answer = site.run(&site.job("nested", &source, &more)).await;
    assert_eq!(answer["rows"], 3, "{answer:#}");
    for (id, value) in [
        (1, r#"{"n":7,"any":{"a":[1,2]},"list":[{"any":5},{"any":{"b":6}}]}"#),
        (2, r#"{"n":null,"any":"x","list":[]}"#),
        (3, "null"),
    ] {
        let query = format!("SELECT TO_JSON_STRING(v) FROM sales.nested WHERE id = {id}");
        assert_eq!(warehouse.query(&query).await, [value], "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn plans_of_files() {
    let (site, ..) = large(20_000);
    let file = |name: &str, text: &str| site.file(name, text);
    file("small-1.csv", "id;day;total\n1;2026-11-01;10.50\n");
    file("small-2.csv", "id;day;total\n2;2026-11-02;7\n");
    file("mixed-1.jsonl", "{\"id\": 1, \"tags\": [\"a\"]}\n");
    file("mixed-2.jsonl", "{\"id\": 2, \"price\": 1.10, \"at\": \"2026-11-30T10:00:00Z\"}\n");
    // Behind what a plan looks at, it has no bytes on the disk.
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(b"id,note\n1,a\n2,b\n").expect("memory can be written");
    let packed = packed.finish().expect("memory can be written");
    let large = std::fs::File::create(site.path().join("large.csv.gz")).expect("a file");
    (&large).write_all(&packed).expect("the file can be written");
    large.set_len(400_000_000).expect("the file can be made longer");
    let huge = json!({"partitioning": {"strategy": "file_range", "target_rows": 5_000}});
    let folder = site.path().display().to_string();
    for (name, pattern, more) in [
        ("files_small", "small-*.csv", json!({})),
        ("files_huge", "orders.csv", huge),
        ("files_mixed", "mixed-*.jsonl", json!({})),
        ("files_gz", "large.csv.gz", json!({})),
    ] {
        let source = json!({"url": format!("file://{folder}/{pattern}")});
        let job = site.job("orders", &source, &more);
        let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
        assert_eq!(ended.code, Some(0), "{ended}");
        let said = ended.stdout.replace(&folder, "/FOLDER");
        let said = said.replace(folder.trim_start_matches('/'), "FOLDER");
        insta::with_settings!({prepend_module_to_snapshot => false}, {
            insta::assert_snapshot!(name, said);
        });
    }
}
