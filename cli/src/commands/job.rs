//! From a job file's path to a job, its source and its sink.

use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use sluice_contracts::error::Doing as _;
use sluice_contracts::job::Job;
use sluice_contracts::{Error, Kind, Result};
use sluice_loader::Sink;
use sluice_sources::Source;

use crate::warehouse::Warehouse;

/// Reads a job from a file, or from standard input for `-`.
pub(crate) fn read_job(path: &Path) -> Result<Job> {
    let (name, text) = read_text(path)?;
    Job::read(&name, &text, &sluice_planner::strategy_names())
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
    sluice_sources::open(url, &|name| std::env::var(name).ok())
}

/// A kind of warehouse: the scheme of its tables' URLs, and its sink.
type SinkKind = (&'static str, fn() -> Arc<dyn Sink>);

/// Every kind of warehouse.
const SINKS: &[SinkKind] = &[("file", || Arc::new(Warehouse))];

/// The sink that a target's URL names.
pub(crate) fn open_sink(target: &str) -> Result<Arc<dyn Sink>> {
    let scheme = target.split_once("://").map_or("", |(scheme, _)| scheme);
    match SINKS.iter().find(|(known, _)| *known == scheme) {
        Some((_, open)) => Ok(open()),
        None => {
            let known: Vec<String> =
                SINKS.iter().map(|(known, _)| format!("`{known}://`")).collect();
            Err(Error::invalid(format!("unknown target `{scheme}://`"))
                .hint(format!("this build writes {}", known.join(", "))))
        }
    }
}
