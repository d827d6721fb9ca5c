//! What may be typed.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{
    ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
};
use sluice_contracts::documents::RunId;
use sluice_contracts::job::WriteDisposition;

/// What `sluice copy` takes.
const COPIES: &str = "\
Examples:
  sluice copy postgres://me@host/shop public.orders ./warehouse
  sluice copy postgres://me@host/shop 'public.*' ./warehouse --max-tasks 4
  sluice copy postgres://me@host/shop 'select id, total from orders' ./warehouse/totals
  sluice copy 'orders-*.csv.gz' ./warehouse
  sluice copy shop.db orders ./warehouse --where \"created_at >= '2024-01-01'\" --save job.yaml
  sluice copy postgres://me@host/shop public.orders bigquery://shop-prod/sales --bucket gs://lake/sluice

A table becomes a folder of Parquet files in the folder TARGET, or a table of the dataset TARGET. A
query has no name of its own: it becomes TARGET itself, and so does a table where TARGET is
bigquery://project/dataset/table. Passwords come from PGPASSWORD, from ~/.pgpass, or from a variable
that the URL names: 'postgres://me:${DB_PASSWORD}@host/shop'.";

/// What `sluice load` is for.
const LOADS: &str = "\
Tables that are visible stay as they are. The others are loaded from the part files, which are kept
as long as a table of the run could not be loaded: nothing is read from the source again. A run of
the cloud is loaded by its loader, which is called as the service account or the machine that this
runs as, or with the identity token in SLUICE_TOKEN.";

/// As which caller a planner is called.
const TOKEN: &str = "\
Over https the planner is called as the service account or the machine that this runs as.
A service does not accept a person's own credentials: put an identity token into SLUICE_TOKEN,
such as `gcloud auth print-identity-token` prints.";

/// Moves whole tables, in parallel, into BigQuery or folders of Parquet files.
#[derive(Debug, Parser)]
#[command(name = "sluice", version, max_term_width = 100, disable_help_subcommand = true)]
pub(crate) struct Arguments {
    /// Print one JSON object on standard output, and nothing else
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

impl Arguments {
    /// Reads what was typed, and what the environment adds to it.
    pub(crate) fn read(typed: &[OsString]) -> Result<Self, clap::Error> {
        let mut command = Self::command();
        let matches = command.try_get_matches_from_mut(typed)?;
        let mut arguments =
            Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))?;
        if let (Command::Status(status), Some((_, matches))) =
            (&mut arguments.command, matches.subcommand())
        {
            status.take_one_place(matches).map_err(|error| error.format(&mut command))?;
        }
        Ok(arguments)
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Make a database, move its table, and show what happened
    Demo(Demo),
    /// Copy tables, or the rows of a query, without a job file
    Copy(Copy),
    /// Write a job file for the tables that a source has
    Init(Init),
    /// Show how a job would be cut, what it would cost, and what its types become
    Plan(Plan),
    /// Carry out a job
    Run(Run),
    /// Have a job carried out in the cloud, by its planner
    Submit(Submit),
    /// Show how far a run has come
    Status(Status),
    /// Load a run again whose tables were read and could not be loaded
    Load(Load),
    /// Check a job file without looking at its source
    Validate(Validate),
    /// Print the JSON Schema of a document, or what the types of the sources become
    Schema(Schema),
    /// Print a script that completes commands and options in a shell
    Completions(Completions),
    /// Print the manual page of a command, for `man -l -`
    Manual(Manual),
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
#[command(after_help = COPIES)]
#[command(override_usage = "sluice copy [OPTIONS] <SOURCE> [TABLE]... <TARGET>")]
pub(crate) struct Copy {
    /// URL of the source, or the path of an SQLite file, or of other files, such as `orders-*.csv`
    pub(crate) source: String,
    /// Names and patterns of tables, such as `public.*`, or one query; none for files, which are one
    /// table. Last, the folder of the tables, or the URL of the dataset, to write to
    #[arg(required = true, value_name = "TABLE... TARGET")]
    operands: Vec<String>,
    /// Read only the rows that meet a condition, in the source's language
    #[arg(long = "where", value_name = "CONDITION")]
    pub(crate) filter: Option<String>,
    /// Read only these columns, in this order
    #[arg(long, value_name = "COLUMN,...", value_delimiter = ',')]
    pub(crate) columns: Option<Vec<String>>,
    /// Cut the table into units by this column
    #[arg(long, value_name = "COLUMN")]
    pub(crate) partition_by: Option<String>,
    /// What becomes of the rows that the target has
    #[arg(long, value_enum, value_name = "WORD", default_value = "truncate")]
    pub(crate) disposition: Disposition,
    /// Use at most this many tasks
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_tasks: Option<u32>,
    /// Folder or URL of the bucket for documents and part files [default: `.sluice` beside the
    /// tables, where TARGET is a folder]
    #[arg(long, value_name = "URL")]
    pub(crate) bucket: Option<String>,
    /// Write the job that is carried out to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Finish a run of the same command that ended early
    #[arg(long, value_name = "RUN", conflicts_with = "max_tasks")]
    pub(crate) resume: Option<RunId>,
}

impl Copy {
    /// Names and patterns of tables, or one query.
    pub(crate) fn tables(&self) -> &[String] {
        self.operands.split_last().map_or(&[], |(_, tables)| tables)
    }

