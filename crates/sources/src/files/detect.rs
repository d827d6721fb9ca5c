//! Telling from names and a look at the first file how files are written.

use sluice_contracts::documents::{Decimal, TargetType};
use sluice_contracts::job::FormatName;
use sluice_contracts::{Error, Result};

use super::csv::{Dialect, Records, delimiter_line};
use super::format::{Format, Mark};
use super::infer::Seen;
use super::kind::Kind;
use super::sample::Head;
use super::{typed, value};

/// Endings of names, and the format that they mean.
const ENDINGS: [(&str, FormatName); 10] = [
    ("csv", FormatName::Csv),
    ("tsv", FormatName::Csv),
    ("tab", FormatName::Csv),
    ("psv", FormatName::Csv),
    ("jsonl", FormatName::JsonLines),
    ("ndjson", FormatName::JsonLines),
    ("jsonlines", FormatName::JsonLines),
    ("json", FormatName::JsonLines),
    ("parquet", FormatName::Parquet),
    ("avro", FormatName::Avro),
];
/// Endings of formats that this build does not read.
const OTHERS: [&str; 4] = ["orc", "xlsx", "xls", "zip"];
/// Endings of compressed files, which stand behind those of formats.
pub(super) const COMPRESSED: [&str; 6] = ["gz", "gzip", "zst", "zstd", "bz2", "bzip2"];
/// Delimiters, in the order in which they are preferred where several fit equally well.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Records of a thousand that have the usual number of fields in a table, at least.
const TABLE: usize = 500;
/// Records that are looked at.
const RECORDS: usize = 1_000;

/// Fills in what the job leaves open, from the beginning of the first file with text, and with a look at the
/// `others`.
///
/// # Errors
/// `Invalid` for a format that this build does not read.
pub(super) fn settle(format: &mut Format, head: &Head, others: &[Head]) -> Result<()> {
    let ending = ending(&head.name);
    if format.name.is_none() {
        if OTHERS.contains(&ending.as_str()) {
            return Err(Error::invalid(format!(
                "read `{}`: this build reads no files that end in `.{ending}`",
                head.name
            ))
            .hint("it reads `csv`, `json_lines`, `parquet` and `avro`; `source.format.type` says it where the name does not"));
        }
        format.name = named(&head.name).or_else(|| Some(by_first_bytes(&head.text)));
    }
    if format.is_typed() {
        return Ok(());
    }
    refuse_others(format, head)?;
    if format.name == Some(FormatName::Csv) {
        let of_name = match ending.as_str() {
            "tsv" | "tab" => Some(b'\t'),
            "psv" => Some(b'|'),
            _ => None,
        };
        format.delimiter = format.delimiter.or(of_name);
        let has_header = settle_csv(format, head)?;
        if format.header.is_none() {
            refuse_other_headers(format, head, has_header, others)?;
            format.header = Some(has_header);
        }
    }
    Ok(())
}

/// Refuses files of which one seems to have a header and another does not: a header would become a row, or a
/// row a header.
fn refuse_other_headers(
    format: &Format,
    first: &Head,
    has_header: bool,
    others: &[Head],
) -> Result<()> {
    for other in others.iter().filter(|other| !other.text.is_empty()) {
        let mut format = format.clone();
        if settle_csv(&mut format, other).is_ok_and(|it| it != has_header) {
            let (with, without) =
                if has_header { (&first.name, &other.name) } else { (&other.name, &first.name) };
            return Err(Error::data(format!(
                "describe the files: `{with}` seems to have a header, and `{without}` none"
            ))
            .hint("say it in `source.format.header`, or write a job for the files of each kind"));
        }
    }
    Ok(())
}

/// Refuses what is no text of a table, whatever its name is.
fn refuse_others(format: &Format, head: &Head) -> Result<()> {
    let first: Vec<u8> = head.text.iter().take(64).map(u8::to_ascii_lowercase).collect();
    let begins = first.trim_ascii_start();
    if [b"<!doctype".as_slice(), b"<html", b"<?xml"].iter().any(|mark| begins.starts_with(mark)) {
        return Err(Error::data(format!("read `{}`: it is a page of HTML or XML", head.name))
            .hint(
                "look at its URL: a server may have answered with a page that asks for a login",
            ));
    }
    if format.coding.encoding.is_none() && first.contains(&0) {
        return Err(Error::data(format!("read `{}`: its text has bytes of zero", head.name))
            .hint("if it is UTF-16, say so: `source.format.encoding: utf-16`"));
    }
    Ok(())
}

/// The last part of a name that is not about its compression, in lower case.
fn ending(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or_default().to_lowercase();
    let mut parts: Vec<&str> = name.split('.').skip(1).collect();
    while parts.last().is_some_and(|last| COMPRESSED.contains(last)) {
        parts.pop();
    }
    parts.last().copied().unwrap_or_default().to_owned()
}

/// The format that the ending of a name means.
pub(super) fn named(path: &str) -> Option<FormatName> {
    let ending = ending(path);
    ENDINGS.iter().find(|(known, _)| *known == ending).map(|(_, name)| *name)
}

