//! The users of Google Cloud: a Django view that publishes a message, and an operator at a
//! terminal.

use object_store::ObjectStoreExt as _;
use serde_json::json;
use sluice_contracts::documents::EventName;
use sluice_tests::cloud::clients::{Gcloud, bq, in_python};
use sluice_tests::cloud::django::Django;
use sluice_tests::cloud::orders::{ROWS, Shop};
use sluice_tests::cloud::pubsub::PubSub;

/// What a Django view does after its transaction is committed.
const PUBLISH: &str = r#"
import json, os, sys
host, topic, request = sys.argv[1:]
os.environ["PUBSUB_EMULATOR_HOST"] = host
from google.cloud import pubsub_v1
publisher = pubsub_v1.PublisherClient()
print(json.dumps(publisher.publish(topic, request.encode(), run_key="order 4711").result(timeout=30)))
"#;

/// A program that listens for the end of a run.
const LISTEN: &str = r#"
import json, os, sys, time
host, subscription = sys.argv[1:]
os.environ["PUBSUB_EMULATOR_HOST"] = host
from google.cloud import pubsub_v1
subscriber = pubsub_v1.SubscriberClient()
end = time.monotonic() + 120
while time.monotonic() < end:
    answer = subscriber.pull(subscription=subscription, max_messages=1, timeout=30)
    for received in answer.received_messages:
        print(json.dumps({"attributes": dict(received.message.attributes), "data": json.loads(received.message.data)}))
        sys.exit()
sys.exit("no event came")
"#;

#[tokio::test(flavor = "multi_thread")]
async fn one_message_becomes_a_table() {
    let Some(pubsub) = PubSub::start().await else { return };
    let ends = pubsub.topic("runs").await;
    let listening = pubsub.subscription("listening", &ends).await;
    let told = Some((pubsub.host(), ends));
    let Some(shop) =
        Shop::open_with(|setting| sluice_tests::cloud::world::Setting { pubsub: told, ..setting })
            .await
    else {
        return;
    };
    let requests = pubsub.topic("requests").await;
    let planner = format!("{}/pubsub", shop.world.planner.url());
    pubsub.push("planner", &requests, &planner).await;

    let request = Shop::request().to_string();
    let Some(_) = in_python(PUBLISH, &[&pubsub.host(), &requests, &request]).await else { return };
    let event = in_python(LISTEN, &[&pubsub.host(), &listening]).await.expect("Python was there");
    assert_eq!(
        event["attributes"]["event"],
        EventName::Finished.name(),
        "{event:#}\n{}",
        shop.world.said()
    );
    assert_eq!(event["data"]["run_key"], "order 4711");

    let sql = format!("SELECT {} AS facts FROM sales.orders", Shop::facts(true));
    let Some(rows) = bq(&shop.world.warehouse, &["query", "--nouse_legacy_sql", &sql]).await else {
        return;
    };
    let expected = shop.database.text(&format!("SELECT {} FROM orders", Shop::facts(false))).await;
    assert_eq!(rows, json!([{"facts": expected}]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_that_is_closed_in_django_becomes_a_table() {
    let Some(pubsub) = PubSub::start().await else { return };
    let events = pubsub.topic("sluice-events").await;
    let requests = PubSub::name("topics", "sluice-requests");
    let Some(django) = Django::start(&pubsub, &requests, &events).await else { return };
    let told = Some((pubsub.host(), events));
    let Some(shop) =
        Shop::open_with(|setting| sluice_tests::cloud::world::Setting { pubsub: told, ..setting })
            .await
    else {
        return;
    };
    // The example asks for the job by its name.
    let job = Shop::request()["job"].to_string();
    let bucket = shop.world.storage.bucket("etl");
    let path = format!("{}/jobs/orders.yaml", bucket.prefix);
    bucket.store.put(&path.as_str().into(), job.into()).await.expect("the job file is written");
    django.manage(&["make_topics", "--planner", &shop.world.planner.url()]).await;

    django.manage(&["close_day", "2026-11-22"]).await;
    let expected = format!("('run.finished', 'orders', 'closing-2026-11-22', {ROWS})");
    assert_eq!(django.runs().await, expected, "{}", shop.world.said());
    shop.assert_same().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_finishes_an_interrupted_run() {
    let Some(gcloud) = Gcloud::find() else { return };
    let Some(mut shop) = Shop::open_with(|setting| sluice_tests::cloud::world::Setting {
        max_retries: 0,
        ..setting
    })
    .await
    else {
        return;
    };
    // Only the operator launches the run again.
    shop.world.loader.kill().await;
    let run = shop.world.ask(&Shop::request()).await;
    let store = shop.world.store(run);
    for _ in 0..600 {
        if shop.world.run.kill_a_task().is_some() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let execution = loop {
        if let Some(name) = shop.world.run.executions().first() {
            break name.clone();
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    };
    // The other tasks wait for the units that the killed task has not read; the operator does not.
    let cancelled = gcloud.jobs(&shop.world.run, &["executions", "cancel", &execution]).await;
    assert_eq!(cancelled.code, Some(0), "{cancelled}");
    shop.world.run.ended(&execution).await;

    let manifest = store.manifest().await.expect("the run was planned");
    let url = format!("{}/runs/{run}/manifest.json", manifest.bucket);
    let variable = format!("--update-env-vars=SLUICE_MANIFEST={url}");
    // An execution by hand has the job's own timeout otherwise.
    let timeout = "--task-timeout=24h";
    let ended = gcloud
        .jobs(
            &shop.world.run,
            &["execute", "sluice-extractor", "--tasks", "3", timeout, &variable, "--wait"],
        )
        .await;
    assert_eq!(ended.code, Some(0), "{ended}\n{}", shop.world.said());
    shop.world.loader.start().await;
    let event = shop.world.ended(run).await;
    shop.assert_moved(&event).await;
    assert_eq!(shop.world.run.executions().len(), 2);
}
