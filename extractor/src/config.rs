//! What a task reads from its environment.

use serde::Deserialize;
use sluice_contracts::documents::RunId;
use sluice_contracts::layout::Layout;
use sluice_contracts::{Error, Result};

/// What a task reads from its environment: Cloud Run's own variables, the manifest's address, and
/// the launch.
/// <https://cloud.google.com/run/docs/container-contract#jobs-env-vars>
#[derive(Debug, Clone, Deserialize)]
pub struct TaskConfig {
    /// `CLOUD_RUN_TASK_INDEX`: which of the execution's tasks this is.
    pub cloud_run_task_index: u32,
    /// `CLOUD_RUN_TASK_COUNT`: tasks of the execution.
    pub cloud_run_task_count: u32,
    /// `CLOUD_RUN_TASK_ATTEMPT`: how many times this task was started before.
    pub cloud_run_task_attempt: u32,
    /// `CLOUD_RUN_EXECUTION`: name of the execution.
    pub cloud_run_execution: String,
    /// `SLUICE_MANIFEST`: URL of the manifest.
    pub sluice_manifest: String,
    /// `SLUICE_LAUNCH`: which of the run's launches this execution was started for. Absent if a
    /// person started it.
    pub sluice_launch: Option<u32>,
}

impl TaskConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// `Invalid` if a variable is missing or is not a number.
    pub fn from_env() -> Result<Self> {
        envy::from_env().map_err(|source| {
            Error::invalid("read the task's environment").because(source).hint(
                "Cloud Run sets `CLOUD_RUN_TASK_INDEX` and the like; \
                 `SLUICE_MANIFEST` is the URL of a run's manifest",
            )
        })
    }

    /// URL of the manifest's bucket.
    pub fn bucket_url(&self) -> Result<String> {
        self.split_manifest().map(|(bucket, _)| bucket)
    }

    /// A name of this process in the run's documents, which no other process has: the platform may
    /// run an attempt twice, and the two must not write the same object.
    pub(crate) fn writer_id(&self) -> String {
        let nonce = uuid::Uuid::new_v4().simple().to_string();
        format!(
            "{}-{}-{}-{}",
            short(&self.cloud_run_execution),
            self.cloud_run_task_index,
            self.cloud_run_task_attempt,
            short(&nonce),
        )
    }

    /// The run that the manifest belongs to.
    pub(crate) fn run(&self) -> Result<RunId> {
        self.split_manifest().map(|(_, run)| run)
    }

    fn split_manifest(&self) -> Result<(String, RunId)> {
        let url = &self.sluice_manifest;
        let split = Layout::of_manifest_url(url).map(|(bucket, run)| (bucket.to_owned(), run));
        split.ok_or_else(|| {
            Error::invalid(format!("read `SLUICE_MANIFEST`: `{url}` is not a manifest's URL"))
                .hint(format!("write `{}`", Layout::MANIFEST_URL))
        })
    }
}

/// The end of a name, which is the part that differs from its peers'.
fn short(name: &str) -> String {
    let tail: Vec<char> = name.chars().rev().filter(char::is_ascii_alphanumeric).take(12).collect();
    tail.into_iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(manifest: &str) -> TaskConfig {
        TaskConfig {
            cloud_run_task_index: 0,
            cloud_run_task_count: 1,
            cloud_run_task_attempt: 0,
            cloud_run_execution: "e".into(),
            sluice_manifest: manifest.into(),
            sluice_launch: None,
        }
    }

    #[test]
    fn a_manifests_url_names_bucket_and_run() {
        let run = RunId::generate();
        let config = config(&format!("file:///data/runs/bucket/runs/{run}/manifest.json"));
        assert_eq!(config.bucket_url().unwrap(), "file:///data/runs/bucket");
        assert_eq!(config.run().unwrap(), run);
    }

    #[test]
    fn another_url_is_refused() {
        let error = config("file:///data/bucket/manifest.json").bucket_url().unwrap_err();
        assert!(error.to_string().contains("is not a manifest's URL"));
    }
}
