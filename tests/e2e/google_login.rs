//! A source without a password: the program logs in by the account of Google Cloud that it runs as.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use sluice_tests::cloud::clients::in_python;
use sluice_tests::cloud::metadata::Metadata;
use sluice_tests::cluster::Cluster;
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::proxy::Proxy;
use sluice_tests::sluice::{Site, merge};

use crate::crashes::{start, wait_for_receipts};
use crate::shop;

const EMAIL: &str = "sluice-extractor@shop-prod.iam.gserviceaccount.com";
/// The same account as a user of Cloud SQL for PostgreSQL.
const USER: &str = "sluice-extractor@shop-prod.iam";
/// So long that it is not renewed in a test.
const AN_HOUR: u32 = 3600;
/// So short that it is renewed once in a second.
const RENEWED_AT_ONCE: u32 = 241;

/// A database that the account may read, where `token` is its password, as a token is on Cloud SQL.
async fn database(cluster: &Cluster, token: &str) -> Database {
    let database = cluster.database().await;
    shop::orders(&database, 20_000).await;
    database
        .execute(&format!(
            "CREATE ROLE \"{USER}\" LOGIN PASSWORD '{token}'; GRANT pg_read_all_data TO \"{USER}\""
        ))
        .await;
    database
}

/// A site whose program finds the account, and a job of `orders` that names no password.
fn site(metadata: &Metadata) -> Site {
    Site::new().with("GCE_METADATA_HOST", metadata.host())
}

fn source(database: &Database, port: u16) -> Value {
    json!({
        "host": "127.0.0.1", "port": port, "database": database.name(),
        "login": "google_iam", "table": "orders",
    })
}

