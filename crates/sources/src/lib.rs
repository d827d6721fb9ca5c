//! Where rows come from: one trait, one folder per kind of source, Arrow as the hub.
//!
//! To add a source: a folder with the same files as its siblings, and one line in [`SOURCES`].

mod builder;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod documentation;
mod naming;
mod place;
mod postgres;
mod secrets;
mod source;
mod sql;
mod sqlite;
mod url;

use std::sync::Arc;

use sluice_contracts::documents::LeastTls;
use sluice_contracts::{Error, Kind, Result};

pub use builder::{BatchBuilder, ColumnBuilder, Invalid, ListColumn};
pub use documentation::{Becomes, Example, TypeRow};
pub use place::{Place, Protection};
pub use postgres::CopyDecoder;
pub use source::{
    Batches, Description, Distribution, Join, Key, Listing, NoConnectionLeft, Piece, Reader,
    Source, SourceKind, Span, Survey,
};
pub use url::{SourceUrl, variables};

/// Every kind of source.
pub const SOURCES: &[&dyn SourceKind] = &[&postgres::Postgres, &sqlite::Sqlite];

/// Every type of every source, families together, in the order of the documentation.
pub fn type_documentation() -> Vec<TypeRow> {
    SOURCES.iter().flat_map(|kind| kind.types()).collect()
}

/// Opens the source that a job's URL names. Does not connect yet.
///
/// `variable` looks an environment variable up; `${NAME}` in `template` stands for one. No error, no
/// label and no message of the source contains a variable's value.
///
/// # Errors
/// `Invalid` for a URL that cannot be read, and for variables that are not set.
pub fn open(template: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Arc<dyn Source>> {
    let url = SourceUrl::expand(template, variable)?;
    open_expanded(&url).map_err(|error| url.secrets().redact(error))
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

fn open_expanded(url: &SourceUrl) -> Result<Arc<dyn Source>> {
    let known = || {
        let schemes: Vec<String> = SOURCES
            .iter()
            .flat_map(|kind| kind.schemes())
            .map(|scheme| format!("`{scheme}://`"))
            .collect();
        format!("this build reads {}", schemes.join(", "))
    };
    let Some((scheme, _)) = url.text().split_once("://") else {
        return Err(Error::invalid("read `source.url`: it has no scheme").hint(known()));
    };
    match SOURCES.iter().find(|kind| kind.schemes().contains(&scheme)) {
        Some(kind) => kind.open(url),
        None => Err(Error::invalid(format!("unknown source `{scheme}://`")).hint(known())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_answered_with_the_known_ones() {
        let error = open("mysql2://h/d", &|_| None).unwrap_err();
        assert_eq!(error.to_string(), "unknown source `mysql2://`");
        assert!(error.remedy().unwrap().contains("`postgres://`"));
    }
}
