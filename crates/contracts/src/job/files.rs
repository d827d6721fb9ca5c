//! Files as a source: which ones, and how they are written.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::JobFile;
use super::constraints::holds_password;
use super::file::{Incremental, SourceFile, WriteDisposition};
use super::validate::JobProblem;
use crate::documents::Relation;

/// The schemes of URLs that name files.
pub const FILE_SCHEMES: [&str; 7] = ["file", "gs", "s3", "az", "abfss", "https", "http"];

/// The word for a format that is yet to be told from the names of the files and a look at them.
pub const UNKNOWN_FORMAT: &str = "auto";

/// The option of [`Relation::Files`] that names the columns of their paths, as a list of JSON.
pub const PARTITION_COLUMNS: &str = "partition_columns";

/// The option of [`Relation::Files`] for the number of rows that may be set aside.
pub const BAD_ROWS: &str = "bad_rows";

/// Whether a URL names files by its scheme.
pub fn is_files(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| FILE_SCHEMES.contains(&scheme))
}

/// What stands between the URLs of [`Job::source`](super::Job::source): no URL has it.
pub const URL_SEPARATOR: char = '\n';

/// How the files of a source are written. What is left out is told from the names of the files and a
/// look at them, and shown by `plan`.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FormatFile {
    /// The format.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub format: Option<FormatName>,
    /// How each file is compressed as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compression: Option<Compression>,
    /// How characters are encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<TextEncoding>,
    /// Whether the first record of each CSV file has the names of the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// The character between the fields of a CSV record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<String>,
    /// The character that stands before and after a quoted field of CSV. Empty, if no field is quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quote: Option<String>,
    /// The character that takes its meaning from the next one, such as `\`. Without it, a quote within a
    /// quoted field is doubled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub escape: Option<String>,
    /// The character that begins a line which is no record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// What a CSV field without quotes says for NULL. Empty, if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub null: Option<String>,
    /// Lines before the header, or before the first record, of each CSV file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skip_lines: Option<u32>,
    /// What a CSV record means that has fewer fields than there are columns, or a file that lacks a column.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<MissingField>,
    /// What a column of a file, or a key of a JSON object, means that the plan does not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<UnknownField>,
}

/// What happens to rows of files that cannot be read.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BadRowsFile {
    /// So many are set aside: they are not loaded, and documents beside the run's say where each of them is and
    /// what is wrong with it. If there are more, nothing becomes visible.
    pub allow: u64,
}

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$of:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        pub enum $name {
            $($(#[$of])* #[serde(rename = $word)] $variant,)*
        }

        impl $name {
            /// Every one.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its word in a job file.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }

            /// The one with this word.
            pub fn of_word(word: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|one| one.word() == word)
            }
        }
    };
}

words! {
    /// A format of files.
    FormatName {
        /// Records of fields, as RFC 4180 has them and as people write them.
        Csv = "csv",
        /// One JSON object a line.
        JsonLines = "json_lines",
        /// Row groups of columns, with their types.
        Parquet = "parquet",
        /// Blocks of records, with their types: object container files.
        Avro = "avro",
    }
}

words! {
    /// A way in which a file is compressed as a whole.
    Compression {
        /// None.
        None = "none",
        /// Gzip, of any number of members.
        Gzip = "gzip",
        /// Zstandard, of any number of frames.
        Zstd = "zstd",
        /// Bzip2, of any number of streams.
        Bzip2 = "bzip2",
    }
}

words! {
    /// A way to encode characters.
    TextEncoding {
        /// UTF-8, with or without a byte order mark.
        Utf8 = "utf-8",
        /// ISO 8859-1: each byte is the character of that number.
        Latin1 = "latin1",
        /// What Windows calls 1252, or ANSI.
        Windows1252 = "windows-1252",
        /// UTF-16, in the order that its byte order mark tells; little-endian without one.
        Utf16 = "utf-16",
        /// UTF-16, big-endian where it has no byte order mark.
        Utf16Be = "utf-16be",
    }
}

words! {
    /// What a missing field means.
    MissingField {
        /// The record, or the file, is refused.
        Refuse = "refuse",
        /// NULL.
        Null = "null",
    }
}

words! {
    /// What a field means that the plan does not know.
    UnknownField {
        /// The record, or the file, is refused.
        Refuse = "refuse",
        /// Nothing.
        Ignore = "ignore",
    }
}

