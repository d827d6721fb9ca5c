//! Tasks that end well, badly, and not at all.

use std::time::{Duration, Instant};

use chrono::Utc;
use sluice_contracts::documents::RunId;
use tempfile::TempDir;

use super::*;

struct World {
    _dir: TempDir,
    store: RunStore,
    stop: watch::Sender<bool>,
}

impl World {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let url = format!("file://{}/bucket", dir.path().display());
        let bucket = sluice_runtime::storage::open_bucket(&url).unwrap();
        let (stop, _) = watch::channel(false);
        Self { _dir: dir, store: RunStore::new(bucket, RunId::generate()), stop }
    }

    /// Runs a shell script as every task, and gives all that happened.
    async fn run(&self, script: &str, tasks: &[u32]) -> Vec<Event> {
        let (events, mut heard) = mpsc::unbounded_channel();
        let launcher = ChildProcesses {
            command: ("/bin/sh".into(), vec!["-c".into(), script.into()]),
            store: self.store.clone(),
            events,
            stop: self.stop.subscribe(),
        };
        launcher.launch(&self.store.manifest_url(), tasks).await.unwrap();
        drop(launcher);
        let mut all = Vec::new();
        while let Some(event) = heard.recv().await {
            all.push(event);
        }
        all
    }
}

fn warnings(events: &[Event]) -> Vec<&str> {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Warned { message, .. } => Some(message.as_str()),
            _ => None,
        })
        .collect()
}

fn error(events: &[Event]) -> String {
    match events.last() {
        Some(Event::Failed { error, .. }) => error.chain(),
        other => panic!("the task should have failed: {other:?}"),
    }
}

#[tokio::test]
async fn a_task_finds_what_cloud_run_would_tell_it() {
    let world = World::new();
    let script = r#"printf '{"severity":"WARNING","message":"%s %s %s %s %s %s"}\n' \
        $CLOUD_RUN_TASK_INDEX $CLOUD_RUN_TASK_COUNT $CLOUD_RUN_TASK_ATTEMPT \
        $CLOUD_RUN_JOB $SLUICE_MANIFEST $SLUICE_LAUNCH >&2
        printf '{"progress":true,"task":%s,"rows":1,"bytes":1,"units_done":1,"generation":0}\n' $CLOUD_RUN_TASK_INDEX >&2
        test -n "$CLOUD_RUN_EXECUTION""#;
    let events = world.run(script, &[4]).await;
    assert_eq!(warnings(&events), [format!("0 1 0 sluice {} 0", world.store.manifest_url())]);
    // Events name the task by its place in the plan.
    assert!(matches!(events[1], Event::Progress(Progress { task: 4, rows: 1, .. })), "{events:?}");
    assert!(matches!(events.last(), Some(Event::Done { task: 4 })));
}

#[tokio::test]
async fn what_is_started_was_ordered_and_is_claimed() {
    let world = World::new();
    world.run("exit 0", &[0, 1, 2]).await;
    let events = world.run("test $CLOUD_RUN_TASK_COUNT = 2", &[5, 2]).await;
    assert!(events.iter().all(|event| matches!(event, Event::Done { .. })), "{events:?}");
    for (launch, tasks) in [(0, vec![0, 1, 2]), (1, vec![5, 2])] {
        assert_eq!(world.store.order(launch).await.unwrap().unwrap().tasks, tasks);
        assert!(world.store.claim(launch).await.unwrap().is_some());
    }
    assert_eq!(world.store.newest_launch().await.unwrap(), Some(1));
}

#[tokio::test]
async fn a_killed_task_is_started_again_three_times() {
    let world = World::new();
    let script = r"test $CLOUD_RUN_TASK_ATTEMPT = 2 || kill -9 $$";
    let events = world.run(script, &[0, 1]).await;
    let retries = |of| {
        events.iter().filter(|e| matches!(e, Event::Retried { task, .. } if *task == of)).count()
    };
    assert_eq!((retries(0), retries(1)), (2, 2));
    assert_eq!(events.iter().filter(|event| matches!(event, Event::Done { .. })).count(), 2);

    let events = world.run("echo 'thread main panicked' >&2; exit 101", &[0]).await;
    assert_eq!(events.len(), 4);
    assert_eq!(
        error(&events),
        "task 0 failed 4 times, at last with exit code 101: it said\n  thread main panicked"
    );
}

#[tokio::test]
async fn a_task_that_says_it_is_of_no_use_is_not_started_again() {
    let world = World::new();
    let failures = world.store.layout().failures();
    let folder = format!("{}/{failures}", &world.store.bucket().url["file://".len()..]);
    let failure = Failure {
        version: Failure::VERSION,
        task: 0,
        attempt: 0,
        execution: "EXECUTION".into(),
        unit: None,
        kind: Kind::Data,
        message: "read unit 3: column `x` is gone".into(),
        hint: Some("plan again".into()),
        at: Utc::now(),
    };
    let text = serde_json::to_string(&failure).unwrap();
    let script = format!(
        "mkdir -p {folder}; echo '{text}' | sed s/EXECUTION/$CLOUD_RUN_EXECUTION/ > {folder}/a.json; exit 1"
    );
    let events = world.run(&script, &[3]).await;
    assert_eq!(events.len(), 1);
    assert_eq!(error(&events), "read unit 3: column `x` is gone");

    let script = script.replace(r#""data""#, r#""transient""#);
    let events = world.run(&script, &[3]).await;
    assert!(matches!(&events[0], Event::Retried { why, .. } if why.contains("is gone")));
    // The later attempts record no failure of their own: the document says `attempt: 0`.
    assert_eq!(events.len(), 4);
}

#[tokio::test]
async fn tasks_that_are_told_to_stop_end_at_once_and_are_not_started_again() {
    let world = World::new();
    let started = Instant::now();
    let stop = world.stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(300)).await;
        stop.send_replace(true);
    });
    let events = world.run("exec sleep 60", &[0, 1, 2]).await;
    assert!(events.iter().all(|event| matches!(event, Event::Stopped { .. })), "{events:?}");
    assert_eq!(events.len(), 3);
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_program_that_is_not_there_is_an_error() {
    let world = World::new();
    let (events, mut heard) = mpsc::unbounded_channel();
    let launcher = ChildProcesses {
        command: ("/no/such/program".into(), vec![]),
        store: world.store.clone(),
        events,
        stop: world.stop.subscribe(),
    };
    launcher.launch("file:///b/runs/x/manifest.json", &[0]).await.unwrap();
    let event = heard.recv().await;
    assert!(matches!(event, Some(Event::Failed { task: 0, .. })), "{event:?}");
}
