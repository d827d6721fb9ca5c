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
            Place::Datasets { .. } | Place::File(_) => true,
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
mod tests {
    use super::*;

    fn list(items: &[&str]) -> Vec<String> {
        items.iter().map(|&item| item.to_owned()).collect()
    }

    fn variable(name: &str) -> Option<String> {
        match name {
            "SOURCE_URL" => Some("postgres://ann:s3cret@db.internal:5432/shop".to_owned()),
            "DB_PASSWORD" => Some("s3cret".to_owned()),
            "OTHER_PASSWORD" => Some("s3cond".to_owned()),
            "DB_LOGIN" => {
                Some("postgres://db.internal/shop?login=google_iam&sslmode=require".to_owned())
            }
            "DB_PLAIN" => Some("postgres://db.internal/shop".to_owned()),
            _ => None,
        }
    }

    fn rules() -> JobRules {
        JobRules {
            sluice_job_variables: list(&["SOURCE_URL", "DB_*"]),
            sluice_job_hosts: list(&[
                "db.example:5433",
                "*.shop.example",
                "/cloudsql/p:r:i",
                "/cloudsql/p:r:own",
            ]),
            sluice_login_hosts: list(&["*.shop.example", "/cloudsql/p:r:own"]),
            sluice_job_files: vec!["/data".into()],
            ..JobRules::default()
        }
    }

    #[test]
    fn each_list_is_read_from_the_variable_of_its_name() {
        let read = |set: &[(&str, &str)]| {
            let set = set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            JobRules::of(envy::from_iter(set))
        };
        let rules = read(&[
            ("SLUICE_JOB_VARIABLES", "SOURCE_URL,DB_*"),
            ("SLUICE_JOB_HOSTS", "db.example:5433,*.shop.example"),
            ("SLUICE_JOB_DATASETS", "shop.sales,lake.*"),
            ("SLUICE_JOB_FILES", "/data,/certificates/ca.crt"),
            ("SLUICE_INLINE_CALLERS", "ann@shop.example,bob@shop.example"),
            ("SLUICE_SOURCE_TLS", "verify-ca"),
        ])
        .unwrap();
        assert_eq!(rules.sluice_job_variables, ["SOURCE_URL", "DB_*"]);
        assert_eq!(rules.sluice_job_hosts, ["db.example:5433", "*.shop.example"]);
        assert_eq!(rules.sluice_job_datasets, ["shop.sales", "lake.*"]);
        let files = ["/data", "/certificates/ca.crt"].map(PathBuf::from);
        assert_eq!(rules.sluice_job_files, files);
        assert_eq!(rules.sluice_inline_callers, ["ann@shop.example", "bob@shop.example"]);
        assert_eq!(rules.sluice_source_tls, LeastTls::VerifyCa);
        // What an operator mistypes must not mean that nothing is demanded.
        let error = read(&[("SLUICE_SOURCE_TLS", "verify_ca")]).unwrap_err();
        assert!(error.remedy().is_some_and(|hint| hint.contains("`verify-ca`")), "{error:?}");
        assert!(read(&[]).unwrap().open("sqlite:///data/a.db", &variable, None).is_err());
    }

    #[test]
    fn spaces_and_commas_too_many_allow_nothing_more() {
        let set = [
            ("SLUICE_JOB_VARIABLES", " SOURCE_URL , DB_* ,"),
            ("SLUICE_JOB_HOSTS", "db.example:5433, /cloudsql/p:r:i,, "),
            ("SLUICE_JOB_FILES", "/data, /certificates,"),
            ("SLUICE_INLINE_CALLERS", "ann@shop.example, bob@shop.example,"),
        ];
        let set = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let rules = JobRules::of(envy::from_iter(set)).unwrap();
        assert_eq!(rules.sluice_job_variables, ["SOURCE_URL", "DB_*"]);
        assert_eq!(rules.sluice_job_hosts, ["db.example:5433", "/cloudsql/p:r:i"]);
        assert_eq!(rules.sluice_job_files, ["/data", "/certificates"].map(PathBuf::from));
        assert!(rules.open("sqlite:///certificates/a.db", &variable, None).is_ok());
        assert!(
            rules.open("postgres://u@localhost/d?host=/cloudsql/p:r:i", &variable, None).is_ok()
        );
        let error = rules.open("sqlite:///etc/passwd", &variable, None).unwrap_err();
        assert_eq!(error.kind(), Kind::Denied);
        assert!(rules.check_inline(Some("bob@shop.example")).is_ok());
        assert!(rules.check_inline(Some("")).is_err());
        let nothing = [("SLUICE_JOB_FILES".to_owned(), String::new())];
        let rules = JobRules::of(envy::from_iter(nothing)).unwrap();
        assert!(rules.open("sqlite:///etc/passwd", &variable, None).is_err());
    }