impl FormatFile {
    /// What the job says beside the format's name, by the names of a job file.
    fn options(&self) -> BTreeMap<String, String> {
        let text = |text: &Option<String>| text.clone();
        let options = [
            ("compression", self.compression.map(|one| one.word().to_owned())),
            ("encoding", self.encoding.map(|one| one.word().to_owned())),
            ("header", self.header.map(|header| header.to_string())),
            ("delimiter", text(&self.delimiter)),
            ("quote", text(&self.quote)),
            ("escape", text(&self.escape)),
            ("comment", text(&self.comment)),
            ("null", text(&self.null)),
            ("skip_lines", self.skip_lines.map(|lines| lines.to_string())),
            ("missing", self.missing.map(|one| one.word().to_owned())),
            ("unknown", self.unknown.map(|one| one.word().to_owned())),
        ];
        options.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
    }
}

impl SourceFile {
    /// Whether the source is files, as far as the job file tells.
    pub(super) fn is_files(&self) -> bool {
        let is_named = self.url.as_deref().is_some_and(is_files);
        let has_settings = self.format.is_some() || self.partition_columns.is_some();
        has_settings || self.urls.is_some() || is_named
    }

    /// All URLs of the files.
    fn files(&self) -> Vec<String> {
        self.url.iter().chain(self.urls.iter().flatten()).cloned().collect()
    }

    /// The URLs of the files as a source's URL, one a line.
    pub(super) fn url_of_files(&self) -> Option<String> {
        let urls = self.files();
        (!urls.is_empty()).then(|| urls.join(&URL_SEPARATOR.to_string()))
    }

    /// The files as what is read.
    pub(super) fn relation_of_files(&self, bad_rows: Option<BadRowsFile>) -> Relation {
        let format = self.format.clone().unwrap_or_default();
        let name = format.format.map_or(UNKNOWN_FORMAT, FormatName::word);
        let mut options = format.options();
        if let Some(names) = &self.partition_columns {
            let names = serde_json::Value::from(names.clone()).to_string();
            options.insert(PARTITION_COLUMNS.to_owned(), names);
        }
        if let Some(BadRowsFile { allow }) = bad_rows {
            options.insert(BAD_ROWS.to_owned(), allow.to_string());
        }
        Relation::Files { urls: self.files(), format: name.to_owned(), options }
    }
}

/// Checks that files can be loaded once, if the job asks for it.
fn check_incremental(file: &JobFile, problems: &mut Vec<JobProblem>) {
    let Some(Incremental::Files) = file.incremental else { return };
    if !file.source.is_files() {
        problems.push(
            JobProblem::new("incremental", "`files` needs a source of files")
                .hint("name the files in `source.url`, such as `gs://bucket/orders/*.csv`"),
        );
        return;
    }
    let disposition = file.target.write_disposition;
    if !matches!(disposition, WriteDisposition::Append | WriteDisposition::Merge) {
        let what = format!(
            "`files` loads new files alone, and `{}` does not keep the rows of the others",
            disposition.name()
        );
        problems.push(JobProblem::new("incremental", what).hint(
            "set `target.write_disposition` to `append`, or to `merge` with the key of a row",
        ));
    }
}

