//! How files are written: what the job says of it, and what a look at them tells.

use std::collections::BTreeMap;

use sluice_contracts::documents::{Column, Relation};
use sluice_contracts::job::{
    BAD_ROWS, Compression, FormatName, MissingField, PARTITION_COLUMNS, TextEncoding,
    UNKNOWN_FORMAT, UnknownField,
};
use sluice_contracts::{Error, Result};

use super::csv::Dialect;
use super::text::Coding;

/// What a job, or a plan, says of the format of files. In a plan, nothing is left open that readers need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) name: Option<FormatName>,
    pub(super) coding: Coding,
    pub(super) header: Option<bool>,
    pub(super) delimiter: Option<u8>,
    pub(super) quote: Option<Mark>,
    pub(super) escape: Option<Mark>,
    pub(super) comment: Option<u8>,
    /// What a field without quotes says for NULL.
    pub(super) null: String,
    pub(super) skip_lines: u32,
    pub(super) missing: Option<MissingField>,
    pub(super) unknown: Option<UnknownField>,
    /// How many rows may be set aside.
    pub(super) bad_rows: u64,
    /// Names of the columns that the paths of the files hold.
    pub(super) partition_columns: Vec<String>,
    /// Names of all columns of the files, if the table has not all of them.
    pub(super) known: Option<Vec<String>>,
}

/// A setting whose value is one character, or no character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Byte(u8),
    Absent,
}

impl Mark {
    pub(super) fn of(byte: Option<u8>) -> Self {
        byte.map_or(Self::Absent, Self::Byte)
    }

    pub(super) fn byte(self) -> Option<u8> {
        match self {
            Self::Byte(byte) => Some(byte),
            Self::Absent => None,
        }
    }
}

/// The option of a plan for the names of all columns.
const KNOWN: &str = "columns";

impl Format {
    /// The URLs and the format of files.
    ///
    /// # Errors
    /// `Invalid` for a relation of another kind, and `Data` for a plan that this build cannot read.
    pub(super) fn of(relation: &Relation) -> Result<Self> {
        let Relation::Files { format, options, .. } = relation else {
            return Err(Error::invalid(format!(
                "read `{relation}`: the source is files, not tables"
            ))
            .hint("leave `source.table` and `source.query` out"));
        };
        let unknown = |what: &str| {
            Error::data(format!("read the plan: unknown {what} of files"))
                .hint("the plan is of another version; plan the run again")
        };
        let name = match format.as_str() {
            UNKNOWN_FORMAT => None,
            word => Some(FormatName::of_word(word).ok_or_else(|| unknown("format"))?),
        };
        let mut this = Self { name, ..Self::default() };
        let character = |value: &str| value.bytes().next();
        for (option, value) in options {
            let known = match option.as_str() {
                "compression" => {
                    this.coding.compression = Compression::of_word(value);
                    this.coding.compression.is_some()
                }
                "encoding" => {
                    this.coding.encoding = TextEncoding::of_word(value);
                    this.coding.encoding.is_some()
                }
                "header" => {
                    this.header = value.parse().ok();
                    this.header.is_some()
                }
                "delimiter" => {
                    this.delimiter = character(value);
                    this.delimiter.is_some()
                }
                "quote" => {
                    this.quote = Some(Mark::of(character(value)));
                    true
                }
                "escape" => {
                    this.escape = Some(Mark::of(character(value)));
                    true
                }
                "comment" => {
                    this.comment = character(value);
                    true
                }
                "null" => {
                    this.null.clone_from(value);
                    true
                }
                "skip_lines" => value.parse().is_ok_and(|lines| {
                    this.skip_lines = lines;
                    true
                }),
                BAD_ROWS => value.parse().is_ok_and(|rows| {
                    this.bad_rows = rows;
                    true
                }),
                PARTITION_COLUMNS => serde_json::from_str(value).is_ok_and(|names| {
                    this.partition_columns = names;
                    true
                }),
                KNOWN => {
                    this.known = serde_json::from_str(value).ok();
                    this.known.is_some()
                }
                "missing" => {
                    this.missing = MissingField::of_word(value);
                    this.missing.is_some()
                }
                "unknown" => {
                    this.unknown = UnknownField::of_word(value);
                    this.unknown.is_some()
                }
                _ => false,
            };
            if !known {
                return Err(unknown(&format!("option `{option}`")));
            }
        }
        Ok(this)
    }

