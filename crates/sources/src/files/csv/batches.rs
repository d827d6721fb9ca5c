//! From the text of CSV files to the columns of batches.

use arrow_array::RecordBatch;
use sluice_contracts::documents::{BadRow, Column, OnInvalid};
use sluice_contracts::{Error, Result};

use super::{Dialect, LONGEST_RECORD, Malformed, Records, Width};
use crate::builder::{BatchBuilder, ColumnBuilder, Invalid};
use crate::files::bad_rows::BadRows;
use crate::files::columns::{Conversion, misfit};
use crate::files::format::Format;
use crate::files::place::Place;

const NOT_UTF8: Invalid = Invalid("text that is not UTF-8");

/// Makes batches of records.
#[derive(Debug)]
pub(in crate::files) struct CsvDecoder {
    dialect: Dialect,
    null: Vec<u8>,
    takes_missing: bool,
    columns: Vec<Column>,
    conversions: Vec<Conversion>,
    builder: BatchBuilder,
    records: Records,
    /// Values that became NULL, by column.
    pub(in crate::files) invalid: Vec<u64>,
    pub(in crate::files) bad_rows: BadRows,
}

impl CsvDecoder {
    pub(in crate::files) fn new(format: &Format, columns: &[Column]) -> Result<Self> {
        Ok(Self {
            dialect: format.dialect(),
            null: format.null.clone().into_bytes(),
            takes_missing: format.takes_missing(),
            columns: columns.to_vec(),
            conversions: columns.iter().map(Conversion::of).collect::<Result<_>>()?,
            builder: BatchBuilder::new(columns),
            records: Records::default(),
            invalid: vec![0; columns.len()],
            bad_rows: BadRows::new(format.bad_rows),
        })
    }

    /// Takes records off the front of `text`, and says how many bytes they are, and whether the batch is
    /// full.
    pub(in crate::files) fn take(
        &mut self,
        text: &mut [u8],
        is_last: bool,
        width: &Width,
        place: &Place<'_>,
    ) -> Result<(usize, bool)> {
        self.records.clear();
        if self.dialect.has_line_returns() != width.has_returns {
            self.dialect = self.dialect.clone().with_returns(width.has_returns);
        }
        let most = self.builder.room().rows;
        let is_single = width.fields == 1;
        let split = self.dialect.split(text, is_last, is_single, most, &mut self.records);
        let taken = match split {
            Ok(taken) => taken,
            Err(malformed) => return Err(malformed_error(malformed, text, place)),
        };
        if self.records.len() == 0 {
            if text.len() - taken > LONGEST_RECORD {
                let why = "a record is longer than 128 MiB: a quote is probably not closed";
                let malformed = Malformed { record: taken, why };
                return Err(malformed_error(malformed, text, place));
            }
            return Ok((taken, false));
        }
        self.require_width(width, text, place)?;
        let rows = self.records.len();
        // Fields end at ASCII characters: if all of the text is UTF-8, each field is.
        let is_utf8 = text.get(..taken).is_some_and(|taken| std::str::from_utf8(taken).is_ok());
        for (at, field) in width.of_columns.iter().enumerate() {
            self.column(at, *field, width, is_utf8, text, place)?;
        }
        let full = self.builder.end_rows(rows, taken);
        Ok((taken, full))
    }

    /// The rows so far, if any.
    pub(in crate::files) fn finish(&mut self) -> Result<Option<RecordBatch>> {
        let batch = self.builder.finish()?;
        batch.map(|batch| self.bad_rows.leave_out(batch)).transpose()
    }

