//! `sluice`: the three programs on one machine, with adapters that need no cloud.
//!
//! A folder is the bucket, child processes are the tasks, and the target is a folder of Parquet
//! files. The programs have crates of their own; this one has the adapters, the commands and what
//! people read.

mod answer;
mod arguments;
mod commands;
mod demo;
mod execution;
mod format;
mod launch;
mod location;
#[cfg(feature = "google")]
mod planner;
#[cfg(not(feature = "google"))]
#[path = "planner/absent.rs"]
mod planner;
mod progress;
mod render;
mod resume;
mod status;
mod summary;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use answer::Answer;
use arguments::{Arguments, Command};

/// Does what the arguments ask for, and gives the exit code: 0 done, 1 failed, 64 bad input.
///
/// Results go to standard output; progress, logs and errors go to standard error. With `--json`
/// one object goes to standard output, also for an error.
pub fn main(arguments: &[OsString]) -> ExitCode {
    // Not one of the commands: it is for a run to start, not for people.
    if let [_, only] = arguments
        && only == commands::task::NAME
    {
        return be_a_task();
    }
    match Arguments::read(arguments) {
        Ok(parsed) => carry_out(parsed),
        Err(error) => answer::unparsed(&error, arguments),
    }
}

#[tokio::main(flavor = "current_thread")]
async fn be_a_task() -> ExitCode {
    commands::task::task().await
}

/// Does what a command says. Here and not in the binary, which would compile all of it once more.
#[tokio::main]
async fn carry_out(parsed: Arguments) -> ExitCode {
    sluice_runtime::telemetry::init(sluice_runtime::telemetry::Audience::Person);
    let answer = match parsed.command {
        Command::Demo(options) => demo::demo(&options).await,
        Command::Copy(options) => commands::copy::copy(&options).await,
        Command::Init(options) => commands::init::init(&options).await,
        Command::Plan(options) => commands::plan::plan(&options).await,
        Command::Run(options) => commands::run::run(&options).await,
        Command::Submit(options) => commands::submit::submit(&options).await,
        Command::Status(options) => commands::status::status(&options).await,
        Command::Load(options) => commands::load::load(&options).await,
        Command::Validate(options) => commands::validate::validate(&options),
        Command::Schema(options) => commands::schema::schema(&options),
        Command::Completions(options) => commands::completions::completions(&options),
        Command::Manual(options) => commands::manual::manual(&options),
    };
    answer.unwrap_or_else(Answer::failed).print(parsed.json)
}
