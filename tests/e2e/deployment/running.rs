//! The deployment runs: the three programs with the environment that Terraform gives them, used as
//! Cloud Scheduler, Django, Pub/Sub and an operator use them.

use std::time::Duration;

use serde_json::Value;
use sluice_contracts::documents::{EventName, RunEvent, RunId};
use sluice_contracts::store::RunStore;
use sluice_tests::cloud::clients::Gcloud;
use sluice_tests::cloud::deployed::{Deployed, token_of};
use sluice_tests::cloud::django::Django;
use sluice_tests::cloud::orders::{ROWS, Shop};
use sluice_tests::cloud::pubsub::PubSub;
use sluice_tests::cluster::Cluster;
use sluice_tests::postgres::Database;
use sluice_tests::terraform::Deployment;

use super::text;

/// A deployment, and the database that it reads.
struct Running {
    deployed: Deployed,
    database: Database,
    _cluster: Cluster,
}

impl Running {
    /// Deploys everything, and a shop that has no password: its users are those that the module
    /// makes, with the rights that the module says to grant.
    async fn start() -> Option<Self> {
        let deployment = Deployment::of("everything")?;
        let cluster = Cluster::with_passwords()?;
        let database = cluster.database().await;
        Shop::stock(&database).await;
        for user in deployment.all("google_sql_user") {
            let name = text(&user.values["name"]);
            let token = token_of(&name);
            database.execute(&format!("CREATE ROLE \"{name}\" LOGIN PASSWORD '{token}'")).await;
        }
        database.execute(&text(deployment.output("database_grants"))).await;
        let (host, port) = database.address();
        let url = format!("postgres://{host}:{port}/{}?login=google_iam", database.name());
        let secrets = [("SOURCE_URL", url), ("DB_PASSWORD", "of another server".to_owned())];
        let deployed = Deployed::start(deployment, &secrets).await?;
        Some(Self { deployed, database, _cluster: cluster })
    }

    /// Fails unless the run has made `table` the same as the shop's.
    async fn assert_moved(&self, event: &RunEvent, table: &str) {
        let said = || self.deployed.said();
        assert_eq!(event.event, EventName::Finished, "{event:#?}\n{}", said());
        assert_eq!(event.rows, ROWS.unsigned_abs());
        let same = Shop::compare(&self.database, &self.deployed.warehouse, table).await;
        assert!(same.is_ok(), "{same:?}\n{}", said());
    }