    #[test]
    fn a_job_names_only_what_is_listed() {
        for (template, refused) in [
            ("${SOURCE_URL}", None),
            ("${SOURCE_URL}?sslmode=require", None),
            ("postgres://u:${DB_PASSWORD}@db.example:5433/shop", None),
            ("postgres://u:${DB_PASSWORD}@DB.example:5433/shop", None),
            ("postgres://u:${DB_PASSWORD}@a.shop.example/shop", None),
            ("postgres://u@localhost/shop?host=/cloudsql/p:r:i", None),
            ("sqlite:///data/shop.db", None),
            ("postgres://u:${OTHER_PASSWORD}@db.example:5433/d", Some("SLUICE_JOB_VARIABLES")),
            ("sqlite:///${OTHER_PASSWORD}", Some("SLUICE_JOB_VARIABLES")),
            ("postgres://u:${DB_PASSWORD}@elsewhere.example/d", Some("SLUICE_JOB_HOSTS")),
            ("postgres://u:${DB_PASSWORD}@db.example/d", Some("SLUICE_JOB_HOSTS")),
            ("postgres://u:${DB_PASSWORD}@shop.example/d", Some("SLUICE_JOB_HOSTS")),
            ("postgres://u:${DB_PASSWORD}@evilshop.example/d", Some("SLUICE_JOB_HOSTS")),
            ("postgres://u@db.example:5433/d?host=elsewhere.example", Some("SLUICE_JOB_HOSTS")),
            ("postgres://u@db.example:5433/d?hostaddr=10.0.0.1", Some("SLUICE_JOB_HOSTS")),
            ("${SOURCE_URL}?host=elsewhere.example", Some("SLUICE_JOB_HOSTS")),
            ("${SOURCE_URL}?port=6432", Some("SLUICE_JOB_HOSTS")),
            ("postgres://u@h/d?host=/tmp", Some("SLUICE_JOB_HOSTS")),
            ("sqlite:///etc/passwd", Some("SLUICE_JOB_FILES")),
            ("sqlite:///data/../etc/passwd", Some("SLUICE_JOB_FILES")),
            ("sqlite:///data%2F..%2Fetc/passwd", Some("SLUICE_JOB_FILES")),
            ("sqlite:///database.db", Some("SLUICE_JOB_FILES")),
            ("sqlite:///${DB_PASSWORD}", Some("SLUICE_JOB_FILES")),
            // The same answer whether the planner has the file or not.
            ("${SOURCE_URL}?sslrootcert=/etc/hostname", Some("SLUICE_JOB_FILES")),
            ("${SOURCE_URL}?sslrootcert=/nowhere/ca.crt", Some("SLUICE_JOB_FILES")),
            ("${SOURCE_URL}?sslrootcert=/data/nowhere.crt", None),
            // A server that may be read may not have the token yet.
            (
                "postgres://u@db.example:5433/d?login=google_iam&sslmode=require",
                Some("SLUICE_LOGIN"),
            ),
            ("postgres://localhost/d?host=/cloudsql/p:r:i&login=google_iam", Some("SLUICE_LOGIN")),
            ("postgres://a.shop.example/d?login=google_iam&sslmode=require", None),
            ("postgres://localhost/d?host=/cloudsql/p:r:own&login=google_iam", None),
            (
                "postgres://a.shop.example/d?hostaddr=10.0.0.1&login=google_iam&sslmode=require",
                Some("SLUICE_JOB_HOSTS"),
            ),
            ("${DB_LOGIN}", None),
            ("${DB_LOGIN}&host=elsewhere.example", Some("SLUICE_JOB_HOSTS")),
            ("${DB_LOGIN}&host=db.example&port=5433", Some("SLUICE_LOGIN")),
            // The operator has chosen the server of this one, but not the login.
            ("${DB_PLAIN}?login=google_iam&sslmode=require", Some("SLUICE_LOGIN")),
        ] {
            match (rules().open(template, &variable, None), refused) {
                (Ok(source), None) => assert!(!source.label().contains("s3cret")),
                (Err(error), Some(list)) => {
                    assert_eq!(error.kind(), Kind::Denied, "{template}");
                    assert!(error.remedy().is_some_and(|hint| hint.contains(list)), "{template}");
                    let said = format!("{} {:?}", error.chain(), error.remedy());
                    assert!(!said.contains("s3cret") && !said.contains("s3cond"), "{said}");
                }
                (found, _) => panic!("{template}: {found:?}"),
            }
        }
    }

    #[test]
    fn nothing_is_allowed_unless_it_is_listed() {
        let rules = JobRules::default();
        for template in ["${SOURCE_URL}", "postgres://u@h/d", "sqlite:///data/a.db"] {
            assert_eq!(rules.open(template, &variable, None).unwrap_err().kind(), Kind::Denied);
        }
        assert_eq!(rules.check_inline(Some("ann@shop.example")).unwrap_err().kind(), Kind::Denied);
        assert_eq!(rules.check_inline(None).unwrap_err().kind(), Kind::Denied);
    }

    #[test]
    fn a_caller_that_is_listed_sends_jobs() {
        let inline = |callers: &[&str], caller| {
            let rules = JobRules { sluice_inline_callers: list(callers), ..JobRules::default() };
            rules.check_inline(caller).is_ok()
        };
        assert!(inline(&["ann@shop.example"], Some("ann@shop.example")));
        assert!(!inline(&["ann@shop.example"], Some("bob@shop.example")));
        assert!(!inline(&["ann@shop.example"], None));
        assert!(inline(&["anybody"], None));
    }

    #[test]
    fn an_operator_can_demand_more_than_a_job_asks_for() {
        let least = |tls, url: &str| {
            let rules = JobRules {
                sluice_job_hosts: list(&["*"]),
                sluice_job_files: vec!["/".into()],
                sluice_source_tls: tls,
                ..JobRules::default()
            };
            rules.open(url, &variable, None).map(|_| ()).map_err(|error| error.chain())
        };
        let require = "postgres://u@h/d?sslmode=require";
        assert!(least(LeastTls::Prefer, "postgres://u@h/d").is_ok());
        assert!(least(LeastTls::Require, require).is_ok());
        assert!(least(LeastTls::VerifyCa, "postgres://u@127.0.0.1/d").is_ok());
        assert!(least(LeastTls::VerifyFull, "sqlite:///data/a.db").is_ok());
        let said = least(LeastTls::VerifyFull, require).unwrap_err();
        assert!(said.contains("at least `sslmode=verify-full`"), "{said}");
        assert!(least(LeastTls::Require, "postgres://u@h/d?sslmode=allow").is_err());
    }
}
