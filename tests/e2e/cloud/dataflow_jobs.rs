//! Jobs of Dataflow, on a stand-in that also serves `gcloud`.

use std::fs;
use std::time::Duration;

use reqwest::{Client, Method};
use serde_json::{Value, json};
use sluice_tests::cloud::clients::Gcloud;
use sluice_tests::cloud::dataflow::{Dataflow, Pipeline, State};
use sluice_tests::cloud::{LOCATION, PROJECT, Trouble};
use sluice_tests::faults::is_alive;
use sluice_tests::sluice::{Ended, Site};

const ORDER: &str = "gs://lake/etl/runs/7/dataflow/0/order.json";

/// A pipeline that is a shell script. Its arguments begin with `--order`.
fn shell(script: &str, site: &Site) -> Pipeline {
    let mut pipeline = Pipeline::new("/bin/sh");
    pipeline.arguments = ["-c", script, "pipeline"].map(str::to_owned).into();
    pipeline.folder = Some(site.path().to_owned());
    pipeline
}

/// Launches the Flex Template with `gcloud`.
async fn launch(gcloud: &Gcloud, dataflow: &Dataflow, name: &str, more: &[&str]) -> Ended {
    let order = format!("--parameters=order={ORDER}");
    let template = "--template-file-gcs-location=gs://lake/templates/sluice.json";
    let usual = ["flex-template", "run", name, template, &order, "--format=json"];
    gcloud.dataflow(dataflow, &[&usual, more].concat()).await
}

/// What `gcloud` has answered.
fn answer(ended: &Ended) -> Value {
    ended.succeeded();
    serde_json::from_str(&ended.stdout).unwrap_or_else(|_| panic!("it answers in JSON: {ended}"))
}

/// Calls the stand-in below its location, and returns the status and the answer.
async fn call(dataflow: &Dataflow, method: Method, path: &str, body: Value) -> (u16, Value) {
    let url = format!("{}/v1b3/projects/{PROJECT}/locations/{LOCATION}/{path}", dataflow.url());
    let mut request = Client::new().request(method, url);
    if !body.is_null() {
        request = request.json(&body);
    }
    let response = request.send().await.expect("the stand-in answers");
    (response.status().as_u16(), response.json().await.expect("it answers in JSON"))
}

async fn get(dataflow: &Dataflow, path: &str) -> Value {
    let (status, answer) = call(dataflow, Method::GET, path, Value::Null).await;
    assert_eq!(status, 200, "{answer:#}");
    answer
}

/// The body of a launch.
fn body(name: &str) -> Value {
    json!({"launchParameter": {
        "jobName": name,
        "containerSpecGcsPath": "gs://lake/templates/sluice.json",
        "parameters": {"order": ORDER},
        "environment": {"maxWorkers": 20, "tempLocation": "gs://lake/temp"},
    }})
}

/// Launches a job without `gcloud`, and returns its id.
async fn launched(dataflow: &Dataflow, name: &str) -> String {
    let (status, answer) = call(dataflow, Method::POST, "flexTemplates:launch", body(name)).await;
    assert_eq!(status, 200, "{answer:#}");
    answer["job"]["id"].as_str().expect("a job has an id").to_owned()
}

