//! Jobs for a planner in the cloud, and runs that are followed until they end. The planner is a
//! server in the test that answers as the real one does.

use std::fs;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use sluice_tests::sluice::Site;
use tokio::net::TcpListener;

const RUN: &str = "01a20522-5b43-707b-9179-5f307c4d6778";

/// The requests to the planner, and its next answers about the run.
#[derive(Debug, Default)]
struct Heard {
    requests: Mutex<Vec<Value>>,
    states: Mutex<Vec<Value>>,
}

/// A planner that accepts every job except one named `refused`, and knows the job `orders` by name.
async fn planner(states: Vec<Value>) -> (String, Arc<Heard>) {
    let heard = Arc::new(Heard { states: Mutex::new(states), ..Heard::default() });
    let (submitted, asked) = (Arc::clone(&heard), Arc::clone(&heard));
    let submit = move |body: String| async move {
        let request: Value = serde_json::from_str(&body).expect("a request is JSON");
        let job = request["job"].clone();
        submitted.requests.lock().expect("no test panics here").push(request);
        match (job.as_str(), job["name"].as_str()) {
            (Some("orders"), _) => accepted(),
            (Some(_), _) => problem(404, "not_found", "find job", "there is no `absent.yaml`"),
            (None, Some("refused")) => {
                let problems = "read job `refused`: 2 problems\n  `a`: unknown key\n  `b`: no";
                problem(422, "invalid", problems, "see `sluice schema job`")
            }
            _ => accepted(),
        }
    };
    let look = move |Path(run): Path<String>| async move {
        if run != RUN {
            return problem(404, "not_found", "find run", "look at the run id");
        }
        let mut states = asked.states.lock().expect("no test panics here");
        if states.len() > 1 { states.remove(0) } else { states[0].clone() }
            .to_string()
            .into_response()
    };
    let router = Router::new().route("/runs", post(submit)).route("/runs/{run}", get(look));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("there is a free port");
    let url = format!("http://{}", listener.local_addr().expect("it has an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    (url, heard)
}

fn accepted() -> Response {
    let body = json!({"run": RUN, "state": "planning", "links": {"run": "http://planner/runs"}});
    (StatusCode::ACCEPTED, body.to_string()).into_response()
}

fn problem(status: u16, kind: &str, detail: &str, hint: &str) -> Response {
    let body = json!({"type": "about:blank", "status": status, "kind": kind, "detail": detail,
        "hint": hint});
    let status = StatusCode::from_u16(status).expect("a status");
    let json = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, json, body.to_string()).into_response()
}

fn told(state: &str, done: u64, failure: &Value) -> Value {
    let mut told = json!({
        "run": RUN, "job": "orders", "state": state, "units": 4, "units_done": done, "rows": 1200,
        "tables": [{"table": "public.orders", "target": "bigquery://p/d/orders",
            "units": 4, "units_done": done, "rows": 1200}],
        "links": {"run": "http://planner/runs", "loader": "http://loader/runs"},
    });
    if !failure.is_null() {
        told["failure"] = failure.clone();
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_sent_as_it_stands_and_its_run_is_answered() {
    let (url, heard) = planner(vec![]).await;
    let site = Site::new().with("SLUICE_PLANNER", &url).with("SLUICE_TOKEN", "s3cret");
    // The job need not name the planner's bucket, and `SOURCE_URL` need not be set here.
    site.file("job.yaml", "name: events\nsource: {url: '${SOURCE_URL}', table: events}\n");
    let ended = site.sluice(["submit", "job.yaml", "--run-key", "nightly"]).await;
    ended.succeeded();
    assert!(ended.stdout.starts_with(&format!("run {RUN}: planning\n")), "{ended}");
    assert!(ended.stdout.contains(&format!("`sluice status {RUN} --watch --planner {url}`")));
    let again = ["submit", "orders", "--run-key", "nightly", "--retry"];
    site.sluice(again).await.succeeded();
    site.sluice(["submit", "orders", "--retry"]).await.refused(64, &["--run-key"]);
    let ended = site.sluice(["submit", "orders", "--json"]).await;
    assert_eq!(ended.answer()["links"]["run"], "http://planner/runs", "{ended}");
    let requests = heard.requests.lock().expect("no test panics here").clone();
    let source = json!({"url": "${SOURCE_URL}", "table": "events"});
    let sent = json!({"job": {"name": "events", "source": source}, "run_key": "nightly"});
    let again = json!({"job": "orders", "run_key": "nightly", "retry": true});
    assert_eq!(requests, [sent, again, json!({"job": "orders"})]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_planner_refuses_is_said_in_its_words() {
    let (url, heard) = planner(vec![]).await;
    let site = Site::new().with("SLUICE_PLANNER", &url);
    site.file("job.yaml", "name: refused\n");
    let ended = site.sluice(["submit", "job.yaml"]).await;
    ended.refused(64, &["2 problems\n  `a`: unknown key\n  `b`: no", "hint: see `sluice schema"]);
    site.sluice(["submit", "absent"]).await.refused(64, &["find job", "`absent.yaml`"]);
    let answer = site.sluice(["submit", "absent", "--json"]).await.json();
    assert_eq!(answer["hint"], "there is no `absent.yaml`");
    assert_eq!(heard.requests.lock().expect("no test panics here").len(), 3);

    // These jobs never reach the planner.
    site.sluice(["submit", "absent.yaml"]).await.refused(64, &["read job `absent.yaml`"]);
    site.file("broken.yaml", "name: [events");
    site.sluice(["submit", "broken.yaml"]).await.refused(64, &["not well-formed YAML"]);
    assert_eq!(heard.requests.lock().expect("no test panics here").len(), 3);
    let site = Site::new();
    site.sluice(["submit", "orders"]).await.refused(64, &["`--planner URL`", "SLUICE_PLANNER"]);
    let nobody = "http://127.0.0.1:1";
    let ended = site.sluice(["submit", "orders", "--planner", nobody]).await;
    ended.refused(1, &["submit job `orders` to `http://127.0.0.1:1`", "refused", "can reach it"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_through_its_planner() {
    let failure = json!({"kind": "invalid", "message": "describe `orders`", "hint": "rename"});
    let states = vec![
        json!({"run": RUN, "job": "orders", "state": "planning"}),
        told("extracting", 1, &Value::Null),
        told("finished", 4, &Value::Null),
    ];
    let (url, _) = planner(states).await;
    let site = Site::new();
    let ended = site.sluice(["submit", "orders", "--watch", "--planner", &url]).await;
    ended.succeeded();
    let lines: Vec<&str> =
        ended.stderr.lines().filter_map(|line| Some(line.split_once("  ")?.1)).collect();
    let run = format!("run {RUN}");
    let expected =
        [&run, "planning", "extracting: 1 of 4 units read", "finished: 4 of 4 units read"];
    assert_eq!(lines, expected, "{ended}");
    assert!(ended.stdout.contains("public.orders"), "{ended}");

    let (url, _) = planner(vec![told("failed", 2, &failure)]).await;
    let ended = site.sluice(["status", RUN, "--watch", "--planner", &url]).await;
    ended.refused(1, &[&format!("run `{RUN}`: describe `orders`"), "hint: rename"]);
    // Without `--watch`, the command answers and succeeds.
    let ended = site.sluice(["status", RUN, "--json", "--planner", &url]).await;
    assert_eq!(ended.answer()["state"], "failed", "{ended}");
    let other = RUN.replace("01a2", "01a3");
    let ended = site.sluice(["status", &other, "--planner", &url]).await;
    ended.refused(1, &["find run", "look at the run id"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_place_is_looked_at() {
    let (url, _) = planner(vec![told("loading", 4, &Value::Null)]).await;
    let site = Site::new().with("SLUICE_BUCKET", "file:///absent");
    let ended = site.sluice(["status", RUN, "--planner", &url]).await;
    assert!(ended.stdout.contains("loading: 4 of 4"), "{ended}");
    let site = site.with("SLUICE_PLANNER", &url);
    site.sluice(["status", RUN]).await.refused(1, &["find bucket `file:///absent`"]);
    let ended = site.sluice(["status", RUN, "--planner", &url, "--bucket", "file:///b"]).await;
    ended.refused(64, &["`--bucket` and `--planner`"]);
    let ended = site.sluice(["status", RUN, "--planner", "http://u:s3cret@h"]).await;
    ended.refused(64, &["planner's URL"]);
    assert!(!ended.stderr.contains("s3cret"), "{ended}");
}

/// A run whose documents the test creates, as a cloud would.
struct Documents<'a> {
    site: &'a Site,
    folder: std::path::PathBuf,
}

impl<'a> Documents<'a> {
    fn new(site: &'a Site) -> Self {
        Self { site, folder: site.path().join("bucket/runs").join(RUN) }
    }

    fn create(&self, path: &str, document: &Value) {
        let path = self.folder.join(path);
        fs::create_dir_all(path.parent().expect("documents lie in folders")).expect("a folder");
        // A document appears whole or not at all, as in a bucket.
        let half = path.with_extension("half");
        fs::write(&half, document.to_string()).expect("the folder can be written");
        fs::rename(half, path).expect("the folder can be written");
    }

    /// The manifest of the run.
    fn manifest(&self) -> Value {
        let column = json!({"name": "id", "source_name": "id", "source_type": "bigint",
            "encoding": "int8", "target_type": "INT64"});
        let unit = |index: u32| {
            json!({"index": index, "cut": {"kind": "full"}, "predicate": "true", "rows": 10,
                "bytes": 100})
        };
        let units: Vec<Value> = (0..2).map(unit).collect();
        json!({
            "version": 1, "run": RUN, "job": "orders", "planned": "2026-11-22T21:21:07Z",
            "source": "${SOURCE_URL}", "bucket": self.site.bucket(), "consistency": "snapshot",
            "tables": [{
                "index": 0, "name": "public.orders",
                "relation": {"table": {"schema": "public", "name": "orders"}},
                "target": "bigquery://p/d/orders", "write_disposition": "truncate",
                "strategy": "full", "reason": "it is small", "columns": [column], "shape": "",
                "rows": 20, "bytes": 200, "units": units
            }],
            "tasks": [{"index": 0, "units": [[0, 0], [0, 1]]}],
            "estimate": {"rows": 20, "bytes": 200, "seconds": 1.0, "dollars": 0.0}
        })
    }

    fn receipt(&self, site_name: &str, unit: u32) {
        self.create(
            &format!("receipts/0000/{site_name}-00000-{unit:06}.json"),
            &json!({
                "version": 1, "table": 0, "unit": unit, "snapshot": 0, "task": 0, "attempt": 0,
                "execution": "extractor-a", "rows": 10, "bytes": 100, "parts": [], "seconds": 0.1,
                "finished": "2026-11-22T21:21:09Z"
            }),
        );
    }
}

const AT: &str = "2026-11-22T21:21:08Z";
/// Longer than the pause between two reads of the run's state.
const LOOK: Duration = Duration::from_secs(4);

#[tokio::test(flavor = "multi_thread")]
async fn a_run_is_followed_through_its_documents() {
    let site = Site::new();
    let documents = Documents::new(&site);
    let bucket = site.bucket();
    documents.create(
        "request.json",
        &json!({"version": 1, "run": RUN, "job": {"name": "orders"}, "run_key": "k", "at": AT}),
    );
    let status = site.sluice(["status", RUN, "--bucket", &bucket]).await;
    status.succeeded();
    assert!(status.stdout.contains("not planned yet"), "{status}");
    let watch = site.start(["status", RUN, "--watch", "--json", "--bucket", &bucket]);
    tokio::time::sleep(LOOK).await;
    documents.create("manifest.json", &documents.manifest());
    let order = json!({"version": 1, "launch": 0, "tasks": [0], "reason": "planned", "at": AT});
    documents.create("launches/0000/order.json", &order);
    tokio::time::sleep(LOOK).await;
    let claim = json!({"version": 1, "launch": 0, "execution": "extractor-a", "at": AT});
    documents.create("launches/0000/claim.json", &claim);
    documents.receipt("0000", 0);
    tokio::time::sleep(LOOK).await;
    documents.receipt("9e37", 1);
    documents.create("verdict.json", &json!({"version": 1, "decision": "commit", "at": AT}));
    tokio::time::sleep(LOOK).await;
    let commit = json!({"version": 1, "table": 0, "snapshot": 0, "rows": 20, "at": AT});
    documents.create("commits/00000.json", &commit);
    let table = json!({"table": "public.orders", "target": "bigquery://p/d/orders", "rows": 20});
    documents.create("committed.json", &json!({"version": 1, "tables": [table], "at": AT}));
    let ended = watch.ended().await;
    let answer = ended.answer();
    assert_eq!(answer["state"], "finished", "{ended}");
    assert_eq!(answer["launches"][0]["execution"], "extractor-a", "{ended}");
    assert_eq!(answer["requested"]["run_key"], "k", "{ended}");
    let lines: Vec<&str> =
        ended.stderr.lines().filter_map(|line| Some(line.split_once("  ")?.1)).collect();
    let expected = [
        "job `orders` accepted, key `k`",
        "planned: 2 units of 1 table for 1 task",
        "launch 0 ordered: 1 task, planned",
        "launch 0 is execution `extractor-a`",
        "1 of 2 units read, 10 rows",
        "2 of 2 units read, 20 rows",
        "the run is loaded",
        "`public.orders` visible: 20 rows",
        "finished",
    ];
    assert_eq!(lines, expected, "{ended}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_ends_badly_fails_who_follows_it() {
    let site = Site::new();
    let documents = Documents::new(&site);
    let bucket = site.bucket();
    let watch = ["status", RUN, "--watch", "--bucket", &bucket];
    fs::create_dir_all(site.path().join("bucket")).expect("a folder");
    site.sluice(watch).await.refused(1, &["find run", "bucket"]);

    documents.create("manifest.json", &documents.manifest());
    documents.create(
        "launches/0000/order.json",
        &json!({"version": 1, "launch": 0, "tasks": [0], "reason": "planned", "at": AT}),
    );
    let failure = json!({"kind": "invalid", "message": "no dataset `d`", "hint": "bq mk d"});
    let ending = json!({"table": "public.orders", "target": "bigquery://p/d/orders", "rows": 0,
        "failure": failure});
    documents.create("committed.json", &json!({"version": 1, "tables": [ending], "at": AT}));
    let ended = site.sluice(watch).await;
    ended.refused(1, &[RUN, "1 of 1 tables not visible: `public.orders`: no dataset `d`"]);

    fs::remove_file(documents.folder.join("committed.json")).expect("it is there");
    documents.create(
        "verdict.json",
        &json!({"version": 1, "decision": "fail", "failure": failure, "at": AT}),
    );
    let ended = site.sluice(watch).await;
    ended.refused(1, &[&format!("run `{RUN}`: no dataset `d`"), "hint: bq mk d"]);
    // Without `--watch`, the command answers and succeeds.
    let ended = site.sluice(["status", RUN, "--bucket", &bucket]).await;
    ended.succeeded();
    assert!(ended.stdout.contains("given up since 2026-11-22T21:21:08Z: no dataset"), "{ended}");
}
