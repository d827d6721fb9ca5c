//! What a few rows show about all rows.

use rusqlite::Row;
use rusqlite::types::ValueRef;
use sluice_contracts::Result;
use sluice_contracts::documents::{Column, OnInvalid, TargetType};

use super::invalid_values::way_out;
use super::type_table::Encoding;
use super::value::Conversion;
use crate::builder::Invalid;
use crate::datetime::TextFormat;

/// Bytes of a row where nothing at all is known.
pub(super) const GUESSED_ROW: u64 = 64;

/// A few rows, read one after another.
pub(super) struct Sample<'c> {
    columns: Vec<Sampled<'c>>,
    /// How each column spells its days, where a row has shown it.
    pub(super) spellings: Vec<Option<TextFormat>>,
    rows: u32,
    passed: u32,
    bytes: f64,
}

struct Sampled<'c> {
    column: &'c Column,
    encoding: Encoding,
    conversion: Conversion,
    /// Values that the column's type does not hold.
    unheld: u32,
    /// Why the first of them is not held, and which type would hold it.
    first: Option<(Invalid, Option<TargetType>)>,
}

impl<'c> Sample<'c> {
    /// No rows yet.
    pub(super) fn new(columns: &'c [Column]) -> Result<Self> {
        let sampled = |column: &'c Column| {
            Ok(Sampled {
                column,
                encoding: Encoding::parse(&column.encoding)?,
                conversion: Conversion::of(column)?,
                unheld: 0,
                first: None,
            })
        };
        Ok(Self {
            columns: columns.iter().map(sampled).collect::<Result<_>>()?,
            spellings: vec![None; columns.len()],
            rows: 0,
            passed: 0,
            bytes: 0.0,
        })
    }

    /// Reads a row of the columns, which are followed by 1 if it meets the job's filter.
    pub(super) fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        let passed = row.get::<_, bool>(self.columns.len())?;
        for (place, sampled) in self.columns.iter_mut().enumerate() {
            let value = row.get_ref(place)?;
            self.bytes += bytes_of(value);
            if let (Encoding::Datetime(_) | Encoding::Timestamp(_), ValueRef::Text(text)) =
                (sampled.encoding, value)
            {
                // The last one decides: applications change, and old rows stay.
                self.spellings[place] = TextFormat::of(text).or(self.spellings[place]);
            }
            if passed && let Err(reason) = sampled.conversion.check(sampled.column, value) {
                sampled.unheld += 1;
                sampled
                    .first
                    .get_or_insert_with(|| (reason, way_out(sampled.column, value, reason)));
            }
        }
        self.rows += 1;
        self.passed += u32::from(passed);
        Ok(())
    }

    /// Adds what the same rows show about other columns.
    pub(super) fn extend(&mut self, others: Self) {
        self.columns.extend(others.columns);
        self.spellings.extend(others.spellings);
        self.bytes += others.bytes;
    }

    /// Rows read.
    pub(super) fn seen(&self) -> f64 {
        self.rows.into()
    }

    /// The share of rows that meet the filter. If no row of the sample does, a few others still
    /// may.
    pub(super) fn share(&self) -> f64 {
        if self.rows == 0 { 1.0 } else { f64::from(self.passed).max(0.5) / self.seen() }
    }

    /// Bytes of the columns of a row.
    #[expect(clippy::cast_precision_loss, reason = "a small constant")]
    pub(super) fn row_bytes(&self) -> f64 {
        if self.rows == 0 { GUESSED_ROW as f64 } else { self.bytes / self.seen() }
    }

    /// Which columns are likely to hold values that their type does not.
    pub(super) fn warnings(&self) -> Vec<String> {
        let warning = |sampled: &Sampled<'_>| {
            let Column { source_name, target_type, on_invalid, .. } = sampled.column;
            let (Invalid(reason), other) = sampled.first?;
            let fate = match on_invalid {
                OnInvalid::Fail => "such a value ends the run",
                OnInvalid::Null => "NULL is loaded instead",
            };
            let way_out =
                other.map(|other| format!("; `columns.{source_name}.type: {other}` holds it"));
            Some(format!(
                "column `{source_name}`: {target_type} does not hold {} of {} values looked at, such \
                 as {reason}: {fate}{}",
                sampled.unheld,
                self.passed,
                way_out.unwrap_or_default()
            ))
        };
        self.columns.iter().filter_map(warning).collect()
    }
}

/// Bytes of a value as the source sends it.
#[expect(clippy::cast_precision_loss, reason = "an estimate")]
fn bytes_of(value: ValueRef<'_>) -> f64 {
    match value {
        ValueRef::Null => 1.0,
        ValueRef::Integer(_) | ValueRef::Real(_) => 8.0,
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes.len() as f64,
    }
}
