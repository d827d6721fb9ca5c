//! Tables that the job moved last time and does not move any more.

use sluice_contracts::Result;
use sluice_contracts::documents::{Manifest, Table};
use sluice_contracts::job::{Excluded, Job, Selection, TableName};
use sluice_contracts::store::{Bucket, RunStore};

/// Makes a planned run known to the job's next ones. That they can name what was dropped is no
/// reason to give this run up, so a failure is only logged.
pub async fn remember(bucket: &Bucket, manifest: &Manifest) {
    if let Err(error) = bucket.remember_run(manifest).await {
        tracing::warn!(
            run = %manifest.run,
            job = manifest.job,
            error = error.chain(),
            "the latest runs of the job could not be recorded"
        );
    }
}

/// Adds to the excluded tables those that the job's last run moved and this one does not. Their
/// targets do not change: no job asks to delete them.
pub async fn name_dropped(bucket: &Bucket, job: &Job, manifest: &mut Manifest) -> Result<()> {
    if let Selection::One(_) = job.selection {
        return Ok(());
    }
    for run in bucket.latest_runs(&job.name, &job.source).await? {
        // A run of another version, or a broken one, is not a reason to refuse this run.
        let Ok(last) = RunStore::new(bucket.clone(), run).manifest().await else { continue };
        if last.run == manifest.run {
            continue;
        }
        // A run of other tables says nothing about these.
        let means = |table: &Table| {
            TableName::of(&table.relation).is_some_and(|name| job.selection.means(&name))
        };
        let mut moved = last.tables.into_iter().filter(means).peekable();
        if moved.peek().is_none() {
            continue;
        }
        for table in moved {
            let known = manifest.tables.iter().any(|now| now.name == table.name)
                || manifest.refused.iter().any(|now| now.table == table.name)
                || manifest.excluded.iter().any(|now| now.table == table.name);
            if !known {
                let reason = "the run before this one moved it, and the source does not have it \
                              any more; its target stays as it is";
                manifest.excluded.push(Excluded { table: table.name, reason: reason.to_owned() });
            }
        }
        return Ok(());
    }
    Ok(())
}
