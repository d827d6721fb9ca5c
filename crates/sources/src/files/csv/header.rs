//! The header of a file, and which of its fields fill the columns of a table.

use sluice_contracts::documents::Column;
use sluice_contracts::{Error, Result};

use super::{Dialect, Records};
use crate::files::format::Format;

/// Where the records of a file begin, and what its header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::files) struct Header {
    /// Names of the fields; `None` if the file has no header.
    pub(in crate::files) names: Option<Vec<String>>,
    /// Where the first record behind it begins.
    pub(in crate::files) end: usize,
    /// Whether carriage returns alone end the file's records.
    pub(in crate::files) has_returns: bool,
}

impl Header {
    /// Reads what stands before the records of a file whose text begins with these bytes. `None` if more
    /// of them are needed.
    pub(in crate::files) fn read(
        name: &str,
        format: &Format,
        text: &[u8],
        is_last: bool,
    ) -> Result<Option<Self>> {
        if text.is_empty() && !is_last {
            return Ok(None);
        }
        let dialect = format.dialect();
        let has_returns = dialect.has_returns(text);
        let dialect = dialect.with_returns(has_returns);
        let mut at = 0;
        if let Some((delimiter, length)) = delimiter_line(text) {
            if format.delimiter.is_some_and(|known| known != delimiter) {
                return Err(Error::data(format!(
                    "read the header of `{name}`: its first line says another delimiter than that of the \
                     other files"
                ))
                .hint("write a job for the files of each delimiter"));
            }
            at = length;
        }
        for line in 1..=format.skip_lines {
            let mark = if has_returns { b'\r' } else { b'\n' };
            let rest = text.get(at..).unwrap_or_default();
            match rest.iter().position(|byte| *byte == mark) {
                Some(end) => at += end + 1,
                None if text.is_empty() && is_last => break,
                // The file ends with what is skipped.
                None if is_last && line == format.skip_lines && !rest.is_empty() => at = text.len(),
                None if is_last => {
                    return Err(Error::data(format!(
                        "read the header of `{name}`: it has no more lines than are skipped"
                    ))
                    .hint("correct `source.format.skip_lines`"));
                }
                None => return Ok(None),
            }
        }
        if !format.has_header() {
            return Ok(Some(Self { names: None, end: at, has_returns }));
        }
        let mut records = Records::default();
        let mut bytes = text.get(at..).unwrap_or_default().to_vec();
        // A blank line before the header is no header of a single column.
        let split = dialect.split(&bytes, is_last, false, 1, &mut records);
        let length = split.map_err(|malformed| {
            Error::data(format!("read the header of `{name}`: {}", malformed.why)).hint(
                "`source.format` says how the file is written; set `header` to `false` if its first line is a row",
            )
        })?;
        let Some(fields) = records.iter().next() else {
            return Ok(is_last.then(|| Self {
                names: Some(Vec::new()),
                end: text.len(),
                has_returns,
            }));
        };
        let names = names_of(name, &dialect, fields, &mut bytes)?;
        Ok(Some(Self { names: Some(names), end: at + length, has_returns }))
    }
}

/// The delimiter that a first line `sep=;` says, as Excel writes and reads it, and the length of that line.
pub(in crate::files) fn delimiter_line(text: &[u8]) -> Option<(u8, usize)> {
    match *text {
        [b's', b'e', b'p', b'=', delimiter, b'\r', b'\n', ..] => Some((delimiter, 7)),
        [b's', b'e', b'p', b'=', delimiter, b'\r' | b'\n', ..] => Some((delimiter, 6)),
        _ => None,
    }
}

fn names_of(
    name: &str,
    dialect: &Dialect,
    fields: &[super::Field],
    bytes: &mut [u8],
) -> Result<Vec<String>> {
    let mut names: Vec<String> = Vec::with_capacity(fields.len());
    for field in fields {
        let mut field = *field;
        if field.is_escaped() {
            dialect.unescape(&mut field, b"", bytes);
        }
        let text = String::from_utf8(field.of(bytes).to_vec()).map_err(|_| {
            Error::data(format!("read the header of `{name}`: it is not UTF-8"))
                .hint("`source.format.encoding` says how the characters are encoded")
        })?;
        names.push(text);
    }
    Ok(names)
}

/// Which field of a file's records fills each column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::files) struct Width {
    /// Fields of a record.
    pub(in crate::files) fields: usize,
    /// For each column, its field; `None` for a column that the file lacks.
    pub(in crate::files) of_columns: Vec<Option<usize>>,
    /// Whether carriage returns alone end the file's records.
    pub(in crate::files) has_returns: bool,
}

impl Width {
    /// The width of a file without records.
    pub(in crate::files) fn none(fields: usize) -> Self {
        Self { fields, of_columns: Vec::new(), has_returns: false }
    }

    /// Finds the field of each column: by its name in the header, or by its place in a file without a header.
    ///
    /// # Errors
    /// `Data` for a header that lacks a column, or has one that the plan does not know, unless the job
    /// says what that means.
    pub(in crate::files) fn of(
        name: &str,
        format: &Format,
        header: &Header,
        columns: &[Column],
        known: &[String],
    ) -> Result<Self> {
        let Some(names) = &header.names else {
            let place = |column: &Column| known.iter().position(|one| *one == column.source_name);
            let of_columns = columns.iter().map(place).collect();
            let has_returns = header.has_returns;
            return Ok(Self { fields: known.len(), of_columns, has_returns });
        };
        let wrong = |what: String, hint: &str| {
            Err(Error::data(format!("read the header of `{name}`: {what}")).hint(hint.to_owned()))
        };
        // What is no header may be a row, which no message may show.
        if !names.iter().any(|one| known.contains(one)) {
            return wrong(
                "it has no column that the plan knows".to_owned(),
                "the file may have no header, or another delimiter than the others: write a job for the \
                 files of each kind",
            );
        }
        if let Some(twice) = names.iter().enumerate().find(|(at, one)| names[..*at].contains(one)) {
            return wrong(
                format!("it names `{}` twice", twice.1),
                "correct the file, or set `source.format.header` to `false` and name the columns",
            );
        }
        if !format.ignores_unknown()
            && let Some(unknown) = names.iter().find(|one| !known.contains(one))
        {
            return wrong(
                format!("the plan does not know its column `{unknown}`"),
                "set `source.format.unknown` to `ignore` to leave such columns out, or plan again \
                 with columns that all files have",
            );
        }
        let mut of_columns = Vec::with_capacity(columns.len());
        for column in columns {
            let place = names.iter().position(|one| *one == column.source_name);
            if place.is_none() && !format.takes_missing() {
                return wrong(
                    format!("it has no column `{}`", column.source_name),
                    "set `source.format.missing` to `null` if such a column is NULL in this file",
                );
            }
            of_columns.push(place);
        }
        Ok(Self { fields: names.len(), of_columns, has_returns: header.has_returns })
    }
}