fn by_first_bytes(text: &[u8]) -> FormatName {
    if text.starts_with(typed::PARQUET_MAGIC) {
        return FormatName::Parquet;
    }
    if text.starts_with(typed::AVRO_MAGIC) {
        return FormatName::Avro;
    }
    match text.iter().find(|byte| !byte.is_ascii_whitespace()) {
        Some(b'{') => FormatName::JsonLines,
        _ => FormatName::Csv,
    }
}

fn settle_csv(format: &mut Format, head: &Head) -> Result<bool> {
    let text = &head.text;
    let quote = format.quote.map_or(Some(b'"'), Mark::byte);
    format.quote = Some(Mark::of(quote));
    let is_named = format.delimiter.is_some();
    let mut text = text.as_slice();
    if let Some((delimiter, length)) = delimiter_line(text) {
        format.delimiter = format.delimiter.or(Some(delimiter));
        text = text.get(length..).unwrap_or_default();
    }
    let escaped_quote = quote.map(|quote| [b'\\', quote]);
    let escapes: Vec<Option<u8>> = match format.escape {
        Some(escape) => vec![escape.byte()],
        // A backslash is one like other characters, unless quotes stand behind some.
        None if escaped_quote.is_some_and(|mark| memchr::memmem::find(text, &mark).is_some()) => {
            vec![None, Some(b'\\')]
        }
        None => vec![None],
    };
    let delimiters: Vec<u8> = match format.delimiter {
        Some(delimiter) => vec![delimiter],
        None => DELIMITERS.to_vec(),
    };
    let has_returns = format.dialect().has_returns(text);
    let rest = behind_lines(text, format.skip_lines, has_returns);
    let mut best: Option<(Score, u8, Option<u8>)> = None;
    // Fields of the first record, by the delimiter that makes the most of it.
    let mut most = 0;
    for escape in escapes {
        for &delimiter in &delimiters {
            let dialect = Dialect::new(delimiter, quote, escape, format.comment);
            let score = score(&dialect.with_returns(has_returns), rest, head.is_whole);
            most = most.max(score.fields);
            if best.as_ref().is_none_or(|(so_far, ..)| score > *so_far) {
                best = Some((score, delimiter, escape));
            }
        }
    }
    if let Some((score, delimiter, escape)) = best {
        if !is_named && score.fields == 1 && most > 1 {
            return Err(Error::data(format!(
                "read `{}`: what delimits its fields is not clear: its records have different numbers of them",
                head.name
            ))
            .hint("name it in `source.format.delimiter`, or correct the file"));
        }
        format.delimiter = Some(delimiter);
        format.escape = Some(Mark::of(escape));
    }
    let dialect = format.dialect().with_returns(has_returns);
    Ok(has_header(&dialect, rest, head.is_whole))
}

/// How well a dialect fits: whether most records have the fields of the first one, and more than one; whether
/// all of the text is records; how many of a thousand have that number, and the number.
///
/// A quote that nobody closes makes no table of a text by another delimiter, so damage counts less.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    is_table: bool,
    is_whole: bool,
    even: usize,
    fields: usize,
}

fn score(dialect: &Dialect, text: &[u8], is_last: bool) -> Score {
    let mut records = Records::default();
    let split = dialect.split(text, is_last, false, RECORDS, &mut records);
    let counts: Vec<usize> = records.iter().map(<[_]>::len).collect();
    let fields = counts.first().copied().unwrap_or_default();
    let same = counts.iter().filter(|count| **count == fields).count();
    let even = same * 1000 / counts.len().max(1);
    Score { is_table: fields > 1 && even >= TABLE, is_whole: split.is_ok(), even, fields }
}

/// Whether the first record names the columns: none of its fields is a value, or one is a text where the
/// fields below it are none. A name that is there twice is refused where the header is read.
fn has_header(dialect: &Dialect, text: &[u8], is_last: bool) -> bool {
    let mut records = Records::default();
    let split = dialect.split(text, is_last, false, RECORDS, &mut records);
    let mut records = records.iter();
    let (Ok(_), Some(first)) = (split, records.next()) else { return true };
    let first: Vec<&[u8]> = first.iter().map(|field| field.of(text)).collect();
    if !first.iter().any(|text| is_value(text)) {
        return first.iter().any(|text| !text.is_empty());
    }
    let mut below = vec![Seen::default(); first.len()];
    for record in records {
        for (seen, field) in below.iter_mut().zip(record) {
            if field.length() > 0 {
                seen.add(field.of(text));
            }
        }
    }
    let names = first.iter().zip(&below);
    names
        .into_iter()
        .any(|(name, below)| below.told().0 != Kind::Text && !name.is_empty() && !is_value(name))
}

/// Whether a text is a number, a day, a moment or a truth value.
fn is_value(text: &[u8]) -> bool {
    value::decimal(Kind::Any, text, Decimal::BIGNUMERIC).is_ok()
        || value::date(Kind::Any, text).is_ok()
        || value::moment(Kind::Any, TargetType::Timestamp, text).is_ok()
        || value::boolean(Kind::Boolean, text).is_ok()
}

fn behind_lines(text: &[u8], count: u32, has_returns: bool) -> &[u8] {
    let mark = if has_returns { b'\r' } else { b'\n' };
    let mut rest = text;
    for _ in 0..count {
        let end = rest.iter().position(|byte| *byte == mark).map_or(rest.len(), |end| end + 1);
        rest = rest.get(end..).unwrap_or_default();
    }
    rest
}
