//! The latest runs of each job, found without looking at any other run.

use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use super::{Bucket, Created, storage_error};
use crate::documents::{LatestRun, Manifest, RunId};
use crate::error::Result;
use crate::layout::Layout;

/// Runs of a job that stay known: more than one, because plans are made at the same time, and a job
/// file may be changed for one run and back for the next.
const KEPT: usize = 3;

impl Bucket {
    /// The latest runs of a job that reads this source, the newest first. Some may be gone.
    pub async fn latest_runs(&self, job: &str, source: &str) -> Result<Vec<RunId>> {
        let listed = self.list(&Layout::latest(&self.prefix, job, source)).await?;
        let mut runs: Vec<RunId> = listed.iter().filter_map(run_of).collect();
        // The names of runs sort by time.
        runs.sort_unstable_by(|a, b| b.cmp(a));
        Ok(runs)
    }

    /// Makes a planned run one of the latest of its job, and forgets those that are not any more:
    /// what planning reads must not grow with the number of runs.
    pub async fn remember_run(&self, manifest: &Manifest) -> Result<()> {
        let (job, source) = (&manifest.job, &manifest.source);
        let document = LatestRun { version: LatestRun::VERSION, run: manifest.run };
        let path = Layout::latest_run(&self.prefix, job, source, manifest.run);
        if self.create(&path, &document).await? == Created::Lost {
            return Ok(());
        }
        for run in self.latest_runs(job, source).await?.into_iter().skip(KEPT) {
            let path = Layout::latest_run(&self.prefix, job, source, run);
            match self.store.delete(&path).await {
                Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(storage_error(format!("delete `{path}`"), error)),
            }
        }
        Ok(())
    }
}

fn run_of(path: &Path) -> Option<RunId> {
    path.filename()?.strip_suffix(".json")?.parse().ok()
}
