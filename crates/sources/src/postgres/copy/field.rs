//! A column of the stream, and what becomes of values that it cannot hold.

use sluice_contracts::documents::{Column, OnInvalid, TargetType};
use sluice_contracts::{Error, Result};

use super::super::type_table::{Wire, wire_of};
use super::refusal::Refusal;
use super::value;
use crate::builder::{ColumnBuilder, Invalid};

/// A column as the decoder needs it.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) wire: Wire,
    name: String,
    source_name: String,
    encoding: String,
    target_type: TargetType,
    repeated: bool,
    on_invalid: OnInvalid,
    /// A query for the unit's rows whose value cannot be held, where the server can tell.
    pub(super) search: Option<String>,
}

impl Field {
    pub(super) fn new(column: &Column) -> Result<Self> {
        Ok(Self {
            wire: wire_of(column)?,
            name: column.name.clone(),
            source_name: column.source_name.clone(),
            encoding: column.encoding.clone(),
            target_type: column.target_type,
            repeated: column.repeated,
            on_invalid: column.on_invalid,
            search: None,
        })
    }

    /// Appends a value of a row to the column's builder; `None` is NULL. `invalid` counts the values that
    /// became NULL.
    pub(super) fn append(
        &self,
        value: Option<&[u8]>,
        row: u64,
        into: &mut ColumnBuilder,
        invalid: &mut u64,
    ) -> Result<()> {
        let Some(value) = value else {
            return into.append_null().map_err(|invalid| self.too_long(invalid));
        };
        // Most columns are texts, of which all are looked at together.
        let appended = match (self.wire, &mut *into) {
            (Wire::Text, ColumnBuilder::Text(texts)) => {
                texts.append_bytes(value);
                Ok(())
            }
            (Wire::Jsonb, ColumnBuilder::Text(texts))
                if let Some((1, value)) = value.split_first() =>
            {
                texts.append_bytes(value);
                Ok(())
            }
            (wire, into) => value::append(wire, value, into),
        };
        if let Err(refusal) = appended {
            self.refused(&refusal, row)?;
            into.append_null().map_err(|invalid| self.too_long(invalid))?;
            *invalid += 1;
        }
        Ok(())
    }

    /// Decides on a value that could not be appended: an error, or NULL in its place.
    #[cold]
    pub(super) fn refused(&self, refusal: &Refusal, row: u64) -> Result<()> {
        let name = &self.name;
        match refusal {
            Refusal::Invalid(_) if self.on_invalid == OnInvalid::Null => Ok(()),
            Refusal::Invalid(invalid @ Invalid(reason)) => Err(Error::data(format!(
                "column `{name}`: row {row} of the unit holds {reason}, which {} cannot hold",
                self.target()
            ))
            .hint(match &self.search {
                None => self.way_out(*invalid),
                Some(search) => {
                    format!("{}; find such rows with `{search}`", self.way_out(*invalid))
                }
            })),
            Refusal::Malformed(reason) => Err(Error::data(format!(
                "column `{name}`: row {row} of the unit is malformed: {reason}"
            ))),
            Refusal::Mismatch => Err(Error::bug(format!(
                "decode column `{name}`: `{}` into `{}`",
                self.encoding,
                self.target()
            ))),
        }
    }

    fn target(&self) -> String {
        let name = self.target_type.name();
        if self.repeated { format!("ARRAY<{name}>") } else { name.to_owned() }
    }

    fn way_out(&self, reason: Invalid) -> String {
        let place = format!("columns.{}", self.source_name);
        let null = format!("set `{place}.on_invalid` to `null`");
        match reason {
            value::NOT_UTF8 => format!("{null}, or `{place}.type` to `BYTES`"),
            _ if self.target_type == TargetType::String => null,
            _ => format!("{null}, or `{place}.type` to `STRING`"),
        }
    }

    #[cold]
    pub(super) fn too_long(&self, Invalid(reason): Invalid) -> Error {
        Error::data(format!("column `{}`: {reason}", self.name))
    }
}
