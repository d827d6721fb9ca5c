//! A source's URL: as a job writes it, with environment variables, and as it is connected to.

use std::fmt;

use percent_encoding::{AsciiSet, utf8_percent_encode};
use sluice_contracts::url::{ENCODED, bracketed};
use sluice_contracts::{Error, Result};

use crate::secrets::Secrets;

/// What is percent-encoded in a path.
const PATH: &AsciiSet = &ENCODED.remove(b'/');

/// A URL whose variables have their values.
pub struct SourceUrl {
    template: String,
    text: String,
    secrets: Secrets,
}

// The text may hold a password.
impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceUrl").field("template", &self.template).finish_non_exhaustive()
    }
}

impl SourceUrl {
    /// Puts the values of variables into a template.
    ///
    /// A variable at the template's beginning holds a URL, or the beginning of one, and one in place
    /// of the host holds a host: their values are taken as they are. Everywhere else a value is a
    /// user, a password, a database, a path or a parameter, and is percent-encoded.
    ///
    /// # Errors
    /// `Invalid` for a variable that has no value, and for a `${` without `}`.
    pub fn expand(template: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Self> {
        let mut text = String::with_capacity(template.len());
        let mut secrets = Secrets::default();
        for part in parts(template)? {
            let (name, before, after) = match part {
                Part::Literal(literal) => {
                    text.push_str(literal);
                    continue;
                }
                Part::Variable { name, before, after } => (name, before, after),
            };
            let value = variable(name).filter(|value| !value.is_empty()).ok_or_else(|| {
                Error::invalid(format!(
                    "read `source.url`: the environment variable `{name}` is not set"
                ))
                .hint(format!("set it: `export {name}=...`"))
            })?;
            secrets.add(name, &value);
            match Position::of(before, after) {
                Position::AsItIs => text.push_str(&value),
                Position::Host => text.push_str(&host(&value)),
                Position::Path => text.extend(utf8_percent_encode(&value, PATH)),
                Position::Name => text.extend(utf8_percent_encode(&value, ENCODED)),
            }
        }
        Ok(Self { template: template.to_owned(), text, secrets })
    }

    /// The URL to connect to. It is never printed.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The URL as the job writes it.
    pub(crate) fn template(&self) -> &str {
        &self.template
    }

    /// What no message may contain.
    pub(crate) fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// The source for messages: the template without password and parameters, or `own` if the
    /// template has no variables.
    pub(crate) fn label(&self, own: impl FnOnce() -> String) -> String {
        if self.secrets.is_empty() { own() } else { without_password(&self.template) }
    }
}

/// The names of a template's variables.
///
/// # Errors
/// `Invalid` for a `${` without `}`.
pub fn variables(template: &str) -> Result<Vec<&str>> {
    let names = parts(template)?.into_iter().filter_map(|part| match part {
        Part::Variable { name, .. } => Some(name),
        Part::Literal(_) => None,
    });
    Ok(names.collect())
}

/// A piece of a template.
enum Part<'a> {
    Literal(&'a str),
    Variable {
        name: &'a str,
        /// The template before it.
        before: &'a str,
        /// The template after it.
        after: &'a str,
    },
}

fn parts(template: &str) -> Result<Vec<Part<'_>>> {
    let mut parts = Vec::new();
    let mut at = 0;
    while let Some(start) = template[at..].find("${").map(|found| at + found) {
        let Some(end) = template[start..].find('}').map(|found| start + found) else {
            return Err(Error::invalid("read `source.url`: a `${` has no `}`")
                .hint("write `${NAME}` for the environment variable `NAME`"));
        };
        parts.push(Part::Literal(&template[at..start]));
        let (name, after) = (&template[start + 2..end], &template[end + 1..]);
        parts.push(Part::Variable { name, before: &template[..start], after });
        at = end + 1;
    }
    parts.push(Part::Literal(&template[at..]));
    Ok(parts)
}

/// Where in a URL a variable is, which says what its value is.
enum Position {
    /// A URL or its beginning, or whole parameters.
    AsItIs,
    Host,
    Path,
    /// A user, a password, or a parameter's value.
    Name,
}

