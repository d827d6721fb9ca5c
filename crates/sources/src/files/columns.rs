//! The columns of a batch, filled with the values of texts.

use sluice_contracts::documents::{BadRow, Column, OnInvalid, RowPlace, TargetType};
use sluice_contracts::{Error, Result};

use super::kind::Kind;
use super::value;
use crate::builder::{ColumnBuilder, Invalid};
use crate::text_builder::TextBuilder;

/// How the texts of one column become values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Conversion {
    kind: Kind,
    target: TargetType,
}

/// What happens to a text that means no value of its column: an error, or NULL if it returns.
pub(super) type Refuse<'a> = &'a mut dyn FnMut(usize, Invalid) -> Result<()>;

impl Conversion {
    /// The conversion that a plan asks for.
    pub(super) fn of(column: &Column) -> Result<Self> {
        Ok(Self { kind: Kind::parse(&column.encoding)?, target: column.target_type })
    }

    /// The conversion of texts of a kind.
    pub(super) fn new(kind: Kind, target: TargetType) -> Self {
        Self { kind, target }
    }

    /// Whether values are their texts, so that nothing but their encoding can be wrong.
    pub(super) fn is_text(self) -> bool {
        matches!(self.target, TargetType::String | TargetType::Geography)
    }

    /// Appends the values of some texts, one of each row; `None` is NULL.
    #[inline]
    pub(super) fn append<'t>(
        self,
        builder: &mut ColumnBuilder,
        texts: impl Iterator<Item = Option<&'t [u8]>>,
        refuse: Refuse<'_>,
    ) -> Result<()> {
        let (kind, target) = (self.kind, self.target);
        macro_rules! each {
            ($builder:expr, $read:expr) => {
                for (row, text) in texts.enumerate() {
                    match text.map($read) {
                        Some(Ok(value)) => $builder.append_value(value),
                        Some(Err(why)) => {
                            refuse(row, why)?;
                            $builder.append_null();
                        }
                        None => $builder.append_null(),
                    }
                }
            };
        }
        match builder {
            ColumnBuilder::Int64(b) => each!(b, |text| value::integer(kind, text)),
            ColumnBuilder::Float64(b) => each!(b, |text| value::float(kind, text)),
            ColumnBuilder::Bool(b) => each!(b, |text| value::boolean(kind, text)),
            ColumnBuilder::Date(b) => each!(b, |text| value::date(kind, text)),
            ColumnBuilder::Time(b) => each!(b, |text| value::time(kind, text)),
            ColumnBuilder::Timestamp(b) => each!(b, |text| value::moment(kind, target, text)),
            ColumnBuilder::Bytes(b) => each!(b, value::bytes),
            ColumnBuilder::Decimal128(b, digits) => {
                let digits = *digits;
                each!(b, |text| value::decimal128(kind, text, digits));
            }
            ColumnBuilder::Decimal256(b, digits) => {
                let digits = *digits;
                let read = |text| {
                    let value = value::decimal(kind, text, digits)?.to_i256();
                    value.ok_or(Invalid("more digits than the type has"))
                };
                each!(b, read);
            }
            ColumnBuilder::Text(b) => texts_of(b, target, texts, refuse)?,
            ColumnBuilder::Int32(_)
            | ColumnBuilder::FixedBytes(_)
            | ColumnBuilder::List(_)
            | ColumnBuilder::Struct(_) => {
                return Err(Error::bug("read a file: its plan has a column that text cannot fill"));
            }
        }
        Ok(())
    }
}

fn texts_of<'t>(
    builder: &mut TextBuilder,
    target: TargetType,
    texts: impl Iterator<Item = Option<&'t [u8]>>,
    refuse: Refuse<'_>,
) -> Result<()> {
    for (row, text) in texts.enumerate() {
        let Some(text) = text else {
            builder.append_null();
            continue;
        };
        let is_fit = match target {
            TargetType::Json => value::json(text),
            _ => Ok(()),
        };
        if let Err(why) = is_fit {
            refuse(row, why)?;
            builder.append_null();
            continue;
        }
        builder.append_bytes(text);
    }
    Ok(())
}

/// A row whose value its column cannot hold, and the way out.
pub(super) fn misfit(file: &str, at: RowPlace, column: &Column, why: Invalid) -> (BadRow, String) {
    let bad = BadRow {
        file: file.to_owned(),
        at,
        column: Some(column.source_name.clone()),
        reason: format!("{} cannot hold {}", column.target_type, why.0),
    };
    (bad, way_out(column))
}

/// What to do about a value that its column cannot hold.
pub(super) fn way_out(column: &Column) -> String {
    let Column { source_name, target_type, .. } = column;
    match column.on_invalid {
        OnInvalid::Fail => format!(
            "set `columns.{source_name}.type` to {}, or `columns.{source_name}.on_invalid` to `null`, or \
             correct the file",
            if *target_type == TargetType::String { "another type" } else { "`STRING`" }
        ),
        OnInvalid::Null => "correct the file".to_owned(),
    }
}