/// Waits for the death of a process. A signal takes its time.
async fn died(process: u32) -> bool {
    for _ in 0..200 {
        if !is_alive(process) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

/// The process whose id a program has written into a file of the site.
async fn process(site: &Site, file: &str) -> u32 {
    for _ in 0..600 {
        let text = fs::read_to_string(site.path().join(file)).unwrap_or_default();
        if let Ok(process) = text.trim().parse() {
            return process;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no program has written its id into `{file}` within half a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn gcloud_launches_a_pipeline_and_sees_its_end() {
    let Some(gcloud) = Gcloud::find() else { return };
    let site = Site::new();
    let dataflow = Dataflow::start(shell("echo \"$@\" > arguments", &site)).await;
    dataflow.let_start(false);
    let account = "etl@shop-prod.iam.gserviceaccount.com";
    let more = [
        &format!("--service-account-email={account}"),
        "--temp-location=gs://lake/temp",
        "--max-workers=20",
        "--worker-machine-type=n2-highmem-4",
        "--disable-public-ips",
        "--subnetwork=regions/europe-west3/subnetworks/etl",
    ];
    let job = answer(&launch(&gcloud, &dataflow, "sluice-7-0", &more).await)["job"].clone();
    assert_eq!(job["name"], "sluice-7-0");
    assert!(job["currentState"].is_null(), "{job:#}");
    let id = job["id"].as_str().unwrap();

    let known = dataflow.job(id).unwrap();
    assert_eq!(known.state, State::Queued);
    let sent = &known.launch["launchParameter"];
    assert_eq!(sent["parameters"], json!({"order": ORDER}));
    assert_eq!(sent["environment"]["serviceAccountEmail"], account, "{sent:#}");
    assert_eq!(sent["environment"]["ipConfiguration"], "WORKER_IP_PRIVATE", "{sent:#}");

    let list = ["jobs", "list", "--format=value(id,name,state,type)"];
    let listed = gcloud.dataflow(&dataflow, &list).await;
    assert_eq!(listed.stdout.trim(), format!("{id}\tsluice-7-0\tQueued\tBatch"), "{listed}");
    dataflow.let_start(true);
    assert_eq!(dataflow.ended(id).await.state, State::Done);
    let arguments = fs::read_to_string(site.path().join("arguments")).unwrap();
    assert_eq!(arguments, format!("--order {ORDER}\n"));

    let describe = ["jobs", "describe", id, "--format=json"];
    let described = answer(&gcloud.dataflow(&dataflow, &describe).await);
    assert_eq!(described["currentState"], "JOB_STATE_DONE");
    assert_eq!(described["type"], "JOB_TYPE_BATCH");
    let shown = answer(&gcloud.dataflow(&dataflow, &["jobs", "show", id, "--format=json"]).await);
    assert_eq!((&shown["name"], &shown["state"]), (&json!("sluice-7-0"), &json!("Done")));
    for (status, count) in [("active", 0), ("terminated", 1)] {
        let list = ["jobs", "list", &format!("--status={status}"), "--format=json"];
        let listed = answer(&gcloud.dataflow(&dataflow, &list).await);
        assert_eq!(listed.as_array().unwrap().len(), count, "{status}: {listed:#}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gcloud_cancels_a_job_whose_name_is_its_own_until_then() {
    let Some(gcloud) = Gcloud::find() else { return };
    let site = Site::new();
    let dataflow = Dataflow::start(shell("sleep 600 & echo $! > worker; wait", &site)).await;
    launch(&gcloud, &dataflow, "sluice-7-0", &[]).await.succeeded();
    let worker = process(&site, "worker").await;
    let again = launch(&gcloud, &dataflow, "sluice-7-0", &[]).await;
    assert_eq!(again.code, Some(1), "{again}");
    assert!(again.stderr.contains("There is already an active job named sluice-7-0"), "{again}");

    let id = dataflow.jobs().remove(0).id;
    let cancelled = gcloud.dataflow(&dataflow, &["jobs", "cancel", &id]).await;
    assert!(cancelled.stderr.contains("Cancelled job"), "{cancelled}");
    assert_eq!(dataflow.ended(&id).await.state, State::Cancelled);
    assert!(died(worker).await, "the processes of the program die too");
    let cancelled = gcloud.dataflow(&dataflow, &["jobs", "cancel", &id]).await;
    assert!(cancelled.stderr.contains("Failed to cancel job"), "{cancelled}");

    launch(&gcloud, &dataflow, "sluice-7-0", &[]).await.succeeded();
    assert_eq!(dataflow.jobs().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn gcloud_is_told_of_a_job_that_does_not_exist() {
    let Some(gcloud) = Gcloud::find() else { return };
    let dataflow = Dataflow::start(Pipeline::new("/bin/true")).await;
    let described = gcloud.dataflow(&dataflow, &["jobs", "describe", "2026-1"]).await;
    assert_eq!(described.code, Some(1), "{described}");
    assert!(described.stderr.contains("NOT_FOUND"), "{described}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_fails_says_why() {
    let site = Site::new();
    let dataflow = Dataflow::start(shell("echo out; echo 'read order' >&2; exit 3", &site)).await;
    let id = launched(&dataflow, "fails").await;
    let job = dataflow.ended(&id).await;
    assert_eq!(job.state, State::Failed);
    assert_eq!(job.errors()[0], "read order");
    let path = format!("jobs/{id}/messages?minimumImportance=JOB_MESSAGE_ERROR");
    let messages = get(&dataflow, &path).await["jobMessages"].clone();
    let texts: Vec<&str> =
        messages.as_array().unwrap().iter().filter_map(|one| one["messageText"].as_str()).collect();
    assert_eq!(texts, job.errors());
    let all = get(&dataflow, &format!("jobs/{id}/messages")).await;
    assert!(all["jobMessages"].as_array().unwrap().len() > texts.len(), "{all:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_found_by_name_and_page_by_page() {
    let dataflow = Dataflow::start(Pipeline::new("/bin/true")).await;
    assert_eq!(get(&dataflow, "jobs").await, json!({}));
    let first = launched(&dataflow, "twice").await;
    dataflow.ended(&first).await;
    let other = launched(&dataflow, "once").await;
    dataflow.ended(&other).await;
    dataflow.let_start(false);
    let second = launched(&dataflow, "twice").await;

    let ids = |answer: &Value| -> Vec<Value> {
        answer["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()).collect()
    };
    let named = get(&dataflow, "jobs?name=twice").await;
    assert_eq!(ids(&named), [json!(second), json!(first)]);
    let active = get(&dataflow, "jobs?name=twice&filter=ACTIVE").await;
    assert_eq!(ids(&active), [json!(second)]);
    let page = get(&dataflow, "jobs?pageSize=2").await;
    assert_eq!(ids(&page), [json!(second), json!(other)]);
    let token = page["nextPageToken"].as_str().unwrap();
    let page = get(&dataflow, &format!("jobs?pageSize=2&pageToken={token}")).await;
    assert_eq!(ids(&page), [json!(first)]);
    assert!(page["nextPageToken"].is_null(), "{page:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_dataflow_does_not_know_is_refused() {
    let dataflow = Dataflow::start(Pipeline::new("/bin/true")).await;
    for (path, value) in [
        ("/launchParameter/environment/maxWorker", json!(3)),
        ("/launchParameter/environment/maxWorkers", json!("3")),
        ("/launchParameter/environment/ipConfiguration", json!("PRIVATE")),
        ("/launchParameter/parameters/orders", json!(ORDER)),
        ("/launchParameter/parameters/order", Value::Null),
        ("/launchParameter/jobName", json!("Sluice_7")),
        ("/launchParameter/containerSpecGcsPath", json!("lake/templates")),
        ("/name", json!("sluice")),
    ] {
        let mut body = body("sluice-7-0");
        let (parent, key) = path.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap()[key] = value;
        let (status, answer) = call(&dataflow, Method::POST, "flexTemplates:launch", body).await;
        assert_eq!(
            (status, &answer["error"]["status"]),
            (400, &json!("INVALID_ARGUMENT")),
            "{path}"
        );
    }
    for query in ["nam=twice", "filter=RUNNING", "pageSize=all"] {
        let (status, _) = call(&dataflow, Method::GET, &format!("jobs?{query}"), Value::Null).await;
        assert_eq!(status, 400, "{query}");
    }
    assert!(dataflow.jobs().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_leaves_a_job_and_a_hand_may_end_it() {
    let site = Site::new();
    let dataflow = Dataflow::start(shell("echo $$ > program; sleep 600", &site)).await;
    dataflow.trouble([Trouble::AnswerLost]);
    let launch = || call(&dataflow, Method::POST, "flexTemplates:launch", body("sluice-7-0"));
    assert_eq!(launch().await.0, 503);
    assert_eq!(launch().await.0, 409);
    let program = process(&site, "program").await;
    let id = dataflow.jobs().remove(0).id;
    let job = dataflow.end(&id, State::Drained).await;
    assert_eq!(job.state, State::Drained);
    assert!(died(program).await);
    let path = format!("jobs/{id}");
    assert_eq!(get(&dataflow, &path).await["currentState"], "JOB_STATE_DRAINED");
    let cancel = json!({"requestedState": "JOB_STATE_CANCELLED"});
    let (status, answer) = call(&dataflow, Method::PUT, &path, cancel).await;
    assert_eq!((status, &answer["error"]["status"]), (400, &json!("FAILED_PRECONDITION")));
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_die_with_the_stand_in() {
    let site = Site::new();
    let script = "sleep 600 & echo $! > worker; wait";
    let dataflow = Dataflow::start(shell(script, &site)).await;
    launched(&dataflow, "sluice-7-0").await;
    let worker = process(&site, "worker").await;
    assert!(is_alive(worker));
    drop(dataflow);
    assert!(died(worker).await);
}