    /// Refuses records that have another number of fields than the file.
    fn require_width(&mut self, width: &Width, text: &[u8], place: &Place<'_>) -> Result<()> {
        let mut before = 0;
        let rows_before = self.builder.rows();
        for (row, &end) in self.records.ends.iter().enumerate() {
            let count = (end - before) as usize;
            before = end;
            if count == width.fields || count < width.fields && self.takes_missing {
                continue;
            }
            let start = self.records.starts.get(row).map_or(0, |start| *start as usize);
            let what = format!(
                "a record has {count} field{} where there are {} columns",
                if count == 1 { "" } else { "s" },
                width.fields
            );
            let at = place.row(text, start);
            let bad = BadRow { file: place.name.to_owned(), at, column: None, reason: what };
            let hint = if count < width.fields {
                "correct the file, or set `source.format.missing` to `null` if fields that are missing at a \
                 record's end are NULL"
            } else {
                "correct the file: a delimiter within a field stands in quotes"
            };
            self.bad_rows.add(rows_before + row, bad, hint)?;
        }
        Ok(())
    }

    /// Appends one column's values of all records.
    fn column(
        &mut self,
        at: usize,
        field: Option<usize>,
        width: &Width,
        is_utf8: bool,
        text: &mut [u8],
        place: &Place<'_>,
    ) -> Result<()> {
        let (rows, rows_before) = (self.records.len(), self.builder.rows());
        let (Some(column), Some(conversion), Some(builder), Some(invalid)) = (
            self.columns.get(at),
            self.conversions.get(at).copied(),
            self.builder.columns.get_mut(at),
            self.invalid.get_mut(at),
        ) else {
            return Err(Error::bug("read a file: its plan has fewer columns than its records"));
        };
        let Some(field) = field else {
            for _ in 0..rows {
                append_null(builder)?;
            }
            return Ok(());
        };
        let is_even = self.records.fields.len() == rows * width.fields;
        let mut starts = Vec::new();
        if !is_even {
            starts.extend(std::iter::once(0).chain(self.records.ends.iter().copied()));
        }
        let index = |row: usize| -> Option<usize> {
            if is_even {
                return Some(row * width.fields + field);
            }
            let (from, to) = (starts.get(row)?, starts.get(row + 1)?);
            let index = *from as usize + field;
            (index < *to as usize).then_some(index)
        };
        for row in 0..rows {
            if let Some(one) = index(row).and_then(|index| self.records.fields.get_mut(index))
                && one.is_escaped()
            {
                self.dialect.unescape(one, &self.null, text);
            }
        }
        let text = &*text;
        let (fields, starts_of_records) = (&self.records.fields, &self.records.starts);
        let one = |row: usize| index(row).and_then(|index| fields.get(index)).copied();
        let mut refuse = |row: usize, why: Invalid| {
            if column.on_invalid == OnInvalid::Fail {
                let start = starts_of_records.get(row).map_or(0, |start| *start as usize);
                let at = place.row(text, start);
                let (bad, hint) = misfit(place.name, at, column, why);
                return self.bad_rows.add(rows_before + row, bad, &hint);
            }
            *invalid += 1;
            Ok(())
        };
        if let ColumnBuilder::Text(builder) = builder
            && conversion.is_text()
        {
            for row in 0..rows {
                match one(row) {
                    Some(field) if !field.is_null(text, &self.null, true) => {
                        if is_utf8 || std::str::from_utf8(field.of(text)).is_ok() {
                            builder.append_front(field.front(text), field.length());
                        } else {
                            refuse(row, NOT_UTF8)?;
                            builder.append_null();
                        }
                    }
                    _ => builder.append_null(),
                }
            }
            return Ok(());
        }
        let texts = (0..rows).map(|row| {
            let field = one(row)?;
            (!field.is_null(text, &self.null, false)).then(|| field.of(text))
        });
        conversion.append(builder, texts, &mut refuse)
    }
}

/// The error of bytes that are no records.
fn malformed_error(malformed: Malformed, text: &[u8], place: &Place<'_>) -> Error {
    Error::data(format!("read {}: {}", place.of(text, malformed.record), malformed.why)).hint(
        "correct the file, or say how it is written in `source.format`: `quote`, `escape`, \
         `delimiter`",
    )
}

fn append_null(builder: &mut ColumnBuilder) -> Result<()> {
    builder.append_null().map_err(|why| Error::bug(format!("append NULL: {}", why.0)))
}
