//! The work of a job: it waits until it may start, and runs the pipeline to its end.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;

use tokio::process::{Child, Command};
use tokio::sync::watch;

use crate::cloud::task::is_set;
use crate::faults;

use super::{Inner, Pipeline, State};

/// How a job ended.
enum Ending {
    Demanded(State),
    Well,
    Badly(String),
}

impl Inner {
    /// Carries out a job until the pipeline has ended, or a state is demanded.
    pub(super) async fn carry_out(
        self: Arc<Self>,
        id: String,
        order: String,
        mut demanded: watch::Receiver<Option<State>>,
    ) {
        let mut starting = self.starting.subscribe();
        let early = tokio::select! {
            biased;
            state = demand(&mut demanded) => Some(state),
            () = is_set(&mut starting) => None,
        };
        let ending = match early {
            Some(state) => Ending::Demanded(state),
            None => {
                self.change(&id, |job| job.enter(State::Running));
                let errors = self.logs.path().join(format!("{id}-errors.log"));
                run(&self.pipeline, &order, &errors, &mut demanded).await
            }
        };
        self.change(&id, |job| match ending {
            Ending::Demanded(state) => job.enter(state),
            // A job that was cancelled does not become another one because its program was quicker.
            _ if job.state == State::Cancelling => job.enter(State::Cancelled),
            Ending::Well => job.enter(State::Done),
            Ending::Badly(why) => job.fail(why),
        });
    }
}

/// Runs the pipeline. The program's errors go to the file `errors`, and its output beside it.
async fn run(
    pipeline: &Pipeline,
    order: &str,
    errors: &Path,
    demanded: &mut watch::Receiver<Option<State>>,
) -> Ending {
    let program = match Program::start(pipeline, order, errors) {
        Ok(program) => program,
        Err(error) => return Ending::Badly(format!("the program does not start: {error}")),
    };
    let Program { mut child, family } = program;
    tokio::select! {
        ended = child.wait() => judged(ended.expect("a program can be waited for"), errors),
        state = demand(demanded) => {
            drop(family);
            child.wait().await.expect("a program can be waited for");
            Ending::Demanded(state)
        }
    }
}

/// Waits until a state is demanded.
async fn demand(demanded: &mut watch::Receiver<Option<State>>) -> State {
    let state = demanded.wait_for(Option::is_some).await.ok().and_then(|state| *state);
    match state {
        Some(state) => state,
        // The stand-in is gone, and so will be this job.
        None => std::future::pending().await,
    }
}

fn judged(status: ExitStatus, errors: &Path) -> Ending {
    if status.success() {
        return Ending::Well;
    }
    let said = std::fs::read_to_string(errors).unwrap_or_default();
    let lines: Vec<&str> = said.lines().collect();
    let last = lines[lines.len().saturating_sub(10)..].join("\n");
    Ending::Badly(if last.is_empty() { status.to_string() } else { last })
}

/// The program of a job.
struct Program {
    child: Child,
    family: Family,
}

impl Program {
    fn start(pipeline: &Pipeline, order: &str, errors: &Path) -> std::io::Result<Self> {
        let mut command = Command::new(&pipeline.program);
        command
            .args(&pipeline.arguments)
            .args(["--order", order])
            .env_clear()
            .envs(pipeline.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(errors.with_extension("output"))?)
            .stderr(File::create(errors)?)
            .process_group(0)
            .kill_on_drop(true);
        if let Some(folder) = &pipeline.folder {
            command.current_dir(folder);
        }
        let child = command.spawn()?;
        let process = child.id().expect("a process that was just started has an id");
        Ok(Self { child, family: Family(process) })
    }
}

/// A program, and the processes that it has started. All die when this value is dropped: Beam's
/// workers outlive the program that has started them.
struct Family(u32);

impl Drop for Family {
    fn drop(&mut self) {
        faults::kill_family(self.0);
    }
}
