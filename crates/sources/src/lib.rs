//! Where rows come from: one trait, one folder per kind of source, Arrow as the hub.
//!
//! To add a source: a folder with the same files as its siblings, and one line in [`SOURCES`].

mod bigquery;
mod builder;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod datetime;
mod decimal;
mod description;
mod documentation;
mod files;
mod interval;
mod naming;
mod place;
mod postgres;
mod secrets;
mod source;
mod sql;
mod sqlite;
mod text_builder;
mod url;

use std::sync::Arc;

use sluice_contracts::documents::LeastTls;
use sluice_contracts::ports::DatabaseLogin;
use sluice_contracts::{Error, Kind, Result};

#[cfg(feature = "google")]
pub use bigquery::bigquery_at;
pub use builder::{BatchBuilder, ColumnBuilder, Invalid, ListColumn};
pub use description::{
    BlockRange, Description, Distribution, Key, Listing, NativeSource, Piece, Span,
};
pub use documentation::{Becomes, Example, TypeRow};
pub use place::{Place, Protection};
pub use postgres::CopyDecoder;
pub use source::{Batches, Join, NoConnectionLeft, Reader, Source, SourceKind, Survey};
pub use text_builder::TextBuilder;
pub use url::{SourceUrl, variables};

/// Every kind of source.
pub const SOURCES: &[&dyn SourceKind] =
    &[&postgres::Postgres, &sqlite::Sqlite, &bigquery::BigQuery, &files::Files];

/// Every type of every source, families together, in the order of the documentation.
pub fn type_documentation() -> Vec<TypeRow> {
    SOURCES.iter().flat_map(|kind| kind.types()).collect()
}

/// Opens the source that a job's URL names. Does not connect yet.
///
/// `variable` looks an environment variable up; `${NAME}` in `template` stands for one. No error, no
/// label and no message of the source contains a variable's value. `login` is who this program is,
/// for a URL with `login=google_iam`; it is asked when a connection is made.
///
/// # Errors
/// `Invalid` for a URL that cannot be read, and for variables that are not set.
pub fn open(
    template: &str,
    variable: &dyn Fn(&str) -> Option<String>,
    login: Option<&Arc<dyn DatabaseLogin>>,
) -> Result<Arc<dyn Source>> {
    let url = SourceUrl::expand(template, variable)?;
    let opened = kind_of(url.text()).and_then(|kind| kind.open(&url, login));
    opened.map_err(|error| url.secrets().redact(error))
}

/// Checks what can be known of a job's URL without the values of its variables: all of a URL without
/// variables, and otherwise its scheme, unless that is in a variable.
///
/// # Errors
/// `Invalid`, as [`open`].
pub fn check(template: &str) -> Result<()> {
    if variables(template)?.is_empty() {
        return open(template, &|_| None, None).map(drop);
    }
    if template.starts_with("${") { Ok(()) } else { kind_of(template).map(drop) }
}

/// Refuses a source whose URL lets connections be protected less than the operator of a service
/// demands. Each program that opens a source for a service asks, because each resolves the
/// variables of the URL in an environment of its own.
///
/// # Errors
/// `Denied`, with the parameter that is missing.
pub fn refuse_unprotected(source: &dyn Source, least: LeastTls) -> Result<()> {
    let (wanted, mode) = Protection::demanded(least);
    if source.protection() >= wanted {
        return Ok(());
    }
    Err(Error::new(
        Kind::Denied,
        format!(
            "read `{}`: this service wants connections that are at least `sslmode={mode}`",
            source.label()
        ),
    )
    .hint(format!("add `sslmode={mode}` to the URL's parameters")))
}

/// The kind of source that a URL names by its scheme.
fn kind_of(url: &str) -> Result<&'static dyn SourceKind> {
    let known = || {
        let schemes: Vec<String> = SOURCES
            .iter()
            .flat_map(|kind| kind.schemes())
            .map(|scheme| format!("`{scheme}://`"))
            .collect();
        format!("this build reads {}", schemes.join(", "))
    };
    let Some((scheme, _)) = url.split_once("://") else {
        return Err(Error::invalid("read `source.url`: it has no scheme").hint(known()));
    };
    match SOURCES.iter().find(|kind| kind.schemes().contains(&scheme)) {
        Some(kind) => Ok(*kind),
        None => Err(Error::invalid(format!("unknown source `{scheme}://`")).hint(known())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_is_checked_as_far_as_it_says_something() {
        for (template, refused) in [
            ("${SOURCE_URL}", None),
            ("${SCHEME}://h/d", None),
            ("postgres://u:${PW}@h/d", None),
            ("sqlite:///data/${FILE}", None),
            ("postgres://u@h/d", None),
            ("mysql://u:${PW}@h/d", Some("unknown source `mysql://`")),
            ("mysql://h/d", Some("unknown source `mysql://`")),
            ("postgres://u:${PW@h/d", Some("has no `}`")),
            ("postgres://u@h:port/d", Some("not a PostgreSQL URL")),
            ("postgres://u@h/d?sslmod=require", Some("`sslmod` is not a parameter")),
        ] {
            let said = check(template).err().map(|error| error.chain());
            let fits = refused.is_none_or(|words| said.as_ref().is_some_and(|s| s.contains(words)));
            assert!(fits && said.is_some() == refused.is_some(), "{template}: {said:?}");
        }
    }

    #[test]
    fn an_unknown_scheme_is_answered_with_the_known_ones() {
        let error = open("mysql2://h/d", &|_| None, None).unwrap_err();
        assert_eq!(error.to_string(), "unknown source `mysql2://`");
        assert!(error.remedy().unwrap().contains("`postgres://`"));
    }
}
