//! Job files, read and written, and the sources that they name.

use std::io::{ErrorKind, Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use sluice_contracts::error::Doing as _;
use sluice_contracts::job::{Job, JobFile};
use sluice_contracts::{Error, Kind, Result};
use sluice_sources::Source;

use crate::location::target_url;

/// Reads a job from a file, or from standard input for `-`. A job that names no bucket has `bucket`.
///
/// # Errors
/// `Invalid` also if it names another one.
pub(crate) fn read_job(path: &Path, bucket: Option<&str>) -> Result<Job> {
    let (name, text) = read_text(path)?;
    let mut document = Job::parse(&name, &text)?;
    if let (Some(bucket), Some(file)) = (bucket, document.as_object_mut()) {
        let bucket = target_url(bucket)?;
        let named = file.entry("bucket").or_insert_with(|| bucket.as_str().into());
        if named.as_str().is_some_and(|named| named.trim_end_matches('/') != bucket) {
            return Err(Error::invalid(format!(
                "read job `{name}`: it names another `bucket` than `--bucket`"
            ))
            .hint("leave one of the two out"));
        }
    }
    Job::from_value(&name, document, &sluice_planner::strategy_names())
}

/// Warns that `schedule` starts nothing by itself.
pub(super) fn tell_of_schedule(is_set: bool) {
    if is_set {
        tracing::warn!(
            "`schedule` starts nothing by itself: a job of Cloud Scheduler that calls the planner \
             has to exist, or a line of cron that runs `sluice`"
        );
    }
}

/// A job as a file: without what is left at its default.
pub(crate) fn yaml(job: &JobFile) -> Result<String> {
    serde_saphyr::to_string(job).doing(Kind::Bug, || format!("write job `{}` as YAML", job.name))
}

/// Creates a file, and returns whether it did: one that exists stays as it is.
pub(super) fn write_new(path: &Path, text: &str) -> Result<bool> {
    let what = || format!("write `{}`", path.display());
    match std::fs::File::create_new(path) {
        Ok(mut file) => file.write_all(text.as_bytes()).doing(Kind::Denied, what).map(|()| true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error).doing(Kind::Denied, what),
    }
}

/// The text of a job file, or of standard input for `-`, and its name for messages.
pub(super) fn read_text(path: &Path) -> Result<(String, String)> {
    let (name, text) = if path.as_os_str() == "-" {
        let mut text = String::new();
        let read = std::io::stdin().lock().read_to_string(&mut text);
        ("standard input".to_owned(), read.map(|_| text))
    } else {
        (path.display().to_string(), std::fs::read_to_string(path))
    };
    let text = text.doing(Kind::Invalid, || format!("read job `{name}`"))?;
    Ok((name, text))
}

/// Opens a job's source with this process's environment. Nothing is connected yet.
#[expect(clippy::disallowed_methods, reason = "the job file chooses the variables")]
pub(crate) fn open_source(url: &str) -> Result<Arc<dyn Source>> {
    let login = sluice_runtime::login::own_account();
    sluice_sources::open(url, &|name| std::env::var(name).ok(), login.as_ref())
}
