//! What the service is told by its environment.

use std::time::Duration;

use serde::Deserialize;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

/// What the service is told by its environment, beside the addresses of Google's services and what
/// its checks need.
#[derive(Debug, Clone, Deserialize)]
pub struct Config {
    /// `PORT`: where requests come in.
    #[serde(default = "usual_port")]
    pub port: u16,
    /// `SLUICE_BUCKET`: URL of the bucket that all runs lie in.
    pub sluice_bucket: String,
    /// `SLUICE_EXTRACTOR_JOB`: the Cloud Run Job that is launched again where tasks left gaps,
    /// `projects/<project>/locations/<location>/jobs/<job>`.
    pub sluice_extractor_job: String,
    /// `SLUICE_TOPIC`: the Pub/Sub topic that hears of each run's end.
    pub sluice_topic: Option<String>,
    /// `SLUICE_RUN_DEADLINE`: how long a run may take until all its receipts are there, as `90m`.
    #[serde(default = "usual_deadline")]
    sluice_run_deadline: String,
}

impl Config {
    /// Reads the environment.
    ///
    /// # Errors
    /// `Invalid` where a variable is missing or not what it has to be.
    pub fn from_env() -> Result<Self> {
        let config: Self = envy::from_env().map_err(|source| invalid().because(source))?;
        config.deadline()?;
        Ok(config)
    }

    /// How long a run may take until all its receipts are there.
    pub fn deadline(&self) -> Result<Duration> {
        let typed = &self.sluice_run_deadline;
        let deadline = humantime::parse_duration(typed)
            .doing(Kind::Invalid, || format!("read `SLUICE_RUN_DEADLINE`: `{typed}`"))
            .map_err(|error| error.hint("write a duration such as `24h` or `90m`"))?;
        if deadline < Duration::from_mins(1) {
            return Err(Error::invalid(format!(
                "read `SLUICE_RUN_DEADLINE`: `{typed}` is less than a minute"
            ))
            .hint("no run is done in so short a time; the default is `24h`"));
        }
        Ok(deadline)
    }
}

fn invalid() -> Error {
    Error::invalid("read the loader's environment")
        .hint("`SLUICE_BUCKET` and `SLUICE_EXTRACTOR_JOB` have to be set; see docs/services.md")
}

fn usual_port() -> u16 {
    8080
}

fn usual_deadline() -> String {
    "24h".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(deadline: &str) -> Result<Config> {
        let variables = [
            ("SLUICE_BUCKET", "gs://lake"),
            ("SLUICE_EXTRACTOR_JOB", "projects/p/locations/l/jobs/j"),
            ("SLUICE_RUN_DEADLINE", deadline),
        ];
        envy::from_iter(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
            .doing(Kind::Invalid, || "read")
    }

    #[test]
    fn a_deadline_is_a_duration() {
        assert_eq!(config("90m").unwrap().deadline().unwrap(), Duration::from_mins(90));
        for wrong in ["soon", "", "30", "5s"] {
            let error = config(wrong).unwrap().deadline().unwrap_err();
            assert_eq!(error.kind(), Kind::Invalid, "{wrong}");
            assert!(error.remedy().is_some(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_set_has_a_default() {
        let variables = [("SLUICE_BUCKET", "gs://lake"), ("SLUICE_EXTRACTOR_JOB", "j")];
        let config: Config =
            envy::from_iter(variables.map(|(name, value)| (name.to_owned(), value.to_owned())))
                .unwrap();
        assert_eq!((config.port, config.sluice_topic.as_deref()), (8080, None));
        assert_eq!(config.deadline().unwrap(), Duration::from_hours(24));
        assert!(envy::from_iter::<_, Config>(std::iter::empty()).is_err());
    }
}
