//! From the text of JSON lines to the columns of batches.
//!
//! Each line is one object. What a column of JSON gets is the text of the value as it stands in the file, with
//! every digit and every key; numbers are read from their text, and not by way of a double.

mod fields;
mod nested;
mod shape;

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use arrow_array::RecordBatch;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use sluice_contracts::documents::{BadRow, Column, OnInvalid, TargetType};
use sluice_contracts::{Error, Result};

pub(super) use self::fields::Fields;
use self::nested::Nested;
pub(super) use self::shape::Shape;
use super::bad_rows::BadRows;
use super::columns::{Conversion, misfit};
use super::csv::LONGEST_RECORD;
use super::format::Format;
use super::kind::Kind;
use super::place::Place;
use crate::builder::{BatchBuilder, Invalid};

/// Makes batches of lines.
#[derive(Debug)]
pub(super) struct JsonDecoder {
    columns: Vec<Column>,
    readings: Vec<Reading>,
    keys: Keys,
    builder: BatchBuilder,
    /// Values that became NULL, by column.
    pub(super) invalid: Vec<u64>,
    pub(super) bad_rows: BadRows,
}

/// How the values of a column are read.
#[derive(Debug)]
enum Reading {
    /// By their text.
    Single(Conversion, Kind),
    /// By what is in them.
    Nested(Nested),
}

impl Reading {
    fn of(column: &Column, format: &Format) -> Result<Self> {
        match Nested::of_column(column, format.ignores_unknown())? {
            Some(nested) => Ok(Self::Nested(nested)),
            None => Ok(Self::Single(Conversion::of(column)?, Kind::parse(&column.encoding)?)),
        }
    }
}

/// The keys of objects.
#[derive(Debug)]
struct Keys {
    /// The column of each key that the plan knows; `None` for those that are not read.
    known: HashMap<String, Option<usize>>,
    ignores_unknown: bool,
}

impl JsonDecoder {
    pub(super) fn new(format: &Format, columns: &[Column], known: &[String]) -> Result<Self> {
        let unread = known.iter().map(|key| (key.clone(), None));
        let read = columns.iter().enumerate().map(|(at, it)| (it.source_name.clone(), Some(at)));
        let keys =
            Keys { known: unread.chain(read).collect(), ignores_unknown: format.ignores_unknown() };
        Ok(Self {
            columns: columns.to_vec(),
            readings: columns.iter().map(|it| Reading::of(it, format)).collect::<Result<_>>()?,
            keys,
            builder: BatchBuilder::new(columns),
            invalid: vec![0; columns.len()],
            bad_rows: BadRows::new(format.bad_rows),
        })
    }

    /// Takes lines off the front of `text`, and says how many bytes they are, and whether the batch is full.
    pub(super) fn take(
        &mut self,
        text: &[u8],
        is_last: bool,
        place: &Place<'_>,
    ) -> Result<(usize, bool)> {
        let most = self.builder.room().rows;
        let width = self.columns.len();
        let mut cells: Vec<Option<&RawValue>> = Vec::new();
        let mut starts: Vec<usize> = Vec::new();
        let mut at = 0;
        while starts.len() < most && at < text.len() {
            let rest = text.get(at..).unwrap_or_default();
            let end = match memchr::memchr(b'\n', rest) {
                Some(end) => end,
                None if is_last => rest.len(),
                None if rest.len() > LONGEST_RECORD => {
                    let what = "a line is longer than 128 MiB";
                    return Err(Error::data(format!("read {}: {what}", place.of(text, at)))
                        .hint("JSON lines have one object a line"));
                }
                None => break,
            };
            let line = rest.get(..end).unwrap_or_default();
            if !line.iter().all(u8::is_ascii_whitespace) {
                let begun = cells.len();
                cells.resize(begun + width, None);
                let row = cells.get_mut(begun..).unwrap_or_default();
                if let Err(source) = self.keys.read(line, row) {
                    row.fill(None);
                    let (reason, hint) = malformed(line, &source);
                    let (file, at) = (place.name.to_owned(), place.row(text, at));
                    let bad = BadRow { file, at, column: None, reason };
                    self.bad_rows.add(self.builder.rows() + starts.len(), bad, hint)?;
                }
                starts.push(at);
            }
            at += (end + 1).min(rest.len());
        }
        for column in 0..width {
            self.column(column, &cells, text, &starts, place)?;
        }
        let full = self.builder.end_rows(starts.len(), at);
        Ok((at, full && !starts.is_empty()))
    }

    /// Appends one column's values of all lines.
    fn column(
        &mut self,
        at: usize,
        cells: &[Option<&RawValue>],
        text: &[u8],
        starts: &[usize],
        place: &Place<'_>,
    ) -> Result<()> {
        let rows_before = self.builder.rows();
        let (Some(column), Some(reading), Some(builder), Some(invalid)) = (
            self.columns.get(at),
            self.readings.get(at),
            self.builder.columns.get_mut(at),
            self.invalid.get_mut(at),
        ) else {
            return Err(Error::bug("read a file: its plan has fewer columns than its keys"));
        };
        let mut refuse = |row: usize, why: Invalid| {
            if column.on_invalid == OnInvalid::Fail {
                let start = starts.get(row).copied().unwrap_or_default();
                let (bad, hint) = misfit(place.name, place.row(text, start), column, why);
                return self.bad_rows.add(rows_before + row, bad, &hint);
            }
            *invalid += 1;
            Ok(())
        };
        let lines = cells.chunks_exact(self.columns.len().max(1));
        let raws = lines.map(|line| line.get(at).copied().flatten().map(RawValue::get)).enumerate();
        let (conversion, kind) = match reading {
            Reading::Single(conversion, kind) => (*conversion, *kind),
            Reading::Nested(nested) => {
                for (row, raw) in raws {
                    if let Some(why) = nested.append(builder, raw)? {
                        refuse(row, why)?;
                    }
                }
                return Ok(());
            }
        };
        let mut texts: Vec<Option<Cow<'_, str>>> = Vec::with_capacity(starts.len());
        for (row, raw) in raws {
            let value = match raw.map(|raw| text_of(raw, kind, column.target_type)) {
                Some(Ok(text)) => text,
                Some(Err(why)) => {
                    refuse(row, why)?;
                    None
                }
                None => None,
            };
            texts.push(value);
        }
        let texts = texts.iter().map(|text| text.as_ref().map(|text| text.as_bytes()));
        conversion.append(builder, texts, &mut refuse)
    }

