//! `sluice completions`: a shell's completion script.

use clap::CommandFactory as _;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Kind, Result};

use crate::answer::Answer;
use crate::arguments::{Arguments, Completions};

pub(crate) fn completions(options: &Completions) -> Result<Answer> {
    let mut script = Vec::new();
    clap_complete::generate(options.shell, &mut Arguments::command(), "sluice", &mut script);
    let script = String::from_utf8(script).doing(Kind::Bug, || "write the completion script")?;
    Answer::new(&serde_json::json!({ "script": script }), script)
}
