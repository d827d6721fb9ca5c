//! What the service is told by its environment.

use serde::Deserialize;
use sluice_contracts::{Error, Result};

/// What the service is told by its environment. The queue, the loader and who may call are read by
/// those who need them.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// `PORT`: where it listens, set by Cloud Run.
    #[serde(default = "usual_port")]
    pub port: u16,
    /// `SLUICE_BUCKET`: URL of the bucket, with its prefix, that all runs lie in.
    pub sluice_bucket: String,
    /// `SLUICE_JOBS`: URL of the folder with job files.
    sluice_jobs: Option<String>,
    /// `SLUICE_EXTRACTOR_JOB`: the Cloud Run Job whose executions carry runs out.
    pub sluice_extractor_job: String,
    /// `SLUICE_PARALLELISM`: most tasks of it that run at once.
    #[serde(default = "usual_parallelism")]
    pub sluice_parallelism: u32,
    /// `SLUICE_PLANNER_URL`: the service's own URL.
    sluice_planner_url: String,
    /// `SLUICE_LOADER_URL`: the loader's URL.
    sluice_loader_url: String,
    /// `SLUICE_TOPIC`: the topic that hears how runs end.
    pub sluice_topic: Option<String>,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// `Invalid` where a variable is missing or not what it has to be.
    pub fn from_env() -> Result<Self> {
        envy::from_env::<Self>().map_err(invalid)?.checked()
    }

    fn checked(self) -> Result<Self> {
        if self.sluice_parallelism == 0 {
            return Err(Error::invalid("read `SLUICE_PARALLELISM`: no task could run")
                .hint("it is the most tasks of the Cloud Run Job that run at once"));
        }
        Ok(self)
    }

    /// URL of the folder with job files.
    pub fn jobs_url(&self) -> String {
        let beside = || format!("{}/jobs", self.sluice_bucket.trim_end_matches('/'));
        self.sluice_jobs.clone().unwrap_or_else(beside)
    }

    /// The service's own URL, without a slash at the end.
    pub fn planner_url(&self) -> &str {
        self.sluice_planner_url.trim_end_matches('/')
    }

    /// The loader's URL, without a slash at the end.
    pub fn loader_url(&self) -> &str {
        self.sluice_loader_url.trim_end_matches('/')
    }
}

/// Looks a variable up that a job's source names.
#[expect(clippy::disallowed_methods, reason = "the job file chooses the variables")]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn usual_port() -> u16 {
    8080
}

fn usual_parallelism() -> u32 {
    100
}

fn invalid(source: envy::Error) -> Error {
    Error::invalid("read the planner's environment").because(source).hint(
        "`SLUICE_BUCKET`, `SLUICE_EXTRACTOR_JOB`, `SLUICE_PLANNER_URL` and `SLUICE_LOADER_URL` have \
         to be set",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDED: [(&str, &str); 4] = [
        ("SLUICE_BUCKET", "gs://lake/sluice/"),
        ("SLUICE_EXTRACTOR_JOB", "projects/shop/locations/europe-west1/jobs/extract"),
        ("SLUICE_PLANNER_URL", "https://planner.example/"),
        ("SLUICE_LOADER_URL", "https://loader.example"),
    ];

    fn read(more: &[(&str, &str)]) -> Result<Config> {
        let all = NEEDED.iter().chain(more).map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        envy::from_iter::<_, Config>(all).map_err(invalid)?.checked()
    }

    #[test]
    fn job_files_lie_beside_the_runs_unless_told_otherwise() {
        let config = read(&[]).unwrap();
        assert_eq!(config.jobs_url(), "gs://lake/sluice/jobs");
        assert_eq!((config.port, config.sluice_parallelism), (8080, 100));
        assert_eq!(config.planner_url(), "https://planner.example");
        let config = read(&[("SLUICE_JOBS", "gs://other/jobs")]).unwrap();
        assert_eq!(config.jobs_url(), "gs://other/jobs");
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = NEEDED.into_iter().skip(1).map(|(k, v)| (k.to_owned(), v.to_owned()));
        let error = envy::from_iter::<_, Config>(missing).map_err(invalid).unwrap_err();
        assert!(error.chain().contains("sluice_bucket"), "{}", error.chain());
        assert!(read(&[("SLUICE_PARALLELISM", "0")]).is_err());
        assert!(read(&[("SLUICE_PARALLELISM", "many")]).is_err());
    }
}
