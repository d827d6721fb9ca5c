//! Moving tables without a job file, and the job file that is written for them.

use std::fs;
use std::process::Stdio;

use serde_json::Value;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::{Ended, Site};

use crate::shop;

#[tokio::test(flavor = "multi_thread")]
async fn one_line_moves_a_table_and_saves_the_job_that_moves_it_again() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 5000).await;
    let site = Site::new();
    let url = database.url();
    let line = ["copy", &url, "public.orders", "./here", "--save", "job.yaml", "--json"];
    let answer = site.sluice(line).await.answer();
    assert_eq!(answer["rows"], 5000, "{answer:#}");
    let folder = site.path().join("here/orders");
    assert_same(Expected::Table(&database, "orders"), &folder).await;
    assert!(site.path().join("here/.sluice/runs").is_dir(), "the bucket lies beside the table");

    database.execute("DELETE FROM orders WHERE id % 2 = 0").await;
    let answer = site.run(&site.path().join("job.yaml")).await;
    assert_eq!(answer["job"], "orders");
    assert_same(Expected::Table(&database, "orders"), &folder).await;

    // The same job may be saved again, but `--save` does not replace another file.
    fs::write(site.path().join("latin.txt"), b"caf\xe9").expect("a file can be written");
    let latin = ["copy", &url, "orders", "./there", "--save", "latin.txt"];
    site.sluice(latin).await.refused(64, &["`latin.txt`"]);
    for odd in ["-", ".", "/dev/null"] {
        site.sluice(["copy", &url, "orders", "./there", "--save", odd]).await.refused(64, &[odd]);
    }
    let absent = ["copy", &url, "oders", "./there", "--save", "oders.yaml"];
    assert_eq!(site.sluice(absent).await.code, Some(1));
    assert!(!site.path().join("oders.yaml").exists());
    site.sluice(line).await.succeeded();
    let other = ["copy", &url, "orders", "./there", "--save", "job.yaml"];
    site.sluice(other).await.refused(64, &["`job.yaml`", "`--save`"]);
    assert!(!site.path().join("there").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn options_say_which_rows_columns_and_cuts() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 5000).await;
    let site = Site::new();
    let url = database.url();
    let line = |more: &[&str]| {
        let line = ["copy", &url, "public.orders", "w", "--json", "--columns", "id,total,note"];
        line.iter().chain(more).map(|&word| word.to_owned()).collect::<Vec<_>>()
    };
    let first = ["--where", "status = 'paid'", "--partition-by", "id", "--max-tasks", "1"];
    let answer = site.sluice(line(&first)).await.answer();
    assert_eq!(answer["tasks"], 1, "{answer:#}");
    let query = "SELECT id, total, note FROM orders WHERE status = 'paid'";
    assert_same(Expected::Query(&database, query), &site.path().join("w/orders")).await;

    let second = ["--where", "status = 'new'", "--disposition", "append"];
    site.sluice(line(&second)).await.succeeded();
    let both = "SELECT id, total, note FROM orders WHERE status IN ('new', 'paid')";
    assert_same(Expected::Query(&database, both), &site.path().join("w/orders")).await;

    let refused = site.sluice(line(&["--disposition", "empty"])).await;
    assert_eq!(refused.code, Some(1), "{refused}");
    assert_same(Expected::Query(&database, both), &site.path().join("w/orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn patterns_lists_and_queries_are_moved_too() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 1000).await;
    database.execute("CREATE TABLE lines AS SELECT id, total FROM orders").await;
    database.execute("CREATE SCHEMA crm; CREATE TABLE crm.people AS SELECT 1 AS id").await;
    let site = Site::new();
    let url = database.url();
    let moved = |answer: &Value| answer["tables"].as_array().map_or(0, Vec::len);
    let answer = site.sluice(["copy", &url, "public.*", "all", "--json"]).await.answer();
    assert_eq!(moved(&answer), 2, "{answer:#}");
    let answer =
        site.sluice(["copy", &url, "orders", "crm.people", "two", "--json"]).await.answer();
    assert_eq!(moved(&answer), 2, "{answer:#}");
    for folder in ["all/orders", "two/orders"] {
        assert_same(Expected::Table(&database, "orders"), &site.path().join(folder)).await;
    }
    assert_same(Expected::Table(&database, "lines"), &site.path().join("all/lines")).await;
    assert_same(Expected::Table(&database, "crm.people"), &site.path().join("two/people")).await;

    let query = "SELECT status, count(*) AS orders FROM orders GROUP BY 1";
    site.sluice(["copy", &url, query, "all/by_status"]).await.succeeded();
    assert_same(Expected::Query(&database, query), &site.path().join("all/by_status")).await;
    // A table's folder cannot contain another table.
    let inside = site.sluice(["copy", &url, "lines", "all/by_status"]).await;
    inside.refused(64, &["would lie in the table"]);
    let deeper = site.sluice(["copy", &url, "lines", "all/by_status/a/b"]).await;
    deeper.refused(64, &["would lie in the table"]);
    site.sluice(["copy", &url, query, "all/by_status"]).await.succeeded();

    // Tables that another command left out are not reported as missing from the database.
    let answer = site.sluice(["copy", &url, "crm.*", "all", "--json"]).await.answer();
    assert_eq!(answer["excluded"].as_array().map(Vec::len), Some(0), "{answer:#}");
    database.execute("DROP TABLE lines").await;
    let answer = site.sluice(["copy", &url, "public.*", "all", "--json"]).await.answer();
    assert_eq!(answer["excluded"][0]["table"], "public.lines", "{answer:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_quotes_is_that_table_and_no_other() {
    let Some(database) = Database::fresh().await else { return };
    database.execute("CREATE SCHEMA other; CREATE TABLE other.big AS SELECT 'wrong' AS t").await;
    database.execute("CREATE TABLE \"other.big\" AS SELECT 'right' AS t").await;
    let site = Site::new();
    site.sluice(["copy", &database.url(), "\"other.big\"", "w"]).await.succeeded();
    let folder = site.path().join("w/other_big");
    assert_same(Expected::Table(&database, "\"other.big\""), &folder).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_sqlite_is_a_source_by_its_path() {
    let site = Site::new();
    let file = site.path().join("my shop.db");
    let database = rusqlite::Connection::open(&file).expect("a database can be made");
    let rows = "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT); \
                INSERT INTO t VALUES (1, 'a'), (2, NULL)";
    database.execute_batch(rows).expect("rows can be written");
    site.sluice(["copy", "my shop.db", "t", "w"]).await.succeeded();
    assert_same(Expected::Sqlite(&file, "t"), &site.path().join("w/t")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_copied_is_refused_before_anything_is_made() {
    let site = Site::new();
    let refused = async |line: &[&str], words: &[&str]| {
        let ended = site.sluice(["copy"].iter().chain(line)).await;
        ended.refused(64, words);
        assert!(!format!("{ended}").contains("s3cret"), "{ended}");
    };
    let source = "postgres://me@127.0.0.1:1/shop";
    let password = "postgres://me:s3cret@127.0.0.1:1/shop";
    refused(&[password, "t", "w"], &["holds a password", "PGPASSWORD"]).await;
    refused(&["postgres://h/d?password=s3cret", "t", "w"], &["holds a password"]).await;
    refused(&[source, "a.b.c", "w"], &["`a.b.c`"]).await;
    refused(&[source, "select 1", "t", "w"], &["query"]).await;
    refused(&[source, "t", "snow://a/b"], &["unknown target `snow://`"]).await;
    refused(&[source, "t", "bigquery://p/d"], &["--bucket gs://"]).await;
    let bucket = ["--bucket", "gs://lake"];
    let bigquery = ["bigquery://p/d/t", "bigquery://p/d"];
    let several = [source, "p.*", bigquery[0], bucket[0], bucket[1]];
    refused(&several, &["bigquery://project/dataset"]).await;
    refused(&[source, "select 1", bigquery[1], bucket[0], bucket[1]], &["it is a dataset"]).await;
    refused(&[source, "t", "w", "--save", "absent/job.yaml"], &["has no folder"]).await;
    refused(&["mysql2://h/d", "t", "w"], &["unknown source `mysql2://`"]).await;
    let ended = site.sluice(["copy", "absent.db", "t", "w"]).await;
    assert_ne!(ended.code, Some(0), "{ended}");
    assert!(ended.stderr.contains("`absent.db`"), "{ended}");
    let left: Vec<_> = fs::read_dir(site.path()).into_iter().flatten().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_that_ended_early_is_finished_by_the_same_line() {
    let Some(database) = Database::fresh().await else { return };
    database.execute("CREATE TABLE t AS SELECT 1 AS id").await;
    let site = Site::new();
    let url = database.url();
    let ended = site.sluice(["copy", &url, "t", "w", "--json"]).await;
    let run = ended.answer()["run"].as_str().unwrap_or_default().to_owned();
    let again = site.sluice(["copy", &url, "t", "w", "--json", "--resume", &run]).await;
    assert_eq!(again.answer()["run"], run.as_str());
    // A run is finished as it was planned, so a command that asks for something else is refused.
    let named = format!("{}_2", database.name());
    for (other, word) in [
        (vec!["copy", &url, "u", "w"], "of job `t`"),
        (vec!["copy", &url, "other.t", "w"], "another table"),
        (vec!["copy", &url.replace(database.name(), &named), "t", "w"], "another source"),
        (vec!["copy", &url, "t", "w", "--where", "id > 1"], "another condition"),
        (vec!["copy", &url, "t", "w", "--columns", "name"], "another choice of columns"),
        (vec!["copy", &url, "t", "w", "--disposition", "append"], "another write disposition"),
        (vec!["copy", &url, "t", "w/w", "--bucket", "w/.sluice"], "another target"),
        (vec!["copy", &url, "t", "u", "w", "--bucket", "w/.sluice"], "of job"),
    ] {
        let ended = site.sluice(other.iter().chain(&["--resume", &run])).await;
        ended.refused(64, &["resume run", word]);
    }
    site.sluice(["copy", &url, "t", "x", "--resume", &run]).await.refused(1, &["find bucket"]);
    assert!(!site.path().join("x").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_were_refused_do_not_stand_in_the_way_of_finishing() {
    let Some(database) = Database::fresh().await else { return };
    database.execute("CREATE SCHEMA odd; CREATE TABLE odd.wide (amount numeric(100, 50))").await;
    database.execute("CREATE TABLE t AS SELECT 1 AS id").await;
    let site = Site::new();
    let url = database.url();
    let line = ["copy", &url, "t", "odd.*", "w", "--json"];
    let ended = site.sluice(line).await;
    assert_eq!(ended.code, Some(1), "{ended}");
    let run = ended.json()["run"].as_str().unwrap_or_default().to_owned();
    let again = site.sluice(line.iter().chain(&["--resume", &run])).await;
    assert_eq!(again.json()["run"], run.as_str(), "{again}");
    assert_eq!(again.json()["tables"][0]["state"], "committed", "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_file_is_written_for_what_a_database_has() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 1000).await;
    database.execute("CREATE TABLE \"we\"\"ird.name\" AS SELECT 1 AS id").await;
    database.execute("CREATE TABLE \"null\" AS SELECT 2 AS id").await;
    database.execute("CREATE TABLE wide (amount numeric(100, 50))").await;
    database.execute("CREATE VIEW v AS SELECT 1 AS id").await;
    database.execute("CREATE TABLE \"a*b\" (id int); CREATE TABLE \"a#b\" (id int)").await;
    database.execute("CREATE TABLE \"a/b\" AS SELECT 3 AS id").await;
    let site = Site::new();
    let url = database.url();
    let ended = site.sluice(["init", &url, "w"]).await;
    ended.succeeded();
    let path = site.path().join("job.yaml");
    let text = fs::read_to_string(&path).expect("the job file is written");
    for expected in
        ["1,000 rows", "can be cut by: id, created_at", "# - table: public.wide", "amount"]
    {
        assert!(text.contains(expected), "`{expected}` is not in\n{text}");
    }
    let answer = site.run(&path).await;
    assert_eq!(answer["tables"].as_array().map(Vec::len), Some(5), "{answer:#}\n{text}");
    let slash = site.path().join("w/public_a_b");
    assert_same(Expected::Table(&database, "\"a/b\""), &slash).await;
    assert_same(Expected::Table(&database, "orders"), &site.path().join("w/orders")).await;

    site.sluice(["init", &url, "w"]).await.refused(64, &["`job.yaml`", "`--output`"]);
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), text);
    let ended = site.sluice(["init", &url, "w", "-o", "-"]).await;
    assert_eq!(ended.stdout, text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_without_tables_has_no_job_file() {
    let Some(database) = Database::fresh().await else { return };
    let site = Site::new();
    database.execute("CREATE TABLE wide (amount numeric(100, 50))").await;
    site.sluice(["init", &database.url()]).await.refused(64, &["none of 1 can be moved", "amount"]);
    database.execute("DROP TABLE wide").await;
    let ended = site.sluice(["init", &database.url()]).await;
    ended.refused(1, &["there are none"]);
    assert!(!site.path().join("job.yaml").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn shells_and_manuals_are_told_of_every_command() {
    let site = Site::new();
    let script = site.sluice(["completions", "bash"]).await;
    script.succeeded();
    site.file("script", &script.stdout);
    let checked = tokio::process::Command::new("bash")
        .args(["-c", "source ./script && complete -p sluice"])
        .current_dir(site.path())
        .stdout(Stdio::null())
        .status();
    assert!(checked.await.expect("bash starts").success(), "{script}");
    let said = |ended: &Ended| ended.stdout.clone();
    let page = said(&site.sluice(["manual", "copy"]).await);
    for expected in [".TH", "partition\\-by", "Examples:"] {
        assert!(page.contains(expected), "`{expected}` is not in\n{page}");
    }
    let whole = said(&site.sluice(["manual"]).await);
    assert!(whole.contains("completions") && !whole.contains("sluice\\-task"), "{whole}");
    site.sluice(["manual", "cpoy"]).await.refused(64, &["did you mean `copy`?"]);
}