    fn store(&self, run: RunId) -> RunStore {
        RunStore::new(self.deployed.bucket(), run)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_becomes_a_table() {
    let Some(running) = Running::start().await else { return };
    let run = running.deployed.schedule("orders").await;
    let event = running.deployed.ended(run).await;
    running.assert_moved(&event, "orders").await;
    assert_eq!(event.job, "orders");
    let [execution] = &running.deployed.run.executions()[..] else { panic!("one execution") };
    let shown = running.deployed.run.execution(execution).expect("it is there");
    assert_eq!(shown["job"], "etl-extractor");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_django_becomes_a_table_and_an_event() {
    let Some(running) = Running::start().await else { return };
    let deployed = &running.deployed;
    let topics =
        ["requests_topic", "events_topic"].map(|name| text(deployed.deployment.output(name)));
    let [requests, events] = topics;
    deployed.pubsub.subscription("django-events", &events).await;
    let Some(django) = Django::start(&deployed.pubsub, &requests, &events).await else { return };
    django.manage(&["close_day", "2026-11-22"]).await;
    let expected = format!("('run.finished', 'orders', 'closing-2026-11-22', {ROWS})");
    assert_eq!(django.runs().await, expected, "{}", deployed.said());
    let same = Shop::compare(&running.database, &deployed.warehouse, "orders").await;
    assert!(same.is_ok(), "{same:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_asks_for_large_and_delayed_tasks_gets_them() {
    let Some(running) = Running::start().await else { return };
    let deployed = &running.deployed;
    let requests = text(deployed.deployment.output("requests_topic"));
    let events = text(deployed.deployment.output("events_topic"));
    let listening = deployed.pubsub.subscription("listening", &events).await;
    let request = base64::Engine::encode(
        &base64::prelude::BASE64_STANDARD,
        r#"{"job": "archive", "run_key": "2026"}"#,
    );
    deployed.pubsub.publish(&requests, &serde_json::json!({"data": request})).await;
    let event = deployed.pubsub.next(&listening).await;
    let event: RunEvent = serde_json::from_value(event).expect("it is an event");
    running.assert_moved(&event, "archive").await;
    let [execution] = &deployed.run.executions()[..] else { panic!("one execution") };
    let shown = deployed.run.execution(execution).expect("it is there");
    assert_eq!(shown["job"], "etl-extractor-large-delayed");
    let manifest = running.store(event.run).manifest().await.expect("there is a plan");
    // 4 vCPUs and 8 GiB, delayed.
    let price = (4.0 * 0.000_018 + 8.0 * 0.000_002) * 0.7;
    let planned = manifest.estimate.dollars_per_second.expect("it is known");
    assert!((planned - price).abs() < 1e-12, "{planned}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_carries_a_run_on_with_the_commands_of_the_outputs() {
    let Some(gcloud) = Gcloud::find() else { return };
    let Some(mut running) = Running::start().await else { return };
    // Without the loader, nothing but the operator launches the run again.
    running.deployed.loader.kill().await;
    running.deployed.run.let_start(false);
    let run = running.deployed.schedule("orders").await;
    let execution = 'found: {
        for _ in 0..600 {
            if let Some(name) = running.deployed.run.executions().first() {
                break 'found name.clone();
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("nothing was launched:\n{}", running.deployed.said());
    };
    let cancelled = gcloud.jobs(&running.deployed.run, &["executions", "cancel", &execution]).await;
    assert_eq!(cancelled.code, Some(0), "{cancelled}");
    running.deployed.run.ended(&execution).await;
    running.deployed.run.let_start(true);

    let commands = text(running.deployed.deployment.output("commands"));
    let command = commands.lines().find(|line| line.starts_with("gcloud run jobs execute "));
    let command = command.expect("it is there").replace("/RUN/", &format!("/{run}/"));
    let words: Vec<&str> = command.split(' ').collect();
    assert_eq!(words[..3], ["gcloud", "run", "jobs"], "{command}");
    let arguments = [&words[3..], &["--wait"]].concat();
    let ended = gcloud.jobs(&running.deployed.run, &arguments).await;
    assert_eq!(ended.code, Some(0), "{ended}\n{}", running.deployed.said());
    running.deployed.loader.start().await;
    let event = running.deployed.ended(run).await;
    running.assert_moved(&event, "orders").await;
}

/// What a service answers a call with a token of this account for this audience.
async fn answered(deployed: &Deployed, email: &str, audience: &str) -> u16 {
    let call = reqwest::Client::new()
        .post(format!("{}/runs", deployed.planner.url()))
        .header("Authorization", sluice_tests::cloud::delivery::bearer(email, audience))
        .json(&serde_json::json!({"job": "nothing"}));
    call.send().await.expect("the planner answers").status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_callers_of_the_module_are_answered() {
    let Some(running) = Running::start().await else { return };
    let deployed = &running.deployed;
    let accounts: &Value = deployed.deployment.output("accounts");
    let planner = text(deployed.deployment.output("planner_url"));
    let loader = text(deployed.deployment.output("loader_url"));
    for (account, status) in [("scheduler", 404), ("requests", 404), ("tasks", 404)] {
        let email = text(&accounts[account]);
        assert_eq!(answered(deployed, &email, &planner).await, status, "{account}");
        assert_eq!(answered(deployed, &email, &loader).await, 403, "{account}, for the loader");
    }
    for account in ["extractor", "loader", "signals"] {
        let email = text(&accounts[account]);
        assert_eq!(answered(deployed, &email, &planner).await, 403, "{account}");
    }
    let names = PubSub::name("topics", "etl-requests");
    assert_eq!(names, text(deployed.deployment.output("requests_topic")));
}
