//! `sluice load`: a run whose tables were read and could not be loaded, loaded again.

use std::fmt::Write as _;

use serde_json::Value;
use sluice_contracts::documents::RunId;
use sluice_contracts::store::RunStore;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::storage::find_bucket;

use super::job::read_job;
use crate::answer::Answer;
use crate::arguments::Load;
use crate::execution::Planned;
use crate::planner::Planner;

pub(crate) async fn load(options: &Load) -> Result<Answer> {
    let run = options.run;
    if options.job.is_none()
        && let Some(loader) = &options.loader
    {
        return in_the_cloud(loader, run).await;
    }
    let bucket = match (&options.job, &options.bucket) {
        (Some(job), _) => read_job(job, None)?.bucket,
        (None, Some(url)) => url.clone(),
        (None, None) => {
            return Err(Error::invalid(format!(
                "load run `{run}`: nothing says where its parts are"
            ))
            .hint(
                "add `--bucket URL` or `--job JOB`, or `--loader URL` for a run of the cloud; or \
                 set `SLUICE_BUCKET` or `SLUICE_LOADER`",
            ));
        }
    };
    let store = RunStore::new(find_bucket(&bucket)?, run);
    if store.request().await?.is_some() || store.verdict().await?.is_some() {
        return Err(Error::new(
            Kind::Conflict,
            format!("load run `{run}`: its loader in the cloud carries it out"),
        )
        .hint("add `--loader URL`, or set `SLUICE_LOADER`, to ask the loader for it"));
    }
    let manifest = store.manifest().await?;
    super::run::answer(Planned::found(store, manifest).load_again().await?)
}

async fn in_the_cloud(loader: &str, run: RunId) -> Result<Answer> {
    let loader = Planner::at(loader)?;
    let answer = loader
        .load(run)
        .await
        .map_err(|error| error.during(format!("load run `{run}` by `{}`", loader.url())))?;
    let state = answer.get("state").and_then(Value::as_str).unwrap_or("accepted");
    let mut text = format!("run {run}: {state}\n");
    // Writing to a string cannot fail.
    let _ = writeln!(text, "\n`sluice status {run} --watch --bucket URL` follows it");
    Answer::new(&answer, text)
}
