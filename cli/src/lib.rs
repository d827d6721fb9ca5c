//! `sluice`: the three programs on one machine, with adapters that need no cloud.
//!
//! A folder is the bucket, child processes are the tasks, and the warehouse is a folder of
//! Parquet files. What the programs do is theirs; what lies here is the adapters, the commands
//! and what people read.

mod answer;
mod arguments;
mod commands;
mod demo;
mod execution;
mod figures;
mod launch;
mod planner;
mod progress;
mod render;
mod status;
mod summary;
mod warehouse;
mod watch;

use std::ffi::OsString;
use std::process::ExitCode;

use answer::Answer;
use arguments::{Arguments, Command};

/// Does what the arguments ask for, and gives the exit code: 0 done, 1 failed, 64 bad input.
///
/// Results go to standard output; progress, logs and errors go to standard error. With `--json`
/// one object goes to standard output, also for an error.
pub async fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let parsed = match Arguments::read(&arguments) {
        Ok(parsed) => parsed,
        Err(error) => return answer::unparsed(&error, &arguments),
    };
    if matches!(parsed.command, Command::Task) {
        return commands::task::task().await;
    }
    sluice_runtime::telemetry::init(sluice_runtime::telemetry::Audience::Person);
    let answer = match parsed.command {
        Command::Demo(options) => demo::demo(&options).await,
        Command::Plan(options) => commands::plan::plan(&options).await,
        Command::Run(options) => commands::run::run(&options).await,
        Command::Submit(options) => commands::submit::submit(&options).await,
        Command::Status(options) => commands::status::status(&options).await,
        Command::Validate(options) => commands::validate::validate(&options),
        Command::Schema(options) => commands::schema::schema(&options),
        Command::Task => return ExitCode::SUCCESS,
    };
    answer.unwrap_or_else(Answer::failed).print(parsed.json)
}
