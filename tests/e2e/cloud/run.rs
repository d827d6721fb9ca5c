//! Executions of a Cloud Run job, on a stand-in that also serves `gcloud`.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sluice_contracts::Kind;
use sluice_contracts::documents::TaskKind;
use sluice_contracts::ports::{ExecutionState, Executions as _};
use sluice_runtime::google::Endpoints;
use sluice_runtime::google::executions::{CloudRun as Client, TaskJobs};
use sluice_tests::cloud::Trouble;
use sluice_tests::cloud::clients::Gcloud;
use sluice_tests::cloud::run::{CloudRun, Job};
use sluice_tests::oracle::{Expected, assert_same};
use sluice_tests::postgres::Database;
use sluice_tests::sluice::{Site, other_program};

use crate::crashes::{kill_half_way, resume, slow_orders, start};

const MANIFEST: &str = "gs://bucket/runs/0193f2c4-7d3a-7c51-9f0e-2b6a4c1d8e90/manifest.json";

const USUAL: TaskKind = TaskKind { task_size: None, delay_execution: false };

/// A job whose container runs a shell script.
fn shell(script: &str) -> Job {
    let mut job = Job::new("extract", "/bin/sh");
    job.arguments = vec!["-c".into(), script.into()];
    job
}

async fn client(run: &CloudRun) -> Client {
    client_with(run, Duration::from_hours(1)).await
}

/// A client whose tasks may take this long.
async fn client_with(run: &CloudRun, task_timeout: Duration) -> Client {
    let job = Job::new("extract", "").full_name();
    let others = ["large=extract-large", "delayed=extract-delayed"].map(str::to_owned);
    let jobs = TaskJobs::new(&job, &others).expect("these are jobs");
    Client::new(&endpoints(run), jobs, task_timeout).await.expect("a client can be made")
}

fn endpoints(run: &CloudRun) -> Endpoints {
    let typed = json!({"sluice_run_endpoint": run.url()});
    serde_json::from_value(typed).expect("this is how endpoints are typed")
}