    /// The rows so far, if any.
    pub(super) fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let batch = self.builder.finish()?;
        batch.map(|batch| self.bad_rows.leave_out(batch)).transpose()
    }
}

/// What is wrong with a line, and what to do about it.
fn malformed(line: &[u8], source: &serde_json::Error) -> (String, &'static str) {
    // The parser's message may show what it found.
    let what = match source.classify() {
        serde_json::error::Category::Data => {
            let said = source.to_string();
            let key = said.split('`').nth(1).unwrap_or_default();
            if said.starts_with(TWICE) {
                let hint = "correct the file: which of the two is meant is not known";
                return (format!("the object has the key `{key}` twice"), hint);
            }
            if said.starts_with(UNKNOWN) {
                let hint = "set `source.format.unknown` to `ignore` to leave such keys out; a sample of the files \
                            tells the plan which there are";
                return (format!("the plan does not know the key `{key}`"), hint);
            }
            "it is not a JSON object"
        }
        _ => "it is not JSON",
    };
    // The parser counts bytes.
    let before = line.get(..source.column()).unwrap_or(line);
    let character = String::from_utf8_lossy(before).chars().count();
    let what = format!("{what}, at its character {character}");
    (what, "JSON lines have one object a line; correct the file")
}

/// What an error says of a key before it names it.
const UNKNOWN: &str = "unknown key";
const TWICE: &str = "key that is there twice";

impl Keys {
    /// Reads the object of a line into one cell for each column.
    fn read<'t>(
        &self,
        line: &'t [u8],
        row: &mut [Option<&'t RawValue>],
    ) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        deserializer.deserialize_map(Row { keys: self, row })?;
        deserializer.end()
    }
}

/// One row while it is read.
struct Row<'k, 'r, 't> {
    keys: &'k Keys,
    row: &'r mut [Option<&'t RawValue>],
}

impl<'t> Visitor<'t> for Row<'_, '_, 't> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'t>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(column) = map.next_key_seed(Key(self.keys))? {
            let Some((key, column)) = column else {
                map.next_value::<&RawValue>()?;
                continue;
            };
            let cell = self.row.get_mut(column);
            let value = map.next_value::<&RawValue>()?;
            if let Some(cell) = cell
                && cell.replace(value).is_some()
            {
                return Err(serde::de::Error::custom(format!("{TWICE} `{key}`")));
            }
        }
        Ok(())
    }
}

/// A key as the column that it fills, with its name for messages.
struct Key<'k>(&'k Keys);

impl<'t, 'k> DeserializeSeed<'t> for Key<'k> {
    type Value = Option<(&'k str, usize)>;

    fn deserialize<D: Deserializer<'t>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'k> Visitor<'_> for Key<'k> {
    type Value = Option<(&'k str, usize)>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: serde::de::Error>(self, key: &str) -> Result<Self::Value, E> {
        match self.0.known.get_key_value(key) {
            Some((key, column)) => Ok(column.map(|column| (key.as_str(), column))),
            None if self.0.ignores_unknown => Ok(None),
            None => Err(E::custom(format!("{UNKNOWN} `{}`", key.replace('`', "'")))),
        }
    }
}

/// The text of a value as its column reads it; `None` for NULL.
fn text_of(raw: &str, kind: Kind, target: TargetType) -> Result<Option<Cow<'_, str>>, Invalid> {
    let first = raw.as_bytes().first().copied().unwrap_or(b'n');
    if first == b'n' {
        return Ok(None);
    }
    if target == TargetType::Json {
        return Ok(Some(Cow::Borrowed(raw)));
    }
    let is_string = first == b'"';
    if target == TargetType::Bytes && !is_string {
        return Err(Invalid("a value other than a string"));
    }
    let expects = match kind {
        Kind::Any => None,
        Kind::Integer | Kind::Decimal | Kind::Float => {
            Some(!is_string && !matches!(first, b't' | b'f' | b'{' | b'['))
        }
        Kind::Boolean => Some(matches!(first, b't' | b'f')),
        Kind::Date | Kind::Time | Kind::Datetime | Kind::Timestamp | Kind::Text => Some(is_string),
        Kind::Json => Some(true),
    };
    if expects == Some(false) {
        return Err(Invalid(match first {
            b'"' => "a string",
            b't' | b'f' => "a truth value",
            b'{' => "an object",
            b'[' => "a list",
            _ => "a number",
        }));
    }
    if !is_string {
        return Ok(Some(Cow::Borrowed(raw)));
    }
    let inner = raw.get(1..raw.len() - 1).unwrap_or_default();
    if !inner.contains('\\') {
        return Ok(Some(Cow::Borrowed(inner)));
    }
    let unescaped = serde_json::from_str::<String>(raw);
    unescaped
        .map(|text| Some(Cow::Owned(text)))
        .map_err(|_| Invalid("a string with half of a surrogate pair"))
}
