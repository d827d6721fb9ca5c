//! What the operator of the service lets jobs name.

use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use sluice_contracts::documents::LeastTls;
use sluice_contracts::ports::DatabaseLogin;
use sluice_contracts::{Error, Kind, Result};
use sluice_runtime::list;
use sluice_sources::{Place, Source, variables};

/// Allows everything, in a list of hosts or variables.
const ANYTHING: &str = "*";
/// Allows every caller.
const ANYBODY: &str = "anybody";

/// What jobs may name: nothing that the operator does not list. A job that names more could read
/// another job's password, or send it to a server of its own.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct JobRules {
    /// `SLUICE_JOB_VARIABLES`: environment variables that `source` may name; `DB_*` stands for all
    /// that begin with `DB_`.
    #[serde(default, deserialize_with = "list::deserialize")]
    pub sluice_job_variables: Vec<String>,
    /// `SLUICE_JOB_HOSTS`: servers that jobs may read, as `host`, `host:port`, `*.domain` or the
    /// folder of a socket. A server that an allowed variable names needs no entry.
    #[serde(default, deserialize_with = "list::deserialize")]
    pub sluice_job_hosts: Vec<String>,
    /// `SLUICE_LOGIN_HOSTS`: servers, in the same form, that a job may log in to by the planner's
    /// account: who gets its token can log in with it elsewhere. A server that an allowed variable
    /// names together with such a login needs no entry.
    #[serde(default, deserialize_with = "list::deserialize")]
    pub sluice_login_hosts: Vec<String>,
    /// `SLUICE_JOB_DATASETS`: datasets of BigQuery that jobs may name as their source, as
    /// `project.dataset`, `project.*` or `*`. A query, and a condition with a query in it, reads what the
    /// service's account may read.
    #[serde(default, deserialize_with = "list::deserialize")]
    pub sluice_job_datasets: Vec<String>,
    /// `SLUICE_JOB_BUCKETS`: buckets and containers of clouds whose files jobs may read, as
    /// `s3://partner-drop`, `gs://lake` or `*`.
    #[serde(default, deserialize_with = "list::deserialize")]
    pub sluice_job_buckets: Vec<String>,
    /// `SLUICE_JOB_FILES`: files, and folders of files, that jobs may name.
    #[serde(default, deserialize_with = "list::deserialize")]
    pub sluice_job_files: Vec<PathBuf>,
    /// `SLUICE_INLINE_CALLERS`: emails of the callers that may send a job itself and not its name.
    #[serde(default, deserialize_with = "list::deserialize")]
    pub sluice_inline_callers: Vec<String>,
    /// `SLUICE_SOURCE_TLS`: how well a connection to a source must be protected at least, that of
    /// a planner or that of a task.
    #[serde(default)]
    pub sluice_source_tls: LeastTls,
}

impl JobRules {
    /// Reads the environment.
    ///
    /// # Errors
    /// `Invalid` if `SLUICE_SOURCE_TLS` has an unknown value.
    pub fn from_env() -> Result<Self> {
        Self::of(envy::from_env())
    }

    fn of(read: envy::Result<Self>) -> Result<Self> {
        read.map_err(|source| {
            Error::invalid("read what jobs may name").because(source).hint(
                "`SLUICE_SOURCE_TLS` is `prefer`, `require`, `verify-ca` or `verify-full`; see \
                 docs/services.md",
            )
        })
    }

    /// Refuses a caller that may not send a job itself.
    pub(crate) fn check_inline(&self, caller: Option<&str>) -> Result<()> {
        let listed = |email: &String| email == ANYBODY || Some(email.as_str()) == caller;
        if self.sluice_inline_callers.iter().any(listed) {
            return Ok(());
        }
        let who = caller.map_or_else(|| "this caller".to_owned(), |email| format!("`{email}`"));
        Err(denied(format!("accept the job of the request: {who} may not send jobs")).hint(
            "send the name of a job file, `{\"job\": \"name\"}`, or have the operator add the caller \
             to the planner's `SLUICE_INLINE_CALLERS`",
        ))
    }

