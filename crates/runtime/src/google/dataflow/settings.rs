//! Where jobs of Dataflow run, and by which template.

use std::time::Duration;

use serde::Deserialize;
use sluice_contracts::error::Doing as _;
use sluice_contracts::{Error, Kind, Result};

/// Where jobs of Dataflow run, and by which template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataflowSettings {
    /// The Flex Template's `gs://` URL.
    pub(super) template: String,
    /// The project of the jobs.
    pub(super) project: String,
    /// Their region.
    pub(super) region: String,
    /// Email of the account of the workers; that of the project, if absent.
    pub(super) account: Option<String>,
    /// The subnetwork of the workers, which then have private addresses alone.
    pub(super) subnetwork: Option<String>,
    /// What is too large for a query.
    pub above: DataflowThreshold,
    /// How long a job may take.
    pub deadline: Duration,
    /// How long a launch that nobody has seen a job of is left to the program that has begun it.
    pub grace: Duration,
}

/// The size from which a table is handed to Dataflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DataflowThreshold {
    /// Rows; no number is too large, if absent.
    pub rows: Option<u64>,
    /// Bytes.
    pub bytes: u64,
}

impl Default for DataflowThreshold {
    /// A query ends after 6 hours, and is assumed to read 1 GB a second, as in the estimates of plans.
    /// <https://cloud.google.com/bigquery/quotas#query_jobs>
    fn default() -> Self {
        Self { rows: None, bytes: 6 * 3600 * 1_000_000_000 }
    }
}

/// The environment.
#[derive(Deserialize)]
#[expect(clippy::struct_field_names, reason = "the fields have the names of the variables")]
struct Variables {
    /// `SLUICE_DATAFLOW_TEMPLATE`: the Flex Template's `gs://` URL. Without it no table goes to Dataflow.
    sluice_dataflow_template: Option<String>,
    /// `SLUICE_DATAFLOW_LOCATION`: `projects/P/locations/R`, the project and region of the jobs.
    sluice_dataflow_location: Option<String>,
    /// `SLUICE_DATAFLOW_ACCOUNT`: email of the account of the workers.
    sluice_dataflow_account: Option<String>,
    /// `SLUICE_DATAFLOW_SUBNETWORK`: `regions/R/subnetworks/S`, or its whole URL.
    sluice_dataflow_subnetwork: Option<String>,
    /// `SLUICE_DATAFLOW_ABOVE_ROWS`: rows above which a table with `dedup` goes to Dataflow.
    sluice_dataflow_above_rows: Option<String>,
    /// `SLUICE_DATAFLOW_ABOVE_BYTES`: bytes above which it does.
    sluice_dataflow_above_bytes: Option<String>,
    /// `SLUICE_DATAFLOW_DEADLINE`: how long a job may take, as `24h`.
    sluice_dataflow_deadline: Option<String>,
}

impl DataflowSettings {
    /// Reads the environment; `None` if it names no template.
    ///
    /// # Errors
    /// `Invalid` if a variable has a wrong value.
    pub fn from_env() -> Result<Option<Self>> {
        let variables = envy::from_env::<Variables>();
        variables.doing(Kind::Invalid, || "read where Dataflow's jobs run")?.settings()
    }
}

impl Variables {
    fn settings(self) -> Result<Option<DataflowSettings>> {
        let set = |typed: Option<String>| typed.filter(|typed| !typed.is_empty());
        let Some(template) = set(self.sluice_dataflow_template) else { return Ok(None) };
        let location = set(self.sluice_dataflow_location).unwrap_or_default();
        let settings = DataflowSettings::new(&template, &location)?;
        let usual = DataflowThreshold::default();
        let typed = set(self.sluice_dataflow_deadline).unwrap_or_else(|| "24h".to_owned());
        let deadline = humantime::parse_duration(&typed).map_err(|_| {
            Error::invalid(format!("read `SLUICE_DATAFLOW_DEADLINE`: `{typed}` is not a duration"))
                .hint("write it as `24h` or `90m`")
        })?;
        Ok(Some(DataflowSettings {
            account: set(self.sluice_dataflow_account),
            subnetwork: set(self.sluice_dataflow_subnetwork),
            above: DataflowThreshold {
                rows: number("SLUICE_DATAFLOW_ABOVE_ROWS", set(self.sluice_dataflow_above_rows))?,
                bytes: number(
                    "SLUICE_DATAFLOW_ABOVE_BYTES",
                    set(self.sluice_dataflow_above_bytes),
                )?
                .unwrap_or(usual.bytes),
            },
            deadline,
            ..settings
        }))
    }
}

