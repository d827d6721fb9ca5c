//! A task of an execution: a process, started again until it succeeds or has no retries left.

use std::fs::OpenOptions;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::faults;

use super::execution::{Ask, Execution};
use super::run::{Inner, Job};

/// How an attempt ended.
enum Ending {
    Well,
    Cancelled,
    Badly(String),
}

/// Runs task `index` of `execution`, with its retries, to its end.
pub(super) async fn carry_out(inner: &Inner, execution: &str, job: &Job, ask: &Ask, index: u32) {
    let Some(mut cancelled) = inner.cancellation(execution) else { return };
    let change = |change: &dyn Fn(&mut Execution)| inner.change(execution, |found| change(found));
    let mut death = String::new();
    for attempt in 0..=job.max_retries {
        if *cancelled.borrow() {
            change(&|execution| execution.cancelled += 1);
            return;
        }
        if attempt == 1 {
            change(&|execution| execution.retried += 1);
        }
        change(&|execution| execution.running += 1);
        let ending = try_once(inner, (execution, job), ask, (index, attempt), &mut cancelled).await;
        change(&|execution| execution.running -= 1);
        match ending {
            Ending::Well => {
                change(&|execution| execution.succeeded += 1);
                return;
            }
            Ending::Cancelled => {
                change(&|execution| execution.cancelled += 1);
                return;
            }
            Ending::Badly(why) => death = format!(" Task {execution}-task{index} failed: {why}"),
        }
    }
    change(&|execution| {
        execution.failed += 1;
        execution.death.get_or_insert_with(|| death.clone());
    });
}

async fn try_once(
    inner: &Inner,
    (execution, job): (&str, &Job),
    ask: &Ask,
    (index, attempt): (u32, u32),
    cancelled: &mut watch::Receiver<bool>,
) -> Ending {
    let log = inner.logs.path().join(format!("{execution}-{index}-{attempt}.log"));
    let log = OpenOptions::new().create(true).append(true).open(log).expect("a log can be kept");
    let mut child = Command::new(&job.program)
        .args(&ask.arguments)
        .env_clear()
        .envs(ask.environment.iter().map(|(name, value)| (name, value)))
        .env("CLOUD_RUN_JOB", &job.name)
        .env("CLOUD_RUN_EXECUTION", execution)
        .env("CLOUD_RUN_TASK_INDEX", index.to_string())
        .env("CLOUD_RUN_TASK_ATTEMPT", attempt.to_string())
        .env("CLOUD_RUN_TASK_COUNT", ask.task_count.to_string())
        .stdin(Stdio::null())
        .stdout(log.try_clone().expect("a log can be shared"))
        .stderr(log)
        .kill_on_drop(true)
        .spawn()
        .expect("the job's program starts");
    let process = child.id().expect("a process that was just started has an id");
    inner.born(process);
    let deadline = Duration::from_secs(ask.timeout_seconds);
    let (ending, is_over) = tokio::select! {
        ended = child.wait() => (judged(ended.expect("a task can be waited for")), true),
        () = is_set(cancelled) => (Ending::Cancelled, false),
        () = tokio::time::sleep(deadline) => {
            (Ending::Badly("The configured timeout was reached".into()), false)
        }
    };
    if !is_over {
        stop(&mut child, process, job.grace).await;
    }
    inner.died(process);
    ending
}

/// Waits until `flag` is set. Waits forever if its sender is gone.
pub(super) async fn is_set(flag: &mut watch::Receiver<bool>) {
    if flag.wait_for(|set| *set).await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn judged(status: ExitStatus) -> Ending {
    if status.success() {
        return Ending::Well;
    }
    Ending::Badly(match status.code() {
        Some(code) => format!("the container exited with code {code}"),
        None => "the container was killed by a signal".into(),
    })
}

/// Sends SIGTERM, and SIGKILL if the process still runs after `grace`.
async fn stop(child: &mut Child, process: u32, grace: Duration) {
    faults::terminate(process);
    if tokio::time::timeout(grace, child.wait()).await.is_err() {
        child.kill().await.expect("a task can be killed");
    }
}