    /// Opens a job's source, if the job may name it. Connects to nothing.
    pub(crate) fn open(
        &self,
        template: &str,
        variable: &dyn Fn(&str) -> Option<String>,
        login: Option<&Arc<dyn DatabaseLogin>>,
    ) -> Result<Arc<dyn Source>> {
        for name in variables(template)? {
            if !self.sluice_job_variables.iter().any(|pattern| matches(pattern, name)) {
                return Err(denied(format!(
                    "read `source.url`: this service lets no job name the variable `{name}`"
                ))
                .hint("have the operator add it to the planner's `SLUICE_JOB_VARIABLES`"));
            }
        }
        let source = sluice_sources::open(template, variable, login)?;
        // What a variable names, the operator has chosen.
        let chosen = leading_variable(template)
            .and_then(|own| sluice_sources::open(own, variable, login).ok());
        let own = chosen.as_ref().map_or_else(Vec::new, |source| source.places());
        let is_login_chosen = chosen.is_some_and(|source| source.logs_in_by_account());
        for place in source.places() {
            let is_own = own.contains(&place);
            if !is_own {
                self.check_place(&place)?;
            }
            if source.logs_in_by_account() && !(is_own && is_login_chosen) {
                self.check_login(&place)?;
            }
        }
        sluice_sources::refuse_unprotected(source.as_ref(), self.sluice_source_tls)?;
        Ok(source)
    }

    /// Refuses a server that may not have a token of the planner's account.
    fn check_login(&self, place: &Place) -> Result<()> {
        let hosts = &self.sluice_login_hosts;
        let allowed = match place {
            Place::Server { host, port } => {
                hosts.iter().any(|pattern| is_server(pattern, host, *port))
            }
            Place::Socket(folder) => hosts.iter().any(|entry| Path::new(entry) == folder),
            Place::Datasets { .. } | Place::Bucket { .. } | Place::File(_) => true,
        };
        if allowed {
            return Ok(());
        }
        Err(denied(
            "read `source.url`: it logs in by this service's account to a server that may not have the \
             account's token"
                .to_owned(),
        )
        .hint(
            "have the operator add the server to the planner's `SLUICE_LOGIN_HOSTS` (`login_hosts` or \
             `cloud_sql_iam_logins` of `terraform/`)",
        ))
    }

    fn check_place(&self, place: &Place) -> Result<()> {
        let hosts = &self.sluice_job_hosts;
        let (allowed, what, list) = match place {
            Place::Server { host, port } => {
                let allowed = hosts.iter().any(|pattern| is_server(pattern, host, *port));
                (allowed, "a server", "SLUICE_JOB_HOSTS")
            }
            Place::Socket(folder) => {
                let listed = |entry: &String| entry == ANYTHING || Path::new(entry) == folder;
                (hosts.iter().any(listed), "a socket", "SLUICE_JOB_HOSTS")
            }
            Place::Datasets { project, dataset } => {
                let name = format!("{project}.{}", dataset.as_deref().unwrap_or(ANYTHING));
                let all = format!("{project}.{ANYTHING}");
                let listed = |entry: &String| [ANYTHING, &all, &name].contains(&entry.as_str());
                (self.sluice_job_datasets.iter().any(listed), "a dataset", "SLUICE_JOB_DATASETS")
            }
            Place::Bucket { url } => {
                let listed = |entry: &String| {
                    entry == ANYTHING || entry.strip_suffix('/').unwrap_or(entry) == url
                };
                (self.sluice_job_buckets.iter().any(listed), "a bucket", "SLUICE_JOB_BUCKETS")
            }
            Place::File(path) => {
                let climbs = path.components().any(|part| part == Component::ParentDir);
                let listed = self.sluice_job_files.iter().any(|entry| path.starts_with(entry));
                (listed && !climbs, "a file", "SLUICE_JOB_FILES")
            }
        };
        if allowed {
            return Ok(());
        }
        // The place may come from a variable, so the message does not repeat it.
        Err(denied(format!(
            "read `source.url`: it names {what} that this service lets no job name"
        ))
        .hint(format!("have the operator add it to the planner's `{list}`")))
    }
}

fn denied(what: String) -> Error {
    Error::new(Kind::Denied, what)
}

/// The variable that a template begins with.
fn leading_variable(template: &str) -> Option<&str> {
    let end = template.starts_with("${").then(|| template.find('}'))??;
    Some(&template[..=end])
}

/// Whether a name is a pattern's, whose last character may be `*`.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

fn is_server(pattern: &str, host: &str, port: u16) -> bool {
    let with_port = format!("{host}:{port}");
    match pattern.strip_prefix("*.") {
        Some(domain) => {
            let is_below = |name: &str| {
                name.to_ascii_lowercase()
                    .strip_suffix(&domain.to_ascii_lowercase())
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            };
            is_below(host) || is_below(&with_port)
        }
        None => {
            pattern == ANYTHING
                || pattern.eq_ignore_ascii_case(host)
                || pattern.eq_ignore_ascii_case(&with_port)
                || pattern.eq_ignore_ascii_case(&format!("[{host}]:{port}"))
        }
    }
}

#[cfg(test)]
mod tests;