/// Waits until an execution has ended.
async fn ended(client: &Client, execution: &str) -> ExecutionState {
    for _ in 0..600 {
        let state = client.state(execution).await.expect("an execution can be read");
        let state = state.expect("there is an execution of that name");
        if state.ended.is_some() {
            return state;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("`{execution}` did not end within half a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_finds_its_manifest_and_its_launch() {
    let site = Site::new();
    let mut job = shell(
        "echo $CLOUD_RUN_JOB $CLOUD_RUN_EXECUTION $CLOUD_RUN_TASK_COUNT $CLOUD_RUN_TASK_ATTEMPT \
         $SLUICE_MANIFEST $SLUICE_LAUNCH $OTHER > $FOLDER/$CLOUD_RUN_TASK_INDEX",
    );
    job.environment = vec![
        ("FOLDER".into(), site.path().display().to_string()),
        ("OTHER".into(), "of the job".into()),
        ("SLUICE_LAUNCH".into(), "overridden".into()),
    ];
    let run = CloudRun::start(job).await;
    let client = client(&run).await;
    let name = client.start(&USUAL, MANIFEST, 2, 5).await.expect("an execution starts");
    assert_eq!(run.executions(), [name.as_str()]);
    let state = ended(&client, &name).await;
    assert_eq!((state.succeeded, state.failed, state.cancelled), (5, 0, 0));
    assert!(state.created <= state.started.unwrap() && state.started <= state.ended, "{state:?}");
    assert!(state.log_url.is_some() && state.message.is_none(), "{state:?}");
    for index in 0..5 {
        let said = fs::read_to_string(site.path().join(index.to_string())).unwrap();
        assert_eq!(said.trim(), format!("extract {name} 5 0 {MANIFEST} 2 of the job"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_may_have_happened_is_not_repeated() {
    let run = CloudRun::start(shell("true")).await;
    let client = client(&run).await;
    run.trouble([Trouble::AnswerLost]);
    let error = client.start(&USUAL, MANIFEST, 0, 1).await.unwrap_err();
    assert!(error.is_transient(), "{}", error.chain());
    assert_eq!(run.executions().len(), 1);

    // No execution was started, but the caller cannot know that.
    run.trouble([Trouble::Unavailable]);
    assert!(client.start(&USUAL, MANIFEST, 0, 1).await.unwrap_err().is_transient());
    assert_eq!(run.executions().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_was_one_of_too_many_is_repeated() {
    let run = CloudRun::start(shell("true")).await;
    let client = client(&run).await;
    run.trouble([Trouble::TooMany, Trouble::TooMany]);
    client.start(&USUAL, MANIFEST, 0, 1).await.expect("the third call starts it");
    assert_eq!(run.executions().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_names_the_role_or_the_variable() {
    let run = CloudRun::start(shell("true")).await;
    let client = client(&run).await;
    run.trouble([Trouble::Denied]);
    let error = client.start(&USUAL, MANIFEST, 0, 1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.remedy().unwrap().contains("`roles/run.jobsExecutorWithOverrides`"));
    run.trouble([Trouble::Denied]);
    let error = client.tasks(&USUAL).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Denied);
    assert!(error.remedy().unwrap().contains("`roles/run.viewer`"));
    run.trouble([Trouble::Denied]);
    let error = client.state("extract-1").await.unwrap_err();
    assert!(error.remedy().unwrap().contains("`roles/run.viewer`"));

    let jobs = |name: &str| TaskJobs::new(name, &[]);
    let other = jobs(&Job::new("other", "").full_name()).unwrap();
    let other = Client::new(&endpoints(&run), other, Duration::from_hours(1)).await.unwrap();
    let error = other.start(&USUAL, MANIFEST, 0, 1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.remedy().unwrap().contains("`SLUICE_EXTRACTOR_JOB`"));
    assert_eq!(jobs("extract").unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_look_is_repeated_until_it_is_answered() {
    let run = CloudRun::start(shell("true")).await;
    let client = client(&run).await;
    let name = client.start(&USUAL, MANIFEST, 0, 1).await.unwrap();
    run.ended(&name).await;
    run.trouble([Trouble::Unavailable, Trouble::TooMany]);
    assert_eq!(client.state(&name).await.unwrap().unwrap().succeeded, 1);
    assert_eq!(client.state("extract-nobody").await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_ends_the_tasks_and_may_be_done_twice() {
    // One task ends at SIGTERM; the other ignores it and has to be killed.
    let mut job = shell(
        "test $CLOUD_RUN_TASK_INDEX = 0 || trap '' TERM
         while true; do sleep 0.05; done",
    );
    job.grace = Duration::from_millis(300);
    let run = CloudRun::start(job).await;
    let client = client(&run).await;
    let name = client.start(&USUAL, MANIFEST, 0, 2).await.unwrap();
    while run.execution(&name).unwrap()["runningCount"] != 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    client.cancel(&name).await.expect("an execution can be cancelled");
    let state = ended(&client, &name).await;
    assert_eq!((state.succeeded, state.failed, state.cancelled), (0, 0, 2));
    assert!(state.message.unwrap().contains("cancelled"));
    client.cancel(&name).await.expect("one that has ended stays as it is");
    client.cancel("extract-nobody").await.expect("one that is gone has ended");
    run.trouble([Trouble::Denied]);
    client.cancel(&name).await.expect("one that has ended needs no permission");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_execution_that_never_starts_can_be_told_and_cancelled() {
    let run = CloudRun::start(shell("true")).await;
    let client = client(&run).await;
    run.let_start(false);
    let name = client.start(&USUAL, MANIFEST, 0, 3).await.unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let state = client.state(&name).await.unwrap().unwrap();
    assert_eq!((state.started, state.ended), (None, None));
    client.cancel(&name).await.unwrap();
    let state = ended(&client, &name).await;
    assert_eq!((state.started, state.cancelled), (None, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_is_started_again_as_often_as_the_job_allows() {
    for (max_retries, succeeded) in [(2, 1), (1, 0)] {
        // The attempts end with an exit code, then by a signal, then with success.
        let mut job = shell("case $CLOUD_RUN_TASK_ATTEMPT in 0) exit 3;; 1) kill -9 $$;; esac");
        job.max_retries = max_retries;
        let run = CloudRun::start(job).await;
        let client = client(&run).await;
        let name = client.start(&USUAL, MANIFEST, 0, 1).await.unwrap();
        let state = ended(&client, &name).await;
        assert_eq!((state.succeeded, state.failed), (succeeded, 1 - succeeded));
        assert_eq!(run.execution(&name).unwrap()["retriedCount"], 1);
        if succeeded == 0 {
            let message = state.message.unwrap();
            assert!(message.contains("0/1 tasks were a success"), "{message}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_may_take_as_long_as_its_execution_says_whatever_its_job_says() {
    let mut job = shell("sleep 2.5");
    job.timeout = Duration::from_secs(1);
    job.max_retries = 0;
    job.grace = Duration::from_millis(100);
    let run = CloudRun::start(job).await;
    for (timeout, succeeded) in [(Duration::from_hours(168), 2), (Duration::from_secs(1), 0)] {
        let client = client_with(&run, timeout).await;
        let name = client.start(&USUAL, MANIFEST, 0, 2).await.expect("an execution starts");
        let state = ended(&client, &name).await;
        assert_eq!((state.succeeded, state.failed), (succeeded, 2 - succeeded), "{state:?}");
        let timeout = format!("{}s", timeout.as_secs());
        assert_eq!(run.execution(&name).unwrap()["template"]["timeout"], timeout);
        if succeeded == 0 {
            let message = state.message.unwrap();
            assert!(message.contains("The configured timeout was reached"), "{message}");
        }
    }
    let error =
        client_with(&run, Duration::from_hours(169)).await.start(&USUAL, MANIFEST, 0, 1).await;
    assert_eq!(error.unwrap_err().kind(), Kind::Invalid);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_job_says_how_many_tasks_run_at_once() {
    for (parallelism, read) in [(0, None), (1, Some(1)), (250, Some(250))] {
        let mut job = shell("true");
        job.parallelism = parallelism;
        let run = CloudRun::start(job).await;
        run.trouble([Trouble::Unavailable]);
        assert_eq!(client(&run).await.tasks(&USUAL).await.unwrap().parallelism, read);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_tasks_has_its_job() {
    let of = |name: &str, cpus: &str, memory: &str| {
        let size = (cpus.to_owned(), memory.to_owned());
        Job { name: name.to_owned(), size, ..shell("true") }
    };
    let run = CloudRun::with(vec![
        of("extract", "1000m", "2Gi"),
        of("extract-large", "4", "8Gi"),
        of("extract-delayed", "1", "512Mi"),
    ])
    .await;
    let client = client_with(&run, Duration::from_hours(24)).await;
    let large = TaskKind { task_size: Some("large".to_owned()), delay_execution: false };
    let delayed = TaskKind { task_size: None, delay_execution: true };
    for (kind, job, size, timeout) in [
        (&USUAL, "extract", (1.0, 2.0), "86400s"),
        (&large, "extract-large", (4.0, 8.0), "86400s"),
        // Cloud Run ends the tasks of a delayed execution after 12 hours.
        (&delayed, "extract-delayed", (1.0, 0.5), "43200s"),
    ] {
        assert_eq!(client.tasks(kind).await.unwrap().size, Some(size), "{job}");
        let name = client.start(kind, MANIFEST, 0, 1).await.unwrap();
        let shown = run.execution(&name).unwrap();
        assert_eq!(shown["job"], job);
        assert_eq!(shown["template"]["timeout"], timeout, "{job}");
        // It is found under its own job.
        assert_eq!(ended(&client, &name).await.succeeded, 1);
        client.cancel(&name).await.unwrap();
    }
    let other = TaskKind { task_size: Some("huge".to_owned()), delay_execution: false };
    let error = client.start(&other, MANIFEST, 0, 1).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Invalid);
    assert!(error.remedy().is_some_and(|hint| hint.contains("`delayed`, `large`")), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_tasks_run_at_once_than_the_job_allows() {
    let site = Site::new();
    let log = site.file("log", "");
    let mut job = shell("echo in >> $LOG; sleep 0.1; echo out >> $LOG");
    job.environment = vec![("LOG".into(), log.display().to_string())];
    job.parallelism = 1;
    let run = CloudRun::start(job).await;
    let name = client(&run).await.start(&USUAL, MANIFEST, 0, 4).await.unwrap();
    run.ended(&name).await;
    assert_eq!(fs::read_to_string(log).unwrap(), "in\nout\n".repeat(4));
}

#[tokio::test(flavor = "multi_thread")]
async fn gcloud_takes_the_stand_in_for_cloud_run() {
    let Some(gcloud) = Gcloud::find() else { return };
    let mut job = shell("sleep 2; test $WELL = yes");
    job.timeout = Duration::from_secs(1);
    let run = CloudRun::start(job).await;
    let variables = "--update-env-vars=WELL=yes";
    let execute =
        ["execute", "extract", "--tasks", "3", "--task-timeout", "1h", variables, "--wait"];
    let executed = gcloud.jobs(&run, &execute).await;
    executed.succeeded();
    assert!(executed.stderr.contains("has successfully completed"), "{executed}");
    let name = run.executions().remove(0);

    let described: Value = serde_json::from_str(
        &gcloud.jobs(&run, &["executions", "describe", &name, "--format=json"]).await.stdout,
    )
    .expect("gcloud answers in JSON");
    assert_eq!(described["status"]["succeededCount"], 3);
    let state = client(&run).await.state(&name).await.unwrap().unwrap();
    assert_eq!(state.succeeded, 3, "both forms of the API show the same");

    run.let_start(false);
    let waiting = client(&run).await.start(&USUAL, MANIFEST, 0, 1).await.unwrap();
    gcloud.jobs(&run, &["executions", "cancel", &waiting]).await.succeeded();
    assert_eq!(run.ended(&waiting).await["cancelledCount"], 1);
    run.let_start(true);

    let list = ["executions", "list", "--job=extract", "--format=value(name)"];
    let listed = gcloud.jobs(&run, &list).await;
    for name in run.executions() {
        assert!(listed.stdout.contains(&name), "{listed}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn gcloud_is_told_of_an_execution_that_fails() {
    let Some(gcloud) = Gcloud::find() else { return };
    let mut job = shell("exit 1");
    job.max_retries = 0;
    let run = CloudRun::start(job).await;
    let executed = gcloud.jobs(&run, &["execute", "extract", "--wait"]).await;
    assert_eq!(executed.code, Some(1), "{executed}");
    assert!(executed.stderr.contains("The execution failed"), "{executed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_executes_the_job_and_fills_the_gap() {
    let Some(gcloud) = Gcloud::find() else { return };
    let Some(extractor) = other_program("extractor") else { return };
    let Some(database) = Database::fresh().await else { return };
    let (_proxy, site, job) = slow_orders(&database).await;
    let run = kill_half_way(&site, start(&site, &job), 3).await;
    assert!(!site.table("orders").exists(), "a killed run is not visible");

    let stand_in = CloudRun::start(extract(extractor, &site)).await;
    let manifest = format!("{}/runs/{run}/manifest.json", site.bucket());
    let variable = format!("--update-env-vars=SLUICE_MANIFEST={manifest}");
    let killing = async {
        let begun = Instant::now();
        // Kill the first task that is seen, and another one later.
        for later in [0, 700] {
            tokio::time::sleep(Duration::from_millis(later)).await;
            while stand_in.kill_a_task().is_none() && begun.elapsed() < Duration::from_mins(1) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let execute = ["execute", "extract", "--tasks", "3", &variable, "--wait"];
    let (executed, ()) = tokio::join!(gcloud.jobs(&stand_in, &execute), killing);
    assert_eq!(executed.code, Some(0), "{executed}\n{}", stand_in.log());
    let shown = stand_in.ended(&stand_in.executions()[0]).await;
    assert!(shown["retriedCount"].as_u64() >= Some(1), "no task was killed: {shown}");

    let ended = resume(&site, &job, &run).ended().await;
    assert_eq!(ended.code, Some(0), "{ended}");
    assert_same(Expected::Table(&database, "orders"), &site.table("orders")).await;
}

/// The job of a site's runs.
fn extract(extractor: PathBuf, site: &Site) -> Job {
    let mut job = Job::new("extract", extractor);
    job.environment = site.variables().to_vec();
    job
}