/// Checks what files cannot have, and the characters of their format.
pub(super) fn check_files(file: &JobFile, problems: &mut Vec<JobProblem>) {
    check_incremental(file, problems);
    let source = &file.source;
    if !source.is_files() {
        if file.bad_rows.is_some() {
            problems.push(
                JobProblem::new("bad_rows", "is a setting of files")
                    .hint("leave it out; `columns.NAME.on_invalid: null` is for every source"),
            );
        }
        return;
    }
    let with = [
        ("source.table", source.table.is_some(), "files are one table: leave it out"),
        ("source.query", source.query.is_some(), "files have no queries: leave it out"),
        ("source.where", source.filter.is_some(), "files have no conditions: leave it out"),
        ("tables", file.tables.is_some(), "files are one table: name `target.table`"),
        (
            "partitioning.column",
            file.partitioning.column.is_some(),
            "files are cut by their bytes, not by a column: leave it out",
        ),
        ("source.host", source.host.is_some(), "name the files in `source.url`"),
    ];
    for (path, _, hint) in with.into_iter().filter(|(_, stands, _)| *stands) {
        problems.push(JobProblem::new(path, "cannot be set for files").hint(hint));
    }
    for (at, url) in source.urls.iter().flatten().enumerate() {
        let is_line = url.contains(URL_SEPARATOR);
        if !url.contains("://") && !url.starts_with("${") || is_line {
            problems.push(
                JobProblem::new(format!("source.urls.{at}"), "is not a URL")
                    .hint("write one URL, such as `gs://bucket/orders/*.csv`"),
            );
        }
    }
    for (at, _) in source.urls.iter().flatten().enumerate().filter(|(_, url)| holds_password(url)) {
        problems.push(
            JobProblem::new(format!("source.urls.{at}"), "holds a password or a signature").hint(
                "put it in an environment variable: `https://host/file.csv?sig=${SIGNATURE}`",
            ),
        );
    }
    if let Some(url) = source.url.as_ref().filter(|url| url.contains(URL_SEPARATOR)) {
        let what = if url.trim_end().contains(URL_SEPARATOR) {
            "names more than one URL"
        } else {
            "ends in a new line"
        };
        problems.push(JobProblem::new("source.url", what).hint("list the others in `source.urls`"));
    }
    let names = source.partition_columns.as_deref().unwrap_or_default();
    for (at, name) in names.iter().enumerate() {
        let what = match name.as_str() {
            "" => "is empty",
            name if name.contains(['/', '=']) => "is not the name of a column",
            _ if names[..at].contains(name) => "is named twice",
            _ => continue,
        };
        problems.push(
            JobProblem::new(format!("source.partition_columns.{at}"), what)
                .hint("write `dt` for files in folders such as `dt=2026-11-01/`"),
        );
    }
    let Some(format) = &source.format else { return };
    let mut single = |name: &str, typed: &Option<String>, may_be_empty: bool| {
        let Some(typed) = typed else { return };
        let is_one = typed.len() == 1 && !typed.contains(['\n', '\r']) && typed.is_ascii();
        if !(is_one || may_be_empty && typed.is_empty()) {
            problems.push(
                JobProblem::new(format!("source.format.{name}"), "is not one ASCII character")
                    .hint("write one character in double quotes; a tab is `\"\\t\"`"),
            );
        }
    };
    single("delimiter", &format.delimiter, false);
    single("quote", &format.quote, true);
    single("escape", &format.escape, true);
    single("comment", &format.comment, true);
    let quote = format.quote.as_deref().unwrap_or("\"");
    // A quote that escapes itself is doubled.
    let escape = format.escape.as_deref().filter(|escape| *escape != quote);
    let others = [format.delimiter.as_deref(), format.comment.as_deref(), escape];
    let marks = others.into_iter().flatten().chain([quote]);
    let marks: Vec<&str> = marks.filter(|mark| !mark.is_empty()).collect();
    if marks.iter().enumerate().any(|(at, mark)| marks[..at].contains(mark)) {
        problems.push(
            JobProblem::new("source.format", "gives one character two meanings").hint(
                "`delimiter`, `quote` (`\"` if absent), `escape` and `comment` have to differ",
            ),
        );
    }
    check_settings(format, problems);
}

/// Checks that a format has the settings that stand beside it.
fn check_settings(format: &FormatFile, problems: &mut Vec<JobProblem>) {
    let Some(name) = format.format else { return };
    let is_text = matches!(name, FormatName::Csv | FormatName::JsonLines);
    let (csv, text) = ("is a setting of `csv`", "is a setting of `csv` and `json_lines`");
    let settings = [
        ("header", format.header.is_some(), csv),
        ("delimiter", format.delimiter.is_some(), csv),
        ("quote", format.quote.is_some(), csv),
        ("escape", format.escape.is_some(), csv),
        ("comment", format.comment.is_some(), csv),
        ("null", format.null.is_some(), csv),
        ("skip_lines", format.skip_lines.is_some(), csv),
        ("compression", !is_text && format.compression.is_some(), text),
        ("encoding", !is_text && format.encoding.is_some(), text),
        (
            "missing",
            name == FormatName::JsonLines && format.missing.is_some(),
            "is a setting of `csv`, `parquet` and `avro`",
        ),
    ];
    let of_others =
        |(_, stands, of): &(&str, bool, &str)| *stands && !(name == FormatName::Csv && *of == csv);
    for (setting, _, of) in settings.into_iter().filter(of_others) {
        problems.push(JobProblem::new(format!("source.format.{setting}"), of).hint("leave it out"));
    }
}

#[cfg(test)]
mod tests;
