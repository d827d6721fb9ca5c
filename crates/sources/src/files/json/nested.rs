//! From the text of objects and lists to the values of STRUCT and array columns.

use std::borrow::Cow;
use std::collections::HashMap;

use serde_json::value::RawValue;
use sluice_contracts::documents::{Column, TargetType};
use sluice_contracts::{Error, Result};

use super::{Fields, text_of};
use crate::builder::{ColumnBuilder, Invalid};
use crate::files::columns::Conversion;
use crate::files::kind::Kind;

/// The encoding of an object.
pub(super) const RECORD: &str = "struct";
/// The encoding of a list in a list, and the name of the field that has it.
pub(super) const ELEMENT: &str = "element";
/// What the encoding of an array begins with, before that of its elements.
pub(super) const LIST_OF: &str = "list of ";

const NOT_OBJECT: Invalid = Invalid("a value other than an object");
const NOT_LIST: Invalid = Invalid("a value other than a list");
const NULL_ELEMENT: Invalid = Invalid("a NULL in an array");
const UNKNOWN_KEY: Invalid = Invalid("an object with a key that the plan does not know");
const KEY_TWICE: Invalid = Invalid("an object that has a key twice");

/// How the values of a column, or of a field of one, are read.
#[derive(Debug)]
pub(super) enum Nested {
    /// A value that is not nested.
    Single { conversion: Conversion, kind: Kind, target: TargetType },
    /// An object.
    Record { keys: HashMap<String, usize>, fields: Vec<Nested>, ignores_unknown: bool },
    /// A list.
    List(Box<Nested>),
    /// A list in a list, which is the only field of a STRUCT.
    Wrapped(Box<Nested>),
}

impl Nested {
    /// How the values of a column are read, if they are nested.
    pub(super) fn of_column(column: &Column, ignores_unknown: bool) -> Result<Option<Self>> {
        let is_nested = column.repeated || column.target_type == TargetType::Struct;
        is_nested.then(|| Self::of(column, &column.encoding, ignores_unknown)).transpose()
    }

    fn of(column: &Column, encoding: &str, ignores_unknown: bool) -> Result<Self> {
        if let Some(of_elements) = encoding.strip_prefix(LIST_OF) {
            return Ok(Self::List(Box::new(Self::of(column, of_elements, ignores_unknown)?)));
        }
        let field = |field: &Column| Self::of(field, &field.encoding, ignores_unknown);
        match (encoding, column.fields.first()) {
            (RECORD, _) => Ok(Self::Record {
                keys: column
                    .fields
                    .iter()
                    .map(|field| field.source_name.clone())
                    .zip(0..)
                    .collect(),
                fields: column.fields.iter().map(field).collect::<Result<_>>()?,
                ignores_unknown,
            }),
            (ELEMENT, Some(list)) => Ok(Self::Wrapped(Box::new(field(list)?))),
            _ => {
                let (kind, target) = (Kind::parse(encoding)?, column.target_type);
                Ok(Self::Single { conversion: Conversion::new(kind, target), kind, target })
            }
        }
    }

    /// Appends a value, or NULL. What the column cannot hold becomes NULL with all that it is in, and is
    /// returned.
    pub(super) fn append(
        &self,
        builder: &mut ColumnBuilder,
        raw: Option<&str>,
    ) -> Result<Option<Invalid>> {
        let raw = raw.filter(|raw| !raw.starts_with('n'));
        match (self, builder) {
            (Self::Single { conversion, kind, target }, builder) => {
                let text = raw.map(|raw| text_of(raw, *kind, *target)).transpose();
                let (text, mut why) = match text {
                    Ok(text) => (text.flatten(), None),
                    Err(why) => (None, Some(why)),
                };
                let bytes = text.as_ref().map(|text: &Cow<'_, str>| text.as_bytes());
                conversion.append(builder, std::iter::once(bytes), &mut |_, found| {
                    why = Some(found);
                    Ok(())
                })?;
                Ok(why)
            }
            (Self::Record { keys, fields, ignores_unknown }, ColumnBuilder::Struct(builder)) => {
                let mut values = vec![None; fields.len()];
                let mut why =
                    raw.and_then(|raw| read(raw, keys, *ignores_unknown, &mut values).err());
                let fields = fields.iter().zip(&mut builder.fields);
                for ((field, builder), value) in fields.zip(values) {
                    let value = value.map(RawValue::get).filter(|_| why.is_none());
                    why = field.append(builder, value)?.or(why);
                }
                builder.close(raw.is_some() && why.is_none());
                Ok(why)
            }
            (Self::Wrapped(list), ColumnBuilder::Struct(builder)) => {
                let mut why = None;
                if let Some(builder) = builder.fields.first_mut() {
                    why = list.append(builder, raw)?;
                }
                builder.close(raw.is_some() && why.is_none());
                Ok(why)
            }
            (Self::List(elements), ColumnBuilder::List(builder)) => {
                let mut why = None;
                let mut values: Vec<&RawValue> = Vec::new();
                match raw.map(serde_json::from_str) {
                    Some(Ok(read)) => values = read,
                    Some(Err(_)) => why = Some(NOT_LIST),
                    None => {}
                }
                for value in values {
                    if value.get() == "null" {
                        why = why.or(Some(NULL_ELEMENT));
                    }
                    why = elements.append(&mut builder.elements, Some(value.get()))?.or(why);
                }
                match builder.close(raw.is_some() && why.is_none()) {
                    Ok(()) => Ok(why),
                    Err(too_many) => Err(Error::data(format!("read a list: {}", too_many.0))),
                }
            }
            _ => {
                Err(Error::bug("read a file: its plan has a column of another shape than its type"))
            }
        }
    }
}

/// Reads the values of an object's keys.
fn read<'t>(
    raw: &'t str,
    keys: &HashMap<String, usize>,
    ignores_unknown: bool,
    values: &mut [Option<&'t RawValue>],
) -> Result<(), Invalid> {
    let Fields(fields) = serde_json::from_str(raw).map_err(|_| NOT_OBJECT)?;
    for (key, value) in fields {
        let Some(place) = keys.get(&key).and_then(|place| values.get_mut(*place)) else {
            if ignores_unknown {
                continue;
            }
            return Err(UNKNOWN_KEY);
        };
        if place.replace(value).is_some() {
            return Err(KEY_TWICE);
        }
    }
    Ok(())
}
