//! What the service reads from its environment.

use std::time::Duration;

use serde::Deserialize;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::service::read_duration;

/// What the loader reads from its environment, besides the settings of every service
/// ([`sluice_runtime::service`]) and those of its callers.
#[derive(Debug, Clone, Deserialize)]
pub struct LoaderConfig {
    /// `SLUICE_RUN_DEADLINE`: how long a run may take until all its receipts are there, as `90m`.
    #[serde(default = "usual_deadline")]
    sluice_run_deadline: String,
    /// `SLUICE_LOAD_PATIENCE`: how long a load is tried again that BigQuery cannot carry out for
    /// the time being, as `6h`.
    #[serde(default = "usual_patience")]
    sluice_load_patience: String,
}

impl LoaderConfig {
    /// Reads the environment.
    ///
    /// # Errors
    /// `Invalid` if a variable has a wrong value.
    pub fn from_env() -> Result<Self> {
        let config: Self =
            envy::from_env().doing(Kind::Invalid, || "read the loader's environment")?;
        config.deadline()?;
        config.patience()?;
        Ok(config)
    }

    /// How long a load is tried again that a target cannot carry out for the time being.
    pub fn patience(&self) -> Result<Duration> {
        read_duration("SLUICE_LOAD_PATIENCE", &self.sluice_load_patience)
    }

    /// How long a run may take until all its receipts are there.
    pub fn deadline(&self) -> Result<Duration> {
        let typed = &self.sluice_run_deadline;
        let deadline = read_duration("SLUICE_RUN_DEADLINE", typed)?;
        if deadline < Duration::from_mins(1) {
            return Err(Error::invalid(format!(
                "read `SLUICE_RUN_DEADLINE`: `{typed}` is less than a minute"
            ))
            .hint("no run is done in so short a time; the default is `24h`"));
        }
        Ok(deadline)
    }
}

fn usual_patience() -> String {
    "6h".to_owned()
}

fn usual_deadline() -> String {
    "24h".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(deadline: &str) -> Result<LoaderConfig> {
        let variables = [("SLUICE_RUN_DEADLINE", deadline)];
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
    fn a_deadline_that_is_not_set_is_a_day() {
        let config: LoaderConfig = envy::from_iter(std::iter::empty()).unwrap();
        assert_eq!(config.deadline().unwrap(), Duration::from_hours(24));
        assert_eq!(config.patience().unwrap(), Duration::from_hours(6));
    }
}