/// A job file with a source of its own.
fn job(site: &Site, name: &str, source: Value, more: &Value) -> PathBuf {
    let mut file = json!({
        "name": name,
        "target": {"table": format!("file://{}", site.table(name).display())},
        "bucket": site.bucket(),
    });
    file["source"] = source;
    merge(&mut file, more);
    site.file(&format!("{name}.yaml"), &file.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_without_a_password_logs_in_as_its_account() {
    let Some(cluster) = Cluster::with_passwords() else { return };
    let database = database(&cluster, "ya29.first").await;
    let (_, port) = database.address();
    let metadata = Metadata::of(EMAIL, "ya29.first", AN_HOUR).await;
    let site = site(&metadata);

    let orders = job(&site, "orders", source(&database, port), &shop::cut("id_range"));
    site.run(&orders).await;
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
    let asked = metadata.asked();
    let login = "https://www.googleapis.com/auth/sqlservice.login";
    assert!(asked.iter().all(|scopes| scopes == login) && !asked.is_empty(), "{asked:?}");

    // A URL says the same.
    let url = format!("postgres://127.0.0.1:{port}/{}?login=google_iam", database.name());
    let again = job(&site, "again", json!({"url": url, "table": "orders"}), &json!({}));
    site.run(&again).await;
    assert_same(Expected::Table(&database, "orders"), &site.table("again")).await;

    // No document, no log and no plan has the token.
    let site = site.with("RUST_LOG", "trace");
    for command in ["plan", "run"] {
        let said = site.sluice([command.as_ref(), again.as_os_str()]).await;
        said.succeeded();
        assert!(!format!("{said}").contains("ya29"), "{command}: {said}");
    }
    let run = site.newest_run().expect("there was a run");
    for document in site.documents(&run, ".json") {
        let text = std::fs::read_to_string(&document).expect("it is there");
        assert!(!text.contains("ya29"), "{}", document.display());
    }

    // The server refuses an account that is not the one of the token.
    metadata.renew("ya29.of another");
    let said = site.sluice(["run".as_ref(), again.as_os_str()]).await;
    said.refused(1, &["connect to", "roles/cloudsql.instanceUser", "cloud_sql_iam_logins"]);
    assert!(!said.stderr.contains("ya29"), "{}", said.stderr);
}

/// Moves a table whose connections are cut when the account has another token, which is the only one
/// that the server takes then. With tokens that are valid for `valid_for` seconds, the tasks ask for
/// it before the server refuses the first one, if `ahead`.
async fn moves_with_another_token(valid_for: u32, ahead: bool) {
    let Some(cluster) = Cluster::with_passwords() else { return };
    let database = database(&cluster, "ya29.first").await;
    let proxy = Proxy::slow(database.address(), 400_000).await;
    let metadata = Metadata::of(EMAIL, "ya29.first", valid_for).await;
    let site = site(&metadata);
    let job = job(&site, "orders", source(&database, proxy.port()), &shop::cut("id_range"));
    let running = start(&site, &job);
    wait_for_receipts(&site, 2).await;

    let asked = metadata.asked().len();
    metadata.renew("ya29.second");
    if ahead {
        // Each of the tasks has asked again by then.
        tokio::time::sleep(Duration::from_secs(3)).await;
        assert!(metadata.asked().len() > asked, "no task has asked for another token");
    }
    let change = format!("ALTER ROLE \"{USER}\" PASSWORD 'ya29.second'");
    database.execute(&change).await;
    proxy.cut();
    running.ended().await.succeeded();
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_made_later_has_a_later_token() {
    moves_with_another_token(RENEWED_AT_ONCE, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_the_server_refuses_is_asked_for_anew() {
    // Nothing but the server says that the first token is no longer good.
    moves_with_another_token(AN_HOUR, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metadata_server_that_is_out_of_order_for_a_moment_ends_no_run() {
    let Some(cluster) = Cluster::with_passwords() else { return };
    let database = database(&cluster, "ya29.first").await;
    let (_, port) = database.address();
    let metadata = Metadata::of(EMAIL, "ya29.first", AN_HOUR).await;
    let site = site(&metadata);
    // It answers the plan, and then none of the tasks for a while.
    metadata.answer_identity([200].into_iter().chain([503; 5]));
    let orders = job(&site, "orders", source(&database, port), &shop::cut("id_range"));
    site.run(&orders).await;
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;

    // What cannot be got better by waiting says what to do.
    metadata.answer_identity([404]);
    let said = site.sluice(["plan".as_ref(), orders.as_os_str()]).await;
    said.refused(1, &["get an identity token", "name the user too"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_that_cannot_work_is_refused_before_it_is_tried() {
    let site = Site::new();
    for (source, words) in [
        (
            json!({"url": "postgres://db.example/shop?login=google_iam"}),
            "needs an encrypted connection",
        ),
        (
            json!({"url": "postgres://db.example?login=google_iam&sslmode=require"}),
            "needs the name of a database",
        ),
        (json!({"url": "postgres://db.example/shop?login=google"}), "not a kind of login"),
        (json!({"url": "postgres://db.example/shop", "login": "google_iam"}), "?login=google_iam"),
        (
            json!({"host": "h", "login": "google_iam", "password": "${PW}"}),
            "cannot be combined with `source.password`",
        ),
        (json!({"host": "h", "login": "kerberos"}), "google_iam"),
    ] {
        let orders = job(&site, "orders", source, &json!({"source": {"table": "orders"}}));
        let said = site.sluice(["validate".as_ref(), orders.as_os_str()]).await;
        said.refused(64, &[words]);
    }
}

/// What Google's own client learns from the metadata server.
const ASK: &str = r#"
import json, os, sys
os.environ["GCE_METADATA_HOST"] = sys.argv[1]
from google.auth import compute_engine, jwt
from google.auth.transport.requests import Request
request = Request()
account = compute_engine.Credentials(scopes=["https://www.googleapis.com/auth/sqlservice.login"])
account.refresh(request)
identity = compute_engine.IDTokenCredentials(request, "https://loader.example", use_metadata_identity_endpoint=True)
identity.refresh(request)
claims = jwt.decode(identity.token, verify=False)
print(json.dumps([account.token, account.service_account_email, claims["aud"]]))
"#;

#[tokio::test(flavor = "multi_thread")]
async fn googles_client_takes_the_stand_in_for_the_metadata_server() {
    let metadata = Metadata::of(EMAIL, "ya29.first", AN_HOUR).await;
    let Some(learnt) = in_python(ASK, &[&metadata.host()]).await else { return };
    assert_eq!(learnt, json!(["ya29.first", EMAIL, "https://loader.example"]));
    assert_eq!(metadata.asked(), ["https://www.googleapis.com/auth/sqlservice.login"]);
}