/// The whole number that a variable holds, if it is set.
fn number(variable: &str, typed: Option<String>) -> Result<Option<u64>> {
    let read = |typed: String| {
        typed.parse().map_err(|_| {
            Error::invalid(format!("read `{variable}`: `{typed}` is not a whole number"))
                .hint("write it in digits, or leave it out")
        })
    };
    typed.map(read).transpose()
}

impl DataflowSettings {
    /// Jobs of this template, a `gs://` URL, at `projects/P/locations/R`, with the usual settings.
    ///
    /// # Errors
    /// `Invalid` if one of them has another form.
    pub fn new(template: &str, location: &str) -> Result<Self> {
        if !template.starts_with("gs://") {
            let what = format!("read `SLUICE_DATAFLOW_TEMPLATE`: `{template}` is not in a bucket");
            return Err(Error::invalid(what)
                .hint("`gcloud dataflow flex-template build gs://BUCKET/sluice.json` makes it"));
        }
        let place: Vec<&str> = location.split('/').collect();
        let ["projects", project, "locations", region] = place.as_slice() else {
            let what = format!("read `SLUICE_DATAFLOW_LOCATION`: `{location}` is not a location");
            return Err(Error::invalid(what).hint("write `projects/P/locations/R`"));
        };
        Ok(Self {
            template: template.to_owned(),
            project: (*project).to_owned(),
            region: (*region).to_owned(),
            account: None,
            subnetwork: None,
            above: DataflowThreshold::default(),
            deadline: Duration::from_hours(24),
            grace: Duration::from_secs(20),
        })
    }
}

impl DataflowSettings {
    /// The location of the jobs, as the API has it.
    pub(super) fn place(&self) -> String {
        format!("projects/{}/locations/{}", self.project, self.region)
    }

    /// The page of a job in the console.
    pub(super) fn page_of(&self, id: &str) -> String {
        let (project, region) = (&self.project, &self.region);
        format!("https://console.cloud.google.com/dataflow/jobs/{region}/{id}?project={project}")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Settings without what may be left out.
    pub(in super::super) fn settings() -> DataflowSettings {
        read(&[TEMPLATE, LOCATION]).unwrap().unwrap()
    }

    fn read(variables: &[(&str, &str)]) -> Result<Option<DataflowSettings>> {
        let all = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let variables = envy::from_iter::<_, Variables>(all);
        variables.doing(Kind::Invalid, || "read where Dataflow's jobs run")?.settings()
    }

    const TEMPLATE: (&str, &str) = ("SLUICE_DATAFLOW_TEMPLATE", "gs://lake/sluice.json");
    const LOCATION: (&str, &str) = ("SLUICE_DATAFLOW_LOCATION", "projects/shop/locations/eu");

    #[test]
    fn without_a_template_there_is_no_dataflow() {
        assert_eq!(read(&[LOCATION]).unwrap(), None);
        assert_eq!(read(&[("SLUICE_DATAFLOW_TEMPLATE", "")]).unwrap(), None);
        let settings = read(&[TEMPLATE, LOCATION]).unwrap().unwrap();
        assert_eq!(settings.place(), "projects/shop/locations/eu");
        assert_eq!((settings.above.rows, settings.above.bytes), (None, 21_600_000_000_000));
        assert_eq!(settings.deadline, Duration::from_hours(24));
    }

    #[test]
    fn a_wrong_value_is_named_with_what_to_write() {
        for (wrong, said) in [
            (("SLUICE_DATAFLOW_TEMPLATE", "sluice.json"), "SLUICE_DATAFLOW_TEMPLATE"),
            (("SLUICE_DATAFLOW_LOCATION", "europe-west1"), "SLUICE_DATAFLOW_LOCATION"),
            (("SLUICE_DATAFLOW_DEADLINE", "soon"), "SLUICE_DATAFLOW_DEADLINE"),
            (("SLUICE_DATAFLOW_ABOVE_ROWS", "many"), "SLUICE_DATAFLOW_ABOVE_ROWS"),
        ] {
            let others = [TEMPLATE, LOCATION].into_iter().filter(|(name, _)| *name != wrong.0);
            let all: Vec<_> = others.chain([wrong]).collect();
            let error = read(&all).unwrap_err();
            assert!(error.chain().contains(said), "{}", error.chain());
            assert!(error.remedy().is_some(), "{said}");
        }
        assert!(read(&[TEMPLATE, LOCATION, ("SLUICE_DATAFLOW_ABOVE_ROWS", "")]).is_ok());
    }
}