    /// Where the tables go.
    pub(crate) fn target(&self) -> &str {
        self.operands.last().map_or("", String::as_str)
    }
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Disposition {
    /// They are replaced
    Truncate,
    /// They stay, and the new ones are added
    Append,
    /// There must be none
    Empty,
    /// Those with the primary key of a new row are replaced by it
    Merge,
    /// Those in the partitions of the new rows are replaced
    ReplacePartitions,
}

impl From<Disposition> for WriteDisposition {
    fn from(typed: Disposition) -> Self {
        match typed {
            Disposition::Truncate => Self::Truncate,
            Disposition::Append => Self::Append,
            Disposition::Empty => Self::Empty,
            Disposition::Merge => Self::Merge,
            Disposition::ReplacePartitions => Self::ReplacePartitions,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// URL of the source, or the path of an SQLite file
    pub(crate) source: String,
    /// Folder of the tables, or URL of the dataset, that the job writes to
    #[arg(default_value = "warehouse")]
    pub(crate) target: String,
    /// Job file to write, or `-` for standard output
    #[arg(long, short, value_name = "FILE", default_value = "job.yaml")]
    pub(crate) output: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Job file, or `-` for standard input
    pub(crate) job: PathBuf,
    /// URL of the bucket, if the job file leaves it to its planner
    #[arg(long, value_name = "URL")]
    pub(crate) bucket: Option<String>,
    /// Use at most this many tasks, whatever the job says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_tasks: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Job file, or `-` for standard input
    pub(crate) job: PathBuf,
    /// URL of the bucket, if the job file leaves it to its planner
    #[arg(long, value_name = "URL")]
    pub(crate) bucket: Option<String>,
    /// Use at most this many tasks, whatever the job says
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) max_tasks: Option<u32>,
    /// Finish a run that ended early: only what has no receipt is read
    #[arg(long, value_name = "RUN", conflicts_with = "max_tasks")]
    pub(crate) resume: Option<RunId>,
}

#[derive(Debug, Args)]
#[command(after_help = TOKEN)]
pub(crate) struct Submit {
    /// Job file, `-` for standard input, or the name of a job that the planner knows
    pub(crate) job: PathBuf,
    /// URL of the planner
    #[arg(long, value_name = "URL", env = "SLUICE_PLANNER", hide_env_values = true)]
    pub(crate) planner: Option<String>,
    /// Key of this request: the same key again starts no second run
    #[arg(long, value_name = "KEY")]
    pub(crate) run_key: Option<String>,
    /// Start another run if the newest one of this key has failed
    #[arg(long, requires = "run_key")]
    pub(crate) retry: bool,
    /// Follow the run until it has ended
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// The run, as `sluice run` or `sluice submit` printed it
    pub(crate) run: RunId,
    /// URL of the bucket that the run's documents lie in
    #[arg(long, value_name = "URL", env = "SLUICE_BUCKET", hide_env_values = true)]
    pub(crate) bucket: Option<String>,
    /// Job file that names the bucket
    #[arg(long, value_name = "JOB")]
    pub(crate) job: Option<PathBuf>,
    /// URL of the run's planner, to ask it instead
    #[arg(long, value_name = "URL", env = "SLUICE_PLANNER", hide_env_values = true)]
    pub(crate) planner: Option<String>,
    /// Follow the run until it has ended, and fail if it failed
    #[arg(long)]
    pub(crate) watch: bool,
}

impl Status {
    /// Keeps one place to look at: arguments go before the environment, and the run's own documents
    /// before a planner.
    fn take_one_place(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        const PLACES: [&str; 3] = ["job", "bucket", "planner"];
        let is_typed = |place: &&str| matches.value_source(place) == Some(ValueSource::CommandLine);
        let typed: Vec<&str> = PLACES.into_iter().filter(|place| is_typed(place)).collect();
        if let [first, second, ..] = typed.as_slice() {
            return Err(clap::Error::raw(
                ErrorKind::ArgumentConflict,
                format!("`--{first}` and `--{second}` both say where to look: leave one out"),
            ));
        }
        match typed.first() {
            Some(&"job") => (self.bucket, self.planner) = (None, None),
            Some(&"planner") => self.bucket = None,
            _ if self.bucket.is_some() => self.planner = None,
            _ => {}
        }
        Ok(())
    }
}

#[derive(Debug, Args)]
#[command(after_help = LOADS)]
pub(crate) struct Load {
    /// The run, as `sluice run` or `sluice submit` printed it
    pub(crate) run: RunId,
    /// URL of the bucket that the run's parts lie in
    #[arg(long, value_name = "URL", env = "SLUICE_BUCKET", hide_env_values = true)]
    pub(crate) bucket: Option<String>,
    /// Job file that names the bucket
    #[arg(long, value_name = "JOB", conflicts_with = "loader")]
    pub(crate) job: Option<PathBuf>,
    /// URL of the loader, for a run that the cloud carries out
    #[arg(long, value_name = "URL", env = "SLUICE_LOADER", hide_env_values = true)]
    pub(crate) loader: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Validate {
    /// Job file, or `-` for standard input
    pub(crate) job: PathBuf,
    /// URL of the bucket, if the job file leaves it to its planner
    #[arg(long, value_name = "URL")]
    pub(crate) bucket: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct Schema {
    /// Which document
    pub(crate) document: Document,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Which shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct Manual {
    /// Which command; `sluice` itself, if absent
    pub(crate) command: Option<String>,
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
