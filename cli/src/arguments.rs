//! What may be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sluice_contracts::manifest::RunId;

/// Moves whole tables, in parallel, into a warehouse.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Print one JSON object on standard output, and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a database, move its table, and show what happened
    Demo(Demo),
    /// Show how a job would be cut, what it would cost, and what its types become
    Plan(Plan),
    /// Carry out a job
    Run(Run),
    /// Show how far a run has come
    Status(Status),
    /// Check a job file without looking at its source
    Validate(Validate),
    /// Print the JSON Schema of a document, or what the types of the sources become
    Schema(Schema),
    /// Be one task of a run, as its environment says
    #[command(hide = true)]
    Task,
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Folder for the database, the bucket and the warehouse
    #[arg(long, value_name = "DIR", default_value = "sluice-demo")]
    pub(crate) dir: PathBuf,
    /// Rows of the database, if there is none yet [default: 1000000]
    #[arg(long, value_name = "N")]
    pub(crate) rows: Option<u64>,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Job file, or `-` for standard input
    pub(crate) job: PathBuf,
    /// Use at most this many tasks, whatever the job says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_tasks: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Job file, or `-` for standard input
    pub(crate) job: PathBuf,
    /// Use at most this many tasks, whatever the job says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_tasks: Option<u32>,
    /// Finish a run that ended early: only what has no receipt is read
    #[arg(long, value_name = "RUN", conflicts_with = "max_tasks")]
    pub(crate) resume: Option<RunId>,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The run, as `sluice run` printed it
    pub(crate) run: RunId,
    /// URL of the bucket that the run's documents lie in
    #[arg(long, value_name = "URL", env = "SLUICE_BUCKET", hide_env_values = true)]
    pub(crate) bucket: Option<String>,
    /// Job file that names the bucket
    #[arg(long, value_name = "JOB")]
    pub(crate) job: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Job file, or `-` for standard input
    pub(crate) job: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which document
    pub(crate) document: Document,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Document {
    /// What a user asks for
    Job,
    /// The plan of a run
    Manifest,
    /// The proof that a unit is done
    Receipt,
    /// What the types of the sources become, as Markdown
    Types,
}
