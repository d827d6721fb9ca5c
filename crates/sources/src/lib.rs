//! Where rows come from: one trait, one folder per kind of source, Arrow as the hub.
//!
//! To add a source: a folder with the same files as its siblings, and one line in [`SOURCES`].

mod builder;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
mod documentation;
mod naming;
mod postgres;
mod source;
mod sql;
mod sqlite;

use std::sync::Arc;

use sluice_contracts::{Error, Result};

pub use builder::{BatchBuilder, ColumnBuilder, Invalid, ListColumn};
pub use documentation::{Becomes, Example, TypeRow};
pub use postgres::CopyDecoder;
pub use source::{
    Batches, Description, Distribution, Join, Key, Listing, NoConnectionLeft, Piece, Reader,
    Source, SourceKind, Span, Survey,
};

/// Every kind of source.
pub const SOURCES: &[&dyn SourceKind] = &[&postgres::Postgres, &sqlite::Sqlite];

/// Every type of every source, families together, in the order of the documentation.
pub fn type_documentation() -> Vec<TypeRow> {
    SOURCES.iter().flat_map(|kind| kind.types()).collect()
}

/// Opens the source that a job's URL names. Does not connect yet.
///
/// `variable` looks an environment variable up; `${NAME}` in `template` stands for one.
pub fn open(template: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Arc<dyn Source>> {
    let url = expand(template, variable)?;
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
        Some(kind) => kind.open(&url),
        None => Err(Error::invalid(format!("unknown source `{scheme}://`")).hint(known())),
    }
}

/// Puts environment variables into a URL. The result may hold a password: it is never printed.
fn expand(template: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut url = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(start) = rest.find("${") {
        let (before, after) = rest.split_at(start);
        url.push_str(before);
        let Some(end) = after.find('}') else {
            return Err(Error::invalid("read `source.url`: a `${` has no `}`"));
        };
        let name = &after[2..end];
        let value = variable(name).filter(|value| !value.is_empty()).ok_or_else(|| {
            Error::invalid(format!(
                "read `source.url`: the environment variable `{name}` is not set"
            ))
            .hint(format!("set it: `export {name}=...`"))
        })?;
        url.push_str(&value);
        rest = &after[end + 1..];
    }
    url.push_str(rest);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_expanded_and_missing_ones_named() {
        let variable = |name: &str| (name == "PW").then(|| "s3cret".to_owned());
        assert_eq!(expand("a://u:${PW}@h/${PW}", &variable).unwrap(), "a://u:s3cret@h/s3cret");
        assert_eq!(expand("a://h", &variable).unwrap(), "a://h");
        let error = expand("a://${NOPE}", &variable).unwrap_err();
        assert!(error.to_string().contains("`NOPE` is not set"));
    }

    #[test]
    fn an_unknown_scheme_is_answered_with_the_known_ones() {
        let error = open("mysql2://h/d", &|_| None).unwrap_err();
        assert_eq!(error.to_string(), "unknown source `mysql2://`");
        assert!(error.remedy().unwrap().contains("`postgres://`"));
    }
}
