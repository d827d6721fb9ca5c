//! The signals of a run: calls that Cloud Tasks makes, the audit log's entries about executions,
//! and the event that a run has ended.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sluice_contracts::Kind;
use sluice_contracts::documents::{EventName, RunEvent, RunId};
use sluice_contracts::ports::{Announcer as _, Check, Checks as _};
use sluice_runtime::google::Endpoints;
use sluice_runtime::google::announcer::PubSub as Client;
use sluice_runtime::google::checks::{CloudTasks as Queue, QueueConfig};
use sluice_tests::cloud::Trouble;
use sluice_tests::cloud::clients::in_python;
use sluice_tests::cloud::delivery::Fate;
use sluice_tests::cloud::events::Events;
use sluice_tests::cloud::pubsub::PubSub;
use sluice_tests::cloud::run::{CloudRun, Job};
use sluice_tests::cloud::service::{Call, Service};
use sluice_tests::cloud::tasks::CloudTasks;

const INVOKER: &str = "invoker@shop-prod.iam.gserviceaccount.com";

fn endpoints(service: &str, address: &str) -> Endpoints {
    serde_json::from_value(json!({ service: address })).expect("this is how endpoints are typed")
}

async fn queue(tasks: &CloudTasks, loader: &Service) -> Queue {
    let config = QueueConfig {
        sluice_queue: tasks.queue().to_owned(),
        sluice_loader_url: loader.url(),
        sluice_planner_url: Some(format!("{}/", loader.url())),
        sluice_invoker: INVOKER.to_owned(),
    };
    let endpoints = endpoints("sluice_tasks_endpoint", &tasks.url());
    Queue::new(&endpoints, &config).await.expect("a client can be made")
}

fn check(run: RunId, name: &str) -> Check {
    Check { run, name: name.to_owned(), after: Duration::ZERO }
}

