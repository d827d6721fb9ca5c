//! `sluice manual`: a command's manual page.

use clap::CommandFactory as _;
use sluice_contracts::error::Doing as _;
use sluice_contracts::job::nearest_hint;
use sluice_contracts::{Error, Kind, Result};

use crate::answer::Answer;
use crate::arguments::{Arguments, Manual};

pub(crate) fn manual(options: &Manual) -> Result<Answer> {
    let mut all = Arguments::command();
    // Gives each command the name and the global options that it is called with.
    all.build();
    let command = match &options.command {
        None => all,
        Some(name) => all.find_subcommand(name).cloned().ok_or_else(|| unknown(&all, name))?,
    };
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .source(concat!("sluice ", env!("CARGO_PKG_VERSION")))
        .render(&mut page)
        .doing(Kind::Bug, || "write the manual page")?;
    let page = String::from_utf8(page).doing(Kind::Bug, || "write the manual page")?;
    Answer::new(&serde_json::json!({ "page": page }), page)
}

fn unknown(all: &clap::Command, name: &str) -> Error {
    let known: Vec<String> =
        all.get_subcommands().map(|command| command.get_name().to_owned()).collect();
    Error::invalid(format!("find the manual page of `{name}`: there is no such command"))
        .hint(nearest_hint(name, &known))
}
