//! One attempt of a task: a process.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{ChildStderr, Command};
use tokio::sync::{mpsc, watch};

use super::output::{Last, Line};
use super::{Event, Execution, Place, Progress, told_to_stop};

/// Cloud Run kills a task this long after it has asked it to end.
const GRACE: Duration = Duration::from_secs(10);
/// Name of the Cloud Run Job that a task finds in its environment.
const JOB: &str = "sluice";

/// Environment variable in which a task finds the process id of the run that started it.
pub(crate) const PARENT: &str = "SLUICE_PARENT";

/// How an attempt ended.
pub(super) enum Ended {
    /// With exit code 0.
    Done,
    /// Because it was asked to.
    Stopped,
    /// Otherwise.
    Failed(Failed),
}

/// An attempt that failed.
pub(super) struct Failed {
    /// `exit code 1`, `signal 9`.
    pub(super) how: String,
    lines: Vec<String>,
}

impl Failed {
    /// The error of a task that recorded no failure itself.
    pub(super) fn error(&self, task: u32, attempts: u32) -> Error {
        let times = match attempts {
            1 => "once".to_owned(),
            more => format!("{more} times"),
        };
        let error =
            Error::transient(format!("task {task} failed {times}, at last with {}", self.how));
        if self.lines.is_empty() { error } else { error.because(Said(self.lines.clone())) }
    }
}

/// The last lines of a task.
#[derive(Debug, thiserror::Error)]
#[error("it said\n  {}", .0.join("\n  "))]
struct Said(Vec<String>);

/// A running attempt.
pub(super) struct Child {
    task: u32,
    process: tokio::process::Child,
    output: ChildStderr,
}

impl Child {
    /// Starts an attempt with the environment that Cloud Run gives it.
    pub(super) fn start(execution: &Execution, place: Place, attempt: u32) -> Result<Self> {
        let Place { task, index } = place;
        let (program, arguments) = &execution.command;
        let starting = || format!("start task {task} as `{}`", program.display());
        let mut process = Command::new(program)
            .args(arguments)
            .env("CLOUD_RUN_JOB", JOB)
            .env("CLOUD_RUN_EXECUTION", &execution.name)
            .env("CLOUD_RUN_TASK_INDEX", index.to_string())
            .env("CLOUD_RUN_TASK_COUNT", execution.task_count.to_string())
            .env("CLOUD_RUN_TASK_ATTEMPT", attempt.to_string())
            .env("SLUICE_MANIFEST", &execution.manifest_url)
            .env("SLUICE_LAUNCH", execution.launch.to_string())
            .env(PARENT, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // A terminal's Ctrl-C reaches this process alone, which then asks the tasks to end.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .doing(Kind::Transient, starting)?;
        let output =
            process.stderr.take().ok_or_else(|| Error::bug("read a task's standard error"))?;
        Ok(Self { task, process, output })
    }

    /// Listens to the attempt until it ends.
    pub(super) async fn wait(
        mut self,
        events: &mpsc::UnboundedSender<Event>,
        stop: &mut watch::Receiver<bool>,
    ) -> Result<Ended> {
        let listening = tokio::spawn(listen(self.task, self.output, events.clone()));
        let mut stopped = false;
        let status = tokio::select! {
            status = self.process.wait() => status,
            () = told_to_stop(stop) => {
                stopped = true;
                end(&mut self.process).await
            }
        };
        let status = status.doing(Kind::Transient, || format!("wait for task {}", self.task))?;
        // A grandchild that keeps the pipe open must not keep the run waiting.
        let heard = tokio::time::timeout(Duration::from_secs(1), listening).await;
        let lines = heard.ok().and_then(std::result::Result::ok).unwrap_or_default();
        Ok(match status {
            status if status.success() => Ended::Done,
            _ if stopped => Ended::Stopped,
            status => Ended::Failed(Failed { how: how(status), lines }),
        })
    }
}

/// Asks a process to end, and kills it when it does not.
async fn end(process: &mut tokio::process::Child) -> std::io::Result<ExitStatus> {
    let pid = process.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself meanwhile.
        let _ = kill_process(pid, Signal::TERM);
    }
    match tokio::time::timeout(GRACE, process.wait()).await {
        Ok(status) => status,
        Err(_) => {
            process.start_kill()?;
            process.wait().await
        }
    }
}

/// Passes on what a task says, and keeps the last of it.
async fn listen(
    task: u32,
    output: ChildStderr,
    events: mpsc::UnboundedSender<Event>,
) -> Vec<String> {
    let mut last = Last::default();
    let mut lines = BufReader::new(output).split(b'\n');
    while let Ok(Some(line)) = lines.next_segment().await {
        let event = match Line::parse(&String::from_utf8_lossy(&line)) {
            Line::Progress(progress) => Some(Event::Progress(Progress { task, ..progress })),
            Line::Warning(message) => Some(Event::Warned { task, message }),
            Line::Usual => None,
            Line::Other(text) => {
                last.push(text);
                None
            }
        };
        if let Some(event) = event {
            let _ = events.send(event);
        }
    }
    last.lines()
}

fn how(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => status.to_string(),
    }
}