/// The claims of the caller's token.
fn claims(call: &Call) -> Value {
    let token = call.header("authorization").strip_prefix("Bearer ").expect("a token");
    let claims = token.split('.').nth(1).expect("a token has three parts");
    let claims = URL_SAFE_NO_PAD.decode(claims).expect("claims are base64");
    serde_json::from_slice(&claims).expect("claims are JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_calls_the_loader_and_a_plan_the_planner() {
    let (tasks, loader) = (CloudTasks::start("sluice").await, Service::start().await);
    let queue = queue(&tasks, &loader).await;
    let run = RunId::generate();
    queue.ask(&check(run, "notice-0")).await.expect("a check can be asked for");
    queue.ask(&check(run, "notice-0")).await.expect("asking twice is allowed");
    let call = loader.wait_for(1).await.remove(0);
    assert_eq!(call.line, format!("POST /runs/{run}/check"));
    assert_eq!(call.body, json!({"name": "notice-0"}));
    assert_eq!(call.header("content-type"), "application/json");
    assert_eq!(call.header("x-cloudtasks-queuename"), "sluice");
    assert_eq!(call.header("x-cloudtasks-taskretrycount"), "0");
    assert!(call.header("x-cloudtasks-taskname").ends_with(&format!("-{run}-notice-0")));
    assert_eq!(claims(&call)["email"], INVOKER);
    assert_eq!(claims(&call)["aud"], loader.url());

    queue.ask_for_plan(run).await.expect("a plan can be asked for");
    let calls = loader.wait_for(2).await;
    assert_eq!(calls[1].line, format!("POST /runs/{run}/plan"));
    assert_eq!(claims(&calls[1])["aud"], loader.url());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(loader.calls().len(), 2, "a task of a name that was used is not made");
    for (name, task) in tasks.tasks(&run.to_string()) {
        assert_eq!(task.task["dispatchDeadline"], "1800s", "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_comes_when_it_is_due_and_until_it_is_answered() {
    let (tasks, loader) = (CloudTasks::start("sluice").await, Service::start().await);
    let queue = queue(&tasks, &loader).await;
    let after = Duration::from_millis(1500);
    let asked = chrono::Utc::now();
    loader.answer([503, 500]);
    let later = Check { after, ..check(RunId::generate(), "sweep-1") };
    queue.ask(&later).await.unwrap();
    let calls = loader.wait_for(3).await;
    assert!((calls[0].at - asked).to_std().unwrap() >= after, "it came too early");
    let retries: Vec<&str> =
        calls.iter().map(|call| call.header("x-cloudtasks-taskretrycount")).collect();
    assert_eq!(retries, ["0", "1", "2"]);
    assert_eq!(calls[2].header("x-cloudtasks-taskpreviousresponse"), "500");
    let answers = || tasks.tasks("sweep-1").into_values().next().unwrap().answers;
    while answers().len() < 3 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(answers(), [503, 500, 204]);
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_survives_trouble_and_says_what_is_wrong() {
    let (tasks, loader) = (CloudTasks::start("sluice").await, Service::start().await);
    let queue = queue(&tasks, &loader).await;
    tasks.trouble([Trouble::AnswerLost, Trouble::TooMany, Trouble::Unavailable]);
    queue.ask(&check(RunId::generate(), "notice-0")).await.expect("it was asked for");
    assert_eq!(tasks.tasks("notice-0").len(), 1);

    tasks.trouble([Trouble::Denied]);
    let error = queue.ask(&check(RunId::generate(), "denied")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.remedy().unwrap().contains("`roles/cloudtasks.enqueuer`"));
    assert!(error.remedy().unwrap().contains("`roles/iam.serviceAccountUser`"));

    let other = CloudTasks::start("other").await;
    let config = QueueConfig {
        sluice_queue: tasks.queue().to_owned(),
        sluice_loader_url: loader.url(),
        sluice_planner_url: None,
        sluice_invoker: INVOKER.to_owned(),
    };
    let endpoints = endpoints("sluice_tasks_endpoint", &other.url());
    let lost = Queue::new(&endpoints, &config).await.unwrap();
    let error = lost.ask(&check(RunId::generate(), "lost")).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.remedy().unwrap().contains("`SLUICE_QUEUE`"));
    let error = lost.ask_for_plan(RunId::generate()).await.unwrap_err();
    assert_eq!(error.remedy(), Some("set `SLUICE_PLANNER_URL`"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_are_lost_late_or_doubled_on_demand() {
    let (tasks, loader) = (CloudTasks::start("sluice").await, Service::start().await);
    let queue = queue(&tasks, &loader).await;
    tasks.weather().set("lost", Fate::Lost);
    tasks.weather().set("twice", Fate::Twice);
    tasks.weather().set("late", Fate::Late(Duration::from_secs(1)));
    for name in ["lost", "late", "twice"] {
        queue.ask(&check(RunId::generate(), name)).await.unwrap();
    }
    let calls = loader.wait_for(3).await;
    let names: Vec<&str> = calls.iter().filter_map(|call| call.body["name"].as_str()).collect();
    assert_eq!(names, ["twice", "twice", "late"]);
    assert!(tasks.tasks("lost").into_values().all(|task| task.answers.is_empty()));
}

#[tokio::test(flavor = "multi_thread")]
async fn googles_python_client_takes_the_stand_in_for_cloud_tasks() {
    let (tasks, loader) = (CloudTasks::start("sluice").await, Service::start().await);
    let script = "
import datetime, json, sys
from google.api_core.exceptions import Conflict, NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import tasks_v2
from google.cloud.tasks_v2.services.cloud_tasks.transports import CloudTasksRestTransport
host, queue, url, email = sys.argv[1:]
client = tasks_v2.CloudTasksClient(transport=CloudTasksRestTransport(
    host=host, url_scheme='http', credentials=AnonymousCredentials()))
due = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(milliseconds=500)
task = tasks_v2.Task(name=queue + '/tasks/by-hand', schedule_time=due,
    dispatch_deadline=datetime.timedelta(minutes=5), http_request=tasks_v2.HttpRequest(
        url=url, body=b'{\"name\": \"by-hand\"}', headers={'Content-Type': 'application/json'},
        oidc_token=tasks_v2.OidcToken(service_account_email=email, audience=url)))
made = client.create_task(parent=queue, task=task)
try:
    client.create_task(parent=queue, task=task)
    again = 'made'
except Conflict:
    again = 'refused'
try:
    client.create_task(parent=queue + 'x', task=task)
    elsewhere = 'made'
except NotFound:
    elsewhere = 'refused'
print(json.dumps({'name': made.name, 'again': again, 'elsewhere': elsewhere}))";
    let host = tasks.url().replace("http://", "");
    let url = format!("{}/runs/x/check", loader.url());
    let Some(said) = in_python(script, &[&host, tasks.queue(), &url, INVOKER]).await else {
        return;
    };
    let name = format!("{}/tasks/by-hand", tasks.queue());
    assert_eq!(said, json!({"name": name, "again": "refused", "elsewhere": "refused"}));
    let call = loader.wait_for(1).await.remove(0);
    assert_eq!((call.line.as_str(), &call.body["name"]), ("POST /runs/x/check", &json!("by-hand")));
    assert_eq!(claims(&call)["email"], INVOKER);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_audit_log_tells_the_loader_how_executions_end() {
    let loader = Service::start().await;
    let mut job = Job::new("extract", "/bin/sh");
    job.arguments = vec!["-c".into(), "exit $CODE".into()];
    job.max_retries = 0;
    let run = CloudRun::start(job).await;
    let events = Events::start(&run, &loader.url(), INVOKER);
    let url = format!("{}/v2/{}:run", run.url(), Job::new("extract", "").full_name());
    let execute = async |code: &str| {
        let variable = json!({"name": "CODE", "value": code});
        let body = json!({"overrides": {"containerOverrides": [{"env": [variable]}]}});
        let answer = reqwest::Client::new().post(&url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
    };
    loader.answer([503]);
    execute("0").await;
    let calls = loader.wait_for(2).await;
    assert_eq!(calls[1].line, "POST /executions");
    assert_eq!(calls[0].body["message"]["messageId"], calls[1].body["message"]["messageId"]);
    assert_eq!(claims(&calls[1])["aud"], loader.url());
    let entry = |call: &Call| -> Value {
        let data = call.body["message"]["data"].as_str().expect("a message has data");
        serde_json::from_slice(&STANDARD.decode(data).expect("data is base64")).expect("JSON")
    };
    let told = entry(&calls[1]);
    let name = run.executions().remove(0);
    let payload = &told["protoPayload"];
    assert_eq!(payload["resourceName"], format!("namespaces/shop-prod/executions/{name}"));
    assert_eq!(payload["methodName"], "/Jobs.RunJob");
    assert_eq!(
        (told["severity"].as_str(), &payload["status"]["code"]),
        (Some("INFO"), &Value::Null)
    );
    let container = &payload["response"]["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["env"][0], json!({"name": "CODE", "value": "0"}));

    events.weather().set("extract", Fate::Twice);
    execute("1").await;
    let calls = loader.wait_for(4).await;
    for call in &calls[2..] {
        assert_eq!(entry(call)["severity"], "ERROR");
        assert_eq!(entry(call)["protoPayload"]["status"]["code"], 10);
    }

    events.weather().set("extract", Fate::Lost);
    execute("0").await;
    run.ended(&run.executions()[2]).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(loader.calls().len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runs_end_reaches_those_who_subscribe() {
    let Some(pubsub) = PubSub::start().await else { return };
    let topic = pubsub.topic("runs").await;
    let waiting = pubsub.subscription("waiting", &topic).await;
    let listener = Service::start().await;
    pubsub.push("listening", &topic, &listener.url()).await;
    let endpoints = endpoints("pubsub_emulator_host", &pubsub.host());
    let client = Client::new(&endpoints, &topic).await.expect("a client can be made");
    let event = RunEvent {
        version: RunEvent::VERSION,
        event: EventName::Finished,
        run: RunId::generate(),
        job: "orders".into(),
        run_key: Some("2026-11-26".into()),
        rows: 7,
        tables: Vec::new(),
        failure: None,
        at: chrono::Utc::now(),
    };
    client.announce(&event).await.expect("the topic exists");

    let message = listener.wait_for(1).await.remove(0).body["message"].clone();
    let attributes =
        json!({"event": "run.finished", "run": event.run.to_string(), "job": "orders"});
    assert_eq!(message["attributes"], attributes);
    let data = STANDARD.decode(message["data"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_slice::<RunEvent>(&data).unwrap(), event);

    let script = "
import json, os, sys
os.environ['PUBSUB_EMULATOR_HOST'] = sys.argv[1]
from google.cloud import pubsub_v1
subscriber = pubsub_v1.SubscriberClient()
pulled = subscriber.pull(subscription=sys.argv[2], max_messages=9, timeout=20)
print(json.dumps([{'attributes': dict(each.message.attributes), **json.loads(each.message.data)}
    for each in pulled.received_messages]))";
    if let Some(said) = in_python(script, &[&pubsub.host(), &waiting]).await {
        assert_eq!(said.as_array().map(Vec::len), Some(1), "{said}");
        assert_eq!(said[0]["attributes"], attributes);
        assert_eq!(said[0]["rows"], 7);
    }

    let nowhere = Client::new(&endpoints, "projects/shop-prod/topics/nowhere").await.unwrap();
    let error = nowhere.announce(&event).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{}", error.chain());
    assert!(error.remedy().unwrap().contains("`SLUICE_TOPIC`"));
}
