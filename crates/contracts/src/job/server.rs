//! A source that is named by its parts, as the URL that it means.

use percent_encoding::utf8_percent_encode;

use super::SourceFile;
use super::constraints::is_variable;
use super::validate::JobProblem;
use crate::url::{ENCODED, bracketed};

impl SourceFile {
    /// The names of the parts that are there.
    fn parts(&self) -> Vec<&'static str> {
        let parts = [
            ("host", self.host.is_some()),
            ("port", self.port.is_some()),
            ("user", self.user.is_some()),
            ("password", self.password.is_some()),
            ("login", self.login.is_some()),
            ("database", self.database.is_some()),
            ("options", !self.options.is_empty()),
        ];
        parts.into_iter().filter(|(_, there)| *there).map(|(name, _)| name).collect()
    }

    /// The URL of the source, its variables unexpanded. `None` without a URL and without a host.
    pub(super) fn url(&self) -> Option<String> {
        let Some(host) = &self.host else { return self.url.clone() };
        let host = bracketed(host).unwrap_or_else(|| encoded(host));
        let written = |before: &str, text: Option<&str>| {
            text.map_or_else(String::new, |text| format!("{before}{}", encoded(text)))
        };
        let password = written(":", self.password.as_deref());
        let at = if self.user.is_some() || self.password.is_some() { "@" } else { "" };
        let user = written("", self.user.as_deref());
        let port = written(":", self.port.map(|port| port.to_string()).as_deref());
        let database = written("/", self.database.as_deref());
        let options = self.options.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let login = self.login.map(|login| ("login", login.name()));
        let options: Vec<String> = options
            .chain(login)
            .map(|(name, value)| format!("{}={}", encoded(name), encoded(value)))
            .collect();
        let question = if options.is_empty() { "" } else { "?" };
        let options = options.join("&");
        Some(format!("postgres://{user}{password}{at}{host}{port}{database}{question}{options}"))
    }

    /// What is wrong with the parts together.
    pub(super) fn check_parts(&self) -> Vec<JobProblem> {
        let mut problems = Vec::new();
        let parts = self.parts();
        match (&self.url, &self.host) {
            (Some(_), _) => problems.extend(parts.iter().map(|part| {
                JobProblem::new(format!("source.{part}"), "cannot be combined with `source.url`")
                    .hint(match *part {
                        "login" => {
                            "write it into the URL of a PostgreSQL server: `?login=google_iam`"
                        }
                        _ => "keep the URL, or `host`, `user` and the others",
                    })
            })),
            (None, None) if self.urls.is_some() => {}
            (None, None) => {
                let hint = if parts.is_empty() {
                    "add `source.url`, or `source.host` with `user`, `password` and `database`"
                } else {
                    "add `host: db.example.com`"
                };
                let path = if parts.is_empty() { "source.url" } else { "source.host" };
                problems.push(JobProblem::new(path, "missing").hint(hint));
            }
            (None, Some(_)) => {}
        }
        if self.password.as_ref().is_some_and(|password| !is_variable(password)) {
            problems.push(
                JobProblem::new("source.password", "holds a password")
                    .hint("put it in an environment variable: `password: ${DB_PASSWORD}`"),
            );
        }
        if self.password.is_some() && self.login.is_some() {
            let problem =
                JobProblem::new("source.login", "cannot be combined with `source.password`");
            problems.push(problem.hint("keep one of the two"));
        }
        problems
    }
}

/// A part of a URL, percent-encoded but for its variables, which are encoded when they are expanded.
fn encoded(text: &str) -> String {
    let mut url = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, variable)) = rest.split_once("${") {
        let Some((name, after)) = variable.split_once('}') else { break };
        url.extend(utf8_percent_encode(before, ENCODED));
        url.extend(["${", name, "}"]);
        rest = after;
    }
    url.extend(utf8_percent_encode(rest, ENCODED));
    url
}

#[cfg(test)]
mod tests {
    use super::super::validate::JobProblems;
    use super::*;

    #[test]
    fn parts_become_the_url_that_they_mean() {
        let source = SourceFile {
            host: Some("db.example".to_owned()),
            port: Some(5433),
            user: Some("me@shop".to_owned()),
            password: Some("${DB_PASSWORD}".to_owned()),
            database: Some("my shop".to_owned()),
            options: [("sslmode", "verify-full"), ("sslrootcert", "/certs/${CA}")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            ..SourceFile::default()
        };
        assert_eq!(
            source.url().unwrap(),
            "postgres://me%40shop:${DB_PASSWORD}@db.example:5433/my%20shop\
             ?sslmode=verify-full&sslrootcert=%2Fcerts%2F${CA}"
        );
        assert!(source.check_parts().is_empty());
        let host = |host: &str| {
            SourceFile { host: Some(host.to_owned()), ..SourceFile::default() }.url().unwrap()
        };
        assert_eq!(host("::1"), "postgres://[::1]");
        assert_eq!(host("/cloudsql/p:r:i"), "postgres://%2Fcloudsql%2Fp%3Ar%3Ai");
        assert_eq!(host("${DB_HOST}"), "postgres://${DB_HOST}");
    }

    #[test]
    fn parts_that_do_not_belong_together_are_refused() {
        let said = |source: SourceFile| JobProblems(source.check_parts()).to_string();
        let url = Some("${SOURCE_URL}".to_owned());
        let both = SourceFile { url, user: Some("me".to_owned()), ..SourceFile::default() };
        assert!(said(both).contains("`source.user`: cannot be combined with `source.url`"));
        assert!(said(SourceFile::default()).contains("`source.url`: missing"));
        let alone = SourceFile { database: Some("d".to_owned()), ..SourceFile::default() };
        assert!(said(alone).contains("`source.host`: missing"));
        let (host, password) = (Some("h".to_owned()), Some("s3cret".to_owned()));
        let told = said(SourceFile { host, password, ..SourceFile::default() });
        assert!(told.contains("`source.password`: holds a password") && !told.contains("s3cret"));
    }
}
