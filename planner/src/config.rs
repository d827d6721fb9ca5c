//! What the service reads from its environment.

use std::time::Duration;

use serde::Deserialize;
use sluice_contracts::{Error, Result};
use sluice_runtime::service::read_duration;

/// What the planner reads from its environment, besides the settings of every service
/// ([`sluice_runtime::service`]) and those of its callers.
#[derive(Debug, Clone, Deserialize)]
pub struct PlannerConfig {
    /// `SLUICE_JOBS`: URL of the folder with job files.
    sluice_jobs: Option<String>,
    /// `SLUICE_PARALLELISM`: most tasks of a plan, if the Cloud Run Job allows more.
    pub sluice_parallelism: Option<u32>,
    /// `SLUICE_PLANNING_DEADLINE`: how long a run may take from its request to its launch, as `1h`.
    #[serde(default = "usual_deadline")]
    sluice_planning_deadline: String,
    /// `SLUICE_PLANNER_URL`: the service's own URL.
    sluice_planner_url: String,
}

impl PlannerConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// `Invalid` if a variable is missing or has a wrong value.
    pub fn from_env() -> Result<Self> {
        envy::from_env::<Self>().map_err(invalid)?.checked()
    }

    fn checked(self) -> Result<Self> {
        if self.sluice_parallelism == Some(0) {
            return Err(Error::invalid("read `SLUICE_PARALLELISM`: no task could run").hint(
                "it is the most tasks of a plan; leave it out to use the job's parallelism",
            ));
        }
        self.planning_deadline()?;
        Ok(self)
    }

    /// How long a run may take from its request to its launch.
    ///
    /// # Errors
    /// `Invalid` if the variable is no duration.
    pub fn planning_deadline(&self) -> Result<Duration> {
        read_duration("SLUICE_PLANNING_DEADLINE", &self.sluice_planning_deadline)
    }

    /// URL of the folder with job files: `jobs` in the bucket of all runs, unless it is set.
    pub fn jobs_url(&self, bucket: &str) -> String {
        let beside = || format!("{}/jobs", bucket.trim_end_matches('/'));
        self.sluice_jobs.clone().unwrap_or_else(beside)
    }

    /// The service's own URL, without a slash at the end.
    pub fn planner_url(&self) -> &str {
        self.sluice_planner_url.trim_end_matches('/')
    }
}

/// Looks up a variable that a job's source names.
#[expect(clippy::disallowed_methods, reason = "the job file chooses the variables")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn usual_deadline() -> String {
    "1h".to_owned()
}

fn invalid(source: envy::Error) -> Error {
    Error::invalid("read the planner's environment")
        .because(source)
        .hint("`SLUICE_PLANNER_URL` has to be set; see docs/services.md")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: [(&str, &str); 1] = [("SLUICE_PLANNER_URL", "https://planner.example/")];

    fn read(more: &[(&str, &str)]) -> Result<PlannerConfig> {
        let all = NEEDED.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        envy::from_iter::<_, PlannerConfig>(all).map_err(invalid)?.checked()
    }

    #[test]
    fn job_files_lie_beside_the_runs_unless_told_otherwise() {
        let config = read(&[]).unwrap();
        assert_eq!(config.jobs_url("gs://lake/sluice/"), "gs://lake/sluice/jobs");
        assert_eq!(config.sluice_parallelism, None);
        assert_eq!(config.planning_deadline().unwrap(), Duration::from_hours(1));
        assert_eq!(config.planner_url(), "https://planner.example");
        let config = read(&[("SLUICE_JOBS", "gs://other/jobs")]).unwrap();
        assert_eq!(config.jobs_url("gs://lake/sluice/"), "gs://other/jobs");
    }

    #[test]
    fn what_is_missing_is_named() {
        let nothing = std::iter::empty::<(String, String)>();
        let error = envy::from_iter::<_, PlannerConfig>(nothing).map_err(invalid).unwrap_err();
        assert!(error.chain().contains("sluice_planner_url"), "{}", error.chain());
        assert!(read(&[("SLUICE_PARALLELISM", "0")]).is_err());
        assert!(read(&[("SLUICE_PARALLELISM", "many")]).is_err());
        let error = read(&[("SLUICE_PLANNING_DEADLINE", "soon")]).unwrap_err();
        assert!(error.chain().contains("`SLUICE_PLANNING_DEADLINE`"), "{}", error.chain());
    }
}
