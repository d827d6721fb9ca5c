//! `sluice submit`: a job, carried out by a planner in the cloud.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::Value;
use sluice_contracts::documents::RunId;
use sluice_contracts::job::Job;
use sluice_contracts::{Error, Result};

use super::job::{read_text, tell_of_schedule};
use crate::answer::Answer;
use crate::arguments::Submit;
use crate::planner::{Document, Planner};
use crate::watch::{PlannerWindow, follow, say};

pub(crate) async fn submit(options: &Submit) -> Result<Answer> {
    let planner = options.planner.as_deref().ok_or_else(no_planner)?;
    let planner = Planner::at(planner)?;
    let mut request = Document::new();
    request.insert("job".to_owned(), job(&options.job)?);
    if let Some(key) = &options.run_key {
        request.insert("run_key".to_owned(), key.as_str().into());
    }
    if options.retry {
        request.insert("retry".to_owned(), true.into());
    }
    let doing = |error: Error| {
        let what = format!("submit job `{}` to `{}`", options.job.display(), planner.url());
        with_way_out(error, options.run_key.is_some()).during(what)
    };
    let accepted = planner.submit(&request).await.map_err(doing)?;
    let run = run_of(&accepted).map_err(doing)?;
    if !options.watch {
        return Answer::new(&accepted, render(&accepted, run, &planner));
    }
    // At once: a person who is interrupted needs it to find the run again.
    say(&format!("run {run}"));
    follow(&mut PlannerWindow::new(planner, run)).await
}

/// The job as the planner takes it: the document of a file, or the name of a job that it knows.
fn job(typed: &Path) -> Result<Value> {
    match typed.to_str() {
        Some(name) if is_name(name) && !typed.is_file() => Ok(name.into()),
        _ => {
            let (name, text) = read_text(typed)?;
            // The planner, which fills in the bucket, checks whether it is a job.
            let document = Job::parse(&name, &text)?;
            tell_of_schedule(document.get("schedule").is_some_and(|typed| !typed.is_null()));
            Ok(document)
        }
    }
}

/// Whether a word can be a job's name: those of files have a dot or a slash.
fn is_name(word: &str) -> bool {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    word != "-" && !word.is_empty() && word.bytes().all(known)
}

fn run_of(accepted: &Document) -> Result<RunId> {
    let run = accepted.get("run").and_then(Value::as_str);
    run.and_then(|run| run.parse().ok()).ok_or_else(|| {
        Error::data("the answer names no run").hint("look at the planner's URL and its version")
    })
}

fn render(accepted: &Document, run: RunId, planner: &Planner) -> String {
    let state = accepted.get("state").and_then(Value::as_str).unwrap_or("accepted");
    let mut text = format!("run {run}: {state}\n");
    // Writing to a string cannot fail.
    let _ =
        writeln!(text, "\n`sluice status {run} --watch --planner {}` follows it", planner.url());
    text
}

/// Adds how to go on if it is not known whether the planner has taken the job.
fn with_way_out(error: Error, keyed: bool) -> Error {
    if !error.is_transient() || error.remedy().is_some() {
        return error;
    }
    error.hint(if keyed {
        "submit it again with the same `--run-key`: it starts no second run"
    } else {
        "the planner may have taken it: with `--run-key` it can be submitted again without \
         starting a second run"
    })
}

fn no_planner() -> Error {
    Error::invalid("submit a job: nothing says where the planner answers")
        .hint("add `--planner URL`, or set `SLUICE_PLANNER`")
}