    /// The relation as readers of a plan need it: with what a look at the files told.
    pub(super) fn relation(&self, urls: &[String]) -> Relation {
        let text = |byte: u8| char::from(byte).to_string();
        let is_csv = self.name == Some(FormatName::Csv);
        let mut options = BTreeMap::new();
        let mut say = |option: &str, value: Option<String>| {
            if let Some(value) = value {
                options.insert(option.to_owned(), value);
            }
        };
        say("compression", self.coding.compression.map(|one| one.word().to_owned()));
        say("encoding", self.coding.encoding.map(|one| one.word().to_owned()));
        say("missing", self.missing.map(|one| one.word().to_owned()));
        say("unknown", self.unknown.map(|one| one.word().to_owned()));
        say(BAD_ROWS, (self.bad_rows > 0).then(|| self.bad_rows.to_string()));
        let of_paths = Some(&self.partition_columns).filter(|names| !names.is_empty());
        say(PARTITION_COLUMNS, of_paths.and_then(|names| serde_json::to_string(names).ok()));
        say(KNOWN, self.known.as_ref().and_then(|known| serde_json::to_string(known).ok()));
        if is_csv {
            say("header", self.header.map(|header| header.to_string()));
            say("delimiter", self.delimiter.map(text));
            say("quote", self.quote.map(|quote| quote.byte().map(text).unwrap_or_default()));
            say("escape", self.escape.and_then(Mark::byte).map(text));
            say("comment", self.comment.map(text));
            say("null", (!self.null.is_empty()).then(|| self.null.clone()));
            say("skip_lines", (self.skip_lines > 0).then(|| self.skip_lines.to_string()));
        }
        let format = self.name.map_or(UNKNOWN_FORMAT, FormatName::word).to_owned();
        Relation::Files { urls: urls.to_vec(), format, options }
    }

    /// The dialect of CSV.
    pub(super) fn dialect(&self) -> Dialect {
        Dialect::new(
            self.delimiter.unwrap_or(b','),
            self.quote.map_or(Some(b'"'), Mark::byte),
            self.escape.and_then(Mark::byte),
            self.comment,
        )
    }

    /// Names of all columns of the files whose table has these.
    pub(super) fn known_columns(&self, columns: &[Column]) -> Vec<String> {
        let own = || columns.iter().map(|column| column.source_name.clone()).collect();
        self.known.clone().unwrap_or_else(own)
    }

    /// Whether the files name the types of their columns.
    pub(super) fn is_typed(&self) -> bool {
        matches!(self.name, Some(FormatName::Parquet | FormatName::Avro))
    }

    /// Whether the first record of each file has the names of the columns.
    pub(super) fn has_header(&self) -> bool {
        self.header.unwrap_or(true)
    }

    /// Whether a missing field is NULL.
    pub(super) fn takes_missing(&self) -> bool {
        self.missing == Some(MissingField::Null)
    }

    /// Whether an unknown field is left out.
    pub(super) fn ignores_unknown(&self) -> bool {
        self.unknown == Some(UnknownField::Ignore)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_says_all_that_its_readers_need() {
        let format = Format {
            name: Some(FormatName::Csv),
            coding: Coding {
                compression: Some(Compression::Gzip),
                encoding: Some(TextEncoding::Latin1),
            },
            header: Some(false),
            delimiter: Some(b'\t'),
            quote: Some(Mark::Absent),
            escape: Some(Mark::Byte(b'\\')),
            comment: Some(b'#'),
            null: "\\N".to_owned(),
            skip_lines: 2,
            missing: Some(MissingField::Null),
            unknown: Some(UnknownField::Ignore),
            bad_rows: 7,
            partition_columns: vec!["dt".to_owned()],
            known: Some(vec!["a \"b\"".to_owned(), "c".to_owned()]),
        };
        assert_eq!(Format::of(&format.relation(&[])).unwrap(), format);
        let plain = Format { name: Some(FormatName::JsonLines), ..Format::default() };
        assert_eq!(Format::of(&plain.relation(&[])).unwrap(), plain);
        let options = BTreeMap::from([("colour".to_owned(), "blue".to_owned())]);
        let odd = Relation::Files { urls: Vec::new(), format: "csv".to_owned(), options };
        assert!(Format::of(&odd).unwrap_err().to_string().contains("unknown option `colour`"));
    }
}
