//! Where a database file is, and how its URL wants it opened.

use std::path::PathBuf;

use sluice_contracts::job::nearest_hint;
use sluice_contracts::{Error, Result};

/// The parameters of a URL, each with its only value.
const PARAMETERS: [(&str, &str); 2] = [(MODE, "ro"), (IMMUTABLE, "1")];
/// Every database is opened for reading only, so this one changes nothing.
const MODE: &str = "mode";
const IMMUTABLE: &str = "immutable";

pub(super) fn is_parameter(name: &str) -> bool {
    PARAMETERS.iter().any(|(known, _)| *known == name)
}

/// A database file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Location {
    /// For messages: the URL without its parameters.
    pub(super) label: String,
    pub(super) path: PathBuf,
    /// Whether it is read as a file that no process writes to: without locks, `-wal` and
    /// `-journal`.
    pub(super) immutable: bool,
}

/// The file of `sqlite:///absolute/path` or `sqlite://relative/path`. `%` and two hexadecimal
/// digits stand for a byte, such as `%3F` for the `?` that would begin the parameters.
pub(super) fn parse(url: &str) -> Result<Location> {
    let url = url.split('#').next().unwrap_or_default();
    let (label, query) = url.split_once('?').unwrap_or((url, ""));
    let encoded = label.strip_prefix("sqlite://").unwrap_or_default();
    let refused = |reason: &str| {
        Error::invalid(format!("read `source.url`: {reason}"))
            .hint("write `sqlite:///path/to/file`")
    };
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [byte, after @ ..] = rest {
        let escaped = after.get(..2).filter(|_| *byte == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    let path = String::from_utf8(bytes).map_err(|_| refused("its path is not UTF-8"))?;
    if path.is_empty() {
        return Err(refused("it names no file"));
    }
    Ok(Location { label: label.to_owned(), path: path.into(), immutable: immutable(query)? })
}

/// Whether the parameters contain `immutable=1`. Their values are not repeated in errors.
fn immutable(query: &str) -> Result<bool> {
    let mut immutable = false;
    for parameter in query.split('&').filter(|parameter| !parameter.is_empty()) {
        let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let Some((_, only)) = PARAMETERS.iter().find(|(known, _)| *known == name) else {
            let known = PARAMETERS.map(|(known, _)| known.to_owned());
            let error = Error::invalid(format!("read `source.url`: unknown parameter `{name}`"));
            return Err(error.hint(nearest_hint(name, &known)));
        };
        if value != *only {
            return Err(Error::invalid(format!(
                "read `source.url`: parameter `{name}` has an unknown value"
            ))
            .hint(format!("write `{name}={only}`, or leave it out")));
        }
        immutable |= name == IMMUTABLE;
    }
    Ok(immutable)
}
