//! The command's output for people and programs: help, plans, errors, exit codes, JSON.

use serde_json::{Value, json};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::{Ended, Site};

use crate::shop;

/// Compares the output with the stored one, without the parts that differ from run to run.
fn assert_said(name: &str, site: &Site, ended: &Ended) {
    let mut settings = insta::Settings::clone_current();
    settings.set_omit_expression(true);
    settings.set_prepend_module_to_snapshot(false);
    settings.add_filter(&site.path().display().to_string().replace('.', "\\."), "[site]");
    settings.add_filter("sluice_[0-9]+_[0-9]+", "[database]");
    settings.add_filter("127\\.0\\.0\\.1:[0-9]+", "[server]");
    settings.add_filter("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}", "[run]");
    settings.bind(|| insta::assert_snapshot!(name, said(ended)));
}

fn said(ended: &Ended) -> String {
    let code = ended.code.map_or_else(|| "a signal".to_owned(), |code| code.to_string());
    format!("exit code {code}\n----- stdout\n{}----- stderr\n{}", ended.stdout, ended.stderr)
}

#[tokio::test(flavor = "multi_thread")]
async fn help_of_every_command() {
    let site = Site::new();
    let ended = site.sluice(["--help"]).await;
    assert_said("help", &site, &ended);
    let ended = site.sluice(["demo", "--help"]).await;
    assert_said("help_demo", &site, &ended);
    let ended = site.sluice(["plan", "--help"]).await;
    assert_said("help_plan", &site, &ended);
    let ended = site.sluice(["run", "--help"]).await;
    assert_said("help_run", &site, &ended);
    let ended = site.sluice(["submit", "--help"]).await;
    assert_said("help_submit", &site, &ended);
    let ended = site.sluice(["status", "--help"]).await;
    assert_said("help_status", &site, &ended);
    let ended = site.sluice(["load", "--help"]).await;
    assert_said("help_load", &site, &ended);
    let ended = site.sluice(["validate", "--help"]).await;
    assert_said("help_validate", &site, &ended);
    let ended = site.sluice(["schema", "--help"]).await;
    assert_said("help_schema", &site, &ended);
    let ended = site.sluice(["copy", "--help"]).await;
    assert_said("help_copy", &site, &ended);
    let ended = site.sluice(["init", "--help"]).await;
    assert_said("help_init", &site, &ended);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_typed_wrong_is_answered_with_64_and_the_way_out() {
    let site = Site::new();
    for arguments in [
        vec![],
        vec!["runn"],
        vec!["run"],
        vec!["run", "absent.yaml"],
        vec!["run", "absent.yaml", "--max-tasks", "0"],
        vec!["schema", "jobb"],
        vec!["status", "nonsense"],
        vec!["submit"],
        vec!["submit", "absent.yaml", "--planner", "nonsense"],
    ] {
        let ended = site.sluice(&arguments).await;
        let said = format!("{}{}", ended.stdout, ended.stderr);
        assert_eq!(ended.code, Some(64), "{arguments:?}: {ended}");
        assert!(!said.is_empty(), "{arguments:?} was answered with silence");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_wrong_with_a_job_is_said_at_once() {
    let site = Site::new();
    let job = site.file(
        "job.yaml",
        "name: events\n\
         source: {url: 'sqlite:///x', tabel: events}\n\
         partitioning: {strategy: id_rang, target_rows: many}\n\
         columns: {amount: {type: BIGNUMERC}}\n\
         target: {table: 'file:///w/t', write_disposition: overwrite}\n\
         bucket: 7\n\
         shedule: '0 3 * * *'\n",
    );
    let ended = site.sluice(["validate".as_ref(), job.as_os_str()]).await;
    assert_said("validate_everything", &site, &ended);
    let ended = site.sluice(["validate".as_ref(), "--json".as_ref(), job.as_os_str()]).await;
    assert_eq!(ended.code, Some(64), "{ended}");
    assert!(ended.json()["error"].is_string(), "{ended}");

    let job = site.file("broken.yaml", "name: [events\nsource: {url: 'postgres://u:s3cret@h/d'}");
    let ended = site.sluice(["validate".as_ref(), job.as_os_str()]).await;
    assert_said("validate_broken", &site, &ended);
    assert!(!format!("{ended}").contains("s3cret"), "{ended}");

    let job = site.file(
        "conflict.yaml",
        "name: events\n\
         source: {url: 'postgres://etl:s3cret@db/shop', table: events, query: 'select 1'}\n\
         target: {table: 'file:///w/t'}\n\
         bucket: file:///b\n",
    );
    let ended = site.sluice(["validate".as_ref(), job.as_os_str()]).await;
    assert_said("validate_conflict", &site, &ended);
    assert!(!format!("{ended}").contains("s3cret"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_file_for_a_planner_may_leave_the_bucket_to_the_command() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 1000).await;
    let site = Site::reading(database.url());
    let job = site.file(
        "orders.yaml",
        "name: orders\n\
         source: {url: '${SOURCE_URL}', table: public.orders}\n\
         target: {table: 'bigquery://shop-prod/sales/orders'}\n",
    );
    let ended = site.sluice(["validate".as_ref(), job.as_os_str()]).await;
    ended.refused(64, &["`bucket`: missing", "take it from `--bucket`"]);
    let bucket = ["--bucket", "gs://lake/sluice"].map(std::ffi::OsStr::new);
    let line = |command: &'static str| [command.as_ref(), job.as_os_str(), bucket[0], bucket[1]];
    site.sluice(line("validate")).await.succeeded();

    let other = "bucket: gs://other/place\n";
    let named = site.file("named.yaml", &(std::fs::read_to_string(&job).unwrap() + other));
    let both = ["validate".as_ref(), named.as_os_str(), bucket[0], bucket[1]];
    site.sluice(both).await.refused(64, &["another `bucket` than `--bucket`"]);

    // So do `plan` and `run`, and the documents of the run lie there.
    let text = std::fs::read_to_string(&job).unwrap();
    let table = format!("file://{}", site.path().join("warehouse/orders").display());
    let job = site.file("folder.yaml", &text.replace("bigquery://shop-prod/sales/orders", &table));
    let place = site.path().join("elsewhere");
    let of = |command: &'static str| {
        [command.as_ref(), "--json".as_ref(), job.as_os_str(), bucket[0], place.as_os_str()]
    };
    let plan = site.sluice(of("plan")).await.answer();
    assert_eq!(plan["bucket"], format!("file://{}", place.display()), "{plan}");
    let ran = site.sluice(of("run")).await.answer();
    for stage in ["read", "decode", "encode", "compress", "upload"] {
        assert!(ran["stages"][stage].as_f64() > Some(0.0), "{stage}: {ran:#}");
    }
    assert!(place.join("runs").is_dir(), "the run's documents are not in `--bucket`");
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_that_cannot_be_read() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 100).await;
    let site = Site::reading(database.url());
    let job = site.job("orders", &json!({"table": "public.oders"}), &json!({}));
    let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
    assert_said("plan_absent_table", &site, &ended);

    let job =
        site.job("orders", &json!({"table": "orders", "columns": ["id", "totl"]}), &json!({}));
    let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
    assert_said("plan_absent_column", &site, &ended);

    let more = json!({"partitioning": {"strategy": "date_range", "column": "note"}});
    let job = site.job("orders", &json!({"table": "orders"}), &more);
    let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
    assert_said("plan_impossible_strategy", &site, &ended);

    let job =
        site.job("orders", &json!({"table": "orders", "where": "no_such_column = 1"}), &json!({}));
    let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
    assert_ne!(ended.code, Some(0), "{ended}");
    assert!(ended.stderr.contains("no_such_column"), "{ended}");

    let site = Site::reading("postgres://someone:s3cret@127.0.0.1:1/shop");
    let job = site.job("orders", &json!({"table": "orders"}), &json!({}));
    let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
    ended
        .refused(1, &["connect to `${SOURCE_URL}`", "Connection refused", "the host and the port"]);
    assert!(!format!("{ended}").contains("s3cret"), "{ended}");

    let absent =
        Site::reading("postgres://someone:s3cret@localhost/shop?host=/cloudsql/p:r:absent");
    let job = absent.job("orders", &json!({"table": "orders"}), &json!({}));
    let ended = absent.sluice(["plan".as_ref(), job.as_os_str()]).await;
    ended.refused(1, &["no server has its socket in that folder", "`cloud_sql_instances`"]);

    let plain = format!("{}?sslmode=require", database.url());
    let plain = Site::reading(&plain);
    let job = plain.job("orders", &json!({"table": "orders"}), &json!({}));
    let ended = plain.sluice(["plan".as_ref(), job.as_os_str()]).await;
    ended.refused(1, &["server does not support TLS", "`ssl = on`"]);

    let site = Site::new();
    let job = site.job("orders", &json!({"table": "orders"}), &json!({}));
    let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
    ended.refused(64, &["`SOURCE_URL` is not set"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_says_how_and_why() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 20_000).await;
    let site = Site::reading(database.url());
    let job = site.job("orders", &json!({"table": "public.orders"}), &shop::cut("id_range"));
    let plan = site.plan(&job).await;
    assert!(plan["tasks"].as_u64() <= Some(3), "{plan:#}");
    let table = &plan["tables"][0];
    assert_eq!(table["table"], "public.orders");
    assert_eq!(table["strategy"], "id_range");
    assert!(table["target"].as_str().is_some_and(|url| url.starts_with("file://")), "{plan:#}");
    assert!(table["reason"].as_str().is_some_and(|why| !why.is_empty()), "{plan:#}");
    let units = table["units"].as_array().cloned().unwrap_or_default();
    assert!(units.len() >= 10, "{plan:#}");
    for (at, unit) in units.iter().enumerate() {
        assert_eq!(unit["index"], at, "{unit:#}");
        assert!(unit["kind"].is_string() && unit["predicate"].is_string(), "{unit:#}");
        assert!(unit["rows"].is_u64(), "{unit:#}");
    }
    let columns = table["columns"].as_array().cloned().unwrap_or_default();
    let find = |name: &str| columns.iter().find(|column| column["name"] == name).cloned();
    let total = find("total").unwrap_or_default();
    assert_eq!(total["source_type"], "numeric(12,2)", "{total:#}");
    assert_eq!(total["target_type"], "NUMERIC", "{total:#}");

    // Planning leaves nothing behind.
    assert!(site.newest_run().is_none());
    assert!(!site.table("orders").exists());

    let ended = site.sluice(["plan".as_ref(), job.as_os_str()]).await;
    assert_eq!(ended.code, Some(0), "{ended}");
    for word in ["id_range", "numeric(12,2)", "NUMERIC", "20,000"] {
        assert!(ended.stdout.contains(word), "`{word}` was not printed: {ended}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_answers_programs_and_people() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 10_000).await;
    let site = Site::reading(database.url());
    let job = site.job("orders", &json!({"table": "public.orders"}), &shop::cut("id_range"));
    let ended = site.sluice(["run".as_ref(), "--json".as_ref(), job.as_os_str()]).await;
    let answer = ended.answer();
    assert_eq!(ended.stdout.trim().lines().count(), 1, "{ended}");
    for key in ["rows", "bytes", "units", "tasks", "parts"] {
        assert!(answer[key].as_u64() > Some(0), "{key}: {answer:#}");
    }
    assert!(answer["seconds"].is_number(), "{answer:#}");
    assert_eq!(answer["job"], "orders");
    let table = &answer["tables"][0];
    assert_eq!(table["rows"], 10_000);
    assert_eq!(table["error"], Value::Null);
    let run = answer["run"].as_str().unwrap_or_default().to_owned();
    assert_eq!(Some(&run), site.newest_run().as_ref());

    let job = job.to_str().unwrap_or_default();
    let status = site.sluice(["status", &run, "--json", "--job", job]).await.answer();
    assert!(status.to_string().contains(&run), "{status:#}");
    assert_eq!(status["state"], "finished", "{status:#}");
    let status = site.sluice(["status", &run, "--bucket", &site.bucket()]).await;
    assert_eq!(status.code, Some(0), "{status}");
    assert!(status.stdout.contains("10,000"), "{status}");

    let ended = site.sluice(["run", job, "--max-tasks", "2"]).await;
    assert_eq!(ended.code, Some(0), "{ended}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains("10,000"), "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_run_answers_programs_too() {
    let Some(database) = Database::fresh().await else { return };
    database.execute("CREATE TABLE bad AS SELECT 1 AS id, timestamptz 'infinity' AS at").await;
    let site = Site::reading(database.url());
    let job = site.job("bad", &json!({"table": "bad"}), &json!({}));
    let ended = site.sluice(["run".as_ref(), "--json".as_ref(), job.as_os_str()]).await;
    assert_eq!(ended.code, Some(1), "{ended}");
    let answer = ended.json();
    assert!(answer["error"].as_str().is_some_and(|error| error.contains("`at`")), "{answer:#}");
    let run = site.newest_run().unwrap_or_default();
    let status = site.sluice(["status", &run, "--bucket", &site.bucket()]).await;
    assert!(status.stdout.contains("`at`"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_field_names_of_the_system_before_are_accepted() {
    let Some(database) = Database::fresh().await else { return };
    shop::orders(&database, 100).await;
    let site = Site::reading(database.url());
    let job = site.file(
        "seed.yaml",
        &format!(
            "name: seed\n\
             source: {{url: '${{SOURCE_URL}}', schema_name: public, table_name: orders, selected_columns: [id, total]}}\n\
             timestamp_column: created_at\n\
             primary_key_column: id\n\
             target: {{table: 'file://{}'}}\n\
             bucket: {}\n",
            site.table("seed").display(),
            site.bucket()
        ),
    );
    assert_eq!(site.run(&job).await["rows"], 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_is_said_to_start_nothing_and_only_where_there_is_one() {
    let site = Site::new();
    let database = site.path().join("shop.db");
    rusqlite::Connection::open(&database)
        .and_then(|shop| shop.execute_batch("CREATE TABLE orders (id INTEGER PRIMARY KEY)"))
        .expect("a database can be made");
    let source = json!({"url": format!("sqlite://{}", database.display()), "table": "orders"});
    for (name, more, told) in
        [("nightly", json!({"schedule": "0 3 * * *"}), true), ("plain", json!({}), false)]
    {
        let job = site.job(name, &source, &more);
        let path = job.to_str().expect("a path");
        for arguments in [
            &["plan", path][..],
            &["run", path, "--json"],
            // Nothing answers there, but the person has been told by then.
            &["submit", path, "--planner", "http://127.0.0.1:9"],
        ] {
            let ended = site.sluice(arguments).await;
            let says = ended.stderr.contains("`schedule` starts nothing by itself");
            assert_eq!(says, told, "{arguments:?}: {ended}");
        }
    }
}
