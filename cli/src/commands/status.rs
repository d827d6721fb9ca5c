//! `sluice status`: how far a run has come, from its documents.

use serde::Serialize;
use sluice_contracts::manifest::{Manifest, RunId};
use sluice_contracts::receipt::Failure;
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Result};
use sluice_runtime::storage::find_bucket;

use super::job::read_job;
use crate::answer::Answer;
use crate::arguments::Status;
use crate::render::status::render;
use crate::summary::RunReport;

/// A run, and what ended attempts at it.
#[derive(Debug, Serialize)]
pub(crate) struct StatusReport {
    #[serde(flatten)]
    pub(crate) run: RunReport,
    pub(crate) bucket: String,
    pub(crate) planned: chrono::DateTime<chrono::Utc>,
    pub(crate) failures: Vec<Failure>,
}

pub(crate) async fn status(options: &Status) -> Result<Answer> {
    let bucket = bucket_url(options)?;
    let store = RunStore::new(find_bucket(&bucket)?, options.run);
    let manifest = store.manifest().await?;
    let report = StatusReport::of(&store, &manifest).await?;
    Answer::new(&report, render(&report))
}

impl StatusReport {
    async fn of(store: &RunStore, manifest: &Manifest) -> Result<Self> {
        let since = chrono::Utc::now() - manifest.planned;
        let seconds = since.to_std().unwrap_or_default().as_secs_f64();
        Ok(Self {
            run: RunReport::of_documents(store, manifest, seconds).await?,
            bucket: manifest.bucket.clone(),
            planned: manifest.planned,
            failures: store.failures().await?,
        })
    }
}

fn bucket_url(options: &Status) -> Result<String> {
    match (&options.job, &options.bucket) {
        (Some(job), _) => Ok(read_job(job)?.bucket),
        (None, Some(url)) => Ok(url.clone()),
        (None, None) => Err(no_bucket(options.run)),
    }
}

fn no_bucket(run: RunId) -> Error {
    Error::invalid(format!("find run `{run}`: nothing says which bucket it lies in"))
        .hint("add `--bucket URL` or `--job JOB`, or set `SLUICE_BUCKET`")
}