impl Position {
    fn of(before: &str, after: &str) -> Self {
        if before.is_empty() {
            return Self::AsItIs;
        }
        let rest = before.split_once("://").map_or(before, |(_, rest)| rest);
        if let Some((_, query)) = rest.split_once('?') {
            let pair = query.rsplit('&').next().unwrap_or_default();
            return if pair.contains('=') { Self::Name } else { Self::AsItIs };
        }
        if rest.contains('/') {
            return Self::Path;
        }
        let authority = after.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.contains('@') { Self::Name } else { Self::Host }
    }
}

/// A host as a URL has it: an address in brackets, and the folder of a socket percent-encoded.
fn host(value: &str) -> String {
    if let Some(address) = bracketed(value) {
        address
    } else if value.starts_with('/') {
        utf8_percent_encode(value, ENCODED).to_string()
    } else {
        value.to_owned()
    }
}

/// A template without its password, parameters and fragment.
fn without_password(template: &str) -> String {
    let end = template.find(['?', '#']).unwrap_or(template.len());
    let template = &template[..end];
    let Some((scheme, rest)) = template.split_once("://") else { return template.to_owned() };
    let path = rest.find('/').unwrap_or(rest.len());
    let (authority, path) = rest.split_at(path);
    let without = match authority.rsplit_once('@') {
        Some((user, host)) => {
            format!("{}@{host}", user.split(':').next().unwrap_or_default())
        }
        None => authority.to_owned(),
    };
    format!("{scheme}://{without}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expand(template: &str) -> Result<SourceUrl> {
        SourceUrl::expand(template, &|name| match name {
            "PW" => Some("p@s/s:w#r%d?".to_owned()),
            "SOCKET" => Some("/cloudsql/p:r:i".to_owned()),
            "ADDRESS" => Some("::1".to_owned()),
            "HOST" => Some("[::1]:5432".to_owned()),
            "URL" => Some("postgres://u:a%40b@h/d".to_owned()),
            "FILE" => Some("/data/a b?.db".to_owned()),
            _ => None,
        })
    }

    #[test]
    fn a_value_is_encoded_where_it_is_a_name_and_taken_as_it_is_where_it_is_a_url() {
        for (template, expected) in [
            ("postgres://u:${PW}@h/d", "postgres://u:p%40s%2Fs%3Aw%23r%25d%3F@h/d"),
            ("postgres://${PW}@${HOST}/d", "postgres://p%40s%2Fs%3Aw%23r%25d%3F@[::1]:5432/d"),
            ("${URL}?sslmode=require", "postgres://u:a%40b@h/d?sslmode=require"),
            ("postgres://h/d?password=${PW}", "postgres://h/d?password=p%40s%2Fs%3Aw%23r%25d%3F"),
            (
                "${URL}?password=${PW}&a=b",
                "postgres://u:a%40b@h/d?password=p%40s%2Fs%3Aw%23r%25d%3F&a=b",
            ),
            ("sqlite://${FILE}?mode=ro", "sqlite://%2Fdata%2Fa%20b%3F.db?mode=ro"),
            ("sqlite:///${FILE}", "sqlite:////data/a%20b%3F.db"),
            ("postgres://u@${SOCKET}/d", "postgres://u@%2Fcloudsql%2Fp%3Ar%3Ai/d"),
            ("postgres://u@${ADDRESS}:5432/d", "postgres://u@[::1]:5432/d"),
            ("postgres://h/d", "postgres://h/d"),
        ] {
            assert_eq!(expand(template).unwrap().text(), expected);
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let error = expand("a://${NOPE}").unwrap_err();
        assert!(error.to_string().contains("`NOPE` is not set"));
        assert!(expand("a://${NOPE").unwrap_err().to_string().contains("has no `}`"));
        assert_eq!(variables("a://${B}@${C}/d").unwrap(), ["B", "C"]);
    }

    #[test]
    fn a_label_shows_the_template_and_no_password() {
        for (template, expected) in [
            ("${URL}", "${URL}"),
            ("postgres://me:${PW}@${HOST}/shop?password=${PW}", "postgres://me@${HOST}/shop"),
            ("sqlite:///x/${PW}", "sqlite:///x/${PW}"),
        ] {
            assert_eq!(expand(template).unwrap().label(String::new), expected);
        }
        assert_eq!(expand("postgres://h/d").unwrap().label(|| "own".to_owned()), "own");
        let debugged = format!("{:?}", expand("${URL}/${PW}").unwrap());
        assert!(debugged.contains("${URL}/${PW}") && !debugged.contains("a%40b"), "{debugged}");
    }
}
